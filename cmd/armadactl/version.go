package main

import (
	"context"
	"runtime"

	"github.com/spf13/cobra"

	"armada/pkg/client"
)

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version of this program, and of the server if it can be reached",
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.pairs("", "Client", version, "Go", runtime.Version())
			config, err := c.config()
			if err != nil {
				return err
			}
			server, err := c.serverVersion(cmd.Context(), config)
			if err != nil {
				return err
			}
			c.pairs("", "Server", server)
			return nil
		},
	}
}

// serverVersion says what is known of the server; that it cannot be reached is
// no error here.
func (c *cli) serverVersion(ctx context.Context, config client.Config) (string, error) {
	server, err := c.connect(config)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, reach)
	defer cancel()
	found, err := server.ServerVersion(ctx)
	switch {
	case err != nil:
		found = "none can be reached at " + config.Address()
	case found == "":
		found = "does not tell its version, at " + config.Address()
	default:
		found += ", at " + config.Address()
	}
	return found, server.Close()
}
