#!/usr/bin/env bash
# Looks for known vulnerabilities that the binaries can reach. The database of them
# (https://go.dev/security/vuln) is also a Go module, which comes by way of the
# module proxy like any other: nothing else has to be reached. Its newest version is
# taken each time, so that the answer may change where the code does not.
set -euo pipefail
cd "$(dirname "$0")/.."

go=${GO:-go}
database=$("$go" mod download -json golang.org/x/vulndb@latest)
# field NAME prints a field of the answer.
field() { sed -n "s/^[[:space:]]*\"$1\": \"\(.*\)\",\{0,1\}$/\1/p" <<<"$database"; }
echo "vulnerabilities as known in $(field Version), $("$go" version)"
exec bin/tools/govulncheck -db "file://$(field Dir)/data/osv" ./cmd/...
