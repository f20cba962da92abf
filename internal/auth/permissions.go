package auth

import (
	"maps"
	"slices"

	"armada"
)

// The verbs that are not about the jobs of one queue.
const (
	VerbCreateQueue    armada.Verb = "create_queue" // replaces and updates too
	VerbDeleteQueue    armada.Verb = "delete_queue"
	VerbCordonQueue    armada.Verb = "cordon_queue"
	VerbSeeQueues      armada.Verb = "see_queues" // their settings and figures
	VerbSeeJobs        armada.Verb = "see_jobs"   // states and details of any job
	VerbCordonNodes    armada.Verb = "cordon_nodes"
	VerbExecuteJobs    armada.Verb = "execute_jobs"
	VerbUpdateExecutor armada.Verb = "update_executor_settings"

	VerbCreateRetryPolicy armada.Verb = "create_retry_policy" // replaces too
	VerbUpdateRetryPolicy armada.Verb = "update_retry_policy"
	VerbDeleteRetryPolicy armada.Verb = "delete_retry_policy"

	VerbAskReplica armada.Verb = "ask_replica" // what only another replica of the server asks
)

// Permission is the right to a verb, on every queue if it is about one.
type Permission string

// The permissions. All but exec_any_jobs and ask_replica have the names that Armada's
// own servers know.
const (
	SubmitAnyJobs       Permission = "submit_any_jobs"
	CancelAnyJobs       Permission = "cancel_any_jobs"
	PreemptAnyJobs      Permission = "preempt_any_jobs"
	ReprioritizeAnyJobs Permission = "reprioritize_any_jobs"
	WatchAllEvents      Permission = "watch_all_events" // and see the jobs of every queue
	ExecAnyJobs         Permission = "exec_any_jobs"    // run commands in their containers
	CreateQueue         Permission = "create_queue"
	DeleteQueue         Permission = "delete_queue"
	CordonQueue         Permission = "cordon_queue"
	CordonNodes         Permission = "cordon_nodes"
	ExecuteJobs         Permission = "execute_jobs"
	UpdateExecutor      Permission = "update_executor_settings"
	CreateRetryPolicy   Permission = "create_retry_policy"
	UpdateRetryPolicy   Permission = "update_retry_policy"
	DeleteRetryPolicy   Permission = "delete_retry_policy"
	AskReplica          Permission = "ask_replica"
)

// A Rule says what gives the right to a verb.
type Rule struct {
	Verb armada.Verb
	// Permissions are those of which one is enough.
	Permissions []Permission
	// ByQueue are the verbs on the queue concerned of which one is enough; none for
	// verbs that queues do not give.
	ByQueue []armada.Verb
}

// Rules are all of them. This is the one list of who may do what.
func Rules() []Rule {
	return []Rule{
		{armada.VerbSubmit, []Permission{SubmitAnyJobs}, []armada.Verb{armada.VerbSubmit}},
		{armada.VerbCancel, []Permission{CancelAnyJobs}, []armada.Verb{armada.VerbCancel}},
		{armada.VerbPreempt, []Permission{PreemptAnyJobs}, []armada.Verb{armada.VerbPreempt}},
		{armada.VerbReprioritize, []Permission{ReprioritizeAnyJobs}, []armada.Verb{armada.VerbReprioritize}},
		{armada.VerbWatch, []Permission{WatchAllEvents}, []armada.Verb{armada.VerbWatch}},
		{armada.VerbExec, []Permission{ExecAnyJobs}, []armada.Verb{armada.VerbExec}},
		{VerbSeeJobs, []Permission{WatchAllEvents}, []armada.Verb{armada.VerbWatch}},
		// Whoever may do something with a queue may know how it is set.
		{VerbSeeQueues, []Permission{
			SubmitAnyJobs, CancelAnyJobs, PreemptAnyJobs, ReprioritizeAnyJobs, WatchAllEvents, ExecAnyJobs, CreateQueue, DeleteQueue, CordonQueue,
		}, armada.Verbs()},
		{VerbCreateQueue, []Permission{CreateQueue}, nil},
		{VerbDeleteQueue, []Permission{DeleteQueue}, nil},
		{VerbCordonQueue, []Permission{CordonQueue}, nil},
		{VerbCordonNodes, []Permission{CordonNodes}, nil},
		{VerbExecuteJobs, []Permission{ExecuteJobs}, nil},
		{VerbUpdateExecutor, []Permission{UpdateExecutor}, nil},
		{VerbCreateRetryPolicy, []Permission{CreateRetryPolicy}, nil},
		{VerbUpdateRetryPolicy, []Permission{UpdateRetryPolicy}, nil},
		{VerbDeleteRetryPolicy, []Permission{DeleteRetryPolicy}, nil},
		{VerbAskReplica, []Permission{AskReplica}, nil},
	}
}

// GivenByQueues tells whether queues give the right to a verb, so that it takes a
// queue to say who has it.
func GivenByQueues(verb armada.Verb) bool { return givenByQueues[verb] }

var givenByQueues = func() map[armada.Verb]bool {
	given := map[armada.Verb]bool{}
	for _, rule := range Rules() {
		given[rule.Verb] = len(rule.ByQueue) > 0
	}
	return given
}()

// Permissions are all permissions there are, each once.
func Permissions() []Permission {
	var all []Permission
	for _, rule := range Rules() {
		for _, p := range rule.Permissions {
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	return all
}

// grants tells whether a queue gives one of the verbs to the principal.
func grants(q armada.Queue, p *Principal, verbs []armada.Verb) bool {
	for _, given := range q.Permissions {
		if !slices.ContainsFunc(given.Verbs, func(v armada.Verb) bool { return slices.Contains(verbs, v) }) {
			continue
		}
		for _, s := range given.Subjects {
			if s.Kind == armada.SubjectUser && s.Name == p.Name || s.Kind == armada.SubjectGroup && p.In(s.Name) {
				return true
			}
		}
	}
	return false
}

// mapping gives permissions to whoever is or has one of the names.
type mapping map[Permission][]string

func newMapping(entries map[string][]string) mapping {
	m := mapping{}
	for name, holders := range entries {
		m[Permission(name)] = holders
	}
	return m
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
