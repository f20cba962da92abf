package e2e

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	_ "modernc.org/sqlite"

	"armada/internal/store/postgres/pgtest"
	"armada/pkg/api"
	"armada/pkg/api/k8s/api/resource"
	corev1 "armada/pkg/api/k8s/core/v1"
)

// shortLease keeps these tests short: nothing is started in a restored store for
// as long as a lease. An executor without a server stops its jobs after three
// quarters of it.
var shortLease = []string{"--set", "executors.lease=30s"}

// patient is a job that leaves a line where it begins, ends and is stopped. It
// ends when it is let go.
type patient struct {
	marks string
	id    string
}

func submitPatient(t *testing.T, u *up, marks string, cores int) patient {
	t.Helper()
	script := `mark() { echo "$1" >>"$0/$ARMADA_JOB_ID"; }; trap 'mark stopped; exit 1' TERM; mark start; ` +
		`while [ ! -e "$0/go-$ARMADA_JOB_ID" ]; do sleep 0.1; done; mark end`
	amounts := map[string]*resource.Quantity{"cpu": {String_: proto.String(fmt.Sprint(cores))}, "memory": {String_: proto.String("16Mi")}}
	answer, err := api.NewSubmitClient(u.dial(t)).SubmitJobs(t.Context(), &api.JobSubmitRequest{
		Queue: "q", JobSetId: "s", JobRequestItems: []*api.JobSubmitRequestItem{{PodSpec: &corev1.PodSpec{Containers: []*corev1.Container{{
			Name: proto.String("patient"), Command: []string{"sh", "-c", script, marks},
			Resources: &corev1.ResourceRequirements{Requests: amounts, Limits: amounts},
		}}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return patient{marks: marks, id: answer.GetJobResponseItems()[0].GetJobId()}
}

func (p patient) letGo(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.marks, "go-"+p.id), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// did waits until the job has left these lines and no others.
func (p patient) did(t *testing.T, lines ...string) {
	t.Helper()
	var text []byte
	defer func() {
		if t.Failed() {
			t.Logf("job %s left %q, and is to leave %q", p.id, text, lines)
		}
	}()
	until(t, "the job left "+strings.Join(lines, ", "), func() bool {
		text, _ = os.ReadFile(filepath.Join(p.marks, p.id))
		return slices.Equal(strings.Fields(string(text)), lines)
	})
}

// told waits until armadactl describes the job so.
func (p patient) told(t *testing.T, u *up, want string) {
	t.Helper()
	var out string
	defer func() {
		if t.Failed() {
			t.Logf("of job %s is told\n%s\nand %q is wanted", p.id, out, want)
		}
	}()
	until(t, "of the job is told: "+want, func() bool {
		out, _ = u.ctl(t, "describe", "job", p.id)
		return strings.Contains(out, want)
	})
}

// eventsAfter are the ids of the events of the job set after one of them.
func eventsAfter(t *testing.T, u *up, from string) (ids []string) {
	t.Helper()
	stream, err := api.NewEventClient(u.dial(t)).GetJobSetEvents(t.Context(), &api.JobSetRequest{Queue: "q", Id: "s", FromMessageId: from}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return ids
		}
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, m.GetId())
	}
}

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestADumpIsLoadedIntoAnotherDatabaseWhileTheExecutorRunsOn(t *testing.T) {
	t.Parallel()
	server, marks := pgtest.Start(t), t.TempDir()
	i := installOn(t, server.URL("postgres"), shortLease...)
	i.queue("q")
	u := i.server(0)
	adopted, forgotten, large := submitPatient(t, u, marks, 1), submitPatient(t, u, marks, 1), submitPatient(t, u, marks, 62)
	for _, p := range []patient{adopted, forgotten, large} {
		p.did(t, "start")
		p.told(t, u, "running")
	}
	waits := submitPatient(t, u, marks, 60)
	dump := filepath.Join(t.TempDir(), "armada.dump")
	run(t, pgtest.Program(t, "pg_dump"), "--format=custom", "--file="+dump, i.database)

	// The lost time.
	lost := submitPatient(t, u, marks, 1)
	forgotten.letGo(t)
	large.letGo(t)
	for _, p := range []patient{forgotten, large} {
		p.told(t, u, "succeeded")
	}
	for _, p := range []patient{waits, lost} {
		p.did(t, "start")
		p.told(t, u, "running")
	}
	before := eventsAfter(t, u, "")
	if out, err := exec.CommandContext(t.Context(), binary(t, "armada"), "restored", "--database", i.database).CombinedOutput(); err == nil || !strings.Contains(string(out), "stop every server first") {
		t.Errorf("armada restored while a server leads: %v\n%s", err, out)
	}
	for n := range i.servers {
		i.server(n).interrupt(t)
	}

	restored := server.Database(t)
	run(t, pgtest.Program(t, "pg_restore"), "--no-owner", "--exit-on-error", "--dbname="+restored, dump)
	i.database = restored
	for n := range i.servers {
		i.startServer(n)
	}
	u = i.server(0)
	if both := u.output.String() + i.server(1).output.String(); strings.Count(both, "was restored from a dump") != 1 {
		t.Errorf("one of the servers is to say that the database was restored:\n%s", both)
	}
	lost.did(t, "start", "stopped")
	if out, err := u.ctl(t, "describe", "job", lost.id); err == nil {
		t.Errorf("a job of the lost time is known:\n%s", out)
	}
	forgotten.told(t, u, "outcome unknown")
	large.told(t, u, "outcome unknown")
	adopted.did(t, "start")
	waits.did(t, "start", "stopped", "start")
	fresh := submitPatient(t, u, marks, 1)
	for _, p := range []patient{adopted, waits, fresh} {
		p.letGo(t)
		p.told(t, u, "succeeded")
	}
	adopted.did(t, "start", "end")
	waits.did(t, "start", "stopped", "start", "end")
	fresh.did(t, "start", "end")

	after := eventsAfter(t, u, before[len(before)-1])
	if len(after) < 8 || !strings.HasSuffix(after[0], "-1") {
		t.Fatalf("a watcher that goes on is told the events %q", after)
	}
	for _, id := range after {
		if slices.Contains(before, id) {
			t.Errorf("the event %s of the lost time is another one now", id)
		}
	}
	i.executor.interrupt(t)
}

func TestACopyOfTheDataFolderIsPutBackWhileJobsRunOn(t *testing.T) {
	t.Parallel()
	dir, marks := t.TempDir(), t.TempDir()
	t.Cleanup(func() { killProcessesOf(dir) })
	flags := append([]string{"--keep-running", "--capacity", "cpu=8,memory=8Gi,ephemeral-storage=512Gi"}, shortLease...)
	u := startUp(t, dir, flags...)
	u.mustCtl(t, "create", "queue", "q")
	adopted := submitPatient(t, u, marks, 1)
	adopted.told(t, u, "running")
	backup := filepath.Join(t.TempDir(), "armada.db")
	vacuumInto(t, filepath.Join(dir, "armada.db"), backup) // while everything goes on
	lost := submitPatient(t, u, marks, 1)
	lost.told(t, u, "running")
	restored := func() (string, error) {
		out, err := exec.CommandContext(t.Context(), binary(t, "armada"), append([]string{"restored", "--data-dir", dir}, shortLease...)...).CombinedOutput()
		return string(out), err
	}
	if out, err := restored(); err == nil || !strings.Contains(out, "is in use") {
		t.Errorf("armada restored on a data folder in use: %v\n%s", err, out)
	}
	u.interrupt(t)

	for _, name := range []string{"armada.db-wal", "armada.db-shm"} {
		_ = os.Remove(filepath.Join(dir, name))
	}
	if err := os.Rename(backup, filepath.Join(dir, "armada.db")); err != nil {
		t.Fatal(err)
	}
	if out, err := restored(); err != nil || !strings.Contains(out, "Jobs are started again 35s from now") {
		t.Fatalf("armada restored: %v\n%s", err, out)
	}
	u = startUp(t, dir, flags...)
	fresh := submitPatient(t, u, marks, 1)
	lost.did(t, "start", "stopped")
	adopted.told(t, u, "running")
	fresh.did(t, "start")
	for _, p := range []patient{adopted, fresh} {
		p.letGo(t)
		p.told(t, u, "succeeded")
		p.did(t, "start", "end")
	}
	u.interrupt(t)
}

// vacuumInto does what sqlite3 does with VACUUM INTO.
func vacuumInto(t *testing.T, from, to string) {
	t.Helper()
	db, err := sql.Open("sqlite", from)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "VACUUM INTO ?", to); err != nil {
		t.Fatal(err)
	}
}
