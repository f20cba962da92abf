package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"armada"
	"armada/pkg/api/lookout"
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

func (c *cli) topQueuesCommand() *cobra.Command {
	t := &top{cli: c}
	cmd := &cobra.Command{
		Use:   "queues",
		Short: "Show what each queue has to do, and what it holds of each pool",
		Long: `Show what each queue has to do, and what it holds of each pool. A terminal shows it anew every few seconds,
until Ctrl-C; elsewhere it is shown once. Of each queue there is a line for each pool in which it has something
or wants something; -o wide says why nothing more of it is placed there.

ENTITLED TO, HOLDS and WANTS are those of get scheduling-report.`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.show(cmd, func(ctx context.Context, server *client.Client, w io.Writer) error {
				queues, known, err := server.QueueLoads(ctx)
				if err != nil {
					return err
				}
				if !known {
					fmt.Fprintln(c.errors, "What the queues hold of the pools is not known now: nobody schedules, or cannot be asked.")
				}
				return t.writeQueues(w, queues)
			})
		},
	}
	t.flags(cmd)
	return cmd
}

// busiest compares queues by what they have to do.
func busiest(a, b *lookout.QueueSummary) int {
	load := func(q *lookout.QueueSummary) (onNodes, queued int64) {
		states := q.GetStates()
		return states["LEASED"] + states["PENDING"] + states["RUNNING"], states["QUEUED"]
	}
	onA, queuedA := load(a)
	onB, queuedB := load(b)
	return cmp.Or(cmp.Compare(onB, onA), cmp.Compare(queuedB, queuedA), cmp.Compare(a.GetName(), b.GetName()))
}

func (t *top) writeQueues(w io.Writer, queues []*lookout.QueueSummary) error {
	slices.SortFunc(queues, busiest)
	to := machine{cli: t.cli, form: t.form}
	if to.chosen() {
		for _, q := range queues {
			if err := to.add(q.GetName(), q); err != nil {
				return err
			}
		}
		return nil
	}
	rows := table{columns: []string{"QUEUE", "WEIGHT", "CORDONED", "QUEUED", "STARTING", "RUNNING", "POOL", "ENTITLED TO", "HOLDS", "WANTS"}}
	if t.form == formWide {
		rows.columns = append(rows.columns, "PLACED NO MORE BECAUSE")
	}
	for _, q := range queues {
		states := q.GetStates()
		head := []string{
			q.GetName(), fmt.Sprintf("%.3g", 1/max(q.GetPriorityFactor(), 1)), yesNo(q.GetCordoned()),
			fmt.Sprint(states["QUEUED"]), fmt.Sprint(states["LEASED"] + states["PENDING"]), fmt.Sprint(states["RUNNING"]),
		}
		shares := q.GetShares()
		if len(shares) == 0 {
			rows.add(append(head, "-", "-", "-", "-", "-")[:len(rows.columns)]...)
		}
		for _, s := range shares {
			row := append(slices.Clone(head), s.GetPool(), percent(s.GetAdjustedFairShare()), percent(s.GetShare()), percent(s.GetDemand()), dash(oneLine(s.GetStopped())))
			rows.add(row[:len(rows.columns)]...)
			head = []string{"", "", "", "", "", ""} // said once
		}
	}
	return rows.write(w)
}

// nodeChoice chooses nodes.
type nodeChoice struct{ executor, pool string }

func (n *nodeChoice) flags(c *cli, cmd *cobra.Command) {
	cmd.Flags().StringVar(&n.executor, "executor", "", "only nodes of this executor")
	cmd.Flags().StringVar(&n.pool, "pool", "", "only nodes of this pool")
	register(cmd, "executor", func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return c.suggestions(cmd.Context(), executorArgument, "", nil, begun)
	})
}

// node is a node, and whose it is.
type node struct {
	*lookout.NodeSummary

	executor *lookout.ExecutorSummary
}

func (n *nodeChoice) nodes(ctx context.Context, server *client.Client) ([]node, error) {
	executors, err := server.ExecutorLoads(ctx, n.executor, n.pool)
	if err != nil {
		return nil, err
	}
	var all []node
	for _, e := range executors {
		for _, summary := range e.GetNodes() {
			all = append(all, node{summary, e})
		}
	}
	return all, nil
}

func (c *cli) topNodesCommand() *cobra.Command {
	t := &top{cli: c}
	var choice nodeChoice
	cmd := &cobra.Command{
		Use:   "nodes",
		Short: "Show the nodes with the most jobs, and what these hold of them",
		Long: `Show the nodes, those with the most jobs first, and what the jobs hold of them. A terminal shows it anew
every few seconds, until Ctrl-C; elsewhere it is shown once.`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.show(cmd, func(ctx context.Context, server *client.Client, w io.Writer) error {
				nodes, err := choice.nodes(ctx, server)
				if err != nil {
					return err
				}
				slices.SortStableFunc(nodes, func(a, b node) int { return cmp.Compare(b.GetJobs(), a.GetJobs()) })
				return c.listNodes(w, nodes, t.form)
			})
		},
	}
	choice.flags(c, cmd)
	t.flags(cmd)
	return cmd
}

// listNodes writes nodes, for programs with the executor that each belongs to.
func (c *cli) listNodes(w io.Writer, nodes []node, form string) error {
	to := machine{cli: c, form: form}
	if to.chosen() {
		for _, n := range nodes {
			if err := to.add(n.GetName(), n.NodeSummary, "executor", n.executor.GetExecutor()); err != nil {
				return err
			}
		}
		return nil
	}
	if len(nodes) == 0 {
		_, err := fmt.Fprintln(w, "No nodes.")
		return err
	}
	t := table{columns: []string{"NODE", "EXECUTOR", "POOL", "NEW JOBS", "JOBS", "CPU", "MEMORY"}}
	if form == formWide {
		t.columns = append(t.columns, "OTHERS", "TYPE", "NOT ARMADA'S")
	}
	for _, n := range nodes {
		takes := "yes"
		if n.GetUnschedulable() || n.executor.GetCordoned() {
			takes = "no"
		}
		row := []string{
			n.GetName(), n.executor.GetExecutor(), dash(n.GetPool()), takes, fmt.Sprint(n.GetJobs()),
			usedOf(n.GetUsed(), n.GetAllocatable(), armada.CPU), usedOf(n.GetUsed(), n.GetAllocatable(), armada.Memory),
		}
		if form == formWide {
			row = append(row, dash(otherResources(n.GetUsed(), n.GetAllocatable())), dash(n.GetNodeType()), dash(sorted(n.GetUsedByOthers())))
		}
		t.add(row...)
	}
	return t.write(w)
}
