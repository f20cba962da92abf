package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"armada"
	"armada/internal/store"
	"armada/internal/store/acks"
	"armada/internal/store/intake"
	"armada/internal/store/listing"
	"armada/internal/store/wake"
)

// Config is how a file is kept. Zero fields other than Path stand for the
// defaults.
type Config struct {
	Path      string               // of the database; "-wal" and "-shm" lie beside it
	Clock     func() time.Time     // defaults to time.Now
	Resources armada.ResourceTable // defaults to armada.DefaultResourceTable
	// ClientIDRetention is how long a client id is known; two weeks by default.
	ClientIDRetention time.Duration
	// MaxQueuedPerQueue bounds the queued jobs of a queue; 0 is no limit.
	MaxQueuedPerQueue int
	Retries           store.Retries
	// IndexedAnnotations are the keys of annotations by which jobs are found fast.
	IndexedAnnotations []string
	Readers            int // connections for reading; 4 by default

	maxLog int64 // see boundLog
}

func (c Config) withDefaults() Config {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Resources.Len() == 0 {
		c.Resources = armada.DefaultResourceTable()
	}
	if c.ClientIDRetention == 0 {
		c.ClientIDRetention = 14 * 24 * time.Hour
	}
	if c.Readers == 0 {
		c.Readers = 4
	}
	if c.maxLog == 0 {
		c.maxLog = defaultMaxLog
	}
	return c
}

// Validate tells what is wrong with the configuration, or nil.
func (c Config) Validate() error {
	switch {
	case c.Path == "":
		return errors.New("path: must not be empty")
	case c.ClientIDRetention < 0:
		return errors.New("clientIDRetention: must not be negative")
	case c.MaxQueuedPerQueue < 0:
		return errors.New("maxQueuedPerQueue: must not be negative")
	case c.Retries.Most < 0:
		return errors.New("retries.most: must not be negative")
	case c.Readers < 0:
		return errors.New("readers: must not be negative")
	}
	return nil
}

// Store is a store in one SQLite file; make it with [Open].
type Store struct {
	*wake.Hubs

	config  Config
	readers *pool
	names   *names // for reading
	acks    *acks.Records
	pruning pruning
	holding holding

	line       *intake.Line[work]
	writerDone chan struct{}

	mu     sync.RWMutex // held for reading by every call in flight
	closed bool
}

var _ store.Store = (*Store)(nil)

// Open opens the file, creating and migrating it as needed, and starts the
// writer. Close stops it.
func Open(ctx context.Context, config Config) (*Store, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("sqlite store: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("sqlite store: %w", err)
	}
	config = config.withDefaults()
	// The order matters: the size of pages is fixed by the first write.
	c, err := connect(config.Path, "busy_timeout(10000)", "page_size(4096)", "journal_mode(WAL)", "synchronous(FULL)",
		"wal_autocheckpoint(4000)", "journal_size_limit(67108864)", "cache_size(-65536)", "temp_store(MEMORY)")
	if err != nil {
		return nil, fmt.Errorf("sqlite store: %w", err)
	}
	if err := migrate(c); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite store: migrate %s: %w", config.Path, err), c.close())
	}
	if err := declareMarks(c, listing.MarkNames(config.IndexedAnnotations)); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite store: %w", err), c.close())
	}
	readers, err := newPool(config.Path, config.Readers)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite store: %w", err), c.close())
	}
	s := &Store{
		config: config, readers: readers, names: newNames(config.Resources), Hubs: wake.NewHubs(), acks: acks.NewRecords(),
		line: intake.NewLine[work](), writerDone: make(chan struct{}),
	}
	w := newWriter(s, c)
	go w.run()
	return s, nil
}

// Close waits for calls in flight and closes the file.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.line.Close()
	<-s.writerDone
	return s.readers.close()
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

// read runs f on a connection for reading. What f reads in several statements
// may belong to several moments; see snapshot.
func (s *Store) read(ctx context.Context, what string, f func(*conn) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	select {
	case c := <-s.readers.idle:
		defer func() { s.readers.idle <- c }()
		return s.readError(what, f(c))
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
}

// snapshot is read with all statements of f seeing one moment.
func (s *Store) snapshot(ctx context.Context, what string, f func(*conn) error) error {
	return s.read(ctx, what, func(c *conn) error {
		if _, err := c.exec("BEGIN"); err != nil {
			return err
		}
		err := f(c)
		if _, end := c.exec("COMMIT"); end != nil {
			return errors.Join(err, end)
		}
		return err
	})
}

// readError wraps what the driver answered; errors with a code pass.
func (s *Store) readError(what string, err error) error {
	if err == nil || armada.CodeOf(err) != armada.CodeInternal {
		return err
	}
	if isStorage(err) {
		return s.unavailable(what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// unavailable says that the file failed, why, and what somebody can do about
// it. Who may try again does: what was in the way may go at any time.
func (s *Store) unavailable(what string, cause error) error {
	var advice string
	switch dir := filepath.Dir(s.config.Path); primaryCode(cause) {
	case sqlite3.SQLITE_FULL:
		advice = fmt.Sprintf("the disk is full: make room in %s", dir)
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		advice = fmt.Sprintf("the disk fails: look at the room, the quota, the permissions and the limit of file sizes in %s", dir)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		advice = fmt.Sprintf("%s is damaged: put back a copy of it", s.config.Path)
	default:
		return &armada.Error{Code: armada.CodeUnavailable, Message: what, Cause: cause}
	}
	return &armada.Error{Code: armada.CodeUnavailable, Message: what + ", because " + advice, Cause: cause}
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
