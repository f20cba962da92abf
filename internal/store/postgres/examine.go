package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"armada/internal/doctor"
)

// Limits say from when on something is told of. Zero fields stand for the
// defaults.
type Limits struct {
	Transaction time.Duration // age of a transaction, its snapshot, or a prepared one; 5 min
	Held        int64         // bytes of the log that a replication slot holds back; 1 GiB
	Dead        int64         // dead rows of a table that are as many as the living ones; 100,000
	Clock       time.Duration // between two clocks; 1 s
}

// WithDefaults fills in what is zero.
func (l Limits) WithDefaults() Limits {
	l.Transaction = cmp.Or(l.Transaction, 5*time.Minute)
	l.Held = cmp.Or(l.Held, 1<<30)
	l.Dead = cmp.Or(l.Dead, 100_000)
	l.Clock = cmp.Or(l.Clock, time.Second)
	return l
}

// Examination is what was found out about a database.
type Examination struct {
	Checks []doctor.Check
	// Replicas are addresses of servers' gRPC that the database knows: of the
	// leader, and of those with the stream of an executor that was heard of.
	Replicas []ReplicaAddress
}

// ReplicaAddress is where a server is to be found.
type ReplicaAddress struct{ Name, Addr string }

// Examine looks at a database and changes nothing in it. What cannot be looked
// at is in the checks, too.
func Examine(ctx context.Context, config Config, limits Limits) Examination {
	x := &examiner{config: config.withDefaults(), limits: limits.WithDefaults()}
	x.run(ctx)
	return Examination{Checks: x.checks, Replicas: x.replicas}
}

// examiner looks at a database over one connection. It only reads.
type examiner struct {
	config   Config
	limits   Limits
	conn     *pgx.Conn // as directly as possible
	checks   []doctor.Check
	replicas []ReplicaAddress
	sees     bool // other roles' sessions
}

func (x *examiner) tell(c doctor.Check) { x.checks = append(x.checks, c) }

// look is one check: it asks, and tells one answer or several.
type look struct {
	name string
	ask  func(context.Context, *examiner, string) error
}

// Looks at the server come first; those at the tables need them.
var (
	serverLooks = []look{
		{"version", lookAtVersion},
		{"pooler", lookForPooler},
		{"clock", lookAtClock},
		{"durability", lookAtDurability},
		{"standbys", lookAtStandbys},
		{"old snapshots", lookForOldSnapshots},
		{"prepared transactions", lookForPrepared},
		{"replication slots", lookAtSlots},
		{"connections", lookAtConnections},
		{"autovacuum", lookAtAutovacuum},
	}
	tableLooks = []look{
		{"dead rows", lookForDeadRows},
		{"restored", lookForHold},
		{"leader", lookAtLeader},
		{"executors", lookAtExecutors},
	}
)

func (x *examiner) run(ctx context.Context) {
	if !x.connect(ctx) {
		return
	}
	defer func() { _ = x.conn.Close(context.WithoutCancel(ctx)) }()
	x.make(ctx, serverLooks)
	if x.lookAtForm(ctx) {
		x.make(ctx, tableLooks)
		return
	}
	for _, l := range tableLooks {
		x.tell(doctor.Unknown(l.name, "the tables of this program are not there"))
	}
}

func (x *examiner) make(ctx context.Context, looks []look) {
	for _, l := range looks {
		bounded, cancel := context.WithTimeout(ctx, x.config.Patience)
		err := l.ask(bounded, x, l.name)
		cancel()
		if err != nil {
			x.tell(doctor.Unknown(l.name, "the database did not answer: %v", err))
		}
	}
}

// connect connects, and tells the check of it. A database that can be read only
// is told of.
func (x *examiner) connect(ctx context.Context) bool {
	const name = "database"
	if err := x.config.Validate(); err != nil {
		x.tell(doctor.Check{Name: name, Finding: err.Error()}.Fail("correct the setting"))
		return false
	}
	direct, err := x.plainConfig(cmp.Or(x.config.DirectURL, x.config.URL))
	if err == nil {
		x.conn, err = pgx.ConnectConfig(ctx, direct)
	}
	if err != nil {
		x.tell(doctor.Check{Name: name, Finding: withoutPassword(err)}.Fail("see that the server runs and is reached from here, and that the URL, the role and its password are right"))
		return false
	}
	at := net.JoinHostPort(direct.Host, strconv.Itoa(int(direct.Port))) + "/" + direct.Database
	var standby bool
	if err := x.conn.QueryRow(ctx, "SELECT pg_is_in_recovery(), pg_has_role(current_user, 'pg_read_all_stats', 'usage')", pgx.QueryExecModeExec).Scan(&standby, &x.sees); err != nil {
		x.tell(doctor.Check{Name: name, Finding: fmt.Sprintf("%s does not answer: %v", at, err)}.Fail("look at the server's log"))
		_ = x.conn.Close(ctx)
		return false
	}
	c := doctor.Good(name, "%s answers", at)
	if standby {
		c = doctor.Good(name, "%s is a standby, which cannot be written to", at).Fail("name the primary; of several hosts in the URL the one that can be written to is taken")
	}
	x.tell(c)
	return true
}

// plainConfig is how to connect without any setting of ours: a pooler may refuse
// them, and what is set without them is looked at.
func (x *examiner) plainConfig(url string) (*pgx.ConnConfig, error) {
	p, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errURL
	}
	x.config.prepare(p, true)
	p.RuntimeParams["application_name"] = "armada doctor"
	p.ValidateConnect = nil
	return p, x.config.readPassword(p)
}

// withoutPassword is what connecting answers, on one line; pgx leaves passwords
// out of it.
func withoutPassword(err error) string {
	var connecting *pgconn.ConnectError
	if errors.As(err, &connecting) {
		if cause := connecting.Unwrap(); cause != nil {
			return fmt.Sprintf("connecting to database %q as %q: %v", connecting.Config.Database, connecting.Config.User, cause)
		}
	}
	return err.Error()
}

// row asks for one row.
func (x *examiner) row(ctx context.Context, query string, into ...any) error {
	return x.conn.QueryRow(ctx, query, pgx.QueryExecModeExec).Scan(into...)
}

// rows visits the rows of an answer.
func (x *examiner) rows(ctx context.Context, query string, visit func(pgx.Rows) error) error {
	rows, err := x.conn.Query(ctx, query, pgx.QueryExecModeExec)
	if err != nil {
		return err
	}
	return eachRow(rows, visit)
}

// The releases of PostgreSQL that Armada is made for.
const oldest, newest = 13, 17

func lookAtVersion(ctx context.Context, x *examiner, name string) error {
	var number int
	var text string
	if err := x.row(ctx, "SELECT current_setting('server_version_num')::int, current_setting('server_version')", &number, &text); err != nil {
		return err
	}
	c := doctor.Good(name, "PostgreSQL %s", text)
	switch major := number / 10000; {
	case major < oldest:
		c = c.Fail("use PostgreSQL %d to %d", oldest, newest)
	case major > newest:
		c = c.Warn("Armada was not tried with it; use PostgreSQL %d to %d", oldest, newest)
	}
	x.tell(c)
	return nil
}

// lookAtForm tells whether the tables are those of this program.
func (x *examiner) lookAtForm(ctx context.Context) bool {
	const name = "migrations"
	form, err := readForm(ctx, x.conn)
	c := doctor.Good(name, "the tables have form %d, as this program", form.Database)
	switch {
	case err != nil:
		c = doctor.Unknown(name, "the database did not answer: %v", err)
	case form.Database == 0:
		c = doctor.Good(name, "there are no tables yet").Warn("start a server: it makes them")
	case form.Needs > form.Program:
		c = doctor.Good(name, "the tables have form %d, and programs older than form %d cannot work with them; this one has form %d", form.Database, form.Needs, form.Program).
			Fail("install a newer program")
	case form.Behind():
		c = doctor.Good(name, "the tables have form %d and this program has form %d", form.Database, form.Program).
			Warn("a server of this program makes the missing migrations when it starts")
	case form.Database > form.Program:
		c = doctor.Good(name, "the tables have form %d, of a newer program, and work with this one", form.Database).Advise("replace this program by the newer one")
	}
	x.tell(c)
	return err == nil && form.Database >= form.Program && form.Needs <= form.Program
}
