package sqlite

import (
	"context"
	"fmt"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/internal/store/codec"
)

// Submit takes jobs in.
func (s *Store) Submit(ctx context.Context, sub store.Submission) ([]store.Submitted, error) {
	// What needs no transaction is done by the caller's goroutine.
	fixed, details := make([][]byte, len(sub.Jobs)), make([][]byte, len(sub.Jobs))
	for i := range sub.Jobs {
		fixed[i] = codec.AppendFixed(nil, &sub.Jobs[i].Job)
		details[i] = codec.AppendDetails(nil, &sub.Jobs[i].Details)
	}
	var answers []store.Submitted
	err := s.write(ctx, "submit", len(sub.Jobs), func(b *batch) (err error) {
		admission := admission{b: b, sub: &sub, fixed: fixed, details: details}
		answers, err = admission.take()
		return err
	})
	if err != nil {
		return nil, err
	}
	return answers, nil
}

// admission is one submission within a batch.
type admission struct {
	b              *batch
	sub            *store.Submission
	fixed, details [][]byte
	queue          *queueRow
	answers        []store.Submitted
	taken          int64
}

// take checks everything and only then changes anything.
func (a *admission) take() ([]store.Submitted, error) {
	a.queue = a.b.w.queues[a.sub.Queue]
	if a.queue == nil || a.queue.deleted {
		return nil, coded(armada.CodeNotFound, "queue %q does not exist", a.sub.Queue)
	}
	if err := a.deduplicate(); err != nil {
		return nil, err
	}
	if a.taken == 0 {
		return a.answers, nil
	}
	if err := a.checkLimit(); err != nil {
		return nil, err
	}
	templates, shapes, err := a.intern()
	if err != nil {
		return nil, err
	}
	return a.answers, a.stage(templates, shapes)
}

// deduplicate decides which jobs are new.
func (a *admission) deduplicate() error {
	a.answers = make([]store.Submitted, len(a.sub.Jobs))
	var names []string
	for i := range a.sub.Jobs {
		if name := a.sub.Jobs[i].Job.ClientID; name != "" {
			names = append(names, name)
		}
	}
	first, err := a.b.firstWith(a.sub.Queue, names)
	if err != nil {
		return err
	}
	for i := range a.sub.Jobs {
		job := &a.sub.Jobs[i].Job
		if job.ClientID != "" {
			if id, known := first[job.ClientID]; known {
				a.answers[i] = store.Submitted{ID: id, Duplicate: true}
				continue
			}
			first[job.ClientID] = job.ID
		}
		a.answers[i] = store.Submitted{ID: job.ID}
		a.taken++
	}
	return nil
}

func (a *admission) checkLimit() error {
	limit := int64(a.b.w.store.config.MaxQueuedPerQueue)
	if limit == 0 {
		return nil
	}
	if err := a.b.flush(); err != nil { // what is counted must be in the table
		return err
	}
	queued, err := a.b.w.queuedJobs(a.sub.Queue)
	if err != nil {
		return err
	}
	if queued+a.taken > limit {
		return coded(armada.CodePrecondition, "queue %q has %d queued jobs and may have %d: %d more are too many",
			a.sub.Queue, queued, limit, a.taken)
	}
	return nil
}

// intern finds or writes the templates and shapes of the jobs to be taken. It
// checks first that none is missing.
func (a *admission) intern() (map[armada.TemplateID]int64, map[armada.ShapeID]int64, error) {
	templates, shapes := map[armada.TemplateID]int64{}, map[armada.ShapeID]int64{}
	for i := range a.sub.Jobs {
		if a.answers[i].Duplicate {
			continue
		}
		job := &a.sub.Jobs[i].Job
		if _, given := a.sub.Templates[job.Template]; !given {
			return nil, nil, coded(armada.CodeInvalid, "job %s: template %q is not part of the submission", job.ID, job.Template)
		}
		if a.sub.Shapes[job.Shape] == nil {
			return nil, nil, coded(armada.CodeInvalid, "job %s: shape %q is not part of the submission", job.ID, job.Shape)
		}
	}
	w := a.b.w
	for i := range a.sub.Jobs {
		if a.answers[i].Duplicate {
			continue
		}
		job := &a.sub.Jobs[i].Job
		if _, done := templates[job.Template]; !done {
			id, err := internRow(w, w.templates, &w.numbers.template, "template", job.Template, a.sub.Templates[job.Template])
			if err != nil {
				return nil, nil, err
			}
			templates[job.Template] = id
		}
		if _, done := shapes[job.Shape]; !done {
			id, known := w.shapes[job.Shape]
			if !known {
				body := codec.AppendRequirements(nil, w.store.config.Resources, a.sub.Shapes[job.Shape])
				var err error
				if id, err = internRow(w, w.shapes, &w.numbers.shape, "shape", job.Shape, body); err != nil {
					return nil, nil, err
				}
			}
			shapes[job.Shape] = id
		}
	}
	return templates, shapes, nil
}

// internRow returns the row of a hash, writing it if need be. Nobody uses it
// yet: uses are counted when the jobs are written, in the same transaction.
func internRow[ID ~string](w *writer, known map[ID]int64, latest *int64, table string, hash ID, body []byte) (int64, error) {
	if id, ok := known[hash]; ok {
		return id, nil
	}
	r, err := w.conn.one("SELECT id FROM "+table+" WHERE hash = ?", string(hash))
	if err != nil {
		return 0, err
	}
	if r != nil {
		known[hash] = r.int(0)
		return r.int(0), nil
	}
	if body == nil {
		body = []byte{}
	}
	*latest++
	if _, err := w.conn.exec("INSERT INTO "+table+" (id, hash, uses, body) VALUES (?, ?, 0, ?)", *latest, string(hash), body); err != nil {
		return 0, fmt.Errorf("insert a %s: %w", table, err)
	}
	known[hash] = *latest
	return *latest, nil
}

// stage puts the new jobs into the batch.
func (a *admission) stage(templates map[armada.TemplateID]int64, shapes map[armada.ShapeID]int64) error {
	b, w := a.b, a.b.w
	set, err := b.setFor(store.JobSetKey{Queue: a.sub.Queue, JobSet: a.sub.JobSet})
	if err != nil {
		return err
	}
	for i := range a.sub.Jobs {
		if a.answers[i].Duplicate {
			continue
		}
		job := a.sub.Jobs[i].Job
		w.numbers.job++
		job.Number, job.Queue, job.JobSet, job.Submitted = w.numbers.job, a.sub.Queue, a.sub.JobSet, b.now
		job.Attempts, job.Wish, job.Reason = 0, armada.Wish{}, ""
		step := lifecycle.Begin(job)
		e := &entry{
			job: step.Job, queue: a.queue.id, set: set, template: templates[job.Template], shape: shapes[job.Shape],
			fresh: true, fixed: a.fixed[i], details: a.details[i],
		}
		b.fresh = append(b.fresh, e)
		w.entries[job.ID] = e
		b.uses.templates[e.template]++
		b.uses.shapes[e.shape]++
		b.emit(set, step.Events...)
		b.touch(fedJob, job.Number)
		if job.ClientID != "" {
			key := clientKey{a.sub.Queue, job.ClientID}
			b.byName[key] = job.ID
			b.clients = append(b.clients, client{key, job.ID})
		}
	}
	b.countQueued(a.sub.Queue, a.taken)
	return nil
}

// setFor returns the job set that takes jobs under the key, making it if need
// be.
func (b *batch) setFor(key store.JobSetKey) (*jobSet, error) {
	set, err := b.w.openSet(key)
	if err != nil || set != nil {
		return set, err
	}
	b.w.numbers.set++
	set = &jobSet{id: b.w.numbers.set, key: key, fresh: true}
	b.w.sets[key], b.w.setsByID[set.id] = set, set
	return set, nil
}

// countQueued keeps a counter that somebody asked for.
func (b *batch) countQueued(queue string, by int64) {
	if n, counted := b.w.queued[queue]; counted {
		b.w.queued[queue] = n + by
	}
}
