//go:build linux

package process

import (
	"bufio"
	"fmt"
	"maps"
	"math"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"armada"
	"armada/internal/podspec"
)

// LabelMemoryLimits is on the node: "enforced", or "accounted" where the machine
// lets us limit nobody.
const LabelMemoryLimits = "armadaproject.io/memory-limits"

// machine describes this machine as a node.
func machine(c *Config, dir string, limits bool) (armada.Node, error) {
	name := c.Node
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return armada.Node{}, fmt.Errorf("find the machine's name: %w", err)
		}
		name = nodeName(host)
	}
	var has armada.Resources
	for resource, amount := range map[string]int64{
		armada.CPU: int64(runtime.NumCPU()) * 1000, armada.Memory: memory(), armada.EphemeralStorage: disk(dir),
	} {
		if i, counted := c.Resources.Index(resource); counted {
			has[i] = amount
		}
	}
	has, err := podspec.ParseCapacity(c.Capacity, c.Resources, has)
	if err != nil {
		return armada.Node{}, err
	}
	labels := map[string]string{
		"kubernetes.io/hostname": name,
		"kubernetes.io/os":       runtime.GOOS,
		"kubernetes.io/arch":     runtime.GOARCH,
		LabelMemoryLimits:        "accounted",
	}
	if limits {
		labels[LabelMemoryLimits] = "enforced"
	}
	maps.Copy(labels, c.Labels)
	return armada.Node{Name: name, Pool: c.Pool, Labels: labels, Allocatable: has, Unschedulable: room(dir) < c.reserve}, nil
}

var notInNames = regexp.MustCompile(`[^a-z0-9.-]+`)

// nodeName makes a name that a node may have of the machine's.
func nodeName(host string) string {
	name := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(host), "-"), "-.")
	if len(name) > 63 {
		name = strings.TrimRight(name[:63], "-.")
	}
	if name == "" {
		return "localhost"
	}
	return name
}

// memory is how many bytes this process may use: those of the machine, or fewer
// where a control group says so.
func memory() int64 {
	total := int64(0)
	if f, err := os.Open("/proc/meminfo"); err == nil {
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if rest, found := strings.CutPrefix(lines.Text(), "MemTotal:"); found {
				kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 10, 64)
				total = kib << 10
				break
			}
		}
	}
	unified, v1 := ownGroups()
	for _, file := range []string{unified + "/memory.max", v1 + "/memory.limit_in_bytes"} {
		text, _ := os.ReadFile(file)
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && limit < total {
			total = limit
		}
	}
	return total
}

// disk is how many bytes the file system of a folder has.
func disk(dir string) int64 {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil {
		return 0
	}
	return int64(fs.Blocks) * int64(fs.Bsize)
}

// room is how many bytes of it are free for us; as many as there can be when
// that is not known.
func room(dir string) int64 {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil {
		return math.MaxInt64
	}
	return int64(fs.Bavail) * int64(fs.Bsize)
}
