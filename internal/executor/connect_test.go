package executor

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"armada/pkg/api/executorapi"
)

// replica answers reports with its name, in a header.
type replica struct {
	executorapi.UnimplementedExecutorApiServer

	name string
	addr string
	stop func()
}

func (r *replica) ReportEvents(ctx context.Context, _ *executorapi.EventList) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, status.Error(codes.AlreadyExists, r.name)
}

func aReplica(t *testing.T, name string) *replica {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{name: name, addr: listener.Addr().String()}
	server := grpc.NewServer()
	executorapi.RegisterExecutorApiServer(server, r)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	r.stop = func() { server.GracefulStop(); <-done }
	t.Cleanup(func() { server.Stop(); <-done })
	return r
}

// answering returns the name of the replica that answers, which may need
// another attempt.
func answering(t *testing.T, conn *grpc.ClientConn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		_, err := executorapi.NewExecutorApiClient(conn).ReportEvents(ctx, &executorapi.EventList{}, grpc.WaitForReady(true))
		switch status.Code(err) {
		case codes.AlreadyExists:
			return status.Convert(err).Message()
		case codes.Unavailable:
		default:
			t.Fatal(err)
		}
	}
}

func connect(t *testing.T, addresses ...string) *grpc.ClientConn {
	t.Helper()
	conn, err := Connect(Servers{Addresses: addresses})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestAConnectionGoesToAnotherServerWhenItsOwnStops(t *testing.T) {
	t.Parallel()
	replicas := map[string]*replica{"a": aReplica(t, "a"), "b": aReplica(t, "b")}
	conn := connect(t, replicas["a"].addr, replicas["b"].addr)
	first := answering(t, conn)
	for range 3 {
		if again := answering(t, conn); again != first {
			t.Errorf("%s answers after %s: one session's calls must reach one replica", again, first)
		}
	}
	replicas[first].stop()
	if second := answering(t, conn); second == first {
		t.Errorf("%s answers although it stopped", second)
	}
}

func TestAServerThatTakesConnectionsAndSaysNothingIsPassedOver(t *testing.T) {
	t.Parallel()
	frozen, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes connections for it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = frozen.Close() })
	living := aReplica(t, "living")
	for range 8 { // each has its own order
		if name := answering(t, connect(t, frozen.Addr().String(), living.addr)); name != "living" {
			t.Errorf("%s answers", name)
		}
	}
}

func TestAddressesOfServersThatCannotBeAreToldByTheirPlace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		addresses []string
		want      string
	}{
		{nil, "servers: must name at least one"},
		{[]string{"a:1", "nohost"}, "servers[1]: "},
		{[]string{":50051"}, "servers[0]: "},
		{[]string{"https://armada.example"}, "servers[0]: "},
	} {
		_, err := Connect(Servers{Addresses: c.addresses})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.addresses, err, c.want)
		}
	}
}
