//go:build !linux

package process

import (
	"errors"
	"fmt"

	"armada/internal/runs"
)

// Runtime is not to be had here; it is only the contract.
type Runtime struct {
	runs.Runtime
}

// Open answers [errors.ErrUnsupported]: process runs need Linux.
func Open(Config) (*Runtime, error) {
	return nil, fmt.Errorf("run jobs as processes of this machine: %w, it must be Linux", errors.ErrUnsupported)
}

// SupervisorMain is never called here: nothing starts a supervisor.
func SupervisorMain([]string) int { return 2 }
