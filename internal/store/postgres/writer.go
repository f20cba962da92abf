package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"armada"
	"armada/internal/store"
	"armada/internal/store/intake"
)

// work is a submission or transition: what must be read for it, and what then
// decides it. It may be decided again when what was read is stale.
type work struct {
	queue     string
	jobSet    armada.JobSet
	clientIDs []string
	gangs     []string
	jobs      []armada.JobID
	endings   bool // a run may end so that retry policies are asked
	do        func(*intake.Batch) error
}

type request = intake.Request[work]

// Submit takes jobs in.
func (s *Store) Submit(ctx context.Context, sub store.Submission) ([]store.Submitted, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	prepared := intake.Prepare(&sub)
	var answers []store.Submitted
	err := s.line.Do(ctx, "submit", len(sub.Jobs), work{
		queue: sub.Queue, jobSet: sub.JobSet, clientIDs: prepared.ClientIDs(), gangs: prepared.GangIDs(), do: func(b *intake.Batch) (err error) {
			answers, err = b.Submit(prepared)
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	return answers, nil
}

// Transition applies changes.
func (s *Store) Transition(ctx context.Context, fence store.Fence, units []store.Unit) ([]store.UnitResult, error) {
	changes, err := intake.CheckSize(units)
	if err != nil {
		return nil, err
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	w := work{jobs: make([]armada.JobID, 0, changes)}
	for _, u := range units {
		for i := range u {
			w.jobs = append(w.jobs, u[i].Job)
			w.endings = w.endings || u[i].Kind.EndsBadly()
		}
	}
	var results []store.UnitResult
	w.do = func(b *intake.Batch) (err error) {
		results, err = b.Transition(fence, units)
		return err
	}
	if len(w.jobs) == 0 {
		w.jobs = []armada.JobID{""} // the fence is looked at all the same
	}
	if err := s.line.Do(ctx, "transition", changes, w); err != nil {
		return nil, err
	}
	return results, nil
}

// writer decides and writes groups of requests, one group at a time.
type writer struct {
	store  *Store
	queues map[string]int64 // those that exist, as far as is known
	known  interned         // templates and shapes that are there, as far as is known
	latest time.Time        // the time of the latest group: time never goes back
}

// interned are hashes whose bodies need not be sent.
type interned struct {
	templates map[armada.TemplateID]struct{}
	shapes    map[armada.ShapeID]struct{}
}

// maxKnown bounds what is remembered of each kind.
const maxKnown = 1 << 16

func newWriter(s *Store) *writer {
	w := &writer{store: s}
	w.forget()
	return w
}

func (w *writer) forget() {
	w.queues = map[string]int64{}
	w.known = interned{map[armada.TemplateID]struct{}{}, map[armada.ShapeID]struct{}{}}
}

// run serves until the line is closed and empty. The context ends when nobody
// waits for the database any more.
func (w *writer) run(ctx context.Context) {
	for group := w.store.line.Next(); group != nil; group = w.store.line.Next() {
		w.commit(ctx, group)
	}
}

// commit writes a group and answers its requests.
func (w *writer) commit(ctx context.Context, group []*request) {
	answers, err := w.attempt(ctx, group)
	if kind := judge(err); err != nil && len(group) > 1 && (kind == failed || kind == taken || kind == stale) {
		// One of them is to blame, or they are too many at once: it must fail alone.
		for _, r := range group {
			w.commit(ctx, []*request{r})
		}
		return
	}
	if judge(err) == doubtful {
		return // those who settle it answer
	}
	for i, r := range group {
		r.Answer(answerOf(r, answers, i, err))
	}
}

// answerOf turns the outcome of a group into that of one request.
func answerOf(r *request, answers []error, i int, err error) error {
	if err == nil {
		return answers[i]
	}
	switch judge(err) {
	case taken:
		return &armada.Error{Code: armada.CodePrecondition, Message: r.What + ": an id is in use already", Cause: err}
	case away, stale:
		return unavailable(r.What, err)
	default:
		return fmt.Errorf("%s: nothing was written: %w", r.What, err)
	}
}

// attempt decides and writes a group, again while it is stale. With an error
// nothing was written, unless the error is doubtful: then somebody else answers.
func (w *writer) attempt(ctx context.Context, group []*request) ([]error, error) {
	lookUp := false
	for try := 0; ; try++ {
		g := &gathering{writer: w, lookUp: lookUp}
		answers, err := g.once(context.WithoutCancel(ctx), group)
		switch judge(err) {
		case stale:
			if try < retries {
				// What is remembered may be what is stale; client ids are expected
				// to be new only the first time.
				w.forget()
				lookUp = true
				continue
			}
		case away:
			if isReadOnly(err) {
				w.store.pool.Reset()
			}
		case doubtful:
			requests := slices.Clone(group) // the line uses it again
			w.store.writing.Go(func() { w.store.settle(ctx, g.name, requests, answers, g.woken) })
		default:
		}
		return answers, err
	}
}

// once reads what a group needs, decides it and writes it.
func (g *gathering) once(ctx context.Context, group []*request) ([]error, error) {
	ctx, cancel := context.WithTimeout(ctx, g.writer.store.config.Patience)
	defer cancel()
	if err := g.read(ctx, group); err != nil {
		if isConnection(err) || isReadOnly(err) { // reading does nothing
			err = &notAcquired{err}
		}
		return nil, err
	}
	c := g.writer.store.config
	b := intake.NewBatch(g, g.now, intake.Limits{MaxQueuedPerQueue: c.MaxQueuedPerQueue, Retries: c.Retries}, c.Resources)
	answers := make([]error, len(group))
	for i, r := range group {
		answers[i] = r.Work.do(b)
		if answers[i] != nil && armada.CodeOf(answers[i]) == armada.CodeInternal {
			return nil, fmt.Errorf("%s: %w", r.What, answers[i])
		}
	}
	if b.Empty() {
		return answers, nil
	}
	return answers, g.write(ctx, b)
}

// settleTime is how long the outcome of a commit is looked for: the feed, which
// keeps the names of commits, keeps them twice as long.
const settleTime = 5 * time.Minute

// settle finds out whether a commit was done whose answer was lost, and answers
// its requests. Their callers may give up meanwhile.
func (s *Store) settle(ctx context.Context, name []byte, group []*request, answers []error, woken *told) {
	for _, r := range group {
		r.Doubt()
	}
	started := time.Now()
	var err error
	var done bool
	for try := 0; ; try++ {
		if done, err = s.settleOnce(ctx, name); err == nil {
			break
		}
		if pause(ctx, try) != nil || time.Since(started) > settleTime {
			for _, r := range group {
				r.Answer(fmt.Errorf("%s: %w: %w", r.What, intake.ErrDoubt, err))
			}
			return
		}
	}
	if done {
		s.publish(woken)
	}
	for i, r := range group {
		if done {
			r.Answer(answers[i])
		} else {
			r.Answer(unavailable(r.What, errors.New("the connection was lost before the commit")))
		}
	}
}
