package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"armada"
	"armada/internal/store"
	"armada/internal/store/intake"
)

// work is a submission or transition: what must be read for it, and what then
// decides it. It may be decided again when what was read is stale.
type work struct {
	queue     string
	clientIDs []string
	jobs      []armada.JobID
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
		queue: sub.Queue, clientIDs: prepared.ClientIDs(), do: func(b *intake.Batch) (err error) {
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

// run serves until the line is closed and empty.
func (w *writer) run() {
	for group := w.store.line.Next(); group != nil; group = w.store.line.Next() {
		w.commit(group)
	}
}

// commit writes a group and answers its requests.
func (w *writer) commit(group []*request) {
	answers, err := w.attempt(group)
	if kind := judge(err); err != nil && len(group) > 1 && (kind == failed || kind == taken || kind == stale) {
		// One of them is to blame, or they are too many at once: it must fail alone.
		for _, r := range group {
			w.commit([]*request{r})
		}
		return
	}
	if judge(err) == doubtful && err != nil {
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
func (w *writer) attempt(group []*request) ([]error, error) {
	lookUp := false
	for try := 0; ; try++ {
		g := &gathering{writer: w, lookUp: lookUp}
		answers, err := g.once(group)
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
			if err != nil {
				w.store.running.Go(func() { w.store.settle(g.name, append([]*request(nil), group...), answers, g.woken) })
			}
		default:
		}
		return answers, err
	}
}

// once reads what a group needs, decides it and writes it.
func (g *gathering) once(group []*request) ([]error, error) {
	ctx, cancel := context.WithTimeout(context.Background(), g.writer.store.config.Patience)
	defer cancel()
	if err := g.read(ctx, group); err != nil {
		if judge(err) == doubtful { // reading does nothing
			err = &notAcquired{err}
		}
		return nil, err
	}
	c := g.writer.store.config
	b := intake.NewBatch(g, g.now, intake.Limits{MaxQueuedPerQueue: c.MaxQueuedPerQueue}, c.Resources)
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

// settle finds out whether a commit was done whose answer was lost, and answers
// its requests. Their callers may give up meanwhile.
func (s *Store) settle(name []byte, group []*request, answers []error, woken *told) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.running.Go(func() { // the store's end ends it as well, and callers wait no more
		select {
		case <-s.ended:
			cancel()
		case <-ctx.Done():
		}
	})
	for _, r := range group {
		r.Doubt()
	}
	var err error
	var done bool
	for try := 0; ; try++ {
		if done, err = s.settleOnce(ctx, name); err == nil {
			break
		}
		if pause(ctx, try) != nil || errors.Is(err, errTooLate) {
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
