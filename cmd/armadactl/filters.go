package main

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"armada/pkg/api/lookout"
)

// jobFilters are conditions on jobs as flags give them.
type jobFilters struct{ into *[]*lookout.Filter }

// operators are how a condition compares; of two that begin alike the longer one is
// first.
var operators = []struct {
	sign  string
	match lookout.Match
}{
	{">=", lookout.Match_GREATER_OR_EQUAL},
	{"<=", lookout.Match_LESS_OR_EQUAL},
	{"^=", lookout.Match_STARTS_WITH},
	{"~", lookout.Match_CONTAINS},
	{"=", lookout.Match_EQUALS},
	{">", lookout.Match_GREATER_THAN},
	{"<", lookout.Match_LESS_THAN},
}

// annotationMark stands before the key of an annotation.
const annotationMark = "annotation:"

// Set adds a condition: FIELD OPERATOR VALUE, or a field alone, which has to be there.
func (f jobFilters) Set(text string) error {
	filter := &lookout.Filter{Field: text, Match: lookout.Match_EXISTS}
	if at := strings.IndexAny(text, "=~<>^"); at >= 0 {
		for _, o := range operators {
			if value, found := strings.CutPrefix(text[at:], o.sign); found {
				filter = &lookout.Filter{Field: text[:at], Match: o.match, Values: []string{value}}
				break
			}
		}
	}
	filter.Field = strings.TrimSpace(filter.GetField())
	if key, is := strings.CutPrefix(filter.GetField(), annotationMark); is {
		filter.Field, filter.IsAnnotation = key, true
	}
	if filter.GetField() == "" || strings.ContainsAny(filter.GetField(), "=~<>^") {
		return fmt.Errorf("must be a field, an operator and a value, such as reason~memory, cpu>=4 or %steam^=res; the operators are = ~ ^= > >= < <=", annotationMark)
	}
	*f.into = append(*f.into, filter)
	return nil
}

func (f jobFilters) String() string { return "" }

// Type is what the help shows as the value.
func (f jobFilters) Type() string { return "FIELD[OPERATOR VALUE]" }

// fieldFilter is a flag for the value of one field.
type fieldFilter struct {
	jobFilters
	field string
}

// Set adds the condition that the field has a value.
func (f fieldFilter) Set(text string) error {
	*f.into = append(*f.into, &lookout.Filter{Field: f.field, Values: []string{text}})
	return nil
}

// Type is what the help shows as the value.
func (f fieldFilter) Type() string { return "string" }

// filterFlags gives flags for conditions.
func filterFlags(flags *pflag.FlagSet, into *[]*lookout.Filter) {
	for _, flag := range [][3]string{
		{"executor", "executor", "only jobs whose newest run is on this executor"},
		{"node", "node", "only jobs whose newest run is on this node"},
		{"pool", "pool", "only jobs whose newest run is in this pool"},
		{"priority-class", "priority_class", "only jobs of this priority class"},
	} {
		flags.Var(fieldFilter{jobFilters{into}, flag[1]}, flag[0], flag[2])
	}
	flags.Var(jobFilters{into}, "filter", "only jobs of which this is true, such as reason~memory, cpu>=4, attempts>1, cancel_user or annotation:team^=res; may be repeated")
}
