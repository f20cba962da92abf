package leader

import (
	"cmp"
	"reflect"
	"slices"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/scheduling"
	"armada/internal/store"
)

// survey is what is known of the nodes that jobs could ever get.
type survey struct {
	known      []scheduling.KnownKind
	absent     []scheduling.KnownKind // of these: no node of the kind is there
	generation uint64                 // of known; 0 before the first look
	// certain tells whether a job that fits on no known kind can be rejected:
	// there are executors, and each of them has told of its nodes since this
	// replica leads.
	certain bool
	stale   bool      // executors changed in a way that may matter
	again   time.Time // when looking again may tell something else; zero for never

	// suspects are queued jobs that fit on no known kind, or did not when they
	// were looked at.
	suspects []*entry
	due      bool // they are worth a look
}

// look brings the survey up to date. An executor counts for a day after the
// last word from it, by our clock and counted from when this replica learned of
// it: neither a new leader, nor an outage of everything, makes its nodes unknown.
func (w *world) look(now time.Time) {
	s := &w.survey
	if s.generation > 0 && !s.stale && (s.again.IsZero() || now.Before(s.again)) {
		return
	}
	known, was := slices.Clone(w.types), s.certain
	absent := slices.Clone(w.types)
	executors, silent := 0, 0
	s.stale, s.again = false, time.Time{}
	for _, x := range w.agents() {
		until := x.seen.Add(store.KindsKept)
		if x.Session == "" || !now.Before(until) {
			continue
		}
		s.again = earlier(s.again, until)
		kinds := x.known(now.Add(w.skew))
		for _, k := range kinds {
			if !k.Gone.IsZero() {
				s.again = earlier(s.again, k.Gone.Add(store.KindsKept-w.skew))
			}
			gone := !k.Gone.IsZero()
			k.Gone, k.Pool = time.Time{}, poolName(k.Pool)
			known = append(known, scheduling.KnownKind{Executor: x.ID, NodeKind: k})
			if gone {
				absent = append(absent, known[len(known)-1])
			}
		}
		executors++
		if !x.reported || len(kinds) == 0 && len(w.types) == 0 {
			silent++ // nobody knows what the cluster could offer
		}
	}
	scheduling.SortKnown(known)
	s.certain = executors > 0 && silent == 0
	s.due = s.due || s.certain && !was
	if s.generation == 0 || !reflect.DeepEqual(known, s.known) || !reflect.DeepEqual(absent, s.absent) {
		s.known, s.absent = known, absent
		s.generation++
		for _, p := range w.pools {
			p.dirty = p.plan.SetKnown(known) || p.dirty
		}
		w.suspectAnew()
	}
}

// known returns the kinds of nodes of the last day, by the store's clock.
func (x *agent) known(now time.Time) []armada.NodeKind {
	return slices.DeleteFunc(slices.Clone(x.kinds), func(k armada.NodeKind) bool {
		return !k.Gone.IsZero() && now.Sub(k.Gone) >= store.KindsKept
	})
}

// suspectAnew looks for suspects after the known kinds have changed. Only
// shapes that have lost their last kind make new ones, and jobs that have learned
// something, which are about nodes and not only about kinds.
func (w *world) suspectAnew() {
	s := &w.survey
	s.due = true
	lost, taught := s.generation == 1, false
	for _, shape := range w.shapes {
		taught = taught || shape.plain != nil
		for label, could := range shape.could {
			shape.could[label] = w.couldRun(shape, label)
			lost = lost || could && !shape.could[label]
		}
	}
	if !lost {
		if taught {
			w.suspectTaught()
		}
		return
	}
	for _, e := range s.suspects {
		e.suspect = false
	}
	s.suspects = slices.DeleteFunc(w.waitingJobs(), func(e *entry) bool {
		e.suspect = !w.could(e)
		return !e.suspect
	})
}

// suspectTaught looks for suspects among the jobs that have learned something.
func (w *world) suspectTaught() {
	var fresh []*entry
	for _, e := range w.jobs {
		if e.shape.plain != nil && e.shown.spot == offered && !e.suspect && !w.could(e) {
			e.suspect, fresh = true, append(fresh, e)
		}
	}
	slices.SortFunc(fresh, func(a, b *entry) int { return cmp.Compare(a.job.Number, b.job.Number) })
	w.survey.suspects = append(w.survey.suspects, fresh...)
}

// suspect notes a job that is offered to the pools.
func (w *world) suspect(e *entry) {
	s := &w.survey
	if s.generation == 0 {
		return // all are looked at then
	}
	if !w.could(e) {
		if !e.suspect {
			e.suspect, s.suspects = true, append(s.suspects, e)
		}
		s.due = true
	}
	s.due = s.due || !e.job.Gang.Alone() && len(s.suspects) > 0 // it may complete its gang
}

// could tells whether a known kind of nodes fits the job by itself. What its
// attempts have taught matters only where there was a node without it: when all of
// them are gone the job waits.
func (w *world) could(e *entry) bool {
	label := e.label()
	if e.shape.plain != nil {
		return !w.couldShape(e.shape.plain, label) || w.couldAgain(e.shape, label)
	}
	return w.couldShape(e.shape, label)
}

// label is the one of which the nodes of the job's gang must share a value.
func (e *entry) label() string {
	if e.job.Gang.Alone() {
		return ""
	}
	return e.job.Gang.UniformityLabel
}

// couldShape is could for a shape, remembered until the known kinds change.
func (w *world) couldShape(s *shape, label string) bool {
	could, judged := s.could[label]
	if !judged {
		could = w.couldRun(s, label)
		if s.could == nil {
			s.could = map[string]bool{}
		}
		s.could[label] = could
	}
	return could
}

func (w *world) couldRun(s *shape, label string) bool {
	_, could := w.rules.CouldRun(s.requirements, label, w.survey.known)
	return could
}

// rejections returns proposals to reject jobs that can never run, of about as
// many changes as there is room for; the rest follows.
func (w *world) rejections(now time.Time, room int) []proposal {
	w.look(now)
	s := &w.survey
	if !s.certain || !s.due || room <= 0 {
		return nil
	}
	s.due = false
	var proposals []proposal
	var gangs map[gangKey][]*entry
	var kept []*entry
	for i, e := range s.suspects {
		if room <= 0 {
			kept = append(kept, s.suspects[i:]...)
			s.due = true
			break
		}
		e.suspect = false
		if w.jobs[e.job.ID] != e || e.shown.spot != offered || e.job.Attempts > 0 && e.shape.plain == nil || w.could(e) {
			continue
		}
		if e.shape.plain != nil {
			proposals = append(proposals, w.abandon(e, now))
			room--
			continue
		}
		members := []*entry{e}
		if !e.job.Gang.Alone() {
			if gangs == nil {
				gangs = w.gangs()
			}
			if members = gangs[keyOf(e)]; !complete(members) {
				e.suspect, kept = true, append(kept, e)
				continue
			}
		}
		p := w.reject(e, members, now)
		room -= len(p.unit)
		proposals = append(proposals, p)
	}
	s.suspects = kept
	return proposals
}

// reject proposes to reject a job that can never run, with its gang.
func (w *world) reject(e *entry, members []*entry, now time.Time) proposal {
	label := ""
	if len(members) > 1 {
		label = e.job.Gang.UniformityLabel
	}
	why := w.rules.WhyNever(e.shape.requirements, label, w.survey.known)
	p := proposal{}
	for _, m := range members {
		reason := why
		if w.could(m) {
			reason = "its gang can never run, for member " + string(e.job.ID) + ": " + why
		}
		p.add(m, lifecycle.Change{Kind: lifecycle.Reject, Job: m.job.ID, Reason: reason})
	}
	for i, m := range p.members {
		m.pursue(&p.unit[i], now)
		w.place(m)
	}
	return p
}

// gangKey names a gang.
type gangKey struct {
	queue string
	set   armada.JobSet
	id    string
}

func keyOf(e *entry) gangKey { return gangKey{e.job.Queue, e.job.JobSet, e.job.Gang.ID} }

// gangs returns the active members of all gangs, in order of submission.
func (w *world) gangs() map[gangKey][]*entry {
	gangs := map[gangKey][]*entry{}
	for _, e := range w.jobs {
		if !e.job.Gang.Alone() {
			gangs[keyOf(e)] = append(gangs[keyOf(e)], e)
		}
	}
	for _, members := range gangs {
		slices.SortFunc(members, func(a, b *entry) int { return cmp.Compare(a.job.Number, b.job.Number) })
	}
	return gangs
}

// complete tells whether a gang can be rejected as a whole: all its members are
// there, and none of them was ever started.
func complete(members []*entry) bool {
	for _, e := range members {
		if e.shown.spot != offered || e.job.Attempts > 0 || e.job.Gang.Cardinality != len(members) {
			return false
		}
	}
	return len(members) <= store.MaxTransition
}
