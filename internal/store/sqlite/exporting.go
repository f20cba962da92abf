package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"

	sqlite3 "modernc.org/sqlite/lib"

	"armada"
	"armada/internal/store"
	"armada/internal/store/codec"
)

// errNoStore says that a file is something else.
var errNoStore = errors.New("it is no store of Armada")

// Export shows visit all that the file holds, which can be read until visit
// returns. Nobody writes to the file meanwhile, and it is left as it was: one that
// an older program wrote is brought to the present form only for visit's eyes.
// One that a newer program wrote is refused, and what is no store too.
func Export(ctx context.Context, path string, visit func(*store.Contents) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if info, err := os.Stat(path); err != nil {
		return fmt.Errorf("store %s: %w", path, err)
	} else if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w, must be a file", path, errNoStore)
	}
	c, err := connectAs(path, "rw", "busy_timeout(10000)", "cache_size(-65536)", "temp_store(MEMORY)")
	if err != nil {
		return notAStore(path, err)
	}
	if _, err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return errors.Join(notAStore(path, err), c.close())
	}
	contents, err := c.contents()
	if err == nil {
		err = visit(contents)
	} else {
		err = notAStore(path, err)
	}
	_, end := c.exec("ROLLBACK")
	return errors.Join(err, end, c.close())
}

// notAStore tells what is wrong with the file.
func notAStore(path string, err error) error {
	if primaryCode(err) == sqlite3.SQLITE_NOTADB {
		err = fmt.Errorf("%w: %w", errNoStore, err)
	}
	return fmt.Errorf("%s: %w", path, err)
}

// contents brings the file to the present form and describes what it holds.
func (c *conn) contents() (*store.Contents, error) {
	tables, err := c.one("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('queue', 'job_set', 'event_block', 'job')")
	if err != nil {
		return nil, err
	}
	if tables.int(0) != 4 {
		return nil, errNoStore
	}
	steps, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(steps)
	if err := migrateWithin(c, steps); err != nil {
		return nil, err
	}
	contents := &store.Contents{Numbers: map[string]int64{}}
	for _, e := range exports {
		counted, err := c.one("SELECT count(*) FROM " + e.from)
		if err != nil {
			return nil, err
		}
		contents.Tables = append(contents.Tables, store.Table{
			Name: e.table, Columns: strings.Fields(e.columns), Count: counted.int(0), Rows: c.rows(e),
		})
	}
	if err := c.each("SELECT name, seq FROM sqlite_sequence", func(r row) error {
		contents.Numbers[r.str(0)] = r.int(1)
		return nil
	}); err != nil {
		return nil, err
	}
	r, err := c.one(`SELECT epoch, max(coalesce((SELECT at FROM event_block ORDER BY id DESC LIMIT 1), 0),
		coalesce((SELECT at FROM change ORDER BY seq DESC LIMIT 1), 0), coalesce((SELECT max(acknowledged) FROM executor), 0)), lives, held FROM leader, restoration`)
	if err != nil {
		return nil, err
	}
	contents.Epoch, contents.Latest, contents.Lives, contents.Held = r.int(0), fromMicros(r.int(1)), r.int(2), fromMicros(r.int(3))
	return contents, nil
}

// export is a table as other forms have it: the columns, of which flags are true
// or false and may is NULL where there is none, and the rows.
type export struct {
	table, columns string
	flags, may     string
	from           string
}

// exports are all tables but the feed. Jobs come in two parts, what never
// changes and their lives.
var exports = []export{
	{table: "queue", columns: "id name deleted body", flags: "deleted", from: "queue"},
	{table: "retry_policy", columns: "name body", from: "retry_policy"},
	{table: "job_set", columns: "id queue name closed last pruned", flags: "closed", from: "job_set"},
	{table: "template", columns: "id hash uses body", from: "template"},
	{table: "shape", columns: "id hash uses body", from: "shape"},
	{
		table: "executor", columns: "number id deleted kind session lease acknowledged replica replica_addr cordoned cordon_reason nodes_hash nodes reported kinds closed_nodes",
		flags: "deleted cordoned reported", from: "executor",
	},
	{table: "job", columns: "number id queue job_set template shape submitted fixed details", from: "job"},
	{
		table: "active", columns: "number queue job_set state executor life cancelling", flags: "cancelling", may: "executor",
		from: "(SELECT *, life AS cancelling FROM job WHERE ended = 0)",
	},
	{table: "ended", columns: "number queue at state life", from: "(SELECT *, ended AS at FROM job WHERE ended <> 0)"},
	{table: "run", columns: "job attempt body", from: "run"},
	{table: "mark_key", columns: "id name since", may: "since", from: "mark_key"},
	{table: "mark", columns: "key value number", from: "mark"},
	{table: "event_block", columns: "job_set last count at events", from: "event_block"},
	{table: "gang", columns: "job_set id members cardinality at", from: "gang"},
	{
		table: "client_id", columns: "queue name job at",
		from: "(SELECT q.id AS queue, c.name, c.job, c.at FROM client_id c JOIN queue q ON q.name = c.queue)",
	},
}

// rows yields the rows of an exported table.
func (c *conn) rows(e export) iter.Seq2[[]any, error] {
	columns := strings.Fields(e.columns)
	flags, may := make([]bool, len(columns)), make([]bool, len(columns))
	for i, name := range columns {
		flags[i], may[i] = slices.Contains(strings.Fields(e.flags), name), name == e.may
	}
	stopped := errors.New("the reader has enough")
	return func(yield func([]any, error) bool) {
		values := make([]any, len(columns))
		err := c.each("SELECT "+strings.Join(columns, ", ")+" FROM "+e.from, func(r row) (err error) {
			for i := range r {
				switch {
				case flags[i]:
					values[i], err = flag(r, i)
				case may[i]:
					values[i] = r[i]
				default:
					values[i] = present(r[i])
				}
				if err != nil {
					return fmt.Errorf("job %d: %w", r.int(0), err)
				}
			}
			if !yield(values, nil) {
				return stopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, stopped) {
			yield(nil, fmt.Errorf("table %s: %w", e.table, err))
		}
	}
}

// present is a value that is there: no bytes may be NULL here.
func present(v any) any {
	if b, bytes := v.([]byte); v == nil || bytes && b == nil {
		return []byte{}
	}
	return v
}

// flag reads a column that is true or false. Whether somebody wishes to cancel a
// job is in its life.
func flag(r row, i int) (bool, error) {
	life, encoded := r[i].([]byte)
	if !encoded {
		return r.int(i) != 0, nil
	}
	var job armada.Job
	var run armada.Run
	err := codec.DecodeLife(life, &job, &run)
	return job.Wish.Kind == armada.WishCancel, err
}
