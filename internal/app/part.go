package app

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"
)

// part is a group of loops that are stopped together.
type part struct {
	stop context.CancelFunc
	done chan struct{}
}

// start runs loops until the part is stopped or one of them fails.
func start(ctx context.Context, failed func(error), loops ...func(context.Context) error) *part {
	ctx, stop := context.WithCancel(ctx)
	p := &part{stop: stop, done: make(chan struct{})}
	g, ctx := errgroup.WithContext(ctx)
	for _, loop := range loops {
		g.Go(func() error { return loop(ctx) })
	}
	go func() {
		err := g.Wait()
		close(p.done) // before it is told: whoever hears of it finds the part over
		if err != nil && !errors.Is(err, context.Canceled) {
			failed(err)
		}
	}()
	return p
}

// over tells whether all loops have returned.
func (p *part) over() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// end stops the part and waits until its loops have returned.
func (p *part) end() {
	p.stop()
	<-p.done
}
