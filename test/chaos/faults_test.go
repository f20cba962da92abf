package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"armada/test/chaos/proxy"
)

// fault is one thing that goes wrong for a while. It returns when everything it
// broke is whole again, or an error when something does not come back.
type fault struct {
	name   string
	weight int
	happen func(ctx context.Context, w *world, r *rand.Rand) error
}

// faults are what may go wrong, with how often.
var faults = []fault{
	{"a server is killed", 4, func(ctx context.Context, w *world, r *rand.Rand) error {
		return killed(ctx, w.servers[r.IntN(len(w.servers))], between(r, 0, 3*time.Second), skew(r))
	}},
	{"a server is stopped in order", 3, func(ctx context.Context, w *world, r *rand.Rand) error {
		return stopped(ctx, w.servers[r.IntN(len(w.servers))], between(r, 0, time.Second), skew(r))
	}},
	{"a server is frozen", 4, func(ctx context.Context, w *world, r *rand.Rand) error {
		return frozen(ctx, w.servers[r.IntN(len(w.servers))], between(r, 100*time.Millisecond, 8*time.Second))
	}},
	{"an executor is killed", 2, func(ctx context.Context, w *world, r *rand.Rand) error {
		return killed(ctx, w.executors[r.IntN(len(w.executors))], between(r, 0, 2*time.Second), skew(r))
	}},
	{"an executor is frozen", 2, func(ctx context.Context, w *world, r *rand.Rand) error {
		return frozen(ctx, w.executors[r.IntN(len(w.executors))], between(r, 100*time.Millisecond, 12*time.Second))
	}},
	{"connections are cut", 4, func(_ context.Context, w *world, r *rand.Rand) error {
		w.links[r.IntN(len(w.links))].Cut()
		return nil
	}},
	{"connections are slow", 2, func(ctx context.Context, w *world, r *rand.Rand) error {
		return faulty(ctx, w, r, proxy.Fault{Delay: between(r, time.Millisecond, 200*time.Millisecond)}, false)
	}},
	{"connections carry nothing one way", 4, func(ctx context.Context, w *world, r *rand.Rand) error {
		up := r.IntN(2) == 0
		return faulty(ctx, w, r, proxy.Fault{NothingUp: up, NothingDown: !up}, false)
	}},
	{"connections are refused", 2, func(ctx context.Context, w *world, r *rand.Rand) error {
		return faulty(ctx, w, r, proxy.Fault{Refuse: true}, true)
	}},
	{"the database is restarted", 1, func(_ context.Context, w *world, r *rand.Rand) error {
		w.database.restart(w.T, r.IntN(2) == 0)
		return nil
	}},
}

// orderly is how long an orderly stop may take. It bounds failures.
const orderly = 30 * time.Second

// killed ends a process without warning and starts it again after a while. A
// process or link that is in trouble already is left alone, here and below.
func killed(ctx context.Context, p *process, away time.Duration, extra []string) error {
	if !p.trouble.TryLock() {
		return nil
	}
	defer p.trouble.Unlock()
	p.kill()
	pause(ctx, away)
	return p.start(extra...)
}

// stopped ends a process in order, and starts it again.
func stopped(ctx context.Context, p *process, away time.Duration, extra []string) error {
	if !p.trouble.TryLock() {
		return nil
	}
	defer p.trouble.Unlock()
	if err := p.stop(orderly); err != nil {
		return err
	}
	pause(ctx, away)
	return p.start(extra...)
}

// frozen holds a process still for a while.
func frozen(ctx context.Context, p *process, away time.Duration) error {
	if !p.trouble.TryLock() {
		return nil
	}
	defer p.trouble.Unlock()
	p.signal(syscall.SIGSTOP)
	pause(ctx, away)
	p.signal(syscall.SIGCONT)
	return nil
}

// faulty breaks a link for a while, in the ways given, and cuts what it carries
// if that is to be.
func faulty(ctx context.Context, w *world, r *rand.Rand, f proxy.Fault, cut bool) error {
	link := w.links[r.IntN(len(w.links))]
	if !link.trouble.TryLock() {
		return nil
	}
	defer link.trouble.Unlock()
	link.Set(f)
	if cut {
		link.Cut()
	}
	pause(ctx, between(r, 100*time.Millisecond, 6*time.Second))
	link.Set(proxy.Fault{})
	return nil
}

// skew sets the next life's own clock wrong, often.
func skew(r *rand.Rand) []string {
	if r.IntN(2) == 0 {
		return nil
	}
	return []string{"ARMADA_REHEARSAL_CLOCKOFFSET=" + between(r, -time.Hour, time.Hour).Round(time.Second).String()}
}

// plague lets faults happen, one after the other, until the time is over.
func (w *world) plague(ctx context.Context, r *rand.Rand, until time.Time) error {
	total := 0
	for _, f := range faults {
		total += f.weight
	}
	for time.Now().Before(until) && ctx.Err() == nil {
		pause(ctx, between(r, 50*time.Millisecond, 1500*time.Millisecond))
		pick := r.IntN(total)
		for _, f := range faults {
			if pick -= f.weight; pick < 0 {
				w.note(f.name)
				if err := f.happen(ctx, w, r); err != nil {
					return fmt.Errorf("%s: %w", f.name, err)
				}
				break
			}
		}
	}
	return nil
}

func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)))
}
