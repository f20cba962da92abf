package codec

import (
	"fmt"

	"armada"
)

// AppendRequirements appends what a shape stands for.
//
// Fields: class 1, amount 2 (as in AppendNodes), selector 3 (key 1, value 2),
// toleration 4 (key 1, exists 2, value 3, effect 4), term 5 of repeated
// expressions 1 (key 1, operator 2, value 3, field 4), more than a pod 6.
func AppendRequirements(b []byte, table armada.ResourceTable, q *armada.Requirements) []byte {
	r := record(append(b, version))
	r.string(1, q.PriorityClass)
	appendAmounts(&r, 2, table, &q.Resources)
	for _, l := range q.NodeSelector {
		r.nested(3, func(r *record) {
			r.string(1, l.Key)
			r.string(2, l.Value)
		})
	}
	for _, t := range q.Tolerations {
		r.nested(4, func(r *record) {
			r.string(1, t.Key)
			r.bool(2, t.Exists)
			r.string(3, t.Value)
			r.string(4, string(t.Effect))
		})
	}
	for _, term := range q.Affinity {
		r.nested(5, func(r *record) {
			for i := range term.Expressions {
				r.nested(1, func(r *record) { appendExpression(r, &term.Expressions[i]) })
			}
		})
	}
	r.bool(6, q.MoreThanPod)
	return r
}

func appendExpression(r *record, e *armada.NodeExpression) {
	r.string(1, e.Key)
	r.string(2, string(e.Operator))
	for _, v := range e.Values {
		r.alwaysString(3, v)
	}
	r.bool(4, e.Field)
}

// DecodeRequirements reads what AppendRequirements wrote.
func DecodeRequirements(b []byte, table armada.ResourceTable) (*armada.Requirements, error) {
	f, err := open(b)
	if err != nil {
		return nil, fmt.Errorf("requirements: %w", err)
	}
	q := &armada.Requirements{}
	for f.next() {
		switch f.number {
		case 1:
			q.PriorityClass = f.str()
		case 2:
			f.amount(table, &q.Resources)
		case 3:
			var l armada.Label
			f.nested(func(f *fields) { readLabel(f, &l) })
			q.NodeSelector = append(q.NodeSelector, l)
		case 4:
			var t armada.Toleration
			f.nested(func(f *fields) { readToleration(f, &t) })
			q.Tolerations = append(q.Tolerations, t)
		case 5:
			var term armada.NodeTerm
			f.nested(func(f *fields) { readTerm(f, &term) })
			q.Affinity = append(q.Affinity, term)
		case 6:
			q.MoreThanPod = f.bool()
		}
	}
	return q, wrap("requirements", f.err)
}

func readLabel(f *fields, l *armada.Label) {
	for f.next() {
		switch f.number {
		case 1:
			l.Key = f.str()
		case 2:
			l.Value = f.str()
		}
	}
}

func readToleration(f *fields, t *armada.Toleration) {
	for f.next() {
		switch f.number {
		case 1:
			t.Key = f.str()
		case 2:
			t.Exists = f.bool()
		case 3:
			t.Value = f.str()
		case 4:
			t.Effect = armada.TaintEffect(f.str())
		}
	}
}

func readTerm(f *fields, term *armada.NodeTerm) {
	for f.next() {
		if f.number != 1 {
			continue
		}
		var e armada.NodeExpression
		f.nested(func(f *fields) {
			for f.next() {
				switch f.number {
				case 1:
					e.Key = f.str()
				case 2:
					e.Operator = armada.NodeOperator(f.str())
				case 3:
					e.Values = append(e.Values, f.str())
				case 4:
					e.Field = f.bool()
				}
			}
		})
		term.Expressions = append(term.Expressions, e)
	}
}
