package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"armada/internal/doctor"
)

// between is what stands between a client and the server.
type between int

const (
	nothing between = iota
	pooler          // whoever gives a connection for longer than a transaction
	sharing         // a pooler that gives a connection for a transaction
)

// sharedTries is how often two clients look whether they meet.
const sharedTries = 5

func lookForPooler(ctx context.Context, x *examiner, name string) error {
	way, err := x.probe(ctx, x.config.URL)
	if err != nil {
		return fmt.Errorf("through store.database: %w", err)
	}
	direct := nothing
	if x.config.DirectURL != "" && x.config.DirectURL != x.config.URL {
		if direct, err = x.probe(ctx, x.config.DirectURL); err != nil {
			return fmt.Errorf("through store.directDatabase: %w", err)
		}
	}
	const say = "set store.transactionPooler: true, and store.directDatabase to the database's own URL"
	switch found := doctor.Good(name, "store.database leads to a pooler that shares connections between transactions"); {
	case direct == sharing:
		x.tell(doctor.Good(name, "store.directDatabase leads to a pooler that shares connections, through which nobody can be woken").Fail("set store.directDatabase to the database's own URL"))
	case way == sharing && !x.config.TransactionPooler:
		x.tell(found.Fail(say))
	case way == sharing && x.config.DirectURL == "":
		x.tell(found.Warn("set store.directDatabase to the database's own URL; without it servers see each other's decisions a quarter of a second later"))
	case way == sharing:
		x.tell(doctor.Good(name, "store.database leads to one that shares connections between transactions, and store.directDatabase past it"))
	case x.config.TransactionPooler && x.config.DirectURL == "":
		x.tell(doctor.Good(name, "store.transactionPooler is set without store.directDatabase, and two connections were not found to be shared").
			Warn("set store.directDatabase to the database's own URL, or leave store.transactionPooler out if there is no such pooler"))
	case way == pooler:
		x.tell(doctor.Good(name, "a pooler stands before the database; that it shares connections was not seen").Advise("if it does: " + say))
	default:
		x.tell(doctor.Good(name, "none"))
	}
	return nil
}

// probe connects twice. A server tells a client the number of its process when
// it connects; a pooler tells another one. Two clients that find themselves with
// the same process share it.
func (x *examiner) probe(ctx context.Context, url string) (between, error) {
	config, err := x.plainConfig(url)
	if err != nil {
		return nothing, err
	}
	found := nothing
	var clients [2]*pgx.Conn
	for i := range clients {
		c, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			return nothing, err
		}
		defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
		clients[i] = c
	}
	for range sharedTries {
		seen := map[uint32]bool{}
		for _, c := range clients {
			var process uint32
			if err := c.QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeExec).Scan(&process); err != nil {
				return nothing, err
			}
			if seen[process] {
				return sharing, nil
			}
			seen[process] = true
			if process != c.PgConn().PID() {
				found = pooler
			}
		}
	}
	return found, nil
}
