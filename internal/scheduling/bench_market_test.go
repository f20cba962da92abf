package scheduling

import (
	"fmt"
	"testing"
	"time"

	"armada"
)

// bidding makes the queues of a market bid 1 to 3 by band, and those that come late
// 4.
func bidding(w benchWorld, lates ...string) *Pool {
	p := w.pool()
	var bids armada.QueueBids
	for i := range bids {
		bids[i] = armada.Bid{Queued: armada.Price(1 + i%3), Running: armada.Price(1 + i%3)}
	}
	all := map[string]armada.QueueBids{}
	for i := range w.queues {
		all[fmt.Sprintf("queue-%03d", i)] = bids
	}
	for i := range bids {
		bids[i] = armada.Bid{Queued: 4, Running: 4}
	}
	for _, q := range lates {
		all[q] = bids
	}
	p.SetBids(all)
	return p
}

// BenchmarkMarketRoundWhileOthersAreOutbid is of 10,000 nodes that are full with runs of 1 core, while
// 20 shapes wait and are outbid.
func BenchmarkMarketRoundWhileOthersAreOutbid(b *testing.B) {
	w := benchWorld{nodes: 10_000, cores: 32, queues: 10, jobs: 320_000, market: true}.sized()
	p := bidding(w)
	take(p, Round(Input{Pool: p}))
	for i := range 1000 {
		needs := &armada.Requirements{PriorityClass: "armada-default", Resources: armada.Resources{int64(1+i%20) * 1000, gib}}
		p.Enqueue(armada.Job{ID: armada.JobID(fmt.Sprintf("late-%021d", i)), Number: int64(w.jobs + i), Queue: fmt.Sprintf("queue-%03d", i%10)}, needs)
	}
	var times []time.Duration
	for b.Loop() {
		begin := time.Now()
		out := Round(Input{Pool: p})
		times = append(times, time.Since(begin))
		if len(out.Decisions) > 0 || out.Waiting[0].Reason.Code != armada.ReasonOutbid {
			b.Fatalf("%d jobs were placed, and others wait because %v", len(out.Decisions), out.Waiting[0].Reason)
		}
	}
	report(b, times, 25*time.Millisecond)
}

// BenchmarkMarketRoundThatDisplacesHalf lets queues arrive that bid more than
// everybody who runs, for half of the nodes.
func BenchmarkMarketRoundThatDisplacesHalf(b *testing.B) {
	w := benchWorld{nodes: 10_000, cores: 32, queues: 1, jobs: 320_000, market: true}.sized()
	p := bidding(w, "late")
	take(p, Round(Input{Pool: p}))
	p.SetQueue(armada.Queue{Name: "late", PriorityFactor: 1})
	for i := range w.jobs / 2 {
		p.Enqueue(armada.Job{ID: armada.JobID(fmt.Sprintf("late-%021d", i)), Number: int64(w.jobs + i), Queue: "late"}, w.shape(0))
	}
	var times []time.Duration
	for b.Loop() {
		begin := time.Now()
		out := Round(Input{Pool: p})
		times = append(times, time.Since(begin))
		if n := preempted(out); n != w.jobs/2 {
			b.Fatalf("%d runs were preempted, expected half of %d", n, w.jobs)
		}
	}
	report(b, times, 1500*time.Millisecond)
}
