package armada

import (
	"strconv"
	"strings"
)

// The identifiers. They are distinct types so that a job id cannot stand where
// a run id is meant; all are valid UTF-8 and compared byte by byte.
type (
	// JobID is a lower-case ULID, 26 characters. It names a job and orders
	// nothing: order is told by [Job.Number].
	JobID string
	// RunID is the job's id, a hyphen and the attempt's number from 1; it is
	// a valid Kubernetes label value.
	RunID string
	// JobSet is the user's label for jobs watched together, within one queue.
	JobSet string
	// ExecutorID names the agent of one cluster.
	ExecutorID string
	// SessionID names one life of an executor's connection.
	SessionID string
	// TemplateID is the content hash of a stored pod spec, in lower-case hex.
	TemplateID string
	// ShapeID is the content hash of [Requirements], in lower-case hex.
	ShapeID string
)

// NewRunID names the attempt-th run of a job; attempts count from 1.
func NewRunID(job JobID, attempt int) RunID {
	return RunID(string(job) + "-" + strconv.Itoa(attempt))
}

// Job returns the job that the run is an attempt of, and false for an id that
// [NewRunID] did not make.
func (id RunID) Job() (JobID, bool) {
	job, attempt, found := strings.Cut(string(id), "-")
	if n, err := strconv.Atoi(attempt); !found || job == "" || err != nil || n < 1 {
		return "", false
	}
	return JobID(job), true
}
