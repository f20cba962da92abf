//go:build linux

package room

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// groupsRoot is where the control groups are mounted.
const groupsRoot = "/sys/fs/cgroup"

// needed are the controllers that a node cannot do without; wanted are those that a
// kubelet insists on where the machine has them.
var (
	needed = []string{"cpu", "memory", "pids"}
	wanted = append([]string{"cpuset", "hugetlb"}, needed...)
)

// unified tells whether the machine has the one hierarchy of version 2.
func unified() bool {
	_, err := os.Stat(filepath.Join(groupsRoot, "cgroup.controllers"))
	return err == nil
}

// hierarchies are the roots of all control groups: one of version 2, or one for
// each controller of version 1 and perhaps one of version 2 beside them, where runc
// makes groups too.
func hierarchies() ([]string, error) {
	if unified() {
		return []string{groupsRoot}, nil
	}
	entries, err := os.ReadDir(groupsRoot)
	if err != nil {
		return nil, fmt.Errorf("this machine has no control groups: %w", err)
	}
	var roots []string
	for _, e := range entries {
		// Links such as cpu -> cpu,cpuacct name what is there under its own name.
		if e.IsDir() {
			roots = append(roots, filepath.Join(groupsRoot, e.Name()))
		}
	}
	for _, controller := range needed {
		if _, err := os.Stat(filepath.Join(groupsRoot, controller)); err != nil {
			return nil, fmt.Errorf("control groups for %s are not mounted at %s: %w", controller, groupsRoot, err)
		}
	}
	return roots, nil
}

// makeGroup makes a control group in every hierarchy, with the controllers that a
// node needs.
func makeGroup(name string) error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	for _, root := range roots {
		at := filepath.Join(root, name)
		if err := os.Mkdir(at, 0o755); err != nil {
			return fmt.Errorf("making a control group, for which %s must be writable: %w", root, err)
		}
	}
	if !unified() {
		return copyCPUs(name)
	}
	for _, at := range []string{groupsRoot, filepath.Join(groupsRoot, name)} {
		if err := enable(at); err != nil {
			return err
		}
	}
	return nil
}

// enable lets the groups below a group of version 2 have what a node needs.
func enable(group string) error {
	file := filepath.Join(group, "cgroup.subtree_control")
	there, err := words(filepath.Join(group, "cgroup.controllers"))
	if err != nil {
		return err
	}
	enabled, err := words(file)
	if err != nil {
		return err
	}
	for _, controller := range wanted {
		if slices.Contains(enabled, controller) || !slices.Contains(there, controller) && !slices.Contains(needed, controller) {
			continue
		}
		err := os.WriteFile(file, []byte("+"+controller), 0)
		if errors.Is(err, syscall.EBUSY) {
			return fmt.Errorf("the control group %s has processes of its own, so the groups below it cannot limit %s; "+
				"it must be the root of the machine, or its processes must be in a group below it: %w", group, controller, err)
		}
		if err != nil {
			return fmt.Errorf("letting the groups below %s limit %s: %w", group, controller, err)
		}
	}
	return nil
}

// words reads the words of a file.
func words(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	return strings.Fields(string(text)), err
}

// copyCPUs lets a group of version 1 use what its root may: a new one may use
// nothing.
func copyCPUs(name string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		text, err := os.ReadFile(filepath.Join(groupsRoot, "cpuset", file))
		if err == nil {
			err = os.WriteFile(filepath.Join(groupsRoot, "cpuset", name, file), text, 0)
		}
		if err != nil {
			return fmt.Errorf("giving the control group %s its processors: %w", name, err)
		}
	}
	return nil
}

// removePatience is how long the kernel may need to let go of groups whose last
// process has ended.
const removePatience = 10 * time.Second

// removeGroup removes a group and all below it. There must be no process in them.
func removeGroup(name string) error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	var errs []error
	for _, root := range roots {
		errs = append(errs, removeTree(filepath.Join(root, name)))
	}
	return errors.Join(errs...)
}

func removeTree(group string) error {
	var below []string
	err := filepath.WalkDir(group, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			below = append(below, path)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	late := time.Now().Add(removePatience)
	for _, at := range slices.Backward(below) {
		for {
			err := syscall.Rmdir(at)
			if err == nil || errors.Is(err, fs.ErrNotExist) {
				break
			}
			if !errors.Is(err, syscall.EBUSY) || time.Now().After(late) {
				return fmt.Errorf("removing the control group %s: %w", at, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

// removeStrayGroups removes what is left of rooms whose keepers were killed. A
// group is named after a process, NAME-PID; it is stray when there is no such
// process.
func removeStrayGroups(name string) {
	family := name[:strings.LastIndex(name, "-")+1]
	roots, _ := hierarchies()
	for _, root := range roots {
		groups, _ := filepath.Glob(filepath.Join(root, family+"*"))
		for _, at := range groups {
			pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(at), family))
			if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
				_ = removeTree(at)
			}
		}
	}
}
