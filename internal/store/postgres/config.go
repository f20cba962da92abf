package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"armada"
	"armada/internal/store"
)

// Config is which database is used and how. Zero fields other than URL stand
// for the defaults.
type Config struct {
	// URL of the database, postgres://user@host:port/database?sslmode=verify-full
	// or as key=value pairs; several hosts may be named.
	URL string
	// DirectURL leads past a transaction pooler, for LISTEN; it defaults to URL
	// when there is no pooler. Behind a pooler without it, others' commits are
	// found out by polling.
	DirectURL string
	// PasswordFile holds the password, for both URLs. It is read at every
	// connection, so it may change.
	PasswordFile string
	// TransactionPooler tells that URL leads to a pooler that gives a server's
	// connection for one transaction: no prepared statements are kept and no
	// settings are made by connections.
	TransactionPooler bool
	// SkipMigrations leaves the database's form as it is; Open fails when this
	// program cannot work with it.
	SkipMigrations bool

	Clock     func() time.Time     // defaults to the database's clock
	Resources armada.ResourceTable // defaults to armada.DefaultResourceTable
	Logger    *slog.Logger         // of connections that come and go; nothing by default
	// ClientIDRetention is how long a client id is known; two weeks by default.
	ClientIDRetention time.Duration
	// MaxQueuedPerQueue bounds the queued jobs of a queue; 0 is no limit.
	MaxQueuedPerQueue int
	Retries           store.Retries
	// IndexedAnnotations are the keys of annotations by which jobs are found fast. All
	// replicas should have the same: a key is indexed from when the last begins.
	IndexedAnnotations []string
	// Hold is for how long nothing is started in a database that turns out to
	// have been restored; at least as long as executors' leases. 2 min 5 s by default.
	Hold        time.Duration
	Connections int           // for reading and writing; 8 by default
	Patience    time.Duration // bounds one call's wait for a connection or for the database; 10 s by default
	Poll        time.Duration // covers lost notifications; 1 s, and 250 ms where there are none
}

func (c Config) withDefaults() Config {
	if c.Resources.Len() == 0 {
		c.Resources = armada.DefaultResourceTable()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.ClientIDRetention == 0 {
		c.ClientIDRetention = 14 * 24 * time.Hour
	}
	if c.Hold == 0 {
		c.Hold = 125 * time.Second
	}
	if c.Connections == 0 {
		c.Connections = 8
	}
	if c.Patience == 0 {
		c.Patience = 10 * time.Second
	}
	if c.DirectURL == "" && !c.TransactionPooler {
		c.DirectURL = c.URL
	}
	if c.Poll == 0 {
		c.Poll = time.Second
		if c.DirectURL == "" {
			c.Poll = 250 * time.Millisecond
		}
	}
	return c
}

// Validate tells what is wrong with the configuration, or nil.
func (c Config) Validate() error {
	switch {
	case c.URL == "":
		return errors.New("url: must not be empty; write for example postgres://user@host/database")
	case c.ClientIDRetention < 0:
		return errors.New("clientIDRetention: must not be negative")
	case c.MaxQueuedPerQueue < 0:
		return errors.New("maxQueuedPerQueue: must not be negative")
	case c.Retries.Most < 0:
		return errors.New("retries.most: must not be negative")
	case c.Hold < 0:
		return errors.New("hold: must not be negative")
	case c.Connections < 0 || c.Connections == 1:
		return errors.New("connections: must be at least 2")
	case c.Patience < 0:
		return errors.New("patience: must not be negative")
	case c.Poll < 0:
		return errors.New("poll: must not be negative")
	}
	return nil
}

// errURL does not repeat the URL, which may hold a password.
var errURL = errors.New("it is no PostgreSQL URL; write for example postgres://user@host:5432/database?sslmode=verify-full")

// wrongURL tells what is wrong with a URL: a file that it names, such as that of
// sslrootcert, or the URL itself.
func wrongURL(key string, err error) error {
	var file *fs.PathError
	if errors.As(err, &file) {
		return fmt.Errorf("%s: %w", key, file)
	}
	return fmt.Errorf("%s: %w", key, errURL)
}

// settings are made for every connection, by its start-up message, unless the
// URL makes them; what the promises hang on is checked in the lane.
var settings = map[string]string{
	"application_name":              "armada",
	"default_transaction_isolation": "read committed",
	"synchronous_commit":            "on",
	"statement_timeout":             "30s",
	// Where others queue for the lane a statement waits twice, for its turn and for
	// who holds it. Both together must end within Patience, on a slow link too: who
	// is told in time knows that nothing was written.
	"lock_timeout":                        "4s",
	"idle_in_transaction_session_timeout": "2s",
	"jit":                                 "off",
	// Statements are planned once for each connection, perhaps while a table is
	// empty and nothing is known of it. Whatever grows has an index for all that
	// is asked in a hurry: it is used, row by row.
	"enable_seqscan":   "off",
	"enable_hashjoin":  "off",
	"enable_mergejoin": "off",
}

// poolConfig is how the pool connects.
func (c Config) poolConfig() (*pgxpool.Config, error) {
	p, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, wrongURL("url", err)
	}
	c.prepare(p.ConnConfig, c.TransactionPooler)
	p.BeforeConnect = func(_ context.Context, p *pgx.ConnConfig) error { return c.readPassword(p) }
	p.MaxConns = int32(c.Connections)
	p.MinConns = 0
	p.MaxConnIdleTime = 5 * time.Minute
	p.HealthCheckPeriod = time.Minute
	return p, nil
}

// directConfig is how the listener connects, nil when it cannot.
func (c Config) directConfig() (*pgx.ConnConfig, error) {
	if c.DirectURL == "" {
		return nil, nil
	}
	p, err := pgx.ParseConfig(c.DirectURL)
	if err != nil {
		return nil, wrongURL("directUrl", err)
	}
	c.prepare(p, false)
	return p, c.readPassword(p)
}

// migrationConfig is how migrations connect: directly where that is possible.
func (c Config) migrationConfig() (*pgx.ConnConfig, error) {
	if p, err := c.directConfig(); p != nil || err != nil {
		return p, err
	}
	p, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return nil, wrongURL("url", err)
	}
	c.prepare(p, true)
	return p, c.readPassword(p)
}

func (c Config) prepare(p *pgx.ConnConfig, pooled bool) {
	if pooled {
		p.RuntimeParams["application_name"] = settings["application_name"]
		p.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	} else {
		for name, value := range settings {
			if _, given := p.RuntimeParams[name]; !given {
				p.RuntimeParams[name] = value
			}
		}
	}
	if p.ConnectTimeout == 0 {
		p.ConnectTimeout = 5 * time.Second
	}
	if p.ValidateConnect == nil { // never a standby
		p.ValidateConnect = writable
	}
	p.OnNotice = notice
}

// writable refuses a server that only reads.
func writable(ctx context.Context, c *pgconn.PgConn) error {
	if err := pgconn.ValidateConnectTargetSessionAttrsReadWrite(ctx, c); err != nil {
		return fmt.Errorf("the database must take what is written to it, is a standby or read-only (default_transaction_read_only): %w", err)
	}
	return nil
}

// readPassword reads the file, if there is one.
func (c Config) readPassword(p *pgx.ConnConfig) error {
	if c.PasswordFile == "" {
		return nil
	}
	text, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return fmt.Errorf("passwordFile: %w", err)
	}
	p.Password = strings.TrimRight(string(text), "\r\n")
	return nil
}
