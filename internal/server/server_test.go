package server_test

import (
	"net"
	"strings"
	"testing"

	"armada/internal/server"
	"armada/pkg/api"
)

func TestTheDefaultConfigIsValidAndAnEmptyOneNamesEveryKey(t *testing.T) {
	t.Parallel()
	ok(t, server.DefaultConfig().Validate())
	err := server.Config{}.Validate()
	for _, key := range []string{"grpcAddr", "httpAddr", "maxMessageBytes", "maxBodyBytes", "maxJobsPerRequest", "maxIDsPerQuery", "podSpecCacheBytes", "stopTimeout", "keepaliveMinTime"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s is not in %v", key, err)
		}
	}
	c := server.DefaultConfig()
	c.CORSAllowedOrigins = []string{"http://ui", "*"}
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), `corsAllowedOrigins[1]: must be scheme://host`) {
		t.Errorf("an origin that is none: %v", err)
	}
}

func TestAnAddressInUseIsTold(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	defer func() { _ = taken.Close() }()
	for _, http := range []bool{false, true} {
		config := server.DefaultConfig()
		config.GRPCAddr, config.HTTPAddr = "127.0.0.1:0", taken.Addr().String()
		if !http {
			config.GRPCAddr, config.HTTPAddr = config.HTTPAddr, config.GRPCAddr
		}
		if _, err := server.Bind(t.Context(), config); err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
			t.Errorf("bound with %v", err)
		}
	}
}

func TestAWatcherThatDoesNotReadHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	var idle []api.Event_GetJobSetEventsClient
	for range 5 {
		stream, err := w.event.GetJobSetEvents(t.Context(), &api.JobSetRequest{Queue: "q", Id: "set", Watch: true})
		ok(t, err)
		idle = append(idle, stream)
	}
	const batches, size = 3, 1000 // far more than a connection's window
	// A connection has one window for all its streams: the reader has its own.
	reader := &world{t: t, server: w.server}
	reader.connect()
	stream, err := reader.event.GetJobSetEvents(t.Context(), &api.JobSetRequest{Queue: "q", Id: "set", Watch: true})
	ok(t, err)
	submitter := &world{t: t, server: w.server}
	submitter.connect()
	for range batches {
		submitter.submitted("set", items(size))
	}
	for range 2 * batches * size {
		_, err := stream.Recv()
		ok(t, err)
	}
	for i, s := range idle[:2] {
		seen := map[string]bool{}
		for range 2 * batches * size {
			m, err := s.Recv()
			ok(t, err)
			seen[m.GetId()] = true
		}
		if len(seen) != 2*batches*size {
			t.Errorf("idle watcher %d saw %d events in the end", i, len(seen))
		}
	}
}
