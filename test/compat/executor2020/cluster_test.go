package executor2020

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// phase is how far a pod is.
type phase int

const (
	pending phase = iota
	running
	succeeded
	failed
)

// pod is a pod of the made-up cluster.
type pod struct {
	job      job
	uid      string
	node     string
	cpu      int64
	phase    phase
	since    time.Time // of the phase
	reported map[phase]bool
	done     bool // the executor has done with it
}

// cluster is nodes of one kind, with pods. It outlives the executor.
type cluster struct {
	mu    sync.Mutex
	name  string
	cores int64
	nodes []string
	pods  map[string]*pod // by job
	made  int
	lives time.Duration // of a pod
	fails map[string]int32
	// killed are jobs whose pods were removed because their leases were lost.
	killed []string
	// broken tells of what a cluster should never be asked for.
	broken []string
}

func newCluster(name string, nodes int, cores int64, lives time.Duration) *cluster {
	c := &cluster{name: name, cores: cores, pods: map[string]*pod{}, lives: lives, fails: map[string]int32{}}
	for i := range nodes {
		c.nodes = append(c.nodes, name+"-node-"+strconv.Itoa(i+1))
	}
	return c
}

// free is the cores that pods on a node leave.
func (c *cluster) free(node string) int64 {
	left := c.cores
	for _, p := range c.pods {
		if p.node == node && p.phase <= running {
			left -= p.cpu
		}
	}
	return left
}

// create makes the pod of a job, which is refused when there is one of its name.
func (c *cluster) create(j job, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pods[j.ID] != nil {
		c.broken = append(c.broken, "a second pod of job "+j.ID)
		return false
	}
	var spec corev1.PodSpec
	if err := spec.Unmarshal(j.PodSpec); err != nil || len(spec.Containers) == 0 {
		c.broken = append(c.broken, fmt.Sprintf("job %s has no pod spec: %v", j.ID, err))
		return false
	}
	c.made++
	p := &pod{job: j, uid: fmt.Sprintf("uid-%s-%d", j.ID, c.made), since: now, reported: map[phase]bool{}}
	for i := range spec.Containers {
		p.cpu += spec.Containers[i].Resources.Requests.Cpu().Value()
	}
	c.pods[j.ID] = p
	return true
}

// live lets pods become what is due: each is bound where there is room once it is
// told of, runs, and ends.
func (c *cluster) live(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range c.names() {
		p := c.pods[id]
		switch {
		case p.phase == pending && p.reported[pending]:
			for _, node := range c.nodes {
				if c.free(node) >= p.cpu {
					p.node, p.phase, p.since = node, running, now
					break
				}
			}
		case p.phase == running && now.Sub(p.since) >= c.lives:
			p.phase, p.since = succeeded, now
			if c.fails[id] != 0 {
				p.phase = failed
			}
		}
	}
}

// names are the jobs that have pods, in order.
func (c *cluster) names() []string {
	names := make([]string, 0, len(c.pods))
	for id := range c.pods {
		names = append(names, id)
	}
	slices.Sort(names)
	return names
}

// kill removes a pod at once.
func (c *cluster) kill(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pods, id)
	c.killed = append(c.killed, id)
}

// has tells whether a job has a pod in a phase.
func (c *cluster) has(id string, ph phase) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pods[id]
	return p != nil && p.phase == ph
}

// told is what the cluster says of itself, in what an executor sends.
func (c *cluster) told() (free, capacity quantities, nodes []node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	amounts := func(cores, nodes int64) quantities {
		return of(map[string]string{"cpu": strconv.FormatInt(cores, 10), "memory": resource.NewQuantity(nodes<<36, resource.BinarySI).String()})
	}
	all := int64(0)
	for _, name := range c.nodes {
		left := c.free(name)
		all += left
		nodes = append(nodes, node{Name: name, Labels: map[string]string{"kubernetes.io/hostname": name, "cluster": c.name}, Allocatable: amounts(c.cores, 1), Available: amounts(left, 1)})
	}
	for _, p := range c.pods {
		if p.node == "" && p.phase == pending {
			all -= p.cpu
		}
	}
	n := int64(len(c.nodes))
	return amounts(all, n), amounts(c.cores*n, n), nodes
}

// executor is a scripted executor of 2020.
type executor struct {
	caller
	id      string
	cluster *cluster
	scale   time.Duration // what a second of its cycles takes
	log     func(format string, args ...any)
}

// run works in cycles until the context ends: usage each second, jobs each five,
// leases each fifteen. What fails is tried again in the next cycle, and what is
// begun is ended before it stops.
func (x *executor) run(ctx context.Context) {
	x.startAnew()
	var cycles sync.WaitGroup
	for _, c := range []struct {
		every time.Duration
		do    func(context.Context) error
	}{
		{x.scale / 2, x.report}, {x.scale, x.reportUsage}, {5 * x.scale, x.poll}, {15 * x.scale, x.manage},
	} {
		cycles.Go(func() {
			ticker := time.NewTicker(c.every)
			defer ticker.Stop()
			for ctx.Err() == nil {
				if err := c.do(context.WithoutCancel(ctx)); err != nil {
					x.log("executor %s: %v", x.id, err)
				}
				select {
				case <-ctx.Done():
				case <-ticker.C:
				}
			}
		})
	}
	cycles.Wait()
}

// startAnew forgets what was reported: an executor that has just started reports
// the phase of every pod again.
func (x *executor) startAnew() {
	x.cluster.mu.Lock()
	defer x.cluster.mu.Unlock()
	for _, p := range x.cluster.pods {
		clear(p.reported)
	}
}

func (x *executor) reportUsage(ctx context.Context) error {
	_, capacity, _ := x.cluster.told()
	return x.usage(ctx, usageReport{ClusterID: x.id, Capacity: capacity, Available: capacity})
}

// poll asks for jobs and makes their pods. What cannot be made is given back.
func (x *executor) poll(ctx context.Context) error {
	free, _, nodes := x.cluster.told()
	jobs, err := x.lease(ctx, leaseRequest{ClusterID: x.id, Resources: free, Nodes: nodes})
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if !x.cluster.create(j, time.Now()) {
			if err := x.returned(ctx, j, "the pod could not be made"); err != nil {
				return err
			}
		}
	}
	return nil
}

// returned gives a lease back, and then tells why.
func (x *executor) returned(ctx context.Context, j job, reason string) error {
	if err := x.giveBack(ctx, x.id, j.ID); err != nil {
		return err
	}
	return x.caller.report(ctx, "lease_returned", x.about(j, event{Reason: reason}))
}

func (x *executor) about(j job, e event) event {
	e.JobID, e.JobSet, e.Queue, e.Cluster, e.Created = j.ID, j.JobSet, j.Queue, x.id, time.Now()
	return e
}

// report tells of every phase that was not told.
func (x *executor) report(ctx context.Context) error {
	x.cluster.live(time.Now())
	type item struct {
		pod   *pod
		phase phase
	}
	var events []eventMessage
	var items []item
	x.cluster.mu.Lock()
	for _, id := range x.cluster.names() {
		p := x.cluster.pods[id]
		if p.reported[p.phase] {
			continue
		}
		e := event{KubernetesID: p.uid, Node: p.node}
		kind := ""
		switch p.phase {
		case pending:
			kind, e.Node = "pending", ""
		case running:
			kind = "running"
		case succeeded:
			kind = "succeeded"
		case failed:
			kind, e.Reason, e.ExitCodes = "failed", "it was to fail", map[string]int32{"main": x.cluster.fails[id]}
		}
		events, items = append(events, eventMessage{kind: x.about(p.job, e)}), append(items, item{p, p.phase})
	}
	x.cluster.mu.Unlock()
	if len(events) == 0 {
		return nil
	}
	if err := x.reportAll(ctx, events...); err != nil {
		return err
	}
	x.cluster.mu.Lock()
	defer x.cluster.mu.Unlock()
	for _, i := range items {
		i.pod.reported[i.phase] = true
	}
	return nil
}

// manage renews the leases of all pods that are not done with, removes those that
// are not renewed, and then says which it has done with.
func (x *executor) manage(ctx context.Context) error {
	var names, ended []string
	x.cluster.mu.Lock()
	for _, id := range x.cluster.names() {
		if p := x.cluster.pods[id]; !p.done {
			names = append(names, id)
		}
	}
	x.cluster.mu.Unlock()
	kept, err := x.renew(ctx, x.id, names...)
	if err != nil {
		return err
	}
	for _, id := range names {
		if !slices.Contains(kept, id) {
			x.cluster.kill(id)
		}
	}
	x.cluster.mu.Lock()
	for _, id := range x.cluster.names() {
		if p := x.cluster.pods[id]; p.phase > running && p.reported[p.phase] && !p.done {
			ended = append(ended, id)
		}
	}
	x.cluster.mu.Unlock()
	if len(ended) == 0 {
		return nil
	}
	if err := x.done(ctx, ended...); err != nil {
		return err
	}
	x.cluster.mu.Lock()
	defer x.cluster.mu.Unlock()
	for _, id := range ended {
		if p := x.cluster.pods[id]; p != nil {
			p.done = true
		}
	}
	return nil
}
