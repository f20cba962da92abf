package app

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"

	"github.com/oklog/ulid/v2"

	"armada/internal/leader"
	"armada/internal/server"
	"armada/internal/server/executors"
	"armada/internal/server/peers"
	"armada/internal/store"
	"armada/internal/store/postgres"
	"armada/internal/store/sqlite"
)

// openServer makes a replica of the server.
func (s *System) openServer(ctx context.Context, version string) error {
	var err error
	if s.store == nil {
		if s.store, err = s.openStore(ctx); err != nil {
			return fmt.Errorf("opening the store: %w", err)
		}
	}
	if s.store, err = countRetries(s.store, s.registry); err != nil {
		return err
	}
	if s.addresses, err = server.Bind(ctx, s.config.Server); err != nil {
		return fmt.Errorf("%w; choose other addresses with --grpc-addr and --http-addr", err)
	}
	if s.replica, err = s.whoWeAre(); err != nil {
		return err
	}
	if err := s.openBids(); err != nil {
		return err
	}
	parts := leader.Parts{
		Store: s.store, Replica: s.replica, Log: s.log.With("part", "leader"), Metrics: s.registry,
		Clock: leader.MachineClock{Offset: s.config.Rehearsal.ClockOffset},
	}
	if s.bids != nil {
		parts.Bids = s.bids
	}
	if s.leader, err = leader.New(s.config.leader(), parts); err != nil {
		return fmt.Errorf("making the leader: %w", err)
	}
	if s.door, err = s.openDoor(s.store); err != nil {
		return err
	}
	serve := s.config.executors()
	serve.Replica, serve.ReplicaAddr = s.replica.Name, s.replica.Addr
	if s.executors, err = executors.New(serve, s.config.resources(), s.config.Jobs.PriorityClasses, s.store,
		s.door.authorizer.AuthorizeExecutor, s.log.With("part", "executors")); err != nil {
		return err
	}
	secured, err := peersTLS(s.config.Server.TLS)
	if err != nil {
		return err
	}
	of2020, err := s.openExecutors2020()
	if err != nil {
		return err
	}
	s.peers = peers.New(peers.Parts{
		TLS: secured, Authorization: s.config.peerAuthorization(),
		Replica: s.replica.Name, Executors: s.executors, Explanations: s.leader.Explanations(), Resources: s.config.resources(),
		Leader: s.leader.Known, Executor: s.store.Executor, Log: s.log.With("part", "peers"),
	})
	rules, err := s.config.Jobs.Rules(s.config.resources())
	if err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	s.server, err = server.New(s.config.Server, s.addresses, server.Deps{
		Store: s.store, Rules: rules, Authenticator: s.door.methods, Authorizer: s.door.authorizer,
		PeerSecret: s.config.Auth.PeerSecret.Reveal(), Audit: s.door.audit,
		Executors: s.executors, Executors2020: of2020, Peers: s.peers, Log: s.log.With("part", "server"), Registry: s.registry, Version: version,
		Now: s.config.Rehearsal.now,
	})
	return err
}

// openStore opens the form of the store that the config asks for.
func (s *System) openStore(ctx context.Context) (store.Store, error) {
	switch {
	case !s.config.Store.Database.IsEmpty():
		kept, err := postgres.Open(ctx, s.config.postgres(s.log.With("part", "store")))
		if err != nil {
			return nil, err
		}
		return kept, nil
	case s.dir == nil:
		return nil, fmt.Errorf("%w; without one, armada up keeps everything in its data folder", errNoDatabase)
	default:
		place, err := s.dir.moved()
		if err != nil {
			return nil, err
		}
		if place != "" {
			return nil, fmt.Errorf("the store of %s was moved to %s: give that with --database; to go back to what there was before, delete %s", s.dir.path, place, s.dir.file(movedName))
		}
		kept, err := sqlite.Open(ctx, sqlite.Config{
			Path:               s.dir.file(storeName),
			Resources:          s.config.resources(),
			ClientIDRetention:  s.config.Store.KeepClientIDs,
			MaxQueuedPerQueue:  s.config.Scheduling.MaxQueuedJobsPerQueue,
			Retries:            s.config.Retries.store(),
			IndexedAnnotations: s.config.Store.IndexedAnnotations,
		})
		if err != nil {
			return nil, err
		}
		return kept, nil
	}
}

// whoWeAre names this replica and its address for the others.
func (s *System) whoWeAre() (store.Replica, error) {
	r := store.Replica{Name: s.config.Replica.Name, Addr: s.config.Replica.Advertise}
	host, err := os.Hostname()
	if err != nil {
		return r, fmt.Errorf("asking for the host's name: %w", err)
	}
	if r.Addr == "" {
		if r.Addr, err = reachable(s.addresses.GRPC(), host); err != nil {
			return r, err
		}
	}
	if s.config.Store.Database.IsEmpty() {
		// One process has the folder at a time, so a name that stays lets the
		// next one lead at once.
		r.Name = cmp.Or(r.Name, "up")
		return r, nil
	}
	// Two that had one name would both lead: what is configured twice must not
	// make one of two.
	random := ulid.Make().String()
	r.Name = cmp.Or(r.Name, host) + "-" + random[len(random)-6:]
	return r, nil
}

// reachable is an address that is bound, as others may call it: what is bound
// on every address of the host is called by the host's name.
func reachable(bound, host string) (string, error) {
	at, port, err := net.SplitHostPort(bound)
	if err != nil {
		return "", fmt.Errorf("the bound address: %w", err)
	}
	if ip := net.ParseIP(at); ip != nil && ip.IsUnspecified() {
		at = host
	}
	return net.JoinHostPort(at, port), nil
}
