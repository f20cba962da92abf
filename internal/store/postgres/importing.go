package postgres

import (
	"context"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"

	"armada"
	"armada/internal/store"
	"armada/internal/store/intake"
)

// progressEvery is after how many rows of a table Import tells how far it is.
const progressEvery = 50_000

// Import takes over all that another form of the store holds, in one transaction:
// wholly or not at all. It migrates the database before. It answers Precondition
// when the database holds something already or a server uses it; servers that
// start meanwhile wait. An error is [intake.ErrDoubt] when the connection was lost
// in the commit; every other one says that nothing was done. What is kept the same way in both forms stays the same:
// ids, numbers, times, and so the cursors of watchers. Told is called now and
// then with how many rows of a table are written; at last with all of them.
func Import(ctx context.Context, config Config, contents *store.Contents, told func(table string, rows int64)) error {
	if err := config.Validate(); err != nil {
		return fmt.Errorf("postgres store: %w", err)
	}
	err := withDirect(ctx, config, func(c *pgx.Conn) error {
		if err := migrate(ctx, c); err != nil {
			return err
		}
		tx, err := c.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
		in := importing{tx: tx, told: told, given: (&clock{test: config.Clock}).given()}
		if err := in.run(ctx, contents); err != nil {
			return err
		}
		err = sent(tx.Commit(ctx))
		if judge(err) == doubtful {
			return fmt.Errorf("%w: %w", intake.ErrDoubt, err)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("postgres store: %w", err)
	}
	return nil
}

// importing is a transaction that takes over contents.
type importing struct {
	tx    pgx.Tx
	told  func(table string, rows int64)
	given any // the time of a test, else nil
}

func (in importing) run(ctx context.Context, contents *store.Contents) error {
	// The lane first: from now on nobody else writes.
	for _, statement := range []string{"SET LOCAL statement_timeout = 0", "SET LOCAL idle_in_transaction_session_timeout = 0"} {
		if _, err := in.tx.Exec(ctx, statement); err != nil {
			return err
		}
	}
	var now int64
	if err := in.tx.QueryRow(ctx, "SELECT armada.enter($1)", in.given).Scan(&now); err != nil {
		return err
	}
	if err := in.free(ctx, contents, now); err != nil {
		return err
	}
	for i := range contents.Tables {
		if err := in.copy(ctx, &contents.Tables[i]); err != nil {
			return fmt.Errorf("table %s: %w", contents.Tables[i].Name, err)
		}
	}
	return in.settle(ctx, contents)
}

// free answers Precondition unless the database is empty and nobody uses it.
func (in importing) free(ctx context.Context, contents *store.Contents, now int64) error {
	var replica string
	var leads bool
	if err := in.tx.QueryRow(ctx, "SELECT replica, replica <> '' AND until > $1 FROM armada.leader", now).Scan(&replica, &leads); err != nil {
		return err
	}
	if leads {
		return &armada.Error{Code: armada.CodePrecondition, Message: fmt.Sprintf("the server %s uses the database: stop all servers first", replica)}
	}
	for i := range contents.Tables {
		var holds bool
		table := pgx.Identifier{"armada", contents.Tables[i].Name}.Sanitize()
		if err := in.tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+table+")").Scan(&holds); err != nil {
			return err
		}
		if holds {
			return &armada.Error{Code: armada.CodePrecondition, Message: "the database holds something already (table " + contents.Tables[i].Name + "), and must be empty: make a new one"}
		}
	}
	return nil
}

// copy writes the rows of a table.
func (in importing) copy(ctx context.Context, t *store.Table) error {
	next, stop := iter.Pull2(t.Rows)
	defer stop()
	rows := int64(0)
	var broken error // of reading; the database tells it as text only
	n, err := in.tx.CopyFrom(ctx, pgx.Identifier{"armada", t.Name}, t.Columns, pgx.CopyFromFunc(func() ([]any, error) {
		values, err, more := next()
		if err != nil || !more {
			broken = err
			return nil, err
		}
		if rows++; rows%progressEvery == 0 && rows < t.Count {
			in.told(t.Name, rows)
		}
		return values, nil
	}))
	if broken != nil {
		return broken
	}
	if err != nil {
		return err
	}
	if n != t.Count {
		return fmt.Errorf("%d rows were written, and %d were there", n, t.Count)
	}
	in.told(t.Name, n)
	return nil
}

// settle brings what hangs on the rows in order: numbers go on from the highest,
// time does not go back, and readers of the feed load anew.
func (in importing) settle(ctx context.Context, contents *store.Contents) error {
	if err := in.sequences(ctx, contents.Numbers); err != nil {
		return err
	}
	for _, s := range []struct {
		statement string
		args      []any
	}{
		{"INSERT INTO armada.queued (queue, jobs) SELECT q.id, (SELECT count(*) FROM armada.active a WHERE a.queue = q.id AND a.state = $1) FROM armada.queue q", []any{int16(armada.JobQueued)}},
		{`SELECT armada.add_counts(array_agg(job_set), array_agg(queue), array_agg(state), array_agg(n))
			FROM (SELECT job_set, queue, state, count(*) AS n FROM armada.active GROUP BY job_set, queue, state) d HAVING count(*) > 0`, nil},
		{"UPDATE armada.leader SET epoch = greatest(epoch, $1), replica = '', addr = '', until = 0", []any{contents.Epoch}},
		{"UPDATE armada.restoration SET lives = $1, held = $2, home = armada.home()", []any{contents.Lives, micros(contents.Held)}},
		{"DELETE FROM armada.change", nil},
		{"UPDATE armada.lane SET seq = seq + 2, job = greatest(job, $1), at = greatest(at, $2)", []any{contents.Numbers["job"], micros(contents.Latest)}},
		{"INSERT INTO armada.change (seq, at) SELECT seq, at FROM armada.lane", nil},
	} {
		if _, err := in.tx.Exec(ctx, s.statement, s.args...); err != nil {
			return err
		}
	}
	for i := range contents.Tables { // the next one who reads plans by what there is
		if _, err := in.tx.Exec(ctx, "ANALYZE "+pgx.Identifier{"armada", contents.Tables[i].Name}.Sanitize()); err != nil {
			return err
		}
	}
	return nil
}

// sequences raises those of tables that number their rows.
func (in importing) sequences(ctx context.Context, numbers map[string]int64) error {
	of := map[string]string{}
	rows, err := in.tx.Query(ctx, `SELECT table_name, pg_get_serial_sequence('armada.' || table_name, column_name)
		FROM information_schema.columns WHERE table_schema = 'armada' AND is_identity = 'YES'`)
	if err != nil {
		return err
	}
	if err := eachRow(rows, func(r pgx.Rows) error {
		var table, sequence string
		err := r.Scan(&table, &sequence)
		of[table] = sequence
		return err
	}); err != nil {
		return err
	}
	for table, sequence := range of {
		if n := numbers[table]; n > 0 {
			if _, err := in.tx.Exec(ctx, "SELECT setval($1::text::regclass, greatest($2, last_value)) FROM "+sequence, sequence, n); err != nil {
				return err
			}
		}
	}
	return nil
}
