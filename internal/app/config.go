package app

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"armada"
	"armada/internal/auth"
	"armada/internal/executor"
	"armada/internal/leader"
	"armada/internal/podspec"
	"armada/internal/pricing"
	"armada/internal/runs/kubernetes"
	"armada/internal/scheduling"
	"armada/internal/server"
	"armada/internal/server/executors"
	"armada/internal/server/executors2020"
	"armada/internal/settings"
	"armada/internal/store"
	"armada/internal/store/postgres"
	"armada/internal/telemetry"
)

// Config is everything that can be set, for all roles. Each section is owned by
// the package that it sets.
type Config struct {
	// DataDir is the folder for everything that must outlive the process: runs
	// with their logs, and without store.database everything else too.
	DataDir    string
	Telemetry  telemetry.Config
	Server     server.Config
	Auth       auth.Config
	Replica    Replica
	Executors  Executors
	Retries    Retries
	Scheduling Scheduling
	Jobs       podspec.Config
	Store      Store
	Executor   Executor
	Rehearsal  Rehearsal
}

// Replica says who this server is among those that share a database.
type Replica struct {
	// Name is how this server's name begins, and something random follows; empty
	// is the host's name.
	Name string
	// Advertise is where the other servers reach this one's gRPC, host:port;
	// empty is server.grpcAddr, with the host's name when that is every address
	// of the host.
	Advertise string
}

// Executors sets how executors are served.
type Executors struct {
	// Lease is how long an executor's runs may go on after its last
	// acknowledged request.
	Lease time.Duration
	// LostTimeout is how long the runs of a silent executor are held before
	// their jobs fail.
	LostTimeout time.Duration
	// MaxAttempts is how many leases of a job are given back for its own sake until
	// it fails.
	MaxAttempts int
	// MaxUnacknowledged is how many runs an executor may have that it was given
	// and has not said to begin. With more it gets nothing new until it has worked
	// off half of them. 0 is no bound.
	MaxUnacknowledged int
	// Original2026 sets how executors of the original of 2026 are served.
	Original2026 Original2026
	// Original2020 is about the executors of the original of 2020.
	Original2020 Original2020
}

// Scheduling sets what rounds decide from.
type Scheduling struct {
	// MinRoundInterval is the shortest time between two rounds.
	MinRoundInterval time.Duration
	// MaxQueueLookback bounds the jobs of a queue that one round looks at; 0 is
	// no bound.
	MaxQueueLookback int
	// MaxJobsPerRound bounds the jobs that one round of a pool starts; 0 is no
	// bound.
	MaxJobsPerRound int
	// RoundLimits bounds what one round hands out, as fractions of a pool:
	// {maximum: {cpu: 0.5}, maximumByPool: {small: {cpu: 0.1}}}. What a queue may
	// hold is bounded by jobs.priorityClasses and by the queue's own limits.
	RoundLimits armada.ResourceFractions
	// Rate bounds how fast jobs are started in all pools together, and QueueRate
	// those of each queue: {perSecond: 100, burst: 1000}. Without, nothing is
	// bounded.
	Rate, QueueRate scheduling.Rate
	// FloatingResources are resources that jobs ask for and no node has, such as
	// licences.
	FloatingResources []FloatingResource
	// WellKnownNodeTypes are nodes with taints that keep jobs off which do not
	// tolerate them, and Away says which jobs may run there all the same.
	WellKnownNodeTypes []WellKnownNodeType
	Away               []Away
	// PodLimits keeps to the number of pods that nodes say they can have.
	PodLimits bool
	// Fairness and Preemption hold in every pool, but for what Pools replaces by the
	// name of the pool: {gpu: {preemption: {urgency: false}}}.
	Fairness   Fairness
	Preemption Preemption
	Pools      map[string]Pool
	// Pricing says who tells the bids of the queues in market-driven pools.
	Pricing pricing.Config
	// Reservations keeps nodes for gangs that have waited for long.
	Reservations Reservations
	// MaxQueuedJobsPerQueue bounds the queued jobs of a queue; 0 is no bound.
	MaxQueuedJobsPerQueue int
	// NodeTypes are kinds of nodes that clusters may begin at any time, such as
	// those of node groups that scale from zero. A job that fits on one of them
	// is not rejected although no such node is there.
	NodeTypes []NodeType
}

// Store sets where everything is kept and for how long.
type Store struct {
	// Database is the URL of a PostgreSQL database, postgres://user@host/name;
	// empty is SQLite in the data folder, for armada up only.
	Database settings.Secret
	// TransactionPooler tells that Database leads to a pooler that gives a
	// server's connection for one transaction, as PgBouncer does in its transaction
	// mode: then no statements are prepared there.
	TransactionPooler bool
	// DirectDatabase is the URL of the same database past such a pooler, through
	// which nobody can be woken; empty is Database when that is none.
	DirectDatabase settings.Secret
	// PasswordFile holds the password of the database's user, when the URL does
	// not. It is read at every connection.
	PasswordFile string
	// SkipMigrations leaves the database's form as it is: a server then refuses a
	// database that is behind, and armada migrate brings it up to date.
	SkipMigrations bool
	// Connections is how many connections to the database a server uses.
	Connections int
	// KeepFinished is how long finished jobs are kept, with their events, logs
	// and run folders.
	KeepFinished time.Duration
	// KeepFinishedOf is the same for the jobs of some queues, by name:
	// {nightly: 2160h, try-out: 1h}. Logs and run folders of all queues are kept as
	// long as the longest of these.
	KeepFinishedOf map[string]time.Duration
	// KeepFinishedJobs is about how many finished jobs are kept, of all queues;
	// those that ended first go first. 0 is a million with SQLite, and no bound
	// with PostgreSQL.
	KeepFinishedJobs int
	// KeepClientIDs is how long client ids are known, for deduplication.
	KeepClientIDs time.Duration
	// IndexedAnnotations are keys of annotations by which jobs are found at once among
	// any number: [example.com/run]. A key is indexed for jobs submitted after it was
	// named; each costs some room and time per job that has it. All servers of a
	// database should have the same.
	IndexedAnnotations []string
}

// Executor sets the executor of this process, which armada up and armada
// executor have.
type Executor struct {
	// ID names the executor, and must be its alone; empty is the host's name, or
	// in armada up without a database, and wherever its store was moved: local.
	ID string
	// Pool is the pool of its nodes.
	Pool string
	// Servers are the addresses of the servers' gRPC, host:port. One may be a DNS
	// name of all of them. armada up needs none.
	Servers []string
	// TLS encrypts what goes to them.
	TLS bool
	// Runtime is what runs jobs: process, for processes of this machine, or
	// kubernetes, for pods of a cluster.
	Runtime string
	// Kubernetes is how the pods of a cluster are run.
	Kubernetes kubernetes.Config
	// CAFile has the authorities that their certificates are checked against; empty
	// is those of the system. CertFile and KeyFile are the executor's own certificate.
	CAFile   string
	CertFile string
	KeyFile  string
	// Auth is how the executor proves to them who it is.
	Auth ExecutorAuth
	// Capacity overrides what this machine offers to jobs, such as
	// cpu=8,memory=16Gi.
	Capacity string
	// MinimumJob keeps smaller jobs away, such as cpu=2,memory=8Gi: a job must ask
	// for that much of each of these resources.
	MinimumJob string
	// Simulate replaces this machine by made-up clusters: 3x100 is 3 clusters
	// of 100 nodes, 3x100:cpu=16,memory=64Gi the same with nodes of that size.
	// Each is an executor, named by the id and a number.
	Simulate string
	// SimulatedRuntime is how long a simulated pod lives that does not say it
	// itself.
	SimulatedRuntime time.Duration
	// Utilisation is about the events that tell what running jobs use.
	Utilisation Utilisation
	// ErrorCategories name the ways in which runs fail, for retry policies and for
	// people.
	ErrorCategories executor.Categories
	// Exec lets people run commands in the containers of jobs, as armadactl exec does,
	// if they have the right to it. MaxExecs is how many commands run at a time.
	Exec     bool
	MaxExecs int
	// KeepLogsBytes bounds the logs and folders of ended runs on this machine, and
	// those of its bucket if it has one; the oldest go first, and 0 is no bound. They also go when their jobs are
	// forgotten.
	KeepLogsBytes int64
	// KeepRunning leaves jobs running when armada stops. Pods of a cluster are left
	// running always.
	KeepRunning bool
}

// The runtimes.
const (
	runtimeProcess    = "process"
	runtimeKubernetes = "kubernetes"
)

// DefaultConfig returns what holds when nothing is set.
func DefaultConfig() Config {
	lead := leader.Config{}.WithDefaults()
	serve := executors.DefaultConfig()
	agent := executor.DefaultConfig()
	quiet := telemetry.DefaultConfig()
	quiet.LogLevel = slog.LevelWarn // the terminal is the user's
	return Config{
		DataDir:   defaultDataDir(),
		Telemetry: quiet,
		Server:    server.DefaultConfig(),
		Auth:      auth.DefaultConfig(),
		Executors: Executors{
			Lease: serve.Lease, LostTimeout: lead.Expiry.LostTimeout, MaxAttempts: serve.MaxAttempts, MaxUnacknowledged: 2500,
			Original2020: Original2020{Lease: executors2020.DefaultConfig().Lease}, Original2026: defaultOriginal2026(),
		},
		Retries: Retries{Most: 5},
		Scheduling: Scheduling{
			MinRoundInterval: lead.MinRoundInterval,
			Pricing:          pricing.DefaultConfig(),
			Preemption:       Preemption{FairShare: true, Urgency: true, ProtectedFractionOfFairShare: 1},
			Reservations:     Reservations{After: 10 * time.Minute, For: time.Hour, MaximumFractionOfNodes: 0.2},
		},
		Jobs:  podspec.DefaultConfig(),
		Store: Store{Connections: 8, KeepFinished: 14 * 24 * time.Hour, KeepClientIDs: 14 * 24 * time.Hour},
		Executor: Executor{
			Pool: armada.DefaultPool, Runtime: runtimeProcess, Kubernetes: kubernetes.DefaultConfig(), SimulatedRuntime: time.Second, KeepLogsBytes: 10 << 30,
			Utilisation: Utilisation{SampleEvery: agent.UsageSample, ReportEvery: agent.UsageReport},
			MaxExecs:    agent.MaxExecs,
		},
	}
}

func defaultDataDir() string {
	if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "armada")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "armada-data"
	}
	return filepath.Join(home, ".local", "share", "armada")
}

// Validate tells what is wrong in the sections that belong to this package, and
// asks those of the others.
func (c Config) Validate() error {
	var errs []error
	positive := func(path string, d time.Duration) {
		if d <= 0 {
			errs = append(errs, fmt.Errorf("%s: must be longer than 0, is %s", path, d))
		}
	}
	positive("executors.lostTimeout", c.Executors.LostTimeout)
	errs = append(errs, c.Executors.Original2026.validate(), c.Retries.validate())
	positive("scheduling.minRoundInterval", c.Scheduling.MinRoundInterval)
	_, err := c.nodeTypes()
	errs = append(errs, err, c.validateLimits(), c.validateAway(), c.Scheduling.validatePoolRules(), c.validatePools())
	if _, err := c.minimumJob(); err != nil {
		errs = append(errs, fmt.Errorf("executor.minimumJob: %w", err))
	}
	positive("store.keepFinished", c.Store.KeepFinished)
	for _, queue := range slices.Sorted(maps.Keys(c.Store.KeepFinishedOf)) {
		path := "store.keepFinishedOf." + queue
		positive(path, c.Store.KeepFinishedOf[queue])
		if err := armada.ValidateQueueName(queue); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
		}
	}
	positive("store.keepClientIDs", c.Store.KeepClientIDs)
	if c.DataDir == "" {
		errs = append(errs, errors.New("dataDir: must name a folder"))
	}
	errs = append(errs, c.validateAuth(), c.Replica.validate(), c.Store.validate(), c.Executor.validate(), c.Rehearsal.validate(c.Executor))
	if _, err := c.Jobs.Rules(c.resources()); err != nil {
		errs = append(errs, fmt.Errorf("jobs: %w", err))
	}
	for _, section := range []struct {
		name string
		err  error
	}{
		{"telemetry", c.Telemetry.Validate()},
		{"server", c.Server.Validate()},
		{"executors", c.executors().Validate()},
		{"executors.original2020", c.executors2020().Validate()},
		{"scheduling", c.leader().WithDefaults().Validate()},
	} {
		if section.err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", section.name, section.err))
		}
	}
	return errors.Join(errs...)
}

// LoadConfig puts a file (none when empty), the environment and flags over the
// defaults.
func LoadConfig(file string, environment []string, flags map[string]string) (Config, *settings.Effective, error) {
	return settings.Load(DefaultConfig(), settings.Sources{File: file, Prefix: "ARMADA", Environment: environment, Flags: flags})
}

func (r Replica) validate() error {
	if r.Advertise == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(r.Advertise)
	if ip := net.ParseIP(host); err != nil || host == "" || port == "" || ip != nil && ip.IsUnspecified() {
		return fmt.Errorf("replica.advertise: must be host:port where other servers reach this one, is %q", r.Advertise)
	}
	return nil
}

// kept fills in how many finished jobs are kept: a file beside a user's own is
// bounded, a database is what its operator made it.
func (s Store) kept() Store {
	if s.KeepFinishedJobs == 0 && s.Database.IsEmpty() {
		s.KeepFinishedJobs = 1_000_000
	}
	return s
}

// keep says which finished jobs are kept at a moment.
func (s Store) keep(now time.Time) store.Keep {
	keep := store.Keep{Since: now.Add(-s.KeepFinished), Queues: make(map[string]time.Time, len(s.KeepFinishedOf)), Most: s.KeepFinishedJobs}
	for queue, d := range s.KeepFinishedOf {
		keep.Queues[queue] = now.Add(-d)
	}
	return keep
}

// mostIndexed bounds the annotations that are indexed: each is an entry more that is
// written with a job.
const mostIndexed = 10

func (s Store) validate() error {
	var errs []error
	for _, url := range []struct {
		key    string
		secret settings.Secret
	}{{"database", s.Database}, {"directDatabase", s.DirectDatabase}} {
		text := url.secret.Reveal()
		if text != "" && !strings.HasPrefix(text, "postgres://") && !strings.HasPrefix(text, "postgresql://") {
			errs = append(errs, fmt.Errorf("store.%s: must be the URL of a PostgreSQL database, postgres://user@host/name", url.key))
		}
	}
	if s.Connections < 2 {
		errs = append(errs, fmt.Errorf("store.connections: must be at least 2, is %d", s.Connections))
	}
	if s.KeepFinishedJobs < 0 {
		errs = append(errs, fmt.Errorf("store.keepFinishedJobs: must not be negative, is %d", s.KeepFinishedJobs))
	}
	for i, key := range s.IndexedAnnotations {
		for _, wrong := range podspec.ValidateAnnotationKey(key, func() string { return "store.indexedAnnotations" }) {
			errs = append(errs, fmt.Errorf("store.indexedAnnotations[%d]: %s", i, wrong.Message))
		}
	}
	if len(s.IndexedAnnotations) > mostIndexed {
		errs = append(errs, fmt.Errorf("store.indexedAnnotations: has %d keys, may have %d", len(s.IndexedAnnotations), mostIndexed))
	}
	if s.Database.IsEmpty() && s.SkipMigrations {
		errs = append(errs, errors.New("store.skipMigrations: goes with store.database, which is empty"))
	}
	if s.Database.IsEmpty() && !s.DirectDatabase.IsEmpty() {
		errs = append(errs, errors.New("store.directDatabase: goes with store.database, which is empty"))
	}
	return errors.Join(errs...)
}

func (e Executor) validate() error {
	var errs []error
	if e.ID != "" {
		if err := armada.ValidateQueueName(e.ID); err != nil {
			errs = append(errs, fmt.Errorf("executor.id: %w", err))
		}
	}
	if e.KeepLogsBytes < 0 {
		errs = append(errs, fmt.Errorf("executor.keepLogsBytes: must be 0, for no bound, or more, is %d", e.KeepLogsBytes))
	}
	if e.Runtime != runtimeProcess && e.Runtime != runtimeKubernetes {
		errs = append(errs, fmt.Errorf("executor.runtime: must be %s or %s, is %q", runtimeProcess, runtimeKubernetes, e.Runtime))
	}
	if err := e.Kubernetes.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("executor.kubernetes: %w", err))
	}
	if err := e.ErrorCategories.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("executor.errorCategories: %w", err))
	}
	errs = append(errs, e.Utilisation.validate())
	if e.MaxExecs < 1 {
		errs = append(errs, fmt.Errorf("executor.maxExecs: must be at least 1, is %d; executor.exec: false is for none", e.MaxExecs))
	}
	if e.Pool == "" {
		errs = append(errs, errors.New("executor.pool: must not be empty"))
	}
	if len(e.Servers) > 0 {
		if err := (executor.Servers{Addresses: e.Servers}).Validate(); err != nil {
			errs = append(errs, fmt.Errorf("executor: %w", err))
		}
	}
	if err := e.validateAuth(); err != nil {
		errs = append(errs, fmt.Errorf("executor.%w", err))
	}
	return errors.Join(errs...)
}

// leavesRunning tells whether jobs go on when armada stops.
func (e Executor) leavesRunning() bool {
	return e.KeepRunning || e.Runtime == runtimeKubernetes && e.Simulate == ""
}

func (c Config) scheduling() scheduling.Config {
	s := scheduling.Config{
		Resources: c.resources(), Classes: c.Jobs.PriorityClasses,
		MaxQueueLookback: c.Scheduling.MaxQueueLookback, MaxLeasesPerRound: c.Scheduling.MaxJobsPerRound,
		RoundLimits: c.Scheduling.RoundLimits, Rate: c.Scheduling.Rate, QueueRate: c.Scheduling.QueueRate,
		Budgets: c.Scheduling.budgets(), Away: c.away(), AwayPools: c.Scheduling.awayPools(),
	}
	s.PoolRules, s.Pools = c.Scheduling.poolRules(s.Resources)
	for i := range s.Resources.Len() {
		s.FairnessMultipliers[i] = 1000
	}
	return s
}

func (c Config) leader() leader.Config {
	types, _ := c.nodeTypes() // Validate tells what is wrong
	of2020 := c.executors2020()
	return leader.Config{
		NodeTypes:        types,
		MinRoundInterval: c.Scheduling.MinRoundInterval, MaxUnacknowledged: c.Executors.MaxUnacknowledged,
		Expiry: leader.Expiry{
			Lease: c.Executors.Lease, LostTimeout: c.Executors.LostTimeout, Original2026: c.Executors.Original2026.timeouts(),
			Original2020: leader.Timeouts{ClosedAfter: of2020.ClosedAfter, GivenUp: of2020.GivenUp()},
		},
		Scheduling: c.scheduling(),
	}
}

func (c Config) postgres(log *slog.Logger) postgres.Config {
	return postgres.Config{
		URL: c.Store.Database.Reveal(), DirectURL: c.Store.DirectDatabase.Reveal(), PasswordFile: c.Store.PasswordFile,
		TransactionPooler: c.Store.TransactionPooler, SkipMigrations: c.Store.SkipMigrations, Connections: c.Store.Connections,
		Resources: c.resources(), ClientIDRetention: c.Store.KeepClientIDs, MaxQueuedPerQueue: c.Scheduling.MaxQueuedJobsPerQueue, Retries: c.Retries.store(), Logger: log,
		Hold: c.hold(), IndexedAnnotations: c.Store.IndexedAnnotations,
	}
}

// hold is for how long nothing is started in a store that was restored: then every
// executor has spoken, or stopped its runs because its lease had ended.
func (c Config) hold() time.Duration {
	return c.Executors.Lease + leader.Config{}.WithDefaults().Expiry.Margin
}

func (c Config) executors() executors.Config {
	config := executors.DefaultConfig()
	config.Lease, config.MaxAttempts = c.Executors.Lease, c.Executors.MaxAttempts
	config.Original2026 = c.Executors.Original2026.service(c.Executors.MaxAttempts)
	config.Away = map[string][]armada.Toleration{}
	for _, away := range c.away() {
		config.Away[away.NodeType] = away.Tolerations()
	}
	return config
}

func (c Config) agent(id armada.ExecutorID) executor.Config {
	config := executor.DefaultConfig()
	config.ID, config.Pool, config.Categories = id, c.Executor.Pool, c.Executor.ErrorCategories
	config.UsageSample, config.UsageReport = c.Executor.Utilisation.SampleEvery, c.Executor.Utilisation.ReportEvery
	config.Exec, config.MaxExecs = c.Executor.Exec, c.Executor.MaxExecs
	config.MinimumJob, _ = c.minimumJob() // Validate tells what is wrong
	config.Heartbeat = min(config.Heartbeat, c.Executors.Lease/4)
	config.Margin = min(config.Margin, c.Executors.Lease/4)
	config.Patience = min(config.Patience, c.Executors.Lease/4)
	return config
}
