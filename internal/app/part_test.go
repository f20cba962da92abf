package app

import (
	"context"
	"errors"
	"testing"
)

func TestAPartWhoseLoopFailsEndsTheOthersAndIsOverWhenItIsTold(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	told := make(chan error, 1)
	otherEnded := make(chan struct{})
	p := start(t.Context(), func(err error) { told <- err },
		func(context.Context) error { return broken },
		func(ctx context.Context) error { <-ctx.Done(); close(otherEnded); return ctx.Err() },
	)
	if err := <-told; !errors.Is(err, broken) {
		t.Errorf("told is %v", err)
	}
	if !p.over() {
		t.Error("who hears of the failure does not find the part over, and would wait for its loops")
	}
	<-otherEnded
}

func TestAPartThatIsStoppedHasNotFailed(t *testing.T) {
	t.Parallel()
	p := start(t.Context(), func(err error) { t.Errorf("told is %v", err) },
		func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	)
	if p.over() {
		t.Error("the part is over before it was stopped")
	}
	p.end()
	if !p.over() {
		t.Error("the part was stopped and is not over")
	}
}
