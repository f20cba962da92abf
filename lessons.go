package armada

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Lessons are what earlier attempts of a job have taught: how often it was tried
// in vain, and in what the next attempt differs from what shape and template say.
// They are shared by copies of a job and never change; nil is none.
type Lessons struct {
	Returned int      // leases that were given back and count
	Retried  int      // attempts that ended badly and that a retry policy repeated
	Avoid    []string // names of nodes, the latest last; at most MaxAvoided
	Memory   MemoryGrowth
}

// MaxAvoided is how many nodes a job avoids at most: the latest ones.
const MaxAvoided = 32

// nodeNameField is the field of a node by which affinity knows its name.
const nodeNameField = "metadata.name"

// given returns the lessons, none as well.
func (l *Lessons) given() Lessons {
	if l == nil {
		return Lessons{}
	}
	return *l
}

// Returns is how many leases of the job were given back that count.
func (l *Lessons) Returns() int { return l.given().Returned }

// Retries is how many attempts were repeated by a retry policy.
func (l *Lessons) Retries() int { return l.given().Retried }

// WithReturn adds that a lease came back from a node.
func (l *Lessons) WithReturn(node string) *Lessons {
	next := l.given()
	next.Returned++
	next.avoid(node)
	return &next
}

// WithRetry adds that an attempt on a node ended badly and that a rule gives
// another one. Grows tells whether more memory could be of use.
func (l *Lessons) WithRetry(node string, rule *RetryRule, grows bool) *Lessons {
	next := l.given()
	next.Retried++
	if rule.AvoidNode {
		next.avoid(node)
	}
	if grows {
		next.Memory = next.Memory.and(rule.Memory)
	}
	return &next
}

func (l *Lessons) avoid(node string) {
	if node == "" || slices.Contains(l.Avoid, node) {
		return
	}
	l.Avoid = append(slices.Clone(l.Avoid), node)
	l.Avoid = l.Avoid[max(0, len(l.Avoid)-MaxAvoided):]
}

// change tells whether they make the next attempt differ.
func (l *Lessons) change() bool {
	return l != nil && (len(l.Avoid) > 0 || l.Memory != MemoryGrowth{})
}

// String says in what the next attempt differs; empty for in nothing.
func (l *Lessons) String() string {
	given := l.given()
	var words []string
	if len(given.Avoid) > 0 {
		words = append(words, "not again on "+few(given.Avoid))
	}
	if given.Memory.Factor > 0 {
		words = append(words, fmt.Sprintf("with %.4g times the memory", given.Memory.Factor))
	}
	if given.Memory.Extra > 0 {
		words = append(words, "with "+Resource{Name: Memory}.Format(given.Memory.Extra)+" more memory")
	}
	return strings.Join(words, ", ")
}

// few lists names, not too many of them.
func few(names []string) string {
	const most = 5
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

// Shape names the requirements that a job of a shape has with these lessons.
func (l *Lessons) Shape(shape ShapeID) ShapeID {
	if !l.change() {
		return shape
	}
	h := fmt.Appendf(nil, "%s %s %d", shape, strconv.FormatFloat(l.Memory.Factor, 'g', -1, 64), l.Memory.Extra)
	for _, node := range slices.Sorted(slices.Values(l.Avoid)) {
		h = fmt.Appendf(h, " %q", node)
	}
	sum := sha256.Sum256(h)
	return ShapeID(hex.EncodeToString(sum[:16]))
}

// Apply returns what a job with these lessons requires whose shape requires r,
// which stays as it is.
func (l *Lessons) Apply(r *Requirements, table ResourceTable) *Requirements {
	if !l.change() {
		return r
	}
	next := *r
	if i, counted := table.Index(Memory); counted {
		next.Resources[i] = l.Memory.Grow(r.Resources[i])
	}
	if len(l.Avoid) == 0 {
		return &next
	}
	elsewhere := NodeExpression{Key: nodeNameField, Operator: OpNotIn, Values: slices.Sorted(slices.Values(l.Avoid)), Field: true}
	next.Affinity = nil
	for _, term := range r.Affinity {
		if len(term.Expressions) > 0 { // an empty term matches nothing, and stays so
			term.Expressions = append(slices.Clone(term.Expressions), elsewhere)
		}
		next.Affinity = append(next.Affinity, term)
	}
	if len(next.Affinity) == 0 {
		next.Affinity = []NodeTerm{{Expressions: []NodeExpression{elsewhere}}}
	}
	return &next
}
