package runs

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"armada"
)

func TestAnEndedRunStaysAsItEndedUntilItIsDropped(t *testing.T) {
	t.Parallel()
	l := NewLedger()
	l.Put(Status{Run: "a", Phase: Running})
	over := l.Over("a")
	if !l.Put(Status{Run: "a", Phase: Failed}) {
		t.Error("the end was not taken")
	}
	<-over
	_, end := l.Changed(0)
	if l.Put(Status{Run: "a", Phase: Succeeded}) {
		t.Error("a second end was taken")
	}
	if changed, _ := l.Changed(end); len(changed) != 0 {
		t.Errorf("what was not taken has changed %+v", changed)
	}
	if s, known := l.Get("a"); !known || s.Phase != Failed {
		t.Errorf("it is %+v", s)
	}
	l.Drop("a")
	l.Drop("a")
	if _, known := l.Get("a"); known {
		t.Error("a dropped run is known")
	}
}

func TestWhoWaitsForTheEndIsToldWhenARunIsDropped(t *testing.T) {
	t.Parallel()
	l := NewLedger()
	l.Put(Status{Run: "a", Phase: Running})
	over := l.Over("a")
	l.Drop("a")
	<-over
	<-l.Over("a")
}

// However often a listener looks, it knows what is in the ledger.
func TestWhoReadsChangesKnowsAll(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := NewLedger()
		heard := map[armada.RunID]Status{}
		var cursor Cursor
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			run := armada.RunID(fmt.Sprint("run-", rapid.IntRange(0, 5).Draw(t, "run")))
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				l.Drop(run)
				delete(heard, run)
			case 1:
				var changed []Status
				changed, cursor = l.Changed(cursor)
				for _, s := range changed {
					heard[s.Run] = s
				}
			default:
				l.Put(Status{Run: run, Phase: Phase(rapid.IntRange(1, 6).Draw(t, "phase")), Node: fmt.Sprint(rapid.Int().Draw(t, "node"))})
				select {
				case <-l.Updates():
				default:
				}
			}
		}
		changed, _ := l.Changed(cursor)
		for _, s := range changed {
			heard[s.Run] = s
		}
		all := l.Statuses()
		if len(all) != len(heard) {
			t.Fatalf("there are %d runs and %d were heard of", len(all), len(heard))
		}
		for _, s := range all {
			if h := heard[s.Run]; h.Phase != s.Phase || h.Node != s.Node {
				t.Fatalf("%+v was heard as %+v", s, h)
			}
		}
	})
}
