#!/usr/bin/env bash
# Measures Daymark (as root): builds what is measured in release mode and runs the program `bench`.
#   tests/bench.sh                       everything, about 30 minutes (15 of them l2-failover)
#   tests/bench.sh ROW...                these rows: assign create decision routes endpoint-change speaker-start memory
#                                        l2-failover l2-load l2-idle aws
#   QUICK=1 tests/bench.sh [ROW...]      a twentieth of the objects, 10 tries
#   TRIES=50 tests/bench.sh l2-failover  so many tries of each failure instead of 200
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

[[ $(id -u) == 0 ]] || { echo "bench: root is needed to make network namespaces; run this with sudo" >&2; exit 1; }

echo "bench: building (release)" >&2
cargo=${CARGO:-cargo}
"$cargo" build --quiet --locked --release -p daymark-controller -p daymark-speaker -p daymark-pool -p daymark-tests \
    --features daymark-tests/bench --bins --example pool-bench --example bgp-feed

arguments=()
for row in "$@"; do
    arguments+=(--only "$row")
done
[[ ${QUICK:-0} == 0 ]] || arguments+=(--quick)
[[ -z ${TRIES:-} ]] || arguments+=(--tries "$TRIES")
export RUST_LIB_BACKTRACE=0
exec "${CARGO_TARGET_DIR:-target}/release/bench" "${arguments[@]}"
