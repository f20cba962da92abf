package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada/pkg/api"
	"armada/pkg/client"
)

// queueChoice chooses queues by what they are rather than by name.
type queueChoice struct {
	labels            []string
	inverse, cordoned bool
}

// picks tells whether a queue is one of those chosen; without names any name is.
func (q *queueChoice) picks(names []string, queue *api.Queue) bool {
	asked := (len(names) == 0 || slices.Contains(names, queue.GetName())) && hasLabels(queue, q.labels) && (!q.cordoned || queue.GetCordoned())
	return asked != q.inverse
}

// flags gives a command the flags of the choice; one has --match-labels by another
// name.
func (q *queueChoice) flags(cmd *cobra.Command, labels string) {
	cmd.Flags().StringSliceVarP(&q.labels, labels, "l", nil, "only queues with all these labels, key=value or key")
	cmd.Flags().BoolVar(&q.inverse, "inverse", false, "the queues that are not meant by this instead")
}

// named returns nil when a command line names queues or says which labels they
// have, and not both.
func (q *queueChoice) named(names []string, labels string) error {
	switch {
	case len(names) == 0 && len(q.labels) == 0:
		return &usageError{"missing: names of queues, or --" + labels}
	case len(names) > 0 && len(q.labels) > 0:
		return &usageError{"give names of queues or --" + labels + ", not both"}
	default:
		return nil
	}
}

// queuesOf are the queues that are meant, by name. That a name is no queue's is an
// error: with --inverse it would mean all of them.
func (q *queueChoice) queuesOf(ctx context.Context, server *client.Client, names []string) ([]*api.Queue, error) {
	all, err := server.Queues(ctx)
	if err != nil {
		return nil, err
	}
	if err := unknownQueues(names, all, "; nothing was done"); err != nil {
		return nil, err
	}
	chosen := slices.DeleteFunc(all, func(queue *api.Queue) bool { return !q.picks(names, queue) })
	if len(chosen) == 0 {
		return nil, &advisedError{status.Error(codes.NotFound, "no queue is meant by this"), "See which there are: armadactl get queues -o wide"}
	}
	return chosen, nil
}

// unknownQueues is an error when some of the names are no queue's, otherwise nil. What
// stands after them in its words is the caller's.
func unknownQueues(names []string, all []*api.Queue, after string) error {
	var unknown []string
	for _, name := range names {
		if !slices.ContainsFunc(all, func(queue *api.Queue) bool { return queue.GetName() == name }) {
			unknown = append(unknown, fmt.Sprintf("%q", name))
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	missing := status.Errorf(codes.NotFound, "there is no queue %s%s", strings.Join(unknown, " and no queue "), after)
	return advise(missing, codes.NotFound, "See which there are: armadactl get queues")
}

// allQueues are the names of all queues, unless some are named. Servers take an
// empty list for none.
func allQueues(ctx context.Context, server *client.Client, named []string) ([]string, error) {
	if len(named) > 0 {
		return named, nil
	}
	queues, err := server.Queues(ctx)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(queues))
	for i, q := range queues {
		names[i] = q.GetName()
	}
	return names, nil
}

// eachQueue does something to queues one after the other, and goes on when one
// fails. Of several each failure is told, and the first decides on the exit code.
func (c *cli) eachQueue(queues []*api.Queue, do func(*api.Queue) error) error {
	if len(queues) == 1 {
		return do(queues[0])
	}
	failed, code := 0, exitOK
	for _, queue := range queues {
		if err := do(queue); err != nil {
			fmt.Fprintln(c.errors, said(err))
			if failed++; code == exitOK {
				code = exitCode(err)
			}
		}
	}
	if failed == 0 {
		return nil
	}
	return &statusError{fmt.Errorf("%d of %d queues are left as they were", failed, len(queues)), code}
}

func hasLabels(q *api.Queue, wanted []string) bool {
	for _, w := range wanted {
		key, value, exact := strings.Cut(w, "=")
		if got, has := q.GetLabels()[key]; !has || exact && got != value {
			return false
		}
	}
	return true
}
