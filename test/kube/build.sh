#!/usr/bin/env bash
# Builds programs of Kubernetes, and etcd, from Go modules into a folder:
#   test/kube/build.sh bin/kube etcd kube-apiserver
# What is there already is built again only when its sources have changed.
# NICE=10 lets others go first.
set -euo pipefail
out=$(mkdir -p "$1" && cd "$1" && pwd)
shift
cd "$(dirname "$0")/cluster"

go=${GO:-go}
version=$("$go" list -m -f '{{.Version}}' k8s.io/kubernetes)
minor=${version#v1.}
minor=${minor%%.*}
flags="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
	flags+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$minor"
done
packages=()
for program in "$@"; do
	case $program in
	etcd) packages+=(./cmd/etcd) ;;
	*) packages+=("k8s.io/kubernetes/cmd/$program") ;;
	esac
done
CGO_ENABLED=0 nice -n "${NICE:-0}" "$go" build -trimpath -ldflags "$flags" -o "$out/" "${packages[@]}"
echo "Kubernetes $version: $* in $out"
