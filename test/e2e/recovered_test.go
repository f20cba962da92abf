package e2e

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"armada/internal/store/postgres/pgtest"
)

func TestADatabaseIsRecoveredToAMomentAndToldSo(t *testing.T) {
	t.Parallel()
	server, marks := pgtest.Start(t, "archive_mode=on"), t.TempDir()
	i := installOn(t, server.URL("postgres"), shortLease...)
	i.queue("q")
	u := i.server(0)
	backup := server.Backup(t)
	adopted := submitPatient(t, u, marks, 1)
	adopted.told(t, u, "running")
	server.Exec(t, i.database, "SELECT pg_create_restore_point('here')")
	lost := submitPatient(t, u, marks, 1)
	lost.told(t, u, "running")
	before := eventsAfter(t, u, "")
	for n := range i.servers {
		i.server(n).interrupt(t)
	}
	server.Stop(t) // what is left of the log is archived

	i.database = backup.Recover(t, "here").URL("postgres")
	args := append([]string{"restored", "--database", i.database}, shortLease...)
	until(t, "armada restored is done, once the leader of before is over", func() bool {
		out, err := exec.CommandContext(t.Context(), binary(t, "armada"), args...).CombinedOutput()
		return err == nil && strings.Contains(string(out), "Jobs are started again 35s from now")
	})
	for n := range i.servers {
		i.startServer(n)
	}
	u = i.server(0)
	lost.did(t, "start", "stopped")
	fresh := submitPatient(t, u, marks, 1)
	for _, p := range []patient{adopted, fresh} {
		p.did(t, "start")
		p.letGo(t)
		p.told(t, u, "succeeded")
		p.did(t, "start", "end")
	}
	for _, id := range eventsAfter(t, u, before[len(before)-1]) {
		if slices.Contains(before, id) {
			t.Errorf("the event %s of the lost time is another one now", id)
		}
	}
	i.executor.interrupt(t)
}
