// Command armada is the server side of Armada, one role per subcommand.
//
// The exit code is 0 when all went well, 1 when something failed, 2 when the
// command line itself made no sense.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

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
	// A file that reaches the limit of file sizes is an error like a full disk,
	// and no reason to die.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGXFSZ)
	// A server makes much short-lived garbage beside a small world: collecting
	// it half as often as Go would saves a tenth of the processor time.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
	command, err := root().ExecuteC()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "armada:", err)
	var usage *usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(os.Stderr, "See: %s --help\n", command.CommandPath())
		os.Exit(2)
	}
	os.Exit(1)
}

func root() *cobra.Command {
	root := &cobra.Command{
		Use:           "armada",
		Short:         "One queue for batch work over many clusters",
		Long:          "Armada is one queue for batch work over many clusters: users submit jobs to queues, a\nscheduler shares the nodes fairly between the queues, and executors run the jobs.\n\nBegin with `armada up`, which needs nothing installed. In production there are any number of\n`armada server` on one PostgreSQL, and an `armada executor` for every cluster.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version,
		Args:          noArguments,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err.Error()} })
	root.AddCommand(upCommand(), serverCommand(), executorCommand(), simulateCommand(), migrateCommand(), restoredCommand(), doctorCommand(), configCommand(), versionCommand())
	return root
}

// usageError is about the command line itself.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

// noArguments refuses what stands behind a command, and names the command that
// may have been meant.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !cmd.HasSubCommands() {
		return &usageError{fmt.Sprintf("%s takes flags only, not %q", cmd.CommandPath(), args[0])}
	}
	message := fmt.Sprintf("there is no command %q", cmd.CommandPath()+" "+args[0])
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		message += ", did you mean " + strings.Join(near, " or ") + "?"
	}
	return &usageError{message}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArguments,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintln(cmd.OutOrStdout(), version)
		},
	}
}
