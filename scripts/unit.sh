#!/usr/bin/env bash
# Runs the tests of all packages but those in test/, which need the built
# binaries (make e2e). Arguments go to go test.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=$("${GO:-go}" list ./... | grep -v '^armada/test/')
# Two packages at a time: each runs its own tests in parallel already.
# shellcheck disable=SC2086 # one word per package is what we want
exec "${GO:-go}" test -p 2 -timeout 15m "$@" $packages
