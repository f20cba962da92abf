package main

import (
	"context"
	"time"

	"armada/pkg/client"
)

// watchSize tells every later size of a terminal, until the context ends. Nothing
// tells when it changes.
func watchSize(ctx context.Context, fd int) <-chan client.TerminalSize {
	sizes := make(chan client.TerminalSize)
	go func() {
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for last := sizeOf(fd); ; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			now := sizeOf(fd)
			if now == last {
				continue
			}
			select {
			case sizes <- now:
				last = now
			case <-ctx.Done():
				return
			}
		}
	}()
	return sizes
}

// guard has nothing to do: no signal ends the process here that is not listened to.
func guard(context.Context, func()) {}
