//go:build linux

package process

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"armada"
)

// A supervisor that is killed leaves its groups, and so may one that is not: the
// kernel holds on to a group for a moment after its last process was seen to end.
// Only a supervisor of the same data folder takes them away, as only that knows
// that nobody uses them. Groups in which anything lives cannot be removed, which is
// why removing is always safe.

// removePatience is how long a supervisor that ends waits for the kernel to let go
// of its groups.
const removePatience = time.Second

// recall finds the groups that earlier supervisors made elsewhere, and writes down
// where those of this one are.
func (c *cages) recall(file string) error {
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for at := range strings.Lines(string(text)) {
		at = strings.TrimSuffix(at, "\n")
		var fs unix.Statfs_t
		if at == c.unified || at == c.memory || unix.Statfs(at, &fs) != nil {
			continue
		}
		switch int64(fs.Type) {
		case unix.CGROUP2_SUPER_MAGIC:
			c.earlier = append(c.earlier, cages{unified: at})
		case unix.CGROUP_SUPER_MAGIC:
			c.earlier = append(c.earlier, cages{memory: at})
		}
	}
	return note(file, string(text), c.folders())
}

// note writes down where groups may be, unless that is what the file says.
func note(file, says string, folders []string) error {
	var text strings.Builder
	for _, at := range folders {
		text.WriteString(at + "\n")
	}
	if text.String() == says {
		return nil
	}
	return os.WriteFile(file, []byte(text.String()), 0o600)
}

// folders are those that hold the groups of containers.
func (c *cages) folders() []string {
	var folders []string
	for _, at := range []string{c.unified, c.memory} {
		if at != "" {
			folders = append(folders, at)
		}
	}
	for i := range c.earlier {
		folders = append(folders, c.earlier[i].folders()...)
	}
	return folders
}

// of finds the cages that an earlier supervisor made for a run.
func (c *cages) of(run armada.RunID) []cage {
	var found []cage
	for _, at := range matching(c.unified, run) {
		found = append(found, cage{unified: at})
	}
	for _, at := range matching(c.memory, run) {
		found = append(found, cage{memory: at})
	}
	for i := range c.earlier {
		found = append(found, c.earlier[i].of(run)...)
	}
	return found
}

func matching(folder string, run armada.RunID) []string {
	if folder == "" {
		return nil
	}
	paths, _ := filepath.Glob(filepath.Join(folder, string(run)+".*"))
	return paths
}

// sweep removes the groups of runs that are not in use, and tells whether all of
// those have gone.
func (c *cages) sweep(inUse func(armada.RunID) bool) bool {
	clean := true
	for _, folder := range c.folders() {
		entries, _ := os.ReadDir(folder)
		for _, entry := range entries {
			run, n, is := strings.Cut(entry.Name(), ".")
			_, err := strconv.Atoi(n)
			if is && err == nil && entry.IsDir() && !inUse(armada.RunID(run)) {
				clean = removeGroup(filepath.Join(folder, entry.Name())) && clean
			}
		}
	}
	return clean
}

// remove takes the folders of the cages away; no run is left. The error is that
// those which are still there could not be written down.
func (c *cages) remove(file string) error {
	nobody := func(armada.RunID) bool { return false }
	for late := time.Now().Add(removePatience); !c.sweep(nobody) && time.Now().Before(late); {
		time.Sleep(strayPause) // nothing tells of it
	}
	folders := slices.DeleteFunc(c.folders(), func(at string) bool { return removeGroup(at) })
	says, err := os.ReadFile(file)
	if err != nil {
		return nil // nothing was written, or the data folder has gone
	}
	return note(file, string(says), folders)
}

// remove takes the empty cage away, and tells whether it has gone.
func (g cage) remove() bool {
	gone := true
	for _, at := range []string{g.unified, g.memory} {
		gone = (at == "" || removeGroup(at)) && gone
	}
	return gone
}

// removeGroup removes a group and those that its processes made below it, and tells
// whether it has gone. Where anything lives it stays.
func removeGroup(at string) bool {
	err := unix.Rmdir(at)
	if errors.Is(err, unix.EBUSY) {
		entries, _ := os.ReadDir(at)
		for _, entry := range entries {
			if entry.IsDir() {
				removeGroup(filepath.Join(at, entry.Name()))
			}
		}
		err = unix.Rmdir(at)
	}
	return err == nil || errors.Is(err, unix.ENOENT)
}
