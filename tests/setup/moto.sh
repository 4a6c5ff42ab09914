#!/usr/bin/env bash
# Installs moto, which answers as AWS does, into target/tools/moto; does nothing while tests/setup/moto.txt is unchanged.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
packages="$root/tests/setup/moto.txt"
output="$root/target/tools/moto"
stamp="$output/installed"

fail() { echo "moto: $*" >&2; exit 1; }

# A folder that was moved has programs that name the old one.
wanted="$(sha256sum <"$packages" | cut -d' ' -f1) $output"
if [[ -x $output/bin/moto_server && -f $stamp && $(<"$stamp") == "$wanted" ]]; then
    exit 0
fi

mkdir -p "$(dirname "$output")"
exec 9>"$output.lock"
flock 9
if [[ -x $output/bin/moto_server && -f $stamp && $(<"$stamp") == "$wanted" ]]; then
    exit 0
fi

command -v python3 >/dev/null || fail "python3 is missing; install it with its module venv (Debian: python3-venv)"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$(python3 --version) is too old; the versions of $packages need 3.11 or newer"
rm -rf "$output"
echo "moto: installing $(grep '^moto==' "$packages") out of PyPI into $output (a minute or two)" >&2
python3 -m venv "$output" ||
    fail "python3 cannot make a virtual environment; install its module venv (Debian: apt-get install python3-venv)"
"$output/bin/pip" install -q --disable-pip-version-check --no-deps -r "$packages" ||
    fail "pip could not install what $packages names; see its message above (without access to PyPI, set PIP_INDEX_URL to a mirror)"
"$output/bin/moto_server" --help >/dev/null || fail "moto is installed and does not start; see its message above, then rm -r $output"
echo "$wanted" >"$stamp"
