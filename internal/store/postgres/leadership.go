package postgres

import (
	"context"
	"sync"
	"time"

	"armada"
	"armada/internal/store"
	"armada/internal/store/intake"
)

// leading is who leads, as far as this process knows. Those who do not lead are
// answered from it until the tenure is over or somebody tells otherwise.
type leading struct {
	mu     sync.Mutex
	leader store.Leader
	known  bool
	heard  int64 // grows with everything that makes what is known old
}

func (l *leading) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known = false
	l.heard++
}

// compare forgets what is known when somebody else leads.
func (l *leading) compare(replica string, epoch int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leader.Replica.Name != replica || l.leader.Epoch != epoch {
		l.known = false
		l.heard++
	}
}

// keep takes over what was read since heard had a value.
func (l *leading) keep(leader store.Leader, heard int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.heard == heard {
		l.leader, l.known = leader, true
	}
}

func (l *leading) get() (leader store.Leader, known bool, heard int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leader, l.known, l.heard
}

// Lead asks for leadership.
func (s *Store) Lead(ctx context.Context, replica store.Replica, ttl time.Duration) (store.Leader, bool, error) {
	if replica.Name == "" || ttl <= 0 {
		return store.Leader{}, false, intake.Coded(armada.CodeInvalid, "lead: a replica's name and a time are needed")
	}
	if err := s.enter(); err != nil {
		return store.Leader{}, false, err
	}
	s.leave()
	leader, known, heard := s.leading.get()
	if now, ok := s.clock.now(); known && ok && leader.Replica.Name != replica.Name && leader.Replica.Name != "" && leader.Until.After(now) {
		return leader, false, nil
	}
	leader, now, err := s.readLeader(ctx)
	if err != nil {
		return store.Leader{}, false, err
	}
	if leader.Replica.Name != "" && leader.Replica.Name != replica.Name && leader.Until.After(now) {
		s.leading.keep(leader, heard)
		return leader, false, nil
	}
	var until int64
	var begins bool
	err = s.call(ctx, "lead", []any{&leader.Replica.Name, &leader.Replica.Addr, &leader.Epoch, &until, &begins},
		"SELECT o_replica, o_addr, o_epoch, o_until, o_new FROM armada.lead($1, $2, $3, $4)", s.clock.given(), replica.Name, replica.Addr, ttl.Microseconds())
	if err != nil {
		return store.Leader{}, false, err
	}
	leader.Until = fromMicros(until)
	s.leading.keep(leader, heard)
	if begins {
		s.leaderChanged()
	}
	return leader, leader.Replica.Name == replica.Name, nil
}

func (s *Store) readLeader(ctx context.Context) (leader store.Leader, now time.Time, err error) {
	var until, shown int64
	err = s.read(ctx, "lead", func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, "SELECT replica, addr, epoch, until, greatest(at, coalesce($1::bigint, armada.clock())) FROM armada.leader, armada.lane",
			s.clock.given()).Scan(&leader.Replica.Name, &leader.Replica.Addr, &leader.Epoch, &until, &shown)
	})
	if err == nil {
		s.clock.learn(shown)
	}
	leader.Until = fromMicros(until)
	return leader, fromMicros(shown), err
}

// leaderChanged tells everybody that what they know of the leader is old.
func (s *Store) leaderChanged() {
	s.leading.forget()
	s.news.mu.Lock()
	s.news.leader = true
	s.news.mu.Unlock()
	s.news.signal()
}

// Resign ends an epoch.
func (s *Store) Resign(ctx context.Context, epoch int64) error {
	err := s.call(ctx, "resign", nil, "SELECT armada.resign($1, $2)", s.clock.given(), epoch)
	s.leaderChanged()
	return err
}
