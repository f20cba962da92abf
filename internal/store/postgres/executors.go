package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"armada"
	"armada/internal/store"
	"armada/internal/store/acks"
	"armada/internal/store/codec"
	"armada/internal/store/intake"
)

// OpenSession makes a session the current one.
func (s *Store) OpenSession(ctx context.Context, e armada.Executor) error {
	if e.ID == "" || e.Session == "" {
		return intake.Coded(armada.CodeInvalid, "open session: an executor's id and a session are needed")
	}
	asked := s.asked()
	err := s.call(ctx, "open session", nil, callOf("armada.open_session", 7), s.clock.given(),
		string(e.ID), int16(e.Kind), string(e.Session), e.Lease.Microseconds(), e.Replica, e.ReplicaAddr)
	if err != nil {
		return err
	}
	s.acks.Keep(e.ID, acks.Record{Session: e.Session, Lease: e.Lease, Asked: asked})
	s.touched()
	return nil
}

// asked is the moment from which a lease counts; by the process's own clock,
// whose differences are exact, unless a test has one.
func (s *Store) asked() time.Time {
	if s.config.Clock != nil {
		return s.config.Clock()
	}
	return time.Now()
}

// Acknowledge records that an executor was heard of.
func (s *Store) Acknowledge(ctx context.Context, id armada.ExecutorID, session armada.SessionID) (time.Duration, error) {
	asked := s.asked()
	if r, ok := s.acks.Recent(id, session, asked); ok {
		return r.Left(asked), nil
	}
	var lease int64
	err := s.call(ctx, "acknowledge", []any{&lease}, callOf("armada.acknowledge", 3), s.clock.given(), string(id), string(session))
	if err != nil {
		return 0, err
	}
	record := acks.Record{Session: session, Lease: time.Duration(lease) * time.Microsecond, Asked: asked}
	s.acks.Keep(id, record)
	s.touched()
	return record.Left(s.asked()), nil
}

// PutNodes replaces an executor's nodes. That they are equal is found out by
// reading.
func (s *Store) PutNodes(ctx context.Context, id armada.ExecutorID, session armada.SessionID, nodes []armada.Node) error {
	packed, hash, err := codec.PackNodes(s.config.Resources, nodes)
	if err != nil {
		return err
	}
	present := store.KindsOf(nodes)
	for try := 0; ; try++ {
		err := s.putNodes(ctx, id, session, packed, hash[:], present)
		switch {
		case isStale(err) && try < retries: // others put nodes meanwhile
		case isStale(err):
			return unavailable("put nodes", err)
		default:
			return err
		}
	}
}

// putNodes replaces nodes, unless the kinds that it has read are stale by then.
func (s *Store) putNodes(ctx context.Context, id armada.ExecutorID, session armada.SessionID, packed, hash []byte, present []armada.NodeKind) error {
	var had, remembered []byte
	var reported bool
	var now int64
	err := s.read(ctx, "put nodes", func(ctx context.Context) error {
		err := s.pool.QueryRow(ctx, `SELECT nodes_hash, kinds, reported, greatest(at, coalesce($3::bigint, armada.clock())) FROM armada.executor, armada.lane
			WHERE id = $1 AND session = $2 AND NOT deleted`, string(id), string(session), s.clock.given()).Scan(&had, &remembered, &reported, &now)
		if errors.Is(err, pgx.ErrNoRows) {
			return intake.NotCurrent(id, session)
		}
		return err
	})
	if err != nil || reported && bytes.Equal(had, hash) {
		return err
	}
	known, err := s.decodeKinds(remembered, id)
	if err != nil {
		return err
	}
	kinds := codec.AppendKinds(nil, s.config.Resources, store.RememberKinds(known, present, fromMicros(now)))
	if err := s.call(ctx, "put nodes", nil, callOf("armada.put_nodes", 7), s.clock.given(), string(id), string(session), hash, packed, kinds, remembered); err != nil {
		return err
	}
	s.touched()
	return nil
}

// CordonExecutor records a setting.
func (s *Store) CordonExecutor(ctx context.Context, id armada.ExecutorID, cordoned bool, reason string) error {
	if err := s.call(ctx, "cordon executor", nil, callOf("armada.cordon", 4), s.clock.given(), string(id), cordoned, reason); err != nil {
		return err
	}
	s.touched()
	return nil
}

// CordonNode closes or opens a node.
func (s *Store) CordonNode(ctx context.Context, id armada.ExecutorID, node string, cordoned bool) error {
	if err := store.CheckNodeName(node); err != nil {
		return err
	}
	if err := s.call(ctx, "cordon node", nil, callOf("armada.cordon_node", 4), s.clock.given(), string(id), node, cordoned); err != nil {
		return err
	}
	s.touched()
	return nil
}

// DeleteExecutor forgets an executor.
func (s *Store) DeleteExecutor(ctx context.Context, id armada.ExecutorID) error {
	if err := s.call(ctx, "delete executor", nil, callOf("armada.delete_executor", 2), s.clock.given(), string(id)); err != nil {
		return err
	}
	s.acks.Forget(id)
	s.touched()
	return nil
}

func (s *Store) decodeKinds(b []byte, id armada.ExecutorID) ([]armada.NodeKind, error) {
	if len(b) == 0 {
		return nil, nil
	}
	kinds, err := codec.DecodeKinds(b, s.config.Resources)
	if err != nil {
		return nil, fmt.Errorf("executor %s: %w", id, err)
	}
	return kinds, nil
}

// Executor returns one executor.
func (s *Store) Executor(ctx context.Context, id armada.ExecutorID) (armada.Executor, error) {
	var found []store.ExecutorNodes
	err := s.read(ctx, "read executor", func(ctx context.Context) (err error) {
		found, err = s.readExecutors(ctx, "id = $1 AND NOT deleted", string(id))
		return err
	})
	switch {
	case err != nil:
		return armada.Executor{}, err
	case len(found) == 0:
		return armada.Executor{}, intake.Coded(armada.CodeNotFound, "executor %q is not known", id)
	}
	return found[0].Executor, nil
}

// Executors returns all executors.
func (s *Store) Executors(ctx context.Context) ([]store.ExecutorNodes, error) {
	var all []store.ExecutorNodes
	err := s.read(ctx, "read executors", func(ctx context.Context) (err error) {
		all, err = s.readExecutors(ctx, "NOT deleted ORDER BY id")
		return err
	})
	return all, err
}

func (s *Store) readExecutors(ctx context.Context, where string, args ...any) ([]store.ExecutorNodes, error) {
	var all []store.ExecutorNodes
	err := s.each(ctx, func(r pgx.Rows) error {
		var e store.ExecutorNodes
		var id, session string
		var kind int16
		var lease, acknowledged int64
		var packed, kinds []byte
		var closed string
		x := &e.Executor
		err := r.Scan(&id, &kind, &session, &lease, &acknowledged, &x.Replica, &x.ReplicaAddr, &x.Cordoned, &x.CordonReason, &e.Deleted, &packed, &e.Reported, &kinds, &closed)
		if err != nil {
			return err
		}
		x.ID, x.Kind, x.Session = armada.ExecutorID(id), armada.ExecutorKind(kind), armada.SessionID(session)
		x.Lease, x.Acknowledged = time.Duration(lease)*time.Microsecond, fromMicros(acknowledged)
		if e.Kinds, err = s.decodeKinds(kinds, x.ID); err != nil {
			return err
		}
		if len(packed) > 0 && !e.Deleted {
			e.Nodes, err = codec.UnpackNodes(packed, s.config.Resources, x.ID)
			store.ShowClosed(e.Nodes, closed)
		}
		all = append(all, e)
		return err
	}, `SELECT id, kind, session, lease, acknowledged, replica, replica_addr, cordoned, cordon_reason, deleted, nodes, reported, kinds, closed_nodes
		FROM armada.executor WHERE `+where, args...)
	return all, err
}
