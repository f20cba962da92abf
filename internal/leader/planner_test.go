package leader

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"armada"
	"armada/internal/scheduling"
)

// firstFit is a pool that places every job on the first node with room, in
// order of submission, gangs whole. It shows what it was told and panics when
// it is told nonsense.
type firstFit struct {
	mu     sync.Mutex
	pool   string
	queues map[string]armada.Queue
	nodes  map[string]armada.Node // by executor/name
	open   map[armada.ExecutorID]bool
	queued map[armada.JobID]member
	held   map[armada.JobID]member

	patches int // calls that changed anything
	rounds  []time.Time
	// script replaces the round when it returns true.
	script func(p *firstFit, now time.Time) (scheduling.Outcome, bool)
}

// member is a job as the pool was told of it.
type member struct {
	Job   armada.Job
	Run   armada.Run
	Needs *armada.Requirements
}

func newFirstFit(pool string) *firstFit {
	return &firstFit{
		pool: pool, queues: map[string]armada.Queue{}, nodes: map[string]armada.Node{},
		open: map[armada.ExecutorID]bool{}, queued: map[armada.JobID]member{}, held: map[armada.JobID]member{},
	}
}

// patch locks the pool for a patch.
func (p *firstFit) patch() (unlock func()) {
	p.mu.Lock()
	p.patches++
	return p.mu.Unlock
}

// clone returns a copy for a test to look at.
func (p *firstFit) clone() *firstFit {
	p.mu.Lock()
	defer p.mu.Unlock()
	return &firstFit{
		pool: p.pool, queues: maps.Clone(p.queues), nodes: maps.Clone(p.nodes), open: maps.Clone(p.open),
		queued: maps.Clone(p.queued), held: maps.Clone(p.held), patches: p.patches, rounds: slices.Clone(p.rounds),
	}
}

func (p *firstFit) SetQueue(q armada.Queue) {
	defer p.patch()()
	p.queues[q.Name] = q
}

func (p *firstFit) RemoveQueue(name string) {
	defer p.patch()()
	delete(p.queues, name)
}

func (p *firstFit) SetNode(n armada.Node) {
	defer p.patch()()
	if n.Pool != p.pool {
		panic("node of pool " + n.Pool)
	}
	p.nodes[string(n.Executor)+"/"+n.Name] = n
}

func (p *firstFit) RemoveNode(executor armada.ExecutorID, name string) {
	defer p.patch()()
	delete(p.nodes, string(executor)+"/"+name)
}

func (p *firstFit) SetKnown([]scheduling.KnownKind) bool { return false }

func (p *firstFit) SetBids(map[string]armada.QueueBids) bool { return false }

func (p *firstFit) SetExecutor(id armada.ExecutorID, open bool) {
	defer p.patch()()
	p.open[id] = open
}

func (p *firstFit) Enqueue(job armada.Job, needs *armada.Requirements) {
	defer p.patch()()
	if job.State != armada.JobQueued || p.held[job.ID].Needs != nil || needs == nil {
		panic(fmt.Sprintf("enqueued a job that is %s", job.State))
	}
	p.queued[job.ID] = member{Job: job, Needs: needs}
}

func (p *firstFit) Occupy(job armada.Job, run armada.Run, needs *armada.Requirements) {
	defer p.patch()()
	if !run.State.Active() || needs == nil {
		panic(fmt.Sprintf("occupied by a run that is %s", run.State))
	}
	delete(p.queued, job.ID)
	p.held[job.ID] = member{Job: job, Run: run, Needs: needs}
}

// Ended and At are no matter of a planner without fairness.
func (p *firstFit) Ended(armada.Job, armada.Run) {}

func (p *firstFit) At(time.Time) {}

func (p *firstFit) Remove(id armada.JobID) {
	defer p.patch()()
	delete(p.queued, id)
	delete(p.held, id)
}

// free returns the room of every node that may get something new.
func (p *firstFit) free() map[string]armada.Resources {
	free := map[string]armada.Resources{}
	for key, n := range p.nodes {
		if open, told := p.open[n.Executor]; (open || !told) && !n.Unschedulable {
			free[key] = n.Allocatable
		}
	}
	for _, m := range p.held {
		key := string(m.Run.Executor) + "/" + m.Run.Node
		if room, ok := free[key]; ok {
			free[key] = room.Sub(m.Needs.Resources)
		}
	}
	return free
}

// Round places what fits.
func (p *firstFit) Round(now time.Time) scheduling.Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rounds = append(p.rounds, now)
	if p.script != nil {
		if o, scripted := p.script(p, now); scripted {
			return o
		}
	}
	free := p.free()
	o := scheduling.Outcome{Report: scheduling.Report{Pool: p.pool, At: now}}
	for _, gang := range p.gangs() {
		first := gang[0].Job
		reason := armada.Reason{Code: armada.ReasonInsufficient}
		if !first.Gang.Alone() && len(gang) < first.Gang.Cardinality {
			reason = armada.Reason{Code: armada.ReasonGangIncomplete, Have: int64(len(gang)), Want: int64(first.Gang.Cardinality)}
		} else if d, placed := p.fit(gang, free); placed {
			o.Decisions = append(o.Decisions, d)
			continue
		}
		o.Waiting = append(o.Waiting, scheduling.Waiting{Queue: first.Queue, Shape: first.Shape, Jobs: len(gang), First: first.ID, Reason: reason})
	}
	return o
}

// gangs returns the queued jobs of known queues by gang, in order.
func (p *firstFit) gangs() [][]member {
	var gangs [][]member
	at := map[string]int{}
	for _, m := range slices.SortedFunc(maps.Values(p.queued), func(a, b member) int { return cmp.Compare(a.Job.Number, b.Job.Number) }) {
		if _, known := p.queues[m.Job.Queue]; !known {
			continue
		}
		if i, found := at[m.Job.Gang.ID]; found && !m.Job.Gang.Alone() {
			gangs[i] = append(gangs[i], m)
			continue
		}
		at[m.Job.Gang.ID] = len(gangs)
		gangs = append(gangs, []member{m})
	}
	return gangs
}

// fit takes room for all members or for none.
func (p *firstFit) fit(gang []member, free map[string]armada.Resources) (scheduling.Decision, bool) {
	var d scheduling.Decision
	left := maps.Clone(free)
	for _, m := range gang {
		for _, key := range slices.Sorted(maps.Keys(left)) {
			room := left[key]
			if m.Needs.Resources.Fits(&room) {
				left[key] = room.Sub(m.Needs.Resources)
				n := p.nodes[key]
				d.Leases = append(d.Leases, scheduling.Lease{Job: m.Job.ID, Executor: n.Executor, Node: n.Name})
				break
			}
		}
	}
	if len(d.Leases) < len(gang) {
		return d, false
	}
	maps.Copy(free, left)
	return d, true
}
