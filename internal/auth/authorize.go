package auth

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"armada"
)

// Queues are where the authorizer finds what queues give to whom.
type Queues interface {
	// Queue returns a queue; an error with code NotFound when there is none.
	Queue(ctx context.Context, name string) (armada.Queue, error)
	// Queues returns all queues.
	Queues(ctx context.Context) ([]armada.Queue, error)
}

// Authorizer decides what callers may do. Its methods may be called from many
// goroutines.
type Authorizer struct {
	open      bool
	queues    Queues
	rules     map[armada.Verb]Rule
	groups    mapping
	scopes    mapping
	claims    mapping
	executors map[string][]string
}

// NewAuthorizer makes an authorizer that allows everything to every principal.
func NewAuthorizer(queues Queues) *Authorizer { return &Authorizer{open: true, queues: share(queues)} }

// Authorizer makes the authorizer of the config.
func (c Config) Authorizer(queues Queues) *Authorizer {
	a := &Authorizer{
		open: c.Open(), queues: share(queues), rules: map[armada.Verb]Rule{},
		groups: newMapping(c.PermissionGroupMapping), scopes: newMapping(c.PermissionScopeMapping), claims: newMapping(c.PermissionClaimMapping),
		executors: c.Executors,
	}
	for _, rule := range Rules() {
		a.rules[rule.Verb] = rule
	}
	return a
}

// Authorize returns the principal of the call if it may do what the verb says to
// the queue, or to every queue when that is empty. A call without a principal
// fails with code Unauthenticated, one that is not allowed with code Denied, and
// one about a queue that does not exist, by a caller who may not do it to every
// queue, with code NotFound.
func (a *Authorizer) Authorize(ctx context.Context, verb armada.Verb, queue string) (Principal, error) {
	p, err := Caller(ctx)
	if err != nil {
		return Principal{}, err
	}
	if a.everywhere(&p, verb) {
		return p, nil
	}
	rule := a.rules[verb]
	if queue != "" && len(rule.ByQueue) > 0 && p.only == "" {
		q, err := a.queues.Queue(ctx, queue)
		switch {
		case armada.CodeOf(err) == armada.CodeNotFound:
			return Principal{}, &armada.Error{Code: armada.CodeNotFound, Message: "could not find queue " + shown(queue)}
		case err != nil:
			return Principal{}, fmt.Errorf("look up the permissions of the queue: %w", err)
		case grants(q, &p, rule.ByQueue):
			return p, nil
		}
	}
	return Principal{}, denied(&p, rule, queue)
}

// Namespaces returns the namespaces that jobs of a queue may use, and false when
// that is any. A queue that does not exist fails with code NotFound.
func (a *Authorizer) Namespaces(ctx context.Context, queue string) ([]string, bool, error) {
	q, err := a.queues.Queue(ctx, queue)
	if err != nil {
		return nil, false, fmt.Errorf("look up the namespaces of the queue: %w", err)
	}
	allowed, limited := namespaces(q)
	return allowed, limited, nil
}

// Caller returns the principal of the call, whatever it may do; a call without
// one fails with code Unauthenticated.
func Caller(ctx context.Context) (Principal, error) {
	p, ok := From(ctx)
	if !ok {
		return Principal{}, refused("the call was not authenticated")
	}
	return p, nil
}

// everywhere tells whether the principal may do what the verb says to every queue.
func (a *Authorizer) everywhere(p *Principal, verb armada.Verb) bool {
	if p.only != "" {
		return p.only == verb
	}
	return a.open || slices.ContainsFunc(a.rules[verb].Permissions, func(permission Permission) bool { return a.holds(p, permission) })
}

func (a *Authorizer) holds(p *Principal, permission Permission) bool {
	has := func(names []string) func(string) bool {
		return func(name string) bool { return slices.Contains(names, name) }
	}
	return slices.ContainsFunc(a.groups[permission], p.In) ||
		slices.ContainsFunc(a.scopes[permission], has(p.Scopes)) ||
		slices.ContainsFunc(a.claims[permission], has(p.Claims))
}

// denied is the error of a principal that may not.
func denied(p *Principal, rule Rule, queue string) error {
	permissions := make([]string, len(rule.Permissions))
	for i, permission := range rule.Permissions {
		permissions[i] = string(permission)
	}
	what, takes := string(rule.Verb), "the permission "+strings.Join(permissions, " or ")
	if len(rule.ByQueue) > 0 {
		verbs := make([]string, len(rule.ByQueue))
		for i, verb := range rule.ByQueue {
			verbs[i] = string(verb)
		}
		takes = "the verb " + strings.Join(verbs, " or ") + " on the queue, or " + takes
		if queue == "" {
			what += " in all queues"
		} else {
			what += " in the queue " + shown(queue)
		}
	}
	return &armada.Error{Code: armada.CodeDenied, Message: fmt.Sprintf("user %s may not %s: that takes %s; the user is in %s", shown(p.Name), what, takes, memberships(p.Groups))}
}

// mostGroups bounds how many of a caller's groups an error names.
const mostGroups = 10

// memberships says in which groups somebody is, for who looks for what is missing in
// a mapping: as many as an error has room for.
func memberships(groups []string) string {
	if len(groups) == 0 {
		return "no group"
	}
	names := make([]string, 0, mostGroups)
	for _, group := range groups[:min(len(groups), mostGroups)] {
		names = append(names, shown(group))
	}
	text := "the group "
	if len(groups) > 1 {
		text = "the groups "
	}
	text += strings.Join(names, ", ")
	if more := len(groups) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// AuthorizeExecutor tells whether the caller may speak for an executor; for an id
// that is empty, whether it may be one at all.
func (a *Authorizer) AuthorizeExecutor(ctx context.Context, id armada.ExecutorID) error {
	p, err := a.Authorize(ctx, VerbExecuteJobs, "")
	if err != nil || len(a.executors) == 0 || p.only != "" {
		return err
	}
	own, there := a.executors[p.Name]
	if !there || id != "" && !slices.Contains(own, string(id)) {
		return &armada.Error{Code: armada.CodeDenied, Message: fmt.Sprintf("user %s may not execute_jobs as executor %s: auth.executors gives it %s", shown(p.Name), shown(string(id)), listed(own))}
	}
	return nil
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// Sight is the queues in which a caller may do something.
type Sight struct {
	all    bool
	queues map[string]bool
}

// Everything tells whether those are all queues, also ones that come later.
func (s Sight) Everything() bool { return s.all }

// Sees tells whether a queue is among them.
func (s Sight) Sees(queue string) bool { return s.all || s.queues[queue] }

// Queues are their names in order, of a caller who may not do it everywhere; never
// nil.
func (s Sight) Queues() []string { return append([]string{}, sortedKeys(s.queues)...) }

// Sight returns in which queues the caller may do what the verb says.
func (a *Authorizer) Sight(ctx context.Context, verb armada.Verb) (Sight, error) {
	p, err := Caller(ctx)
	if err != nil {
		return Sight{}, err
	}
	if a.everywhere(&p, verb) {
		return Sight{all: true}, nil
	}
	s := Sight{queues: map[string]bool{}}
	rule := a.rules[verb]
	if p.only != "" || len(rule.ByQueue) == 0 {
		return s, nil
	}
	all, err := a.queues.Queues(ctx)
	if err != nil {
		return Sight{}, fmt.Errorf("look up the permissions of the queues: %w", err)
	}
	for _, q := range all {
		if grants(q, &p, rule.ByQueue) {
			s.queues[q.Name] = true
		}
	}
	return s, nil
}

// NamespacesLabel is the label of a queue that names the namespaces in which its
// jobs may run, with commas between. Without it they may run in any.
const NamespacesLabel = "armada.namespaces"

// namespaces returns the namespaces that the jobs of a queue may use, and false
// when they may use any.
func namespaces(q armada.Queue) ([]string, bool) {
	text, there := q.Labels[NamespacesLabel]
	if !there {
		return nil, false
	}
	var names []string
	for name := range strings.SplitSeq(text, ",") {
		names = append(names, strings.TrimSpace(name))
	}
	return names, true
}
