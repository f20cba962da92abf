//go:build linux

package process

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"armada"
)

// cages are where control groups for containers can be made: in the unified
// hierarchy (to find and kill every process of a container), and for memory
// limits there or in a hierarchy of version 1. Empty paths where not.
type cages struct {
	unified string // folder of our cages; the parent of one group per container
	limits  bool   // the unified hierarchy limits memory
	memory  string // the same for memory of version 1, where limits is false
	home    string // the tasks file of this process's own group there
	// earlier are those of earlier supervisors of the same data folder, which were
	// started in other groups.
	earlier []cages
}

// cage is the control groups of one container. The zero value is none.
type cage struct {
	unified string
	memory  string
	home    string
	handle  *os.File // of unified, for the start
}

// cagesName is the name of the folders of the cages for a data folder.
func cagesName(l layout) string {
	name := fnv.New64a()
	_, _ = name.Write([]byte(l.dir))
	return "armada-" + strconv.FormatUint(name.Sum64(), 36)
}

// findCages makes the folders for the cages of a supervisor, by a name that no
// other supervisor has. What cannot be had is left out.
func findCages(name string) cages {
	var c cages
	unified, memory := ownGroups()
	c.makeUnified(unified, name)
	if above := delegated(unified); above != "" && !c.limits {
		other := cages{}
		if other.makeUnified(above, name); other.limits || c.unified == "" {
			c, other = other, c
		}
		if other.unified != "" {
			_ = unix.Rmdir(other.unified)
		}
	}
	if memory != "" && !c.limits {
		at := filepath.Join(memory, name)
		if err := os.Mkdir(at, 0o755); err == nil || errors.Is(err, os.ErrExist) {
			c.memory, c.home = at, filepath.Join(memory, "tasks")
		}
	}
	return c
}

// makeUnified makes the folder below a group of version 2.
func (c *cages) makeUnified(group, name string) {
	if group == "" {
		return
	}
	at := filepath.Join(group, name)
	if err := os.Mkdir(at, 0o755); err == nil || errors.Is(err, os.ErrExist) {
		c.unified = at
		c.limits = enableMemory(group) && enableMemory(at)
	}
}

// delegated is the group above, if somebody has left that to us: a group of version 2
// that has processes of its own, as ours has, cannot have groups with limits below
// it. The mark is that of systemd, whose setting DelegateSubgroup makes such two
// groups.
func delegated(group string) string {
	above := filepath.Dir(group)
	mark := make([]byte, 8)
	n, err := unix.Getxattr(above, "user.delegate", mark)
	if group == "" || err != nil || string(mark[:n]) != "1" {
		return ""
	}
	return above
}

// enableMemory lets the groups below a group limit memory.
func enableMemory(group string) bool {
	file := filepath.Join(group, "cgroup.subtree_control")
	_ = os.WriteFile(file, []byte("+memory"), 0)
	enabled, err := os.ReadFile(file)
	return err == nil && bytes.Contains(enabled, []byte("memory"))
}

// ownGroups finds the folders of this process's own groups: in the unified
// hierarchy, and in that of memory of version 1.
func ownGroups() (unified, memory string) {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", ""
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", ""
	}
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		switch {
		case parts[0] == "0" && parts[1] == "":
			unified = mounted(mounts, "cgroup2", "", parts[2])
		case strings.Contains(","+parts[1]+",", ",memory,"):
			memory = mounted(mounts, "cgroup", "memory", parts[2])
		}
	}
	return unified, memory
}

// mounted finds the folder of a group in the mounts (proc(5), mountinfo).
func mounted(mounts []byte, kind, option, group string) string {
	for lines := bufio.NewScanner(bytes.NewReader(mounts)); lines.Scan(); {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		fields, super := strings.Fields(before), strings.Fields(after)
		if len(fields) < 5 || len(super) < 3 || super[0] != kind {
			continue
		}
		if option != "" && !strings.Contains(","+super[2]+",", ","+option+",") {
			continue
		}
		below, inside := strings.CutPrefix(group, strings.TrimSuffix(fields[3], "/"))
		at := filepath.Join(fields[4], below)
		if info, err := os.Stat(at); inside && err == nil && info.IsDir() {
			return at
		}
	}
	return ""
}

// canLimit tells whether cages can limit memory.
func (c cages) canLimit() bool { return c.limits || c.memory != "" }

// open makes the n-th cage of a run. memory is its limit in bytes, 0 for none.
// What cannot be made is left out: the container then runs without.
func (c cages) open(run armada.RunID, n int, memory int64) cage {
	var g cage
	name := string(run) + "." + strconv.Itoa(n)
	if c.unified != "" {
		at := filepath.Join(c.unified, name)
		if err := os.Mkdir(at, 0o755); err == nil || errors.Is(err, os.ErrExist) {
			g.unified = at
			g.handle, _ = os.Open(at)
			if c.limits && memory > 0 {
				writeGroup(at, "memory.max", memory)
				writeGroup(at, "memory.swap.max", 0)
				writeGroup(at, "memory.oom.group", 1)
			}
		}
	}
	if c.memory != "" && memory > 0 {
		at := filepath.Join(c.memory, name)
		if err := os.Mkdir(at, 0o755); err == nil || errors.Is(err, os.ErrExist) {
			g.memory, g.home = at, c.home
			writeGroup(at, "memory.limit_in_bytes", memory)
			writeGroup(at, "memory.memsw.limit_in_bytes", memory)
		}
	}
	return g
}

func writeGroup(group, file string, value int64) {
	_ = os.WriteFile(filepath.Join(group, file), strconv.AppendInt(nil, value, 10), 0)
}

// start runs a start such that the process is born in the cage: by its handle
// in the unified hierarchy, and for memory of version 1 by moving this thread
// there, as children are born where the thread that makes them is. The error
// is that the thread could not be moved back.
func (g cage) start(attr *syscall.SysProcAttr, start func()) error {
	if g.handle != nil {
		attr.UseCgroupFD, attr.CgroupFD = true, int(g.handle.Fd())
	}
	if g.memory == "" {
		start()
		return nil
	}
	thread := []byte(strconv.Itoa(unix.Gettid()))
	_ = os.WriteFile(filepath.Join(g.memory, "tasks"), thread, 0)
	start()
	return os.WriteFile(g.home, thread, 0)
}

// beside is the same cage for the start of one more process, after which its
// handle is the caller's to close.
func (g cage) beside() cage {
	g.handle = nil
	if g.unified != "" {
		g.handle, _ = os.Open(g.unified)
	}
	return g
}

// outOfMemory tells whether a process of the cage was killed at its limit.
func (g cage) outOfMemory() bool {
	return (g.unified != "" && counted(filepath.Join(g.unified, "memory.events"))) ||
		(g.memory != "" && counted(filepath.Join(g.memory, "memory.oom_control")))
}

// counted looks for "oom_kill n" with n > 0.
func counted(file string) bool {
	n, _ := field(file, "oom_kill")
	return n > 0
}

// kill kills every process of the cage, and of groups below it, and tells whether
// there were any.
func (g cage) kill() bool {
	if g.unified == "" {
		return false
	}
	if n, _ := field(filepath.Join(g.unified, "cgroup.events"), "populated"); n == 0 {
		return false
	}
	_ = os.WriteFile(filepath.Join(g.unified, "cgroup.kill"), []byte("1"), 0)
	return true
}

// members lists the processes of a cage of version 1.
func (g cage) members() []int {
	if g.memory == "" {
		return nil
	}
	return listed(filepath.Join(g.memory, "cgroup.procs"))
}

// listed reads the process ids in a file.
func listed(file string) []int {
	text, _ := os.ReadFile(file)
	var pids []int
	for field := range strings.FieldsSeq(string(text)) {
		if pid, err := strconv.Atoi(field); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// inside lists the processes of a cage of version 2.
func (g cage) inside() []int {
	if g.unified == "" {
		return nil
	}
	return listed(filepath.Join(g.unified, "cgroup.procs"))
}

// has tells whether a process is in a cage of version 1.
func (g cage) has(pid int) bool { return slices.Contains(g.members(), pid) }

// features says in words what the cages can do, for the log and the node.
func (c cages) features() string {
	switch {
	case c.limits:
		return "memory limits by control groups of version 2"
	case c.memory != "":
		return "memory limits by control groups of version 1"
	case c.unified != "":
		return fmt.Sprintf("memory limits are not enforced, only accounted: the groups below %s cannot limit memory, as that has processes of its own or was not given memory",
			filepath.Dir(c.unified))
	default:
		return "memory limits are not enforced, only accounted: no control group can be made"
	}
}
