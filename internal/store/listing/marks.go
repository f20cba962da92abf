package listing

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Owners is the name of the marks of owners: no annotation is called so.
const Owners = ""

// MarkNames are the names of what jobs are marked with: the owners, and the keys
// of annotations that are to be indexed.
func MarkNames(annotations []string) []string {
	names := append([]string{Owners}, annotations...)
	slices.Sort(names)
	return slices.Compact(names)
}

// Mark is what a job is marked with: an entry of the index of owners and
// annotations.
type Mark struct{ Name, Value string }

// MarksOf are the marks of a job: of the names, those that it has.
func MarksOf(names []string, owner string, annotations map[string]string) []Mark {
	var marks []Mark
	for _, name := range names {
		value, has := annotations[name]
		if name == Owners {
			value, has = owner, true
		}
		if has {
			marks = append(marks, Mark{name, MarkValue(value)})
		}
	}
	return marks
}

// markSize bounds what is indexed of a value.
const markSize = 128

// MarkValue is what is indexed of a value: its beginning, without what no database
// takes. Values that are equal, or of which one is the beginning of the other, stay
// so; what is found is compared again.
func MarkValue(value string) string {
	value = strings.ReplaceAll(value, "\x00", "")
	if len(value) <= markSize {
		return value
	}
	end := markSize
	for end > 0 && !utf8.RuneStart(value[end]) {
		end--
	}
	return value[:end]
}
