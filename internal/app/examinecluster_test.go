package app

import (
	"context"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"armada/internal/doctor"
	"armada/pkg/api"
)

// healthy is a server of which nothing but its health is asked.
type healthy struct{ api.UnimplementedSubmitServer }

func (healthy) Health(context.Context, *emptypb.Empty) (*api.HealthCheckResponse, error) {
	return &api.HealthCheckResponse{Status: api.HealthCheckResponse_SERVING}, nil
}

func TestTheCheckOfAnExecutorSaysWhichServersItDoesNotReach(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	api.RegisterSubmitServer(server, healthy{})
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	there, nowhere := l.Addr().String(), closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what    string
		change  func(*Executor)
		server  string
		verdict doctor.Verdict
	}{
		{"one that answers", func(e *Executor) { e.Servers = []string{there} }, "server " + there, doctor.OK},
		{"one that does not, beside one that does", func(e *Executor) { e.Servers = []string{there, nowhere} }, "server " + nowhere, doctor.Warning},
		{"none that answers", func(e *Executor) { e.Servers = []string{nowhere} }, "server " + nowhere, doctor.Problem},
		{"one that speaks no TLS", func(e *Executor) { e.Servers, e.TLS = []string{there}, true }, "server " + there, doctor.Problem},
		{"authorities that are not there", func(e *Executor) { e.Servers, e.TLS, e.CAFile = []string{there}, true, "/there/is/none" }, "servers", doctor.Problem},
		{"none that is named", func(e *Executor) { e.Servers = nil }, "servers", doctor.NotChecked},
	} {
		config := DefaultConfig()
		c.change(&config.Executor)
		found := false
		for _, check := range ExamineCluster(t.Context(), config) {
			if check.Name != c.server {
				continue
			}
			found = true
			if check.Verdict != c.verdict || check.Verdict == doctor.Problem && !strings.Contains(check.Finding, "caFile") && !strings.Contains(check.Advice, "executor.servers") {
				t.Errorf("%s: it says %+v, want %v", c.what, check, c.verdict)
			}
		}
		if !found {
			t.Errorf("%s: nothing is said of %s", c.what, c.server)
		}
	}
}
