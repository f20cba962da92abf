package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"armada/internal/app"
	"armada/internal/settings"
	"armada/pkg/nearest"
)

// configFlags are the flags that every role has: where settings come from.
type configFlags struct {
	file string
	set  map[string]string
	// named are flags that stand for one key each.
	named map[string]string // flag name -> key
}

func (f *configFlags) add(cmd *cobra.Command, named map[string]string) {
	f.named = named
	cmd.Flags().StringVar(&f.file, "config", "", "read settings from this YAML `file`; armada config shows every key")
	cmd.Flags().StringToStringVar(&f.set, "set", nil, "set any `key=value`, such as --set executors.lease=1m")
}

// load puts file, environment and flags over the defaults. Flags that were
// given by name win over --set.
func (f *configFlags) load(cmd *cobra.Command) (app.Config, *settings.Effective, error) {
	flags := map[string]string{}
	for key, value := range f.set {
		flags[key] = value
	}
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if key, ok := f.named[flag.Name]; ok {
			flags[key] = flag.Value.String()
		}
	})
	config, effective, err := app.LoadConfig(f.file, os.Environ(), flags)
	if err != nil {
		return config, nil, err
	}
	return config, effective, warnOfVariables(cmd.ErrOrStderr(), effective)
}

// warnOfVariables tells of variables that look like misspelt settings. They are
// not refused: the environment is not ours alone.
func warnOfVariables(w io.Writer, effective *settings.Effective) error {
	entries, err := effective.Entries()
	if err != nil {
		return fmt.Errorf("listing the settings: %w", err)
	}
	known := make([]string, len(entries))
	for i, e := range entries {
		known[i] = e.Variable
	}
	for _, name := range effective.UnusedEnvironment {
		if strings.Contains(name, "_PORT_") || strings.Contains(name, "_SERVICE_") {
			continue // Kubernetes tells pods of services so
		}
		if near := nearest.Names(name, known); len(near) > 0 {
			fmt.Fprintf(w, "armada: the variable %s sets nothing; did you mean %s?\n", name, strings.Join(near, " or "))
		}
	}
	return nil
}

func configCommand() *cobra.Command {
	var flags configFlags
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print the settings in force and where each comes from",
		Long:  "Print the settings in force as a YAML file that could be loaded again, with the source of each\nvalue beside it. Every key can be set in a file (--config), in the environment (ARMADA_ and the\nkey's words in capitals: ARMADA_EXECUTORS_LEASE) and by --set.",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, effective, err := flags.load(cmd)
			if err != nil {
				return err
			}
			return effective.WriteYAML(cmd.OutOrStdout())
		},
	}
	flags.add(cmd, nil)
	return cmd
}
