// Command armada is the server side of Armada, one role per subcommand.
package main

import (
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"armada/internal/runs/process"
)

// version is set by the linker.
var version = "unknown"

func main() {
	// The supervisor is this same binary under another name: it keeps the
	// processes of jobs when armada is gone.
	if len(os.Args) > 1 && os.Args[1] == process.SupervisorCommand {
		os.Exit(process.SupervisorMain(os.Args[2:]))
	}
	// A server makes much short-lived garbage beside a small world: collecting
	// it half as often as Go would saves a tenth of the processor time.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
	root := &cobra.Command{
		Use:           "armada",
		Short:         "One queue for batch work over many clusters",
		Long:          "Armada is one queue for batch work over many clusters: users submit jobs to queues, a\nscheduler shares the nodes fairly between the queues, and executors run the jobs.\n\nBegin with `armada up`, which needs nothing installed.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version,
	}
	root.AddCommand(upCommand(), configCommand(), versionCommand())
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "armada:", err)
		os.Exit(1)
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintln(cmd.OutOrStdout(), version)
		},
	}
}
