#!/usr/bin/env bash
# Builds the lab's control plane, target/kubelab, out of tests/kubelab; does nothing while its sources are unchanged.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
source_dir="$root/tests/kubelab"
output=${KUBELAB:-"$root/target/kubelab"}
stamp="$output.stamp"

command -v go >/dev/null || { echo "kubelab: Go is missing; install the version that $source_dir/go.mod names" >&2; exit 1; }

mkdir -p "$(dirname "$output")"
exec 9>"$output.lock"
flock 9

wanted=$(cd "$source_dir" && sha256sum main.go go.mod go.sum "$root/tests/setup/kubelab.sh" | cut -d' ' -f1 | sha256sum | cut -d' ' -f1)
if [[ -x $output && -f $stamp && $(<"$stamp") == "$wanted" ]]; then
    exit 0
fi

version=$(sed -n 's/^\tk8s\.io\/kubernetes \(v[0-9.]*\)$/\1/p' "$source_dir/go.mod")
IFS=. read -r major minor _ <<<"${version#v}"
package=k8s.io/component-base/version
echo "kubelab: building Kubernetes $version into $output (minutes when nothing is cached, seconds otherwise)" >&2
cd "$source_dir"
go build -trimpath -buildvcs=false -o "$output.new" -ldflags "-s -w \
    -X $package.gitVersion=$version -X $package.gitMajor=$major -X $package.gitMinor=$minor -X $package.gitTreeState=clean" .
mv "$output.new" "$output"
echo "$wanted" >"$stamp"
