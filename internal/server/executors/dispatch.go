package executors

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"armada"
	"armada/internal/store"
)

// feedPiece bounds one read of the feed.
const feedPiece = 5000

// idlePoll is how often the feed is read although nobody has signalled.
const idlePoll = 2 * time.Second

// Run follows the feed until the context ends, and returns its cause.
func (s *Service) Run(ctx context.Context) error {
	signal, stop := s.store.Subscribe()
	defer stop()
	defer s.close()
	position, err := s.store.End(ctx)
	for {
		if err == nil {
			position, err = s.follow(ctx, position)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Warn("the feed cannot be followed; executors are brought up to date at their next request", "error", err)
			if next, endErr := s.store.End(ctx); endErr == nil {
				position, err = next, nil
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-signal:
		case <-time.After(idlePoll):
		}
	}
}

// follow hands out everything that the feed has after the position.
func (s *Service) follow(ctx context.Context, position store.Position) (store.Position, error) {
	for {
		jobs, next, err := s.store.ChangedRuns(ctx, position, feedPiece)
		if err != nil {
			return position, fmt.Errorf("reading the feed: %w", err)
		}
		if bytes.Equal(next, position) {
			return position, nil
		}
		s.dispatch(jobs)
		position = next
	}
}

// dispatch hands jobs with runs to the streams of their executors.
func (s *Service) dispatch(jobs []store.JobAndRun) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range jobs {
		if run := jobs[i].Run; run != nil {
			if stream, here := s.streams[run.Executor]; here {
				stream.hand(&jobs[i])
			}
		}
	}
}

// attach makes the stream the one of its executor, and ends an older one. When
// two sessions of an executor are opened at the same time, the one that ends here
// need not be the one that is void in the store; then both end, the other by the
// fence, and the executor opens a third.
func (s *Service) attach(st *stream) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errShutdown
	}
	if older := s.streams[st.executor]; older != nil {
		older.end(errSuperseded)
	}
	s.streams[st.executor] = st
	return nil
}

// detach forgets a stream, unless another has taken its place.
func (s *Service) detach(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams[st.executor] == st {
		delete(s.streams, st.executor)
	}
}

// streamOf returns the executor's stream, if it is held here.
func (s *Service) streamOf(id armada.ExecutorID) (*stream, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, here := s.streams[id]
	return st, here
}

// close ends all streams: the executors go to another replica.
func (s *Service) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, st := range s.streams {
		st.end(errShutdown)
	}
}
