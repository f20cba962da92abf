#!/usr/bin/env bash
# Runs the tests of the process runtime that are about control groups on a kernel
# whose control groups are of version 2 and nothing else, whatever this machine has:
# a hierarchy of version 1 holds its controllers for the whole machine, so no
# namespace can give the tests both. That kernel is user-mode Linux, a program that
# needs no rights. It sees the files of this machine, to read only, and writes to
# memory and to bin/groups. It has one processor and is slow, so the other tests are
# not run there.
#
#   groups.sh [FLAGS OF THE TEST BINARY]    runs the tests
#   groups.sh install                       sees to it that the kernel is here
set -euo pipefail
cd "$(dirname "$0")/.."

kernel=$(command -v linux.uml || command -v linux || true)
if [[ $(uname) != Linux || $(uname -m) != x86_64 ]]; then
	echo "note: groups: user-mode Linux runs on Linux for x86-64 only; the tests of control groups of version 2 are not run"
	exit 0
fi
if [[ -z $kernel && ${1:-} == install ]] && command -v apt-get >/dev/null && [[ $(id -u) == 0 ]]; then
	export DEBIAN_FRONTEND=noninteractive
	apt-get update
	apt-get install --yes --no-install-recommends user-mode-linux
	kernel=$(command -v linux.uml)
fi
if [[ -z $kernel ]]; then
	echo "groups: missing: user-mode Linux (Debian: the package user-mode-linux, which has linux.uml)" >&2
	exit 1
fi
if [[ ${1:-} == install ]]; then
	echo "groups: $kernel"
	exit 0
fi

out=$PWD/bin/groups
mkdir -p "$out"
rm -f "$out/log" "$out/code"
${GO:-go} test -c -o "$out/process.test" ./internal/runs/process
about='ControlGroup|LeftGroup|Usage|Burns|EndedContainers|MemoryLimit|KilledSupervisor|Outlives|HasEscaped'
printf '%s\n' -test.timeout=15m -test.parallel=2 "-test.run=$about" "$@" >"$out/flags"

# The first process of that kernel; when it is over, so is the kernel.
cat >"$out/init" <<'INIT'
#!/bin/bash
export PATH=/usr/local/bin:/usr/bin:/bin HOME=/run TMPDIR=/run USER=root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs run /run
mount -t hostfs -o "$GROUPS_OUT" none "$GROUPS_OUT"
cd "$GROUPS_OUT/../../internal/runs/process"
mapfile -t flags <"$GROUPS_OUT/flags"
ARMADA_TEST_GROUPS="version 2" "$GROUPS_OUT/process.test" "${flags[@]}" >"$GROUPS_OUT/log" 2>&1
echo $? >"$GROUPS_OUT/code"
echo o >/proc/sysrq-trigger
sleep 60
INIT
chmod +x "$out/init"
timeout --foreground 20m "$kernel" mem=2G root=/dev/root rootfstype=hostfs rootflags=/ ro init="$out/init" GROUPS_OUT="$out" \
	con=null con0=null,fd:1 </dev/null >"$out/kernel.log" 2>&1 || true
code=$(cat "$out/code" 2>/dev/null || echo none)
if [[ $code != 0 ]]; then
	cat "$out/log" || tail -n 30 "$out/kernel.log"
	echo "groups: the tests ended with the code $code; what the kernel said is in $out/kernel.log" >&2
	exit 1
fi
tail -n 1 "$out/log"
