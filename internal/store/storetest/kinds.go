package storetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"armada"
	"armada/internal/store"
)

var kindTests = []scenario{
	{"kinds of nodes are known for a day after the last node has gone", kindsAreKept},
	{"kinds of nodes outlive sessions and restarts", kindsOutlive},
	{"a session has reported once it has put its nodes, equal to the last ones or not", sessionsReport},
	{"nodes that change in nothing that decides what fits leave their kinds", kindsStay},
	{"of nodes that are put at once all kinds are known", kindsPutAtOnce},
	{"a node that takes only large jobs makes none unknown that takes all", kindsOfLargeJobs},
	{"a deleted executor's nodes are not known any more", kindsAreForgotten},
}

// sized is a node of a size; only its cores matter.
func sized(name string, cores int64) armada.Node {
	return armada.Node{
		Name: name, Executor: "east", Pool: "default", Allocatable: armada.Resources{cores * 1000},
		Labels: map[string]string{armada.LabelHostname: name, "zone": "z"},
	}
}

// kindOf is the kind of a node of a size, gone or not.
func kindOf(cores int64, gone time.Time) armada.NodeKind {
	return armada.NodeKind{Pool: "default", Labels: map[string]string{"zone": "z"}, Allocatable: armada.Resources{cores * 1000}, Gone: gone}
}

func (w *world) kinds(want ...armada.NodeKind) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.executor("east").Kinds); diff != "" {
		w.t.Error("kinds (-want +got):\n", diff)
	}
}

func kindsAreKept(t *testing.T, form Form) {
	w := open(t, form)
	w.session("east", "s1")
	w.kinds()
	w.ok(w.PutNodes(w.ctx, "east", "s1", []armada.Node{sized("n1", 4), sized("n2", 4), sized("n3", 8), sized("n4", 2)}))
	w.kinds(kindOf(8, time.Time{})) // whatever fits on the others fits there
	gone := w.clock.Now().Add(time.Hour)
	w.clock.Advance(time.Hour)
	w.ok(w.PutNodes(w.ctx, "east", "s1", []armada.Node{sized("n1", 4)}))
	w.kinds(kindOf(4, time.Time{}), kindOf(8, gone))
	w.clock.Advance(store.KindsKept - time.Second)
	w.ok(w.PutNodes(w.ctx, "east", "s1", []armada.Node{sized("n1", 4), sized("n5", 1)}))
	w.kinds(kindOf(4, time.Time{}), kindOf(8, gone))
	w.clock.Advance(time.Second)
	w.ok(w.PutNodes(w.ctx, "east", "s1", []armada.Node{sized("n1", 4)}))
	w.kinds(kindOf(4, time.Time{}))
	w.ok(w.PutNodes(w.ctx, "east", "s1", nil))
	w.kinds(kindOf(4, w.clock.Now()))
	w.clock.Advance(time.Minute)
	w.ok(w.PutNodes(w.ctx, "east", "s1", []armada.Node{sized("n9", 4)}))
	w.kinds(kindOf(4, time.Time{}))
}

func kindsOutlive(t *testing.T, form Form) {
	w := open(t, form)
	w.session("east", "s1")
	tainted := nodes(1)[0]
	w.ok(w.PutNodes(w.ctx, "east", "s1", []armada.Node{tainted}))
	w.ok(w.PutNodes(w.ctx, "east", "s1", nil))
	want := tainted.Kind()
	want.Gone = w.clock.Now()
	w.kinds(want)
	w.session("east", "s2")
	w.reopen()
	w.kinds(want)
	w.ok(w.PutNodes(w.ctx, "east", "s2", []armada.Node{sized("n1", 4)}))
	w.reopen()
	w.kinds(want, kindOf(4, time.Time{}))
	_, err := w.Load(w.ctx, func(c store.Changes) error {
		for _, e := range c.Executors {
			if len(e.Kinds) != 2 || !e.Reported {
				t.Errorf("the feed's beginning tells of %+v", e)
			}
		}
		return nil
	})
	w.ok(err)
}

func sessionsReport(t *testing.T, form Form) {
	w := open(t, form)
	reported := func(want bool) {
		t.Helper()
		if got := w.executor("east").Reported; got != want {
			t.Errorf("reported: %v, want %v", got, want)
		}
	}
	w.session("east", "s1")
	reported(false)
	w.ok(w.PutNodes(w.ctx, "east", "s1", nil))
	reported(true)
	w.session("east", "s2")
	reported(false)
	w.reopen()
	end, err := w.End(w.ctx)
	w.ok(err)
	w.ok(w.PutNodes(w.ctx, "east", "s2", nil))
	reported(true)
	c, _, err := w.Changes(w.ctx, end, 10)
	w.ok(err)
	if len(c.Executors) != 1 || !c.Executors[0].Reported {
		t.Errorf("the feed tells of %+v", c.Executors)
	}
	w.reopen()
	reported(true)
}

func kindsStay(t *testing.T, form Form) {
	w := open(t, form)
	w.session("east", "s1")
	n := sized("n1", 4)
	w.ok(w.PutNodes(w.ctx, "east", "s1", []armada.Node{n}))
	w.clock.Advance(time.Hour)
	n.Unschedulable, n.Others = true, []armada.PriorityUsage{{Priority: 1, Used: armada.Resources{1000}}}
	w.ok(w.PutNodes(w.ctx, "east", "s1", []armada.Node{n}))
	w.kinds(kindOf(4, time.Time{}))
	w.ok(w.PutNodes(w.ctx, "east", "s1", []armada.Node{sized("another", 4)}))
	w.kinds(kindOf(4, time.Time{}))
}

func kindsAreForgotten(t *testing.T, form Form) {
	w := open(t, form)
	w.session("east", "s1")
	w.ok(w.PutNodes(w.ctx, "east", "s1", []armada.Node{sized("n1", 4)}))
	w.ok(w.DeleteExecutor(w.ctx, "east"))
	w.session("east", "s2")
	w.kinds()
	w.ok(w.PutNodes(w.ctx, "east", "s2", []armada.Node{sized("n2", 2)}))
	w.kinds(kindOf(2, time.Time{}))
}

func kindsPutAtOnce(t *testing.T, form Form) {
	w := open(t, form)
	w.session("east", "s1")
	const reports = 8
	var group sync.WaitGroup
	for zone := range reports {
		group.Go(func() {
			n := sized("n", 4)
			n.Labels["zone"] = fmt.Sprint(zone)
			if err := w.PutNodes(w.ctx, "east", "s1", []armada.Node{n}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if kinds := w.executor("east").Kinds; len(kinds) != reports {
		t.Errorf("of %d kinds these are known: %+v", reports, kinds)
	}
}

func kindsOfLargeJobs(t *testing.T, form Form) {
	w := open(t, form)
	w.session("east", "s1")
	large, larger := sized("n2", 8), sized("n3", 4)
	large.MinimumJob, larger.MinimumJob = armada.Resources{1000}, armada.Resources{2000}
	w.ok(w.PutNodes(w.ctx, "east", "s1", []armada.Node{sized("n1", 4), large, larger}))
	want := kindOf(8, time.Time{})
	want.MinimumJob = armada.Resources{1000}
	w.kinds(kindOf(4, time.Time{}), want) // what the third one takes, the others take too

	alone := sized("n4", 16)
	alone.PodsOnly = true
	w.ok(w.PutNodes(w.ctx, "east", "s1", []armada.Node{sized("n1", 4), alone}))
	if n := w.executor("east").Nodes[1]; !n.PodsOnly {
		t.Errorf("the node is %+v", n)
	}
	known := w.executor("east").Kinds
	if !slices.ContainsFunc(known, func(k armada.NodeKind) bool { return k.PodsOnly && k.Allocatable == alone.Allocatable }) ||
		!slices.ContainsFunc(known, func(k armada.NodeKind) bool {
			return !k.PodsOnly && k.Allocatable == sized("n1", 4).Allocatable && k.Gone.IsZero()
		}) {
		t.Errorf("known are %+v", known) // the smaller one takes what the larger one does not
	}
}
