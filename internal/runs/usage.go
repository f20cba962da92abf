package runs

import (
	"context"
	"errors"
	"time"

	"armada"
)

// ErrNotMeasured is answered where nobody measures what runs use.
var ErrNotMeasured = errors.New("nobody measures what runs use")

// Measurer is a runtime that can tell what runs use. Not every [Runtime] is one.
type Measurer interface {
	// Usage returns the latest sample of each run of which there is one.
	// ErrNotMeasured when there can be none at present.
	Usage(ctx context.Context) (map[armada.RunID]Sample, error)
}

// Sample is what a run used in a time that ended not long ago.
type Sample struct {
	At     time.Time     // the end of the time
	Window time.Duration // how long it was
	CPU    int64         // billionths of a core, on average in that time
	Memory int64         // bytes, at its end
}
