#!/usr/bin/env bash
# Writes all generated files anew: those made from the .proto files, and those
# of the go:generate lines.
set -euo pipefail
cd "$(dirname "$0")/.."

pkg/api/generate.sh
"${GO:-go}" generate ./...
