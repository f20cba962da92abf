//go:build !windows

package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"armada/pkg/client"
)

// watchSize tells every later size of a terminal, until the context ends.
func watchSize(ctx context.Context, fd int) <-chan client.TerminalSize {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	sizes := make(chan client.TerminalSize)
	go func() {
		defer signal.Stop(changed)
		for {
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
			select {
			case sizes <- sizeOf(fd):
			case <-ctx.Done():
				return
			}
		}
	}()
	return sizes
}

// guard calls back before a signal ends the process that nothing else here listens
// to, until the context ends. Writing into a pipe that nobody reads is an error
// meanwhile, not the end.
func guard(ctx context.Context, back func()) {
	fatal := make(chan os.Signal, 1)
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGQUIT} {
		if !signal.Ignored(s) { // as nohup has it
			signal.Notify(fatal, s)
		}
	}
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	go func() {
		defer signal.Stop(broken)
		defer signal.Stop(fatal)
		select {
		case by := <-fatal:
			back()
			die(by)
		case <-ctx.Done():
		}
	}()
}
