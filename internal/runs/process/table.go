//go:build linux

package process

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit in which the kernel tells programs of processors (USER_HZ),
// whatever it counts in itself.
const tick = 10 * time.Millisecond

// table is the processes of this machine at one moment, by their ids. An id may
// mean another process a moment later: what is read by it serves for counting, and
// never for signals.
type table struct {
	root      string
	processes map[int]usage
	below     map[int][]int // the children of each
}

// usage is what /proc/PID/stat tells of a process.
type usage struct {
	parent   int
	cpu      int64 // nanoseconds, with those of its children that have ended
	resident int64 // bytes, with those that it shares
}

// readTable reads the processes below a root, which is /proc.
func readTable(root string) table {
	t := table{root: root, processes: make(map[int]usage), below: make(map[int][]int)}
	entries, _ := os.ReadDir(root)
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, entry.Name(), "stat"))
		if err != nil {
			continue // it has ended
		}
		if u, err := parseStat(text); err == nil {
			t.processes[pid] = u
			t.below[u.parent] = append(t.below[u.parent], pid)
		}
	}
	return t
}

// parseStat reads a line of proc_pid_stat(5). The second field is a name that may
// have spaces and brackets in it; the third comes after the last bracket.
func parseStat(text []byte) (usage, error) {
	const first = 3 // the number of the first field below
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) <= 24-first {
		return usage{}, errors.New("a line of a process is too short")
	}
	var errs []error
	number := func(field int) int64 {
		n, err := strconv.ParseInt(fields[field-first], 10, 64)
		errs = append(errs, err)
		return n
	}
	ticks := number(14) + number(15) + number(16) + number(17) // its own and its children's
	u := usage{parent: int(number(4)), cpu: ticks * int64(tick), resident: number(24) * int64(os.Getpagesize())}
	return u, errors.Join(errs...)
}

// family is a process and all below it.
func (t table) family(pid int) []int {
	if _, lives := t.processes[pid]; !lives {
		return nil
	}
	family, seen := []int{pid}, map[int]bool{pid: true}
	for i := 0; i < len(family); i++ {
		for _, child := range t.below[family[i]] {
			if !seen[child] { // ids that were given anew while the table was read may make a ring
				seen[child] = true
				family = append(family, child)
			}
		}
	}
	return family
}

// memory is how many bytes a process holds. What it shares with others is divided
// among them, so that workers that were forked count once; where the kernel does
// not tell that, all of it counts.
func (t table) memory(pid int) int64 {
	if kib, told := field(filepath.Join(t.root, strconv.Itoa(pid), "smaps_rollup"), "Pss:"); told {
		return kib << 10
	}
	return t.processes[pid].resident
}
