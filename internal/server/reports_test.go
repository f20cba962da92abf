package server_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/scheduling"
	"armada/internal/scheduling/placement"
	"armada/internal/server"
	"armada/internal/server/peers"
	"armada/internal/store"
	"armada/pkg/api/schedulerobjects"
)

// rounds are those of two pools and three queues, known to who leads.
type rounds struct{ peers.Explanations }

func (rounds) Leading() bool { return true }

func (rounds) Waiting(pool string) ([]scheduling.Waiting, bool) {
	return []scheduling.Waiting{
		{Queue: "other", Jobs: 69, First: "first", Reason: armada.Reason{Code: armada.ReasonQueueCordoned}},
		{Queue: "other", Jobs: 1, First: "member", Gang: "g", Reason: armada.Reason{Code: armada.ReasonGangIncomplete, Have: 1, Want: 2}},
		{Queue: "idle", Jobs: 1, First: "lone", Reason: armada.Reason{Code: armada.ReasonNotConsidered}},
	}, pool == "cpu"
}

func (rounds) Reports() []scheduling.Report {
	return []scheduling.Report{{Pool: "cpu", At: time.Unix(0, 0), Capacity: armada.Resources{64_000, 1 << 38}, Queues: []scheduling.QueueReport{
		{Queue: "idle", Weight: 1},
		{Queue: "other", Weight: 0.5, AdjustedShare: 333_333, FairShare: 333_333, Share: 250_000, Demand: 2_000_000, Queued: 70, Placed: 3, Cost: 1 << 35, Allocated: armada.Resources{16_000, 1 << 30}, Stopped: armada.Reason{Code: armada.ReasonQueueCordoned}},
		{Queue: "q", Weight: 1, AdjustedShare: 666_667, Share: 666_600, Demand: 666_600},
	}, Kept: []scheduling.Reservation{
		{Queue: "other", Job: "large", Nodes: []placement.NodeRef{{Executor: "e", Name: "n1"}, {Executor: "e", Name: "n2"}}, Until: time.Unix(3600, 0)},
		{Queue: "other", Job: "larger", Until: time.Unix(600, 0), Lapsed: true},
	}}, {Pool: "gpu", At: time.Unix(60, 0)}}
}

const both = `Pool cpu, round of 1970-01-01T00:00:00Z
  kept until 1970-01-01T01:00:00Z for job large of queue other, which has waited for long: n1 of e, n2 of e
  QUEUE  WEIGHT  ENTITLED TO  HOLDS  WANTS   QUEUED  NEXT JOB WAITS BECAUSE
  other  0.5     33.3%        25.0%  200.0%  70      the queue is cordoned
  q      1       66.7%        66.7%  66.7%   0       -
Pool gpu, round of 1970-01-01T00:01:00Z
  no active jobs
`

func TestTheSharesOfQueuesAreReported(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{deps: func(d *server.Deps) {
		d.Peers = peers.New(peers.Parts{Explanations: rounds{}, Resources: armada.DefaultResourceTable()})
	}})
	reports := schedulerobjects.NewSchedulerReportingClient(w.conn)
	all, err := reports.GetSchedulingReport(t.Context(), &schedulerobjects.SchedulingReportRequest{})
	ok(t, err)
	if all.GetReport() != both {
		t.Errorf("all queues:\n%s", all.GetReport())
	}
	_, body := w.call(http.MethodGet, "/api/v1/scheduling-report", "")
	var over struct{ Report string }
	ok(t, json.Unmarshal([]byte(body), &over))
	if over.Report != both {
		t.Errorf("over REST:\n%s", over.Report)
	}
	const one = `Pool cpu, round of 1970-01-01T00:00:00Z
  QUEUE  WEIGHT  ENTITLED TO  HOLDS  WANTS  QUEUED  NEXT JOB WAITS BECAUSE
  q      1       66.7%        66.7%  66.7%  0       -
Pool gpu, round of 1970-01-01T00:01:00Z
  no active jobs
`
	queue, err := reports.GetQueueReport(t.Context(), &schedulerobjects.QueueReportRequest{QueueName: "q"})
	ok(t, err)
	same, err := reports.GetSchedulingReport(t.Context(), &schedulerobjects.SchedulingReportRequest{
		Filter: &schedulerobjects.SchedulingReportRequest_MostRecentForQueue{MostRecentForQueue: &schedulerobjects.MostRecentForQueue{QueueName: "q"}},
	})
	ok(t, err)
	if queue.GetReport() != one || same.GetReport() != one {
		t.Errorf("one queue:\n%s\n%s", queue.GetReport(), same.GetReport())
	}
	const detailed = `Pool cpu, round of 1970-01-01T00:00:00Z
  capacity: cpu=64,memory=256Gi
  kept until 1970-01-01T01:00:00Z for job large of queue other, which has waited for long: n1 of e, n2 of e
  QUEUE  WEIGHT  ENTITLED TO  HOLDS  WANTS   QUEUED  FAIR SHARE  COST  PLACED  AMOUNTS HELD       NEXT JOB WAITS BECAUSE
  other  0.5     33.3%        25.0%  200.0%  70      33.3%       0.5   3       cpu=16,memory=1Gi  the queue is cordoned
  q      1       66.7%        66.7%  66.7%   0       0.0%        0     0       none               -
  queue other: 69 jobs like first wait: the queue is cordoned
  queue other: job member waits in gang g: the gang waits for its other members (1 of 2 are queued)
  queue idle: job lone waits: not considered yet
Pool gpu, round of 1970-01-01T00:01:00Z
  capacity: none
  no active jobs
`
	all, err = reports.GetSchedulingReport(t.Context(), &schedulerobjects.SchedulingReportRequest{Verbosity: 3})
	ok(t, err)
	if all.GetReport() != detailed {
		t.Errorf("all queues, and what waits:\n%s", all.GetReport())
	}
	_, err = reports.GetQueueReport(t.Context(), &schedulerobjects.QueueReportRequest{QueueName: "nope"})
	wantCode(t, err, codes.NotFound)
}

func TestTheReportOfAJobSaysWhyItWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{deps: func(d *server.Deps) { d.Peers = full{} }})
	reports := schedulerobjects.NewSchedulerReportingClient(w.conn)
	ids := w.submitted("set", items(4))
	w.start(ids[0])
	for i, away := range map[int]string{2: "gpu", 3: armada.GuestFrom("cpu")} {
		w.change(ids[i], lifecycle.Change{Kind: lifecycle.Lease, Lease: lifecycle.Terms{Executor: "e1", Node: "n1", Pool: "large", Away: away}})
	}
	for id, want := range map[string]string{
		ids[0]: "Job " + ids[0] + " is running\n  on node n1 of executor e1, in pool default\n",
		ids[1]: "Job " + ids[1] + " is queued\n  the queue is cordoned\n  number 12 of 340 that wait in queue q\n",
		ids[2]: "Job " + ids[2] + " is leased\n  on node n1 of executor e1, in pool large, away on nodes of type gpu: it gives way to those who are at home\n",
		ids[3]: "Job " + ids[3] + " is leased\n  on node n1 of executor e1, in pool large, as a guest who is at home in pool cpu: it gives way to all who are at home\n",
	} {
		got, err := reports.GetJobReport(t.Context(), &schedulerobjects.JobReportRequest{JobId: id})
		ok(t, err)
		if got.GetReport() != want {
			t.Errorf("the report is %q, want %q", got.GetReport(), want)
		}
	}
	_, err := reports.GetJobReport(t.Context(), &schedulerobjects.JobReportRequest{JobId: "nope"})
	wantCode(t, err, codes.NotFound)
}

// nothing is known to who does not lead.
type nothing struct{ peers.Explanations }

func (nothing) Leading() bool { return false }

func TestWithoutALeaderThereIsNoReport(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{deps: func(d *server.Deps) {
		d.Peers = peers.New(peers.Parts{Explanations: nothing{}, Leader: func() store.Leader { return store.Leader{} }})
	}})
	_, err := schedulerobjects.NewSchedulerReportingClient(w.conn).GetSchedulingReport(t.Context(), &schedulerobjects.SchedulingReportRequest{})
	wantCode(t, err, codes.Unavailable)
}
