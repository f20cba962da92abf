package wire

import (
	"maps"
	"slices"

	"armada"
	"armada/pkg/api"
)

// Queue turns a queue of the wire into ours. Owners become permissions with
// the verbs of owners. The resource limits of 2020, which know no priority classes,
// become those of the default class unless limits by class are given.
func Queue(q *api.Queue, defaultClass string) armada.Queue {
	out := armada.Queue{
		Name:           q.GetName(),
		PriorityFactor: q.GetPriorityFactor(),
		Cordoned:       q.GetCordoned(),
		Labels:         q.GetLabels(),
		RetryPolicies:  q.GetRetryPolicies(),
	}
	if owners := owners(q); len(owners) > 0 {
		out.Permissions = append(out.Permissions, armada.Permission{Subjects: owners, Verbs: armada.OwnerVerbs()})
	}
	for _, p := range q.GetPermissions() {
		out.Permissions = append(out.Permissions, permission(p))
	}
	if legacy := q.GetResourceLimits(); len(legacy) > 0 { // clients of 2020 send it
		out.Limits = map[string]armada.ResourceFractions{defaultClass: {Maximum: legacy}}
	}
	if byClass := q.GetResourceLimitsByPriorityClassName(); len(byClass) > 0 {
		out.Limits = make(map[string]armada.ResourceFractions, len(byClass))
		for class, limits := range byClass {
			out.Limits[class] = fractions(limits)
		}
	}
	return out
}

func owners(q *api.Queue) []armada.Subject {
	var subjects []armada.Subject
	for _, name := range q.GetUserOwners() {
		subjects = append(subjects, armada.Subject{Kind: armada.SubjectUser, Name: name})
	}
	for _, name := range q.GetGroupOwners() {
		subjects = append(subjects, armada.Subject{Kind: armada.SubjectGroup, Name: name})
	}
	return subjects
}

func permission(p *api.Queue_Permissions) armada.Permission {
	out := armada.Permission{}
	for _, s := range p.GetSubjects() {
		out.Subjects = append(out.Subjects, armada.Subject{Kind: s.GetKind(), Name: s.GetName()})
	}
	for _, verb := range p.GetVerbs() {
		out.Verbs = append(out.Verbs, armada.Verb(verb))
	}
	return out
}

func fractions(l *api.PriorityClassResourceLimits) armada.ResourceFractions {
	out := armada.ResourceFractions{Maximum: l.GetMaximumResourceFraction()}
	for pool, limits := range l.GetMaximumResourceFractionByPool() {
		if out.MaximumByPool == nil {
			out.MaximumByPool = map[string]map[string]float64{}
		}
		out.MaximumByPool[pool] = limits.GetMaximumResourceFraction()
	}
	return out
}

// QueueMessage writes a queue as it was set: owners show as the permissions
// that they became, and nothing is filled in.
func QueueMessage(q armada.Queue) *api.Queue {
	out := &api.Queue{
		Name:           q.Name,
		PriorityFactor: q.PriorityFactor,
		Cordoned:       q.Cordoned,
		Labels:         q.Labels,
		RetryPolicies:  q.RetryPolicies,
	}
	for _, p := range q.Permissions {
		message := &api.Queue_Permissions{}
		for _, s := range p.Subjects {
			message.Subjects = append(message.Subjects, &api.Queue_Permissions_Subject{Kind: s.Kind, Name: s.Name})
		}
		for _, verb := range p.Verbs {
			message.Verbs = append(message.Verbs, string(verb))
		}
		out.Permissions = append(out.Permissions, message)
	}
	for class, limits := range q.Limits {
		if out.ResourceLimitsByPriorityClassName == nil {
			out.ResourceLimitsByPriorityClassName = map[string]*api.PriorityClassResourceLimits{}
		}
		out.ResourceLimitsByPriorityClassName[class] = limitsMessage(limits)
	}
	return out
}

func limitsMessage(l armada.ResourceFractions) *api.PriorityClassResourceLimits {
	out := &api.PriorityClassResourceLimits{MaximumResourceFraction: l.Maximum}
	for pool, maximum := range l.MaximumByPool {
		if out.MaximumResourceFractionByPool == nil {
			out.MaximumResourceFractionByPool = map[string]*api.PriorityClassPoolResourceLimits{}
		}
		out.MaximumResourceFractionByPool[pool] = &api.PriorityClassPoolResourceLimits{MaximumResourceFraction: maximum}
	}
	return out
}

// JobSetInfo is how many jobs of a job set are queued, and how many have a run.
type JobSetInfo struct {
	Queued, Started int64
}

// JobSetInfos writes the figures of a queue's job sets, ordered by name.
func JobSetInfos(sets map[armada.JobSet]JobSetInfo) []*api.JobSetInfo {
	out := make([]*api.JobSetInfo, 0, len(sets))
	for _, name := range slices.Sorted(maps.Keys(sets)) {
		out = append(out, &api.JobSetInfo{
			Name: string(name), QueuedJobs: int32(min(sets[name].Queued, 1<<31-1)), LeasedJobs: int32(min(sets[name].Started, 1<<31-1)),
		})
	}
	return out
}
