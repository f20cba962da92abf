package postgres_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"armada"
	"armada/internal/store"
	"armada/internal/store/postgres/pgtest"
	"armada/internal/store/storetest"
)

// smallDisk is enough for a cluster and its log, and filled soon.
const smallDisk = 256 << 20

// frugal are settings with which a cluster needs little room.
var frugal = []string{"shared_buffers=16MB", "min_wal_size=32MB", "max_wal_size=48MB"}

// TestOnAFullDiskNothingIsTakenAndNothingIsLost: the tables find no room, the log
// does.
func TestOnAFullDiskNothingIsTakenAndNothingIsLost(t *testing.T) {
	t.Parallel()
	server, disk := pgtest.StartOnDisk(t, smallDisk, true, frugal...)
	s := openStore(t, server.URL("postgres"))
	key := store.JobSetKey{Queue: "q", JobSet: "set"}
	acknowledged := map[store.JobSetKey][]armada.JobID{}
	submit := func() (store.Submission, error) {
		sub := jobs("set", 50)
		_, err := s.Submit(t.Context(), sub)
		if err == nil {
			for i := range sub.Jobs {
				acknowledged[key] = append(acknowledged[key], sub.Jobs[i].Job.ID)
			}
		}
		return sub, err
	}
	if _, err := submit(); err != nil {
		t.Fatal(err)
	}
	disk.Fill(t, 1<<20)
	var refused store.Submission
	var err error
	for err == nil {
		refused, err = submit()
	}
	code(t, err, armada.CodeUnavailable)
	if !strings.Contains(err.Error(), "submit: nothing was written") || !strings.Contains(err.Error(), "No space left on device") {
		t.Errorf("a full disk is told as %v", err)
	}
	if n := there(t, s, refused); n != 0 { // reading goes on
		t.Errorf("%d of the jobs that were refused are there", n)
	}
	storetest.VerifyLog(t, s, acknowledged)
	disk.Free(t)
	if _, err := s.Submit(t.Context(), refused); err != nil {
		t.Errorf("with room again the answer is %v", err)
	}
	storetest.VerifyLog(t, s, acknowledged)
}

// TestADiskThatIsFullOfLogStopsTheServerAndLosesNothing: PostgreSQL stops when it
// cannot write its log, and has to be started when there is room.
func TestADiskThatIsFullOfLogStopsTheServerAndLosesNothing(t *testing.T) {
	t.Parallel()
	server, disk := pgtest.StartOnDisk(t, smallDisk, false, append(frugal, "max_wal_size=1GB")...)
	url := server.URL("postgres")
	l := startLoad(t, openStore(t, url), openStore(t, url))
	l.goesOn()
	disk.Fill(t, 1<<20)
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil { // what only the log holds
		_, err = c.Exec(t.Context(), "SELECT pg_logical_emit_message(true, 'ballast', repeat('x', 1000000))")
	}
	waitFor(t, func() bool { // the server stops, and does not come back by itself
		c, err := pgx.Connect(t.Context(), url)
		if err == nil {
			_ = c.Close(t.Context())
		}
		return err != nil && strings.Contains(err.Error(), "connection refused")
	})
	_, err = l.stores[0].Queues(t.Context())
	code(t, err, armada.CodeUnavailable)
	disk.Free(t)
	server.Restart(t)
	l.goesOn()
	l.check()
}
