package sqlite

import (
	"context"
	"time"

	"armada"
	"armada/internal/store"
	"armada/internal/store/intake"
)

// Lead asks for leadership.
func (s *Store) Lead(ctx context.Context, replica store.Replica, ttl time.Duration) (store.Leader, bool, error) {
	if replica.Name == "" || ttl <= 0 {
		return store.Leader{}, false, intake.Coded(armada.CodeInvalid, "lead: a replica's name and a time are needed")
	}
	var leader store.Leader
	err := s.write(ctx, "lead", 1, func(b *batch) error {
		leader = b.w.leader
		switch {
		case leader.Replica.Name == replica.Name && leader.Until.After(b.Now):
		case leader.Replica.Name != "" && leader.Until.After(b.Now):
			return nil // somebody else leads
		default:
			leader.Epoch++
		}
		leader.Replica = replica
		leader.Until = b.Now.Add(ttl).Truncate(time.Microsecond)
		return b.setLeader(leader)
	})
	return leader, err == nil && leader.Replica.Name == replica.Name, err
}

// Resign ends an epoch.
func (s *Store) Resign(ctx context.Context, epoch int64) error {
	return s.write(ctx, "resign", 1, func(b *batch) error {
		if !b.w.leads(epoch) {
			return nil
		}
		return b.setLeader(store.Leader{Epoch: epoch})
	})
}

func (b *batch) setLeader(l store.Leader) error {
	b.w.leader = l
	_, err := b.w.conn.exec("UPDATE leader SET replica = ?, addr = ?, epoch = ?, until = ?", l.Replica.Name, l.Replica.Addr, l.Epoch, micros(l.Until))
	return err
}

// leads tells whether an epoch is current: nobody took over and nobody
// resigned. Its time may have run out, as long as nobody made use of that.
func (m *memory) leads(epoch int64) bool {
	return m.leader.Epoch == epoch && m.leader.Replica.Name != ""
}
