package pricing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"armada"
)

// Config says where bids come from. Without a file and a service there are none.
type Config struct {
	// File has the bids, see docs/howto/market.md. It is read again all the time,
	// and may be replaced while the server runs.
	File string
	// Service is asked for the bids.
	Service Service
	// Refresh is how often the file is read, or the service asked.
	Refresh time.Duration
}

// Service is a server of api.BidRetrieverService.
type Service struct {
	Address string // host:port of its gRPC API; empty for none
	TLS     bool   // whether the connection is encrypted
	// CAFile has the certificates, in PEM, of the authorities that the service's
	// certificate must come from; empty for those that the machine trusts.
	CAFile string
}

// DefaultConfig asks nobody, and would every 10 s.
func DefaultConfig() Config { return Config{Refresh: 10 * time.Second} }

// Configured tells whether there is anybody to be asked.
func (c Config) Configured() bool { return c.File != "" || c.Service.Address != "" }

// Validate tells everything that is wrong.
func (c Config) Validate() error {
	var errs []error
	if c.File != "" && c.Service.Address != "" {
		errs = append(errs, errors.New("file: must be empty when service.address is set: bids come from one place"))
	}
	if c.Refresh <= 0 {
		errs = append(errs, fmt.Errorf("refresh: must be more than nothing, such as 10s, is %v", c.Refresh))
	}
	if addr := c.Service.Address; addr != "" {
		host, port, err := net.SplitHostPort(addr)
		if _, number := strconv.ParseUint(port, 10, 16); err != nil || host == "" || number != nil {
			errs = append(errs, fmt.Errorf("service.address: must be host:port of a gRPC API, such as bids.example:50051, is %q", addr))
		}
	} else if c.Service.TLS {
		errs = append(errs, errors.New("service.tls: must be left out without service.address"))
	}
	if c.Service.CAFile != "" && !c.Service.TLS {
		errs = append(errs, errors.New("service.caFile: must be left out without service.tls"))
	}
	return errors.Join(errs...)
}

// Parts are what [Bids] are made of.
type Parts struct {
	// Queues returns all queues; a service is asked for their bids.
	Queues  func(ctx context.Context) ([]armada.Queue, error)
	Log     *slog.Logger          // nil discards
	Metrics prometheus.Registerer // nil registers nothing
}

// source is one place where bids come from.
type source interface {
	// read returns the bids there are now.
	read(ctx context.Context) (armada.Bids, error)
	close() error
}

// Bids keeps the bids up to date while [Bids.Run] runs. Its methods may be called
// from many goroutines.
type Bids struct {
	source   source
	interval time.Duration
	log      *slog.Logger

	latest  atomic.Pointer[armada.Bids]
	changed chan struct{} // holds one
	learnt  time.Time     // when the last good answer came, and before that when the asking began

	lastAnswer prometheus.Gauge
	failures   prometheus.Counter
}

// New makes the bids of a valid configuration that names somebody to be asked.
// Nobody is asked before Run.
func New(config Config, parts Parts) (*Bids, error) {
	b := &Bids{
		interval: config.Refresh, log: parts.Log, changed: make(chan struct{}, 1), learnt: time.Now(),
		lastAnswer: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "armada_pricing_last_answer_timestamp_seconds", Help: "When the bids were last learnt; 0 before the first time.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "armada_pricing_failures_total", Help: "How often the bids could not be learnt.",
		}),
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	b.latest.Store(&armada.Bids{})
	if parts.Metrics != nil {
		for _, c := range []prometheus.Collector{b.lastAnswer, b.failures} {
			if err := parts.Metrics.Register(c); err != nil {
				return nil, fmt.Errorf("registering the metrics of bids: %w", err)
			}
		}
	}
	if config.File != "" {
		b.source = file(config.File)
		return b, nil
	}
	asked, err := dial(config.Service, parts.Queues)
	b.source = asked
	return b, err
}

// Latest returns what was learnt last; nothing before the first good answer. It
// must not be changed.
func (b *Bids) Latest() armada.Bids { return *b.latest.Load() }

// Changed returns a channel that receives when Latest may have changed. One
// listener hears of it.
func (b *Bids) Changed() <-chan struct{} { return b.changed }

// Run asks for the bids at once and then at every interval, until the context is
// done.
func (b *Bids) Run(ctx context.Context) error {
	ticker := time.NewTicker(b.interval)
	defer ticker.Stop()
	for {
		b.ask(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Close ends the connection to a service.
func (b *Bids) Close() error { return b.source.close() }

// patience is how long an answer is waited for.
const patience = 10 * time.Second

// ask learns the bids, or keeps those it has.
func (b *Bids) ask(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	bids, err := b.source.read(asking)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		b.failures.Inc()
		b.log.Warn("the bids could not be learnt, those known stay in force", "known_for", time.Since(b.learnt).Round(time.Second),
			"pools", len(b.Latest()), "error", err)
		return
	}
	b.learnt = time.Now()
	b.lastAnswer.Set(float64(b.learnt.UnixNano()) / 1e9)
	if reflect.DeepEqual(bids, b.Latest()) {
		return
	}
	b.latest.Store(&bids)
	select {
	case b.changed <- struct{}{}:
	default: // it was not heard yet, and will find these
	}
}
