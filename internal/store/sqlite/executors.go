package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"armada"
	"armada/internal/store"
	"armada/internal/store/acks"
	"armada/internal/store/codec"
	"armada/internal/store/feed"
	"armada/internal/store/intake"
)

// executorRow is an executor in the writer's memory, without its nodes.
type executorRow struct {
	number    int64
	deleted   bool
	executor  armada.Executor
	nodesHash []byte
	kinds     []armada.NodeKind
	reported  bool
	closed    string // the names of closed nodes
}

const executorColumns = "id, kind, session, lease, acknowledged, replica, replica_addr, cordoned, cordon_reason, deleted, number, reported, kinds, closed_nodes"

const executorWidth = 14

func decodeExecutorRow(r row) armada.Executor {
	return armada.Executor{
		ID: armada.ExecutorID(r.str(0)), Kind: armada.ExecutorKind(r.int(1)), Session: armada.SessionID(r.str(2)),
		Lease: time.Duration(r.int(3)) * time.Microsecond, Acknowledged: fromMicros(r.int(4)), Replica: r.str(5), ReplicaAddr: r.str(6),
		Cordoned: r.int(7) != 0, CordonReason: r.str(8),
	}
}

// decodeExecutor reads a row of executorColumns and nodes.
func (s *Store) decodeExecutor(r row) (store.ExecutorNodes, error) {
	e := store.ExecutorNodes{Executor: decodeExecutorRow(r), Deleted: r.int(9) != 0, Reported: r.int(11) != 0}
	packed := r.blob(executorWidth)
	var err error
	if e.Kinds, err = s.decodeKinds(r); err != nil || len(packed) == 0 || e.Deleted {
		return e, err
	}
	e.Nodes, err = codec.UnpackNodes(packed, s.config.Resources, e.Executor.ID)
	store.ShowClosed(e.Nodes, r.str(13))
	return e, err
}

// decodeKinds reads the kinds of nodes of a row of executorColumns.
func (s *Store) decodeKinds(r row) ([]armada.NodeKind, error) {
	b := r.blob(12)
	if len(b) == 0 {
		return nil, nil
	}
	kinds, err := codec.DecodeKinds(b, s.config.Resources)
	if err != nil {
		return nil, fmt.Errorf("executor %s: %w", r.str(0), err)
	}
	return kinds, nil
}

func (w *writer) loadExecutors() error {
	return w.conn.each("SELECT "+executorColumns+", nodes_hash FROM executor", func(r row) error {
		kinds, err := w.store.decodeKinds(r)
		w.executors[armada.ExecutorID(r.str(0))] = &executorRow{
			number: r.int(10), deleted: r.int(9) != 0, executor: decodeExecutorRow(r), nodesHash: bytes.Clone(r.blob(executorWidth)),
			kinds: kinds, reported: r.int(11) != 0, closed: r.str(13),
		}
		return err
	})
}

// checkSession answers Fenced unless the session is the executor's current one.
func (m *memory) checkSession(id armada.ExecutorID, session armada.SessionID) error {
	e := m.executors[id]
	if e == nil || e.deleted || session == "" || e.executor.Session != session {
		return intake.Coded(armada.CodeFenced, "session %q is not the current one of executor %q", session, id)
	}
	return nil
}

// known returns an executor, and NotFound when there is none.
func (m *memory) known(id armada.ExecutorID) (*executorRow, error) {
	e := m.executors[id]
	if e == nil || e.deleted {
		return nil, intake.Coded(armada.CodeNotFound, "executor %q is not known", id)
	}
	return e, nil
}

// OpenSession makes a session the current one.
func (s *Store) OpenSession(ctx context.Context, e armada.Executor) error {
	if e.ID == "" || e.Session == "" {
		return intake.Coded(armada.CodeInvalid, "open session: an executor's id and a session are needed")
	}
	asked := s.config.Clock()
	err := s.write(ctx, "open session", 1, func(b *batch) error {
		known := b.w.executors[e.ID]
		if known == nil {
			b.w.numbers.executor++
			known = &executorRow{number: b.w.numbers.executor}
			b.w.executors[e.ID] = known
		}
		if known.deleted {
			known.deleted, known.executor, known.nodesHash, known.kinds, known.closed = false, armada.Executor{}, nil, nil, ""
		}
		fresh := e
		fresh.Lease = e.Lease.Truncate(time.Microsecond)
		fresh.Acknowledged = b.Now
		fresh.Cordoned, fresh.CordonReason = known.executor.Cordoned, known.executor.CordonReason
		known.executor, known.reported = fresh, false
		b.touch(feed.Executor, known.number)
		_, err := b.w.conn.exec(`INSERT INTO executor (number, id, kind, session, lease, acknowledged, replica, replica_addr) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (number) DO UPDATE SET deleted = 0, kind = excluded.kind, session = excluded.session, reported = 0, lease = excluded.lease,
			acknowledged = excluded.acknowledged, replica = excluded.replica, replica_addr = excluded.replica_addr`,
			known.number, string(e.ID), int64(e.Kind), string(e.Session), fresh.Lease.Microseconds(), micros(b.Now), e.Replica, e.ReplicaAddr)
		return err
	})
	if err == nil {
		s.acks.Keep(e.ID, acks.Record{Session: e.Session, Lease: e.Lease, Asked: asked})
	}
	return err
}

// Acknowledge records that an executor was heard of.
func (s *Store) Acknowledge(ctx context.Context, id armada.ExecutorID, session armada.SessionID) (time.Duration, error) {
	asked := s.config.Clock()
	if r, ok := s.acks.Recent(id, session, asked); ok {
		return r.Left(asked), nil
	}
	record := acks.Record{Session: session, Asked: asked}
	err := s.write(ctx, "acknowledge", 1, func(b *batch) error {
		if err := b.w.checkSession(id, session); err != nil {
			return err
		}
		e := b.w.executors[id]
		e.executor.Acknowledged = b.Now
		record.Lease = e.executor.Lease
		b.touch(feed.Executor, e.number)
		_, err := b.w.conn.exec("UPDATE executor SET acknowledged = ? WHERE number = ?", micros(b.Now), e.number)
		return err
	})
	if err != nil {
		return 0, err
	}
	s.acks.Keep(id, record)
	return record.Left(s.config.Clock()), nil
}

// PutNodes replaces an executor's nodes.
func (s *Store) PutNodes(ctx context.Context, id armada.ExecutorID, session armada.SessionID, nodes []armada.Node) error {
	packed, hash, err := codec.PackNodes(s.config.Resources, nodes)
	if err != nil {
		return fmt.Errorf("put nodes: %w", err)
	}
	present := store.KindsOf(nodes)
	return s.write(ctx, "put nodes", 1, func(b *batch) error {
		if err := b.w.checkSession(id, session); err != nil {
			return err
		}
		e := b.w.executors[id]
		same := bytes.Equal(e.nodesHash, hash[:])
		if same && e.reported {
			return nil
		}
		b.touch(feed.Executor, e.number)
		e.reported, e.kinds = true, store.RememberKinds(e.kinds, present, b.Now)
		kinds := codec.AppendKinds(nil, s.config.Resources, e.kinds)
		if same {
			_, err := b.w.conn.exec("UPDATE executor SET reported = 1, kinds = ? WHERE number = ?", kinds, e.number)
			return err
		}
		e.nodesHash = hash[:]
		_, err := b.w.conn.exec("UPDATE executor SET reported = 1, kinds = ?, nodes = ?, nodes_hash = ? WHERE number = ?", kinds, packed, hash[:], e.number)
		return err
	})
}

// Executor returns one executor.
func (s *Store) Executor(ctx context.Context, id armada.ExecutorID) (armada.Executor, error) {
	var found armada.Executor
	err := s.read(ctx, "read executor", func(c *conn) error {
		r, err := c.one("SELECT "+executorColumns+" FROM executor WHERE deleted = 0 AND id = ?", string(id))
		if err != nil {
			return err
		}
		if r == nil {
			return intake.Coded(armada.CodeNotFound, "executor %q is not known", id)
		}
		found = decodeExecutorRow(r)
		return nil
	})
	return found, err
}

// Executors returns all executors.
func (s *Store) Executors(ctx context.Context) ([]store.ExecutorNodes, error) {
	var all []store.ExecutorNodes
	err := s.read(ctx, "read executors", func(c *conn) (err error) {
		all, err = s.readExecutors(c)
		return err
	})
	return all, err
}

func (s *Store) readExecutors(c *conn) ([]store.ExecutorNodes, error) {
	var all []store.ExecutorNodes
	err := c.each("SELECT "+executorColumns+", nodes FROM executor WHERE deleted = 0 ORDER BY id", func(r row) error {
		e, err := s.decodeExecutor(r)
		all = append(all, e)
		return err
	})
	return all, err
}

// CordonExecutor records a setting.
func (s *Store) CordonExecutor(ctx context.Context, id armada.ExecutorID, cordoned bool, reason string) error {
	return s.write(ctx, "cordon executor", 1, func(b *batch) error {
		e, err := b.w.known(id)
		if err != nil {
			return err
		}
		e.executor.Cordoned, e.executor.CordonReason = cordoned, reason
		b.touch(feed.Executor, e.number)
		_, err = b.w.conn.exec("UPDATE executor SET cordoned = ?, cordon_reason = ? WHERE number = ?", cordoned, reason, e.number)
		return err
	})
}

// CordonNode closes or opens a node.
func (s *Store) CordonNode(ctx context.Context, id armada.ExecutorID, node string, cordoned bool) error {
	if err := store.CheckNodeName(node); err != nil {
		return err
	}
	return s.write(ctx, "cordon node", 1, func(b *batch) error {
		e, err := b.w.known(id)
		if err != nil {
			return err
		}
		closed := store.CloseNode(e.closed, node, cordoned)
		if closed == e.closed {
			return nil
		}
		e.closed = closed
		b.touch(feed.Executor, e.number)
		_, err = b.w.conn.exec("UPDATE executor SET closed_nodes = ? WHERE number = ?", closed, e.number)
		return err
	})
}

// DeleteExecutor forgets an executor. Its row stays so that the feed can tell.
func (s *Store) DeleteExecutor(ctx context.Context, id armada.ExecutorID) error {
	err := s.write(ctx, "delete executor", 1, func(b *batch) error {
		e := b.w.executors[id]
		if e == nil || e.deleted {
			return nil
		}
		if err := b.flush(); err != nil { // the table must tell the truth
			return err
		}
		r, err := b.w.conn.one("SELECT id FROM job WHERE executor = ? LIMIT 1", string(id))
		if err != nil {
			return err
		}
		if r != nil {
			return intake.Coded(armada.CodePrecondition, "executor %q has runs, one of job %s", id, r.str(0))
		}
		e.deleted = true
		b.touch(feed.Executor, e.number)
		_, err = b.w.conn.exec(`UPDATE executor SET deleted = 1, session = '', cordoned = 0, cordon_reason = '', nodes = NULL, nodes_hash = NULL, kinds = NULL, reported = 0, closed_nodes = ''
			WHERE number = ?`, e.number)
		return err
	})
	if err == nil {
		s.acks.Forget(id)
	}
	return err
}
