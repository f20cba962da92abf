package restjson

import (
	"fmt"
	"strconv"
	"strings"
)

// A FieldError is about one value of a request.
type FieldError struct {
	// Path leads to the value, such as jobRequestItems[3].podSpec; empty for
	// the whole.
	Path string
	// Err says what is wrong with it.
	Err error
}

func (e *FieldError) Error() string {
	if e.Path == "" {
		return e.Err.Error()
	}
	return e.Path + ": " + e.Err.Error()
}

func (e *FieldError) Unwrap() error { return e.Err }

// A Warning is about a name in a request that did not count.
type Warning struct {
	// Path leads to the name.
	Path string
	// Repeated: the name is known but was given before in the same object;
	// the last one counts. Otherwise the name is unknown and was ignored.
	Repeated bool
}

func (w Warning) String() string {
	if w.Repeated {
		return "duplicate field " + strconv.Quote(w.Path)
	}
	return "unknown field " + strconv.Quote(w.Path)
}

// A StrictError refuses a request that has unknown or repeated names.
type StrictError struct {
	Warnings []Warning // At least one, in the order of the request.
}

func (e *StrictError) Error() string {
	texts := make([]string, len(e.Warnings))
	for i, w := range e.Warnings {
		texts[i] = w.String()
	}
	return "strict field validation: " + strings.Join(texts, ", ")
}

// trail is the path of the value that is being read.
type trail []step

// step is a name, or a key of a map when isKey, or an index when both are unset.
type step struct {
	name  string
	index int
	isKey bool
}

func (t trail) String() string {
	var b strings.Builder
	for _, s := range t {
		switch {
		case s.isKey:
			fmt.Fprintf(&b, "[%s]", s.name)
		case s.name != "":
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.name)
		default:
			fmt.Fprintf(&b, "[%d]", s.index)
		}
	}
	return b.String()
}

// join appends a path that was found below this one.
func join(above, below string) string {
	if above == "" || below == "" || strings.HasPrefix(below, "[") {
		return above + below
	}
	return above + "." + below
}
