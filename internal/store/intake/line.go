package intake

import (
	"context"
	"fmt"
	"sync/atomic"
)

// The bounds of a group.
const (
	// MaxGroup bounds the requests of one group, and how many may wait.
	MaxGroup = 512
	// maxGroupWeight bounds the rows of one group, so that nobody waits long
	// for others' work. A single request may weigh more.
	maxGroupWeight = 4000
)

// Request is a call that waits for its group. W is what the form needs to know
// of it.
type Request[W any] struct {
	What   string
	Work   W
	weight int         // about how many rows it writes
	taken  atomic.Bool // by the writer, or by its caller who gave up
	done   chan error
	doubt  chan struct{} // closed when nobody can tell whether it was done
}

// Answer ends the caller's wait. It is called once.
func (r *Request[W]) Answer(err error) { r.done <- err }

// Doubt lets the caller give up although its request was taken: it is not
// known, and may not be for long, whether it was done. It is called at most
// once; Answer may follow.
func (r *Request[W]) Doubt() { close(r.doubt) }

// Line is where callers wait for the one goroutine that writes.
type Line[W any] struct {
	requests chan *Request[W]
	group    []*Request[W]
}

// NewLine returns an empty line.
func NewLine[W any]() *Line[W] { return &Line[W]{requests: make(chan *Request[W], MaxGroup)} }

// Do waits until the request is answered. When the context ends before the
// writer has taken the request, nothing is done; afterwards only a doubt lets
// the caller go, with [ErrDoubt].
func (l *Line[W]) Do(ctx context.Context, what string, weight int, work W) error {
	r := &Request[W]{What: what, Work: work, weight: weight, done: make(chan error, 1), doubt: make(chan struct{})}
	select {
	case l.requests <- r:
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		if r.taken.CompareAndSwap(false, true) {
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		}
	}
	select {
	case err := <-r.done:
		return err
	case <-r.doubt:
	}
	select {
	case err := <-r.done: // known by now
		return err
	default:
		return fmt.Errorf("%s: %w: %w", what, ErrDoubt, context.Cause(ctx))
	}
}

// Close lets Next return what waits and then nil. Nobody may call Do any more.
func (l *Line[W]) Close() { close(l.requests) }

// Waiting is how many requests nobody has taken yet.
func (l *Line[W]) Waiting() int { return len(l.requests) }

// Next waits for requests and takes those that wait, up to the bounds of a
// group. It returns nil once the line is closed and empty. The slice is valid
// until the next call, which only one goroutine makes.
func (l *Line[W]) Next() []*Request[W] {
	for first := range l.requests {
		l.group = l.group[:0]
		l.take(first)
		for weight := first.weight; len(l.group) < MaxGroup && weight < maxGroupWeight; {
			r, more := l.poll()
			if !more {
				break
			}
			l.take(r)
			weight += r.weight
		}
		if len(l.group) > 0 {
			return l.group
		}
	}
	return nil
}

func (l *Line[W]) poll() (*Request[W], bool) {
	select {
	case r, open := <-l.requests:
		return r, open
	default:
		return nil, false
	}
}

func (l *Line[W]) take(r *Request[W]) {
	if r.taken.CompareAndSwap(false, true) {
		l.group = append(l.group, r)
	}
}
