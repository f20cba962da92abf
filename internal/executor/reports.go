package executor

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada/internal/runs"
	"armada/pkg/api/executorapi"
)

// reportsPerCall bounds one call; a report is a few hundred bytes, and up to
// some KiB with the messages of a failure.
const reportsPerCall = 500

// report tells the server what it does not know yet, whenever there is news. A
// call that fails is repeated: reports are idempotent.
func (a *Agent) report(ctx context.Context) error {
	pause := a.config.RetryMin
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-a.news.c:
		case <-a.opened.c:
		}
		for {
			err := a.reportNews(ctx)
			if err == nil {
				pause = a.config.RetryMin
				break
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			a.log.Warn("reporting failed", "error", err, "retry", pause)
			if err := sleep(ctx, pause); err != nil {
				return err
			}
			pause = min(2*pause, a.config.RetryMax)
		}
	}
}

// reportNews brings the ledger up to date, starts what has waited long enough,
// and reports. Without an open session nothing is reported: opening one is news.
func (a *Agent) reportNews(ctx context.Context) error {
	var statuses []runs.Status
	statuses, a.seen = a.runtime.Changed(a.seen)
	for _, o := range a.ledger.learn(statuses) {
		if err := a.start(ctx, o); err != nil {
			return err
		}
	}
	reports := a.ledger.unreported(a.draining.Load())
	for len(reports) > 0 {
		n := min(len(reports), reportsPerCall)
		session := a.openSession()
		if session == "" {
			return nil
		}
		list := &executorapi.EventList{
			ExecutorId: string(a.config.ID),
			SessionId:  string(session),
			Events:     sequences(reports[:n], a.config.Pool),
		}
		if _, err := a.api.ReportEvents(ctx, list); err != nil {
			return fmt.Errorf("reporting %d runs: %w", n, a.voided(err))
		}
		for _, r := range reports[:n] {
			if !a.ledger.acknowledged(r) {
				continue
			}
			if err := a.runtime.Forget(ctx, r.status.Run); err != nil {
				a.log.Error("an ended run could not be forgotten", "run", r.status.Run, "error", err)
			}
		}
		reports = reports[n:]
	}
	return nil
}

// voided notes that the server has closed the session, if the error says so.
func (a *Agent) voided(err error) error {
	if code := status.Code(err); code == codes.FailedPrecondition || code == codes.Aborted {
		a.setSession("")
	}
	return err
}
