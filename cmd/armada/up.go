package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"armada/internal/app"
	"armada/internal/telemetry"
)

func upCommand() *cobra.Command {
	var flags configFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run everything in one process, with this machine as the cluster",
		Long: `Run everything in one process: the API, the scheduler, and one executor that runs jobs as
processes of this machine. Nothing needs to be installed; what must outlive the process is in the
data folder.

Ctrl-C stops running jobs with their grace period and queues them again; a second Ctrl-C stops
them at once. With --keep-running they go on, and the next armada up finds them.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, _, err := flags.load(cmd)
			if err != nil {
				return err
			}
			return up(cmd.Context(), config)
		},
	}
	d := app.DefaultConfig()
	f := cmd.Flags()
	f.String("data-dir", d.Up.DataDir, "`folder` for everything that must outlive the process")
	f.String("grpc-addr", d.Server.GRPCAddr, "`address` of the gRPC API")
	f.String("http-addr", d.Server.HTTPAddr, "`address` of REST, Swagger and health")
	f.String("metrics-addr", d.Telemetry.MetricsAddr, "`address` of Prometheus metrics; empty for none")
	f.String("capacity", d.Up.Capacity, "what this machine offers to jobs, `amounts` such as cpu=8,memory=16Gi")
	f.String("simulate", d.Up.Simulate, "use made-up clusters instead of this machine; `shape` 3x100 is 3 clusters of 100 nodes")
	f.Bool("keep-running", d.Up.KeepRunning, "leave jobs running when armada stops")
	f.String("log-level", d.Telemetry.LogLevel.String(), "least `level` that is logged: debug, info, warn or error")
	flags.add(cmd, map[string]string{
		"data-dir":     "up.dataDir",
		"grpc-addr":    "server.grpcAddr",
		"http-addr":    "server.httpAddr",
		"metrics-addr": "telemetry.metricsAddr",
		"capacity":     "up.capacity",
		"simulate":     "up.simulate",
		"keep-running": "up.keepRunning",
		"log-level":    "telemetry.logLevel",
	})
	return cmd
}

// armadactl is how to type its name: as this program's, when that has a folder
// and armadactl is beside it.
func armadactl() string {
	const name = "armadactl"
	folder, _ := filepath.Split(os.Args[0])
	if _, err := os.Stat(filepath.Join(folder, name)); folder == "" || err != nil {
		return name
	}
	return folder + name
}

// up serves until a signal or a failure ends it. The first signal asks for an
// orderly stop, the second for one at once, the third is the system's.
func up(ctx context.Context, config app.Config) error {
	log := telemetry.NewLogger(os.Stderr, config.Telemetry)
	system, err := app.OpenUp(ctx, config, version, log)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	failed := system.Start(ctx)
	fmt.Fprint(os.Stdout, system.Welcome(armadactl()))
	select {
	case err = <-failed:
	case <-signals:
		fmt.Fprint(os.Stdout, system.Farewell())
	}
	hurry, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		<-signals
		fmt.Fprintln(os.Stdout, "Stopping at once.")
		cancel()
		signal.Stop(signals)
	}()
	return errors.Join(err, system.Stop(ctx, hurry), system.Close())
}
