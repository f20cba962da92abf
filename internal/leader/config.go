package leader

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"armada"
	"armada/internal/scheduling"
	"armada/internal/store"
)

// Config is what an installation decides about leading. Zero durations and
// numbers stand for the defaults, see [Config.WithDefaults].
type Config struct {
	// TTL is for how long leadership lasts without renewal; it is renewed every
	// third of it. A dead leader is followed after TTL, one CampaignInterval
	// and the time it takes to load the world. Default 3 s.
	TTL time.Duration
	// CampaignInterval is how often a replica that does not lead asks for
	// leadership, and so the delay after an orderly stop. Default 50 ms.
	CampaignInterval time.Duration
	// MinRoundInterval is the shortest time between rounds. Default 5 ms.
	MinRoundInterval time.Duration
	// Poll is how often the feed is read although nothing woke the leader.
	// Default 1 s.
	Poll time.Duration
	// FeedLimit is about how many changes are read at once. Default 5,000.
	FeedLimit int
	// PieceTime is about how long one transition may take; the number of
	// changes in it follows. Default 50 ms.
	PieceTime time.Duration
	// RetryInterval is the pause before something is tried again that failed.
	// Default 100 ms.
	RetryInterval time.Duration

	// MaxUnacknowledged is how many runs an executor may have that it was given
	// and has not said to begin. With more it gets nothing new until it has worked
	// off half of them. 0 is no bound.
	MaxUnacknowledged int

	Expiry     Expiry
	Scheduling scheduling.Config
	// NodeTypes are kinds of nodes that clusters may have although none is
	// there now, since they begin with none.
	NodeTypes []scheduling.KnownKind
}

// Expiry says for how long a silent executor is waited for.
type Expiry struct {
	// Lease stands for the lease of an executor that names none. Default 30 s.
	Lease time.Duration
	// Margin is added to the lease of our own executors before their runs count
	// as lost. Default 5 s.
	Margin time.Duration
	// LostTimeout is for how long lost runs of our own executors are held
	// before their jobs end with lease_expired. Default 15 min.
	LostTimeout time.Duration
	// Original are the time-outs for original executors of 2026 and of 2020,
	// which do not stop their runs when they are cut off. Defaults: closed
	// after a minute, given up after one hour and after 15 minutes; of 2020
	// that counts for each run by itself, from the latest mark that is recorded
	// of it.
	Original2026, Original2020 Timeouts
}

// Timeouts are for executors without a lease of their own.
type Timeouts struct {
	ClosedAfter time.Duration // silence after which nothing new is placed there
	GivenUp     time.Duration // silence after which the runs end
}

// WithDefaults returns the configuration with defaults where nothing is set.
func (c Config) WithDefaults() Config {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.TTL, 3 * time.Second},
		{&c.CampaignInterval, 50 * time.Millisecond},
		{&c.MinRoundInterval, 5 * time.Millisecond},
		{&c.Poll, time.Second},
		{&c.PieceTime, 50 * time.Millisecond},
		{&c.RetryInterval, 100 * time.Millisecond},
		{&c.Expiry.Lease, 30 * time.Second},
		{&c.Expiry.Margin, 5 * time.Second},
		{&c.Expiry.LostTimeout, 15 * time.Minute},
		{&c.Expiry.Original2026.ClosedAfter, time.Minute},
		{&c.Expiry.Original2026.GivenUp, time.Hour},
		{&c.Expiry.Original2020.ClosedAfter, time.Minute},
		{&c.Expiry.Original2020.GivenUp, 15 * time.Minute},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.FeedLimit == 0 {
		c.FeedLimit = 5000
	}
	return c
}

// Validate tells the first thing that is wrong with a configuration that has
// its defaults.
func (c Config) Validate() error {
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"ttl", c.TTL},
		{"campaignInterval", c.CampaignInterval},
		{"minRoundInterval", c.MinRoundInterval},
		{"poll", c.Poll},
		{"pieceTime", c.PieceTime},
		{"retryInterval", c.RetryInterval},
		{"expiry.lease", c.Expiry.Lease},
		{"expiry.margin", c.Expiry.Margin},
		{"expiry.lostTimeout", c.Expiry.LostTimeout},
		{"expiry.original2026.closedAfter", c.Expiry.Original2026.ClosedAfter},
		{"expiry.original2026.givenUp", c.Expiry.Original2026.GivenUp},
		{"expiry.original2020.closedAfter", c.Expiry.Original2020.ClosedAfter},
		{"expiry.original2020.givenUp", c.Expiry.Original2020.GivenUp},
	} {
		if d.value <= 0 {
			return fmt.Errorf("leader.%s: %v must be more than nothing", d.name, d.value)
		}
	}
	if c.CampaignInterval >= c.TTL {
		return fmt.Errorf("leader.campaignInterval: %v must be shorter than ttl, %v", c.CampaignInterval, c.TTL)
	}
	if c.MaxUnacknowledged < 0 {
		return fmt.Errorf("leader.maxUnacknowledged: must be 0, for no bound, or more, is %d", c.MaxUnacknowledged)
	}
	if c.FeedLimit < 1 {
		return fmt.Errorf("leader.feedLimit: %d must be at least 1", c.FeedLimit)
	}
	return nil
}

// Store is what a leader needs of the store.
type Store interface {
	store.Leadership
	// Load, Changes and Subscribe are those of [store.Feed].
	Load(ctx context.Context, visit func(store.Changes) error) (store.Position, error)
	Changes(ctx context.Context, after store.Position, limit int) (store.Changes, store.Position, error)
	Subscribe() (signal <-chan struct{}, stop func())
	// Transition is that of [store.Jobs].
	Transition(ctx context.Context, fence store.Fence, units []store.Unit) ([]store.UnitResult, error)
	// Executors is that of [store.Executors].
	Executors(ctx context.Context) ([]store.ExecutorNodes, error)
	// Held is that of [store.Restoration].
	Held(ctx context.Context) (time.Duration, error)
	// Requirements is that of [store.Asking].
	Requirements(ctx context.Context, id armada.ShapeID) (*armada.Requirements, error)
}

// Parts are what a leader is made of.
type Parts struct {
	Store   Store
	Replica store.Replica         // this replica among those of the store
	Log     *slog.Logger          // nil discards
	Metrics prometheus.Registerer // nil registers nothing
	Clock   Clock                 // nil is [MachineClock]
	Bids    Bids                  // nil where nobody bids
}

// Bids tells what queues bid in market-driven pools.
type Bids interface {
	// Latest returns what is known now, and must not change any more.
	Latest() armada.Bids
	// Changed returns a channel that receives when Latest may have changed.
	Changed() <-chan struct{}
}

// Clock tells the time and waits. Its times are only compared with each other.
type Clock interface {
	Now() time.Time
	// After returns a channel that receives once after the time, and a function
	// that releases what that takes.
	After(d time.Duration) (fired <-chan time.Time, stop func())
}

// MachineClock is the clock of this machine, ahead by Offset.
type MachineClock struct{ Offset time.Duration }

// Now is that of [Clock].
func (c MachineClock) Now() time.Time { return time.Now().Add(c.Offset) }

// After is that of [Clock].
func (c MachineClock) After(d time.Duration) (<-chan time.Time, func()) {
	timer := time.NewTimer(d)
	return timer.C, func() { timer.Stop() }
}

// sleep waits for a time or until the context is done.
func sleep(ctx context.Context, clock Clock, d time.Duration) {
	fired, stop := clock.After(d)
	defer stop()
	select {
	case <-fired:
	case <-ctx.Done():
	}
}
