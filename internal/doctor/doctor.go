// Package doctor is the words in which an installation is told what is wrong with
// it and what would be right. Who examines what it knows makes checks of it:
// the forms of the store of their database, internal/app of the rest.
//
// The words: a check is one question with its answer; the verdict is how bad the
// answer is; the finding is what was seen, and the advice what would be right. A
// check that could not be made says why, and is never taken for a good one.
//
// An examination must change nothing. The package must never look at anything
// itself.
package doctor

import "fmt"

// Verdict is how bad an answer is.
type Verdict uint8

// The verdicts. The zero value is that nobody could look.
const (
	NotChecked Verdict = iota // the finding says why
	OK
	Warning // it works, and will hurt one day
	Problem // something that Armada promises does not hold
)

var verdictNames = [...]string{"not checked", "ok", "warning", "problem"}

// String returns the verdict in words.
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return "unknown"
}

// MarshalText writes the words.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// Check is one question and its answer.
type Check struct {
	Name    string  `json:"name" yaml:"name"` // what was looked at, in a few words: the same every time
	Verdict Verdict `json:"verdict" yaml:"verdict"`
	Finding string  `json:"finding" yaml:"finding"`                   // what was seen
	Advice  string  `json:"advice,omitempty" yaml:"advice,omitempty"` // what would be right; empty when it is
}

// Good is a check of something that is right.
func Good(name, finding string, args ...any) Check {
	return Check{Name: name, Verdict: OK, Finding: fmt.Sprintf(finding, args...)}
}

// Unknown is a check that could not be made.
func Unknown(name, why string, args ...any) Check {
	return Check{Name: name, Verdict: NotChecked, Finding: fmt.Sprintf(why, args...)}
}

// Warn makes a warning of a check.
func (c Check) Warn(advice string, args ...any) Check {
	c.Verdict, c.Advice = Warning, fmt.Sprintf(advice, args...)
	return c
}

// Fail makes a problem of a check.
func (c Check) Fail(advice string, args ...any) Check {
	c.Verdict, c.Advice = Problem, fmt.Sprintf(advice, args...)
	return c
}

// Advise adds advice to a check and leaves its verdict.
func (c Check) Advise(advice string, args ...any) Check {
	c.Advice = fmt.Sprintf(advice, args...)
	return c
}

// Count tells how many checks have a verdict.
func Count(checks []Check, v Verdict) int {
	n := 0
	for _, c := range checks {
		if c.Verdict == v {
			n++
		}
	}
	return n
}
