package store

import (
	"context"
	"time"

	"armada"
)

// Asking answers questions about jobs.
type Asking interface {
	// Job returns one job with everything known; NotFound when it is unknown or
	// forgotten.
	Job(ctx context.Context, id armada.JobID) (FullJob, error)
	// JobsByID returns the jobs that are known, in the order of ids.
	JobsByID(ctx context.Context, ids []armada.JobID) ([]FullJob, error)
	// List returns the jobs that match, ordered, a page at a time. Equality and
	// prefix on Queue, JobSet and times of submission, and ordering by number, are fast at
	// any size; everything else is bounded in time: a page may be short or
	// empty and yet have a Next.
	List(ctx context.Context, q Query) (Page, error)
	// Count groups active jobs of a queue (all queues when empty) by queue, job
	// set and state, in that order.
	Count(ctx context.Context, queue string) ([]JobSetCount, error)
	// ActiveJobs returns the ids of a job set's jobs in the given states (all
	// active ones when empty), in order of submission.
	ActiveJobs(ctx context.Context, key JobSetKey, states []armada.JobState) ([]armada.JobID, error)
	// Template returns the bytes of a pod spec; NotFound when it is unknown.
	Template(ctx context.Context, id armada.TemplateID) ([]byte, error)
	// Requirements returns what a shape stands for; NotFound when it is unknown.
	Requirements(ctx context.Context, id armada.ShapeID) (*armada.Requirements, error)
}

// FullJob is a job with everything that is remembered of it.
type FullJob struct {
	Job     armada.Job
	Details armada.JobDetails
	Runs    []armada.Run // by attempt
}

// Query asks for jobs. Zero fields do not restrict.
type Query struct {
	Queue           string
	JobSet          string
	JobSetPrefix    string
	Owner           string
	States          []armada.JobState
	Namespace       string
	Annotations     map[string]string // all must be equal
	IDs             []armada.JobID
	SubmittedAfter  time.Time // inclusive
	SubmittedBefore time.Time // exclusive
	Descending      bool      // by number, latest first
	Limit           int       // at most [MaxPage]; 0 means 100
	After           string    // Page.Next of the page before
}

// MaxPage bounds a page.
const MaxPage = 1000

// Page is an answer to a query.
type Page struct {
	Jobs []FullJob
	Next string // continues the list; empty at its end
}

// JobSetCount counts active jobs of a job set in one state.
type JobSetCount struct {
	Queue  string
	JobSet armada.JobSet
	State  armada.JobState
	Jobs   int64
}
