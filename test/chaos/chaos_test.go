package chaos

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"armada/test/chaos/checker"
)

var (
	seed = flag.Uint64("chaos.seed", 0, "what goes wrong, and when; 0 is another one every time")
	span = flag.Duration("chaos.for", time.Minute, "for how long things go wrong")
	keep = flag.Bool("chaos.logs", false, "print the logs of all processes when a promise is broken")
)

// settle is how long everything may take to come to rest once nothing goes
// wrong any more. It bounds failures.
const settle = 90 * time.Second

// use lets users work while something happens, and then waits until every job
// has ended before the eyes of every watcher.
func (w *world) use(u *users, happen func(ctx context.Context) error) {
	w.Helper()
	ctx, end := context.WithCancel(w.Context())
	defer end()
	var watching errgroup.Group
	for _, set := range jobSets {
		for i := range 2 {
			watching.Go(func() error { return u.follow(ctx, fmt.Sprintf("watcher-%d", i+1), set) })
		}
	}
	working, stop := context.WithCancel(ctx)
	var work errgroup.Group
	for who := range 3 {
		work.Go(func() error { return u.submit(working, 1+who) })
	}
	work.Go(func() error { return u.steer(working, 11) })
	if err := happen(ctx); err != nil {
		w.Error(err)
	}
	stop()
	if err := work.Wait(); err != nil {
		w.Error(err)
	}
	w.note("nothing goes wrong any more")
	if err := wait(ctx, settle, func() bool { return u.waiting() == 0 }); err != nil {
		w.Errorf("%v after the last fault watchers still wait for %d jobs", settle, u.waiting())
	}
	for _, server := range w.addresses {
		if err := u.list(ctx, server); err != nil {
			w.Errorf("list the jobs: %v", err)
		}
	}
	end()
	if err := watching.Wait(); err != nil {
		w.Error(err)
	}
}

// judge lets the checker look at everything that was recorded.
func (w *world) judge(u *users) {
	w.Helper()
	for _, p := range append(w.servers[:serverCount:serverCount], w.executors...) {
		if !p.alive() {
			w.Errorf("%s has ended by itself", p.name)
		}
	}
	h := u.record()
	w.evidence(h)
	broken := checker.Check(h)
	for i, v := range broken {
		if i == 20 {
			w.Errorf("and %d more", len(broken)-i)
			break
		}
		w.Error(v)
	}
	events := 0
	for _, watch := range h.Watches {
		events += len(watch.Events)
	}
	w.Logf("%d submits, %d pods, %d events seen, %d calls failed for good, %d faults",
		len(h.Submits), len(h.Pods), events, len(u.refusals), len(w.notes)-1)
	if w.Failed() {
		w.Logf("what happened:\n%s", strings.Join(w.notes, "\n"))
		w.logs()
	}
}

// logs shows what the processes wrote, when asked for.
func (w *world) logs() {
	if !*keep {
		w.Log("with -chaos.logs the logs of all processes are printed too")
		return
	}
	for _, p := range append(w.servers[:serverCount:serverCount], w.executors...) {
		text, err := os.ReadFile(p.log.Name())
		if err != nil {
			w.Error(err)
		}
		w.Logf("--- %s\n%s", p.name, text)
	}
}

func (w *world) populate(seed uint64) *users {
	w.Helper()
	u := &users{seed: seed, common: w.users.Addr(), servers: w.addresses}
	ctx, cancel := context.WithTimeout(w.Context(), settle)
	defer cancel()
	for i, p := range w.servers {
		if err := serves(ctx, p, w.addresses[i]); err != nil {
			w.logs()
			w.Fatal(err)
		}
	}
	if err := u.prepare(ctx); err != nil {
		w.Fatalf("make the queues: %v", err)
	}
	return u
}

func TestEveryPromiseIsKeptWhateverBreaks(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano()) % 1_000_000
	}
	t.Logf("to see it again: make build && go test ./test/chaos -run %s -chaos.seed %d -chaos.for %v", t.Name(), *seed, *span)
	w := open(t)
	u := w.populate(*seed)
	w.use(u, func(ctx context.Context) error {
		until := time.Now().Add(*span)
		var plagues errgroup.Group
		for i := range uint64(2) {
			plagues.Go(func() error { return w.plague(ctx, u.random(101+i), until) })
		}
		return plagues.Wait()
	})
	w.judge(u)
}

func TestARollingRestartUnderLoadFailsNoCall(t *testing.T) {
	w := open(t)
	u := w.populate(1)
	w.use(u, func(ctx context.Context) error {
		for range 2 {
			for i, p := range w.servers {
				pause(ctx, 2*time.Second)
				w.note(p.name + " is restarted in order")
				if err := stopped(ctx, p, 200*time.Millisecond, nil); err != nil {
					return err
				}
				if err := serves(ctx, p, w.addresses[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
	for _, err := range u.refusals {
		t.Errorf("a call failed: %v", err)
	}
	w.judge(u)
}

// serves returns when a server answers, or an error when it has ended.
func serves(ctx context.Context, p *process, address string) error {
	c, err := dial(address)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	if err := wait(ctx, settle, func() bool { return !p.alive() || c.Ready(ctx) == nil }); err != nil || !p.alive() {
		return fmt.Errorf("%s does not serve", p.name)
	}
	return nil
}
