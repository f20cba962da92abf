package placement

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"armada"
)

const gib = 1 << 30

func newSpace(t testing.TB, nodes, cores int) *Space {
	t.Helper()
	s := NewSpace(armada.DefaultResourceTable(), []armada.PriorityClass{
		{Name: "low", Priority: 10, Preemptible: true}, {Name: "high", Priority: 20, Preemptible: true}, {Name: "fixed", Priority: 10},
	})
	for i := range nodes {
		s.SetNode(armada.Node{
			Name: fmt.Sprintf("n%04d", i), Labels: map[string]string{"zone": fmt.Sprint(i % 4)},
			Allocatable: armada.Resources{int64(cores) * 1000, int64(cores) * gib},
		})
	}
	s.Settle()
	return s
}

func cores(n int64) *armada.Requirements {
	return &armada.Requirements{PriorityClass: "low", Resources: armada.Resources{n * 1000}}
}

func TestPlacingAllocatesNothing(t *testing.T) { // not parallel: it counts allocations
	s := newSpace(t, 200, 32)
	parts := [][]Part{
		{{s.AddDemand(cores(1)), 1}},
		{{s.AddDemand(cores(3)), 1}},
		{{s.AddDemand(&armada.Requirements{Resources: armada.Resources{500, 2 * gib}, NodeSelector: []armada.Label{{Key: "zone", Value: "2"}}}), 1}},
		{{s.AddDemand(cores(2)), 2}, {s.AddDemand(cores(1)), 3}},
	}
	s.Settle()
	out := make([]int32, 0, 16)
	round := func() {
		for i := range 400 {
			if _, _, ok := s.Place(parts[i%len(parts)], Uniform{}, nil, out); !ok {
				t.Fatal("there was no room")
			}
		}
		s.Rewind()
	}
	round() // the scratch memory grows to its size once
	if allocations := testing.AllocsPerRun(20, round); allocations != 0 {
		t.Errorf("400 placements made %v allocations", allocations)
	}
}

func TestAFailedGangLeavesNoTrace(t *testing.T) {
	t.Parallel()
	s := newSpace(t, 3, 4)
	d := s.AddDemand(cores(1))
	if _, most, ok := s.Place([]Part{{d, 13}}, Uniform{}, nil, nil); ok || most != 12 {
		t.Fatalf("13 members on 12 cores: ok is %v, at most %d", ok, most)
	}
	nodes, _, ok := s.Place([]Part{{d, 12}}, Uniform{}, nil, nil)
	if !ok || !slices.Equal(nodes, []int32{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2}) {
		t.Fatalf("12 members went to %v", nodes)
	}
	s.Rewind()
	if free := s.free[0][0]; free != s.nodes[0].spec.Allocatable {
		t.Fatalf("after the round %v is free", free)
	}
}

func TestEachLevelLeavesOutWhatItCouldDisplace(t *testing.T) {
	t.Parallel()
	s := newSpace(t, 1, 10)
	s.SetNode(armada.Node{
		Name: "n0000", Allocatable: armada.Resources{10_000},
		Others: []armada.PriorityUsage{{Priority: 0, Used: armada.Resources{500}}, {Priority: 15, Used: armada.Resources{500}}},
	})
	for _, class := range []string{"low", "high", "fixed", "unheard of"} {
		s.Hold(NodeRef{Name: "n0000"}, s.AddDemand(&armada.Requirements{PriorityClass: class, Resources: armada.Resources{1000}}), false)
	}
	s.Hold(NodeRef{Name: "n0000"}, s.AddDemand(&armada.Requirements{PriorityClass: "fixed", Resources: armada.Resources{500}}), true)
	s.Settle()
	// Level 0 counts all; level 1, of priority 10, all but what leaves; level 2, of
	// priority 20, only what is of 20 or not preemptible; level 3 only the latter.
	for level, want := range []int64{4500, 5000, 6000, 7000} {
		if got := s.free[level][0][0]; got != want {
			t.Errorf("at level %d %d are free, expected %d", level, got, want)
		}
	}
}

func TestUnknownNodesRememberWhatRunsHold(t *testing.T) {
	t.Parallel()
	s := newSpace(t, 0, 0)
	d, ref := s.AddDemand(cores(3)), NodeRef{Name: "late"}
	s.Hold(ref, d, false)
	s.SetNode(armada.Node{Name: "late", Allocatable: armada.Resources{4000}})
	s.Settle()
	if free := s.free[0][0][0]; free != 1000 {
		t.Fatalf("%d are free, expected 1000", free)
	}
	s.RemoveNode(ref)
	s.Release(ref, d, false)
	if len(s.byRef) != 0 {
		t.Fatalf("%d nodes are remembered for nothing", len(s.byRef))
	}
}

// TestAnIndexIsASortedList compares the index with a sorted slice.
func TestAnIndexIsASortedList(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var x index
		const nodes = 600
		free := make([]armada.Resources, nodes)
		all := armada.Resources{1 << 20, 1 << 20}
		key := func(node int32) uint64 { return uint64(free[node][0]) }
		draw := func(label string) int64 { return rapid.Int64Range(0, 40).Draw(t, label) }
		var reference []spot
		for i := range int32(nodes) {
			free[i] = armada.Resources{draw("first"), draw("second")}
			x.insert(spot{key(i), i}, &free[i], &all)
			reference = append(reference, spot{key(i), i})
		}
		for range 100 {
			node := rapid.Int32Range(0, nodes-1).Draw(t, "node")
			at := slices.IndexFunc(reference, func(s spot) bool { return s.node == node })
			switch {
			case at < 0:
				x.insert(spot{key(node), node}, &free[node], &all)
				reference = append(reference, spot{key(node), node})
			case rapid.Bool().Draw(t, "remove"):
				x.remove(reference[at])
				reference = slices.Delete(reference, at, at+1)
			default:
				free[node] = armada.Resources{draw("first"), draw("second")}
				x.move(reference[at], spot{key(node), node}, &free[node], &all)
				reference[at].key = key(node)
			}
			if rapid.IntRange(0, 20).Draw(t, "pack") == 0 {
				x.pack()
			}
			need := armada.Resources{draw("need"), draw("need too")}
			slices.SortFunc(reference, func(a, b spot) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.node, b.node)) })
			want := nowhere
			if at := slices.IndexFunc(reference, func(s spot) bool { return need.Fits(&free[s.node]) }); at >= 0 {
				want = reference[at]
			}
			got, ok := x.first(&need, uint64(need[0]), nowhere, free)
			if !ok {
				got = nowhere
			}
			if got != want || x.count != len(reference) {
				t.Fatalf("the first is %v, expected %v; %d of %d", got, want, x.count, len(reference))
			}
		}
	})
}

func TestAKeyNeverFallsWhenRoomGrows(t *testing.T) {
	t.Parallel()
	k := newKeyer(armada.DefaultResourceTable())
	rapid.Check(t, func(t *rapid.T) {
		var less, more armada.Resources
		for i := range 4 {
			less[i] = rapid.Int64Range(-1<<50, 1<<50).Draw(t, "less")
			more[i] = less[i] + rapid.Int64Range(0, 1<<50).Draw(t, "more")
		}
		if k.key(&less) > k.key(&more) {
			t.Fatalf("the key of %v is above that of %v", less, more)
		}
	})
}
