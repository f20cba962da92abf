package intake

import (
	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/internal/store/codec"
)

// Submission is a submission with its jobs encoded as far as no transaction is
// needed; make it with [Prepare].
type Submission struct {
	*store.Submission
	fixed, details [][]byte
}

// Prepare encodes a submission; the caller's goroutine does it.
func Prepare(sub *store.Submission) *Submission {
	s := &Submission{sub, make([][]byte, len(sub.Jobs)), make([][]byte, len(sub.Jobs))}
	for i := range sub.Jobs {
		s.fixed[i] = codec.AppendFixed(nil, &sub.Jobs[i].Job)
		s.details[i] = codec.AppendDetails(nil, &sub.Jobs[i].Details)
	}
	return s
}

// ClientIDs are those that the jobs have.
func (s *Submission) ClientIDs() []string {
	var names []string
	for i := range s.Jobs {
		if name := s.Jobs[i].Job.ClientID; name != "" {
			names = append(names, name)
		}
	}
	return names
}

// Submit takes jobs in, all or none. It checks everything and only then changes
// anything.
func (b *Batch) Submit(sub *Submission) ([]store.Submitted, error) {
	queue, known, err := b.form.Queue(sub.Queue)
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, Coded(armada.CodeNotFound, "queue %q does not exist", sub.Queue)
	}
	answers, taken, err := b.deduplicate(sub)
	if err != nil || taken == 0 {
		return answers, err
	}
	if err := b.checkLimit(sub.Queue, taken); err != nil {
		return nil, err
	}
	if err := checkInterned(sub, answers); err != nil {
		return nil, err
	}
	set, err := b.form.JobSet(store.JobSetKey{Queue: sub.Queue, JobSet: sub.JobSet})
	if err != nil {
		return nil, err
	}
	if err := b.checkGangs(sub, answers, set); err != nil {
		return nil, err
	}
	for i := range sub.Jobs {
		if answers[i].Duplicate {
			continue
		}
		if err := b.stage(sub, i, queue, set); err != nil {
			return nil, err
		}
	}
	b.Queued[sub.Queue] += taken
	return answers, nil
}

// deduplicate decides which jobs are new, and how many.
func (b *Batch) deduplicate(sub *Submission) ([]store.Submitted, int64, error) {
	first, err := b.firstWith(sub.Queue, sub.ClientIDs())
	if err != nil {
		return nil, 0, err
	}
	answers, taken := make([]store.Submitted, len(sub.Jobs)), int64(0)
	for i := range sub.Jobs {
		job := &sub.Jobs[i].Job
		if job.ClientID != "" {
			if id, known := first[job.ClientID]; known {
				answers[i] = store.Submitted{ID: id, Duplicate: true}
				continue
			}
			first[job.ClientID] = job.ID
		}
		answers[i] = store.Submitted{ID: job.ID}
		taken++
	}
	return answers, taken, nil
}

func (b *Batch) firstWith(queue string, names []string) (map[string]armada.JobID, error) {
	first := make(map[string]armada.JobID, len(names))
	unknown := make([]string, 0, len(names))
	for _, name := range names {
		if id, known := b.named[clientKey{queue, name}]; known {
			first[name] = id
		} else {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return first, nil
	}
	earlier, err := b.form.FirstWith(queue, unknown)
	for name, id := range earlier {
		first[name] = id
	}
	return first, err
}

func (b *Batch) checkLimit(queue string, taken int64) error {
	limit := int64(b.limits.MaxQueuedPerQueue)
	if limit == 0 {
		return nil
	}
	queued, err := b.form.QueuedJobs(queue)
	if err != nil {
		return err
	}
	if queued+taken > limit {
		return Coded(armada.CodePrecondition, "queue %q has %d queued jobs and may have %d: %d more are too many", queue, queued, limit, taken)
	}
	return nil
}

// checkInterned finds templates and shapes that are missing.
func checkInterned(sub *Submission, answers []store.Submitted) error {
	for i := range sub.Jobs {
		if answers[i].Duplicate {
			continue
		}
		job := &sub.Jobs[i].Job
		if _, given := sub.Templates[job.Template]; !given {
			return Coded(armada.CodeInvalid, "job %s: template %q is not part of the submission", job.ID, job.Template)
		}
		if sub.Shapes[job.Shape] == nil {
			return Coded(armada.CodeInvalid, "job %s: shape %q is not part of the submission", job.ID, job.Shape)
		}
	}
	return nil
}

// stage puts a new job into the batch.
func (b *Batch) stage(sub *Submission, i int, queue int64, set *JobSet) error {
	job := sub.Jobs[i].Job
	job.Number, job.Queue, job.JobSet, job.Submitted = 0, sub.Queue, sub.JobSet, b.Now
	job.Attempts, job.Wish, job.Reason = 0, armada.Wish{}, ""
	step := lifecycle.Begin(job)
	b.Fresh = append(b.Fresh, &Entry{
		Job: step.Job, Queue: queue, Set: set, Fresh: true,
		Fixed: sub.fixed[i], Details: sub.details[i], Annotations: sub.Jobs[i].Details.Annotations,
	})
	b.emit(set, step.Events...)
	b.intern(sub, &job)
	if job.ClientID != "" {
		b.named[clientKey{sub.Queue, job.ClientID}] = job.ID
		b.Clients = append(b.Clients, Client{sub.Queue, job.ClientID, job.ID})
	}
	return b.join(set, &job)
}

// intern counts a use of the job's template and shape.
func (b *Batch) intern(sub *Submission, job *armada.Job) {
	template := b.Templates[job.Template]
	if template == nil {
		template = &Interned{Body: sub.Templates[job.Template]}
		if template.Body == nil {
			template.Body = []byte{}
		}
		b.Templates[job.Template] = template
	}
	template.Uses++
	shape := b.Shapes[job.Shape]
	if shape == nil {
		shape = &Interned{Body: codec.AppendRequirements(nil, b.table, sub.Shapes[job.Shape])}
		b.Shapes[job.Shape] = shape
	}
	shape.Uses++
}
