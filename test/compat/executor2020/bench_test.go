package executor2020

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/server/executors2020"
	"armada/internal/store"
	"armada/internal/store/sqlite"
	"armada/pkg/api"
)

// BenchmarkRenewalOf5000Jobs is what an executor asks every 15 seconds.
func BenchmarkRenewalOf5000Jobs(b *testing.B) {
	const jobs = 5000
	kept, err := sqlite.Open(b.Context(), sqlite.Config{Path: filepath.Join(b.TempDir(), "armada.db")})
	ok(b, err)
	b.Cleanup(func() { ok(b, kept.Close()) })
	service, err := executors2020.New(executors2020.DefaultConfig(), executors2020.Parts{
		Table: armada.DefaultResourceTable(), Store: kept, Authorize: func(context.Context, armada.ExecutorID) error { return nil },
		Use: func(armada.ClusterUse) {}, Log: slog.New(slog.DiscardHandler),
	})
	ok(b, err)
	_, err = service.LeaseJobs(b.Context(), &api.LeaseRequest{ClusterId: "east"})
	ok(b, err)
	ok(b, kept.PutQueue(b.Context(), armada.Queue{Name: "q", PriorityFactor: 1}))
	request := &api.RenewLeaseRequest{ClusterId: "east"}
	requirements := &armada.Requirements{PriorityClass: "armada-default"}
	shape := requirements.Shape(armada.DefaultResourceTable())
	for piece := range jobs / 500 {
		sub := store.Submission{
			Queue: "q", JobSet: "set", Templates: map[armada.TemplateID][]byte{"t": {}}, Shapes: map[armada.ShapeID]*armada.Requirements{shape: requirements},
		}
		var units []store.Unit
		for i := range 500 {
			id := armada.JobID(fmt.Sprintf("01job%021d", piece*500+i))
			request.Ids = append(request.Ids, string(id))
			sub.Jobs = append(sub.Jobs, store.NewJob{Job: armada.Job{ID: id, Template: "t", Shape: shape}})
			units = append(units, store.Unit{
				{Kind: lifecycle.Lease, Job: id, Lease: lifecycle.Terms{Executor: "east", Node: "n", Pool: "default"}},
				{Kind: lifecycle.ReportMark, Mark: lifecycle.MarkDelivered, Job: id, Run: armada.NewRunID(id, 1), Executor: "east"},
			})
		}
		_, err := kept.Submit(b.Context(), sub)
		ok(b, err)
		_, err = kept.Transition(b.Context(), store.Fence{}, units)
		ok(b, err)
	}
	for b.Loop() {
		answer, err := service.RenewLease(b.Context(), request)
		ok(b, err)
		if len(answer.GetIds()) != jobs {
			b.Fatalf("%d jobs may stay", len(answer.GetIds()))
		}
	}
}
