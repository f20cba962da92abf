package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"armada"
	"armada/internal/store"
	"armada/internal/store/intake"
)

// gathering is what was read for one group, and what is decided on it.
type gathering struct {
	writer *writer
	lookUp bool // client ids are looked up; otherwise they are expected to be new
	now    time.Time

	leader   store.Leader
	sessions map[armada.ExecutorID]armada.SessionID
	row      jobRow
	jobs     map[armada.JobID]*intake.Entry
	turns    map[*intake.Entry]int64
	sets     map[int64]*intake.JobSet
	open     map[store.JobSetKey]*intake.JobSet
	queued   map[string]int64
	named    map[string][]string // names of the policies of queues
	policies map[string]armada.RetryPolicy
	first    map[string]map[string]armada.JobID // by queue and client id
	gangs    map[store.JobSetKey]map[string]gangCount

	fenced fences // what the decisions hang on
	name   []byte
	woken  *told
}

// fences were found to hold, and must still hold at the commit.
type fences struct {
	epoch    int64
	sessions map[armada.ExecutorID]armada.SessionID
}

var _ intake.Form = (*gathering)(nil)

// needs are what a group makes necessary to read.
type needs struct {
	jobs   []string
	ends   bool     // and with their queues the retry policies
	queues []string // whose rows or counts are to be read
	names  map[string][]string
	gangs  map[store.JobSetKey][]string // ids of those that may get members
}

func (g *gathering) needs(group []*request) needs {
	n := needs{names: map[string][]string{}, gangs: map[store.JobSetKey][]string{}}
	seen := map[armada.JobID]struct{}{}
	limited := g.writer.store.config.MaxQueuedPerQueue > 0
	for _, r := range group {
		w := &r.Work
		n.ends = n.ends || w.endings
		for _, id := range w.jobs {
			if _, again := seen[id]; !again {
				seen[id] = struct{}{}
				n.jobs = append(n.jobs, string(id))
			}
		}
		if w.jobs != nil {
			continue
		}
		if _, known := g.writer.queues[w.queue]; (!known || limited) && !slices.Contains(n.queues, w.queue) {
			n.queues = append(n.queues, w.queue)
		}
		if (g.lookUp || len(w.gangs) > 0) && len(w.clientIDs) > 0 { // a member that is known takes no place
			n.names[w.queue] = append(n.names[w.queue], w.clientIDs...)
		}
		if len(w.gangs) > 0 {
			key := store.JobSetKey{Queue: w.queue, JobSet: w.jobSet}
			n.gangs[key] = append(n.gangs[key], w.gangs...)
		}
	}
	return n
}

// read reads all that the group needs, in one round trip and none when
// everything is known.
func (g *gathering) read(ctx context.Context, group []*request) error {
	g.sessions, g.jobs, g.turns = map[armada.ExecutorID]armada.SessionID{}, map[armada.JobID]*intake.Entry{}, map[*intake.Entry]int64{}
	g.sets, g.open = map[int64]*intake.JobSet{}, map[store.JobSetKey]*intake.JobSet{}
	g.named, g.policies = map[string][]string{}, map[string]armada.RetryPolicy{}
	g.queued, g.first, g.gangs = map[string]int64{}, map[string]map[string]armada.JobID{}, map[store.JobSetKey]map[string]gangCount{}
	g.fenced.sessions = map[armada.ExecutorID]armada.SessionID{}
	s := g.writer.store
	n := g.needs(group)
	now, known := s.clock.now()
	if len(n.jobs) > 0 || len(n.queues) > 0 || len(n.names) > 0 || len(n.gangs) > 0 || !known {
		var at, clock int64
		batch := &pgx.Batch{}
		batch.Queue("SELECT at, armada.clock() FROM armada.lane").QueryRow(func(r pgx.Row) error { return r.Scan(&at, &clock) })
		g.queue(batch, &n)
		c, err := s.pool.Acquire(ctx)
		if err != nil {
			return &notAcquired{err}
		}
		err = c.SendBatch(ctx, batch).Close()
		c.Release()
		if err != nil {
			return err
		}
		s.clock.learn(clock)
		now, _ = s.clock.now()
		if latest := fromMicros(at); now.Before(latest) { // what was read may have been written just then
			now = latest
		}
	}
	if now.Before(g.writer.latest) {
		now = g.writer.latest
	}
	g.writer.latest, g.now = now, now
	return nil
}

// queue adds the statements that are needed.
func (g *gathering) queue(batch *pgx.Batch, n *needs) {
	if len(n.queues) > 0 {
		batch.Queue("SELECT q.name, q.id, d.jobs FROM armada.queue q JOIN armada.queued d ON d.queue = q.id WHERE q.name = ANY ($1) AND NOT q.deleted",
			n.queues).Query(func(rows pgx.Rows) error {
			return eachRow(rows, func(r pgx.Rows) error {
				var name string
				var id, jobs int64
				err := r.Scan(&name, &id, &jobs)
				g.writer.queues[name], g.queued[name] = id, jobs
				return err
			})
		})
	}
	for queue, names := range n.names {
		g.first[queue] = map[string]armada.JobID{}
		batch.Queue(`SELECT c.name, c.job, c.at FROM armada.client_id c JOIN armada.queue q ON q.id = c.queue
			WHERE q.name = $1 AND c.name = ANY ($2)`, queue, names).Query(func(rows pgx.Rows) error {
			return eachRow(rows, func(r pgx.Rows) error {
				var name, job string
				var at int64
				err := r.Scan(&name, &job, &at)
				if now, _ := g.writer.store.clock.now(); fromMicros(at).After(now.Add(-g.writer.store.config.ClientIDRetention)) {
					g.first[queue][name] = armada.JobID(job)
				}
				return err
			})
		})
	}
	g.queueGangs(batch, n)
	if len(n.jobs) == 0 {
		return
	}
	if n.ends {
		g.queuePolicies(batch, n.jobs)
	}
	batch.Queue("SELECT replica, epoch FROM armada.leader").QueryRow(func(r pgx.Row) error { return r.Scan(&g.leader.Replica.Name, &g.leader.Epoch) })
	batch.Queue("SELECT id, session FROM armada.executor WHERE NOT deleted").Query(func(rows pgx.Rows) error {
		return eachRow(rows, func(r pgx.Rows) error {
			var id, session string
			err := r.Scan(&id, &session)
			g.sessions[armada.ExecutorID(id)] = armada.SessionID(session)
			return err
		})
	})
	batch.Queue("SELECT "+jobColumns+", j.queue, j.job_set, s.closed, coalesce(a.turn, 0) FROM "+jobSource+" WHERE j.id = ANY ($1)", n.jobs).Query(func(rows pgx.Rows) error {
		return eachRow(rows, g.keep)
	})
}

// queuePolicies adds the statements for the retry policies and, if there are any,
// the queues of the jobs.
func (g *gathering) queuePolicies(batch *pgx.Batch, jobs []string) {
	batch.Queue(selectPolicies).Query(func(rows pgx.Rows) error {
		return eachRow(rows, func(r pgx.Rows) error {
			p, err := scanPolicy(r)
			g.policies[p.Name] = p
			return err
		})
	})
	batch.Queue(`SELECT name, body FROM armada.queue WHERE NOT deleted AND EXISTS (SELECT FROM armada.retry_policy)
		AND id IN (SELECT queue FROM armada.job WHERE id = ANY ($1))`, jobs).Query(func(rows pgx.Rows) error {
		return eachRow(rows, func(r pgx.Rows) error {
			q, err := scanQueue(r)
			g.named[q.Name] = q.RetryPolicies
			return err
		})
	})
}

// keep takes over a job that was read.
func (g *gathering) keep(r pgx.Rows) error {
	e := &intake.Entry{}
	var set, turn int64
	var closed bool
	if err := g.row.job(r, &e.Job, &e.Run, &e.Queue, &set, &closed, &turn); err != nil {
		return err
	}
	e.Was = e.Job.State
	if e.Set = g.sets[set]; e.Set == nil {
		e.Set = &intake.JobSet{ID: set, Key: store.JobSetKey{Queue: e.Job.Queue, JobSet: e.Job.JobSet}}
		g.sets[set] = e.Set
		if !closed {
			g.open[e.Set.Key] = e.Set
		}
	}
	g.jobs[e.Job.ID], g.turns[e] = e, turn
	return nil
}

// Queue returns the row of a queue.
func (g *gathering) Queue(name string) (int64, bool, error) {
	id, known := g.writer.queues[name]
	return id, known, nil
}

// QueuedJobs returns how many jobs of a queue are queued.
func (g *gathering) QueuedJobs(queue string) (int64, error) { return g.queued[queue], nil }

// PoliciesOf returns the names of a queue's retry policies.
func (g *gathering) PoliciesOf(queue string) ([]string, error) { return g.named[queue], nil }

// Policy returns a retry policy.
func (g *gathering) Policy(name string) (armada.RetryPolicy, bool, error) {
	p, known := g.policies[name]
	return p, known, nil
}

// FirstWith returns the jobs that were submitted with client ids.
func (g *gathering) FirstWith(queue string, clientIDs []string) (map[string]armada.JobID, error) {
	first := map[string]armada.JobID{}
	for _, name := range clientIDs {
		if id, known := g.first[queue][name]; known {
			first[name] = id
		}
	}
	return first, nil
}

// JobSet returns the job set that takes jobs under a key; its row is found or
// made in the lane.
func (g *gathering) JobSet(key store.JobSetKey) (*intake.JobSet, error) {
	set := g.open[key]
	if set == nil {
		set = &intake.JobSet{Key: key}
		g.open[key] = set
	}
	return set, nil
}

// Job returns a job. Those that are new in the group are not found: their calls
// are not answered yet, so nobody can expect it.
func (g *gathering) Job(id armada.JobID) (*intake.Entry, error) { return g.jobs[id], nil }

// Leads tells whether an epoch is current.
func (g *gathering) Leads(epoch int64) (bool, error) {
	if g.leader.Epoch != epoch || g.leader.Replica.Name == "" {
		return false, nil
	}
	g.fenced.epoch = epoch
	return true, nil
}

// Current tells whether a session is its executor's current one.
func (g *gathering) Current(executor armada.ExecutorID, session armada.SessionID) (bool, error) {
	if current, known := g.sessions[executor]; !known || session == "" || current != session {
		return false, nil
	}
	g.fenced.sessions[executor] = session
	return true, nil
}
