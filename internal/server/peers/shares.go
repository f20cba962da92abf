package peers

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"armada/internal/scheduling"
	peersapi "armada/pkg/api/peers"
)

// Shares tells how the queues share each pool, as the leader's latest rounds saw
// it: a table for people, of one queue or, without a name, of all that have jobs.
// Unavailable when nobody leads or the leader cannot be reached.
func (p *Peers) Shares(ctx context.Context, queue string) (string, error) {
	if p.parts.Explanations.Leading() {
		return shares(p.parts.Explanations.Reports(), queue), nil
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
	answer, err := peersapi.NewPeersClient(conn).Shares(asking, &peersapi.SharesRequest{Queue: queue})
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
	return &peersapi.SharesResponse{Report: shares(a.parts.Explanations.Reports(), r.GetQueue())}, nil
}

func shares(pools []scheduling.Report, queue string) string {
	var text strings.Builder
	for _, pool := range pools {
		fmt.Fprintf(&text, "Pool %s, round of %s\n", pool.Pool, pool.At.UTC().Format(time.RFC3339))
		writeShares(&text, pool.Queues, queue)
	}
	if text.Len() == 0 {
		return "There are no pools: no executor is connected.\n"
	}
	return text.String()
}

func writeShares(text *strings.Builder, queues []scheduling.QueueReport, only string) {
	lines := tabwriter.NewWriter(text, 0, 0, 2, ' ', 0) // a strings.Builder refuses nothing
	written := 0
	for i := range queues {
		q := &queues[i]
		if only != "" && q.Queue != only || q.Demand == 0 && q.Share == 0 && q.Queued == 0 {
			continue
		}
		if written++; written == 1 {
			fmt.Fprint(lines, "  QUEUE\tWEIGHT\tENTITLED TO\tHOLDS\tWANTS\tQUEUED\tNEXT JOB WAITS BECAUSE\n")
		}
		why := "-"
		if q.Stopped.Code != 0 {
			why = q.Stopped.String()
		}
		fmt.Fprintf(lines, "  %s\t%.4g\t%s\t%s\t%s\t%d\t%s\n", q.Queue, q.Weight, percent(q.AdjustedShare), percent(q.Share), percent(q.Demand), q.Queued, why)
	}
	if written == 0 {
		fmt.Fprint(lines, "  no active jobs\n")
	}
	_ = lines.Flush()
}

// percent writes millionths.
func percent(millionths int64) string { return fmt.Sprintf("%.1f%%", float64(millionths)/1e4) }
