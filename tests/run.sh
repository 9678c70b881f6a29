#!/usr/bin/env bash
# The whole test suite on three software adapters, which it fetches where they are missing. Further
# arguments go to cargo: `bash tests/run.sh --test adapters -- --nocapture`.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=tests/adapters.sh
. tests/adapters.sh
exec cargo test --release "$@"
