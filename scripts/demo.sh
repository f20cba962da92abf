#!/usr/bin/env bash
# Starts `armada up`, runs the example job set before the reader's eyes, and
# serves on until Ctrl-C. ARMADA_DEMO_ARGS goes to `armada up`.
set -euo pipefail
cd "$(dirname "$0")/.."

data=$(mktemp -d "${TMPDIR:-/tmp}/armada-demo.XXXXXX")
armada=

alive() { kill -0 "$armada" 2>/dev/null; }
stopping() { grep -qs '^Stopping' "$data/up.log"; }

# goodbye EXIT-CODE shows how armada stops, waits for its end, tidies up, and
# ends this script. A signal may find bash in the middle of making a subshell;
# that one has nothing to tidy up.
goodbye() {
	trap : INT TERM
	trap - EXIT
	[[ $BASHPID == "$$" ]] || exit "$1"
	# A Ctrl-C that came before armada listened to it is lost: after a second it
	# is told again, in the way that bash does not keep from it.
	local waited=0
	while alive && ! stopping; do
		sleep 0.05
		((++waited % 20)) || kill "$armada" 2>/dev/null || true
	done
	if [[ -n $armada ]]; then sed -n '/^Stopping/,$p' "$data/up.log"; fi
	while alive; do wait "$armada" || true; done
	rm -rf "$data"
	exit "$1"
}
# pass_on tells armada to stop when nobody else does.
pass_on() { [[ $BASHPID != "$$" ]] || kill "$armada" 2>/dev/null || true; }

# Ctrl-C reaches armada too; of everything else it has to be told.
trap 'goodbye 130' INT
trap 'pass_on; goodbye 143' TERM
trap 'status=$?; if stopping; then status=130; fi; pass_on; goodbye "$status"' EXIT

# shellcheck disable=SC2086 # a list of flags
bin/armada up --data-dir "$data" ${ARMADA_DEMO_ARGS:-} >"$data/up.log" 2>&1 &
armada=$!
until grep -qs 'Ctrl-C stops' "$data/up.log"; do
	if ! alive; then
		sed -n '/^armada:/p' "$data/up.log" >&2
		echo "make demo passes flags on: ARMADA_DEMO_ARGS='--grpc-addr 127.0.0.1:0 --http-addr 127.0.0.1:0 --metrics-addr 127.0.0.1:0'" >&2
		armada= && exit 1
	fi
	sleep 0.1
done
sed -n '1,/jobs run on/p' "$data/up.log"
url=localhost:$(sed -n 's/^ *gRPC .*:\([0-9]*\)$/\1/p' "$data/up.log")

# run shows a command as one would type it, and runs it.
run() {
	printf '\n$ bin/%s\n' "$*"
	"bin/$1" --armadaUrl "$url" "${@:2}"
}

run armadactl create queue demo
run armadactl submit examples/demo.yaml | tee "$data/ids"
mapfile -t ids < <(sed -n 's/^Submitted job with id \([a-z0-9]*\) .*/\1/p' "$data/ids")

# The third job sleeps for an hour: cancel it when it runs.
until bin/armadactl --armadaUrl "$url" describe job "${ids[2]}" --events=false | grep -q '^State: *running'; do
	alive # or this ends here
	sleep 0.1
done
run armadactl cancel job demo first-steps "${ids[2]}"
run armadactl watch demo first-steps --exit-if-inactive
run armadactl logs "${ids[0]}"
run armadactl get jobs --queue demo

trap : INT # from here on it is the end that the reader is told of
cat <<TXT

The example is done; Armada serves on. Try, in another terminal:

  bin/armadactl --armadaUrl $url describe job ${ids[1]}
  bin/armadactl --armadaUrl $url submit examples/demo.yaml
  curl -s http://$(sed -n 's|^ *REST *http://\([^/]*\)/.*|\1|p' "$data/up.log")/api/v1/queue/demo

Ctrl-C stops.
TXT
status=0
wait "$armada" || status=$?
if alive || stopping; then status=0; fi
goodbye "$status"
