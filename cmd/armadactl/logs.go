package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"armada/pkg/api/lookout"
	"armada/pkg/client"
)

func (c *cli) logsCommand() *cobra.Command {
	query := client.LogQuery{Tail: 0}
	var times bool
	var since time.Duration
	cmd := &cobra.Command{
		Use:     "logs ID",
		Short:   "Show what a job wrote",
		Example: "  armadactl logs -f 01jd0000000000000000000000",
		Args:    arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			query.Job = args[0]
			if query.Tail < 0 {
				return &usageError{"--tail must not be negative; 0 means all"}
			}
			if since > 0 {
				query.Since = c.now().Add(-since)
			}
			ctx := cmd.Context()
			return c.connected(ctx, func(server *client.Client) error {
				return server.Logs(ctx, query, func(l *lookout.LogLine) error {
					to := c.out
					if l.GetStream() == "stderr" {
						to = c.errors
					}
					if times {
						_, err := fmt.Fprintf(to, "%s %s\n", l.GetTimestamp().AsTime().In(c.zone).Format(time.RFC3339Nano), l.GetLine())
						return err
					}
					_, err := fmt.Fprintln(to, l.GetLine())
					return err
				})
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&query.Container, "container", "", "only this container of the pod (default all)")
	flags.StringVar(&query.Run, "run", "", "run of the job (default the newest)")
	flags.Int64Var(&query.Tail, "tail", 0, "only the last so many lines, 0 for all")
	flags.DurationVar(&since, "since", 0, "only lines of the last 10s, 5m, 1h, ...")
	flags.BoolVar(&times, "timestamps", false, "when each line was written")
	flags.BoolVarP(&query.Follow, "follow", "f", false, "go on until the container has ended")
	return cmd
}
