package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A migration's first lines may name the oldest form that a program must know
// to work with the database afterwards: "-- works with programs of form 1".
// Without it only programs that know the migration do.
//
//go:embed migrations/*.sql
var migrations embed.FS

// compatible begins the line that names the oldest form.
const compatible = "-- works with programs of form "

// migrationLock is the advisory lock that replicas take to migrate one after the
// other.
const migrationLock = 0x61726d616461

// Form is the form of a database and of this program.
type Form struct {
	Database int // the latest migration that was made; 0 for an empty database
	Needs    int // the oldest program that the database works with
	Program  int // the latest migration that this program knows
}

// Behind tells that migrations are to be made.
func (f Form) Behind() bool { return f.Database < f.Program }

// check answers an error when this program cannot work with the database as it
// is.
func (f Form) check() error {
	switch {
	case f.Needs > f.Program:
		return fmt.Errorf("the database has form %d and needs a program of form %d at least; this one has form %d: install a newer one", f.Database, f.Needs, f.Program)
	case f.Behind():
		return fmt.Errorf("the database has form %d and this program needs form %d: run its migrations first, with armada migrate", f.Database, f.Program)
	}
	return nil
}

// Status tells the form of a database, and changes nothing.
func Status(ctx context.Context, config Config) (Form, error) {
	var form Form
	err := withDirect(ctx, config, func(c *pgx.Conn) (err error) {
		form, err = readForm(ctx, c)
		return err
	})
	return form, err
}

// Migration is one step of a database's form.
type Migration struct {
	Number int
	Name   string
	Known  bool      // to this program; others are of a newer one
	Made   time.Time // the zero time when it is still to be made
}

// Migrations lists the migrations that this program knows and those that the
// database has, by number, and changes nothing.
func Migrations(ctx context.Context, config Config) ([]Migration, error) {
	all, err := steps()
	if err != nil {
		return nil, err
	}
	list := make([]Migration, len(all))
	for i, s := range all {
		list[i] = Migration{Number: s.number, Name: title(s.name), Known: true}
	}
	err = withDirect(ctx, config, func(c *pgx.Conn) error {
		rows, err := c.Query(ctx, "SELECT number, name, at FROM armada.form ORDER BY number")
		if err != nil {
			return err
		}
		return eachRow(rows, func(r pgx.Rows) error {
			var number int
			var name string
			var at time.Time
			if err := r.Scan(&number, &name, &at); err != nil {
				return err
			}
			i, known := slices.BinarySearchFunc(list, number, func(m Migration, number int) int { return m.Number - number })
			if !known {
				list = slices.Insert(list, i, Migration{Number: number, Name: title(name)})
			}
			list[i].Made = at
			return nil
		})
	})
	if noForm(err) {
		err = nil
	}
	return list, err
}

// title is the name of a migration without where it stands.
func title(name string) string {
	name = strings.TrimSuffix(strings.TrimPrefix(name, "migrations/"), ".sql")
	if _, rest, numbered := strings.Cut(name, "_"); numbered {
		return rest
	}
	return name
}

// Migrate makes the migrations that are missing, each in one transaction. Of
// several programs that migrate at once the others wait for the first.
func Migrate(ctx context.Context, config Config) error {
	return withDirect(ctx, config, func(c *pgx.Conn) error { return migrate(ctx, c) })
}

// prepareForm migrates, unless it must not, and checks the database's form.
func prepareForm(ctx context.Context, config Config) error {
	form, err := Status(ctx, config)
	if err != nil {
		return err
	}
	if form.Behind() && !config.SkipMigrations {
		return Migrate(ctx, config)
	}
	return form.check()
}

func withDirect(ctx context.Context, config Config, f func(*pgx.Conn) error) error {
	direct, err := config.withDefaults().migrationConfig()
	if err != nil {
		return err
	}
	c, err := pgx.ConnectConfig(ctx, direct)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = c.Close(closing)
	}()
	return f(c)
}

// step is one migration.
type step struct {
	number, needs int
	name, text    string
}

func steps() ([]step, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	list := make([]step, len(names))
	for i, name := range names {
		digits, _, _ := strings.Cut(strings.TrimPrefix(name, "migrations/"), "_")
		number, err := strconv.Atoi(digits)
		if err != nil {
			return nil, fmt.Errorf("migration %s: %w", name, err)
		}
		text, err := migrations.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if i > 0 && number == list[i-1].number {
			return nil, fmt.Errorf("migrations %s and %s have the same number", list[i-1].name, name)
		}
		list[i] = step{number: number, needs: number, name: name, text: string(text)}
		for line := range strings.Lines(list[i].text) {
			if needs, found := strings.CutPrefix(line, compatible); found {
				if list[i].needs, err = strconv.Atoi(strings.TrimSpace(needs)); err != nil {
					return nil, fmt.Errorf("migration %s: %w", name, err)
				}
			}
		}
	}
	return list, nil
}

func readForm(ctx context.Context, c *pgx.Conn) (Form, error) {
	all, err := steps()
	if err != nil {
		return Form{}, err
	}
	form := Form{Program: all[len(all)-1].number}
	err = c.QueryRow(ctx, "SELECT coalesce(max(number), 0), coalesce(max(needs), 0) FROM armada.form").Scan(&form.Database, &form.Needs)
	if noForm(err) {
		err = nil
	}
	return form, err
}

// noForm tells that an error is about the table of forms, which is not there
// yet.
func noForm(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && (answer.Code == "42P01" || answer.Code == "3F000")
}

func migrate(ctx context.Context, c *pgx.Conn) error {
	all, err := steps()
	if err != nil {
		return err
	}
	for _, s := range all {
		if err := s.run(ctx, c); err != nil {
			return fmt.Errorf("migration %s: %w", s.name, err)
		}
	}
	form, err := readForm(ctx, c)
	if err != nil {
		return err
	}
	return form.check()
}

// run makes a migration unless it was made.
func (s step) run(ctx context.Context, c *pgx.Conn) error {
	tx, err := c.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	// Migrations may take long and wait long for each other.
	for _, statement := range []string{
		"SET LOCAL statement_timeout = 0", "SET LOCAL lock_timeout = '10min'", "SET LOCAL synchronous_commit = on",
		fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", migrationLock),
		"CREATE SCHEMA IF NOT EXISTS armada",
		"CREATE TABLE IF NOT EXISTS armada.form (number integer PRIMARY KEY, needs integer NOT NULL, name text NOT NULL, at timestamptz NOT NULL DEFAULT now())",
	} {
		if _, err := tx.Exec(ctx, statement, pgx.QueryExecModeExec); err != nil {
			return err
		}
	}
	var made bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM armada.form WHERE number >= $1)", pgx.QueryExecModeExec, s.number).Scan(&made); err != nil || made {
		return err
	}
	if _, err := tx.Exec(ctx, s.text, pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "INSERT INTO armada.form (number, needs, name) VALUES ($1, $2, $3)", pgx.QueryExecModeExec, s.number, s.needs, s.name); err != nil {
		return err
	}
	return tx.Commit(ctx)
}
