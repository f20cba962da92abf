package postgres

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"armada"
	"armada/internal/store"
	"armada/internal/store/acks"
	"armada/internal/store/intake"
	"armada/internal/store/listing"
	"armada/internal/store/wake"
)

// Store is a store in a PostgreSQL database; make it with [Open].
type Store struct {
	*wake.Hubs

	config  Config
	pool    *pgxpool.Pool
	acks    *acks.Records
	clock   clock
	line    *intake.Line[work]
	leading leading
	news    news
	pruning pruning
	holding holding
	marks   []string // the names of what new jobs are marked with
	needs   needsOfShapes

	mu     sync.RWMutex // held for reading by every call in flight
	closed bool

	ended    <-chan struct{} // closed when Close begins: then nobody waits for the database any more
	ending   context.CancelFunc
	stopping context.CancelFunc // ends what runs beside the calls
	writing  sync.WaitGroup
	running  sync.WaitGroup
}

var _ store.Store = (*Store)(nil)

// Open connects, migrates the database as needed and starts what writes and what
// listens. Close stops it.
func Open(ctx context.Context, config Config) (*Store, error) {
	s, err := open(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("postgres store: %w", err)
	}
	return s, nil
}

func open(ctx context.Context, config Config) (*Store, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	pooled, err := config.poolConfig()
	if err != nil {
		return nil, err
	}
	direct, err := config.directConfig()
	if err != nil {
		return nil, err
	}
	if err := prepareForm(ctx, config); err != nil {
		return nil, err
	}
	restored, err := recognise(ctx, config)
	if err != nil {
		return nil, err
	}
	if restored {
		config.Logger.Warn("this database was restored from a dump; nothing is started until executors have stopped what it does not know", "hold", config.Hold)
	}
	pool, err := pgxpool.NewWithConfig(ctx, pooled)
	if err != nil {
		return nil, err
	}
	writing, end := context.WithCancel(context.WithoutCancel(ctx))
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Store{
		Hubs: wake.NewHubs(), config: config, pool: pool, acks: acks.NewRecords(), clock: clock{test: config.Clock},
		line: intake.NewLine[work](), news: newNews(), marks: listing.MarkNames(config.IndexedAnnotations), ended: writing.Done(), ending: end, stopping: stop,
	}
	s.writing.Go(func() { newWriter(s).run(writing) })
	s.running.Go(func() { s.tell(running) })
	s.running.Go(func() { s.poll(running) })
	if direct != nil {
		s.running.Go(func() { s.listen(running, direct) })
	}
	return s, nil
}

// Close waits for calls in flight and closes all connections.
func (s *Store) Close() error {
	s.ending()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.line.Close()
	s.writing.Wait()
	s.stopping()
	s.running.Wait()
	s.pool.Close()
	return nil
}

// enter begins a call; leave ends it.
func (s *Store) enter() error {
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return &armada.Error{Code: armada.CodeUnavailable, Message: "the store is closed"}
	}
	return nil
}

func (s *Store) leave() { s.mu.RUnlock() }

// read runs f, which only reads, within the call's patience. What several
// statements read may belong to several moments.
func (s *Store) read(ctx context.Context, what string, f func(context.Context) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	bounded, cancel := context.WithTimeout(ctx, s.config.Patience)
	defer cancel()
	err := f(bounded)
	if err != nil && isReadOnly(err) {
		s.pool.Reset()
	}
	return readError(ctx, what, err)
}

// each calls visit for every row of an answer.
func (s *Store) each(ctx context.Context, visit func(pgx.Rows) error, query string, args ...any) error {
	rows, err := s.pool.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	return eachRow(rows, visit)
}

// eachRow visits rows and closes them.
func eachRow(rows pgx.Rows, visit func(pgx.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := visit(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// retries bounds how often what is stale is read and decided again before others
// get their turn.
const retries = 10

// call runs one function of the lane that may run twice without harm, again
// while the connection is lost under it. It answers Unavailable only when
// nothing was done; an error that isStale passes.
func (s *Store) call(ctx context.Context, what string, scan []any, query string, args ...any) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	var err error
	doubt := false
	for try := 0; ; try++ {
		if err = ctx.Err(); err == nil {
			err = s.callOnce(ctx, scan, query, args...)
		}
		switch kind := judge(err); {
		case err == nil:
			return nil
		case ctx.Err() != nil && (doubt || kind == doubtful):
			return fmt.Errorf("%s: %w: %w", what, intake.ErrDoubt, context.Cause(ctx))
		case ctx.Err() != nil:
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		case kind == refused:
			return refusal(err)
		case isStale(err):
			return err
		case kind == stale && try < retries:
		case kind == doubtful, kind == away && doubt: // until it is known
			doubt = true
			select {
			case <-s.ended:
				return fmt.Errorf("%s: %w: the store was closed", what, intake.ErrDoubt)
			default:
				_ = pause(ctx, try) // an end of the context is seen above
			}
		case kind == away, kind == stale:
			return unavailable(what, err)
		default:
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}

func (s *Store) callOnce(ctx context.Context, scan []any, query string, args ...any) error {
	c, err := s.acquire(ctx)
	if err != nil {
		return &notAcquired{err}
	}
	defer c.Release()
	// Waiting for a connection has not used up the time of the statement, which must
	// be long enough to be told that somebody else holds the lane.
	bounded, cancel := context.WithTimeout(ctx, s.config.Patience)
	defer cancel()
	if scan == nil {
		_, err = c.Exec(bounded, query, args...)
	} else {
		err = c.QueryRow(bounded, query, args...).Scan(scan...)
	}
	if err != nil && isReadOnly(err) {
		s.pool.Reset()
	}
	return written(c.Conn().PgConn(), err)
}

// acquire waits for a connection, but not for ever.
func (s *Store) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	bounded, cancel := context.WithTimeout(ctx, s.config.Patience)
	defer cancel()
	return s.pool.Acquire(bounded)
}

// pause waits a little before the next try, longer each time.
func pause(ctx context.Context, try int) error {
	timer := time.NewTimer(min(time.Second, 10*time.Millisecond<<min(try, 10)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// newName makes the name of a commit.
func newName() []byte {
	name := make([]byte, 16)
	_, _ = rand.Read(name) // it never fails
	return name
}

// micros is a time as it is stored; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(v int64) time.Time {
	if v == 0 {
		return time.Time{}
	}
	return time.UnixMicro(v).UTC()
}
