package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"armada/internal/app"
	"armada/internal/doctor"
)

func doctorCommand() *cobra.Command {
	var flags configFlags
	var form string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine an installation and say what is wrong and what would be right",
		Long: `Examine an installation: the database that --config or --database names, or else the data folder of
armada up; the server of this machine; and every server and executor that the database knows. Nothing
is changed. Run it with the settings of a server, on each machine: clocks and addresses are looked at
from where it runs.

The exit code is 1 when there is a problem, and 0 when there are warnings at most. What could not be
checked says why.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			write, known := checkForms[form]
			if !known {
				return &usageError{fmt.Sprintf("--output is %q, must be table, json or yaml", form)}
			}
			config, _, err := flags.load(cmd)
			if err != nil {
				return err
			}
			checks := app.Examine(cmd.Context(), config)
			if err := write(cmd.OutOrStdout(), checks); err != nil {
				return fmt.Errorf("writing the checks: %w", err)
			}
			return app.Problems(checks)
		},
	}
	cmd.Flags().StringVarP(&form, "output", "o", "table", "`form`: table, json, yaml")
	named := map[string]string{}
	for _, name := range []string{"database", "data-dir", "grpc-addr", "http-addr"} {
		named[name] = roleFlags[name].key
	}
	d := app.DefaultConfig()
	for name, value := range map[string]string{"database": "", "data-dir": d.DataDir, "grpc-addr": d.Server.GRPCAddr, "http-addr": d.Server.HTTPAddr} {
		cmd.Flags().String(name, value, roleFlags[name].usage)
	}
	flags.add(cmd, named)
	return cmd
}

// checkForms are how checks are written: for people, and a list for programs.
var checkForms = map[string]func(io.Writer, []doctor.Check) error{
	"table": writeTable,
	"json": func(w io.Writer, checks []doctor.Check) error {
		lines := json.NewEncoder(w)
		lines.SetEscapeHTML(false)
		lines.SetIndent("", "  ")
		return lines.Encode(checks)
	},
	"yaml": func(w io.Writer, checks []doctor.Check) error {
		lines := yaml.NewEncoder(w)
		defer lines.Close()
		return lines.Encode(checks)
	},
}

// writeTable writes a line for each check, beneath it the advice, and a line that
// sums them up.
func writeTable(w io.Writer, checks []doctor.Check) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CHECK\tVERDICT\tFINDING")
	oneLine := strings.NewReplacer("\n", " ", "\t", " ")
	for _, c := range checks {
		fmt.Fprintf(table, "%s\t%s\t%s\n", c.Name, c.Verdict, oneLine.Replace(c.Finding))
		if c.Advice != "" {
			fmt.Fprintf(table, "\t\t→ %s\n", oneLine.Replace(c.Advice))
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%d ok, %d warnings, %d problems, %d not checked\n", doctor.Count(checks, doctor.OK),
		doctor.Count(checks, doctor.Warning), doctor.Count(checks, doctor.Problem), doctor.Count(checks, doctor.NotChecked))
	return err
}
