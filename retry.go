package armada

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// RetryPolicy says which attempts that ended badly are followed by another one.
// Queues name the policies that are asked, in order.
type RetryPolicy struct {
	Name    string
	Limit   int         // attempts that it may give to a job after the first one
	Default RetryAction // what to do when no rule matches
	Rules   []RetryRule // the first that matches decides
}

// RetryAction is what becomes of a job whose attempt ended badly.
type RetryAction uint8

// The actions.
const (
	RetryFail  RetryAction = 1 + iota // the job fails
	RetryAgain                        // the job is queued again
)

// String returns the action as users write it.
func (a RetryAction) String() string {
	switch a {
	case RetryFail:
		return "Fail"
	case RetryAgain:
		return "Retry"
	}
	return "unknown"
}

// RetryRule is what to do about one kind of bad end. An end is of the kind when
// everything that the rule names is true of it.
type RetryRule struct {
	Action RetryAction

	Category    string // empty for any
	Subcategory string // empty for any
	ExitCodes   []int32
	Conditions  []RetryCondition
	Message     string // a regular expression that a container's termination message matches

	// What the next attempt does otherwise.
	AvoidNode bool // it does not run on the node of this one
	Memory    MemoryGrowth
}

// RetryCondition is a way to end that has a name.
type RetryCondition string

// The conditions.
const (
	RetryOnOutOfMemory      RetryCondition = "OOMKilled"
	RetryOnEvicted          RetryCondition = "Evicted"
	RetryOnDeadlineExceeded RetryCondition = "DeadlineExceeded"
	RetryOnPreempted        RetryCondition = "Preempted" // the scheduler or a user took the job's place
)

// RetryConditions lists every condition.
func RetryConditions() []RetryCondition {
	return []RetryCondition{RetryOnOutOfMemory, RetryOnEvicted, RetryOnDeadlineExceeded, RetryOnPreempted}
}

// MemoryGrowth is by how much an attempt gets more memory than the job's pod spec
// asks for: a factor above 1, or bytes that are added. The zero value is not at
// all.
type MemoryGrowth struct {
	Factor float64 // multiplies every request and limit
	Extra  int64   // bytes, for the container that has most
}

// maxMemory is where memory grows no more: no node has so much, and amounts beyond
// are not exact any more.
const maxMemory = 1 << 53

// Grow returns an amount of memory, grown. What is not asked for stays so.
func (g MemoryGrowth) Grow(amount int64) int64 {
	switch {
	case amount <= 0:
		return amount
	case g.Factor > 1:
		if grown := float64(amount) * g.Factor; grown < maxMemory {
			return int64(grown)
		}
		return maxMemory
	default:
		return min(amount, maxMemory) + min(g.Extra, maxMemory)
	}
}

// and adds one growth to another. Factors are multiplied and bytes added; of a
// job that has one kind the other is no more.
func (g MemoryGrowth) and(more MemoryGrowth) MemoryGrowth {
	switch {
	case g == MemoryGrowth{}:
		return more
	case g.Factor > 0 && more.Factor > 0:
		g.Factor = min(g.Factor*more.Factor, maxMemory)
	case g.Factor == 0:
		g.Extra = min(g.Extra, maxMemory) + min(more.Extra, maxMemory)
	}
	return g
}

// Match returns what the policy does about an end, and whether one of its rules
// says so. The rule is one with the default action otherwise. Preempted tells that
// the attempt lost its place: then only rules that name that match.
func (p *RetryPolicy) Match(end *RunEnd, preempted bool) (RetryRule, bool) {
	for i := range p.Rules {
		if p.Rules[i].matches(end, preempted) {
			return p.Rules[i], true
		}
	}
	if preempted {
		return RetryRule{Action: RetryFail}, false
	}
	return RetryRule{Action: p.Default}, false
}

func (r *RetryRule) matches(end *RunEnd, preempted bool) bool {
	if preempted && !slices.Contains(r.Conditions, RetryOnPreempted) {
		return false
	}
	return (r.Category == "" || r.Category == end.Category) &&
		(r.Subcategory == "" || r.Subcategory == end.Subcategory) &&
		(len(r.ExitCodes) == 0 || slices.ContainsFunc(end.Containers, r.exitedWith)) &&
		(len(r.Conditions) == 0 || slices.ContainsFunc(r.Conditions, func(c RetryCondition) bool { return c.Holds(end, preempted) })) &&
		(r.Message == "" || r.said(end.Containers))
}

func (r *RetryRule) exitedWith(c ContainerEnd) bool {
	return c.ExitCode != 0 && slices.Contains(r.ExitCodes, c.ExitCode)
}

// said tells whether a container ended with a message that the rule is for. A
// pattern that is none matches nothing.
func (r *RetryRule) said(containers []ContainerEnd) bool {
	pattern, err := regexp.Compile(r.Message)
	return err == nil && slices.ContainsFunc(containers, func(c ContainerEnd) bool { return pattern.MatchString(c.Message) })
}

// Holds tells whether an attempt ended in the way that the condition names: as a
// whole, or one of its containers. Preempted tells that it lost its place.
func (c RetryCondition) Holds(end *RunEnd, preempted bool) bool {
	cause := CauseError
	switch c {
	case RetryOnPreempted:
		return preempted
	case RetryOnOutOfMemory:
		cause = CauseOutOfMemory
	case RetryOnEvicted:
		cause = CauseEvicted
	case RetryOnDeadlineExceeded:
		cause = CauseDeadlineExceeded
	}
	return cause != CauseError && (end.Cause == cause || slices.ContainsFunc(end.Containers, func(e ContainerEnd) bool { return e.Cause == cause }))
}

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// ValidateRetryPolicyName tells what is wrong with a policy's name, or nil.
func ValidateRetryPolicyName(name string) error {
	if !dnsLabel.MatchString(name) {
		return fmt.Errorf("%q must be 1 to 63 lower-case letters, digits or '-', and begin and end with a letter or digit", name)
	}
	return nil
}

// Validate lists what is wrong with a policy, by the paths of its fields on the
// wire.
func (p *RetryPolicy) Validate() []Violation {
	var wrong []Violation
	add := func(path, format string, args ...any) {
		wrong = append(wrong, Violation{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	if err := ValidateRetryPolicyName(p.Name); err != nil {
		add("name", "%v", err)
	}
	checkAction := func(path string, a RetryAction) {
		if a != RetryFail && a != RetryAgain {
			add(path, "must be Fail or Retry")
		}
	}
	checkAction("default_action", p.Default)
	for i := range p.Rules {
		path := fmt.Sprintf("rules[%d].", i)
		checkAction(path+"action", p.Rules[i].Action)
		p.Rules[i].validate(func(field, format string, args ...any) { add(path+field, format, args...) })
	}
	return wrong
}

func (r *RetryRule) validate(add func(field, format string, args ...any)) {
	if r.Category == "" && len(r.ExitCodes) == 0 && len(r.Conditions) == 0 && r.Message == "" {
		add("on_category", "is empty, and so are on_exit_codes, on_conditions and on_termination_message: a rule must name one of them; what to do about everything else is default_action")
	}
	if r.Subcategory != "" && r.Category == "" {
		add("on_subcategory", "is %q and must come with on_category, of which it is a part", r.Subcategory)
	}
	for i, code := range r.ExitCodes {
		if code == 0 {
			add(fmt.Sprintf("on_exit_codes[%d]", i), "is 0, which is a success; must be another exit code")
		}
	}
	for i, c := range r.Conditions {
		if !slices.Contains(RetryConditions(), c) {
			add(fmt.Sprintf("on_conditions[%d]", i), "is %q, must be one of %s", string(c), conditionList())
		}
	}
	if _, err := regexp.Compile(r.Message); err != nil {
		add("on_termination_message", "is no regular expression (RE2): %v", err)
	}
	if r.Action == RetryFail && (r.AvoidNode || r.Memory != MemoryGrowth{}) {
		add("mutate", "changes the next attempt and there is none: the action is Fail")
	}
}

func conditionList() string {
	var names []string
	for _, c := range RetryConditions() {
		names = append(names, string(c))
	}
	return strings.Join(names, ", ")
}
