//go:build linux

package process

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"armada"
)

// reading is what the containers of a run have used by now.
type reading struct {
	Began  time.Time `json:"began"` // when the first container was started
	At     time.Time `json:"at"`
	CPU    int64     `json:"cpu"`    // nanoseconds since then, of all containers
	Memory int64     `json:"memory"` // bytes, of those that live
}

// readings reads what the living runs use. A run of which no container was started
// has none.
func (s *supervisor) readings() map[armada.RunID]reading {
	s.mu.Lock()
	live := make([]*run, 0, len(s.live))
	for _, r := range s.live {
		live = append(live, r)
	}
	s.mu.Unlock()
	readings := make(map[armada.RunID]reading, len(live))
	if len(live) == 0 {
		return readings
	}
	table := readTable("/proc")
	orphans := s.orphans(table)
	for _, r := range live {
		if now, is := r.read(table, orphans[r.order.Run]); is {
			readings[r.order.Run] = now
		}
	}
	return readings
}

// orphans finds the processes of runs that have become the supervisor's children
// because their parents have ended, and all that are below them. Where containers
// have cages these know them already.
func (s *supervisor) orphans(table table) map[armada.RunID][]int {
	orphans := make(map[armada.RunID][]int)
	if s.cages.unified != "" {
		return orphans
	}
	for _, pid := range table.below[os.Getpid()] {
		if s.reaper.started(pid) {
			continue
		}
		for run := range s.layout.marks(pid) {
			orphans[run] = append(orphans[run], table.family(pid)...)
		}
	}
	return orphans
}

// read reads what a run uses; false when nothing of it was started.
func (r *run) read(table table, orphans []int) (reading, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began.IsZero() {
		return reading{}, false
	}
	now := reading{Began: r.began, At: time.Now(), CPU: r.spent}
	for in := range r.live {
		cpu, memory := in.uses(table)
		now.CPU += cpu
		now.Memory += memory
	}
	for _, pid := range orphans {
		now.CPU += table.processes[pid].cpu
		now.Memory += table.memory(pid)
	}
	// What a process used is for a moment nowhere when it ends: its container lives
	// no more and is not yet among what the run has spent.
	r.told = max(r.told, now.CPU)
	now.CPU = r.told
	return now, true
}

// uses tells what a living container uses: by its cage, and where that does not
// count, by its processes.
func (in *instance) uses(table table) (cpu, memory int64) {
	cpu, counted := in.cage.cpu()
	memory, weighed := in.cage.memoryUsed()
	if counted && weighed {
		return cpu, memory
	}
	family := in.cage.inside()
	if in.cage.unified == "" {
		family = table.family(in.child.pid)
	}
	for _, pid := range family {
		if !counted {
			cpu += table.processes[pid].cpu
		}
		if !weighed {
			memory += table.memory(pid)
		}
	}
	return cpu, memory
}

// used is what a container has used of processors when it is over.
func (in *instance) used() int64 {
	if cpu, counted := in.cage.cpu(); counted {
		return cpu
	}
	return in.child.cpu
}

// cpu is how many nanoseconds of processors the cage has used, which version 2
// counts in every group, whether it may limit them or not.
func (g cage) cpu() (int64, bool) {
	if g.unified == "" {
		return 0, false
	}
	micros, counted := field(filepath.Join(g.unified, "cpu.stat"), "usage_usec")
	return micros * 1000, counted
}

// memoryUsed is how many bytes the cage holds that the kernel could not take back
// at once.
func (g cage) memoryUsed() (int64, bool) {
	at, total, idle := g.unified, "memory.current", "inactive_file"
	if g.memory != "" {
		at, total, idle = g.memory, "memory.usage_in_bytes", "total_inactive_file"
	}
	if at == "" {
		return 0, false
	}
	text, err := os.ReadFile(filepath.Join(at, total))
	if err != nil {
		return 0, false
	}
	held, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	spare, _ := field(filepath.Join(at, "memory.stat"), idle)
	return max(held-spare, 0), err == nil
}

// field looks for "name n" among the lines of a file; a unit may follow.
func field(file, name string) (int64, bool) {
	text, _ := os.ReadFile(file)
	for line := range bytes.Lines(text) {
		if rest, found := bytes.CutPrefix(line, []byte(name+" ")); found {
			value, _, _ := strings.Cut(strings.TrimSpace(string(rest)), " ")
			n, err := strconv.ParseInt(value, 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
