#!/usr/bin/env bash
# Runs the tests of scripts/unit.sh with the race detector. It needs cgo, hence
# a C compiler, which is not among the things this repository asks for: where
# there is none the tests run without it, and the output says so.
set -euo pipefail
cd "$(dirname "$0")/.."

go=${GO:-go}
race=-race
if [[ $("$go" env CGO_ENABLED) != 1 ]] || ! command -v "$("$go" env CC)" >/dev/null; then
	race=
	echo "note: no C compiler, the tests run WITHOUT the race detector" >&2
fi
exec scripts/unit.sh ${race:+"$race"} "$@"
