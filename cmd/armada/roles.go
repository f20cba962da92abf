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
	"armada/internal/runs/kubernetes"
	"armada/internal/telemetry"
)

func upCommand() *cobra.Command {
	return roleCommand(app.RoleUp, &cobra.Command{
		Use:   "up",
		Short: "Run everything in one process, with this machine as the cluster",
		Long: `Run everything in one process: the API, the scheduler, and one executor that runs jobs as
processes of this machine. Nothing needs to be installed; what must outlive the process is in the
data folder, or with --database in PostgreSQL.

Ctrl-C stops running jobs with their grace period and queues them again; a second Ctrl-C stops
them at once. With --keep-running they go on, and the next armada up finds them.`,
	}, "data-dir", "database", "skip-migrations", "grpc-addr", "http-addr", "metrics-addr", "capacity", "simulate", "keep-running", "log-level")
}

func serverCommand() *cobra.Command {
	return roleCommand(app.RoleServer, &cobra.Command{
		Use:   "server",
		Short: "Serve the API and schedule, as one of any number of replicas on one PostgreSQL",
		Long: `Serve the API (gRPC, REST) and schedule. Any number of replicas share one PostgreSQL database;
every one of them takes every call, and one of them leads the scheduling. When that one stops in
order another leads at once, and within seconds when it dies.

It listens on this machine only unless --grpc-addr and --http-addr say otherwise: without auth in its
settings nobody has to log in, and without server.tls nothing is encrypted. /health on the REST address answers 204 while it takes calls.

SIGTERM ends it in order: it gives up leadership, tells clients and executors to go to another
replica, and finishes the calls in flight.`,
	}, "database", "skip-migrations", "replica", "advertise", "grpc-addr", "http-addr", "metrics-addr", "log-level")
}

func executorCommand() *cobra.Command {
	cmd := roleCommand(app.RoleExecutor, &cobra.Command{
		Use:   "executor",
		Short: "Run jobs of a server elsewhere, as the agent of one cluster",
		Long: `Lease jobs from a server, run them, and report what becomes of them. The cluster is this machine,
whose processes the jobs are, with --runtime kubernetes a Kubernetes cluster's nodes and pods, or made
up with --simulate. It only dials out, to one of the servers that --servers lists, and to another one
when that goes or falls silent.

Ctrl-C and SIGTERM stop running processes with their grace period and queue their jobs again; a second
one stops them at once. With --keep-running they go on, and the next armada executor with the same data
folder finds them, if it comes before its lease ends (executors.lease of the server). Pods of a cluster
always go on.

With --check it says what is missing, of its servers and in the cluster, and starts nothing.`,
	}, "servers", "tls", "id", "pool", "runtime", "kubeconfig", "data-dir", "capacity", "simulate", "keep-running", "metrics-addr", "log-level")
	cmd.Flags().Bool(checkFlag, false, "look whether servers and cluster have what is needed, and start nothing")
	return cmd
}

// checkFlag is the flag of executors that only look at their cluster.
const checkFlag = "check"

// checkCluster says what is missing in a cluster.
func checkCluster(cmd *cobra.Command, config app.Config) error {
	checks := app.ExamineCluster(cmd.Context(), config)
	if err := writeTable(cmd.OutOrStdout(), checks); err != nil {
		return fmt.Errorf("writing the checks: %w", err)
	}
	return app.Problems(checks)
}

// roleFlags are the flags of roles: each stands for one key of the settings.
var roleFlags = map[string]struct{ key, usage string }{
	"data-dir":        {"dataDir", "`folder` for everything that must outlive the process"},
	"database":        {"store.database", "`URL` of a PostgreSQL database, postgres://user@host/name; better set in a file or in ARMADA_STORE_DATABASE if it holds a password"},
	"skip-migrations": {"store.skipMigrations", "refuse a database that is behind instead of bringing it up to date; armada migrate does that"},
	"replica":         {"replica.name", "`name` of this replica, to which something random is added; the host's name when empty"},
	"advertise":       {"replica.advertise", "`address` where other replicas reach this one's gRPC; the gRPC address when empty"},
	"grpc-addr":       {"server.grpcAddr", "`address` of the gRPC API"},
	"http-addr":       {"server.httpAddr", "`address` of REST, Swagger and health"},
	"metrics-addr":    {"telemetry.metricsAddr", "`address` of Prometheus metrics; empty for none"},
	"servers":         {"executor.servers", "`addresses` of the servers' gRPC, with commas between them; one may be a DNS name of all of them"},
	"tls":             {"executor.tls", "speak TLS with the servers"},
	"id":              {"executor.id", "`name` of this executor, its alone; the host's name when empty"},
	"pool":            {"executor.pool", "`pool` of its nodes"},
	"runtime":         {"executor.runtime", "what runs jobs: `process` of this machine, or kubernetes"},
	"kubeconfig":      {"executor.kubernetes.kubeconfig", "`file` that says where the cluster is; empty is the cluster that this runs in"},
	"capacity":        {"executor.capacity", "what this machine offers to jobs, `amounts` such as cpu=8,memory=16Gi"},
	"simulate":        {"executor.simulate", "use made-up clusters instead of this machine; `shape` 3x100 is 3 clusters of 100 nodes"},
	"keep-running":    {"executor.keepRunning", "leave jobs running when armada stops"},
	"log-level":       {"telemetry.logLevel", "least `level` that is logged: debug, info, warn or error"},
}

// roleCommand gives a command its flags and has it play the roles.
func roleCommand(roles app.Roles, cmd *cobra.Command, names ...string) *cobra.Command {
	var flags configFlags
	cmd.Args = noArguments
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		config, _, err := flags.load(cmd)
		if err != nil {
			return err
		}
		if check, err := cmd.Flags().GetBool(checkFlag); err == nil && check {
			return checkCluster(cmd, config)
		}
		return play(cmd.Context(), roles, config)
	}
	flags.add(cmd, roleKeys(cmd, names...))
	return cmd
}

// roleKeys adds flags of roles and returns the keys that they stand for.
func roleKeys(cmd *cobra.Command, names ...string) map[string]string {
	d := app.DefaultConfig()
	defaults := map[string]string{
		"data-dir": d.DataDir, "grpc-addr": d.Server.GRPCAddr, "http-addr": d.Server.HTTPAddr,
		"metrics-addr": d.Telemetry.MetricsAddr, "pool": d.Executor.Pool, "runtime": d.Executor.Runtime, "log-level": d.Telemetry.LogLevel.String(),
	}
	keys := map[string]string{}
	for _, name := range names {
		flag := roleFlags[name]
		keys[name] = flag.key
		switch name {
		case "keep-running", "tls", "skip-migrations":
			cmd.Flags().Bool(name, false, flag.usage)
		default:
			cmd.Flags().String(name, defaults[name], flag.usage)
		}
	}
	return keys
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

// play serves until a signal or a failure ends it. The first signal asks for an
// orderly stop, the second for one at once, the third is the system's.
func play(ctx context.Context, roles app.Roles, config app.Config) error {
	log := telemetry.NewLogger(os.Stderr, config.Telemetry)
	adoptGRPCLog(log)
	kubernetes.LogTo(log.With("part", "kubernetes"))
	system, err := app.Open(ctx, config, roles, version, log)
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
