package main

import (
	"context"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"armada/internal/app"
)

func migrateCommand() *cobra.Command {
	var flags configFlags
	var from string
	var status bool
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring a PostgreSQL database up to date, or move the store of armada up there",
		Long: `Bring a PostgreSQL database to the form that this program works with. Servers do so by themselves
when they start, unless store.skipMigrations says otherwise; several may at once. --status tells
which migrations were applied, which are pending and which are unknown to this program, and changes
nothing.

With --from, move everything that armada up keeps in its data folder to an empty database: queues,
jobs with their ids, numbers and attempts, events, client ids, and executors with their settings.
Watchers go on where they were. Stop armada up before; with --keep-running its jobs go on meanwhile.
It is moved wholly or not at all, and the data folder's store stays as it was.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, _, err := flags.load(cmd)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return migrate(ctx, cmd, config, from, status)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "move the store of this data `folder` of armada up, or of the armada.db in it")
	cmd.Flags().BoolVar(&status, "status", false, "only tell what the database has and lacks")
	flags.add(cmd, roleKeys(cmd, "database"))
	return cmd
}

func migrate(ctx context.Context, cmd *cobra.Command, config app.Config, from string, status bool) error {
	switch {
	case status && cmd.Flags().Changed("from"):
		return &usageError{"--status changes nothing, and --from does: give one of them"}
	case status:
		return app.MigrationStatus(ctx, config, cmd.OutOrStdout())
	case cmd.Flags().Changed("from"):
		return app.Move(ctx, config, from, cmd.OutOrStdout())
	default:
		return app.Migrate(ctx, config, cmd.OutOrStdout())
	}
}
