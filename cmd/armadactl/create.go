package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	"armada/pkg/api"
	"armada/pkg/client"
	"armada/pkg/client/manifest"
)

// createCommand creates what a file describes, and has commands of its own.
func (c *cli) createCommand() *cobra.Command {
	var file, form string
	var dry bool
	create := group("create", "Create a queue, by flags or from a file, or a retry policy",
		c.queueCommand("create", "Create a queue, or replace it when it exists", (*client.Client).CreateQueue, "created"),
		c.retryPolicyCommand("create", "Create a retry policy, or replace it when it exists", createThing, "created"))
	choose := create.RunE
	create.Use = "create [-f FILE]"
	create.RunE = func(cmd *cobra.Command, args []string) error {
		if file == "" {
			return choose(cmd, args)
		}
		return c.put(cmd.Context(), filed{file: file, form: form, dry: dry, read: manifest.Read, send: createThing, done: "created"})
	}
	create.Flags().StringVarP(&file, "file", "f", "", "file that describes a queue (kind: Queue) or a retry policy (kind: RetryPolicy), - for the standard input")
	create.Flags().BoolVar(&dry, "dry-run", false, "only check the file")
	outputFlag(create, &form, asText...)
	return create
}

// filed is a file that describes a thing, and what is to be done with it.
type filed struct {
	file, form string
	dry        bool // only check it
	read       func([]byte) (manifest.Thing, error)
	send       func(context.Context, *client.Client, manifest.Thing) error
	done       string
}

// put sends what a file describes to the server.
func (c *cli) put(ctx context.Context, f filed) error {
	data, err := c.read(f.file)
	if err != nil {
		return err
	}
	thing, err := f.read(data)
	if err != nil {
		return inFile(f.file, err)
	}
	kind, word := manifest.KindQueue, "queue"
	if _, is := thing.(*api.RetryPolicy); is {
		kind, word = manifest.KindRetryPolicy, "retry policy"
	}
	to := machine{cli: c, form: f.form}
	if f.dry {
		return to.done(kind, thing.GetName(), "nothing", fmt.Sprintf("%s describes the %s %s. Nothing was sent.", f.file, word, thing.GetName()))
	}
	return c.connected(ctx, func(ctx context.Context, server *client.Client) error {
		if err := f.send(ctx, server, thing); err != nil {
			if violations := client.Violations(err); len(violations) > 0 {
				return &fileError{f.file, manifest.Locate(data, violations)}
			}
			return advise(err, codes.NotFound, "Create it: armadactl create -f %s", f.file)
		}
		return to.done(kind, thing.GetName(), f.done, fmt.Sprintf("%s %s %s.", capital(word), thing.GetName(), f.done))
	})
}

// capital begins a sentence with a word.
func capital(word string) string { return string(word[0]-'a'+'A') + word[1:] }

// createThing creates a thing or replaces it.
func createThing(ctx context.Context, server *client.Client, thing manifest.Thing) error {
	if policy, is := thing.(*api.RetryPolicy); is {
		return server.CreateRetryPolicy(ctx, policy)
	}
	queue, _ := thing.(*api.Queue)
	return server.CreateQueue(ctx, queue)
}
