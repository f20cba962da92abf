package executor2026

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"armada/test/compat/wiretable"
)

// table is the wire that everything here is written from.
var table = wiretable.Year2026()

const (
	leaseMethod  = "/executorapi.ExecutorApi/LeaseJobRuns"
	reportMethod = "/executorapi.ExecutorApi/ReportEvents"
)

// Answer is what a request was answered with.
type Answer struct {
	Leases  []proto.Message // of executorapi.JobRunLease
	Cancels []string        // ids of runs
	// Closing is how long the server took to close the stream after the end marker.
	Closing time.Duration
}

// Ask makes one request, an executorapi.LeaseRequest, as executors of 2026 do:
// compressed, on a stream of its own that stays open on this side; what comes
// counts only when the end marker has come and the server has closed the stream.
func Ask(ctx context.Context, conn grpc.ClientConnInterface, request wiretable.Fields) (*Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, leaseMethod, grpc.UseCompressor(gzip.Name))
	if err != nil {
		return nil, err
	}
	if err := stream.SendMsg(table.Make("executorapi.LeaseRequest", request)); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	answer := &Answer{}
	for {
		m := table.New("executorapi.LeaseStreamMessage")
		if err := stream.RecvMsg(m); err != nil {
			return nil, fmt.Errorf("before the end marker: %w", err)
		}
		switch kind := wiretable.Kind(m, "event"); kind {
		case "lease":
			answer.Leases = append(answer.Leases, wiretable.At(m, "lease").Message().Interface())
		case "cancel_runs":
			answer.Cancels = append(answer.Cancels, wiretable.Strings(m, "cancel_runs", "job_run_ids_to_cancel")...)
		case "end":
			ended := time.Now()
			if err := stream.RecvMsg(table.New("executorapi.LeaseStreamMessage")); !errors.Is(err, io.EOF) {
				return nil, fmt.Errorf("after the end marker came %w, not the end of the stream", err)
			}
			answer.Closing = time.Since(ended)
			return answer, nil
		default:
			return nil, fmt.Errorf("a message of kind %q", kind)
		}
	}
}

// Runs are the ids of the runs that were leased, in order.
func (a *Answer) Runs() []string {
	ids := make([]string, len(a.Leases))
	for i, l := range a.Leases {
		ids[i] = wiretable.At(l, "job_run_id").String()
	}
	return ids
}

// Report sends a list of reports, an executorapi.EventList.
func Report(ctx context.Context, conn grpc.ClientConnInterface, sequences ...wiretable.Fields) error {
	return Send(ctx, conn, table.Make("executorapi.EventList", wiretable.Fields{"events": sequences}))
}

// Send sends a list as it is.
func Send(ctx context.Context, conn grpc.ClientConnInterface, list *dynamicpb.Message) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return conn.Invoke(ctx, reportMethod, list, table.New("google.protobuf.Empty"), grpc.UseCompressor(gzip.Name))
}
