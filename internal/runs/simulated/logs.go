package simulated

import (
	"context"
	"fmt"
	"time"

	"armada"
	"armada/internal/runs"
)

// logs holds what pods printed. Its owner guards it.
type logs struct {
	lines   map[armada.RunID]printed
	retired []armada.RunID // forgotten runs with lines, a ring
	oldest  int
}

type printed struct {
	at    time.Time
	lines []string
}

func newLogs(kept int) logs {
	return logs{lines: make(map[armada.RunID]printed), retired: make([]armada.RunID, 0, kept)}
}

func (l *logs) print(run armada.RunID, at time.Time, lines []string) {
	if len(lines) > 0 {
		l.lines[run] = printed{at, lines}
	}
}

// retire lets the lines of a run go when their turn comes.
func (l *logs) retire(run armada.RunID) {
	if _, any := l.lines[run]; !any {
		return
	}
	if len(l.retired) < cap(l.retired) {
		l.retired = append(l.retired, run)
		return
	}
	delete(l.lines, l.retired[l.oldest])
	l.retired[l.oldest] = run
	l.oldest = (l.oldest + 1) % len(l.retired)
}

// Logs calls visit with the lines that the run's annotation gave. They are
// printed at once when the pod begins to run.
func (r *Runtime) Logs(ctx context.Context, run armada.RunID, q runs.LogQuery, visit func(runs.LogLine) error) error {
	q.Follow = q.Follow && !q.Previous // nothing here is started again
	r.mu.Lock()
	p, lives := r.pods[run]
	_, known := r.logs.lines[run]
	r.mu.Unlock()
	if !known && !lives {
		return fmt.Errorf("logs of run %s: %w", run, runs.ErrUnknownRun)
	}
	over := r.ledger.Over(run)
	wait := func(happened <-chan struct{}) error {
		select {
		case <-happened:
			return nil
		case <-over:
			return nil
		case <-r.quit:
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("follow the logs of run %s: %w", run, context.Cause(ctx))
		}
	}
	if q.Follow && lives {
		if err := wait(p.ran); err != nil {
			return err
		}
	}
	if err := r.visit(run, q, visit); err != nil {
		return err
	}
	if q.Follow {
		return wait(over)
	}
	return nil
}

func (r *Runtime) visit(run armada.RunID, q runs.LogQuery, visit func(runs.LogLine) error) error {
	r.mu.Lock()
	p := r.logs.lines[run]
	r.mu.Unlock()
	if q.Previous || (q.Container != "" && q.Container != "main") || p.at.Before(q.Since) {
		return nil
	}
	lines := p.lines
	if q.Tail > 0 && int64(len(lines)) > q.Tail {
		lines = lines[int64(len(lines))-q.Tail:]
	}
	for _, text := range lines {
		if err := visit(runs.LogLine{Time: p.at, Container: "main", Text: []byte(text)}); err != nil {
			return err
		}
	}
	return nil
}
