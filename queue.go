package armada

import (
	"fmt"
	"maps"
	"regexp"
	"time"
)

// Queue is one tenant's line of jobs.
type Queue struct {
	Name           string
	PriorityFactor float64 // at least 1; the queue's weight is its inverse
	Permissions    []Permission
	Limits         map[string]ResourceFractions // by priority class name
	Cordoned       bool                         // its queued jobs are not started
	Labels         map[string]string
	RetryPolicies  []string
	Changes        []QueueChange `json:",omitempty"` // the latest, newest first
}

// QueueChange is a change of a queue that somebody asked for.
type QueueChange struct {
	At   time.Time
	By   string // the user
	What string // "created", or what became different
}

// Permission grants verbs on a queue to subjects.
type Permission struct {
	Subjects []Subject
	Verbs    []Verb
}

// Subject is who a permission is granted to.
type Subject struct {
	Kind string // SubjectUser or SubjectGroup
	Name string
}

// The kinds of subjects.
const (
	SubjectUser  = "User"
	SubjectGroup = "Group"
)

// Verb is what a caller may do with a queue's jobs.
type Verb string

// The verbs.
const (
	VerbSubmit       Verb = "submit"
	VerbCancel       Verb = "cancel"
	VerbPreempt      Verb = "preempt"
	VerbReprioritize Verb = "reprioritize"
	VerbWatch        Verb = "watch"
	VerbExec         Verb = "exec" // run commands in containers of running jobs
)

// Verbs lists all verbs that a queue can give.
func Verbs() []Verb { return append(OwnerVerbs(), VerbExec) }

// OwnerVerbs lists the verbs that come with owning a queue. Running commands in
// other people's containers does not: a queue gives it to those it names.
func OwnerVerbs() []Verb {
	return []Verb{VerbSubmit, VerbCancel, VerbPreempt, VerbReprioritize, VerbWatch}
}

// ResourceFractions bounds an amount, as fractions of a pool's capacity by
// resource name.
type ResourceFractions struct {
	Maximum       map[string]float64
	MaximumByPool map[string]map[string]float64
}

// In returns the fractions that hold in a pool: those named for it, and the
// general ones for the other resources.
func (f ResourceFractions) In(pool string) map[string]float64 {
	fractions := maps.Clone(f.Maximum)
	if fractions == nil {
		fractions = map[string]float64{}
	}
	maps.Copy(fractions, f.MaximumByPool[pool])
	return fractions
}

// Weight is the queue's claim relative to others: the inverse of its factor.
func (q Queue) Weight() float64 {
	if q.PriorityFactor < 1 {
		return 1
	}
	return 1 / q.PriorityFactor
}

var labelValue = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)

// ValidateQueueName tells what is wrong with a queue's name, or nil. A name
// becomes a label value of pods, hence its form.
func ValidateQueueName(name string) error {
	if name == "" {
		return fmt.Errorf("must not be empty")
	}
	if !labelValue.MatchString(name) {
		return fmt.Errorf("%q must be at most 63 letters, digits, '-', '_' or '.', and begin and end with a letter or digit", name)
	}
	return nil
}
