package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada"
	"armada/internal/podspec"
	"armada/pkg/api/lookout"
	"armada/pkg/api/schedulerobjects"
	"armada/pkg/client"
)

// top is a table that shows itself anew in a terminal, and once elsewhere.
type top struct {
	cli   *cli
	form  string
	every time.Duration
	once  bool
}

func (t *top) flags(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&t.every, "interval", 2*time.Second, "how often a terminal shows it anew")
	cmd.Flags().BoolVar(&t.once, "once", false, "show it once in a terminal too")
	outputFlag(cmd, &t.form, asTable...)
}

// show calls take for what is to be shown until the user ends it. In a terminal it
// stays at the top; a failure is shown in place of what is not known for now.
func (t *top) show(cmd *cobra.Command, take func(context.Context, *client.Client, io.Writer) error) error {
	if t.every < 100*time.Millisecond {
		return &usageError{fmt.Sprintf("--interval is %s, must be at least 100ms", t.every)}
	}
	c := t.cli
	return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
		_, is := c.terminal()
		if !is || t.once || t.form != formTable && t.form != formWide || c.environment("TERM") == "dumb" {
			return take(ctx, server, c.out)
		}
		for shown := false; ; shown = true {
			var text bytes.Buffer
			err := take(ctx, server, &text)
			switch {
			case ctx.Err() != nil:
				return nil
			case err != nil && !shown:
				return err
			case err != nil:
				fmt.Fprintf(&text, "Not known for now: %s\n", said(err))
			}
			c.printf("%s", c.screen(text.String()))
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(t.every):
			}
		}
	})
}

const (
	toTop      = "\x1b[H"
	eraseRest  = "\x1b[K" // of a line
	eraseBelow = "\x1b[J"
)

// screen is a text made to fit into the terminal, from its first line on.
func (c *cli) screen(text string) string {
	columns, _ := c.terminal()
	var b strings.Builder
	b.WriteString(toTop)
	rows := c.rows() - 2
	for line := range strings.Lines("armadactl top, " + c.now().In(c.zone).Format(time.TimeOnly) + "; Ctrl-C ends it\n\n" + text) {
		if rows--; rows < 0 {
			b.WriteString("… and more than fits; --once shows all\n")
			break
		}
		b.WriteString(short(strings.TrimSuffix(line, "\n"), columns) + eraseRest + "\n")
	}
	return b.String() + eraseBelow
}

// queueLoad is what a queue has to do.
type queueLoad struct {
	Queue    string  `json:"queue"`
	Weight   float64 `json:"weight"`
	Cordoned bool    `json:"cordoned"`
	Queued   int     `json:"queued"`
	OnNodes  int     `json:"onNodes"` // leased, pending or running
	JobSets  int     `json:"jobSets"`
}

func (c *cli) topQueuesCommand() *cobra.Command {
	t := &top{cli: c}
	cmd := &cobra.Command{
		Use:   "queues",
		Short: "Show what each queue has to do, and how the queues share each pool",
		Long: `Show what each queue has to do, and how the queues share each pool. A terminal shows it anew every few
seconds, until Ctrl-C; elsewhere it is shown once. Queues that you may not look into are left out.

` + whatSharesSay,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.show(cmd, func(ctx context.Context, server *client.Client, w io.Writer) error {
				loads, err := queueLoads(ctx, server)
				if err != nil {
					return err
				}
				return t.writeQueues(ctx, server, w, loads)
			})
		},
	}
	t.flags(cmd)
	return cmd
}

// queueLoads are those of all queues that the user may look into, the busiest first.
func queueLoads(ctx context.Context, server *client.Client) ([]queueLoad, error) {
	queues, err := server.Queues(ctx)
	if err != nil {
		return nil, err
	}
	var loads []queueLoad
	for _, q := range queues {
		info, err := server.QueueInfo(ctx, q.GetName())
		if code := status.Code(err); code == codes.PermissionDenied || code == codes.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		load := queueLoad{Queue: q.GetName(), Weight: 1 / max(q.GetPriorityFactor(), 1), Cordoned: q.GetCordoned(), JobSets: len(info.GetActiveJobSets())}
		for _, set := range info.GetActiveJobSets() {
			load.Queued += int(set.GetQueuedJobs())
			load.OnNodes += int(set.GetLeasedJobs())
		}
		loads = append(loads, load)
	}
	slices.SortStableFunc(loads, func(a, b queueLoad) int {
		return cmp.Or(cmp.Compare(b.OnNodes, a.OnNodes), cmp.Compare(b.Queued, a.Queued))
	})
	return loads, nil
}

func (t *top) writeQueues(ctx context.Context, server *client.Client, w io.Writer, loads []queueLoad) error {
	to := machine{cli: t.cli, form: t.form}
	if to.chosen() {
		for _, load := range loads {
			if err := to.addValue(load.Queue, load); err != nil {
				return err
			}
		}
		return nil
	}
	queues := table{columns: []string{"QUEUE", "WEIGHT", "CORDONED", "QUEUED", "ON NODES", "JOB SETS"}}
	for _, load := range loads {
		queues.add(load.Queue, fmt.Sprintf("%.3g", load.Weight), yesNo(load.Cordoned), fmt.Sprint(load.Queued), fmt.Sprint(load.OnNodes), fmt.Sprint(load.JobSets))
	}
	if err := queues.write(w); err != nil {
		return err
	}
	var verbosity int32
	if t.form == formWide {
		verbosity = 1
	}
	answer, err := server.Reporter.GetSchedulingReport(ctx, &schedulerobjects.SchedulingReportRequest{Verbosity: verbosity})
	if err != nil {
		_, err = fmt.Fprintf(w, "\nHow they share the pools is not known: %s\n", said(err))
		return err
	}
	_, err = fmt.Fprintf(w, "\n%s", answer.GetReport())
	return err
}

// topJobs is how many jobs top nodes looks at, the newest that have a node.
const topJobs = 100_000

// nodeLoad is what runs on a node, or is about to.
type nodeLoad struct {
	Node      string            `json:"node"`
	Executor  string            `json:"executor"`
	Pool      string            `json:"pool"`
	Jobs      int               `json:"jobs"`
	Queues    []string          `json:"queues"`
	Resources map[string]string `json:"resources"` // that the jobs ask for

	amounts map[string]int64
}

func (c *cli) topNodesCommand() *cobra.Command {
	t := &top{cli: c}
	cmd := &cobra.Command{
		Use:   "nodes",
		Short: "Show what the jobs on each node ask for",
		Long: `Show the nodes that have jobs, the fullest first, with what these jobs ask for. A terminal shows it anew
every few seconds, until Ctrl-C; elsewhere it is shown once.`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.show(cmd, func(ctx context.Context, server *client.Client, w io.Writer) error {
				nodes, err := nodeLoads(ctx, server)
				if err != nil {
					return err
				}
				return t.writeNodes(w, nodes)
			})
		},
	}
	t.flags(cmd)
	return cmd
}

// nodeLoads are those of all nodes with jobs that the user may look at.
func nodeLoads(ctx context.Context, server *client.Client) ([]*nodeLoad, error) {
	nodes := map[[2]string]*nodeLoad{}
	query := client.JobQuery{States: []armada.JobState{armada.JobLeased, armada.JobPending, armada.JobRunning}, Limit: topJobs}
	err := server.EachJob(ctx, query, func(j *lookout.Job) error {
		if len(j.GetRuns()) == 0 {
			return nil
		}
		run := j.GetRuns()[len(j.GetRuns())-1]
		key := [2]string{run.GetExecutor(), run.GetNode()}
		n := nodes[key]
		if n == nil {
			n = &nodeLoad{Node: run.GetNode(), Executor: run.GetExecutor(), Pool: run.GetPool(), amounts: map[string]int64{}}
			nodes[key] = n
		}
		n.Jobs++
		if !slices.Contains(n.Queues, j.GetQueue()) {
			n.Queues = append(n.Queues, j.GetQueue())
		}
		for name, text := range j.GetResources() {
			if amount, err := podspec.ParseQuantity(text, resourceOf(name), true); err == nil {
				n.amounts[name] += amount
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	all := slices.Collect(maps.Values(nodes))
	for _, n := range all {
		slices.Sort(n.Queues)
		n.Resources = map[string]string{}
		for name, amount := range n.amounts {
			n.Resources[name] = resourceOf(name).Format(amount)
		}
	}
	slices.SortFunc(all, func(a, b *nodeLoad) int {
		return cmp.Or(cmp.Compare(b.amounts[armada.CPU], a.amounts[armada.CPU]), cmp.Compare(b.Jobs, a.Jobs), cmp.Compare(a.Executor, b.Executor), cmp.Compare(a.Node, b.Node))
	})
	return all, nil
}

func (t *top) writeNodes(w io.Writer, nodes []*nodeLoad) error {
	to := machine{cli: t.cli, form: t.form}
	if to.chosen() {
		for _, n := range nodes {
			if err := to.addValue(n.Node, n); err != nil {
				return err
			}
		}
		return nil
	}
	if len(nodes) == 0 {
		_, err := fmt.Fprintln(w, "No node has jobs.")
		return err
	}
	var others []string // resources that have a column only where jobs ask for them
	for _, n := range nodes {
		for name := range n.Resources {
			if name != armada.CPU && name != armada.Memory && (t.form == formWide || name != armada.EphemeralStorage) && !slices.Contains(others, name) {
				others = append(others, name)
			}
		}
	}
	slices.Sort(others)
	asked := append([]string{armada.CPU, armada.Memory}, others...)
	table := table{columns: []string{"NODE", "EXECUTOR", "POOL", "JOBS"}}
	for _, name := range asked {
		table.columns = append(table.columns, strings.ToUpper(name))
	}
	table.columns = append(table.columns, "QUEUES")
	for _, n := range nodes {
		row := []string{dash(n.Node), dash(n.Executor), dash(n.Pool), fmt.Sprint(n.Jobs)}
		for _, name := range asked {
			row = append(row, dash(n.Resources[name]))
		}
		table.add(append(row, firstFew(n.Queues, 5))...)
	}
	return table.write(w)
}
