#!/usr/bin/env bash
# Runs the lab tests: installs and builds what they need, removes what dead labs left, runs them two at a time, and fails
# when the tests that ran are not those of tests/lab-tests.txt.
#   tests/run.sh             all of them
#   tests/run.sh FILTER...   those whose name contains one of the words (without the comparison)
#   tests/run.sh --sweep     none: only removes what dead labs left
#   LAB_JOBS=4 tests/run.sh  four at a time
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
expected=tests/lab-tests.txt
jobs=${LAB_JOBS:-2}
# A lab's error says what was seen; the stack of the test adds nothing.
export RUST_LIB_BACKTRACE=${RUST_LIB_BACKTRACE:-0}

fail() { echo "lab tests: $*" >&2; exit 1; }

# From the output of cargo test: `<file>::<test>` of each line that matches the expression.
names() {
    awk -v wanted="$1" '
        $1 == "Running" { file = $3; sub(/.*\//, "", file); sub(/-[0-9a-f]+\)$/, "", file) }
        match($0, wanted) { name = $0; sub(/^test /, "", name); sub(/(: test$| \.\.\. .*$)/, "", name); print file "::" name }
    ' | LC_ALL=C sort
}

compare() {
    diff -u --label "$expected" --label "$1" "$expected" - >&2 ||
        fail "$1 are not those of $expected (- is missing, + is not listed there)"
}

programs="${CARGO_TARGET_DIR:-target}/debug"

[[ $(id -u) == 0 ]] || fail "root is needed to make network namespaces; run this with sudo"
if [[ ${1:-} == --sweep ]]; then
    [[ ! -x $programs/lab-sweep ]] || "$programs/lab-sweep"
    exit
fi
tests/setup/install.sh
tests/setup/kubelab.sh

echo "lab tests: building" >&2
# Everything with the features of `make test-unit` and those that turn the lab tests on, always for the whole workspace:
# another selection of packages is another set of their dependencies' features, and builds AWS's SDK once more.
selection=(--locked --workspace --features "$(make -s features),daymark-tests/lab,daymark-speaker/lab")
mapfile -t files < <(cargo metadata --locked --no-deps --format-version 1 |
    jq -r '.packages[].targets[] | select((.["required-features"] // []) | index("lab")) | .name')
((${#files[@]})) || fail "no test has the feature lab among its required features"
cargo build -q "${selection[@]}" --bins
cargo test -q "${selection[@]}" "${files[@]/#/--test=}" --no-run
"$programs/lab-sweep"

test_command=(cargo test "${selection[@]}" "${files[@]/#/--test=}" --no-fail-fast --)
if (($#)); then
    exec "${test_command[@]}" --test-threads="$jobs" "$@"
fi
"${test_command[@]}" --list 2>&1 | names '^[^ ]+: test$' | compare "the tests that are built"

work=$(mktemp -d)
"$programs/lab-pace" >"$work/stalls" &
pace=$!
trap 'kill $pace; rm -rf "$work"' EXIT

# Which tests of those files.
filter=()
# Runs the tests of some files, so many at a time. What failed while the machine itself stood still is tried again, one by
# one: timers that are late say nothing about Daymark.
run() {
    local failed attempt test before jobs=$1 log="$work/$2"
    shift
    before=$(wc -l <"$work/stalls")
    if cargo test "${selection[@]}" "${@/#/--test=}" --no-fail-fast -- --test-threads="$jobs" "${filter[@]}" 2>&1 |
        tee "$log"; then
        cat "$log" >>"$work/output"
        return 0
    fi
    cat "$log" >>"$work/output"
    mapfile -t failed < <(names '^test [^ ]+ \\.\\.\\. FAILED' <"$log")
    tail -n "+$((before + 1))" "$work/stalls" >"$log.stalls"
    if [[ ! -s $log.stalls ]] || ((${#failed[@]} == 0)); then
        return 1
    fi
    echo "lab tests: this machine stood still $(wc -l <"$log.stalls") times, for up to $(sort -n "$log.stalls" | tail -n 1) ms;" \
        "trying again, one by one: ${failed[*]}" >&2
    for test in "${failed[@]}"; do
        for attempt in second third none; do
            [[ $attempt != none ]] || return 1
            echo "lab tests: the $attempt attempt at $test" >&2
            ! cargo test "${selection[@]}" --test "${test%%::*}" -- --exact "${test#*::}" || break
        done
    done
}

# Those about the cloud and the API server mostly wait, and run side by side; those of routers and segments count
# milliseconds; dozens of nodes keep a machine busy.
cloud=(aws aws_wire)
server=(assign bad_input claims controller crds survival)
apart=" ${cloud[*]} ${server[*]} "
others=()
for file in "${files[@]}"; do
    [[ $apart == *" $file "* ]] || others+=("$file")
done
status=0
run "$jobs" "${cloud[@]}" >"$work/beside" 2>&1 &
beside=$!
run "$jobs" "${server[@]}" || status=$?
wait "$beside" || status=$?
cat "$work/beside"
filter=(thirty_speakers)
run 1 l2_failures || status=$?
filter=(--skip thirty_speakers)
run "$jobs" "${others[@]}" || status=$?
filter=()
names '^test [^ ]+ \\.\\.\\. ' <"$work/output" | compare "the tests that ran"

# Layer 2 once more, on hosts and switches as they are elsewhere.
echo "lab tests: layer 2 with duplicate address detection, multicast snooping and a host firewall" >&2
export LAB_ENVIRONMENT="kernel-dad snooping host-firewall"
run "$jobs" l2_basic l2_moves || status=$?
exit "$status"
