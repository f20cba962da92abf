package store

import (
	"context"
	"time"

	"armada"
)

// Asking answers questions about jobs.
//
// Equality and prefix on id, queue, job set, state, owner, times of submission and
// the annotations that the form indexes, and ordering by number, are fast at any
// size. Everything else is bounded in time ([Query.Patience]): a page may be short
// or empty and yet have a Next, a count may be a lower bound and groups may be of
// what was searched so far. Answers say which.
type Asking interface {
	// Job returns one job with everything known; NotFound when it is unknown or
	// forgotten.
	Job(ctx context.Context, id armada.JobID) (FullJob, error)
	// JobsByID returns the jobs that are known, in the order of ids.
	JobsByID(ctx context.Context, ids []armada.JobID) ([]FullJob, error)
	// List returns the jobs that match, ordered, a page at a time. Invalid for a
	// query that means nothing, with the reason. Precondition when they are to be
	// ordered by something else than number and are more than [MaxSorted], or
	// cannot be found in time.
	List(ctx context.Context, q Query) (Page, error)
	// CountMatching counts the jobs that match. Limit, After and Order of the
	// query do not matter. Beyond most it need not count on: at least so many.
	CountMatching(ctx context.Context, q Query, most int64) (Counted, error)
	// Group groups the jobs that match by a column. Limit bounds the groups, the
	// largest are told; After and Order do not matter.
	Group(ctx context.Context, q Query, by Column, times bool) (Groups, error)
	// ListJobSets lists job sets with their jobs by state.
	ListJobSets(ctx context.Context, q JobSetQuery) (JobSetPage, error)
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
	// Needs is what its shape stands for. It is shared: nobody may change it.
	Needs *armada.Requirements
}

// Query asks for jobs. Zero fields do not restrict.
type Query struct {
	// Queues are those that the asker may see; nil stands for all, and an empty
	// list for none.
	Queues []string

	// The conditions that are asked for most, and all others.
	Queue           string
	JobSet          string
	JobSetPrefix    string
	Owner           string
	States          []armada.JobState
	Namespace       string
	Annotations     map[string]string // all must be equal
	IDs             []armada.JobID    // of these; nil does not restrict
	SubmittedAfter  time.Time         // inclusive
	SubmittedBefore time.Time         // exclusive
	Where           []Condition

	Order      Column // zero: by number, which is the order of submission
	Descending bool   // latest first, or largest
	Limit      int    // at most [MaxPage]; 0 means 100
	After      string // Page.Next of the page before

	// Patience bounds the search among jobs that no index finds; 0 is a moment.
	Patience time.Duration
}

// MaxPage bounds a page.
const MaxPage = 1000

// MaxSorted is how many matches can be sorted by a column.
const MaxSorted = 100_000

// MaxGroups is how many groups a Group call tells apart.
const MaxGroups = 10_000

// Page is an answer to a query.
type Page struct {
	Jobs []FullJob
	Next string // continues the list; empty at its end
	// Searched is the time of submission of the last job that was looked at, where
	// there is a Next: all that match on this side of it are told.
	Searched time.Time
}

// Counted is how many jobs match.
type Counted struct {
	Jobs    int64
	AtLeast bool // there may be more
}

// Groups are the jobs that match, by a column, the largest group first.
type Groups struct {
	Groups []Group
	// Searched is the time down to which jobs were looked at, newest first, where
	// the time did not suffice for all of them; zero when it did.
	Searched time.Time
	// Others are the jobs of groups beyond the limit.
	Others int64
}

// Group are jobs that have a value in common.
type Group struct {
	Value string // empty too for jobs that have none
	Jobs  StateCounts

	// Of their submissions and of their last transitions, where they were asked for.
	Submitted, Transitioned Span
}

// Span tells of the times of several jobs.
type Span struct{ Earliest, Latest, Mean time.Time }

// StateCounts are numbers of jobs by their state.
type StateCounts [armada.JobRejected + 1]int64

// Total counts jobs in any state.
func (c *StateCounts) Total() int64 {
	total := int64(0)
	for _, n := range c {
		total += n
	}
	return total
}

// Active counts jobs that may still change.
func (c *StateCounts) Active() int64 {
	return c[armada.JobQueued] + c[armada.JobLeased] + c[armada.JobPending] + c[armada.JobRunning]
}

// Add adds other counts.
func (c *StateCounts) Add(o *StateCounts) {
	for i, n := range o {
		c[i] += n
	}
}

// JobSetQuery asks for job sets. Zero fields do not restrict.
type JobSetQuery struct {
	Queues     []string // that the asker may see, as in Query
	Queue      string
	Prefix     string // of the name
	Contains   string // in the name
	ActiveOnly bool   // only those with active jobs
	Limit      int    // at most [MaxPage]; 0 means 100
	After      string
}

// JobSetSummary is a job set with its jobs by state. A job set that was used again
// after its queue was deleted is there once for each time.
type JobSetSummary struct {
	Queue  string
	JobSet armada.JobSet
	Jobs   StateCounts
}

// JobSetPage is an answer to a JobSetQuery, those used first latest first.
type JobSetPage struct {
	JobSets []JobSetSummary
	Next    string
}

// JobSetCount counts active jobs of a job set in one state.
type JobSetCount struct {
	Queue  string
	JobSet armada.JobSet
	State  armada.JobState
	Jobs   int64
}
