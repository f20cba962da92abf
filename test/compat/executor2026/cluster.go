package executor2026

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"armada/test/compat/wiretable"
)

// hostLabel is the label by which nodes are chosen; its values are not the names
// of the nodes.
const hostLabel = "kubernetes.io/hostname"

// Cluster is a made-up cluster: nodes, and pods that are pending, run and end by
// themselves. It outlives the executors that use it.
type Cluster struct {
	// Pending and Runtime are for how long a pod is pending and runs, Stopping for
	// how long it is there after it was deleted. Of a pod with the annotation
	// "runtime", that says how long it runs.
	Pending, Runtime, Stopping time.Duration

	nodes []string
	cores int64 // of each node

	mu   sync.Mutex
	pods map[string]*kubePod // by name
	// most is how many cores of a node were in use at a time, at the most.
	most int64
}

// NewCluster makes nodes of so many cores.
func NewCluster(cores int64, nodes ...string) *Cluster {
	return &Cluster{Pending: 10 * time.Millisecond, Runtime: 50 * time.Millisecond, Stopping: 50 * time.Millisecond, nodes: nodes, cores: cores, pods: map[string]*kubePod{}}
}

// kubePod is a pod with what an executor has written on it.
type kubePod struct {
	name, namespace        string
	job, run, queue, set   string
	node                   string
	cores                  int64
	runtime                time.Duration
	made, deleted          time.Time // deleted is zero while it is wanted
	reported               map[string]bool
	begun, ended, vanished bool
}

// phases are those that a pod is in and has been in, as the reports of them are
// called.
func (p *kubePod) phases() []string {
	switch {
	case p.ended:
		return []string{"jobRunAssigned", "jobRunRunning", "jobRunSucceeded"}
	case p.begun:
		return []string{"jobRunAssigned", "jobRunRunning"}
	default:
		return []string{"jobRunAssigned"}
	}
}

// told tells whether the end of the pod was reported.
func (p *kubePod) told() bool { return p.reported["jobRunSucceeded"] }

// look returns the pods as they are now, in order of name.
func (c *Cluster) look() []*kubePod {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	used := map[string]int64{}
	var all []*kubePod
	for name, p := range c.pods {
		age := now.Sub(p.made)
		if p.deleted.IsZero() {
			p.begun, p.ended = age >= c.Pending, age >= c.Pending+p.runtime
		} else if p.ended || now.Sub(p.deleted) >= c.Stopping {
			p.vanished = true
			delete(c.pods, name)
			continue
		}
		if !p.ended {
			used[p.node] += p.cores
		}
		all = append(all, p)
	}
	for _, cores := range used {
		c.most = max(c.most, cores)
	}
	slices.SortFunc(all, func(a, b *kubePod) int { return cmp.Compare(a.name, b.name) })
	return all
}

// Most is how many cores of one node were in use at a time, at the most.
func (c *Cluster) Most() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.most
}

// Logs are the names of the pods that have ended and are kept, for their logs. It
// must be called when no executor uses the cluster.
func (c *Cluster) Logs() []string {
	var names []string
	for _, p := range c.look() {
		if p.ended && p.deleted.IsZero() {
			names = append(names, p.name)
		}
	}
	return names
}

// make makes a pod, unless one of its name is there.
func (c *Cluster) make(p *kubePod) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.pods[p.name]; there {
		return fmt.Errorf("pods %q already exists", p.name)
	}
	p.made, p.reported = time.Now(), map[string]bool{}
	c.pods[p.name] = p
	return nil
}

func (c *Cluster) remove(p *kubePod) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.deleted.IsZero() {
		p.deleted = time.Now()
	}
}

func (c *Cluster) note(p *kubePod, phase string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.reported[phase] = true
}

// place finds the node that a spec is for, "" when there is none.
func (c *Cluster) place(spec *corev1.PodSpec) string {
	for _, n := range c.nodes {
		if spec.NodeSelector[hostLabel] == "host-of-"+n {
			return n
		}
	}
	return ""
}

// describe writes a node with the runs whose pods are there and not over.
func (c *Cluster) describe(name string, runs map[string]any) wiretable.Fields {
	amounts := map[string]any{"cpu": resource.NewQuantity(c.cores, resource.DecimalSI), "memory": amount("64Gi"), "pods": amount("110")}
	return wiretable.Fields{
		"name": name, "labels": map[string]string{hostLabel: "host-of-" + name}, "node_type": "none", "pool": "default", "run_ids_by_state": runs,
		"total_resources": amounts, "allocatable_resources": amounts, "available_resources": map[string]any{"cpu": amount("-1")},
		"non_armada_allocated_resources": map[int32]any{2000001000: wiretable.Fields{"resources": map[string]any{"pods": amount("3")}}},
	}
}

func amount(s string) *resource.Quantity { q := resource.MustParse(s); return &q }
