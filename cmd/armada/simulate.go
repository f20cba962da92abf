package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"armada/internal/simulator"
)

// simulation is what the flags of armada simulate say.
type simulation struct {
	settings           configFlags
	clusters, workload string
	seed               uint64
	every, until       time.Duration
	folder, output     string
}

func simulateCommand() *cobra.Command {
	var s simulation
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Play a workload on made-up clusters in virtual time",
		Long: `Play a workload on made-up clusters in virtual time, with the scheduler and the settings of this
installation, and print how it went. The same files and seed give the same bytes every time.

With --dir it also writes jobs.csv, rounds.csv, the same two tables as Parquet, and allocation.svg:
which queue held how much over time. What stands in the files: docs/howto/simulate.md.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd) },
	}
	s.settings.add(cmd, nil)
	flags := cmd.Flags()
	flags.StringVar(&s.clusters, "clusters", "", "YAML `file` of clusters")
	flags.StringVar(&s.workload, "workload", "", "YAML `file` of queues and their jobs")
	flags.Uint64Var(&s.seed, "seed", 0, "`number` that run times are drawn from; that of the workload if not given")
	flags.DurationVar(&s.every, "round-every", 10*time.Second, "`time` between two rounds")
	flags.DurationVar(&s.until, "until", 30*24*time.Hour, "simulated `time` at which it stops if work is left")
	flags.StringVar(&s.folder, "dir", "", "write tables and a picture to this `folder`, over those of an earlier simulation")
	flags.StringVarP(&s.output, "output", "o", "text", "`form` of the summary: text or json")
	return cmd
}

func (s *simulation) run(cmd *cobra.Command) error {
	for name, value := range map[string]string{"clusters": s.clusters, "workload": s.workload} {
		if value == "" {
			return &usageError{fmt.Sprintf("--%s must name a file, and --clusters and --workload are both needed", name)}
		}
	}
	if s.output != "text" && s.output != "json" {
		return &usageError{fmt.Sprintf("--output must be text or json, not %q", s.output)}
	}
	scenario, err := s.scenario(cmd)
	if err != nil {
		return err
	}
	result, err := simulator.Run(scenario)
	if err != nil {
		return err
	}
	if s.folder != "" {
		if err := writeTables(s.folder, result); err != nil {
			return err
		}
	}
	if s.output == "text" {
		return result.Summary().WriteText(cmd.OutOrStdout())
	}
	encoder := json.NewEncoder(cmd.OutOrStdout())
	encoder.SetIndent("", "  ")
	return encoder.Encode(result.Summary())
}

// scenario reads the files.
func (s *simulation) scenario(cmd *cobra.Command) (simulator.Scenario, error) {
	scenario := simulator.Scenario{RoundEvery: s.every, Until: s.until}
	config, _, err := s.settings.load(cmd)
	if err != nil {
		return scenario, err
	}
	scenario.Rules = simulator.Rules{Scheduling: config.RoundConfig(), DefaultClass: config.Jobs.DefaultPriorityClassName}
	if scenario.Bids, err = config.SimulatedBids(); err != nil {
		return scenario, err
	}
	if scenario.Clusters, err = simulator.LoadClusters(s.clusters, scenario.Rules); err != nil {
		return scenario, err
	}
	if scenario.Workload, err = simulator.LoadWorkload(s.workload, scenario.Rules); err != nil {
		return scenario, err
	}
	if cmd.Flags().Changed("seed") {
		scenario.Workload.RandomSeed = s.seed
	}
	return scenario, nil
}

// writeTables writes everything about a simulation that goes to files.
func writeTables(folder string, result *simulator.Result) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("making the folder for the tables: %w", err)
	}
	for _, table := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{"jobs.csv", result.WriteJobsCSV},
		{"jobs.parquet", result.WriteJobsParquet},
		{"rounds.csv", result.WriteRoundsCSV},
		{"rounds.parquet", result.WriteRoundsParquet},
		{"allocation.svg", result.WritePicture},
	} {
		file, err := os.Create(filepath.Join(folder, table.name))
		if err != nil {
			return fmt.Errorf("writing a table: %w", err)
		}
		if err := table.write(file); err != nil {
			file.Close()
			return fmt.Errorf("writing %s: %w", file.Name(), err)
		}
		if err := file.Close(); err != nil {
			return fmt.Errorf("writing %s: %w", file.Name(), err)
		}
	}
	return nil
}
