package server

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"armada"
	"armada/internal/auth"
)

// mostQueueChanges is how many changes of a queue are remembered with it. All of
// them are in the audit records.
const mostQueueChanges = 20

// keep writes a queue, with a note of who changes what beside those that it has. One
// that must be there already is NotFound otherwise.
func (q *queues) keep(ctx context.Context, queue armada.Queue, caller auth.Principal, mustExist bool) error {
	before, err := q.store.Queue(ctx, queue.Name)
	missing := armada.CodeOf(err) == armada.CodeNotFound
	if err != nil && !missing {
		return fmt.Errorf("look up the queue %q: %w", queue.Name, err)
	}
	queue.Changes = before.Changes
	what := "created"
	if !missing {
		what = difference(&before, &queue)
	}
	if what != "" {
		change := armada.QueueChange{At: q.now().UTC(), By: caller.Name, What: what}
		queue.Changes = append([]armada.QueueChange{change}, before.Changes[:min(len(before.Changes), mostQueueChanges-1)]...)
	}
	put := q.store.PutQueue
	if mustExist {
		put = q.store.UpdateQueue
	}
	if err := put(ctx, queue); armada.CodeOf(err) == armada.CodeNotFound {
		return noQueue(ctx, q.auth, q.store, queue.Name)
	} else if err != nil {
		return fmt.Errorf("change the queue %q: %w", queue.Name, err)
	}
	return nil
}

// difference tells in words which settings of a queue became others; nothing when
// none did.
func difference(before, after *armada.Queue) string {
	var words []string
	if a, b := before.PriorityFactor, after.PriorityFactor; a != b {
		words = append(words, "priority factor "+factor(a)+" to "+factor(b))
	}
	switch {
	case after.Cordoned && !before.Cordoned:
		words = append(words, "cordoned")
	case before.Cordoned && !after.Cordoned:
		words = append(words, "no longer cordoned")
	}
	for _, part := range []struct {
		name          string
		before, after any
	}{
		{"permissions", before.Permissions, after.Permissions},
		{"limits", before.Limits, after.Limits},
		{"labels", before.Labels, after.Labels},
		{"retry policies", before.RetryPolicies, after.RetryPolicies},
	} {
		if !same(part.before, part.after) {
			words = append(words, part.name)
		}
	}
	return strings.Join(words, ", ")
}

func factor(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// same tells whether two lists or maps have the same in them; nil is empty.
func same(a, b any) bool {
	return reflect.ValueOf(a).Len() == 0 && reflect.ValueOf(b).Len() == 0 || reflect.DeepEqual(a, b)
}
