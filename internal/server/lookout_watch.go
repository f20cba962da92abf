package server

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	"armada"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/pkg/api/lookout"
)

const (
	// How long changes are gathered when the caller does not say it, and the bounds.
	gathering      = 500 * time.Millisecond
	leastGathering = 100 * time.Millisecond
	mostGathering  = time.Minute
	// mostChanges is how many jobs a stream remembers between two messages. When
	// more change the watcher is told to list anew.
	mostChanges = 5000
	// changesPerRead is how much of the feed is read at once.
	changesPerRead = 1000
	// feedRetry is how long after a failure the feed is read again.
	feedRetry = time.Second
)

// WatchJobs tells which jobs change until the caller leaves or the server stops.
func (s *lookoutService) WatchJobs(r *lookout.WatchJobsRequest, stream grpc.ServerStreamingServer[lookout.JobChanges]) error {
	ctx := stream.Context()
	var wrong violations
	w := newWatching(s.conditions(r.GetFilters(), &wrong), s.table)
	every := gathering
	if d := r.GetInterval(); d != nil {
		if every = d.AsDuration(); d.CheckValid() != nil || every < leastGathering || every > mostGathering {
			wrong.add("interval", fmt.Sprintf("must be %v to %v", leastGathering, mostGathering))
		}
	}
	err := wrong.err("there is nothing to watch")
	if err != nil {
		return err
	}
	may, err := permitted(ctx, s.now, func(ctx context.Context) error {
		queues, err := s.watchable(ctx, w.where)
		if err == nil {
			w.see(queues)
		}
		return err
	})
	if err != nil {
		return err
	}
	leave, err := s.changes.join(ctx, w)
	if err != nil {
		return fmt.Errorf("watch jobs: %w", err)
	}
	defer leave()
	if err := stream.SendHeader(metadata.Pairs(openMark, "1")); err != nil {
		return fmt.Errorf("open the stream: %w", err)
	}
	if err := stream.Send(&lookout.JobChanges{At: timestamppb.Now()}); err != nil {
		return fmt.Errorf("send the beginning: %w", err)
	}
	pause := time.NewTimer(every)
	defer pause.Stop()
	for {
		for _, wait := range []func() error{
			func() error { return s.await(ctx, w.changed) },
			func() error { return await(ctx, s.stopping, pause.C) },
		} {
			if err := wait(); err != nil {
				return err
			}
		}
		pause.Reset(every)
		if err := may.holds(ctx); err != nil {
			return err
		}
		message, err := s.changesOf(ctx, w)
		if err != nil {
			return err
		}
		if len(message.GetJobs()) == 0 && !message.GetReset_() {
			continue
		}
		if err := stream.Send(message); err != nil {
			return fmt.Errorf("send changes: %w", err)
		}
	}
}

func (s *lookoutService) await(ctx context.Context, signal <-chan struct{}) error {
	return await(ctx, s.stopping, signal)
}

// await waits for a signal, and answers an error when the caller leaves or the
// server stops.
func await[T any](ctx context.Context, stopping <-chan struct{}, signal <-chan T) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-stopping:
		return errStopping
	case <-signal:
		return nil
	}
}

// changesOf makes the message of what changed.
func (s *lookoutService) changesOf(ctx context.Context, w *watching) (*lookout.JobChanges, error) {
	changed, reset := w.take()
	message := &lookout.JobChanges{Reset_: reset, At: timestamppb.Now()}
	details := map[armada.JobID]*store.FullJob{}
	if w.deep {
		ids := make([]armada.JobID, len(changed))
		for i := range changed {
			ids[i] = changed[i].Job.ID
		}
		for piece := range slices.Chunk(ids, store.MaxPage) {
			known, err := s.store.JobsByID(ctx, piece)
			if err != nil {
				return nil, fmt.Errorf("look up jobs that changed: %w", err)
			}
			for i := range known {
				details[known[i].Job.ID] = &known[i]
			}
		}
	}
	for i := range changed {
		full := fullOf(&changed[i])
		if known := details[full.Job.ID]; known != nil {
			full.Details, full.Needs = known.Details, known.Needs
		}
		if w.chooses(&full) {
			message.Jobs = append(message.Jobs, wire.JobChange(&changed[i], holds(w.where, &full, s.table)))
		}
	}
	return message, nil
}

// fullOf is what the feed tells of a job.
func fullOf(j *store.JobAndRun) store.FullJob {
	full := store.FullJob{Job: j.Job}
	if j.Run != nil {
		full.Runs = []armada.Run{*j.Run}
	}
	return full
}

func holds(where []store.Condition, full *store.FullJob, table armada.ResourceTable) bool {
	for i := range where {
		if c := &where[i]; !c.Holds(c.Column.Of(full, table)) {
			return false
		}
	}
	return true
}

// watching is one stream: what it is about, and what changed since it last took it.
type watching struct {
	where  []store.Condition
	choose []store.Condition // those on what never changes
	early  []store.Condition // those of them that the feed tells
	deep   bool              // there are others
	table  armada.ResourceTable

	changed chan struct{} // holds one signal

	mu     sync.Mutex
	queues map[string]bool // that it may see; nil for all
	jobs   map[armada.JobID]store.JobAndRun
	reset  bool
}

func newWatching(where []store.Condition, table armada.ResourceTable) *watching {
	w := &watching{where: where, table: table, changed: make(chan struct{}, 1), jobs: map[armada.JobID]store.JobAndRun{}}
	for _, c := range where {
		switch c.Column.Field {
		case store.FieldQueue, store.FieldJobSet, store.FieldOwner, store.FieldJobID, store.FieldSubmitted:
			w.choose, w.early = append(w.choose, c), append(w.early, c)
		case store.FieldNamespace, store.FieldPriorityClass, store.FieldResource, store.FieldAnnotation:
			w.choose, w.deep = append(w.choose, c), true
		default:
		}
	}
	return w
}

// see sets the queues that the caller may see, nil for all, and forgets what changed
// in others.
func (w *watching) see(queues []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queues = nil; queues == nil {
		return
	}
	w.queues = make(map[string]bool, len(queues))
	for _, queue := range queues {
		w.queues[queue] = true
	}
	maps.DeleteFunc(w.jobs, func(_ armada.JobID, j store.JobAndRun) bool { return !w.queues[j.Job.Queue] })
}

// chooses tells whether changes of the job are told.
func (w *watching) chooses(full *store.FullJob) bool { return holds(w.choose, full, w.table) }

// add takes over jobs that changed.
func (w *watching) add(jobs []store.JobAndRun) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range jobs {
		full := fullOf(&jobs[i])
		if w.queues != nil && !w.queues[full.Job.Queue] || !holds(w.early, &full, w.table) {
			continue
		}
		if known, is := w.jobs[full.Job.ID]; !is || known.Job.Version <= full.Job.Version {
			w.jobs[full.Job.ID] = jobs[i]
		}
	}
	if len(w.jobs) > mostChanges {
		w.lost()
	}
	if len(w.jobs) > 0 {
		w.tell()
	}
}

// lose records that changes were missed.
func (w *watching) lose() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost()
}

func (w *watching) lost() {
	w.reset = true
	clear(w.jobs)
	w.tell()
}

func (w *watching) tell() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// take returns what changed, in the order of submission, and forgets it.
func (w *watching) take() ([]store.JobAndRun, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]store.JobAndRun, 0, len(w.jobs))
	for _, j := range w.jobs {
		list = append(list, j)
	}
	slices.SortFunc(list, func(a, b store.JobAndRun) int { return int(a.Job.Number - b.Job.Number) })
	reset := w.reset
	clear(w.jobs)
	w.reset = false
	return list, reset
}

// jobChanges reads the feed for all streams of this replica together, while there
// are any.
type jobChanges struct {
	store store.Feed

	mu       sync.Mutex
	streams  map[*watching]struct{}
	follower *follower
}

// follower is what reads the feed.
type follower struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// join lets a stream know of what is committed from now on, until leave.
func (c *jobChanges) join(ctx context.Context, w *watching) (leave func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.follower == nil {
		position, err := c.store.End(ctx)
		if err != nil {
			return nil, err
		}
		following, cancel := context.WithCancel(context.WithoutCancel(ctx))
		c.follower = &follower{cancel: cancel, done: make(chan struct{})}
		c.streams = map[*watching]struct{}{}
		go c.follow(following, c.follower, position)
	}
	c.streams[w] = struct{}{}
	return func() { c.leave(w) }, nil
}

func (c *jobChanges) leave(w *watching) {
	c.mu.Lock()
	delete(c.streams, w)
	last := c.follower
	if len(c.streams) > 0 {
		c.mu.Unlock()
		return
	}
	c.follower = nil
	c.mu.Unlock()
	last.cancel()
	<-last.done
}

// each calls f for every stream.
func (c *jobChanges) each(f func(*watching)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.streams {
		f(w)
	}
}

// follow reads the feed from a position on until the context is done.
func (c *jobChanges) follow(ctx context.Context, f *follower, position store.Position) {
	defer close(f.done)
	signal, stop := c.store.Subscribe()
	defer stop()
	for ctx.Err() == nil {
		changes, next, err := c.store.Changes(ctx, position, changesPerRead)
		again := false
		switch {
		case err == nil:
			again = !bytes.Equal(next, position)
			position = next
			c.each(func(w *watching) { w.add(changes.Jobs) })
		case armada.CodeOf(err) == armada.CodeOutOfRange:
			c.each((*watching).lose)
			if end, err := c.store.End(ctx); err == nil {
				position = end
			}
		}
		if again {
			continue
		}
		wait(ctx, signal, err != nil)
	}
}

// wait waits for a signal, or after a failure for a while.
func wait(ctx context.Context, signal <-chan struct{}, failed bool) {
	retry := make(<-chan time.Time)
	if failed {
		timer := time.NewTimer(feedRetry)
		defer timer.Stop()
		retry, signal = timer.C, nil
	}
	select {
	case <-ctx.Done():
	case <-signal:
	case <-retry:
	}
}
