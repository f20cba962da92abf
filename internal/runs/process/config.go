package process

import (
	"errors"
	"log/slog"
	"time"

	"armada"
)

// SupervisorCommand is the hidden subcommand of armada that is the supervisor.
const SupervisorCommand = "supervise-runs"

// Config is what a process runtime is told.
type Config struct {
	// Dir is the data folder of this runtime alone. It is made where missing.
	Dir string
	// Supervisor is a command that calls [SupervisorMain] with the arguments that
	// are added to it; when empty this binary and [SupervisorCommand].
	Supervisor []string
	// Node names the one node; the machine's name when empty.
	Node string
	// Pool is where the node is offered; "default" when empty.
	Pool string
	// Resources says which are counted; the default ones when empty.
	Resources armada.ResourceTable
	// Capacity replaces what the machine has, such as "cpu=4,memory=16Gi".
	Capacity string
	// Labels are added to those of the node.
	Labels map[string]string
	// Idle is how long a supervisor stays without runs and clients; 30 s when 0.
	Idle time.Duration
	// LogLimit is how many bytes of log a run may have; 256 MiB when 0.
	LogLimit int64
	// Log is where the client's side tells of trouble; nowhere when nil.
	Log *slog.Logger

	bare    bool  // for tests: do as on a machine without control groups
	reserve int64 // bytes that must be free for the node to take more; defaultReserve when 0
}

// The defaults of a [Config].
const (
	defaultIdle     = 30 * time.Second
	defaultLogLimit = 256 << 20
	defaultReserve  = 64 << 20
	defaultPool     = "default"
)

// Validate tells what is wrong, by name.
func (c *Config) Validate() error {
	switch {
	case c.Dir == "":
		return errors.New("dir: must be given")
	case c.Idle < 0:
		return errors.New("idle: must not be negative")
	case c.LogLimit < 0:
		return errors.New("logLimit: must not be negative")
	}
	return nil
}

func (c Config) withDefaults() Config {
	if len(c.Supervisor) == 0 {
		// The file may have been replaced by a later version; this is what runs.
		c.Supervisor = []string{"/proc/self/exe", SupervisorCommand}
	}
	if c.Pool == "" {
		c.Pool = defaultPool
	}
	if c.Resources.Len() == 0 {
		c.Resources = armada.DefaultResourceTable()
	}
	if c.Idle == 0 {
		c.Idle = defaultIdle
	}
	if c.LogLimit == 0 {
		c.LogLimit = defaultLogLimit
	}
	if c.reserve == 0 {
		c.reserve = defaultReserve
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}
