// Package nearest finds what somebody meant who wrote a name that nobody knows:
// a key of a file, a queue, a resource. Errors name it, so that a typing mistake
// is mended without looking anything up.
//
// It compares names by the edits that lead from one to the other and knows
// nothing of what they name.
package nearest

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Path returns the known path that an unknown one resembles most, "" only
// when none is known. Paths beside it are compared by their last name; a key in
// the wrong section is found too, at the price of one edit. Among equals the
// first in the given order wins.
func Path(unknown string, known []string) string {
	section, name := cutLast(unknown)
	best, bestDistance := "", 0
	for _, path := range known {
		s, n := cutLast(path)
		d := distance(strings.ToLower(name), strings.ToLower(n))
		if s != section {
			d = min(d+1+distance(section, s)/4, distance(strings.ToLower(unknown), strings.ToLower(path)))
		}
		if best == "" || d < bestDistance {
			best, bestDistance = path, d
		}
	}
	return best
}

// Names returns the known names that an unknown one was probably meant to be,
// the most similar first, and at most three: those that a few typing errors lead
// away from, one for every three characters. Case is not an error.
func Names(unknown string, known []string) []string {
	const most = 3
	length := utf8.RuneCountInString(unknown)
	byDistance := map[int][]string{}
	for _, name := range known {
		longer := max(length, utf8.RuneCountInString(name))
		allowed := max(1, longer/3)
		if longer-min(length, utf8.RuneCountInString(name)) > allowed {
			continue // the lengths alone say it
		}
		if d := distance(strings.ToLower(unknown), strings.ToLower(name)); d <= allowed {
			byDistance[d] = append(byDistance[d], name)
		}
	}
	var names []string
	for _, d := range slices.Sorted(maps.Keys(byDistance)) {
		names = append(names, byDistance[d]...)
	}
	return names[:min(most, len(names))]
}

func cutLast(path string) (section, name string) {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}

// distance is the least number of insertions, deletions and replacements of
// characters that turn a into b (Levenshtein), with two neighbours in the wrong
// order counted as one edit.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	// Three rows of the table: row i holds the distances of x[:i] to every y[:j].
	before, previous, current := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(x); i++ {
		current[0] = i
		for j := 1; j <= len(y); j++ {
			replace := previous[j-1]
			if x[i-1] != y[j-1] {
				replace++
			}
			current[j] = min(replace, previous[j]+1, current[j-1]+1)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				current[j] = min(current[j], before[j-2]+1)
			}
		}
		before, previous, current = previous, current, before
	}
	return previous[len(y)]
}
