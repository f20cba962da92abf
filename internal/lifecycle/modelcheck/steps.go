package modelcheck

import (
	"armada"
	"armada/internal/lifecycle"
)

// next lists what may happen in a state.
func (p *protocol) next(s State, found func(Action, State)) {
	yield := func(a Action, next State) { found(a, p.tidy(next)) }
	p.user(s, yield)
	p.leaders(s, yield)
	p.pushes(s, yield)
	for e := range uint8(executors) {
		if s.Agents[e].Dead {
			p.deliverBeat(s, e, yield) // what it sent may still arrive
			p.deliverReports(s, e, yield)
			p.restart(s, e, yield)
			continue
		}
		p.deliverPushes(s, e, yield)
		p.pods(s, e, yield)
		p.sendReports(s, e, yield)
		p.deliverReports(s, e, yield)
		if e < p.shaky {
			p.heartbeats(s, e, yield)
			p.deliverBeat(s, e, yield)
			p.session(s, e, yield)
		}
	}
	p.tick(s, yield)
}

// user cancels the job, once.
func (p *protocol) user(s State, yield func(Action, State)) {
	if s.Store.Asked || !s.Store.Job.Active() {
		return
	}
	s.Store.Asked = true
	p.change(&s, lifecycle.Cancel, 0, 0)
	yield(Action{what: "a user cancels the job"}, s)
}

// leaders decide by what they see, and commit later.
func (p *protocol) leaders(s State, yield func(Action, State)) {
	if s.Store.Epoch == 1 && p.scope.Takeover {
		next := s
		next.Store.Epoch = 2
		yield(Action{what: "leader 2 takes over"}, next)
	}
	for i := range s.Leaders[:s.Store.Epoch] {
		by := [2]string{"leader 1", "leader 2"}[i]
		if s.Leaders[i].Intent != nothing {
			yield(Action{what: by + " commits its decision"}, p.commit(s, i))
			continue
		}
		if i+1 < int(s.Store.Epoch) {
			continue // it has been deposed: what it decides now it could have decided before
		}
		decide := func(l Leader) {
			next := s
			next.Leaders[i] = l
			yield(Action{what: by + " decides"}, next)
		}
		switch st := &s.Store; {
		case st.Job == armada.JobQueued && st.Attempts < attempts:
			if st.Silence[0] < lease {
				decide(Leader{Intent: leaseToA})
			}
			if st.Silence[1] < lease {
				decide(Leader{Intent: leaseToB})
			}
		case st.Run.Active():
			if st.Silence[st.Holder] >= p.giveUpAt() {
				decide(Leader{Intent: expire, Attempt: st.Attempts, Session: st.Session[st.Holder]})
			}
			if st.Wish == armada.WishNone && p.scope.Preemptions {
				decide(Leader{Intent: preempt, Attempt: st.Attempts})
			}
		}
	}
}

// commit writes a decision if its fence holds, and drops it otherwise.
func (p *protocol) commit(s State, i int) State {
	l := s.Leaders[i]
	s.Leaders[i] = Leader{}
	current := int(s.Store.Epoch) == i+1
	if !current && p.flaw != NoFence {
		return s
	}
	var verdict lifecycle.Verdict
	switch l.Intent {
	case leaseToA, leaseToB:
		verdict = p.change(&s, lifecycle.Lease, 0, uint8(l.Intent-leaseToA))
	case expire:
		if l.Session != s.Store.Session[s.Store.Holder] && p.flaw != NoSessionFence {
			return s
		}
		verdict = p.change(&s, lifecycle.Expire, l.Attempt, 0)
	case preempt:
		verdict = p.change(&s, lifecycle.Preempt, l.Attempt, 0)
	default:
	}
	if verdict == lifecycle.Applied && !current && s.Broken == kept {
		s.Broken = byDeposed
	}
	return s
}

// pushes sends the holder of an active run what the store wants of it.
func (p *protocol) pushes(s State, yield func(Action, State)) {
	st := &s.Store
	if !st.Run.Active() || s.Agents[st.Holder].Dead {
		return
	}
	n, b := &s.Networks[st.Holder], bit(st.Session[st.Holder], st.Attempts)
	if st.Wish == armada.WishNone {
		if n.Starts&b == 0 {
			n.Starts |= b
			yield(Action{what: "the server tells %s to start", who: st.Holder, attempt: st.Attempts}, s)
		}
	} else if n.Stops&b == 0 {
		n.Stops |= b
		yield(Action{what: "the server tells %s to stop", who: st.Holder, attempt: st.Attempts}, s)
	}
}

// deliverPushes lets pushes arrive. Those for other sessions are void.
func (p *protocol) deliverPushes(s State, e uint8, yield func(Action, State)) {
	for session := uint8(1); session <= sessions; session++ {
		if session != s.Agents[e].Session && (p.flaw != TakesOldPushes || session > s.Agents[e].Session) {
			continue
		}
		for attempt := uint8(1); attempt <= attempts; attempt++ {
			if s.Networks[e].Starts&bit(session, attempt) != 0 {
				p.start(s, e, attempt, yield)
			}
			if s.Networks[e].Stops&bit(session, attempt) != 0 {
				p.stop(s, e, attempt, yield)
			}
		}
	}
}

func (p *protocol) start(s State, e, attempt uint8, yield func(Action, State)) {
	a := &s.Agents[e]
	pod := &a.Pods[attempt-1]
	valid := e >= p.shaky || a.Age < p.stopAt() || p.flaw == StartsWithoutLease
	if valid && (*pod == unknown || *pod == acknowledged && p.flaw == ForgetsEndedRuns) {
		*pod = running
		yield(Action{what: "%s is told to start, and does", who: e, attempt: attempt}, s)
	}
}

func (p *protocol) stop(s State, e, attempt uint8, yield func(Action, State)) {
	switch pod := &s.Agents[e].Pods[attempt-1]; {
	case *pod == running:
		*pod = askedToStop
		yield(Action{what: "%s is told to stop, and asks the pod to", who: e, attempt: attempt}, s)
	case *pod == unknown && p.flaw == NoTombstones:
		s.Networks[e].Reports[attempt-1] = stopped
		yield(Action{what: "%s is told to stop what it does not know", who: e, attempt: attempt}, s)
	case *pod == unknown:
		*pod = stopped
		yield(Action{what: "%s is told to stop what it does not know, and remembers that", who: e, attempt: attempt}, s)
	}
}

// pods end, by themselves or because that was asked for.
func (p *protocol) pods(s State, e uint8, yield func(Action, State)) {
	for i, pod := range s.Agents[e].Pods {
		becomes := func(end ...func() (string, podEnd)) {
			for _, f := range end {
				what, to := f()
				next := s
				next.Agents[e].Pods[i] = to
				if next.calm(e) {
					next.Agents[e].Hurry = 0
				}
				yield(Action{what: what, who: e, attempt: uint8(i + 1)}, next)
			}
		}
		switch pod {
		case running:
			becomes(succeeds, fails, cannotStart)
		case askedToStop:
			becomes(succeeds, stops)
		case killed:
			becomes(succeeds, isKilled)
		case orphaned:
			becomes(succeeds)
		default:
		}
	}
}

type podEnd = pod

func succeeds() (string, podEnd)    { return "the pod on %s succeeds", succeeded }
func fails() (string, podEnd)       { return "the pod on %s fails", failed }
func stops() (string, podEnd)       { return "the pod on %s stops", stopped }
func cannotStart() (string, podEnd) { return "the pod on %s could not start", returned }
func isKilled() (string, podEnd) {
	return "the pod on %s is dead, and its lease can be returned", returned
}

// calm tells whether the executor has no pod.
func (s *State) calm(e uint8) bool {
	for _, pod := range s.Agents[e].Pods {
		if pod.exists() {
			return false
		}
	}
	return true
}

// sendReports tells the server how pods ended.
func (p *protocol) sendReports(s State, e uint8, yield func(Action, State)) {
	for i, pod := range s.Agents[e].Pods {
		next := s
		n, attempt := &next.Networks[e], uint8(i+1)
		if pod == killed && p.flaw == ReportsWithoutPause {
			pod = returned
		}
		if pod.ended() && n.Reports[i] != pod {
			n.Reports[i] = pod
			yield(Action{what: "%s reports the end", who: e, attempt: attempt, detail: ": " + podNames[pod]}, next)
		}
	}
}

// deliverReports lets reports arrive, and their answers get lost or not. The
// reports of older sessions are refused, which is why they are not kept.
func (p *protocol) deliverReports(s State, e uint8, yield func(Action, State)) {
	if s.Agents[e].Session != s.Store.Session[e] {
		return
	}
	for i, end := range s.Networks[e].Reports {
		attempt := uint8(i + 1)
		if end == unknown {
			continue
		}
		p.change(&s, reports[end], attempt, e)
		yield(Action{what: "the report of %s of the end arrives, its answer is lost", who: e, attempt: attempt}, s)
		if s.Agents[e].Pods[i].ended() {
			next := s
			next.Agents[e].Pods[i] = acknowledged
			yield(Action{what: "the report of %s of the end arrives and is answered", who: e, attempt: attempt}, next)
		}
	}
}

var reports = map[pod]lifecycle.ChangeKind{
	succeeded: lifecycle.ReportSucceeded, failed: lifecycle.ReportFailed,
	stopped: lifecycle.ReportStopped, returned: lifecycle.ReportReturned,
}

// heartbeats are sent, and their acknowledgements arrive.
func (p *protocol) heartbeats(s State, e uint8, yield func(Action, State)) {
	a := &s.Agents[e]
	if fresh := (Beat{a.Session, 0}); s.Networks[e].Beat != fresh {
		next := s
		next.Networks[e].Beat = fresh
		yield(Action{what: "%s sends a heartbeat", who: e}, next)
	}
	ack := s.Networks[e].Ack
	if ack.Session != a.Session {
		return
	}
	orphans := p.adopt(&s, e)
	age := ack.Age
	switch p.flaw {
	case CountsFromReceipt:
		age = 0
	case AnyAckRenews:
		if beat := s.Networks[e].Beat; beat.Session == a.Session {
			age = min(age, beat.Age)
		}
	default:
	}
	if age < a.Age || orphans {
		a.Age = min(age, a.Age)
		yield(Action{what: "an acknowledgement arrives at %s", who: e}, s)
	}
}

// adopt does with orphans what the acknowledgement says: what the executor
// still holds it answers for from now on, the others it kills.
func (p *protocol) adopt(s *State, e uint8) bool {
	found := false
	for i, pod := range s.Agents[e].Pods {
		if pod != orphaned {
			continue
		}
		found = true
		if s.Networks[e].Valid == uint8(i+1) || p.flaw == AdoptsUnasked {
			s.Agents[e].Pods[i] = running
		} else {
			s.Agents[e].Pods[i] = returned
		}
	}
	return found
}

// deliverBeat lets the latest heartbeat arrive at the store, which commits to
// have heard of the executor and acknowledges. A session that was silent for
// so long that its runs may have been given up is over.
func (p *protocol) deliverBeat(s State, e uint8, yield func(Action, State)) {
	beat := s.Networks[e].Beat
	if beat.Session == 0 || beat.Session < s.Store.Session[e] {
		return
	}
	if over := s.Store.Silence[e] >= p.giveUpAt(); over && beat.Session == s.Store.Session[e] && p.flaw != RevivesSessions {
		return
	}
	s.Store.Session[e], s.Store.Silence[e], s.Networks[e].Ack, s.Networks[e].Valid = beat.Session, 0, beat, 0
	if s.Store.Holder == e && s.Store.Run.Active() {
		s.Networks[e].Valid = s.Store.Attempts
	}
	yield(Action{what: "the heartbeat of %s arrives", who: e}, s)
}

// session is what an executor does with its lease: it obeys its end, begins a
// new session (its connection broke, or the old one is over), or dies.
func (p *protocol) session(s State, e uint8, yield func(Action, State)) {
	if p.scope.Deaths {
		p.die(s, e, yield)
	}
	a := &s.Agents[e]
	if a.Age != never && a.Age >= p.stopAt() {
		next := s
		for i, pod := range a.Pods {
			if pod == running {
				next.Agents[e].Pods[i] = killed
			}
		}
		next.Agents[e].Age = never
		if !next.calm(e) {
			next.Agents[e].Hurry = 1 + margin
		}
		yield(Action{what: "the lease of %s is about to end: it kills its pods", who: e}, next)
	}
	if a.Session < sessions {
		s.renew(e)
		yield(Action{what: "%s begins a new session", who: e}, s)
	}
}

// die ends an executor. Its pods go on without it; what only it knew is lost.
func (p *protocol) die(s State, e uint8, yield func(Action, State)) {
	a, dead := &s.Agents[e], s
	dead.Agents[e] = Agent{Dead: true, Session: a.Session, Age: never, Pods: a.Pods}
	for i, pod := range a.Pods {
		switch {
		case pod.exists():
			dead.Agents[e].Pods[i] = orphaned
		case pod == acknowledged || pod == stopped: // a stop of what it never knew is nowhere written
			dead.Agents[e].Pods[i] = unknown
		default:
		}
	}
	yield(Action{what: "%s dies", who: e}, dead)
}

// restart brings a dead executor back, in a new session and without a lease.
// It finds the pods that its runtime has, and how those ended that did.
func (p *protocol) restart(s State, e uint8, yield func(Action, State)) {
	if e < p.shaky && s.Agents[e].Session < sessions {
		s.Agents[e].Dead = false
		s.renew(e)
		yield(Action{what: "%s is back, in a new session", who: e}, s)
	}
}

// renew begins a new session. The executor forgets runs that are over and
// acknowledged, and reports of the older session count no more.
func (s *State) renew(e uint8) {
	a := &s.Agents[e]
	a.Session++
	for i, pod := range a.Pods {
		if pod == acknowledged {
			a.Pods[i] = unknown
		}
	}
	s.Networks[e].Reports = [attempts]pod{}
}

// tick lets time pass, unless an executor that lives is late with its duty.
func (p *protocol) tick(s State, yield func(Action, State)) {
	for e := range p.shaky {
		a := &s.Agents[e]
		if !a.Dead && (a.Age != never && a.Age >= p.stopAt() || a.Hurry == 1) {
			return
		}
		if a.Age != never {
			a.Age++
		}
		if a.Hurry > 1 {
			a.Hurry--
		}
		s.Store.Silence[e] = min(s.Store.Silence[e]+1, p.giveUpAt())
		for _, b := range []*Beat{&s.Networks[e].Beat, &s.Networks[e].Ack} {
			if b.Session > 0 {
				if b.Age++; b.Age >= p.stopAt() {
					*b = Beat{} // too old to do anything
				}
			}
		}
	}
	yield(Action{what: "a tick passes"}, s)
}
