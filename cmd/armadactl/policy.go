package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	"armada/pkg/api"
	"armada/pkg/client"
	"armada/pkg/client/manifest"
)

// retryPolicyCommand is create retry-policy and update retry-policy.
func (c *cli) retryPolicyCommand(verb, short string, send func(context.Context, *client.Client, manifest.Thing) error, done string) *cobra.Command {
	f := filed{send: send, done: done, read: func(data []byte) (manifest.Thing, error) { return manifest.ReadRetryPolicy(data) }}
	cmd := &cobra.Command{
		Use:   "retry-policy -f FILE",
		Short: short,
		Long: short + `. The file says which failures are worth another attempt:

  kind: RetryPolicy
  name: patient
  retryLimit: 3            # attempts after the first
  defaultAction: Fail      # when no rule matches
  rules:                   # the first that matches decides
    - action: Retry
      onExitCodes: [3, 4]
    - action: Retry
      onConditions: [OOMKilled]
      mutate: {resources: {memory: {factor: 1.5}}}

Queues name their policies: armadactl create queue NAME --retry-policies patient.`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.file == "" {
				return &usageError{"missing: -f FILE"}
			}
			return c.put(cmd.Context(), f)
		},
	}
	cmd.Flags().StringVarP(&f.file, "file", "f", "", "file that describes the policy (kind: RetryPolicy), - for the standard input")
	if verb == "create" {
		cmd.Flags().BoolVar(&f.dry, "dry-run", false, "only check the file")
	}
	outputFlag(cmd, &f.form, asText...)
	return cmd
}

// updateThing replaces a retry policy that exists.
func updateThing(ctx context.Context, server *client.Client, thing manifest.Thing) error {
	policy, _ := thing.(*api.RetryPolicy)
	return server.UpdateRetryPolicy(ctx, policy)
}

func (c *cli) deleteRetryPolicyCommand() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "retry-policy NAME",
		Short: "Delete a retry policy, and take it off the queues that name it",
		Args:  arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				if err := server.DeleteRetryPolicy(ctx, args[0]); err != nil {
					return err
				}
				to := machine{cli: c, form: form}
				return to.done(manifest.KindRetryPolicy, args[0], "deleted", fmt.Sprintf("Retry policy %s deleted.", args[0]))
			})
		},
	}
	outputFlag(cmd, &form, asText...)
	c.completeArguments(cmd, policyArgument)
	return cmd
}

func (c *cli) getRetryPolicyCommand() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "retry-policy NAME",
		Short: "Show a retry policy, in a form that create -f takes",
		Args:  arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				policy, err := server.RetryPolicy(ctx, args[0])
				if err != nil {
					return advise(err, codes.NotFound, "See which there are: armadactl get retry-policies")
				}
				return c.showPolicies(form, policy)
			})
		},
	}
	outputFlag(cmd, &form, formYAML, formJSON, formTable, formWide, formName)
	c.completeArguments(cmd, policyArgument)
	return cmd
}

func (c *cli) getRetryPoliciesCommand() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "retry-policies",
		Short: "List the retry policies",
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				policies, err := server.RetryPolicies(ctx)
				if err != nil {
					return err
				}
				return c.showPolicies(form, policies...)
			})
		},
	}
	outputFlag(cmd, &form, asTable...)
	return cmd
}

// showPolicies writes retry policies; JSON and YAML are files that create -f takes.
func (c *cli) showPolicies(form string, policies ...*api.RetryPolicy) error {
	to := machine{cli: c, form: form}
	if to.chosen() {
		for _, p := range policies {
			if err := to.add(p.GetName(), p, "apiVersion", manifest.APIVersion, "kind", manifest.KindRetryPolicy); err != nil {
				return err
			}
		}
		return nil
	}
	if len(policies) == 0 {
		c.printf("There are no retry policies. Create one: armadactl create retry-policy -f FILE\n")
		return nil
	}
	t := table{columns: []string{"NAME", "RETRY LIMIT", "DEFAULT", "RULES"}}
	for _, p := range policies {
		rules := strconv.Itoa(len(p.GetRules()))
		if form == formWide {
			var words []string
			for _, r := range p.GetRules() {
				words = append(words, ruleWords(r))
			}
			rules = dash(strings.Join(words, "; "))
		}
		t.add(p.GetName(), strconv.FormatUint(uint64(p.GetRetryLimit()), 10), actionWord(p.GetDefaultAction()), rules)
	}
	return t.write(c.out)
}

// ruleWords say what a rule is for and what it does.
func ruleWords(r *api.RetryRule) string {
	words := []string{actionWord(r.GetAction())}
	add := func(word, value string) {
		if value != "" {
			words = append(words, word+"="+value)
		}
	}
	add("category", r.GetOnCategory())
	add("subcategory", r.GetOnSubcategory())
	var codes []string
	for _, code := range r.GetOnExitCodes() {
		codes = append(codes, strconv.Itoa(int(code)))
	}
	add("exitCodes", strings.Join(codes, ","))
	add("conditions", strings.Join(r.GetOnConditions(), ","))
	if m := r.GetOnTerminationMessage(); m != "" {
		add("message", strconv.Quote(m))
	}
	if r.GetMutate().GetAffinity().GetAvoidSameNode() {
		words = append(words, "avoidSameNode")
	}
	add("memory", growthWord(r.GetMutate().GetResources().GetMemory()))
	return strings.Join(words, " ")
}

// growthWord is by how much an attempt gets more memory; empty for not at all.
func growthWord(b *api.RetryResourceBump) string {
	switch {
	case b.GetStatic() != "":
		return "+" + b.GetStatic()
	case b.GetFactor() != 0:
		return "*" + number(b.GetFactor())
	default:
		return ""
	}
}

// actionWord is an action as files have it.
func actionWord(a api.RetryAction) string {
	switch a {
	case api.RetryAction_RETRY_ACTION_FAIL:
		return "Fail"
	case api.RetryAction_RETRY_ACTION_RETRY:
		return "Retry"
	default:
		return a.String()
	}
}
