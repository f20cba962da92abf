package chaos

import (
	"strings"
	"sync"
	"testing"

	"armada/internal/store/postgres/pgtest"
)

// database is a PostgreSQL that is stopped and started again.
type database struct {
	*pgtest.Server
	direct  string     // the URL of its database
	trouble sync.Mutex // held by the one that breaks it
}

func openDatabase(t *testing.T) *database {
	t.Helper()
	server := pgtest.Start(t, "max_connections=100")
	return &database{Server: server, direct: server.Database(t)}
}

// url is where the database is found through a proxy.
func (d *database) url(proxy string) string { return strings.Replace(d.direct, d.Address(), proxy, 1) }

// restart stops the database, in order or as a crash does, and starts it again.
func (d *database) restart(t *testing.T, crash bool) {
	t.Helper()
	if !d.trouble.TryLock() {
		return
	}
	defer d.trouble.Unlock()
	if crash {
		d.Kill(t)
	}
	d.Restart(t)
}
