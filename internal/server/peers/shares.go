package peers

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"armada"
	"armada/internal/scheduling"
	"armada/internal/scheduling/placement"
	"armada/internal/wire"
	"armada/pkg/api/lookout"
	peersapi "armada/pkg/api/peers"
)

// Shares tells how the queues share each pool, as the leader's latest rounds saw
// it: a table for people, of one queue or, without a name, of all that have jobs.
// With verbosity 1 it has all that decides between queues, and with 2 or more
// also what waits in each and why. Unavailable when nobody leads or the leader cannot be reached.
func (p *Peers) Shares(ctx context.Context, queue string, verbosity int) (string, error) {
	if p.parts.Explanations.Leading() {
		return p.parts.shares(queue, verbosity), nil
	}
	leader := p.parts.Leader().Replica
	if leader.Addr == "" || leader.Name == p.parts.Replica {
		return "", unavailable("no replica schedules at the moment, or it has not looked at every pool yet; try again")
	}
	conn, err := p.toLeader(leader.Addr)
	if err != nil {
		return "", unavailable("the address %q of replica %q, which schedules, cannot be used: %v", leader.Addr, leader.Name, err)
	}
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer, err := peersapi.NewPeersClient(conn).Shares(asking, &peersapi.SharesRequest{Queue: queue, Verbosity: int32(min(verbosity, detailed))})
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil:
		return "", unavailable("replica %q, which schedules, does not answer at %s: %v", leader.Name, leader.Addr, err)
	}
	return answer.GetReport(), nil
}

// Shares tells how the queues share each pool, as the leader.
func (a *answers) Shares(_ context.Context, r *peersapi.SharesRequest) (*peersapi.SharesResponse, error) {
	if !a.parts.Explanations.Leading() {
		return nil, unavailable("replica %q does not lead", a.parts.Replica)
	}
	return &peersapi.SharesResponse{Report: a.parts.shares(r.GetQueue(), int(r.GetVerbosity()))}, nil
}

// QueueShares tells what queues have of the pools, by queue, as the leader's latest
// rounds saw it; false when nobody can be asked.
func (p *Peers) QueueShares(ctx context.Context) (map[string][]*lookout.QueueShare, bool) {
	if p.parts.Explanations.Leading() {
		return p.parts.queueShares(), true
	}
	leader := p.parts.Leader().Replica
	if leader.Addr == "" || leader.Name == p.parts.Replica {
		return nil, false
	}
	conn, err := p.toLeader(leader.Addr)
	if err != nil {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer, err := peersapi.NewPeersClient(conn).QueueShares(ctx, &peersapi.QueueSharesRequest{})
	if err != nil {
		p.parts.Log.Info("the leader does not say what queues have", "replica", leader.Name, "addr", leader.Addr, "error", err)
		return nil, false
	}
	shares := make(map[string][]*lookout.QueueShare, len(answer.GetQueues()))
	for _, q := range answer.GetQueues() {
		shares[q.GetQueue()] = q.GetShares()
	}
	return shares, true
}

// QueueShares tells what queues have of the pools, as the leader.
func (a *answers) QueueShares(context.Context, *peersapi.QueueSharesRequest) (*peersapi.QueueSharesResponse, error) {
	if !a.parts.Explanations.Leading() {
		return nil, unavailable("replica %q does not lead", a.parts.Replica)
	}
	answer := &peersapi.QueueSharesResponse{}
	shares := a.parts.queueShares()
	for _, queue := range slices.Sorted(maps.Keys(shares)) {
		answer.Queues = append(answer.Queues, &peersapi.QueueShares{Queue: queue, Shares: shares[queue]})
	}
	return answer, nil
}

func (p *Parts) queueShares() map[string][]*lookout.QueueShare {
	shares := map[string][]*lookout.QueueShare{}
	for _, pool := range p.Explanations.Reports() {
		for i := range pool.Queues {
			if q := &pool.Queues[i]; active(q) {
				shares[q.Queue] = append(shares[q.Queue], wire.QueueShare(pool.Pool, q, p.Resources))
			}
		}
	}
	return shares
}

// active tells that a queue holds or wants something of the pool.
func active(q *scheduling.QueueReport) bool { return q.Demand != 0 || q.Share != 0 || q.Queued != 0 }

// How much a report tells.
const (
	thorough = 1 // what decides between queues
	detailed = 2 // and what waits
)

func (p *Parts) shares(queue string, verbosity int) string {
	var text strings.Builder
	for _, pool := range p.Explanations.Reports() {
		fmt.Fprintf(&text, "Pool %s, round of %s\n", pool.Pool, pool.At.UTC().Format(time.RFC3339))
		if verbosity >= thorough {
			fmt.Fprintf(&text, "  capacity: %s\n", p.amounts(pool.Capacity))
		}
		writePrices(&text, pool.Market, verbosity)
		for _, k := range pool.Kept {
			if !k.Lapsed && (queue == "" || queue == k.Queue) {
				fmt.Fprintf(&text, "  kept until %s for job %s of queue %s, which has waited for long: %s\n", k.Until.UTC().Format(time.RFC3339), k.Job, k.Queue, nodes(k.Nodes))
			}
		}
		queues := slices.DeleteFunc(slices.Clone(pool.Queues), func(q scheduling.QueueReport) bool {
			return queue != "" && q.Queue != queue || !active(&q)
		})
		if len(queues) == 0 {
			fmt.Fprint(&text, "  no active jobs\n")
			continue
		}
		p.writeShares(&text, queues, verbosity)
		if waiting, _ := p.Explanations.Waiting(pool.Pool); verbosity >= detailed {
			writeWaiting(&text, waiting, queue)
		}
	}
	if text.Len() == 0 {
		return "There are no pools: no executor is connected.\n"
	}
	return text.String()
}

// writePrices tells the prices of a market; m is nil for a pool that is none.
func writePrices(text io.Writer, m *scheduling.Market, verbosity int) {
	if m == nil {
		return
	}
	fmt.Fprintf(text, "  market: the spot price is %v", m.SpotPrice)
	if m.SetBy != "" {
		fmt.Fprintf(text, ", set by queue %s", m.SetBy)
	}
	if m.SetterPays != m.SpotPrice {
		fmt.Fprintf(text, ", which pays %v", m.SetterPays)
	}
	fmt.Fprintln(text)
	if verbosity < thorough {
		return
	}
	for _, v := range m.Values {
		fmt.Fprintf(text, "  value of what queue %s holds: %v of the pool at its bids, %v if all nodes were one\n", v.Queue, v.Realised, v.Idealised)
	}
	for _, q := range m.Quotes {
		switch {
		case q.Reason.Code != armada.ReasonNone:
			fmt.Fprintf(text, "  shape %s: no bid would do: %v\n", q.Shape, q.Reason)
		case q.Free:
			fmt.Fprintf(text, "  shape %s: any bid would do\n", q.Shape)
		default:
			fmt.Fprintf(text, "  shape %s: a bid of more than %v would do\n", q.Shape, q.Outbid)
		}
	}
}

// writeShares has a line for each queue.
func (p *Parts) writeShares(text io.Writer, queues []scheduling.QueueReport, verbosity int) {
	lines := tabwriter.NewWriter(text, 0, 0, 2, ' ', 0) // a strings.Builder refuses nothing
	row := func(cells ...string) { fmt.Fprintf(lines, "  %s\n", strings.Join(cells, "\t")) }
	more := func(cells []string, thoroughly ...string) []string {
		if verbosity >= thorough {
			return append(cells, thoroughly...)
		}
		return cells
	}
	head := more([]string{"QUEUE", "WEIGHT", "ENTITLED TO", "HOLDS", "WANTS", "QUEUED"}, "FAIR SHARE", "COST", "PLACED", "AMOUNTS HELD")
	row(append(head, "NEXT JOB WAITS BECAUSE")...)
	for _, q := range queues {
		why := "-"
		if q.Stopped.Code != armada.ReasonNone {
			why = q.Stopped.String()
		}
		cells := more([]string{q.Queue, fmt.Sprintf("%.4g", q.Weight), percent(q.AdjustedShare), percent(q.Share), percent(q.Demand), fmt.Sprint(q.Queued)},
			percent(q.FairShare), fmt.Sprintf("%.4g", q.RelativeCost()), fmt.Sprint(q.Placed), p.amounts(q.Allocated))
		row(append(cells, why)...)
	}
	_ = lines.Flush()
}

// writeWaiting has a line for each shape of jobs that wait.
func writeWaiting(text io.Writer, waiting []scheduling.Waiting, queue string) {
	for _, w := range waiting {
		if queue != "" && w.Queue != queue {
			continue
		}
		jobs := fmt.Sprintf("job %s waits", w.First)
		if w.Jobs > 1 {
			jobs = fmt.Sprintf("%d jobs like %s wait", w.Jobs, w.First)
		}
		if w.Gang != "" {
			jobs += " in gang " + w.Gang
		}
		fmt.Fprintf(text, "  queue %s: %s: %s\n", w.Queue, jobs, w.Reason)
	}
}

// maxNamed is how many nodes a report names.
const maxNamed = 10

// nodes names nodes, or the first of them.
func nodes(refs []placement.NodeRef) string {
	var names []string
	for _, n := range refs[:min(len(refs), maxNamed)] {
		names = append(names, fmt.Sprintf("%s of %s", n.Name, n.Executor))
	}
	if more := len(refs) - maxNamed; more > 0 {
		names = append(names, fmt.Sprintf("and %d more nodes", more))
	}
	return strings.Join(names, ", ")
}

// amounts writes what there is of each resource.
func (p *Parts) amounts(amounts armada.Resources) string {
	var each []string
	for i := range p.Resources.Len() {
		if r := p.Resources.At(i); amounts[i] != 0 {
			each = append(each, r.Name+"="+r.Format(amounts[i]))
		}
	}
	if len(each) == 0 {
		return "none"
	}
	return strings.Join(each, ",")
}

// percent writes millionths.
func percent(millionths int64) string { return fmt.Sprintf("%.1f%%", float64(millionths)/1e4) }
