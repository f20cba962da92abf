package intake

import (
	"errors"
	"fmt"
	"time"

	"armada"
	"armada/internal/store"
)

// ErrDoubt says that it could not be found out whether a call was done.
var ErrDoubt = errors.New("it is not known whether it was done")

// Form is what a batch asks of the form of the store, all of it within the
// batch's transaction or as the form checks it again when it writes.
type Form interface {
	// Queue returns the row of a queue, and false when there is none.
	Queue(name string) (id int64, known bool, err error)
	// QueuedJobs returns how many jobs of a queue are queued, with those of
	// this batch.
	QueuedJobs(queue string) (int64, error)
	// FirstWith returns the jobs that were submitted to a queue with client
	// ids within the retention time, by client id.
	FirstWith(queue string, clientIDs []string) (map[string]armada.JobID, error)
	// JobSet returns the job set that takes jobs under a key, making it if
	// need be: the same one for the same key.
	JobSet(key store.JobSetKey) (*JobSet, error)
	// Gang returns how many members a gang of a job set that takes jobs has, by
	// what is written, and which cardinality they say; 0 when it has none. What it
	// returns of other job sets nobody looks at.
	Gang(set *JobSet, id string) (members, cardinality int, err error)
	// Job returns a job, nil when it is unknown, and the same entry for the
	// same job.
	Job(id armada.JobID) (*Entry, error)
	// PoliciesOf returns the names of a queue's retry policies, in order, and
	// Policy one by its name, false when there is none. They are asked about jobs
	// of this batch of which a run ends.
	PoliciesOf(queue string) ([]string, error)
	Policy(name string) (armada.RetryPolicy, bool, error)
	// Leads tells whether an epoch of leadership is current.
	Leads(epoch int64) (bool, error)
	// Current tells whether a session is the executor's current one.
	Current(executor armada.ExecutorID, session armada.SessionID) (bool, error)
}

// Limits are those of submissions and of repeated attempts.
type Limits struct {
	MaxQueuedPerQueue int // 0 is no limit
	Retries           store.Retries
}

// Entry is a job in memory with its current or latest run.
type Entry struct {
	Job   armada.Job
	Run   armada.Run
	Queue int64 // the queue's row
	Set   *JobSet
	Row   int64 // the form's own

	// What is to be written.
	Fresh          bool // the job is new; its number is 0 until the form gives one
	Dirty          bool // the job is among the changed
	Held           bool // the executor that holds its run changed
	Told           bool // its version changed, so the feed tells it
	Earlier        []armada.Run
	Was            armada.JobState   // in the rows; 0 for a new job
	Fixed, Details []byte            // of a new job
	Annotations    map[string]string // likewise
}

// Holder is the executor that holds the job's run, or "".
func (e *Entry) Holder() armada.ExecutorID {
	if e.Job.State.Active() && e.Job.Attempts > 0 && e.Run.State.Active() {
		return e.Run.Executor
	}
	return ""
}

// Written marks the entry as one that equals its rows.
func (e *Entry) Written() {
	e.Fresh, e.Dirty, e.Held, e.Told, e.Earlier, e.Fixed, e.Details, e.Annotations = false, false, false, false, nil, nil, nil, nil
	e.Was = e.Job.State
}

// JobSet is an incarnation of a job set.
type JobSet struct {
	ID      int64 // 0 when the form finds the row as it writes
	Key     store.JobSetKey
	Pending []armada.Event // not written yet, in order, without numbers
}

// Client is a client id and the job that was submitted with it.
type Client struct {
	Queue, Name string
	Job         armada.JobID
}

// Interned is a template or shape that new jobs use.
type Interned struct {
	Uses int64 // how many of them
	Body []byte
}

// Batch is what one transaction changes.
type Batch struct {
	Now time.Time

	Fresh     []*Entry  // new jobs, in the order of their numbers
	Changed   []*Entry  // known jobs
	Sets      []*JobSet // with pending events
	Clients   []Client
	Templates map[armada.TemplateID]*Interned
	Shapes    map[armada.ShapeID]*Interned
	Queued    map[string]int64 // by how much the queued jobs of queues change
	Gangs     []*Gang          // whose members change

	form   Form
	limits Limits
	table  armada.ResourceTable
	named  map[clientKey]armada.JobID // by client id, those of this batch
	gangs  map[gangKey]*Gang          // those that were asked for
}

type clientKey struct{ queue, name string }

// NewBatch returns an empty batch of a moment.
func NewBatch(form Form, now time.Time, limits Limits, table armada.ResourceTable) *Batch {
	b := &Batch{
		Now: now, form: form, limits: limits, table: table,
		Queued: map[string]int64{}, named: map[clientKey]armada.JobID{}, gangs: map[gangKey]*Gang{},
	}
	b.clearInterned()
	return b
}

// Flushed empties what the form has written. Client ids, counts of queued jobs
// and those of gangs' members stay: they belong to the whole transaction.
func (b *Batch) Flushed() {
	for _, g := range b.Gangs {
		g.By, g.staged = 0, false
	}
	b.Gangs = b.Gangs[:0]
	b.Fresh, b.Changed, b.Sets, b.Clients = b.Fresh[:0], b.Changed[:0], b.Sets[:0], b.Clients[:0]
	b.clearInterned()
}

func (b *Batch) clearInterned() {
	b.Templates, b.Shapes = map[armada.TemplateID]*Interned{}, map[armada.ShapeID]*Interned{}
}

// Empty tells that there is nothing to write.
func (b *Batch) Empty() bool { return len(b.Fresh) == 0 && len(b.Changed) == 0 && len(b.Sets) == 0 }

// emit appends events to a job set.
func (b *Batch) emit(set *JobSet, events ...armada.Event) {
	if len(events) == 0 {
		return
	}
	if len(set.Pending) == 0 {
		b.Sets = append(b.Sets, set)
	}
	set.Pending = append(set.Pending, events...)
}

// Coded makes an error that a caller can act on.
func Coded(code armada.ErrorCode, format string, args ...any) error {
	return &armada.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}
