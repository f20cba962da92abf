package postgres

import (
	"context"
	"fmt"
	"hash/fnv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"armada"
	"armada/internal/store"
)

// channel is what is notified. A payload is the name of its process, a space,
// and words: "feed", "leader", job sets by their hash, or "all".
const channel = "armada"

// maxPayload is below what PostgreSQL takes (8000 bytes).
const maxPayload = 7500

// news is what other processes are to be told.
type news struct {
	process string
	waiting chan struct{} // receives when there is something

	mu     sync.Mutex
	feed   bool
	leader bool
	sets   map[string]struct{}
}

func newNews() news {
	return news{process: fmt.Sprintf("%x", newName()[:8]), waiting: make(chan struct{}, 1), sets: map[string]struct{}{}}
}

func hashOf(key store.JobSetKey) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key.Queue + "\x00" + string(key.JobSet)))
	return fmt.Sprintf("%x", h.Sum64())
}

// publish wakes those who wait in this process, and has the others told.
func (s *Store) publish(t *told) {
	if t.feed {
		s.Feed()
	}
	for _, key := range t.sets {
		s.JobSet(key)
	}
	n := &s.news
	n.mu.Lock()
	n.feed = n.feed || t.feed
	for _, key := range t.sets {
		n.sets[hashOf(key)] = struct{}{}
	}
	n.mu.Unlock()
	n.signal()
}

// touched is publish for what only the feed tells.
func (s *Store) touched() { s.publish(&told{feed: true}) }

func (n *news) signal() {
	select {
	case n.waiting <- struct{}{}:
	default:
	}
}

// take empties the news into a payload, "" when there are none.
func (n *news) take() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var words []string
	if n.leader {
		words = append(words, "leader")
	}
	if n.feed {
		words = append(words, "feed")
	}
	size := 100
	for set := range n.sets {
		words = append(words, set)
		size += len(set) + 1
	}
	n.feed, n.leader, n.sets = false, false, map[string]struct{}{}
	switch {
	case len(words) == 0:
		return ""
	case size > maxPayload:
		return n.process + " all"
	}
	return n.process + " " + strings.Join(words, " ")
}

// tell tells other processes, one notification at a time: what comes meanwhile
// goes with the next. A notification that fails is covered by their poll. At the
// end what is left is told: that a leader resigned, above all.
func (s *Store) tell(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-s.news.waiting:
		case <-ctx.Done():
		}
		payload := s.news.take()
		if payload == "" {
			continue
		}
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), notifyPatience)
		// Nothing durable is done, so nobody waits for the disk.
		_, err := s.pool.Exec(bounded, "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)", channel, payload)
		cancel()
		if err != nil {
			s.config.Logger.Warn("a notification failed", "error", err)
		}
	}
}

// notifyPatience bounds one notification; it delays Close at the most.
const notifyPatience = 2 * time.Second

// listen hears what other processes tell, on a connection of its own.
func (s *Store) listen(ctx context.Context, config *pgx.ConnConfig) {
	for try := 0; ctx.Err() == nil; try++ {
		err := s.listenOnce(ctx, config, func() { try = 0 })
		if ctx.Err() != nil {
			return
		}
		s.config.Logger.Warn("listening for notifications was interrupted", "error", err)
		if pause(ctx, try) != nil {
			return
		}
	}
}

func (s *Store) listenOnce(ctx context.Context, config *pgx.ConnConfig, connected func()) error {
	if err := s.config.readPassword(config); err != nil {
		return err
	}
	c, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = c.Close(closing)
	}()
	if _, err := c.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	connected()
	s.hear("all") // what was told before is lost
	for {
		n, err := c.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		if from, words, ok := strings.Cut(n.Payload, " "); ok && from != s.news.process {
			s.hear(words)
		}
	}
}

// hear wakes those who wait for what was told.
func (s *Store) hear(words string) {
	sets := map[string]struct{}{}
	for word := range strings.SplitSeq(words, " ") {
		switch word {
		case "all":
			s.leading.forget()
			s.All()
		case "leader":
			s.leading.forget()
		case "feed":
			s.Feed()
		default:
			sets[word] = struct{}{}
		}
	}
	if len(sets) > 0 {
		s.JobSets(func(key store.JobSetKey) bool {
			_, told := sets[hashOf(key)]
			return told
		})
	}
}

// poll looks slowly for what nobody told.
func (s *Store) poll(ctx context.Context) {
	ticker := time.NewTicker(s.config.Poll)
	defer ticker.Stop()
	last := int64(-1) // nobody has looked yet
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		bounded, cancel := context.WithTimeout(ctx, s.config.Patience)
		err := s.look(bounded, &last)
		cancel()
		if err != nil && ctx.Err() == nil {
			s.config.Logger.Warn("looking for news failed", "error", err)
			if isReadOnly(err) {
				s.pool.Reset()
			}
		}
	}
}

// look wakes those who wait for what was committed after the last look.
func (s *Store) look(ctx context.Context, last *int64) error {
	var seq, epoch, clock int64
	var replica string
	err := s.pool.QueryRow(ctx, "SELECT l.seq, d.replica, d.epoch, armada.clock() FROM armada.lane l, armada.leader d").Scan(&seq, &replica, &epoch, &clock)
	if err != nil {
		return err
	}
	s.clock.learn(clock)
	s.leading.compare(replica, epoch)
	before := *last
	switch *last = seq; before {
	case seq:
		return nil
	case -1: // who began to wait before the first look may have missed anything
		s.All()
		return nil
	}
	if seq-before >= store.LifeSpan { // it was restored under our feet
		s.holding.over.Store(false)
	}
	s.Feed()
	return s.each(ctx, func(r pgx.Rows) error {
		var queue, name string
		err := r.Scan(&queue, &name)
		s.JobSet(store.JobSetKey{Queue: queue, JobSet: armada.JobSet(name)})
		return err
	}, `SELECT s.queue, s.name FROM armada.job_set s WHERE s.id IN (SELECT unnest(c.sets) FROM armada.change c WHERE c.seq > $1)`, before)
}
