package checker

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// sound is a history of four jobs in which every promise was kept: one
// succeeds, one has its lease returned and succeeds elsewhere, one is cancelled
// while it runs, one fails with its executor.
func sound() *History {
	h := &History{
		Nodes: map[Node]int64{{"east", "n1"}: 1000, {"west", "n1"}: 1000},
		Submits: []Submit{
			{JobSet: "set", ClientID: "c1", CPU: 600}, // its answer was lost
			{JobSet: "set", ClientID: "c1", CPU: 600, Job: "j1"},
			{JobSet: "set", ClientID: "c2", CPU: 600, Job: "j2"},
			{JobSet: "set", ClientID: "c3", CPU: 600, Job: "j3"},
			{JobSet: "set", ClientID: "c4", CPU: 600, Job: "j4"},
			{JobSet: "set", ClientID: "c5", CPU: 600}, // never arrived
		},
		Cancels:    []Cancel{{Asked: []string{"j3", "j4"}, Answered: []string{"j3"}}},
		Priorities: []Priority{{Job: "j2", To: 7}},
		Reads:      []Read{{Job: "j1", Server: "b", Seen: true}},
		Pods: []Pod{
			{Node{"east", "n1"}, "j1-1", "j1", 10, 20, "succeeded", 0},
			{Node{"east", "n1"}, "j2-1", "j2", 20, 30, "stopped", 0},
			{Node{"west", "n1"}, "j2-2", "j2", 30, 50, "succeeded", 0},
			{Node{"west", "n1"}, "j3-1", "j3", 50, 60, "stopped", 0},
			{Node{"east", "n1"}, "j4-1", "j4", 40, 45, "killed", 0},
		},
	}
	var events []Event
	tell := func(job string, kinds ...string) {
		for _, kind := range kinds {
			n := len(events) + 1
			e := Event{ID: fmt.Sprintf("7-%d", n), Kind: kind, Job: job, Created: start.Add(time.Duration(n) * time.Second)}
			switch kind {
			case "submitted":
				e.ClientID = "c" + job[1:]
			case "reprioritized":
				e.Priority = 7
			}
			events = append(events, e)
		}
	}
	tell("j1", "submitted", "queued")
	tell("j2", "submitted", "queued", "leased", "reprioritizing", "reprioritized")
	tell("j1", "leased", "pending", "running", "succeeded")
	tell("j2", "running", "lease_returned", "leased", "running", "succeeded")
	tell("j3", "submitted", "queued", "leased", "running", "cancelling", "cancelled")
	tell("j4", "submitted", "queued", "leased", "pending", "lease_expired", "failed")
	h.Watches = []Watch{{"w1", "set", events}, {"w2", "set", slices.Clone(events)}}
	h.Listings = []Listing{{"a", []Listed{{"j1", "succeeded"}, {"j2", "succeeded"}, {"j3", "cancelled"}, {"j4", "failed"}}}}
	return h
}

func TestNothingIsFoundInAHistoryInWhichEveryPromiseWasKept(t *testing.T) {
	t.Parallel()
	if found := Check(sound()); len(found) > 0 {
		t.Errorf("found %v", found)
	}
}

// both changes the events as every watcher saw them.
func both(h *History, change func([]Event) []Event) {
	for i := range h.Watches {
		h.Watches[i].Events = change(h.Watches[i].Events)
	}
}

// drop removes the events of a job of a kind, and numbers the rest anew.
func drop(h *History, job, kind string) {
	both(h, func(events []Event) []Event {
		events = slices.DeleteFunc(events, func(e Event) bool { return e.Job == job && (kind == "" || e.Kind == kind) })
		for i := range events {
			events[i].ID = fmt.Sprintf("7-%d", i+1)
		}
		return events
	})
}

// double tells the last event of a job twice, with a number of its own.
func double(h *History, job string) {
	both(h, func(events []Event) []Event {
		for _, e := range slices.Backward(events) {
			if e.Job == job {
				e.ID = fmt.Sprintf("7-%d", len(events)+1)
				return append(events, e)
			}
		}
		return events
	})
}

func TestEveryFlawIsFound(t *testing.T) {
	t.Parallel()
	for _, flaw := range []struct {
		name   string
		plant  func(*History)
		breaks string
	}{
		{"an event is missing", func(h *History) {
			both(h, func(e []Event) []Event { return slices.Delete(e, 3, 4) })
		}, gapless},
		{"an event is told twice", func(h *History) {
			both(h, func(e []Event) []Event { return slices.Insert(e, 3, e[3]) })
		}, gapless},
		{"the incarnation changes", func(h *History) {
			both(h, func(e []Event) []Event { e[5].ID = "8-6"; return e })
		}, gapless},
		{"one watcher saw fewer", func(h *History) {
			h.Watches[1].Events = h.Watches[1].Events[:9]
		}, sameForAll},
		{"one watcher saw another time", func(h *History) {
			h.Watches[1].Events[4].Created = start
		}, sameForAll},
		{"a job runs without a lease", func(h *History) { drop(h, "j3", "leased") }, legal},
		{"a cancel comes from nowhere", func(h *History) { drop(h, "j3", "cancelling") }, legal},
		{"a job ends twice", func(h *History) { double(h, "j1") }, oneEnd},
		{"an event is older than the one before it", func(h *History) {
			both(h, func(e []Event) []Event { e[len(e)-1].Created = start; return e })
		}, timeForward},
		{"an acknowledged job is gone", func(h *History) { drop(h, "j4", "") }, exactlyOnce},
		{"a client id stands for two jobs", func(h *History) {
			both(h, func(e []Event) []Event {
				for i := range e {
					if e[i].Kind == "submitted" && e[i].Job == "j2" {
						e[i].ClientID = "c1"
					}
				}
				return e
			})
		}, exactlyOnce},
		{"a job is listed twice", func(h *History) {
			h.Listings[0].Jobs = append(h.Listings[0].Jobs, h.Listings[0].Jobs[0])
		}, exactlyOnce},
		{"a job does not end", func(h *History) { drop(h, "j4", "failed") }, ended},
		{"a job is listed in another state", func(h *History) { h.Listings[0].Jobs[3].State = "queued" }, truthful},
		{"a job was submitted by nobody", func(h *History) { h.Submits = h.Submits[:4] }, noInventions},
		{"a server does not know what another acknowledged", func(h *History) { h.Reads[0].Seen = false }, readYourWrite},
		{"a cancel was answered and forgotten", func(h *History) { h.Cancels[0].Answered = []string{"j3", "j4"} }, cancelKept},
		{"a job is cancelled that nobody wanted cancelled", func(h *History) { h.Cancels = nil }, cancelKept},
		{"a priority was answered and forgotten", func(h *History) { h.Priorities[0].To = 8 }, priorityKept},
		{"attempts overlap", func(h *History) { h.Pods[2].Began = 29 }, noOverlap},
		{"a run is started twice", func(h *History) { h.Pods[2].Run = "j2-1" }, neverTwice},
		{"a pod has no lease", func(h *History) {
			h.Pods = append(h.Pods, Pod{Node{"east", "n1"}, "j1-2", "j1", 90, 91, "stopped", 0})
		}, onlyLeased},
		{"a pod has no job", func(h *History) {
			h.Pods = append(h.Pods, Pod{Node{"east", "n1"}, "j9-1", "j9", 90, 91, "stopped", 0})
		}, onlyLeased},
		{"a job succeeds whose pod did not", func(h *History) { h.Pods[0].Outcome = "killed" }, noFalseVictory},
		{"a node is oversubscribed", func(h *History) { h.Pods[1].Began = 19 }, roomForAll},
		{"a node does not exist", func(h *History) { delete(h.Nodes, Node{"west", "n1"}) }, capacityUnknown},
	} {
		t.Run(flaw.name, func(t *testing.T) {
			t.Parallel()
			h := sound()
			flaw.plant(h)
			found := Check(h)
			if !slices.ContainsFunc(found, func(v Violation) bool { return v.Promise == flaw.breaks }) {
				t.Errorf("not found: %s; found %v", flaw.breaks, found)
			}
		})
	}
}
