package app

import (
	"fmt"
	"time"

	"armada/internal/leader"
	"armada/internal/server/executors2026"
	"armada/internal/wire"
)

// Original2026 sets how executors of the original of 2026 are served.
type Original2026 struct {
	// ClosedAfter is how long such an executor may be silent before it gets nothing
	// new.
	ClosedAfter time.Duration
	// LostTimeout is how long it may be silent before its runs are given up. It does
	// not stop them by itself, so they may go on all the same.
	LostTimeout time.Duration
	// NodeIDLabel is the label that tells its nodes apart: pods are bound to nodes by
	// it, so the executor must report it.
	NodeIDLabel string
	// PriorityClass is the class that all its pods get, and that its cluster must
	// have; empty is none, whatever classes jobs have.
	PriorityClass string
}

func defaultOriginal2026() Original2026 {
	serve, expiry := executors2026.DefaultConfig(), leader.Config{}.WithDefaults().Expiry.Original2026
	return Original2026{ClosedAfter: serve.ClosedAfter, LostTimeout: expiry.GivenUp, NodeIDLabel: serve.Pinning.NodeIDLabel}
}

func (o Original2026) validate() error {
	if o.LostTimeout <= o.ClosedAfter {
		return fmt.Errorf("executors.original2026.lostTimeout: must be longer than closedAfter, %s, is %s", o.ClosedAfter, o.LostTimeout)
	}
	return nil
}

// timeouts are for the leader.
func (o Original2026) timeouts() leader.Timeouts {
	return leader.Timeouts{ClosedAfter: o.ClosedAfter, GivenUp: o.LostTimeout}
}

// service is for who serves them.
func (o Original2026) service(maxAttempts int) executors2026.Config {
	return executors2026.Config{
		ClosedAfter: o.ClosedAfter, MaxAttempts: maxAttempts, Pinning: wire.Pinning{NodeIDLabel: o.NodeIDLabel, PriorityClass: o.PriorityClass},
	}
}
