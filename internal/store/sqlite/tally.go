package sqlite

import (
	"fmt"
	"strings"

	"armada"
	"armada/internal/store"
)

// tally is by how much the numbers of jobs by state change: of job sets and of
// queues, by their rows.
type tally struct{ sets, queues map[int64]*store.StateCounts }

func newTally() tally {
	return tally{map[int64]*store.StateCounts{}, map[int64]*store.StateCounts{}}
}

// moves counts a job that came from one state into another; no state is 0.
func (t tally) moves(queue, set int64, from, to armada.JobState) {
	if from == to {
		return
	}
	add(t.queues, queue, from, to)
	add(t.sets, set, from, to)
}

func add(counts map[int64]*store.StateCounts, id int64, from, to armada.JobState) {
	by := counts[id]
	if by == nil {
		by = &store.StateCounts{}
		counts[id] = by
	}
	by[from]--
	by[to]++
}

// take returns the change of a job set, which is written now; nil when there is none.
func (t tally) take(set int64) *store.StateCounts {
	by := t.sets[set]
	delete(t.sets, set)
	return by
}

// The columns of job_set that count jobs, in the order of states; stateChanges adds
// to each of them.
var stateColumns, stateChanges = func() (columns, changes string) {
	var names, adds []string
	for _, s := range armada.JobStates() {
		names, adds = append(names, s.String()), append(adds, s.String()+" = "+s.String()+" + ?")
	}
	return strings.Join(names, ", "), strings.Join(adds, ", ")
}()

var (
	insertSet = "INSERT INTO job_set (" + stateColumns + ", id, queue, name, last) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	updateSet = "UPDATE job_set SET " + stateChanges + ", last = ? WHERE id = ?"
	tallySet  = "UPDATE job_set SET " + stateChanges + " WHERE id = ?"
)

// counts are arguments for the columns that count jobs.
func counts(by *store.StateCounts) []any {
	args := make([]any, 0, len(armada.JobStates())+2)
	for _, s := range armada.JobStates() {
		n := int64(0)
		if by != nil {
			n = by[s]
		}
		args = append(args, n)
	}
	return args
}

// writeTally writes what is not written with the events of job sets.
func (b *batch) writeTally() error {
	for set, by := range b.tally.sets {
		if _, err := b.w.conn.exec(tallySet, append(counts(by), set)...); err != nil {
			return fmt.Errorf("count jobs of a job set: %w", err)
		}
	}
	for queue, by := range b.tally.queues {
		for _, s := range armada.JobStates() {
			if by[s] == 0 {
				continue
			}
			if _, err := b.w.conn.exec("INSERT INTO tally VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET jobs = jobs + excluded.jobs", queue, int64(s), by[s]); err != nil {
				return fmt.Errorf("count jobs of a queue: %w", err)
			}
		}
	}
	clear(b.tally.sets)
	clear(b.tally.queues)
	return nil
}
