package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"armada/internal/store"
)

// retention forgets what is old or too much, a piece at a time, while everything
// else goes on. Active jobs, their events and their folders stay.
type retention struct {
	store     store.Retention // nil when it is elsewhere
	leads     func() bool     // of the replicas that share a store the one that leads works on it
	folders   folders         // nil when there are none
	keep      Store
	keepLogs  int64 // bytes
	now       func() time.Time
	log       *slog.Logger
	forgotten *prometheus.CounterVec // by what
}

// folders are what ended runs leave on a machine: working folders and logs.
type folders interface {
	// Prune removes those that were last written to before the time, and the
	// oldest as long as all of them hold more than size bytes; zero means no
	// such limit. It tells how many went.
	Prune(ctx context.Context, before time.Time, size int64) (int, error)
}

// A pass goes over everything in pieces of so many rows; between two pieces
// others come in. The next pass begins after the pause.
const (
	retentionPiece    = 2000
	retentionInterval = time.Second / 4
	retentionPause    = time.Minute
)

// retention makes the loop from what the system is made of.
func (s *System) retention() (*retention, error) {
	r := &retention{
		keep: s.config.Store.kept(), keepLogs: s.config.Executor.KeepLogsBytes, now: s.config.Rehearsal.now, log: s.log,
		folders: s.folders, leads: func() bool { return s.leader.Known().Replica.Name == s.replica.Name },
		forgotten: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "armada_retention_forgotten_total", Help: "What was forgotten because it was old or too much: jobs, events, client ids, run folders.",
		}, []string{"what"}),
	}
	if s.store != nil {
		r.store = s.store
	}
	if err := s.registry.Register(r.forgotten); err != nil {
		return nil, fmt.Errorf("register the metric of what was forgotten: %w", err)
	}
	return r, nil
}

// run forgets until the context ends. A piece that fails, as on a full disk, is
// told and tried again after the pause.
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
			r.log.Warn("forgetting what is old failed; it is tried again", "error", err)
		}
		if more && err == nil {
			timer.Reset(retentionInterval)
		} else {
			timer.Reset(retentionPause)
		}
	}
}

// piece forgets a piece and tells whether the pass goes on. Run folders go with
// the jobs, by the time before which no queue keeps any; a store that fails does not keep them, because a
// disk that is full may be full of them.
func (r *retention) piece(ctx context.Context) (bool, error) {
	keep := r.keep.keep(r.now())
	done := store.Forgotten{Before: keep.Earliest()}
	var err error
	if r.store != nil && r.leads() {
		done, err = r.store.Prune(ctx, keep, retentionPiece)
	}
	r.forgotten.WithLabelValues("jobs").Add(float64(done.Jobs))
	r.forgotten.WithLabelValues("events").Add(float64(done.Events))
	r.forgotten.WithLabelValues("client ids").Add(float64(done.ClientIDs))
	if r.folders == nil || err == nil && done.More {
		return done.More, err
	}
	n, failed := r.folders.Prune(ctx, done.Before, r.keepLogs)
	r.forgotten.WithLabelValues("run folders").Add(float64(n))
	return done.More, errors.Join(err, failed)
}
