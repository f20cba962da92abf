package armada

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// Requirements is what a job needs of a node and by which class it is ranked.
// Two jobs with equal requirements have the same shape: the scheduler searches
// for one what it has found for the other. It is canonical: slices are sorted
// (selector and tolerations by their fields in order, affinity expressions by
// key within a term), so that equal needs are equal bytes.
type Requirements struct {
	PriorityClass string
	Resources     Resources
	NodeSelector  []Label
	Tolerations   []Toleration
	Affinity      []NodeTerm // required; a node must match any one; empty means no demand
	// MoreThanPod tells that the job's pod is not all there is to make: it has
	// services or ingresses, or is to be told of the gang that it is a member of.
	MoreThanPod bool
}

// Label is one key and value.
type Label struct{ Key, Value string }

// Toleration accepts taints. An empty Key with Exists accepts every taint, an
// empty Effect every effect.
type Toleration struct {
	Key    string
	Exists bool // otherwise Value must be equal
	Value  string
	Effect TaintEffect
}

// Tolerates tells whether the toleration accepts the taint.
func (t Toleration) Tolerates(taint Taint) bool {
	if t.Effect != "" && t.Effect != taint.Effect {
		return false
	}
	if t.Key == "" {
		return t.Exists
	}
	return t.Key == taint.Key && (t.Exists || t.Value == taint.Value)
}

// NodeTerm is a list of expressions of which a node must match every one.
type NodeTerm struct{ Expressions []NodeExpression }

// NodeOperator is how an expression compares.
type NodeOperator string

// The operators, named as in Kubernetes.
const (
	OpIn           NodeOperator = "In"
	OpNotIn        NodeOperator = "NotIn"
	OpExists       NodeOperator = "Exists"
	OpDoesNotExist NodeOperator = "DoesNotExist"
	OpGt           NodeOperator = "Gt"
	OpLt           NodeOperator = "Lt"
)

// NodeExpression compares a node's label, or its name when Field is set.
type NodeExpression struct {
	Key      string
	Operator NodeOperator
	Values   []string
	Field    bool // Key is metadata.name and not a label
}

// Matches tells whether a node with these labels and name satisfies the
// expression. A label that is absent matches NotIn and DoesNotExist only.
func (e NodeExpression) Matches(labels map[string]string, name string) bool {
	value, present := labels[e.Key]
	if e.Field {
		value, present = name, true
	}
	switch e.Operator {
	case OpIn:
		return present && contains(e.Values, value)
	case OpNotIn:
		return !present || !contains(e.Values, value)
	case OpExists:
		return present
	case OpDoesNotExist:
		return !present
	case OpGt, OpLt:
		have, err := strconv.ParseInt(value, 10, 64)
		if !present || err != nil || len(e.Values) != 1 {
			return false
		}
		want, err := strconv.ParseInt(e.Values[0], 10, 64)
		if err != nil {
			return false
		}
		return e.Operator == OpGt && have > want || e.Operator == OpLt && have < want
	}
	return false
}

func contains(values []string, value string) bool {
	for _, v := range values {
		if v == value {
			return true
		}
	}
	return false
}

// Matches tells whether selector and affinity accept a node with these labels
// and name. Taints are a matter of [Requirements.Tolerates].
func (r *Requirements) Matches(labels map[string]string, name string) bool {
	for _, want := range r.NodeSelector {
		if have, ok := labels[want.Key]; !ok || have != want.Value {
			return false
		}
	}
	if len(r.Affinity) == 0 {
		return true
	}
	for _, term := range r.Affinity {
		if term.matches(labels, name) {
			return true
		}
	}
	return false
}

func (t NodeTerm) matches(labels map[string]string, name string) bool {
	for _, e := range t.Expressions {
		if !e.Matches(labels, name) {
			return false
		}
	}
	return len(t.Expressions) > 0
}

// Tolerates returns the first taint that keeps the job off a node, and true
// when there is none. PreferNoSchedule keeps nobody off.
func (r *Requirements) Tolerates(taints []Taint) (Taint, bool) {
	for _, taint := range taints {
		if taint.Effect != PreferNoSchedule && !r.tolerates(taint) {
			return taint, false
		}
	}
	return Taint{}, true
}

func (r *Requirements) tolerates(taint Taint) bool {
	for _, t := range r.Tolerations {
		if t.Tolerates(taint) {
			return true
		}
	}
	return false
}

// Shape is the content hash of the requirements. It depends on the names of
// the resources and not on their positions in the table.
func (r *Requirements) Shape(table ResourceTable) ShapeID {
	h := make([]byte, 0, 256)
	word := func(words ...string) {
		for _, w := range words {
			h = strconv.AppendInt(h, int64(len(w)), 10)
			h = append(append(h, ':'), w...)
		}
	}
	word(r.PriorityClass)
	for i := range table.Len() {
		if r.Resources[i] != 0 {
			word("r", table.At(i).Name, strconv.FormatInt(r.Resources[i], 10))
		}
	}
	for _, l := range r.NodeSelector {
		word("s", l.Key, l.Value)
	}
	for _, t := range r.Tolerations {
		word("t", t.Key, strconv.FormatBool(t.Exists), t.Value, string(t.Effect))
	}
	for _, term := range r.Affinity {
		word("a", strconv.Itoa(len(term.Expressions)))
		for _, e := range term.Expressions {
			word(e.Key, string(e.Operator), strconv.FormatBool(e.Field), strconv.Itoa(len(e.Values)))
			word(e.Values...)
		}
	}
	if r.MoreThanPod {
		word("m")
	}
	sum := sha256.Sum256(h)
	return ShapeID(hex.EncodeToString(sum[:16]))
}
