#!/usr/bin/env bash
# examples/javascript/check.sh: the example and the library, on one adapter, bit by bit.
#
# Both run on SwiftShader, from one file: wgpu and naga on the one side, Dawn and Tint on the other. Needs
# node and, once, `npm ci` in this folder; fails where either is missing. No part of .ci/run, which needs
# no package of npm.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."

command -v node >/dev/null || { echo "check.sh: node is missing (20 or later)" >&2; exit 1; }
(cd "$here" && node --input-type=module -e "await import('webgpu')") || {
    echo "check.sh: the package webgpu is missing: npm ci in examples/javascript" >&2
    exit 1
}
unset MAF_SRL_TEST_ADAPTERS
# shellcheck source=../../tests/adapters.sh
. tests/adapters.sh
# SwiftShader alone, and for both
export VK_DRIVER_FILES="${VK_DRIVER_FILES%%:*}"
export VK_ICD_FILENAMES="$VK_DRIVER_FILES"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tool() { cargo run --quiet -p maf-srl-cli -- "$@"; }

tool wgsl --out "$work/modules" --kernels step >/dev/null
# with three numbers behind the words of four, with none, and with tiles folded into rows of at most 30
for run in "100003 65535" "4096 65535" "100003 30"; do
    read -r count across <<<"$run"
    node "$here/inputs.mjs" "$work/w.npy" "$work/g.npy" "$count"
    tool prox --device swiftshader --in "$work/w.npy" --grad "$work/g.npy" --out "$work/library.npy" \
        --penalty "tl1(a=0.5)" --lambda 0.5 --lr 0.1
    MAF_SRL_ACROSS=$across MAF_SRL_DAWN=backend=vulkan node "$here/step.mjs" "$work/modules" \
        "$work/w.npy" "$work/g.npy" "$work/dawn.npy" "$work/library.npy"
    cmp "$work/dawn.npy" "$work/library.npy"
done
