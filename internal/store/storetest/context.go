package storetest

import (
	"context"
	"errors"
	"testing"
)

func endedContext(t *testing.T, form Form) {
	w := open(t, form)
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	// A call may have begun before it sees that: then it is answered as done.
	s := submission("a", "set", 1)
	_, err := w.Submit(ctx, s)
	jobs, readErr := w.JobsByID(w.ctx, idsOf(s))
	w.ok(readErr)
	if (err == nil) != (len(jobs) == 1) {
		t.Errorf("the answer is %v and %d jobs are there", err, len(jobs))
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("the answer is %v", err)
	}
}
