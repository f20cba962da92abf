//go:build linux

package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"armada"
	"armada/internal/runs"
	"armada/internal/runs/runstest"
)

func TestLinesMayHaveAnyBytes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	run := started(t, r, pod{Containers: []container{shell("main",
		`printf 'a\000b\377\r\n'; printf '\n'; printf 'to stderr\n' >&2; head -c 150000 /dev/zero | tr '\000' x; printf '\nno newline'`)}}, 1)
	runstest.AwaitPhase(t, r, run, runs.Succeeded)
	var out, stderr [][]byte
	err := r.Logs(context.Background(), run, runs.LogQuery{}, func(line runs.LogLine) error {
		if line.Stderr {
			stderr = append(stderr, line.Text)
		} else {
			out = append(out, line.Text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	x := bytes.Repeat([]byte("x"), 150000)
	want := [][]byte{[]byte("a\x00b\xff\r"), {}, x[:maxLine], x[:maxLine], x[:150000-2*maxLine], []byte("no newline")}
	if !slices.EqualFunc(out, want, bytes.Equal) {
		t.Errorf("stdout has %d lines, not %d, or others", len(out), len(want))
	}
	if !slices.EqualFunc(stderr, [][]byte{[]byte("to stderr")}, bytes.Equal) {
		t.Errorf("stderr has %q", stderr)
	}
}

// newLog makes a log in a folder of its own.
func newLog(t *testing.T, limit int64) (*logWriter, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	w := &logWriter{file: file, limit: limit}
	t.Cleanup(func() { _ = w.close() })
	return w, path
}

// readLog reads the lines of a log that a query selects.
func readLog(t *testing.T, path string, q runs.LogQuery) []runs.LogLine {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r := &logReader{file: file}
	if q.Tail > 0 {
		if err := r.seekTail(&q); err != nil {
			t.Fatal(err)
		}
	}
	var lines []runs.LogLine
	if err := r.visit(&q, func(l runs.LogLine) error { lines = append(lines, l); return nil }); err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestATailOfAnyLogIsTheEndOfTheWhole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w, path := newLog(t, 1<<30)
		for range rapid.IntRange(0, 40).Draw(rt, "lines") {
			size := rapid.SampledFrom([]int{0, 1, 50, 5000, maxLine}).Draw(rt, "size")
			w.appendLines(rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "container"), false, [][]byte{bytes.Repeat([]byte{'x'}, size)})
		}
		whole := readLog(t, path, runs.LogQuery{})
		q := runs.LogQuery{Tail: rapid.Int64Range(1, 45).Draw(rt, "tail"), Container: rapid.SampledFrom([]string{"", "a", "c"}).Draw(rt, "of")}
		if len(whole) > 0 && rapid.Bool().Draw(rt, "since") {
			q.Since = whole[rapid.IntRange(0, len(whole)-1).Draw(rt, "from")].Time
		}
		var want []runs.LogLine
		for _, l := range whole {
			if selects(&q, &l) {
				want = append(want, l)
			}
		}
		want = want[max(0, len(want)-int(q.Tail)):]
		got := readLog(t, path, q)
		if !slices.EqualFunc(got, want, func(a, b runs.LogLine) bool {
			return a.Time.Equal(b.Time) && a.Container == b.Container && bytes.Equal(a.Text, b.Text)
		}) {
			rt.Fatalf("a tail of %d lines has %d, not %d", q.Tail, len(got), len(want))
		}
	})
}

func TestOutputIsCutIntoTheSameLinesHoweverItArrives(t *testing.T) {
	t.Parallel()
	text := "one\n\ntwo\n" + strings.Repeat("y", maxLine) + "\n" + strings.Repeat("z", maxLine+1) + "\nend"
	want := []string{"one", "", "two", strings.Repeat("y", maxLine), "", strings.Repeat("z", maxLine), "z", "end"}
	for name, arrives := range map[string]func(io.Reader) io.Reader{
		"at once":      func(r io.Reader) io.Reader { return r },
		"byte by byte": iotest.OneByteReader,
		"with its end": iotest.DataErrReader,
	} {
		w, path := newLog(t, 1<<30)
		w.pump(arrives(strings.NewReader(text)), "main", false)
		var got []string
		for _, l := range readLog(t, path, runs.LogQuery{}) {
			got = append(got, string(l.Text))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: there are %d lines, not %d", name, len(got), len(want))
		}
	}
}

func TestAFullLogSaysSoOnce(t *testing.T) {
	t.Parallel()
	w, path := newLog(t, 1000)
	for range 100 {
		w.appendLines("main", false, [][]byte{[]byte("some text that fills the log")})
	}
	lines := readLog(t, path, runs.LogQuery{})
	full := 0
	for _, l := range lines {
		if bytes.Contains(l.Text, []byte("full")) {
			full++
		}
	}
	if full != 1 || len(lines) < 5 || len(lines) > 30 {
		t.Errorf("of %d lines %d say that the log is full", len(lines), full)
	}
}

func TestTheJournalForgetsNothingThatWasWrittenAndIgnoresATornLine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	j, _, err := openJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	name := func(n int) armada.RunID { return armada.RunID(fmt.Sprintf("job-%d", n)) }
	var writers sync.WaitGroup
	for n := range 50 {
		writers.Go(func() {
			if err := j.append(record{End: &runs.Status{Run: name(n), Phase: runs.Failed}}); err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	if err := j.append(record{Forget: name(1)}, record{Forget: name(2)}, record{Prune: name(2)}); err != nil {
		t.Fatal(err)
	}
	if _, err := j.file.WriteString(`{"end":{"Run":"job-99","Ph`); err != nil {
		t.Fatal(err)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // opening rewrites it
		j, h, err := openJournal(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(h.ended) != 48 || len(h.forgotten) != 1 || len(h.pruned) != 1 || h.over(name(99)) || !h.over(name(1)) || !h.over(name(2)) {
			t.Errorf("the journal tells of %d, %d, %d", len(h.ended), len(h.forgotten), len(h.pruned))
		}
		if err := j.close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheJournalRemembersTheLatestPrunedRunsOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	name := func(n int) armada.RunID { return armada.RunID(fmt.Sprintf("job-%d", n)) }
	var lines bytes.Buffer
	for n := range keptPruned + 10 {
		fmt.Fprintf(&lines, "{\"forget\":%q}\n{\"prune\":%q}\n", name(n), name(n))
	}
	if err := os.WriteFile(path, lines.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the order survives the rewriting
		j, h, err := openJournal(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.close(); err != nil {
			t.Fatal(err)
		}
		if len(h.pruned) != keptPruned || h.over(name(9)) || !h.over(name(10)) || !h.over(name(keptPruned+9)) {
			t.Errorf("%d pruned runs are remembered, not the latest %d", len(h.pruned), keptPruned)
		}
	}
}

func TestAJournalThatHasGrownIsWrittenAnewWhileItIsUsed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	j, _, err := openJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	name := func(n int) armada.RunID { return armada.RunID(fmt.Sprintf("job-%d", n)) }
	end := func(n int) {
		t.Helper()
		if err := j.append(record{End: &runs.Status{Run: name(n), Phase: runs.Failed}}, record{Forget: name(n)}); err != nil {
			t.Fatal(err)
		}
	}
	size := func() int64 {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	for n := range 100 {
		end(n)
	}
	grown := size()
	j.most = 0
	if err := os.Mkdir(path+".new", 0o700); err != nil { // in the way
		t.Fatal(err)
	}
	end(100)
	if size() <= grown {
		t.Error("a journal that cannot be written anew is not gone on with")
	}
	if err := os.Remove(path + ".new"); err != nil {
		t.Fatal(err)
	}
	j.most = 0
	end(101)
	if size() >= grown/2 {
		t.Errorf("the journal has %d bytes and had %d before it was written anew", size(), grown)
	}
	end(102)
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	if h, err := readJournal(path); err != nil || len(h.forgotten) != 103 || len(h.ended) != 0 {
		t.Errorf("it tells of %d forgotten runs and of the ends of %d, %v; want 103 and 0", len(h.forgotten), len(h.ended), err)
	}
}

func TestACommitIsSharedByAllWhoWaitForIt(t *testing.T) {
	t.Parallel()
	var commits [][]byte
	begun, goOn := make(chan struct{}), make(chan struct{})
	broken := errors.New("broken")
	g := group{}
	g.commit = func(data []byte) error {
		commits = append(commits, data)
		if len(commits) == 1 {
			close(begun)
			<-goOn
			return nil
		}
		return broken
	}
	first := make(chan error)
	go func() { first <- g.do([]byte("1")) }()
	<-begun
	var waiting sync.WaitGroup
	for range 10 {
		waiting.Go(func() {
			if err := g.do([]byte("2")); !errors.Is(err, broken) {
				t.Errorf("a failed commit answered %v", err)
			}
		})
	}
	for joined := 0; joined < 10; { // they have all joined the next one
		g.mu.Lock()
		if g.next != nil {
			joined = len(g.next.data)
		}
		g.mu.Unlock()
	}
	close(goOn)
	if err := <-first; err != nil {
		t.Errorf("the first commit answered %v", err)
	}
	waiting.Wait()
	if len(commits) != 2 || string(commits[1]) != "2222222222" {
		t.Errorf("there were the commits %q", commits)
	}
}

// The journal and the orders are read by later versions: what they look like may
// grow and must not change.
func TestWhatIsWrittenDownKeepsItsForm(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	status := runs.Status{
		Run: "j-1", Job: "j", Queue: "q", JobSet: "s", Phase: runs.Failed, Node: "n", Pod: armada.Pod{Name: "p", Namespace: "ns"},
		Pending: at, Running: at, Ended: at,
		End: armada.RunEnd{Cause: armada.CauseOutOfMemory, Reason: "r", Containers: []armada.ContainerEnd{{Name: "c", ExitCode: 137, Reason: "OOMKilled"}}},
	}
	got, err := json.Marshal(record{End: &status})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"end":{"Run":"j-1","Job":"j","Queue":"q","JobSet":"s","Phase":4,"Node":"n",` +
		`"Pod":{"Name":"p","Namespace":"ns","KubernetesID":"","Number":0},` +
		`"Pending":"2026-01-02T03:04:05.000000006Z","Running":"2026-01-02T03:04:05.000000006Z","Ended":"2026-01-02T03:04:05.000000006Z",` +
		`"End":{"Cause":2,"Reason":"r","Category":"","Subcategory":"","Debug":"","Containers":[{"Name":"c","ExitCode":137,"Cause":0,"Reason":"OOMKilled","Message":""}]},"Stopping":false}}`
	if string(got) != want {
		t.Errorf("a record is\n%s\nand was\n%s", got, want)
	}
}

func TestPrunedRunsAreGoneAndStillNeverStartedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	p := pod{Containers: []container{shell("main", "head -c 10000 /dev/zero > file; echo once >> "+filepath.Join(w.dir, "starts"))}}
	ids := make([]armada.RunID, 4)
	for n := range ids {
		ids[n] = started(t, r, p, n)
		runstest.AwaitPhase(t, r, ids[n], runs.Succeeded)
		if n < 3 {
			if err := r.Forget(context.Background(), ids[n]); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, step := range []struct {
		before time.Time
		size   int64
		want   int
	}{
		{time.Now().Add(-time.Hour), 1 << 30, 0},
		{time.Time{}, 45_000, 1}, // three of 10,000 bytes and folders of 4,096 each, more or less
		{time.Now().Add(time.Hour), 0, 2},
		{time.Now().Add(time.Hour), 1, 0}, // the one that is not forgotten stays
	} {
		if pruned, err := r.Prune(context.Background(), step.before, step.size); err != nil || pruned != step.want {
			t.Errorf("pruning by %v and %d removed %d, %v", step.before, step.size, pruned, err)
		}
	}
	if err := r.Logs(context.Background(), ids[0], runs.LogQuery{}, func(runs.LogLine) error { return nil }); !errors.Is(err, runs.ErrUnknownRun) {
		t.Errorf("logs of a pruned run answered %v", err)
	}
	runstest.AwaitPhase(t, r, ids[3], runs.Succeeded)
	killSupervisor(t, r) // what it knows must be on the disk
	for n := range 3 {
		if err := r.Start(context.Background(), p.order(t, n)); !errors.Is(err, runs.ErrSpent) {
			t.Errorf("an order for a run that was forgotten is answered with %v", err)
		}
	}
	started(t, r, p, 3)
	runstest.AwaitPhase(t, r, started(t, r, p, 10), runs.Succeeded)
	if starts, err := os.ReadFile(filepath.Join(w.dir, "starts")); err != nil || bytes.Count(starts, []byte("once")) != 5 {
		t.Errorf("five runs were started %d times, %v", bytes.Count(starts, []byte("once")), err)
	}
}

func TestNamesThatAreNoRunsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	for _, name := range []armada.RunID{"", ".", "..", "../escape", "a/b", "a b", armada.RunID(strings.Repeat("x", 200)), "-x"} {
		o := pod{Containers: []container{shell("main", "true")}}.order(t, rand.IntN(1000))
		o.Run = name
		if err := r.Start(context.Background(), o); err == nil {
			t.Errorf("the run %q was started", name)
		}
	}
	if statuses, err := r.Statuses(context.Background()); err != nil || len(statuses) != 0 {
		t.Errorf("there is %+v, %v", statuses, err)
	}
}
