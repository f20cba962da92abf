package server_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"armada"
	"armada/internal/auth"
	"armada/internal/server"
	"armada/pkg/api"
	"armada/pkg/api/lookout"
)

// owned is a world in which a caller may do with the queues "q" and "other" what these
// say, with a clock that goes on when it is told to.
func owned(t *testing.T) (*world, *atomic.Int64) {
	t.Helper()
	var minutes atomic.Int64
	began := time.Now()
	w := newWorld(t, options{deps: func(d *server.Deps) {
		config := auth.DefaultConfig()
		config.PermissionGroupMapping = map[string][]string{"create_queue": {"everyone"}}
		d.Authorizer, d.Peers = config.Authorizer(d.Store), commanding{run: waits}
		d.Now = func() time.Time { return began.Add(time.Duration(minutes.Load()) * time.Minute) }
	}})
	_, err := w.submit.CreateQueue(t.Context(), &api.Queue{Name: "other"})
	ok(t, err)
	return w, &minutes
}

// disown takes the right to watch a queue from everybody.
func (w *world) disown(name string) {
	w.t.Helper()
	queue, err := w.store.Queue(w.t.Context(), name)
	ok(w.t, err)
	queue.Permissions[0].Verbs = []armada.Verb{armada.VerbSubmit}
	ok(w.t, w.store.UpdateQueue(w.t.Context(), queue))
}

func TestAStreamEndsWhenItsCallerMayNotWatchAnyMore(t *testing.T) {
	t.Parallel()
	w, minutes := owned(t)
	w.submitted("set", items(1))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stream, err := w.event.GetJobSetEvents(ctx, &api.JobSetRequest{Queue: "q", Id: "set", Watch: true})
	ok(t, err)
	for range 2 {
		_, err := stream.Recv()
		ok(t, err)
	}
	w.disown("q")
	minutes.Add(1)
	w.submitted("set", items(1))
	_, err = stream.Recv()
	wantCode(t, err, codes.PermissionDenied)
}

func TestAWatcherOfJobsSeesNoMoreOfAQueueThatIsTakenAway(t *testing.T) {
	t.Parallel()
	w, minutes := owned(t)
	client := lookout.NewLookoutClient(w.conn)
	all, own := watched(t, client), watched(t, client, where("queue", lookout.Match_EQUALS, "q"))
	w.disown("q")
	minutes.Add(1)
	w.submitted("set", items(1))
	answer, err := w.submit.SubmitJobs(t.Context(), &api.JobSubmitRequest{Queue: "other", JobSetId: "set", JobRequestItems: items(1)})
	ok(t, err)
	for told := false; !told; {
		message, err := all.Recv()
		ok(t, err)
		for _, job := range message.GetJobs() {
			if job.GetQueue() != "other" {
				t.Errorf("told of %v", job)
			}
			told = told || job.GetJobId() == answer.GetJobResponseItems()[0].GetJobId()
		}
	}
	_, err = own.Recv()
	wantCode(t, err, codes.PermissionDenied)
}
