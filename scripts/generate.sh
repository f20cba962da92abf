#!/usr/bin/env bash
# Writes all generated files anew, with the tools pinned in tools/go.mod.
set -euo pipefail
cd "$(dirname "$0")/.."

PATH="$PWD/bin/tools:$PATH"
export PATH
pkg/api/generate.sh
"${GO:-go}" generate ./...
