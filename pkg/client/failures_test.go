package client

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada"
	"armada/pkg/api"
)

// ledger is a server that keeps jobs, knows those again that have a client id, and
// says UNAVAILABLE after it has kept them every time but the third.
type ledger struct {
	mu   sync.Mutex
	jobs []string
}

func (l *ledger) submit(n int, r *api.JobSubmitRequest) (*api.JobSubmitResponse, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, item := range r.GetJobRequestItems() {
		if id := item.GetClientId(); id == "" || !slices.Contains(l.jobs, id) {
			l.jobs = append(l.jobs, id)
		}
	}
	if n%3 != 0 {
		return nil, errUnavailable
	}
	return accept(r), nil
}

func TestAServerThatFailsAfterItKeptTheJobsMakesNoneTwice(t *testing.T) {
	t.Parallel()
	var kept ledger
	f := &fake{onSubmit: kept.submit}
	const jobs = 2*MaxJobsPerRequest + 1
	ids, err := connect(t, f, Config{}).Submit(t.Context(), "q", "s", make([]*api.JobSubmitRequestItem, jobs))
	if err != nil || len(ids) != jobs || len(kept.jobs) != jobs {
		t.Errorf("%d jobs came to %d, and to %d ids: %v", jobs, len(kept.jobs), len(ids), err)
	}
	slices.Sort(ids)
	if different := len(slices.Compact(ids)); different != jobs {
		t.Errorf("only %d of the ids differ", different)
	}
	if len(f.taken()) != 9 {
		t.Errorf("three requests were sent %d times", len(f.taken()))
	}
}

func TestJobsThatAServerWouldNotKnowAgainAreSentOnce(t *testing.T) {
	t.Parallel()
	var kept ledger
	f := &fake{onSubmit: kept.submit}
	c := connect(t, f, Config{})
	request := &api.JobSubmitRequest{JobRequestItems: []*api.JobSubmitRequestItem{{ClientId: "a"}, {}}}
	if _, err := c.Submitter.SubmitJobs(t.Context(), request); status.Code(err) != codes.Unavailable || len(kept.jobs) != 2 {
		t.Errorf("%d jobs are kept: %v", len(kept.jobs), err)
	}
	request.JobRequestItems[1].ClientId = "b"
	if _, err := c.Submitter.SubmitJobs(t.Context(), request); err != nil || len(kept.jobs) != 3 {
		t.Errorf("%d jobs are kept: %v", len(kept.jobs), err)
	}
}

// TestAStreamCutAnywhereTellsEachEventOnce cuts the history of some jobs after
// every possible number of events, and folds what comes.
func TestAStreamCutAnywhereTellsEachEventOnce(t *testing.T) {
	t.Parallel()
	history := []*api.EventMessage{queued("a"), queued("b"), queued("c")}
	var want []string
	for _, id := range []string{"a", "b", "c"} {
		history = append(history,
			&api.EventMessage{Events: &api.EventMessage_Running{Running: &api.JobRunningEvent{JobId: id}}},
			&api.EventMessage{Events: &api.EventMessage_Succeeded{Succeeded: &api.JobSucceededEvent{JobId: id}}})
	}
	for i := range history {
		want = append(want, strconv.Itoa(i+1))
	}
	for each := 1; each <= len(history); each++ {
		f := &fake{onStream: func(_ int, r *api.JobSetRequest, send func(string, *api.EventMessage)) error {
			last, _ := strconv.Atoi(r.GetFromMessageId())
			for i := last; i < min(last+each, len(history)); i++ {
				send(strconv.Itoa(i+1), history[i])
			}
			return errUnavailable
		}}
		var seen []string
		var progress Progress
		err := connect(t, f, Config{}).Watch(t.Context(), Stream{Queue: "q", JobSet: "s"}, func(m *api.EventStreamMessage) error {
			seen = append(seen, m.GetId())
			progress.Apply(m.GetMessage())
			if progress.Done() {
				return ErrStop
			}
			return nil
		})
		if err != nil || !slices.Equal(seen, want) || progress.Count(armada.JobSucceeded) != 3 {
			t.Errorf("cut after every %d: %q, %v", each, seen, err)
		}
		seen = nil
		states, err := connect(t, f, Config{}).Await(t.Context(), Stream{Queue: "q", JobSet: "s"}, []string{"a", "c"}, func(m *api.EventStreamMessage) error {
			seen = append(seen, m.GetId())
			return nil
		})
		if err != nil || fmt.Sprint(states) != "map[a:succeeded c:succeeded]" || !slices.Equal(seen, want) {
			t.Errorf("cut after every %d: %v after %q, %v", each, states, seen, err)
		}
	}
}
