// Package telemetry sets up, once per process, how it tells what it does: the
// logger that is injected everywhere, and the registry of Prometheus metrics
// with the HTTP handler of the metrics address.
//
// The words: a metric is registered by the package that counts, with the
// registry it is given; this package has only what is about the process itself,
// and what executors of the original say of their clusters ([ClusterUse]), which
// nobody here counts. A log line has a constant message and attributes in snake_case.
//
// It must never become a place for globals: no default logger, no default
// registry, nothing that a test cannot have twice. Tracing will be set up here
// too. The wiring, internal/app, calls it and passes on what it returns.
package telemetry

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
)

// Format is how log lines are written.
type Format string

const (
	// FormatAuto is text on a terminal and JSON elsewhere.
	FormatAuto Format = "auto"
	// FormatText is slog's key=value lines.
	FormatText Format = "text"
	// FormatJSON is one JSON object per line.
	FormatJSON Format = "json"
)

// Config is what can be set about logs and metrics.
type Config struct {
	// LogLevel is the least level that is written: debug, info, warn or error.
	LogLevel slog.Level `yaml:"logLevel"`
	// LogFormat is auto, text or json.
	LogFormat Format `yaml:"logFormat"`
	// MetricsAddr is the address, host:port, that serves /metrics; empty for
	// none. It has no authentication: keep it inside.
	MetricsAddr string `yaml:"metricsAddr"`
	// Profiling adds Go's profiles below /debug/pprof/ of the metrics address.
	// They show what is in memory, hence it is off by default.
	Profiling bool `yaml:"profiling"`
}

// DefaultConfig returns the configuration of somebody who set nothing.
func DefaultConfig() Config {
	return Config{LogLevel: slog.LevelInfo, LogFormat: FormatAuto, MetricsAddr: "127.0.0.1:9000"}
}

// Validate returns everything that is wrong with the configuration, joined.
func (c Config) Validate() error {
	var errs []error
	switch c.LogFormat {
	case FormatAuto, FormatText, FormatJSON:
	default:
		errs = append(errs, fmt.Errorf("logFormat: %q is none of auto, text and json", string(c.LogFormat)))
	}
	if c.MetricsAddr != "" {
		if _, _, err := net.SplitHostPort(c.MetricsAddr); err != nil {
			errs = append(errs, fmt.Errorf("metricsAddr: not host:port: %w", err))
		}
	}
	if c.Profiling && c.MetricsAddr == "" {
		errs = append(errs, errors.New("profiling: needs a metricsAddr to be served on"))
	}
	return errors.Join(errs...)
}

// NewLogger returns a logger that writes to w, one Write per line. It is safe
// for concurrent use, also when w is not.
func NewLogger(w io.Writer, c Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == FormatText || c.LogFormat == FormatAuto && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// isTerminal tells whether somebody probably looks at what is written to w: it
// is a character device.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
