//go:build linux

package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"armada"
	"armada/internal/runs"
)

var (
	// ErrClosed is answered after Close.
	ErrClosed = errors.New("the process runtime is closed")
	// ErrBusy is answered by Quit while runs live.
	ErrBusy = errors.New("the supervisor has runs that live")
)

// How long is tried and waited.
const (
	openPatience = 15 * time.Second // for a supervisor, by Open

	firstPause = 10 * time.Millisecond // between attempts; it doubles
	maxPause   = 2 * time.Second

	quitPatience = 2 * time.Second // how long Close waits for a supervisor to end
)

// Runtime is the executor's side: it talks to the supervisor, and starts one
// where none lives. It is a [runs.Runtime] and a [runs.Measurer].
//
// A call waits while there is no supervisor. One that ends by its context may
// or may not have been done.
type Runtime struct {
	config Config
	layout layout
	ledger *runs.Ledger

	mu       sync.Mutex
	session  *session      // nil while there is none
	changed  chan struct{} // closed and replaced when session changes
	children []*os.Process // supervisors started here and not yet collected
	closed   bool
	limits   bool          // the latest supervisor enforces memory limits
	hold     chan struct{} // not nil while a supervisor that goes must not be replaced; closed when it may be

	measuring sync.Mutex // guards meter
	meter     meter

	quit context.CancelCauseFunc
	done chan struct{}
}

var _ runs.Runtime = (*Runtime)(nil)

// Open connects to the supervisor of the data folder, or starts one, and adopts
// what it finds. When it returns, Statuses tells of every run. It gives up when
// no supervisor can be had within 15 s.
func Open(config Config) (*Runtime, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("process runtime: %w", err)
	}
	config = config.withDefaults()
	l, err := openLayout(config.Dir)
	if err != nil {
		return nil, err
	}
	if _, err := machine(&config, l.dir, false); err != nil {
		return nil, fmt.Errorf("process runtime: %w", err)
	}
	r := &Runtime{config: config, layout: l, ledger: runs.NewLedger(), changed: make(chan struct{}), done: make(chan struct{})}
	life, quit := context.WithCancelCause(context.Background())
	opening, cancel := context.WithTimeoutCause(life, openPatience, errors.New("no supervisor could be reached in time"))
	defer cancel()
	first, err := r.connect(opening)
	if err != nil {
		quit(err)
		return nil, fmt.Errorf("process runtime: %w", err)
	}
	r.config.Log.Info("the supervisor is found", "dir", l.dir, "features", first.hello.Features)
	r.use(first)
	r.quit = quit
	go r.keep(life, first)
	return r, nil
}

// keep has a session as long as the runtime is open.
func (r *Runtime) keep(ctx context.Context, s *session) {
	defer close(r.done)
	defer r.use(nil) // after closed was set: who waits is told
	for {
		select {
		case <-s.over:
		case <-ctx.Done():
			s.close()
			return
		}
		r.use(nil)
		r.mu.Lock()
		hold := r.hold
		r.mu.Unlock()
		if hold != nil {
			select {
			case <-hold:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			return
		}
		r.config.Log.Warn("the supervisor is gone, another is looked for")
		next, err := r.connect(ctx)
		if err != nil {
			return // closed
		}
		s = next
		r.use(s)
	}
}

func (r *Runtime) use(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.session = s
	if s != nil {
		r.limits = s.hello.Limits
	}
	close(r.changed)
	r.changed = make(chan struct{})
}

// connect finds a living supervisor or starts one, until the context ends.
func (r *Runtime) connect(ctx context.Context) (*session, error) {
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		s, err := r.attempt(ctx)
		if err == nil {
			return s, nil
		}
		if ctx.Err() == nil {
			r.config.Log.Warn("there is no supervisor yet", "error", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), err)
		}
	}
}

func (r *Runtime) attempt(ctx context.Context) (*session, error) {
	conn, err := r.layout.dial()
	if err != nil {
		process, launchErr := launch(ctx, &r.config, r.layout)
		if launchErr != nil {
			return nil, fmt.Errorf("start the supervisor: %w", launchErr)
		}
		r.collect(process)
		if conn, err = r.layout.dial(); err != nil {
			return nil, fmt.Errorf("reach the supervisor (its log is %s): %w", r.layout.says(), err)
		}
	}
	s, present, err := greet(conn, r.learn)
	if err != nil {
		return nil, err
	}
	for _, status := range r.ledger.Statuses() { // what the supervisor forgot while we did not hear
		if !present[status.Run] {
			r.ledger.Drop(status.Run)
		}
	}
	return s, nil
}

// learn notes a status. A supervisor that took over a run does not know whether
// it ran; where we do, that stays.
func (r *Runtime) learn(status runs.Status) {
	if old, known := r.ledger.Get(status.Run); known && status.Running.IsZero() && !old.Running.IsZero() {
		status.Running = old.Running
		if status.Phase == runs.Pending {
			status.Phase = runs.Running
		}
	}
	r.ledger.Put(status)
}

// collect takes in the supervisors that have ended, and notes one that was
// started; nil for none.
func (r *Runtime) collect(started *os.Process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var living []*os.Process
	for _, p := range append(r.children, started) {
		if p != nil && !collect(p) {
			living = append(living, p)
		}
	}
	r.children = living
}

// call asks the supervisor, and the next one when it goes meanwhile.
func (r *Runtime) call(ctx context.Context, req request) (reply, error) {
	for {
		r.mu.Lock()
		s, changed, closed := r.session, r.changed, r.closed
		r.mu.Unlock()
		if closed {
			return reply{}, ErrClosed
		}
		if s != nil {
			rep, err := s.call(ctx, req)
			if !errors.Is(err, errLost) {
				return rep, err
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return reply{}, context.Cause(ctx)
		}
	}
}

// Nodes returns this machine.
func (r *Runtime) Nodes(context.Context) ([]armada.Node, error) {
	r.mu.Lock()
	limits := r.limits
	r.mu.Unlock()
	node, err := machine(&r.config, r.layout.dir, limits)
	if err != nil {
		return nil, err
	}
	return []armada.Node{node}, nil
}

// Start begins a run, if it never was begun.
func (r *Runtime) Start(ctx context.Context, o runs.Order) error {
	if _, err := r.call(ctx, request{Start: &o}); err != nil {
		return fmt.Errorf("start run %s: %w", o.Run, err)
	}
	return nil
}

// Stop ends a run: SIGTERM to the group of each container, after grace SIGKILL
// to all its processes. Grace 0 stands for that of the pod spec, a negative one
// is none. A later Stop may shorten the grace, not lengthen it.
func (r *Runtime) Stop(ctx context.Context, run armada.RunID, grace time.Duration) error {
	if _, err := r.call(ctx, request{Stop: &stopRequest{Run: run, Grace: grace}}); err != nil {
		return fmt.Errorf("stop run %s: %w", run, err)
	}
	return nil
}

// Forget drops an ended run; its folder and log stay until Prune.
func (r *Runtime) Forget(ctx context.Context, run armada.RunID) error {
	if _, err := r.call(ctx, request{Forget: run}); err != nil {
		return fmt.Errorf("forget run %s: %w", run, err)
	}
	if s, known := r.ledger.Get(run); known && s.Phase.Ended() {
		r.ledger.Drop(run)
	}
	return nil
}

// Prune removes the folders and logs of forgotten runs that ended before the
// time, and of the oldest as long as all together hold more than size bytes;
// zero means no such limit. It answers how many runs it removed.
func (r *Runtime) Prune(ctx context.Context, before time.Time, size int64) (int, error) {
	rep, err := r.call(ctx, request{Prune: &pruneRequest{Before: before, Size: size}})
	if err != nil {
		return 0, fmt.Errorf("prune run folders: %w", err)
	}
	return rep.Pruned, nil
}

// Quit ends the supervisor if no run lives, and closes the runtime. ErrBusy, and
// nothing is closed, if one does.
func (r *Runtime) Quit(ctx context.Context) error {
	hold := make(chan struct{})
	r.mu.Lock()
	s := r.session
	if s == nil || r.hold != nil {
		r.mu.Unlock()
		return errors.New("end the supervisor: there is none now")
	}
	r.hold = hold
	r.mu.Unlock()
	if _, err := s.call(ctx, request{Quit: true}); err != nil {
		r.mu.Lock()
		r.hold = nil
		r.mu.Unlock()
		close(hold)
		return fmt.Errorf("end the supervisor: %w", err)
	}
	r.hangUp()
	lock, err := takeLock(r.layout.lock()) // it holds it to its very end
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.children {
		_, _ = p.Wait()
	}
	r.children = nil
	return lock.Close()
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

// Close ends the supervisor if no run lives, and otherwise leaves it and its
// runs alone: it ends by itself when it has nothing to do for a while.
func (r *Runtime) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), quitPatience)
	defer cancel()
	_ = r.Quit(ctx) // whatever keeps it, its own patience ends it
	r.hangUp()
	r.collect(nil)
	return nil
}

// hangUp ends this side.
func (r *Runtime) hangUp() {
	r.mu.Lock()
	already := r.closed
	r.closed = true
	r.mu.Unlock()
	if !already {
		r.quit(ErrClosed)
	}
	<-r.done
}
