#!/usr/bin/env bash
# Runs every check of the repository, one line per stage. The output of a stage
# is kept in bin/test-logs and printed when the stage fails (all of it, as it
# comes, with VERBOSE=1). The first stage that fails ends the whole. SKIP="node"
# leaves stages out, for machines that cannot run them; the last line says so.
set -euo pipefail
cd "$(dirname "$0")/.."

logs=bin/test-logs
mkdir -p "$logs"

# elapsed SECONDS prints them as minutes and seconds.
elapsed() { printf '%dm%02ds' $(($1 / 60)) $(($1 % 60)); }

# stage TARGET runs one make target.
stage() {
	local target=$1 start=$SECONDS log="$logs/$1.log" status=0
	printf '%-16s ' "$target"
	if [[ -n ${VERBOSE:-} ]]; then
		echo
		make "$target" 2>&1 | tee "$log" || status=$?
	else
		make "$target" >"$log" 2>&1 || status=$?
	fi
	if ((status != 0)); then
		echo "FAILED  $(elapsed $((SECONDS - start)))"
		[[ -n ${VERBOSE:-} ]] || cat "$log"
		echo "test: stage $target failed; its output is in $log" >&2
		exit 1
	fi
	echo "ok  $(elapsed $((SECONDS - start)))"
	# What a script wants to be seen even so.
	sed -n 's/^note: /                 /p' "$log"
}

# Kubernetes takes minutes to build, so it is built beside the first stages. Its
# own stage waits for it.
NICE=10 make kube >"$logs/kube-beside.log" 2>&1 &
kube=$!
trap 'kill "$kube" 2>/dev/null || true' EXIT

for target in tools services generate-check lint vet vulncheck kube race groups e2e node bench-short; do
	[[ " ${SKIP:-} " != *" $target "* ]] || continue
	[[ $target != kube ]] || wait "$kube" || true # the stage says what is wrong
	stage "$target"
done
echo "all checks${SKIP:+ but \"$SKIP\"} passed in $(elapsed "$SECONDS")"
