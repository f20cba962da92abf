package codec

import "armada"

// AppendKinds appends kinds of nodes. Equal kinds in equal order are equal
// bytes.
//
// Fields: kind 1, of a node as AppendNodes writes it (1) and gone (2).
func AppendKinds(b []byte, table armada.ResourceTable, kinds []armada.NodeKind) []byte {
	r := record(append(b, version))
	for i := range kinds {
		k := &kinds[i]
		n := armada.Node{Pool: k.Pool, Labels: k.Labels, Taints: k.Taints, Allocatable: k.Allocatable, MinimumJob: k.MinimumJob, PodsOnly: k.PodsOnly}
		r.nested(1, func(r *record) {
			r.nested(1, func(r *record) { appendNode(r, table, &n) })
			r.time(2, k.Gone)
		})
	}
	return r
}

// DecodeKinds reads kinds of nodes.
func DecodeKinds(b []byte, table armada.ResourceTable) ([]armada.NodeKind, error) {
	f, err := open(b)
	if err != nil {
		return nil, wrap("kinds of nodes", err)
	}
	var kinds []armada.NodeKind
	for f.next() {
		if f.number == 1 {
			var k armada.NodeKind
			f.nested(func(f *fields) { readKind(f, table, &k) })
			kinds = append(kinds, k)
		}
	}
	return kinds, wrap("kinds of nodes", f.err)
}

func readKind(f *fields, table armada.ResourceTable, k *armada.NodeKind) {
	for f.next() {
		switch f.number {
		case 1:
			var n armada.Node
			f.nested(func(f *fields) { readNode(f, table, &n) })
			gone := k.Gone
			*k = n.Kind()
			k.Gone = gone
		case 2:
			k.Gone = f.time()
		}
	}
}
