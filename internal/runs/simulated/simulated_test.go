package simulated

import (
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"armada"
	"armada/internal/runs"
	"armada/internal/runs/runstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// few is a configuration of a few nodes whose pods end at once.
func few() Config {
	return Config{Nodes: []Group{{Name: "node", Count: 3, Allocatable: armada.Resources{32_000, 256 << 30}}}}
}

func TestTheSimulatedFormPassesTheSuite(t *testing.T) {
	t.Parallel()
	runstest.Run(t, func(*testing.T) runstest.World {
		return runstest.World{
			Open: func(t testing.TB) runs.Runtime {
				r, err := New(few())
				if err != nil {
					t.Fatal(err)
				}
				return r
			},
			Spec: func(o *runs.Order, job runstest.Job) {
				o.Annotations[AnnotationExitCode] = fmt.Sprint(job.ExitCode)
				o.Annotations[AnnotationLog] = strings.Join(job.Print, "\n")
				if job.Forever {
					o.Annotations[AnnotationRuntime] = "1h"
				}
				if job.Deaf {
					o.Annotations[AnnotationStopDelay] = "2h"
				}
				if job.Finishes { // its work is almost done and it does not let a stop keep it from that
					o.Annotations[AnnotationRuntime] = "500ms"
					o.Annotations[AnnotationStopDelay] = "2h"
				}
			},
		}
	})
}
