package executor

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"
)

// crew asks the runtime for things, a bounded number at a time and beside who
// wants them: a runtime may take its time, and a session that waits for it
// would hear of nothing else, not even of its lease. What waits is bounded by
// the runs of the ledger.
type crew struct {
	hands int
	mu    sync.Mutex
	tasks []func(context.Context)
	more  chan struct{} // holds a token while tasks may wait
}

func newCrew(hands int) *crew { return &crew{hands: hands, more: make(chan struct{}, 1)} }

// give adds a task. It does not wait.
func (c *crew) give(task func(context.Context)) {
	c.mu.Lock()
	c.tasks = append(c.tasks, task)
	c.mu.Unlock()
	c.call()
}

func (c *crew) call() {
	select {
	case c.more <- struct{}{}:
	default:
	}
}

// next takes the oldest task, and calls another hand when there are more.
func (c *crew) next() func(context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.tasks) == 0 {
		return nil
	}
	task := c.tasks[0]
	c.tasks[0] = nil
	if c.tasks = c.tasks[1:]; len(c.tasks) > 0 {
		c.call()
	}
	return task
}

// work does tasks until the context ends, and returns its cause when those in
// hand are done.
func (c *crew) work(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for range c.hands {
		g.Go(func() error {
			for {
				select {
				case <-ctx.Done():
					return context.Cause(ctx)
				case <-c.more:
				}
				for task := c.next(); task != nil && ctx.Err() == nil; task = c.next() {
					task(ctx)
				}
			}
		})
	}
	return g.Wait()
}
