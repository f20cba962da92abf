package modelcheck

import (
	"fmt"
	"strings"
	"time"

	"armada"
	"armada/internal/lifecycle"
)

// Flaw is a rule of the protocol that is left out.
type Flaw uint8

// The flaws.
const (
	Flawless            Flaw = iota
	NoFence                  // decisions commit in any epoch
	NoSessionFence           // runs are given up although their executor came back meanwhile
	NoMarginOfExecutor       // the executor stops its pods when the lease ends, not before
	NoMarginOfServer         // the server gives runs up when the lease ends, not after
	AnyAckRenews             // an acknowledgement renews as if it were of the latest heartbeat
	CountsFromReceipt        // the lease counts from when its acknowledgement arrived
	TakesOldPushes           // pushes for older sessions count
	StartsWithoutLease       // a run is started although the lease has ended
	NoTombstones             // a stop of a run that is not known yet is answered and forgotten
	ForgetsEndedRuns         // an acknowledged run may be started again
	RevivesSessions          // a heartbeat renews a session whose runs may have been given up
	ForgetsCancels           // an acknowledged cancel is not remembered while a run lives
	AdoptsUnasked            // an executor that was dead takes on whatever pods it finds
	ReportsWithoutPause      // a run is reported as returned while its pod is being killed
)

// Action is what happened between two states.
type Action struct {
	what    string
	who     uint8
	attempt uint8
	detail  string
}

// String tells the action in words.
func (a Action) String() string {
	text := strings.ReplaceAll(a.what, "%s", executorName(a.who))
	if a.attempt > 0 {
		text += fmt.Sprintf(" (attempt %d)", a.attempt)
	}
	return text + a.detail
}

// protocol is the machine with one flaw. Executors below shaky have a bad link
// and a clock that matters; the others' leases always last.
type protocol struct {
	flaw  Flaw
	scope Scope
	shaky uint8
	known map[question]answer
}

// Scope is what may happen beyond users, leases, messages and time. All of it
// makes about three million states.
type Scope struct {
	Preemptions bool // leaders preempt
	Deaths      bool // an executor dies, and may be back
	Takeover    bool // another leader takes over
	Retries     bool // a retry policy repeats what ends badly
}

// Everything may happen.
var Everything = Scope{Preemptions: true, Deaths: true, Takeover: true, Retries: true}

// Protocol is the machine of the protocol with a flaw, or with none.
func Protocol(flaw Flaw, scope Scope) Machine[State, Action] {
	p := &protocol{flaw: flaw, scope: scope, shaky: 1, known: make(map[question]answer)}
	begin := State{Store: Store{Job: armada.JobQueued, Epoch: 1}}
	for e := range begin.Agents {
		begin.Agents[e].Session, begin.Store.Session[e] = 1, 1
	}
	return Machine[State, Action]{Begin: begin, Next: p.next, Bad: bad, Goal: ended}
}

func (p *protocol) stopAt() uint8 {
	if p.flaw == NoMarginOfExecutor {
		return lease
	}
	return lease - margin
}

func (p *protocol) giveUpAt() uint8 {
	if p.flaw == NoMarginOfServer {
		return lease
	}
	return lease + margin
}

// bad tells which promise a state breaks.
func bad(s State) string {
	if s.Broken != kept {
		return breachNames[s.Broken]
	}
	st, pods := &s.Store, 0
	for e := range s.Agents {
		for i, pod := range s.Agents[e].Pods {
			if !pod.exists() || s.Agents[e].Dead {
				continue
			}
			if pods++; pods > 1 {
				return "two attempts run at a time"
			}
			if !st.Run.Active() || int(st.Holder) != e || int(st.Attempts) != i+1 {
				return fmt.Sprintf("attempt %d runs on %s, and the store has given it up", i+1, executorName(uint8(e)))
			}
		}
	}
	if want := map[bool]uint8{true: 1}[st.Job.Terminal()]; st.Ends != want {
		return fmt.Sprintf("the job is %s after %d terminal events", st.Job, st.Ends)
	}
	if st.Asked && st.Job.Terminal() && st.Job != armada.JobCancelled && st.Job != armada.JobSucceeded {
		return fmt.Sprintf("the job's cancel was acknowledged and it ended %s", st.Job)
	}
	return ""
}

// ended tells whether the job has ended and nothing of it runs.
func ended(s State) bool {
	for e := range s.Agents {
		for _, pod := range s.Agents[e].Pods {
			if pod.exists() && !s.Agents[e].Dead {
				return false
			}
		}
	}
	return s.Store.Job.Terminal()
}

// question and answer are what lifecycle.Apply is asked and says, remembered
// because it is asked the same millions of times.
type (
	question struct {
		store   Store
		kind    lifecycle.ChangeKind
		attempt uint8
		by      uint8
	}
	answer struct {
		store   Store
		verdict lifecycle.Verdict
		broken  breach
	}
)

// change lets the store decide about a change by lifecycle.Apply. Attempt and
// by are the run of a change about one, and who reports or gets the lease.
func (p *protocol) change(s *State, kind lifecycle.ChangeKind, attempt, by uint8) lifecycle.Verdict {
	q := question{s.Store, kind, attempt, by}
	q.store.Epoch, q.store.Session, q.store.Silence = 0, [executors]uint8{}, [executors]uint8{} // it does not see these
	a, seen := p.known[q]
	if !seen {
		a = p.decide(q)
		p.known[q] = a
	}
	if p.flaw == ForgetsCancels && kind == lifecycle.Cancel {
		a.store.Wish = s.Store.Wish
	}
	a.store.Epoch, a.store.Session, a.store.Silence = s.Store.Epoch, s.Store.Session, s.Store.Silence
	s.Store = a.store
	if s.Broken == kept {
		s.Broken = a.broken
	}
	return a.verdict
}

// again is a retry policy that repeats whatever ends badly, once.
var again = lifecycle.Retrying{Most: 1, Policies: []armada.RetryPolicy{{
	Name: "again", Limit: 1, Default: armada.RetryAgain,
	Rules: []armada.RetryRule{{Action: armada.RetryAgain, Conditions: []armada.RetryCondition{armada.RetryOnPreempted}}},
}}}

func (p *protocol) decide(q question) answer {
	name := func(e uint8) armada.ExecutorID { return armada.ExecutorID(executorName(e)) }
	st := q.store
	job := armada.Job{ID: "job", State: st.Job, Wish: armada.Wish{Kind: st.Wish}, Attempts: int(st.Attempts)}
	if st.Attempts > 1 { // each attempt before this one was given back or repeated
		job.Lessons = &armada.Lessons{Returned: int(st.Attempts) - 1, Retried: int(st.Attempts) - 1}
	}
	run := armada.Run{ID: armada.NewRunID("job", int(st.Attempts)), State: st.Run, Executor: name(st.Holder)}
	var retrying lifecycle.Retrying
	if p.scope.Retries {
		retrying = again
	}
	step := lifecycle.Apply(job, run, lifecycle.Change{
		Kind: q.kind, Job: "job", Run: armada.NewRunID("job", int(q.attempt)), Executor: name(q.by),
		Lease: lifecycle.Terms{Executor: name(q.by)}, MaxAttempts: attempts, Retrying: retrying,
	}, time.Time{})
	a := answer{store: st, verdict: step.Verdict}
	if step.Verdict != lifecycle.Applied {
		return a
	}
	if st.Job.Terminal() {
		a.broken = afterTheEnd
	} else if st.Asked && q.kind == lifecycle.Lease {
		a.broken = leasedAfterCancel
	}
	a.store.Job, a.store.Wish, a.store.Run = step.Job.State, step.Job.Wish.Kind, step.Run.State
	a.store.Attempts = uint8(step.Job.Attempts) //nolint:gosec // at most attempts
	if q.kind == lifecycle.Lease {
		a.store.Holder = q.by
	}
	for _, e := range step.Events {
		switch {
		case e.Retryable:
		case e.Kind == armada.EventSucceeded, e.Kind == armada.EventFailed, e.Kind == armada.EventCancelled:
			a.store.Ends++
		}
	}
	return a
}
