package main

import (
	"context"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"armada/pkg/client"
)

func (c *cli) versionCommand() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show the version of this program, and of the server if it can be reached",
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			commit, committed := source()
			if form == formText {
				c.pairs("", "Client", version, "Commit", phrases("", commit, "of ", committed), "Go", runtime.Version())
			}
			config, err := c.config()
			if err != nil {
				return err
			}
			server, words, err := c.serverVersion(cmd.Context(), config)
			if err != nil {
				return err
			}
			if form == formText {
				c.pairs("", "Server", words)
				return nil
			}
			return (&machine{cli: c, form: form}).addValue(version, struct {
				Client    string `json:"client"`
				Commit    string `json:"commit"`    // empty when it was not built in a clone
				Committed string `json:"committed"` // when; empty as the commit
				Go        string `json:"go"`
				Server    string `json:"server"` // empty when it cannot be reached or does not tell
				URL       string `json:"armadaUrl"`
			}{version, commit, committed, runtime.Version(), server, config.Address()})
		},
	}
	outputFlag(cmd, &form, asText...)
	return cmd
}

// source is the commit that the program was built from, and when that was made.
func source() (commit, at string) {
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return "", ""
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			commit = s.Value
		case "vcs.time":
			at = s.Value
		}
	}
	return commit, at
}

// serverVersion is the server's version, and in words what is known of it; that
// it cannot be reached is no error here.
func (c *cli) serverVersion(ctx context.Context, config client.Config) (found, words string, err error) {
	server, err := c.connect(config)
	if err != nil {
		return "", "", err
	}
	ctx, cancel := context.WithTimeout(ctx, reach)
	defer cancel()
	found, err = server.ServerVersion(ctx)
	switch {
	case err != nil:
		words = "none can be reached at " + config.Address()
	case found == "":
		words = "does not tell its version, at " + config.Address()
	default:
		words = found + ", at " + config.Address()
	}
	return found, words, server.Close()
}
