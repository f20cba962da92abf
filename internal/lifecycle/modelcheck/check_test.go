package modelcheck_test

import (
	"fmt"
	"strings"
	"testing"

	"armada/internal/lifecycle/modelcheck"
)

// puzzle is the one of two jugs, of 3 and 5 litres: a state is what they hold.
func puzzle() modelcheck.Machine[[2]int, string] {
	size := [2]int{3, 5}
	return modelcheck.Machine[[2]int, string]{
		Next: func(s [2]int, yield func(string, [2]int)) {
			for i, name := range []string{"small", "large"} {
				full, empty, poured, other := s, s, s, 1-i
				full[i], empty[i] = size[i], 0
				amount := min(s[i], size[other]-s[other])
				poured[i], poured[other] = s[i]-amount, s[other]+amount
				yield("fill the "+name, full)
				yield("empty the "+name, empty)
				yield("pour from the "+name, poured)
			}
		},
		Bad:  func([2]int) string { return "" },
		Goal: func(s [2]int) bool { return s == [2]int{} },
	}
}

func TestTheCheckerVisitsEveryState(t *testing.T) {
	t.Parallel()
	r := modelcheck.Check(puzzle(), 100)
	// Of 4 times 6 states those are reachable where a jug is full or empty.
	if r.Violation != "" || r.States != 16 || len(r.Trace) != 0 {
		t.Errorf("got %+v", r)
	}
}

func TestTheCheckerFindsAShortestWay(t *testing.T) {
	t.Parallel()
	m := puzzle()
	m.Bad = func(s [2]int) string {
		if s[1] == 4 {
			return "four litres"
		}
		return ""
	}
	r := modelcheck.Check(m, 100)
	// The first state and six steps.
	if r.Violation != "four litres" || len(r.Trace) != 7 {
		t.Fatalf("got %+v", r)
	}
	story := r.Story(func(s [2]int) []string {
		return []string{fmt.Sprintf("small %d", s[0]), fmt.Sprintf("large %d", s[1])}
	})
	for _, part := range []string{
		"at first:\n       small 0\n       large 0\n1. fill the large\n       large 5\n2. pour from the large", "6. pour from the large", "=> four litres",
	} {
		if !strings.Contains(story, part) {
			t.Errorf("the story has no %q:\n%s", part, story)
		}
	}
}

func TestTheCheckerFindsStatesFromWhichNoEndCanBeReached(t *testing.T) {
	t.Parallel()
	m := modelcheck.Machine[int, string]{
		Next: func(s int, yield func(string, int)) {
			switch s {
			case 0, 1:
				yield("on", s+1)
				yield("astray", 10)
			case 10, 11: // goes round for ever
				yield("round", 21-s)
			}
		},
		Bad:  func(int) string { return "" },
		Goal: func(s int) bool { return s == 2 },
	}
	r := modelcheck.Check(m, 100)
	if r.Violation == "" || len(r.Trace) != 2 || r.Trace[1].State != 10 || r.Trace[1].Action != "astray" {
		t.Errorf("got %+v", r)
	}
}

func TestTheCheckerDoesNotCallAnUnfinishedSearchAProof(t *testing.T) {
	t.Parallel()
	if r := modelcheck.Check(puzzle(), 5); !strings.Contains(r.Violation, "more than 5 states") {
		t.Errorf("got %+v", r)
	}
}
