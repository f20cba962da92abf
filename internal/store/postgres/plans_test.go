package postgres_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/internal/store/postgres"
	"armada/internal/store/postgres/pgtest"
)

// plan is a node of an executed plan, as PostgreSQL tells it.
type plan struct {
	Type     string  `json:"Node Type"`
	Relation string  `json:"Relation Name"`
	Index    string  `json:"Index Name"`
	Rows     float64 `json:"Actual Rows"`
	Loops    float64 `json:"Actual Loops"`
	Removed  float64 `json:"Rows Removed by Filter"`
	Plans    []plan
}

// explained is a statement with its plan.
type explained struct {
	Text string `json:"Query Text"`
	Plan plan
}

// largeTables are those that grow with what has ended; what is done all the time
// must look at few of their rows.
var largeTables = map[string]bool{
	"job": true, "ended": true, "event_block": true, "run": true, "client_id": true, "change": true, "job_set": true, "template": true, "shape": true,
	"gang": true,
}

// fewRows bounds what one node may read of a large table, for each time that it
// runs, in a database where all of them have many more.
const fewRows = 2500

// TestNoStatementLooksAtMuchOfALargeTable does everything that a store does in a
// database that has grown, and reads the plans of all statements, those within
// functions too, from the log of the server.
func TestNoStatementLooksAtMuchOfALargeTable(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, "session_preload_libraries=auto_explain", "auto_explain.log_nested_statements=on",
		"auto_explain.log_analyze=on", "auto_explain.log_timing=off", "auto_explain.log_format=json", "autovacuum=off")
	url := server.Database(t)
	s := openStore(t, url)
	growBy(t, s, server, url)
	server.Exec(t, url, "VACUUM ANALYZE")
	server.Exec(t, url, "ALTER SYSTEM SET auto_explain.log_min_duration = 0")
	server.Exec(t, url, "SELECT pg_reload_conf()")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	begun := len(server.Log(t))
	doEverything(t, url)
	seen := map[string]bool{}
	for _, e := range plansIn(t, server.Log(t)[begun:]) {
		checkPlan(t, e.Text, &e.Plan)
		for table := range largeTables {
			if strings.Contains(e.Text, "armada."+table) {
				seen[table] = true
			}
		}
	}
	if len(seen) != len(largeTables) {
		t.Errorf("only of %v plans were seen: the test shows too little", seen)
	}
}

// checkPlan finds nodes that read much.
func checkPlan(t *testing.T, text string, p *plan) {
	t.Helper()
	if read := p.Rows + p.Removed; largeTables[p.Relation] && (p.Type == "Seq Scan" || read > fewRows) {
		t.Errorf("%s on %s by %q reads %.0f rows, %.0f times, in\n%s", p.Type, p.Relation, p.Index, read, p.Loops, strings.Join(strings.Fields(text), " "))
	}
	for i := range p.Plans {
		checkPlan(t, text, &p.Plans[i])
	}
}

// planLine begins a plan in the log; what follows it is indented.
var planLine = regexp.MustCompile(`(?m)^.*LOG:  duration: .* plan:\n((?:\t.*\n)+)`)

func plansIn(t *testing.T, log string) []explained {
	t.Helper()
	var list []explained
	for _, match := range planLine.FindAllStringSubmatch(log, -1) {
		var e explained
		if err := json.Unmarshal([]byte(match[1]), &e); err != nil {
			t.Fatalf("%v in the plan\n%s", err, match[1])
		}
		list = append(list, e)
	}
	return list
}

// growBy fills every table with rows: finished jobs and their runs, events, client
// ids, changes, templates and job sets, and active jobs besides.
func growBy(t *testing.T, s *postgres.Store, server *pgtest.Server, url string) {
	t.Helper()
	for i := range 4 {
		if err := s.PutQueue(t.Context(), armada.Queue{Name: fmt.Sprintf("queue-%d", i), PriorityFactor: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Submit(t.Context(), jobs("seed", 1)); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"INSERT INTO armada.template (hash, uses, body) SELECT 'hash-' || i, 10, repeat('x', 500)::bytea FROM generate_series(1, 5000) i",
		"INSERT INTO armada.shape (hash, uses, body) SELECT 'hash-' || i, 10, (SELECT body FROM armada.shape LIMIT 1) FROM generate_series(1, 5000) i",
		"INSERT INTO armada.job_set (queue, name, last) SELECT 'queue-' || i % 4, 'old-' || i, 8 FROM generate_series(1, 8000) i",
		`INSERT INTO armada.job (number, id, queue, job_set, template, shape, submitted, fixed, details)
			SELECT 100 + i, '01' || lpad(i::text, 24, '0'), 2 + i / 10 % 4, 2 + i / 10, 2 + i % 5000, 2 + i % 5000, 1000000::bigint * i, j.fixed, j.details
			FROM generate_series(0, 79989) i, armada.job j WHERE j.number = 1`,
		"INSERT INTO armada.ended (number, queue, at, state, life) SELECT j.number, j.queue, j.submitted + 1, 5, a.life FROM armada.job j, armada.active a WHERE j.number >= 100",
		"INSERT INTO armada.run (job, attempt, body) SELECT number, 1, 'x' FROM armada.job",
		"INSERT INTO armada.event_block (job_set, last, count, at, events) SELECT id, n, 1, 1, b.events FROM armada.job_set, generate_series(1, 8) n, (SELECT events FROM armada.event_block LIMIT 1) b WHERE id > 1",
		"INSERT INTO armada.client_id (queue, name, job, at) SELECT 2, 'client-' || i, 'job', i FROM generate_series(1, 50000) i",
		"INSERT INTO armada.gang (job_set, id, members, cardinality, at) SELECT 2 + i / 1000, 'gang-' || i % 1000, 2, 2, 9000000000000000 + i FROM generate_series(0, 49999) i",
		"INSERT INTO armada.change (seq, at) SELECT 100 + i, 9000000000000000 FROM generate_series(1, 40000) i",
		"UPDATE armada.lane SET job = 200000, seq = 50000",
	} {
		server.Exec(t, url, statement)
	}
}

// doEverything makes every call that a store has, as a server and its leader do.
func doEverything(t *testing.T, url string) {
	t.Helper()
	ctx := t.Context()
	s, err := postgres.Open(ctx, postgres.Config{URL: url, Poll: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.PutQueue(ctx, armada.Queue{Name: "q", PriorityFactor: 2}))
	must(s.OpenSession(ctx, armada.Executor{ID: "east", Session: "one", Lease: time.Minute}))
	must(s.PutNodes(ctx, "east", "one", []armada.Node{{Name: "n", Pool: "default"}}))
	leader, _, err := s.Lead(ctx, store.Replica{Name: "one"}, time.Minute)
	must(err)
	position, err := s.End(ctx)
	must(err)
	sub := jobs("fresh", 200)
	for i := range sub.Jobs {
		sub.Jobs[i].Job.ClientID = fmt.Sprintf("mine-%d", i)
		if i%2 == 0 {
			sub.Jobs[i].Job.Gang = armada.Gang{ID: fmt.Sprintf("gang-%d", i%20), Cardinality: 10}
		}
	}
	var ids []armada.JobID
	for range 2 { // the second is known
		answers, err := s.Submit(ctx, sub)
		must(err)
		for _, a := range answers {
			ids = append(ids, a.ID)
		}
	}
	ids = ids[:200]
	_, err = s.Transition(ctx, store.Fence{}, []store.Unit{{{Kind: lifecycle.Cancel, Job: ids[0]}}}) // it leaves its gang
	must(err)
	ids = ids[1:]
	transition := func(change lifecycle.Change) {
		t.Helper()
		var units []store.Unit
		for _, id := range ids {
			change.Job, change.Run = id, armada.NewRunID(id, 1)
			units = append(units, store.Unit{change})
		}
		results, err := s.Transition(ctx, store.Fence{Epoch: leader.Epoch}, units)
		must(err)
		if results[0].Verdict != lifecycle.Applied {
			t.Fatal(results[0])
		}
	}
	transition(lifecycle.Change{Kind: lifecycle.Lease, Lease: lifecycle.Terms{Executor: "east", Node: "n", Pool: "default"}})
	key := store.JobSetKey{Queue: "q", JobSet: "fresh"}
	since := time.UnixMicro(1000000 * 70000)
	for what, f := range map[string]func() error{
		"changes":      func() error { _, _, err := s.Changes(ctx, position, 100); return err },
		"changed runs": func() error { _, _, err := s.ChangedRuns(ctx, position, 100); return err },
		"load":         func() error { _, err := s.Load(ctx, func(store.Changes) error { return nil }); return err },
		"queue":        func() error { _, err := s.Queue(ctx, "q"); return err },
		"queues":       func() error { _, err := s.Queues(ctx); return err },
		"executor":     func() error { _, err := s.Executor(ctx, "east"); return err },
		"acknowledge":  func() error { _, err := s.Acknowledge(ctx, "east", "one"); return err },
		"runs of":      func() error { _, err := s.RunsOf(ctx, "east"); return err },
		"orders":       func() error { _, err := s.Orders(ctx, []armada.RunID{armada.NewRunID(ids[0], 1)}); return err },
		"job":          func() error { _, err := s.Job(ctx, ids[0]); return err },
		"old job":      func() error { _, err := s.Job(ctx, armada.JobID(fmt.Sprintf("01%024d", 7))); return err },
		"events":       func() error { _, _, err := s.ReadEvents(ctx, key, store.Cursor{}, 100); return err },
		"last event":   func() error { _, err := s.LastEvent(ctx, key); return err },
		"active jobs":  func() error { _, err := s.ActiveJobs(ctx, key, nil); return err },
		"count":        func() error { _, err := s.Count(ctx, ""); return err },
		"count of one": func() error { _, err := s.Count(ctx, "q"); return err },
		"template":     func() error { _, err := s.Template(ctx, "cafe"); return err },
		"shape":        func() error { _, err := s.Requirements(ctx, sub.Jobs[0].Job.Shape); return err },
		"cordon":       func() error { return s.CordonExecutor(ctx, "east", true, "because") },
		"cordon node":  func() error { return s.CordonNode(ctx, "east", "n1", true) },
		"full queue":   func() error { return ignore(s.DeleteQueue(ctx, "q"), armada.CodePrecondition) },
		"held":         func() error { return ignore(s.DeleteExecutor(ctx, "east"), armada.CodePrecondition) },
		"lost commit":  func() error { _, err := postgres.Settle(s, []byte("unknown")); return err },
	} {
		if err := f(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, q := range []store.Query{
		{},
		{Descending: true},
		{Queue: "queue-1"},
		{Queue: "queue-1", Descending: true},
		{JobSet: "old-77"},
		{Queue: "queue-1", JobSetPrefix: "old-77"},
		{States: []armada.JobState{armada.JobLeased}},
		{Queue: "q", States: []armada.JobState{armada.JobLeased}},
		{Queue: "q", JobSet: "fresh"},
		{SubmittedAfter: since},
		{Queue: "queue-2", SubmittedBefore: since, Descending: true},
		{IDs: ids[:3]},
		{Owner: "nobody", SubmittedAfter: time.UnixMicro(1000000 * 79000)},
	} {
		q.Limit = 100
		if _, err := s.List(ctx, q); err != nil {
			t.Errorf("list %+v: %v", q, err)
		}
	}
	transition(lifecycle.Change{Kind: lifecycle.ReportSucceeded, Executor: "east"})
	keep := store.Keep{Since: time.UnixMicro(1000000 * 100), Queues: map[string]time.Time{"queue-1": time.UnixMicro(1000000 * 500)}}
	for more := true; more; {
		done, err := s.Prune(ctx, keep, 500)
		must(err)
		more = done.More
	}
	must(s.Resign(ctx, leader.Epoch))
}

// ignore is nil for an error with a code that is expected.
func ignore(err error, code armada.ErrorCode) error {
	if err != nil && armada.CodeOf(err) == code {
		return nil
	}
	return fmt.Errorf("the answer is %w", err)
}
