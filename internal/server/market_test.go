package server_test

import (
	"testing"
	"time"

	"armada"
	"armada/internal/scheduling"
	"armada/internal/server"
	"armada/internal/server/peers"
	"armada/pkg/api/schedulerobjects"
)

// sales are the prices of one pool, known to who leads.
type sales struct{ rounds }

func (sales) Reports() []scheduling.Report {
	return []scheduling.Report{{Pool: "gpu", At: time.Unix(0, 0), Market: &scheduling.Market{
		SpotPrice: 3_000_000, SetBy: "physics", SetterPays: 2_500_000,
		Values: []scheduling.QueueValue{{Queue: "physics", Realised: 1_500_000, Idealised: 2_250_000}},
		Quotes: []scheduling.Quote{
			{Shape: "small", Free: true},
			{Shape: "node", Outbid: 4_000_000},
			{Shape: "huge", Reason: armada.Reason{Code: armada.ReasonTooLarge, Nodes: 2}},
		},
	}}}
}

func TestTheReportOfAMarketTellsItsPrices(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{deps: func(d *server.Deps) {
		d.Peers = peers.New(peers.Parts{Explanations: sales{}, Resources: armada.DefaultResourceTable()})
	}})
	reports := schedulerobjects.NewSchedulerReportingClient(w.conn)
	for verbosity, want := range map[int32]string{
		0: `Pool gpu, round of 1970-01-01T00:00:00Z
  market: the spot price is 3, set by queue physics, which pays 2.5
  no active jobs
`,
		1: `Pool gpu, round of 1970-01-01T00:00:00Z
  capacity: none
  market: the spot price is 3, set by queue physics, which pays 2.5
  value of what queue physics holds: 1.5 of the pool at its bids, 2.25 if all nodes were one
  shape small: any bid would do
  shape node: a bid of more than 4 would do
  shape huge: no bid would do: no node is large enough (2 looked at)
  no active jobs
`,
	} {
		got, err := reports.GetSchedulingReport(t.Context(), &schedulerobjects.SchedulingReportRequest{Verbosity: verbosity})
		ok(t, err)
		if got.GetReport() != want {
			t.Errorf("with verbosity %d:\n%s", verbosity, got.GetReport())
		}
	}
}

func TestAJobKeepsItsPriceBand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	list := items(2)
	list[1].Annotations = map[string]string{"armadaproject.io/priceBand": "C"}
	ids := w.submitted("set", list)
	for i, want := range []string{"none", "C"} {
		if got := w.job(ids[i]).Job.Band; got.String() != want {
			t.Errorf("the band of job %d is %v, want %s", i, got, want)
		}
	}
}
