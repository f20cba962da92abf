package executor

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"armada"
	"armada/internal/runs"
)

// Categories name the ways in which runs fail. The rules of all categories are
// asked in order, and the first that matches names the failure; what none matches
// keeps the name that the runtime gave it, or gets the default one. Only ends that
// the runtime told are named: what the agent did itself it names itself.
type Categories struct {
	DefaultCategory    string // of failures without another; empty for none
	DefaultSubcategory string
	Categories         []Category
}

// Category is one name, and the failures that have it.
type Category struct {
	Name  string
	Rules []CategoryRule
}

// CategoryRule finds failures by one matcher: exactly one of the fields that begin
// with On must be set.
type CategoryRule struct {
	OnConditions         []armada.RetryCondition // that the run, or a container, ended so; not Preempted
	OnExitCodes          ExitCodes               // of a container that did not succeed
	OnTerminationMessage TextMatch               // of a container that did not succeed
	OnPodError           TextMatch               // the reason of the failure
	OnPodEvents          TextMatch               // an event of the pod, as "reason: message"

	ContainerName string // only this container counts; empty is every one
	Subcategory   string // what the failure is called within its category
	Hint          string // for people, added to the reason of the failure
}

// ExitCodes are those that are In a list, or NotIn it. 0 is never one of them.
type ExitCodes struct {
	Operator ExitCodeOperator
	Values   []int32
}

// ExitCodeOperator says which codes are meant.
type ExitCodeOperator string

// The operators.
const (
	ExitCodeIn    ExitCodeOperator = "In"
	ExitCodeNotIn ExitCodeOperator = "NotIn"
)

// TextMatch is a text that a pattern matches.
type TextMatch struct{ Pattern runs.Pattern }

func (m TextMatch) isSet() bool { return m.Pattern.Regexp != nil }

func (c ExitCodes) isSet() bool { return c.Operator != "" || len(c.Values) > 0 }

func (c ExitCodes) match(code int32) bool {
	return code != 0 && slices.Contains(c.Values, code) == (c.Operator == ExitCodeIn)
}

// name gives a run that has failed its category and subcategory, and the hint.
func (c *Categories) name(s *runs.Status) {
	if s.Phase != runs.Failed {
		return
	}
	for i := range c.Categories {
		for j := range c.Categories[i].Rules {
			rule := &c.Categories[i].Rules[j]
			if !rule.matches(s) {
				continue
			}
			s.End.Category, s.End.Subcategory = c.Categories[i].Name, rule.Subcategory
			if rule.Hint != "" {
				s.End.Reason = strings.TrimSpace(s.End.Reason + " (hint: " + rule.Hint + ")")
			}
			return
		}
	}
	if s.End.Category == "" {
		s.End.Category, s.End.Subcategory = c.DefaultCategory, c.DefaultSubcategory
	}
}

func (r *CategoryRule) matches(s *runs.Status) bool {
	switch {
	case len(r.OnConditions) > 0:
		end := s.End
		if r.ContainerName != "" {
			end.Cause, end.Containers = armada.CauseError, r.containers(s)
		}
		return slices.ContainsFunc(r.OnConditions, func(c armada.RetryCondition) bool { return c.Holds(&end, false) })
	case r.OnExitCodes.isSet():
		return slices.ContainsFunc(r.containers(s), func(e armada.ContainerEnd) bool { return r.OnExitCodes.match(e.ExitCode) })
	case r.OnTerminationMessage.isSet():
		return slices.ContainsFunc(r.containers(s), func(e armada.ContainerEnd) bool {
			return e.ExitCode != 0 && r.OnTerminationMessage.Pattern.MatchString(e.Message)
		})
	case r.OnPodError.isSet():
		return r.OnPodError.Pattern.MatchString(s.End.Reason)
	case r.OnPodEvents.isSet():
		return slices.ContainsFunc(s.Events, r.OnPodEvents.Pattern.MatchString)
	}
	return false
}

// containers are the ends of those that the rule is for.
func (r *CategoryRule) containers(s *runs.Status) []armada.ContainerEnd {
	if r.ContainerName == "" {
		return s.End.Containers
	}
	return slices.DeleteFunc(slices.Clone(s.End.Containers), func(e armada.ContainerEnd) bool { return e.Name != r.ContainerName })
}

// maxCategoryName is how long names may be, in bytes.
const maxCategoryName = 63

// Validate tells everything that is wrong, by key.
func (c *Categories) Validate() error {
	var errs []error
	add := func(path, format string, args ...any) { errs = append(errs, fmt.Errorf(path+": "+format, args...)) }
	category := func(path, name string) {
		if name == armada.CategoryInternal {
			add(path, "must not be %q, which is Armada's own", name)
		}
		short(path, name, add)
	}
	category("defaultCategory", c.DefaultCategory)
	short("defaultSubcategory", c.DefaultSubcategory, add)
	if c.DefaultSubcategory != "" && c.DefaultCategory == "" {
		add("defaultSubcategory", "is %q and must come with defaultCategory, of which it is a part", c.DefaultSubcategory)
	}
	for i := range c.Categories {
		path := fmt.Sprintf("categories[%d].", i)
		if c.Categories[i].Name == "" {
			add(path+"name", "must not be empty")
		}
		category(path+"name", c.Categories[i].Name)
		if len(c.Categories[i].Rules) == 0 {
			add(path+"rules", "must have a rule")
		}
		for j := range c.Categories[i].Rules {
			at := fmt.Sprintf("%srules[%d]", path, j)
			c.Categories[i].Rules[j].validate(func(field, format string, args ...any) { add(at+field, format, args...) })
		}
	}
	return errors.Join(errs...)
}

func short(path, name string, add func(path, format string, args ...any)) {
	if len(name) > maxCategoryName {
		add(path, "must be at most %d bytes long, is %d", maxCategoryName, len(name))
	}
}

func (r *CategoryRule) validate(add func(field, format string, args ...any)) {
	matchers := 0
	for _, set := range []bool{
		len(r.OnConditions) > 0, r.OnExitCodes.isSet(), r.OnTerminationMessage.isSet(), r.OnPodError.isSet(), r.OnPodEvents.isSet(),
	} {
		if set {
			matchers++
		}
	}
	if matchers != 1 {
		add("", "must have exactly one of onConditions, onExitCodes, onTerminationMessage.pattern, onPodError.pattern and onPodEvents.pattern, has %d", matchers)
	}
	for i, condition := range r.OnConditions {
		if condition == armada.RetryOnPreempted || !slices.Contains(armada.RetryConditions(), condition) {
			add(fmt.Sprintf(".onConditions[%d]", i), "must be OOMKilled, Evicted or DeadlineExceeded, is %q", condition)
		}
	}
	if codes := r.OnExitCodes; codes.isSet() {
		if codes.Operator != ExitCodeIn && codes.Operator != ExitCodeNotIn {
			add(".onExitCodes.operator", "must be In or NotIn, is %q", codes.Operator)
		}
		if len(codes.Values) == 0 {
			add(".onExitCodes.values", "must have a code")
		}
		if slices.Contains(codes.Values, 0) {
			add(".onExitCodes.values", "must not have 0, which is a success")
		}
	}
	if r.ContainerName != "" && (r.OnPodError.isSet() || r.OnPodEvents.isSet()) {
		add(".containerName", "goes with what is told of containers: onConditions, onExitCodes or onTerminationMessage")
	}
	short(".subcategory", r.Subcategory, add)
}
