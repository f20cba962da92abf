// Package simulated runs pods on made-up nodes: a pod lives for the time that
// its annotations or the configuration say and ends with the exit code they
// give. It serves load tests, demonstrations and the simulator.
//
// The words: a group is a number of nodes alike; the life of a pod is its
// pending delay, then its run time; a stop ends it after its stop delay or the
// grace period, whichever is shorter, unless its life is over before.
//
// A runtime made by [New] moves with the clock of the process (that of a
// synctest bubble too), in one goroutine however many pods there are. One made
// by [NewDriven] moves only when its owner calls AdvanceTo, for virtual time.
//
// Pods play a few programs for who runs commands in them (exec.go).
//
// Nothing outlives the process and a forgotten run may be started anew, so it
// must never be used for work that matters. It does not refuse pods that its
// nodes have no room for: what fits is the scheduler's matter.
package simulated

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"armada"
	"armada/internal/podspec"
	"armada/internal/runs"
)

// The annotations of a job that say what its simulated pod does.
const (
	AnnotationPendingDelay = "armadaproject.io/simulate-pending-delay" // before it runs, such as 200ms
	AnnotationRuntime      = "armadaproject.io/simulate-runtime"       // how long it runs, such as 1s
	AnnotationStopDelay    = "armadaproject.io/simulate-stop-delay"    // from a polite stop to its end
	AnnotationExitCode     = "armadaproject.io/simulate-exit-code"     // 0 to 255
	AnnotationLog          = "armadaproject.io/simulate-log"           // lines that it prints when it begins to run
)

// Config says what there is and how pods live that say nothing themselves.
type Config struct {
	Nodes        []Group
	PendingDelay time.Duration
	Runtime      time.Duration
	ExitCode     int32
	// Now is the clock of the process; time.Now when nil.
	Now func() time.Time
	// Trace, if set, is called with every status that a pod takes, in order: what
	// really happened on these nodes, whatever is told of it. It must not block
	// nor call the runtime.
	Trace func(runs.Status)
}

// Group is a number of nodes alike.
type Group struct {
	Name        string // nodes are named Name-1, Name-2 …
	Count       int
	Pool        string // "default" when empty
	Type        string
	Labels      map[string]string
	Taints      []armada.Taint
	Allocatable armada.Resources
}

// Validate tells what is wrong, by path.
func (c Config) Validate() error {
	names := make(map[string]bool)
	for i, g := range c.Nodes {
		if g.Name == "" || names[g.Name] {
			return fmt.Errorf("nodes[%d].name: must be given and be different from the others", i)
		}
		names[g.Name] = true
		if g.Count < 1 {
			return fmt.Errorf("nodes[%d].count: must be at least 1", i)
		}
	}
	if c.PendingDelay < 0 || c.Runtime < 0 {
		return fmt.Errorf("pendingDelay, runtime: must not be negative")
	}
	return nil
}

// nodes makes the nodes of all groups, in order.
func (c Config) nodes() []armada.Node {
	var nodes []armada.Node
	for _, g := range c.Nodes {
		pool := g.Pool
		if pool == "" {
			pool = "default"
		}
		for n := range g.Count {
			node := armada.Node{
				Name: g.Name + "-" + strconv.Itoa(n+1), Pool: pool, Type: g.Type,
				Labels: map[string]string{"kubernetes.io/hostname": g.Name + "-" + strconv.Itoa(n+1)},
				Taints: g.Taints, Allocatable: g.Allocatable,
			}
			maps.Copy(node.Labels, g.Labels)
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// Shape is what the shorthand of [ParseShape] says.
type Shape struct {
	Clusters    int
	Nodes       int // of each cluster
	Allocatable armada.Resources
}

// ParseShape reads the shorthand of `armada up --simulate`: 3x100 is 3 clusters
// of 100 nodes each, 3x100:cpu=16,memory=64Gi the same with nodes of that size.
// Nodes have 32 cores, 256 GiB of memory and 512 GiB of disk otherwise.
func ParseShape(table armada.ResourceTable, text string) (Shape, error) {
	counts, capacity, sized := strings.Cut(text, ":")
	clusters, nodes, found := strings.Cut(counts, "x")
	s := Shape{}
	var err error
	if s.Clusters, err = strconv.Atoi(clusters); !found || err != nil || s.Clusters < 1 {
		return s, fmt.Errorf("shape %q: must be clusters x nodes, such as 3x100", text)
	}
	if s.Nodes, err = strconv.Atoi(nodes); err != nil || s.Nodes < 1 {
		return s, fmt.Errorf("shape %q: must be clusters x nodes, such as 3x100", text)
	}
	for name, amount := range map[string]int64{armada.CPU: 32_000, armada.Memory: 256 << 30, armada.EphemeralStorage: 512 << 30} {
		if i, counted := table.Index(name); counted {
			s.Allocatable[i] = amount
		}
	}
	if !sized {
		return s, nil
	}
	if capacity == "" {
		return s, fmt.Errorf("shape %q: nothing follows the colon", text)
	}
	if s.Allocatable, err = podspec.ParseCapacity(capacity, table, s.Allocatable); err != nil {
		return s, fmt.Errorf("shape %q: %w", text, err)
	}
	return s, nil
}

// Config is the configuration of one of the clusters, whose nodes' names begin
// with the cluster's; pods that say nothing run for a second.
func (s Shape) Config(cluster, pool string) Config {
	return Config{
		Nodes:   []Group{{Name: cluster + "-node", Count: s.Nodes, Pool: pool, Allocatable: s.Allocatable}},
		Runtime: time.Second,
	}
}
