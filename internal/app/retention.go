package app

import (
	"context"
	"log/slog"
	"time"

	"armada/internal/store"
)

// retention forgets what is old while everything else goes on, a piece at a
// time.
type retention struct {
	store    store.Retention
	folders  folders // nil when there are none
	keep     Store
	keepLogs int64 // bytes
	log      *slog.Logger
}

// folders are what ended runs leave on a machine.
type folders interface {
	Prune(ctx context.Context, age time.Duration, size int64) (int, error)
}

// The work of one piece and the time from one pass to the next; within a pass
// pieces follow each other quickly, so that others come in between.
const (
	retentionPiece    = 2000
	retentionPause    = time.Minute
	retentionInterval = time.Second
)

// retention makes the loop from what the system is made of.
func (u *System) retention() *retention {
	r := &retention{store: u.store, keep: u.config.Store, keepLogs: u.config.Up.KeepLogsBytes, log: u.log}
	if u.folders != nil {
		r.folders = u.folders
	}
	return r
}

// run forgets until the context ends.
func (r *retention) run(ctx context.Context) error {
	timer := time.NewTimer(retentionPause)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		more, err := r.piece(ctx)
		if err != nil && ctx.Err() == nil {
			r.log.Warn("forgetting what is old failed", "error", err)
		}
		if more && err == nil {
			timer.Reset(retentionInterval)
		} else {
			timer.Reset(retentionPause)
		}
	}
}

// piece forgets a piece and tells whether more is left.
func (r *retention) piece(ctx context.Context) (bool, error) {
	more, err := r.store.Prune(ctx, time.Now().Add(-r.keep.KeepFinished), retentionPiece)
	if err != nil || more || r.folders == nil {
		return more, err
	}
	_, err = r.folders.Prune(ctx, r.keep.KeepFinished, r.keepLogs)
	return false, err
}
