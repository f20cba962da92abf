package executor

import (
	"regexp"
	"strings"
	"testing"

	"armada"
	"armada/internal/runs"
)

func matching(text string) TextMatch {
	return TextMatch{Pattern: runs.Pattern{Regexp: regexp.MustCompile(text)}}
}

func TestTheFirstRuleThatMatchesNamesAFailure(t *testing.T) {
	t.Parallel()
	names := Categories{
		DefaultCategory: "user", DefaultSubcategory: "other",
		Categories: []Category{
			{Name: "resources", Rules: []CategoryRule{
				{OnConditions: []armada.RetryCondition{armada.RetryOnOutOfMemory}, ContainerName: "main", Subcategory: "memory", Hint: "ask for more memory"},
				{OnConditions: []armada.RetryCondition{armada.RetryOnEvicted, armada.RetryOnDeadlineExceeded}},
			}},
			{Name: "data", Rules: []CategoryRule{
				{OnTerminationMessage: matching("(?i)no such table"), Subcategory: "schema"},
				{OnExitCodes: ExitCodes{Operator: ExitCodeIn, Values: []int32{74, 75}}, ContainerName: "loader"},
			}},
			{Name: "cluster", Rules: []CategoryRule{
				{OnPodError: matching("^the pod could not be made"), Subcategory: "refused"},
				{OnPodEvents: matching("^FailedMount: "), Subcategory: "volumes"},
			}},
			{Name: "late", Rules: []CategoryRule{{OnExitCodes: ExitCodes{Operator: ExitCodeNotIn, Values: []int32{1, 2, 137}}}}},
		},
	}
	if err := names.Validate(); err != nil {
		t.Fatal(err)
	}
	ends := func(name string, code int32, cause armada.Cause, message string) armada.RunEnd {
		return armada.RunEnd{Containers: []armada.ContainerEnd{{Name: name, ExitCode: code, Cause: cause, Message: message}}}
	}
	for what, c := range map[string]struct {
		phase  runs.Phase // failed when 0
		end    armada.RunEnd
		events []string
		want   string
	}{
		"a container out of memory":             {end: ends("main", 137, armada.CauseOutOfMemory, ""), want: "resources/memory"},
		"another container out of memory":       {end: ends("sidecar", 137, armada.CauseOutOfMemory, ""), want: "user/other"},
		"out of memory as a whole, of whom?":    {end: armada.RunEnd{Cause: armada.CauseOutOfMemory}, want: "user/other"},
		"evicted":                               {end: armada.RunEnd{Cause: armada.CauseEvicted}, want: "resources/"},
		"past its deadline":                     {end: armada.RunEnd{Cause: armada.CauseDeadlineExceeded}, want: "resources/"},
		"a termination message":                 {end: ends("main", 1, 0, "ERROR: No such table: x"), want: "data/schema"},
		"the message of one that succeeded":     {end: ends("main", 0, 0, "no such table, made it"), want: "user/other"},
		"an exit code":                          {end: ends("loader", 75, 0, ""), want: "data/"},
		"the exit code of another container":    {end: ends("main", 75, 0, ""), want: "late/"},
		"an exit code that is not in the list":  {end: ends("main", 9, 0, ""), want: "late/"},
		"an exit code that is in the list":      {end: ends("main", 2, 0, ""), want: "user/other"},
		"a success is in no list":               {end: ends("main", 0, 0, ""), want: "user/other"},
		"the reason":                            {end: armada.RunEnd{Reason: "the pod could not be made: no", Category: "internal", Subcategory: "job-creation-failed"}, want: "cluster/refused"},
		"an event":                              {end: armada.RunEnd{Reason: "it failed"}, events: []string{"Scheduled: ok", "FailedMount: no volume"}, want: "cluster/volumes"},
		"what has a name keeps it":              {end: armada.RunEnd{Category: "internal", Subcategory: "node-lost"}, want: "internal/node-lost"},
		"what did not fail is no failure":       {phase: runs.Succeeded, end: ends("main", 9, 0, ""), want: "/"},
		"what was stopped did not fail":         {phase: runs.Stopped, end: ends("main", 9, 0, ""), want: "/"},
		"what nobody saw the end of has no end": {phase: runs.Unknown, want: "/"},
	} {
		s := runs.Status{Phase: runs.Failed, End: c.end, Events: c.events}
		if c.phase != 0 {
			s.Phase = c.phase
		}
		names.name(&s)
		if got := s.End.Category + "/" + s.End.Subcategory; got != c.want {
			t.Errorf("%s: named %q, want %q", what, got, c.want)
		}
		if hinted := strings.HasSuffix(s.End.Reason, "(hint: ask for more memory)"); hinted != (c.want == "resources/memory") {
			t.Errorf("%s: the reason is %q", what, s.End.Reason)
		}
	}
}

func TestWithoutCategoriesNothingIsNamedAnew(t *testing.T) {
	t.Parallel()
	s := runs.Status{Phase: runs.Failed, End: armada.RunEnd{Reason: "it failed", Containers: []armada.ContainerEnd{{ExitCode: 3}}}}
	var none Categories
	none.name(&s)
	if s.End.Category != "" || s.End.Subcategory != "" || s.End.Reason != "it failed" {
		t.Errorf("the end became %+v", s.End)
	}
}

func TestCategoriesThatAreWrongAreRefusedByKey(t *testing.T) {
	t.Parallel()
	wrong := Categories{
		DefaultCategory: "internal", DefaultSubcategory: strings.Repeat("x", 64),
		Categories: []Category{
			{},
			{Name: "a", Rules: []CategoryRule{
				{},
				{OnPodError: matching("a"), OnPodEvents: matching("b")},
				{OnConditions: []armada.RetryCondition{"OutOfLuck", armada.RetryOnPreempted}},
				{OnExitCodes: ExitCodes{Operator: "Is", Values: []int32{0}}},
				{OnExitCodes: ExitCodes{Operator: ExitCodeIn}},
				{OnPodError: matching("a"), ContainerName: "main", Subcategory: strings.Repeat("x", 64)},
			}},
		},
	}
	err := wrong.Validate()
	if err == nil {
		t.Fatal("nothing is wrong with it")
	}
	for _, want := range []string{
		`defaultCategory: must not be "internal"`, "defaultSubcategory: must be at most 63 bytes long, is 64",
		"categories[0].name: must not be empty", "categories[0].rules: must have a rule",
		"categories[1].rules[0]: must have exactly one of onConditions, ", ", has 0", "categories[1].rules[1]: must have exactly one of", ", has 2",
		`categories[1].rules[2].onConditions[0]: must be OOMKilled, Evicted or DeadlineExceeded, is "OutOfLuck"`, "rules[2].onConditions[1]",
		`rules[3].onExitCodes.operator: must be In or NotIn, is "Is"`, "rules[3].onExitCodes.values: must not have 0",
		"rules[4].onExitCodes.values: must have a code", "rules[5].containerName: goes with", "rules[5].subcategory: must be at most",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
	if err := (&Categories{DefaultSubcategory: "x"}).Validate(); err == nil || !strings.Contains(err.Error(), "must come with defaultCategory") {
		t.Errorf("a default subcategory alone: %v", err)
	}
}
