package executor

import (
	"errors"
	"fmt"
	"time"

	"armada"
)

// Config is what an operator decides about an agent.
type Config struct {
	// ID names the executor; it must be unique among all executors of a server.
	ID armada.ExecutorID
	// Pool is the pool of nodes that name none.
	Pool string
	// MinimumJob is the least that a job must ask for of each resource to be run
	// here.
	MinimumJob armada.Resources
	// Heartbeat is how often the agent tells what it holds.
	Heartbeat time.Duration
	// Patience is how long the agent waits for the answer to a request before it
	// opens another session.
	Patience time.Duration
	// Margin is how long before the end of its lease the agent begins to stop
	// its runs. It must be longer than stopping takes.
	Margin time.Duration
	// FirstLease is how long runs that were found at the start may live before
	// the first acknowledgement. How much was left of the lease of the agent
	// before is not known, so it should be well below what the leader waits
	// beyond the lease (its lost timeout).
	FirstLease time.Duration
	// RetryMin and RetryMax bound the pause after a failed call or connection;
	// it doubles in between.
	RetryMin, RetryMax time.Duration
	// UsageSample is how often the agent looks at what runs use, where the runtime
	// can tell. UsageReport is how often it tells the server, beside the end of each
	// run; 0 is never.
	UsageSample, UsageReport time.Duration
	// Categories name the ways in which runs fail.
	Categories Categories
	// Starts is how many runs are started, and how many stopped, at a time.
	Starts int
	// Exec lets people run commands in containers, if they have the right to it.
	// MaxExecs is how many run at a time.
	Exec     bool
	MaxExecs int
}

// DefaultConfig returns the defaults; the id must still be set.
func DefaultConfig() Config {
	return Config{
		Pool:       armada.DefaultPool,
		Heartbeat:  3 * time.Second,
		Patience:   20 * time.Second,
		Margin:     15 * time.Second,
		FirstLease: 2 * time.Minute,
		RetryMin:   100 * time.Millisecond,
		RetryMax:   5 * time.Second,
		Starts:     16,
		MaxExecs:   32,

		UsageSample: 15 * time.Second,
		UsageReport: 5 * time.Minute,
	}
}

// Validate tells everything that is wrong with the config.
func (c Config) Validate() error {
	var errs []error
	if err := armada.ValidateQueueName(string(c.ID)); err != nil {
		errs = append(errs, fmt.Errorf("id: %w", err))
	}
	if c.Pool == "" {
		errs = append(errs, errors.New("pool: must not be empty"))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"heartbeat", c.Heartbeat}, {"patience", c.Patience}, {"margin", c.Margin}, {"firstLease", c.FirstLease}, {"retryMin", c.RetryMin}, {"retryMax", c.RetryMax}} {
		if d.value <= 0 {
			errs = append(errs, fmt.Errorf("%s: must be longer than 0, is %s", d.name, d.value))
		}
	}
	if c.FirstLease <= c.Margin {
		errs = append(errs, fmt.Errorf("firstLease: must be longer than the margin, which is %s, is %s", c.Margin, c.FirstLease))
	}
	if c.UsageReport < 0 || c.UsageReport > 0 && (c.UsageSample <= 0 || c.UsageSample > c.UsageReport) {
		errs = append(errs, fmt.Errorf("usageSample, usageReport: there must be a sample in every report, and no report is 0; are %s and %s", c.UsageSample, c.UsageReport))
	}
	if c.Starts < 1 {
		errs = append(errs, fmt.Errorf("starts: must be at least 1, is %d", c.Starts))
	}
	if c.MaxExecs < 1 {
		errs = append(errs, fmt.Errorf("maxExecs: must be at least 1, is %d", c.MaxExecs))
	}
	if err := c.Categories.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("categories: %w", err))
	}
	return errors.Join(errs...)
}
