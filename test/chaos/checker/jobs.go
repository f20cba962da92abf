package checker

import "slices"

// The promises about jobs.
const (
	exactlyOnce   = "an acknowledged job exists exactly once"
	ended         = "every job reaches an end"
	noInventions  = "no job exists that nobody submitted"
	readYourWrite = "what was acknowledged is seen by every later read"
	truthful      = "a listing agrees with the events"
	cancelKept    = "a cancel that was answered is carried out, and only who was asked for is cancelled"
	priorityKept  = "a reprioritisation that was answered is carried out"
)

// submitted compares what was submitted with what there is.
func submitted(f *findings, h *History, jobs map[string]*life) {
	byClient := map[string][]*life{}
	for _, l := range sorted(jobs) {
		byClient[l.clientID] = append(byClient[l.clientID], l)
		if l.end == "" {
			f.add(ended, "job %s of job set %s: its last event is %s", l.job, l.set, l.events[len(l.events)-1].Kind)
		}
	}
	asked := map[string]bool{}
	for _, s := range h.Submits {
		asked[s.ClientID] = true
		there := byClient[s.ClientID]
		switch {
		case s.Job == "":
		case jobs[s.Job] == nil:
			f.add(exactlyOnce, "job %s (client id %s) of job set %s was acknowledged and has no event", s.Job, s.ClientID, s.JobSet)
		case jobs[s.Job].clientID != s.ClientID || jobs[s.Job].set != s.JobSet:
			f.add(exactlyOnce, "job %s was answered for client id %s in job set %s and is that of %s in %s",
				s.Job, s.ClientID, s.JobSet, jobs[s.Job].clientID, jobs[s.Job].set)
		}
		if len(there) > 1 {
			f.add(exactlyOnce, "client id %s stands for the jobs %s and %s", s.ClientID, there[0].job, there[1].job)
		}
	}
	for client, there := range byClient {
		if !asked[client] {
			f.add(noInventions, "job %s has the client id %q", there[0].job, client)
		}
	}
	for _, r := range h.Reads {
		if !r.Seen {
			f.add(readYourWrite, "job %s was acknowledged, and server %s did not know it", r.Job, r.Server)
		}
	}
}

// listed compares what servers list at the end with the events.
func listed(f *findings, h *History, jobs map[string]*life) {
	for _, listing := range h.Listings {
		times := map[string]int{}
		for _, j := range listing.Jobs {
			times[j.Job]++
			switch l := jobs[j.Job]; {
			case l == nil:
				f.add(noInventions, "server %s lists job %s, which has no event", listing.Server, j.Job)
			case l.end != j.State:
				f.add(truthful, "server %s lists job %s as %s; its events say %q", listing.Server, j.Job, j.State, l.end)
			}
		}
		for _, l := range sorted(jobs) {
			if times[l.job] != 1 {
				f.add(exactlyOnce, "server %s lists job %s %d times", listing.Server, l.job, times[l.job])
			}
		}
	}
}

// wishes compares what was asked for with what became of it.
func wishes(f *findings, h *History, jobs map[string]*life) {
	asked := map[string]bool{}
	for _, c := range h.Cancels {
		for _, job := range c.Asked {
			asked[job] = true
		}
		for _, job := range c.Answered {
			if l := jobs[job]; l != nil && !l.has("cancelling") {
				f.add(cancelKept, "job %s was answered as cancelled and has no such event", job)
			}
			if !slices.Contains(c.Asked, job) {
				f.add(cancelKept, "job %s was answered as cancelled and not asked for", job)
			}
		}
	}
	for _, l := range sorted(jobs) {
		if l.has("cancelling") && !asked[l.job] {
			f.add(cancelKept, "nobody asked for job %s to be cancelled", l.job)
		}
	}
	for _, p := range h.Priorities {
		l := jobs[p.Job]
		if l != nil && !slices.ContainsFunc(l.events, func(e Event) bool { return e.Kind == "reprioritized" && e.Priority == p.To }) {
			f.add(priorityKept, "job %s has no event that says priority %v", p.Job, p.To)
		}
	}
}
