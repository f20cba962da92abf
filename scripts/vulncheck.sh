#!/usr/bin/env bash
# Looks for known vulnerabilities that the binaries can reach, and fails when one is in
# a library that they are made of. One of Go itself is told and fails nothing: the
# mend is to build with a newer Go, and no change of this repository.
#
# The database of them (https://go.dev/security/vuln) is also a Go module, which comes
# by way of the module proxy like any other. It is pinned, so that the same commit gets
# the same answer; VULNDB=latest asks the newest.
set -euo pipefail
cd "$(dirname "$0")/.."

vulndb=${VULNDB:-v0.0.0-20261105234957-e22db6528018}

go=${GO:-go}
database=$("$go" mod download -json "golang.org/x/vulndb@$vulndb" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",\{0,1\}$/\1/p')
status=0
report=$(bin/tools/govulncheck -db "file://$database/data/osv" ./cmd/...) || status=$?
echo "$report"
case $status in
0) ;;
3) # something was found
	if grep -q '^  Module: ' <<<"$report"; then
		exit 1
	fi
	echo "note: $("$go" version | cut -d ' ' -f 3) has known vulnerabilities of its own: releases take a newer Go"
	;;
*) exit "$status" ;;
esac
