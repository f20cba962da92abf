package intake

import (
	"armada"
	"armada/internal/store"
)

// Gang is how many members a gang of a job set has: those that are active, and
// those that had a run. Who ended before ever having had one has left a place.
type Gang struct {
	Set         *JobSet
	ID          string
	Cardinality int
	Members     int
	By          int // what the batch adds to Members

	staged bool // it is among the batch's
}

type gangKey struct {
	set *JobSet
	id  string
}

// gang returns a gang of a job set as it is with what this batch adds.
func (b *Batch) gang(set *JobSet, id string) (*Gang, error) {
	key := gangKey{set, id}
	if g, known := b.gangs[key]; known {
		return g, nil
	}
	members, cardinality, err := b.form.Gang(set, id)
	if err != nil {
		return nil, err
	}
	g := &Gang{Set: set, ID: id, Members: members, Cardinality: cardinality}
	b.gangs[key] = g
	return g, nil
}

// checkGangs answers with a [store.GangError] when a new job is a member for whom
// its gang has no place, or one that does not agree with it.
func (b *Batch) checkGangs(sub *Submission, answers []store.Submitted, set *JobSet) error {
	var joining map[string]int
	for i := range sub.Jobs {
		asked := sub.Jobs[i].Job.Gang
		if asked.Alone() || answers[i].Duplicate {
			continue
		}
		g, err := b.gang(set, asked.ID)
		if err != nil {
			return err
		}
		if joining == nil {
			joining = map[string]int{}
		}
		wrong := &store.GangError{Job: i, Gang: asked, Members: max(0, g.Members) + joining[asked.ID], Cardinality: asked.Cardinality}
		if g.Members > 0 {
			wrong.Cardinality = g.Cardinality
		}
		if wrong.Disagrees() || wrong.Members >= wrong.Cardinality {
			return wrong
		}
		joining[asked.ID]++
	}
	return nil
}

// join counts a new job among the members of its gang, and leave a job that ended
// without ever having had a run no longer.
func (b *Batch) join(set *JobSet, job *armada.Job) error { return b.count(set, job, 1) }

func (b *Batch) leave(set *JobSet, job *armada.Job) error { return b.count(set, job, -1) }

func (b *Batch) count(set *JobSet, job *armada.Job, by int) error {
	if job.Gang.Alone() {
		return nil
	}
	g, err := b.gang(set, job.Gang.ID)
	if err != nil {
		return err
	}
	if by > 0 && g.Members <= 0 {
		g.Cardinality = job.Gang.Cardinality
	}
	g.Members, g.By = g.Members+by, g.By+by // below 0 where members were not counted
	if !g.staged {
		g.staged = true
		b.Gangs = append(b.Gangs, g)
	}
	return nil
}

// GangIDs are those of the gangs that the jobs are members of, each once.
func (s *Submission) GangIDs() []string {
	var ids []string
	var seen map[string]struct{}
	for i := range s.Jobs {
		gang := s.Jobs[i].Job.Gang
		if gang.Alone() {
			continue
		}
		if seen == nil {
			seen = map[string]struct{}{}
		}
		if _, again := seen[gang.ID]; !again {
			seen[gang.ID] = struct{}{}
			ids = append(ids, gang.ID)
		}
	}
	return ids
}
