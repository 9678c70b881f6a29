# shellcheck shell=bash
# To be sourced: `. tests/adapters.sh`. Puts the three software adapters that the tests run on at hand and
# exports the environment that makes all of them enumerate in one process:
#
#   lavapipe     Mesa's Vulkan driver for the CPU
#   swiftshader  Chromium's Vulkan driver for the CPU
#   llvmpipe     Mesa's OpenGL driver for the CPU, through EGL
#
# What is missing is installed or fetched where apt-get exists; elsewhere it says what to do and fails.
# Needs no network when all is there. With MAF_SRL_TEST_ADAPTERS set the machine's own adapters are
# meant, and nothing is touched. docs/TESTING.md has the details.

maf_srl_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
maf_srl_cache="${CARGO_TARGET_DIR:-$maf_srl_root/target}/adapters"

maf_srl_say() { printf 'adapters: %s\n' "$*" >&2; }

# The first of the given files that exists.
maf_srl_first() {
    local file
    for file; do
        if [ -e "$file" ]; then
            printf '%s\n' "$file"
            return 0
        fi
    done
    return 1
}

# The manifest of an installed Vulkan driver, by the start of its file name.
maf_srl_vulkan_manifest() {
    maf_srl_first {/usr/share,/usr/local/share,/etc}/vulkan/icd.d/"$1"_icd{."$(uname -m)",*}.json
}

maf_srl_library() {
    local ldconfig
    ldconfig=$(command -v ldconfig || maf_srl_first /sbin/ldconfig /usr/sbin/ldconfig) || return 1
    "$ldconfig" -p | grep -F "$1" >/dev/null # not -q: under pipefail the early end would count as a failure
}

maf_srl_have_mesa() {
    maf_srl_vulkan_manifest lvp >/dev/null &&
        maf_srl_library libvulkan.so.1 &&
        maf_srl_library libEGL.so.1 &&
        maf_srl_first /usr/lib*/dri/swrast_dri.so /usr/lib/*/dri/swrast_dri.so \
            /usr/lib*/libgallium-*.so /usr/lib/*/libgallium-*.so >/dev/null
}

# The folder that holds SwiftShader: one that the user names, our cache, or a browser's.
maf_srl_swiftshader() {
    local library
    if [ -n "${MAF_SRL_SWIFTSHADER:-}" ]; then
        library=$(maf_srl_first "$MAF_SRL_SWIFTSHADER/libvk_swiftshader.so") || {
            maf_srl_say "MAF_SRL_SWIFTSHADER=$MAF_SRL_SWIFTSHADER holds no libvk_swiftshader.so"
            return 1
        }
        dirname "$library"
        return 0
    fi
    library=$(maf_srl_first "$maf_srl_cache/swiftshader/libvk_swiftshader.so" \
        {/usr/lib,/usr/lib64}/{chromium,chromium-browser}/libvk_swiftshader.so \
        /opt/{google/chrome,microsoft/msedge}/libvk_swiftshader.so) || return 1
    dirname "$library"
}

maf_srl_as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        DEBIAN_FRONTEND=noninteractive "$@"
    elif command -v sudo >/dev/null; then
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    else
        maf_srl_say "this needs root, and there is no sudo: $*"
        return 1
    fi
}

# Runs a command that needs apt's package lists; where it fails, once more with fresh lists.
maf_srl_with_lists() {
    "$@" || { maf_srl_as_root apt-get update && "$@"; }
}

maf_srl_install_mesa() {
    if ! command -v apt-get >/dev/null; then
        maf_srl_say "Mesa's software drivers (lavapipe, llvmpipe) are missing, and there is no apt-get here."
        maf_srl_say "Install the Vulkan loader, EGL and Mesa's software drivers, for example:"
        maf_srl_say "  Fedora: dnf install mesa-vulkan-drivers vulkan-loader mesa-dri-drivers mesa-libEGL"
        maf_srl_say "  Arch:   pacman -S vulkan-swrast vulkan-icd-loader mesa"
        maf_srl_say "To test on this machine's own GPU instead: MAF_SRL_TEST_ADAPTERS=<part of its name>"
        return 1
    fi
    maf_srl_say "installing Mesa's software drivers"
    maf_srl_with_lists maf_srl_as_root apt-get install -y --no-install-recommends \
        mesa-vulkan-drivers libvulkan1 libegl1 libgl1-mesa-dri libgles2
}

# SwiftShader has no package of its own. A browser's package carries it: download that, keep the library.
maf_srl_fetch_swiftshader() {
    local into="$maf_srl_cache/swiftshader" work library
    if [ -n "${MAF_SRL_SWIFTSHADER:-}" ]; then return 1; fi # it was named, and is not there
    if command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
        maf_srl_say "fetching SwiftShader out of the package chromium-common (about 30 MB, not installed)"
        work=$(mktemp -d "$maf_srl_cache/unpack.XXXXXX") || return 1
        if (cd "$work" && maf_srl_with_lists apt-get download chromium-common &&
            dpkg-deb -x chromium-common*.deb .) &&
            library=$(find "$work" -name libvk_swiftshader.so | grep .); then
            mkdir -p "$into"
            mv "$library" "$into/"
        fi
        rm -rf "$work"
        if [ -e "$into/libvk_swiftshader.so" ]; then return 0; fi
    fi
    maf_srl_say "SwiftShader (libvk_swiftshader.so) is missing and could not be fetched."
    maf_srl_say "Ubuntu's chromium packages only point at a snap; other systems have no chromium-common."
    maf_srl_say "Chrome, Edge, Chromium and every Electron program carry the file next to their binary."
    maf_srl_say "Name the folder that holds it: MAF_SRL_SWIFTSHADER=<folder> bash tests/run.sh"
    return 1
}

maf_srl_adapters() {
    local folder manifest mesa_egl

    mkdir -p "$maf_srl_cache" && maf_srl_cache=$(cd "$maf_srl_cache" && pwd) || return 1
    # Mesa complains where this is unset or points at nothing.
    if [ ! -d "${XDG_RUNTIME_DIR:-}" ]; then
        export XDG_RUNTIME_DIR="$maf_srl_cache/runtime"
        mkdir -p "$XDG_RUNTIME_DIR"
        chmod 0700 "$XDG_RUNTIME_DIR"
    fi
    if [ -n "${MAF_SRL_TEST_ADAPTERS:-}" ]; then
        maf_srl_say "testing on '$MAF_SRL_TEST_ADAPTERS' of this machine, as asked"
        return 0
    fi

    maf_srl_have_mesa || maf_srl_install_mesa || return 1
    maf_srl_swiftshader >/dev/null || maf_srl_fetch_swiftshader || return 1

    # The manifests in the wild have relative paths; ours says where the library was found.
    folder=$(cd "$(maf_srl_swiftshader)" && pwd) || return 1
    manifest="$maf_srl_cache/vk_swiftshader_icd.json"
    printf '{"file_format_version": "1.0.0", "ICD": {"library_path": "%s", "api_version": "1.1.0"}}\n' \
        "$folder/libvk_swiftshader.so" >"$manifest"

    VK_DRIVER_FILES="$manifest:$(maf_srl_vulkan_manifest lvp)" || return 1
    export VK_DRIVER_FILES
    export VK_ICD_FILENAMES="$VK_DRIVER_FILES" # loaders before 1.3.207
    # On a machine with a GPU, OpenGL must not choose it.
    export LIBGL_ALWAYS_SOFTWARE=1
    if mesa_egl=$(maf_srl_first /usr/share/glvnd/egl_vendor.d/*mesa.json); then
        export __EGL_VENDOR_LIBRARY_FILENAMES="$mesa_egl"
    fi

    export MAF_SRL_REQUIRE_ADAPTERS="lavapipe,swiftshader,llvmpipe"
    # Debian's package of lavapipe brings AMD's shader compiler too; others package it by itself.
    if command -v apt-get >/dev/null || maf_srl_vulkan_manifest radeon >/dev/null; then
        export MAF_SRL_REQUIRE_RADV=1
    fi
    maf_srl_say "lavapipe, swiftshader and llvmpipe are at hand"
}

maf_srl_adapters
