package server

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"armada"
	"armada/internal/auth"
	"armada/internal/store"
	"armada/pkg/nearest"
)

// longestGuess is how long a name may be that others are compared with: queues
// have names of at most 63 characters.
const longestGuess = 100

// noQueue is the error of a call about a queue that does not exist, worded as
// clients of 2026 look for it. It suggests the queues that may have been meant,
// of those that the caller may see.
func noQueue(ctx context.Context, may *auth.Authorizer, known store.Queues, name string) error {
	message := fmt.Sprintf("could not find queue %q", clip(name, 100))
	if near := nearQueues(ctx, may, known, name); len(near) > 0 {
		message += ", did you mean " + strings.Join(near, " or ") + "?"
	}
	return &armada.Error{Code: armada.CodeNotFound, Message: message}
}

// nearQueues returns names in quotes. It is a courtesy: when it fails there are
// none.
func nearQueues(ctx context.Context, may *auth.Authorizer, known store.Queues, name string) []string {
	if name == "" || len(name) > longestGuess {
		return nil
	}
	sight, err := may.Sight(ctx, auth.VerbSeeQueues)
	if err != nil {
		return nil
	}
	all, err := known.Queues(ctx)
	if err != nil {
		return nil
	}
	var seen []string
	for i := range all {
		if sight.Sees(all[i].Name) {
			seen = append(seen, all[i].Name)
		}
	}
	near := nearest.Names(name, seen)
	for i := range near {
		near[i] = strconv.Quote(near[i])
	}
	return near
}
