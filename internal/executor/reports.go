package executor

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada"
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

// reportNews reports what is in the ledger. Without an open session nothing is
// reported: opening one is news.
func (a *Agent) reportNews(ctx context.Context) error {
	reports := a.ledger.unreported(a.draining.Load())
	for len(reports) > 0 {
		n := min(len(reports), reportsPerCall)
		session := a.reportsIn()
		if session == "" {
			return nil
		}
		list := &executorapi.EventList{
			ExecutorId: string(a.config.ID),
			SessionId:  string(session),
			Events:     sequences(reports[:n], a.config.Pool),
		}
		if err := a.send(ctx, list); err != nil {
			return fmt.Errorf("reporting %d runs: %w", n, err)
		}
		for _, r := range reports[:n] {
			if a.ledger.acknowledged(r) {
				a.forget(r.status.Run)
			}
		}
		reports = reports[n:]
	}
	return nil
}

// send reports once. When the server says that the session is not the current
// one any more, nothing is reported until the next one is open: the stream, too,
// is about to hear of it.
func (a *Agent) send(ctx context.Context, list *executorapi.EventList) error {
	ctx, cancel := context.WithTimeout(ctx, a.config.Patience)
	defer cancel()
	_, err := a.api.ReportEvents(ctx, list)
	if status.Code(err) == codes.FailedPrecondition {
		a.closeSession(armada.SessionID(list.GetSessionId()))
	}
	return err
}
