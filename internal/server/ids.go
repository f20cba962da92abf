package server

import (
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"armada"
)

// ids makes job ids: lower-case ULIDs, which grow within a process so that
// those of one request sort in the order of its items.
type ids struct {
	mu      sync.Mutex
	now     func() time.Time
	entropy *ulid.MonotonicEntropy
	last    uint64
}

func newIDs(now func() time.Time) *ids {
	return &ids{now: now, entropy: ulid.Monotonic(rand.Reader, 0)}
}

// next returns n new ids.
func (g *ids) next(n int) ([]armada.JobID, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last = max(g.last, ulid.Timestamp(g.now())) // a clock that steps back does not
	made := make([]armada.JobID, n)
	for i := range made {
		id, err := ulid.New(g.last, g.entropy)
		if err != nil {
			// The random part ran over its end; the next millisecond has a new one.
			g.last++
			if id, err = ulid.New(g.last, g.entropy); err != nil {
				return nil, fmt.Errorf("make a job id: %w", err)
			}
		}
		made[i] = armada.JobID(strings.ToLower(id.String()))
	}
	return made, nil
}
