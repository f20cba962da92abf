package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"armada/internal/store"
	"armada/internal/store/intake"
	"armada/internal/store/postgres"
	"armada/internal/store/sqlite"
)

// errNoDatabase is what a role says that needs PostgreSQL.
var errNoDatabase = errors.New("store.database: is empty, must be the URL of a PostgreSQL database, postgres://user@host/name; give it with --database, in a file or in ARMADA_STORE_DATABASE")

// Migrate brings the configured database to this program's form and tells what
// was done.
func Migrate(ctx context.Context, config Config, w io.Writer) error {
	if config.Store.Database.IsEmpty() {
		return errNoDatabase
	}
	before, err := postgres.Migrations(ctx, config.migrations())
	if err != nil {
		return fmt.Errorf("reading the database's form: %w", err)
	}
	if err := postgres.Migrate(ctx, config.migrations()); err != nil {
		return err
	}
	made := 0
	for _, m := range before {
		if m.Known && m.Made.IsZero() {
			made++
			fmt.Fprintf(w, "Made migration %d, %s.\n", m.Number, m.Name)
		}
	}
	if made == 0 {
		fmt.Fprintf(w, "Nothing was to be done: %s is up to date.\n", config.Store.place())
	}
	return nil
}

// MigrationStatus tells which migrations the configured database has, and which
// it lacks, and changes nothing.
func MigrationStatus(ctx context.Context, config Config, w io.Writer) error {
	if config.Store.Database.IsEmpty() {
		return errNoDatabase
	}
	form, err := postgres.Status(ctx, config.migrations())
	if err != nil {
		return fmt.Errorf("reading the database's form: %w", err)
	}
	list, err := postgres.Migrations(ctx, config.migrations())
	if err != nil {
		return fmt.Errorf("reading the database's form: %w", err)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MIGRATION\tNAME\tSTATE\tMADE")
	pending := 0
	for _, m := range list {
		state, made := "applied", m.Made.UTC().Format(time.RFC3339)
		switch {
		case !m.Known:
			state = "unknown"
		case m.Made.IsZero():
			state, made = "pending", ""
			pending++
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\n", m.Number, m.Name, state, made)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	switch {
	case form.Needs > form.Program:
		fmt.Fprintf(w, "\nThe database is of a newer program and does not work with this one: install a newer one.\n")
	case form.Database > form.Program:
		fmt.Fprintf(w, "\nThe database is of a newer program and works with this one too.\n")
	case pending > 0:
		fmt.Fprintf(w, "\n%s pending; armada migrate without --status, or the next server that starts, makes them.\n", plural(pending, "migration is", "migrations are"))
	default:
		fmt.Fprintf(w, "\nThe database is up to date.\n")
	}
	return nil
}

// migrations is how migrations reach the database.
func (c Config) migrations() postgres.Config {
	return c.postgres(nil)
}

// Move takes everything in the SQLite store of a data folder, or in the file
// itself, to the configured database, which must be empty, and tells how far it
// is. The folder is held meanwhile. Afterwards the folder knows that its store
// has moved: armada up does not start on the old one by mistake.
func Move(ctx context.Context, config Config, from string, w io.Writer) error {
	if config.Store.Database.IsEmpty() {
		return errNoDatabase
	}
	path, err := storeFile(from)
	if err != nil {
		return err
	}
	dir, err := openDataDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	m := &moving{out: w, counts: map[string]int64{}}
	fmt.Fprintf(w, "Moving %s to %s\n", path, config.Store.place())
	err = sqlite.Export(ctx, path, func(contents *store.Contents) error {
		m.contents = contents
		return postgres.Import(ctx, config.migrations(), contents, m.told)
	})
	switch {
	case errors.Is(err, intake.ErrDoubt):
		return errors.Join(fmt.Errorf("it is not known whether everything was moved or nothing: look into the database with armadactl, or move again into a new one: %w", err), dir.close())
	case err != nil:
		return errors.Join(fmt.Errorf("nothing was moved: %w", err), dir.close())
	}
	if filepath.Base(path) == storeName { // a copy with another name stands for no data folder
		err = dir.markMoved(config.Store.place())
	}
	fmt.Fprintf(w, "Moved %s with all their job sets, events and client ids. Ids, numbers and times are what they were.\n",
		plural(int(m.counts["job"]), "job", "jobs"))
	return errors.Join(err, dir.close())
}

// storeName is the file of the store in a data folder.
const storeName = "armada.db"

// storeFile is the file that from means.
func storeFile(from string) (string, error) {
	path, err := filepath.Abs(from)
	if err != nil {
		return "", fmt.Errorf("--from: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("--from: must be a data folder of armada up or the %s in it: %w", storeName, err)
	}
	if !info.IsDir() {
		return path, nil
	}
	path = filepath.Join(path, storeName)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("--from: %s is no data folder of armada up with a store of its own: %w", from, err)
	}
	return path, nil
}

// moving tells how far a move is.
type moving struct {
	out      io.Writer
	contents *store.Contents
	counts   map[string]int64
}

// tableWords say what the rows of tables are.
var tableWords = map[string]string{
	"queue": "queues", "job_set": "job sets", "template": "pod specs", "shape": "shapes of jobs", "executor": "executors", "job": "jobs",
	"retry_policy": "retry policies", "active": "  of them active", "ended": "  of them finished", "run": "earlier attempts", "event_block": "blocks of events", "client_id": "client ids",
}

// told prints a line for a table, and for a long one several.
func (m *moving) told(table string, rows int64) {
	m.counts[table] = rows
	at := slices.IndexFunc(m.contents.Tables, func(t store.Table) bool { return t.Name == table })
	if all := m.contents.Tables[at].Count; rows < all {
		fmt.Fprintf(m.out, "  %-18s %d of %d\n", tableWords[table], rows, all)
		return
	}
	fmt.Fprintf(m.out, "  %-18s %d\n", tableWords[table], rows)
}
