package scheduling

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"armada"
)

// world is what a pool is told, as plain values, for tests that need to build
// the same pool twice or to look at it in another way.
type world struct {
	config Config
	nodes  []armada.Node
	queues []armada.Queue
	closed []armada.ExecutorID
	jobs   []worldJob
	bids   map[string]armada.QueueBids // in a market
	known  []KnownKind                 // where pools have guests
}

type worldJob struct {
	armada.Job
	needs *armada.Requirements
	run   *armada.Run // nil while queued
}

// pool builds the pool by patches in a random order; seed 0 keeps the order.
func (w world) pool(seed uint64) *Pool {
	p := NewPool("default", w.config)
	var patches []func()
	for _, n := range w.nodes {
		patches = append(patches, func() { p.SetNode(n) })
	}
	for _, q := range w.queues {
		patches = append(patches, func() { p.SetQueue(q) })
	}
	for _, id := range w.closed {
		patches = append(patches, func() { p.SetExecutor(id, false) })
	}
	patches = append(patches, func() { p.SetBids(w.bids) }, func() { p.SetKnown(w.known) })
	for _, j := range w.jobs {
		patches = append(patches, func() {
			if j.run != nil {
				p.Occupy(j.Job, *j.run, j.needs)
			} else {
				p.Enqueue(j.Job, j.needs)
			}
		})
	}
	if seed != 0 {
		random := rand.New(rand.NewPCG(seed, 1))
		random.Shuffle(len(patches), func(i, j int) { patches[i], patches[j] = patches[j], patches[i] })
		// Detours: things that are gone again, and a round half way.
		for i := range len(w.jobs) {
			if j := w.jobs[i]; i%3 == 0 {
				j.Priority += 7
				p.Enqueue(j.Job, j.needs)
				if i%2 == 0 {
					p.Remove(j.ID)
				}
			}
		}
		for i, patch := range patches {
			if patch(); i == len(patches)/2 {
				Round(Input{Pool: p})
			}
		}
		return p
	}
	for _, patch := range patches {
		patch()
	}
	return p
}

// String tells what the world is, for a failed test.
func (w world) String() string {
	var b strings.Builder
	for _, n := range w.nodes {
		fmt.Fprintf(&b, "node %s/%s %v free %v taints %v zone %s unschedulable %v\n", n.Executor, n.Name, n.Allocatable, w.free(n), n.Taints, n.Labels["zone"], n.Unschedulable)
	}
	for _, q := range w.queues {
		fmt.Fprintf(&b, "queue %s factor %v cordoned %v\n", q.Name, q.PriorityFactor, q.Cordoned)
	}
	fmt.Fprintf(&b, "closed %v bids %v\n", w.closed, w.bids)
	for _, j := range w.jobs {
		fmt.Fprintf(&b, "job %s of %s band %v priority %d gang %v needs %v", j.ID, j.Queue, j.Band, j.Priority, j.Gang, *j.needs)
		if j.run != nil {
			fmt.Fprintf(&b, " runs on %s/%s", j.run.Executor, j.run.Node)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// after is the world with the outcome's decisions taken: preempted runs leave, and
// have not ended.
func (w world) after(out Outcome) world {
	w.jobs = slices.Clone(w.jobs)
	at := map[armada.JobID]int{}
	for i := range w.jobs {
		at[w.jobs[i].ID] = i
	}
	for _, d := range out.Decisions {
		for _, l := range d.Leases {
			w.jobs[at[l.Job]].run = &armada.Run{ID: armada.NewRunID(l.Job, 1), Job: l.Job, Executor: l.Executor, Node: l.Node, Away: l.Away, After: l.After}
		}
		for _, v := range d.Preemptions {
			w.jobs[at[v.Job]].Wish.Kind = armada.WishPreempt
		}
	}
	return w
}

// ended is the world without the runs that leave, as far as the filter lets them
// end.
func (w world) ended(filter func(worldJob) bool) world {
	w.jobs = slices.DeleteFunc(slices.Clone(w.jobs), func(j worldJob) bool {
		return j.run != nil && j.Wish.Kind != armada.WishNone && filter(j)
	})
	return w
}

func whoever(worldJob) bool { return true }

func (w world) executorOpen(id armada.ExecutorID) bool { return !slices.Contains(w.closed, id) }

// free is what the node has left after everything that uses it.
func (w world) free(n armada.Node) armada.Resources {
	free := n.Allocatable
	for _, o := range n.Others {
		free = free.Sub(o.Used)
	}
	for _, j := range w.jobs {
		if j.run != nil && j.run.Executor == n.Executor && j.run.Node == n.Name {
			free = free.Sub(j.needs.Resources)
		}
	}
	return free
}

// accepts tells whether the node may get the job as far as room is no matter.
func (w world) accepts(n armada.Node, needs *armada.Requirements) bool {
	_, tolerated := needs.Tolerates(n.Taints)
	return !n.Unschedulable && w.executorOpen(n.Executor) && tolerated && needs.Matches(n.Labels, n.Name) && n.MinimumJob.Fits(&needs.Resources) && (!n.PodsOnly || !needs.MoreThanPod)
}

// drawWorld draws a small world in which every feature occurs.
func drawWorld(t *rapid.T) world {
	w := world{config: benchConfig()}
	pick := func(label string, of int) int { return rapid.IntRange(0, of-1).Draw(t, label) }
	for i := range 1 + pick("nodes", 8) {
		n := armada.Node{
			Name: fmt.Sprintf("n%d", i), Executor: armada.ExecutorID(fmt.Sprintf("e%d", pick("executor", 2))),
			Labels: map[string]string{"zone": string(rune('a' + pick("zone", 3))), "kubernetes.io/hostname": fmt.Sprintf("%s%d", []string{"n", "host"}[i%4/2], i)},
		}
		n.Allocatable = armada.Resources{int64(1+pick("cpu", 8)) * 1000, int64(1+pick("memory", 16)) * gib, 100 * gib, int64(pick("gpu", 2)) * 2}
		if pick("tainted", 4) == 0 {
			n.Taints = []armada.Taint{{Key: "special", Value: "yes", Effect: armada.NoSchedule}}
		}
		n.Unschedulable = pick("unschedulable", 10) == 0
		n.PodsOnly = pick("pods only", 6) == 0
		if pick("minimum", 8) == 0 {
			n.MinimumJob = armada.Resources{1000}
		}
		if pick("others", 4) == 0 {
			n.Others = []armada.PriorityUsage{{Priority: int32(pick("others priority", 2) * 1000), Used: armada.Resources{500, gib}}}
		}
		w.nodes = append(w.nodes, n)
	}
	if pick("closed", 8) == 0 {
		w.closed = append(w.closed, "e1")
	}
	queues := 1 + pick("queues", 4)
	for i := range queues {
		w.queues = append(w.queues, armada.Queue{
			Name: fmt.Sprintf("q%d", i), PriorityFactor: float64(1 + pick("factor", 3)), Cordoned: pick("cordoned", 10) == 0,
		})
	}
	shapes := make([]*armada.Requirements, 1+pick("shapes", 5))
	for i := range shapes {
		shapes[i] = drawRequirements(t, pick)
	}
	number := int64(0)
	job := func(queue string, needs *armada.Requirements) worldJob {
		number++
		return worldJob{needs: needs, Job: armada.Job{
			ID: armada.JobID(fmt.Sprintf("j%03d", number)), Number: number, Queue: queue, JobSet: "set",
			Priority: uint32(pick("priority", 3)), Shape: needs.Shape(w.config.Resources),
		}}
	}
	queue := func() string { return fmt.Sprintf("q%d", pick("queue", queues)) }
	for range pick("running", 6) {
		j := job(queue(), shapes[pick("shape", len(shapes))])
		n := w.nodes[pick("node", len(w.nodes))]
		j.run = &armada.Run{ID: armada.NewRunID(j.ID, 1), Job: j.ID, Executor: n.Executor, Node: n.Name}
		w.jobs = append(w.jobs, j)
	}
	for range pick("queued", 40) {
		w.jobs = append(w.jobs, job(queue(), shapes[pick("shape", len(shapes))]))
	}
	for g := range pick("gangs", 4) {
		name, size, label := queue(), 2+pick("size", 4), []string{"", "zone"}[pick("uniform", 2)]
		present := size
		if pick("incomplete", 4) == 0 {
			present--
		}
		needs := shapes[pick("shape", len(shapes))]
		for i := range present {
			if i == 1 && pick("mixed", 3) == 0 {
				needs = shapes[pick("shape", len(shapes))]
			}
			j := job(name, needs)
			j.Gang = armada.Gang{ID: fmt.Sprintf("g%d", g), Cardinality: size, UniformityLabel: label}
			w.jobs = append(w.jobs, j)
		}
	}
	return w
}

func drawRequirements(t *rapid.T, pick func(string, int) int) *armada.Requirements {
	needs := &armada.Requirements{
		PriorityClass: []string{"armada-default", "armada-preemptible"}[pick("class", 2)],
		Resources:     armada.Resources{int64(1+pick("job cpu", 6)) * 500, int64(pick("job memory", 6)) * gib / 2, 0, int64(pick("job gpu", 6)) / 5},
	}
	needs.MoreThanPod = pick("more than a pod", 4) == 0
	if pick("select", 4) == 0 {
		needs.NodeSelector = []armada.Label{{Key: "zone", Value: string(rune('a' + pick("job zone", 3)))}}
	}
	if pick("tolerate", 3) == 0 {
		needs.Tolerations = []armada.Toleration{{Key: "special", Exists: true}}
	}
	switch pick("affinity", 8) {
	case 0:
		needs.Affinity = []armada.NodeTerm{{Expressions: []armada.NodeExpression{{Key: "zone", Operator: armada.OpNotIn, Values: []string{"a"}}}}}
	case 1:
		needs.Affinity = []armada.NodeTerm{{Expressions: []armada.NodeExpression{{Key: "metadata.name", Field: true, Operator: armada.OpIn, Values: []string{"n0", "n2", "host2"}}}}}
	case 2:
		needs.Affinity = []armada.NodeTerm{{Expressions: []armada.NodeExpression{{Key: "kubernetes.io/hostname", Operator: armada.OpNotIn, Values: []string{"n1"}}}}}
	}
	return needs
}
