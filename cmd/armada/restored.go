package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"armada/internal/app"
	"armada/internal/telemetry"
)

func restoredCommand() *cobra.Command {
	var flags configFlags
	cmd := &cobra.Command{
		Use:   "restored",
		Short: "Tell a database or data folder that it was brought back from a copy",
		Long: `Tell a database, or without --database the data folder of armada up, that it was brought back from
a backup. Type it once, when the copy is in its place and before the first server is started.

What was written after the copy was made is lost, but clients and executors have seen it. From now
on watchers begin anew, sessions and leadership of before are void, and nothing is started until
every executor has stopped what the copy does not know, or its lease has ended.

A database that was loaded from a dump of pg_dump is recognised without this; to type it then, too,
does no harm.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, _, err := flags.load(cmd)
			if err != nil {
				return err
			}
			held, err := app.Restored(cmd.Context(), config, telemetry.NewLogger(cmd.ErrOrStderr(), config.Telemetry))
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Jobs are started again %s from now; servers may be started at once.\n", held.Round(time.Second))
			return nil
		},
	}
	cmd.Flags().String("database", "", roleFlags["database"].usage)
	cmd.Flags().String("data-dir", app.DefaultConfig().DataDir, roleFlags["data-dir"].usage)
	flags.add(cmd, map[string]string{"database": roleFlags["database"].key, "data-dir": roleFlags["data-dir"].key})
	return cmd
}
