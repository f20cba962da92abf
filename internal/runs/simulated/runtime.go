package simulated

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"armada"
	"armada/internal/runs"
)

// ErrClosed is answered after Close.
var ErrClosed = errors.New("the simulated runtime is closed")

// keptLogs is how many forgotten runs that printed something keep their lines.
const keptLogs = 10_000

const defaultGrace = 30 * time.Second

// Runtime runs pods on made-up nodes. It is a [runs.Runtime].
type Runtime struct {
	config Config
	ledger *runs.Ledger

	mu      sync.Mutex
	nodes   []armada.Node
	dead    map[string]bool // by name; entries are all of the nodes
	pods    map[armada.RunID]*pod
	due     timetable
	started uint64
	now     func() time.Time
	virtual time.Time // of a driven runtime
	logs    logs
	closed  bool

	wake chan struct{} // to the goroutine of New: the next step may be earlier
	quit chan struct{}
	done chan struct{}
}

var _ runs.Runtime = (*Runtime)(nil)

// New makes a runtime that moves with the clock until Close.
func New(config Config) (*Runtime, error) {
	r, err := newRuntime(config)
	if err != nil {
		return nil, err
	}
	if r.now = config.Now; r.now == nil {
		r.now = time.Now
	}
	r.done = make(chan struct{})
	go r.run()
	return r, nil
}

// NewDriven makes a runtime whose time stands at start and moves only by
// AdvanceTo.
func NewDriven(config Config, start time.Time) (*Runtime, error) {
	r, err := newRuntime(config)
	if err != nil {
		return nil, err
	}
	r.virtual = start
	r.now = func() time.Time { return r.virtual }
	return r, nil
}

func newRuntime(config Config) (*Runtime, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("simulated runtime: %w", err)
	}
	r := &Runtime{
		config: config, ledger: runs.NewLedger(), nodes: config.nodes(),
		dead: make(map[string]bool), pods: make(map[armada.RunID]*pod), logs: newLogs(keptLogs),
		wake: make(chan struct{}, 1), quit: make(chan struct{}),
	}
	for _, n := range r.nodes {
		r.dead[n.Name] = false
	}
	return r, nil
}

func (r *Runtime) run() {
	defer close(r.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := time.Hour
		if at, any := r.Next(); any {
			wait = at.Sub(r.now())
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-r.wake:
		case <-r.quit:
			return
		}
		r.mu.Lock()
		r.advance(r.now())
		r.mu.Unlock()
	}
}

// Next returns when the next step of any pod is due, and false when nothing
// will happen by itself.
func (r *Runtime) Next() (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.due) == 0 {
		return time.Time{}, false
	}
	return r.due[0].due, true
}

// AdvanceTo moves a driven runtime to a time and does all steps due until then,
// in order. Earlier times change nothing.
func (r *Runtime) AdvanceTo(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.After(r.virtual) {
		r.virtual = now
	}
	r.advance(r.virtual)
}

func (r *Runtime) advance(now time.Time) {
	for len(r.due) > 0 && !r.due[0].due.After(now) {
		r.step(r.due[0], now)
	}
}

// step moves one pod and tells of it.
func (r *Runtime) step(p *pod, now time.Time) {
	pending := p.status.Phase == runs.Pending
	changed := p.step(now)
	r.due.plan(p)
	if !changed {
		return
	}
	if pending && !p.status.Running.IsZero() {
		r.logs.print(p.status.Run, p.status.Running, p.plan.lines)
		close(p.ran)
	}
	r.put(p)
}

// put tells of a pod's status.
func (r *Runtime) put(p *pod) {
	r.ledger.Put(p.status)
	if r.config.Trace != nil {
		r.config.Trace(p.status)
	}
}

// Nodes returns the nodes that live.
func (r *Runtime) Nodes(context.Context) ([]armada.Node, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	nodes := make([]armada.Node, 0, len(r.nodes))
	for _, n := range r.nodes {
		if !r.dead[n.Name] {
			nodes = append(nodes, n)
		}
	}
	return nodes, nil
}

// KillNode makes a node vanish: its runs are gone and nobody saw their end.
func (r *Runtime) KillNode(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if dead, known := r.dead[name]; dead || !known {
		return
	}
	r.dead[name] = true
	for _, p := range r.pods {
		if p.status.Node == name && !p.status.Phase.Ended() {
			p.end(runs.Unknown, r.now(), exitKilled, "the node is gone")
			p.status.End.Category, p.status.End.Subcategory = armada.CategoryInternal, armada.SubcategoryOutcomeUnknown
			p.status.End.Containers = nil
			r.due.plan(p)
			r.put(p)
		}
	}
	r.ledger.Signal()
}

// ReviveNode brings a killed node back, empty.
func (r *Runtime) ReviveNode(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead[name] {
		r.dead[name] = false
		r.ledger.Signal()
	}
}

// Start makes the pod of an order. Annotations that cannot be read end the run
// at once; a node that there is not is an error.
func (r *Runtime) Start(_ context.Context, o runs.Order) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	if _, known := r.pods[o.Run]; known {
		return nil
	}
	if dead, known := r.dead[o.Node]; dead || !known {
		return fmt.Errorf("start run %s: there is no node %q", o.Run, o.Node)
	}
	now := r.now()
	r.advance(now) // what was due to leave leaves before this one comes
	r.started++
	p := &pod{index: -1, order: r.started, ran: make(chan struct{}), status: runs.Status{
		Run: o.Run, Job: o.Job, Queue: o.Queue, JobSet: o.JobSet, Node: o.Node,
		Pod:   armada.Pod{Name: "armada-" + string(o.Job) + "-0", Namespace: o.Namespace},
		Phase: runs.Pending, Pending: now,
	}}
	r.pods[o.Run] = p
	var err error
	if p.plan, err = planOf(&r.config, o.Annotations); err != nil {
		p.end(runs.Failed, now, 0, err.Error())
		r.put(p)
		return nil
	}
	r.put(p)
	r.due.plan(p)
	r.hurry(p)
	return nil
}

// Stop asks a run to end; it does after its stop delay, at the latest after
// grace: 0 stands for 30 s, which pods have whatever their spec says.
func (r *Runtime) Stop(_ context.Context, run armada.RunID, grace time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, known := r.pods[run]
	if !known {
		return fmt.Errorf("stop run %s: %w", run, runs.ErrUnknownRun)
	}
	now := r.now()
	r.advance(now) // what was due before the stop was first
	if p.status.Phase.Ended() {
		return nil
	}
	if grace == 0 {
		grace = defaultGrace
	}
	delay, forced := p.plan.stop, false
	if delay > grace {
		delay, forced = max(grace, 0), true
	}
	at := now.Add(delay)
	if p.status.Phase == runs.Pending {
		at, forced = now, false
	}
	if !p.stopAt.IsZero() && !at.Before(p.stopAt) {
		return nil
	}
	p.stopAt, p.forced = at, forced
	p.status.Stopping = true
	r.put(p)
	r.due.plan(p)
	r.hurry(p)
	return nil
}

// hurry wakes the goroutine when the pod's step is the first now.
func (r *Runtime) hurry(p *pod) {
	if p.index != 0 {
		return
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Forget drops an ended run; the lines of the latest forgotten runs stay.
func (r *Runtime) Forget(_ context.Context, run armada.RunID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, known := r.pods[run]
	if !known {
		return nil
	}
	if !p.status.Phase.Ended() {
		return fmt.Errorf("forget run %s: it has not ended", run)
	}
	delete(r.pods, run)
	r.ledger.Drop(run)
	r.logs.retire(run)
	return nil
}

// Statuses returns every run that is known.
func (r *Runtime) Statuses(context.Context) ([]runs.Status, error) {
	return r.ledger.Statuses(), nil
}

// Changed returns what changed after the cursor.
func (r *Runtime) Changed(after runs.Cursor) ([]runs.Status, runs.Cursor) {
	return r.ledger.Changed(after)
}

// Updates returns the channel that receives after changes.
func (r *Runtime) Updates() <-chan struct{} { return r.ledger.Updates() }

// Close ends the runtime and all that it simulates.
func (r *Runtime) Close() error {
	r.mu.Lock()
	already := r.closed
	r.closed = true
	r.mu.Unlock()
	if !already {
		close(r.quit)
	}
	if r.done != nil {
		<-r.done
	}
	return nil
}
