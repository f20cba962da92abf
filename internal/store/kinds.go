package store

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"armada"
)

// KindsKept is for how long kinds of nodes are known after the last node of the
// kind has gone.
const KindsKept = 24 * time.Hour

// KindsOf returns the kinds of nodes, without those of which another kind has
// more of everything and is else the same: whatever fits on a kind that is left
// out fits on one that is not. Machines alike that differ by some bytes of
// memory are so one kind. The order depends on the kinds alone.
func KindsOf(nodes []armada.Node) []armada.NodeKind {
	var all kinds
	for i := range nodes {
		all.add(nodes[i].Kind())
	}
	return all.needed()
}

// RememberKinds returns the kinds that are to be known of an executor after it
// has reported nodes of the kinds in present, see [KindsOf]: these, and those in
// known, which was to be known before, that have gone since less than
// [KindsKept].
func RememberKinds(known, present []armada.NodeKind, now time.Time) []armada.NodeKind {
	now = now.Truncate(time.Microsecond).UTC() // as it is stored
	var all kinds
	for _, k := range present {
		all.add(k)
	}
	for _, k := range known {
		if k.Gone.IsZero() {
			k.Gone = now
		}
		if now.Sub(k.Gone) < KindsKept {
			all.add(k)
		}
	}
	return all.needed()
}

// kinds are kinds by what they have in common but for their size.
type kinds map[string][]armada.NodeKind

// add adds a kind unless it is covered.
func (all *kinds) add(k armada.NodeKind) {
	if *all == nil {
		*all = make(kinds)
	}
	key := kindKey(&k)
	for i := range (*all)[key] {
		if covers(&(*all)[key][i], &k) {
			return
		}
	}
	(*all)[key] = append((*all)[key], k)
}

// covers tells whether whatever fits on b fits on a, for as long. The two are
// equal but for their size and that of the jobs they want.
func covers(a, b *armada.NodeKind) bool {
	return b.Allocatable.Fits(&a.Allocatable) && a.MinimumJob.Fits(&b.MinimumJob) && (a.Gone.IsZero() || !b.Gone.IsZero() && !a.Gone.Before(b.Gone))
}

// needed returns the kinds that no other covers, in order.
func (all kinds) needed() []armada.NodeKind {
	var list []armada.NodeKind
	for _, key := range slices.Sorted(maps.Keys(all)) {
		alike := all[key]
		slices.SortFunc(alike, func(a, b armada.NodeKind) int {
			return cmp.Or(slices.Compare(a.Allocatable[:], b.Allocatable[:]), slices.Compare(a.MinimumJob[:], b.MinimumJob[:]), a.Gone.Compare(b.Gone))
		})
		for i := range alike {
			if !slices.ContainsFunc(alike[i+1:], func(o armada.NodeKind) bool { return covers(&o, &alike[i]) }) &&
				!slices.ContainsFunc(alike[:i], func(o armada.NodeKind) bool { return covers(&o, &alike[i]) }) {
				list = append(list, alike[i])
			}
		}
	}
	return list
}

// kindKey names a kind but for its size.
func kindKey(k *armada.NodeKind) string {
	var key []byte
	word := func(w string) { key = append(append(strconv.AppendInt(key, int64(len(w)), 10), ':'), w...) }
	word(k.Pool)
	for _, label := range slices.Sorted(maps.Keys(k.Labels)) {
		word(label)
		word(k.Labels[label])
	}
	word(strconv.FormatBool(k.PodsOnly))
	key = append(key, '|')
	for _, t := range k.Taints {
		word(t.Key)
		word(t.Value)
		word(string(t.Effect))
	}
	return string(key)
}
