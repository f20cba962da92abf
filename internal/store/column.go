package store

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"armada"
)

// Field is what a column of the list of jobs shows. The zero value is none.
type Field uint8

// The fields. What runs have is that of the latest run.
const (
	FieldJobID Field = 1 + iota
	FieldQueue
	FieldJobSet
	FieldOwner
	FieldNamespace
	FieldState
	FieldPriority
	FieldPriorityClass
	FieldSubmitted
	FieldTransitioned
	FieldExecutor
	FieldNode
	FieldPool
	FieldAttempts
	FieldCancelUser
	FieldCancelReason
	FieldReason     // why the job ended as it did
	FieldCategory   // of a failed run
	FieldResource   // an amount asked for; the key is the resource's name
	FieldAnnotation // the key is the annotation's
)

var fieldNames = [...]string{
	"none", "job_id", "queue", "job_set", "owner", "namespace", "state", "priority", "priority_class", "submitted", "last_transition",
	"executor", "node", "pool", "attempts", "cancel_user", "cancel_reason", "reason", "category", "resource", "annotation",
}

// String returns the name of the field.
func (f Field) String() string {
	if int(f) < len(fieldNames) {
		return fieldNames[f]
	}
	return "unknown"
}

// Fields lists the fields that need no key.
func Fields() []Field {
	var list []Field
	for f := FieldJobID; f < FieldResource; f++ {
		list = append(list, f)
	}
	return list
}

// Column is what can be compared, sorted and grouped by. The zero value is none.
type Column struct {
	Field Field
	Key   string // of a resource or an annotation
}

// String returns the column's name.
func (c Column) String() string {
	switch c.Field {
	case FieldResource:
		return c.Key
	case FieldAnnotation:
		return "annotation " + c.Key
	default:
		return c.Field.String()
	}
}

// Numeric tells that values are numbers: amounts in the units of the resource
// table, times in microseconds since 1970, states by their number.
func (c Column) Numeric() bool {
	switch c.Field {
	case FieldState, FieldPriority, FieldSubmitted, FieldTransitioned, FieldAttempts, FieldResource:
		return true
	default:
		return false
	}
}

// Ordered tells that more and less mean something.
func (c Column) Ordered() bool { return c.Numeric() && c.Field != FieldState }

// Groupable tells that jobs may be grouped by the column: its values are names.
func (c Column) Groupable() bool {
	switch c.Field {
	case FieldJobID, FieldSubmitted, FieldTransitioned, FieldResource, FieldReason:
		return false
	default:
		return true
	}
}

// Value is what a column shows of a job. Texts of a numeric column are empty.
type Value struct {
	Text   string
	Number int64
	Is     bool // the job has it
}

// Of returns what the column shows of a job.
func (c Column) Of(full *FullJob, table armada.ResourceTable) Value {
	job := &full.Job
	number := func(n int64) Value { return Value{Number: n, Is: true} }
	text := func(s string) Value { return Value{Text: s, Is: s != ""} }
	switch c.Field {
	case FieldJobID:
		return text(string(job.ID))
	case FieldQueue:
		return text(job.Queue)
	case FieldJobSet:
		return text(string(job.JobSet))
	case FieldOwner:
		return text(job.Owner)
	case FieldNamespace:
		return text(full.Details.Namespace)
	case FieldState:
		return number(int64(job.State))
	case FieldPriority:
		return number(int64(job.Priority))
	case FieldSubmitted:
		return number(job.Submitted.UnixMicro())
	case FieldTransitioned:
		return number(job.Transitioned.UnixMicro())
	case FieldAttempts:
		return number(int64(job.Attempts))
	case FieldCancelUser, FieldCancelReason:
		by, why, _ := job.Cancellation()
		if c.Field == FieldCancelUser {
			return text(by)
		}
		return text(why)
	case FieldReason:
		return text(job.Reason)
	case FieldPriorityClass, FieldResource:
		return c.ofNeeds(full.Needs, table)
	case FieldAnnotation:
		v, is := full.Details.Annotations[c.Key]
		return Value{Text: v, Is: is}
	default:
		return c.ofRun(full)
	}
}

func (c Column) ofNeeds(needs *armada.Requirements, table armada.ResourceTable) Value {
	if needs == nil {
		return Value{}
	}
	if c.Field == FieldPriorityClass {
		return Value{Text: needs.PriorityClass, Is: needs.PriorityClass != ""}
	}
	i, counted := table.Index(c.Key)
	if !counted {
		return Value{}
	}
	return Value{Number: needs.Resources[i], Is: needs.Resources[i] != 0}
}

func (c Column) ofRun(full *FullJob) Value {
	if len(full.Runs) == 0 {
		return Value{}
	}
	run := &full.Runs[len(full.Runs)-1]
	v := map[Field]string{
		FieldExecutor: string(run.Executor), FieldNode: run.Node, FieldPool: run.Pool, FieldCategory: run.End.Category,
	}[c.Field]
	return Value{Text: v, Is: v != ""}
}

// Op is how a column is compared.
type Op uint8

// The comparisons.
const (
	OpEqual        Op = iota // to one of the values
	OpContains               // the text
	OpPrefix                 // the column begins with the text
	OpGreater                // than the number
	OpGreaterEqual           // to the number
	OpLess                   // than the number
	OpLessEqual              // to the number
	OpExists                 // the job has the column, whatever its value
)

var opNames = [...]string{"equals", "contains", "starts with", "greater than", "at least", "less than", "at most", "exists"}

// String names the comparison.
func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return "unknown"
}

// Condition compares a column with values: with texts or, where the column is
// numeric, with numbers. Only OpEqual takes several of them, and OpExists none.
type Condition struct {
	Column  Column
	Op      Op
	Texts   []string
	Numbers []int64
}

// Means tells what is wrong with the condition: nil, or an error of code Invalid.
func (c *Condition) Means() error {
	values, wants := len(c.Texts), "texts"
	if c.Column.Numeric() {
		values, wants = len(c.Numbers), "numbers"
	}
	bad := func(format string, args ...any) error {
		return &armada.Error{Code: armada.CodeInvalid, Message: c.Column.String() + " " + c.Op.String() + ": " + fmt.Sprintf(format, args...)}
	}
	switch {
	case c.Column.Field == 0 || c.Column.Field > FieldAnnotation || c.Op > OpExists:
		return bad("there is no such condition")
	case c.Op == OpExists && (len(c.Texts) > 0 || len(c.Numbers) > 0):
		return bad("takes no value")
	case c.Op == OpExists:
		return nil
	case (c.Op == OpContains || c.Op == OpPrefix) && c.Column.Numeric():
		return bad("the column is no text")
	case c.Op >= OpGreater && !c.Column.Ordered():
		return bad("the column has no order")
	case values == 0 && c.Op != OpEqual, values > 1 && c.Op != OpEqual:
		return bad("takes one value, and %d %s are given", values, wants)
	}
	return nil
}

// Holds tells whether a value meets the condition.
func (c *Condition) Holds(v Value) bool {
	if c.Op == OpExists || !v.Is {
		return v.Is
	}
	switch c.Op {
	case OpEqual:
		if c.Column.Numeric() {
			return slices.Contains(c.Numbers, v.Number)
		}
		return slices.Contains(c.Texts, v.Text)
	case OpContains:
		return strings.Contains(v.Text, c.Texts[0])
	case OpPrefix:
		return strings.HasPrefix(v.Text, c.Texts[0])
	case OpGreater:
		return v.Number > c.Numbers[0]
	case OpGreaterEqual:
		return v.Number >= c.Numbers[0]
	case OpLess:
		return v.Number < c.Numbers[0]
	default:
		return v.Number <= c.Numbers[0]
	}
}

// Conditions are all conditions of the query but the queues that the asker may see.
func (q *Query) Conditions() []Condition {
	list := slices.Clone(q.Where)
	text := func(f Field, op Op, v string) {
		if v != "" {
			list = append(list, Condition{Column: Column{Field: f}, Op: op, Texts: []string{v}})
		}
	}
	text(FieldQueue, OpEqual, q.Queue)
	text(FieldJobSet, OpEqual, q.JobSet)
	text(FieldJobSet, OpPrefix, q.JobSetPrefix)
	text(FieldOwner, OpEqual, q.Owner)
	text(FieldNamespace, OpEqual, q.Namespace)
	for key, v := range q.Annotations {
		list = append(list, Condition{Column: Column{FieldAnnotation, key}, Texts: []string{v}})
	}
	if q.IDs != nil {
		ids := make([]string, len(q.IDs))
		for i, id := range q.IDs {
			ids[i] = string(id)
		}
		list = append(list, Condition{Column: Column{Field: FieldJobID}, Texts: ids})
	}
	if len(q.States) > 0 {
		states := make([]int64, len(q.States))
		for i, s := range q.States {
			states[i] = int64(s)
		}
		list = append(list, Condition{Column: Column{Field: FieldState}, Numbers: states})
	}
	submitted := func(op Op, t time.Time) {
		if !t.IsZero() {
			list = append(list, Condition{Column: Column{Field: FieldSubmitted}, Op: op, Numbers: []int64{t.UnixMicro()}})
		}
	}
	submitted(OpGreaterEqual, q.SubmittedAfter)
	submitted(OpLess, q.SubmittedBefore)
	return list
}
