package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// examined is what armada doctor says.
type examined struct {
	t    *testing.T
	code int
	list []struct{ Name, Verdict, Finding, Advice string }
}

func doctor(t *testing.T, args ...string) examined {
	t.Helper()
	return examination(t, exec.CommandContext(t.Context(), binary(t, "armada"), append([]string{"doctor", "-o", "json"}, args...)...))
}

// examination is what a command says that runs armada doctor.
func examination(t *testing.T, cmd *exec.Cmd) examined {
	t.Helper()
	x := examined{t: t}
	out, err := cmd.Output()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		x.code = ended.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &x.list); err != nil {
		t.Fatalf("armada doctor says %q: %v", out, err)
	}
	return x
}

// has tells whether a check whose name begins so has a verdict and words.
func (x examined) has(name, verdict, words string) bool {
	for _, c := range x.list {
		if strings.HasPrefix(c.Name, name) && c.Verdict == verdict && strings.Contains(c.Finding+"; "+c.Advice, words) {
			return true
		}
	}
	return false
}

func (x examined) wants(name, verdict, words string) {
	x.t.Helper()
	if !x.has(name, verdict, words) {
		x.t.Errorf("no check of %s is %s with %q: %+v", name, verdict, words, x.list)
	}
}

func TestDoctorExaminesServersThatShareADatabase(t *testing.T) {
	t.Parallel()
	i := install(t)
	look := func() examined {
		t.Helper()
		return doctor(t, "--database", i.database, "--grpc-addr", i.server(0).grpc, "--http-addr", i.server(0).http)
	}
	until(t, "all is well", func() bool { return look().has("executors", "ok", "machine, heard of") })
	x := look()
	for _, c := range x.list {
		if c.Verdict == "problem" || c.Verdict == "warning" {
			t.Errorf("%s is a %s: %s", c.Name, c.Verdict, c.Finding)
		}
	}
	if x.code != 0 {
		t.Errorf("it ends with %d", x.code)
	}
	x.wants("leader", "ok", "leads since")
	x.wants("server replica-", "ok", "it serves at 127.0.0.1:")
	x.wants("clock of replica-", "ok", "give or take")
	x.wants("clock", "ok", "the database's clock")
	x.wants("pooler", "ok", "none")
	x.wants("gRPC of this machine", "ok", "it serves at "+i.server(0).grpc)
	x.wants("REST of this machine", "ok", "healthy")

	for n := range i.servers {
		i.server(n).kill()
	}
	until(t, "nobody leads", func() bool { return look().has("leader", "problem", "nobody leads since") })
	x = look()
	x.wants("server replica-", "problem", "replica.advertise")
	x.wants("gRPC of this machine", "not checked", "nothing answers")
	x.wants("REST of this machine", "not checked", "nothing answers")
	if x.code != 1 {
		t.Errorf("with problems it ends with %d", x.code)
	}

	i.flags = []string{"--set", "rehearsal.clockOffset=1h"}
	i.startServer(0)
	until(t, "the server whose clock is wrong leads", func() bool { return look().has("leader", "ok", "leads since") })
	look().wants("clock of replica-0", "warning", "ahead of this machine")
}

func TestDoctorExaminesADataFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	u := startUp(t, dir)
	look := func() examined {
		t.Helper()
		return doctor(t, "--data-dir", dir, "--grpc-addr", u.grpc, "--http-addr", u.http)
	}
	x := look()
	x.wants("data folder", "ok", "in use by another armada")
	x.wants("database file", "ok", "are whole")
	x.wants("disk", "ok", "are free")
	x.wants("write-ahead log", "ok", "")
	x.wants("migrations", "ok", "")
	x.wants("REST of this machine", "ok", "healthy")
	if x.code != 0 {
		t.Errorf("it ends with %d", x.code)
	}
	u.interrupt(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	look().wants("data folder", "warning", "chmod 700")
	look().wants("data folder", "warning", "nobody uses it now")

	out, err := exec.CommandContext(t.Context(), binary(t, "armada"), "doctor", "--data-dir", dir).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "CHECK") || !strings.Contains(string(out), "→ chmod 700") || !strings.Contains(string(out), "0 problems") {
		t.Errorf("for people it says, %v:\n%s", err, out)
	}
	u = startUp(t, dir) // what was examined works on
	u.interrupt(t)
}

// TestDoctorWarnsOfADiskThatFills looks at data folders on small disks, each of
// which is mounted where only its doctor sees it.
func TestDoctorWarnsOfADiskThatFills(t *testing.T) {
	t.Parallel()
	apart := []string{"--mount"}
	if os.Geteuid() != 0 {
		apart = append(apart, "--user", "--map-root-user")
	}
	for size, want := range map[string]struct{ verdict, words string }{
		"256m": {"warning", "256 MiB are free; make room, or keep less"},
		"48m":  {"problem", "48 MiB are free; make room: nothing can be submitted"},
	} {
		const script = `mount -t tmpfs -o size="$1",mode=700 tmpfs "$2" && exec "$0" doctor -o json --data-dir "$2"`
		line := append(slices.Clone(apart), "sh", "-c", script, binary(t, "armada"), size, t.TempDir())
		examination(t, exec.CommandContext(t.Context(), "unshare", line...)).wants("disk", want.verdict, want.words)
	}
}
