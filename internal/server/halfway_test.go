package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"armada/internal/store"
	"armada/pkg/api"
)

// moments is a store that tells when a submission comes and when it is done.
type moments struct {
	store.Store
	mu     sync.Mutex
	before map[string]func() // by job set; called once
	after  map[string]func()
}

func (s *moments) Submit(ctx context.Context, sub store.Submission) ([]store.Submitted, error) {
	s.happen(s.before, string(sub.JobSet))
	answer, err := s.Store.Submit(ctx, sub)
	s.happen(s.after, string(sub.JobSet))
	return answer, err
}

func (s *moments) happen(list map[string]func(), set string) {
	s.mu.Lock()
	f := list[set]
	delete(list, set)
	s.mu.Unlock()
	if f != nil {
		f()
	}
}

// at arranges for something to happen once.
func (s *moments) at(list map[string]func(), set string, f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list[set] = f
}

// halfway is a client that leaves in the middle of a submission.
type halfway struct {
	*world
	store *moments
}

const halfwayJobs = 50

// request are jobs with client ids, in a job set that says how the client left.
func (h *halfway) request(set string) *api.JobSubmitRequest {
	list := items(halfwayJobs)
	for i := range list {
		list[i].ClientId = fmt.Sprintf("%s %d", set, i)
	}
	return &api.JobSubmitRequest{Queue: "q", JobSetId: set, JobRequestItems: list}
}

// body is the request in JSON.
func (h *halfway) body(set string) string {
	h.t.Helper()
	type item struct {
		ClientID string          `json:"clientId"`
		PodSpec  json.RawMessage `json:"podSpec"`
	}
	spec := json.RawMessage(`{"containers": [{"name": "main", "image": "busybox", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}}]}`)
	var list []item
	for i := range halfwayJobs {
		list = append(list, item{fmt.Sprintf("%s %d", set, i), spec})
	}
	text, err := json.Marshal(map[string]any{"queue": "q", "jobSetId": set, "jobRequestItems": list})
	ok(h.t, err)
	return string(text)
}

// ownConn is a gRPC connection of its own.
func (h *halfway) ownConn() *grpc.ClientConn {
	h.t.Helper()
	conn, err := grpc.NewClient(h.server.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	ok(h.t, err)
	h.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// speak opens an HTTP connection and sends a text.
func (h *halfway) speak(text string) net.Conn {
	h.t.Helper()
	conn, err := net.Dial("tcp", h.server.HTTPAddr())
	ok(h.t, err)
	_, err = io.WriteString(conn, text)
	ok(h.t, err)
	return conn
}

func head(length string) string {
	return "POST /api/v1/job/submit HTTP/1.1\r\nHost: x\r\n" + length + "\r\n\r\n"
}

// jobsOf counts the jobs of a job set.
func (h *halfway) jobsOf(set string) map[string]bool {
	h.t.Helper()
	ids := map[string]bool{}
	for _, m := range h.events(set) {
		if e := m.GetMessage().GetSubmitted(); e != nil {
			if ids[e.GetJobId()] {
				h.t.Errorf("%s: job %s was submitted twice", set, e.GetJobId())
			}
			ids[e.GetJobId()] = true
		}
	}
	return ids
}

func TestAClientThatLeavesInTheMiddleOfASubmissionHasSubmittedAllOrNothing(t *testing.T) {
	t.Parallel()
	kept := &moments{before: map[string]func(){}, after: map[string]func(){}}
	h := &halfway{store: kept, world: newWorld(t, options{wrapStore: func(s store.Store) store.Store { kept.Store = s; return kept }})}
	const all, none, either = "all", "nothing", "all or nothing"
	for set, c := range map[string]struct {
		leave func(set string)
		taken string
	}{
		"gRPC, cancelled when it reaches the store": {func(set string) {
			ctx, cancel := context.WithCancel(t.Context())
			kept.at(kept.before, set, cancel)
			if _, err := h.submit.SubmitJobs(ctx, h.request(set)); err == nil {
				t.Error("a call that was cancelled has an answer")
			}
		}, either},
		"gRPC, cancelled before the answer": {func(set string) {
			ctx, cancel := context.WithCancel(t.Context())
			kept.at(kept.after, set, cancel)
			_, _ = h.submit.SubmitJobs(ctx, h.request(set)) // the answer may be quicker
		}, all},
		"gRPC, connection closed when it reaches the store": {func(set string) {
			conn := h.ownConn()
			kept.at(kept.before, set, func() { _ = conn.Close() })
			if _, err := api.NewSubmitClient(conn).SubmitJobs(t.Context(), h.request(set)); err == nil {
				t.Error("a call on a closed connection has an answer")
			}
		}, either},
		"HTTP, body cut half way": {func(set string) {
			body := h.body(set)
			ok(t, h.speak(head(fmt.Sprint("Content-Length: ", len(body)))+body[:len(body)/2]).Close())
		}, none},
		"HTTP, body cut before its last byte": {func(set string) {
			body := h.body(set)
			conn := h.speak(head(fmt.Sprint("Content-Length: ", len(body))) + body[:len(body)-1])
			ok(t, conn.(*net.TCPConn).CloseWrite())
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err == nil && answer.StatusCode == http.StatusOK {
				t.Error("half a request was taken")
			}
			ok(t, conn.Close())
		}, none},
		"HTTP, chunks cut half way": {func(set string) {
			body := h.body(set)
			conn := h.speak(head("Transfer-Encoding: chunked") + fmt.Sprintf("%x\r\n%s", len(body), body[:len(body)/2]))
			ok(t, conn.Close())
		}, none},
		"HTTP, closed right after sending": {func(set string) {
			body := h.body(set)
			ok(t, h.speak(head(fmt.Sprint("Content-Length: ", len(body)))+body).Close())
		}, either},
		"HTTP, closed when it reaches the store": {func(set string) {
			body, reached, gone := h.body(set), make(chan struct{}), make(chan struct{})
			kept.at(kept.before, set, func() { close(reached); <-gone })
			conn := h.speak(head(fmt.Sprint("Content-Length: ", len(body))) + body)
			<-reached
			ok(t, conn.Close())
			close(gone)
		}, either},
		"HTTP, closed before the answer": {func(set string) {
			body, done, gone := h.body(set), make(chan struct{}), make(chan struct{})
			kept.at(kept.after, set, func() { close(done); <-gone })
			conn := h.speak(head(fmt.Sprint("Content-Length: ", len(body))) + body)
			<-done
			ok(t, conn.Close())
			close(gone)
		}, all},
	} {
		set = strings.ReplaceAll(set, "/", " ")
		c.leave(set)
		before := h.jobsOf(set)
		n := len(before)
		if n != 0 && n != halfwayJobs || c.taken == all && n == 0 || c.taken == none && n != 0 {
			t.Errorf("%s: %d of %d jobs were taken, want %s", set, n, halfwayJobs, c.taken)
		}
		answer, err := h.submit.SubmitJobs(t.Context(), h.request(set))
		if err != nil {
			t.Errorf("%s: trying again: %v", set, err)
			continue
		}
		after := h.jobsOf(set)
		if len(after) != halfwayJobs {
			t.Errorf("%s: after trying again there are %d jobs, want %d", set, len(after), halfwayJobs)
		}
		for _, item := range answer.GetJobResponseItems() {
			if !after[item.GetJobId()] || n > 0 && !before[item.GetJobId()] {
				t.Errorf("%s: trying again answers with job %s, which is not the one that was taken", set, item.GetJobId())
			}
		}
	}
}
