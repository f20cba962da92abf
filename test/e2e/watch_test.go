package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"armada/pkg/api"
	"armada/pkg/client"
)

// seen are the ids of the events that a watcher was shown, in order.
type seen struct {
	mu  sync.Mutex
	ids []string
}

func (s *seen) add(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = append(s.ids, id)
}

func (s *seen) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ids)
}

// eventIDs are the ids in what `armadactl watch -o json` has printed so far.
func eventIDs(printed string) []string {
	var ids []string
	for line := range strings.Lines(printed) {
		var event struct {
			ID string `json:"id"`
		}
		if strings.HasSuffix(line, "\n") && json.Unmarshal([]byte(line), &event) == nil {
			ids = append(ids, event.ID)
		}
	}
	return ids
}

func TestWatchersMissAndRepeatNothingWhenArmadaIsKilledUnderThem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Cleanup(func() { killProcessesOf(dir) })
	capacity := []string{"--capacity", "cpu=300m,memory=8Gi,ephemeral-storage=512Gi"} // three at a time
	u := startUp(t, dir, capacity...)
	u.mustCtl(t, "create", "queue", "watched")
	server, err := client.New(client.Config{ArmadaURL: u.grpc})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()

	// One watches as a program, one at the command line.
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	program, broken := &seen{}, 0
	ended := make(chan error)
	go func() {
		stream := client.Stream{Queue: "watched", JobSet: "s", Interrupted: func(error, time.Duration) { broken++ }}
		ended <- server.Watch(ctx, stream, func(m *api.EventStreamMessage) error { program.add(m.GetId()); return nil })
	}()
	printed, told := &log{}, &log{}
	_, port, _ := strings.Cut(u.grpc, ":")
	commandLine := exec.CommandContext(ctx, binary(t, "armadactl"), "--armadaUrl", "localhost:"+port, "watch", "watched", "s", "-o", "json", "--exit-if-inactive")
	commandLine.Stdout, commandLine.Stderr = printed, told

	request := &api.JobSubmitRequest{Queue: "watched", JobSetId: "s"}
	marks := t.TempDir()
	for n := range 24 {
		request.JobRequestItems = append(request.JobRequestItems, &api.JobSubmitRequestItem{ClientId: fmt.Sprint(n), PodSpec: markingSpec(marks)})
	}
	if _, err := server.Submitter.SubmitJobs(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if err := commandLine.Start(); err != nil {
		t.Fatal(err)
	}
	const submitted = 48 // events, two of each job
	for round := range 3 {
		more := submitted + 10*(round+1)
		until(t, "both watchers see how jobs run", func() bool { return len(program.all()) >= more && len(eventIDs(printed.String())) >= more })
		u.kill()
		u = startUp(t, dir, append(capacity, "--grpc-addr", u.grpc)...)
	}
	if err := commandLine.Wait(); err != nil {
		t.Errorf("armadactl watch ends with %v:\n%s", err, told)
	}
	history := &seen{}
	if err := server.History(t.Context(), client.Stream{Queue: "watched", JobSet: "s"}, func(m *api.EventStreamMessage) error { history.add(m.GetId()); return nil }); err != nil {
		t.Fatal(err)
	}
	until(t, "the program sees the last event", func() bool { return slices.Contains(program.all(), history.ids[len(history.ids)-1]) })
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the program's watch ends with %v", err)
	}
	if !slices.Equal(program.ids, history.ids) {
		t.Errorf("the program was shown %d events\n%v\nof %d\n%v", len(program.ids), program.ids, len(history.ids), history.ids)
	}
	if ids := eventIDs(printed.String()); !slices.Equal(ids, history.ids) {
		t.Errorf("armadactl watch shows %d events\n%v\nof %d\n%v", len(ids), ids, len(history.ids), history.ids)
	}
	if broken == 0 || !strings.Contains(told.String(), "Lost the connection to localhost:"+port) {
		t.Errorf("the program was told of %d interruptions, armadactl says %q: the test shows nothing", broken, told)
	}
}
