package checker

import (
	"cmp"
	"slices"
)

// The promises about what really runs.
const (
	noOverlap       = "two attempts of a job never run at the same time"
	neverTwice      = "a run is started once, unless its runtime died and forgot it"
	roomForAll      = "no node is oversubscribed"
	onlyLeased      = "only what was leased runs"
	noFalseVictory  = "a job succeeds only when a pod of it did"
	capacityUnknown = "every pod is on a node that there is"
)

// pods checks what ran against the events and against the nodes.
func pods(f *findings, h *History, jobs map[string]*life) {
	cpu := map[string]int64{}
	for _, s := range h.Submits {
		cpu[s.ClientID] = s.CPU
	}
	byJob, byNode := map[string][]Pod{}, map[Node][]Pod{}
	for _, p := range h.Pods {
		byJob[p.Job] = append(byJob[p.Job], p)
		byNode[p.Node] = append(byNode[p.Node], p)
	}
	for _, l := range sorted(jobs) {
		attempts(f, l, byJob[l.job])
		delete(byJob, l.job)
	}
	for job, ps := range byJob {
		f.add(onlyLeased, "run %s of job %s, of which no event tells, ran on %v", ps[0].Run, job, ps[0].Node)
	}
	for node, ps := range byNode {
		room(f, node, h.Nodes, ps, func(p Pod) int64 {
			if l := jobs[p.Job]; l != nil {
				return cpu[l.clientID]
			}
			return 0
		})
	}
}

// attempts checks the pods of one job.
func attempts(f *findings, l *life, ps []Pod) {
	slices.SortFunc(ps, func(a, b Pod) int { return cmp.Compare(a.Began, b.Began) })
	succeeded := false
	runs := map[string]bool{}
	for i, p := range ps {
		succeeded = succeeded || p.Outcome == "succeeded"
		runs[p.Run] = true
		if i == 0 {
			continue
		}
		before := ps[i-1]
		if before.Run == p.Run && before.Life == p.Life {
			f.add(neverTwice, "run %s was started at %v and at %v", p.Run, before.Began, p.Began)
		}
		if p.Began < before.Ended {
			f.add(noOverlap, "run %s began at %v on %v while run %s was on %v until %v",
				p.Run, p.Began, p.Node, before.Run, before.Node, before.Ended)
		}
	}
	if len(runs) > l.leases {
		f.add(onlyLeased, "job %s had %d runs and %d leases", l.job, len(runs), l.leases)
	}
	if l.end == "succeeded" && !succeeded {
		f.add(noFalseVictory, "job %s succeeded; its pods are %v", l.job, ps)
	}
}

// room checks that the pods on a node at any moment fit on it.
func room(f *findings, node Node, nodes map[Node]int64, ps []Pod, cpu func(Pod) int64) {
	has, known := nodes[node]
	if !known {
		f.add(capacityUnknown, "run %s was on %v", ps[0].Run, node)
		return
	}
	// Whoever leaves makes room for whoever comes at the same moment.
	type step struct {
		pod  Pod
		come bool
	}
	var steps []step
	for _, p := range ps {
		steps = append(steps, step{p, true}, step{p, false})
	}
	at := func(s step) (begins int, when int64) {
		if s.come {
			return 1, int64(s.pod.Began)
		}
		return 0, int64(s.pod.Ended)
	}
	slices.SortStableFunc(steps, func(a, b step) int {
		beginsA, whenA := at(a)
		beginsB, whenB := at(b)
		return cmp.Or(cmp.Compare(whenA, whenB), cmp.Compare(beginsA, beginsB))
	})
	used := int64(0)
	for _, s := range steps {
		if !s.come {
			used -= cpu(s.pod)
			continue
		}
		if used += cpu(s.pod); used > has {
			f.add(roomForAll, "%v has %d thousandths of a core, and %d were in use when run %s began at %v", node, has, used, s.pod.Run, s.pod.Began)
			return
		}
	}
}
