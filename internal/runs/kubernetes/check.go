package kubernetes

import (
	"cmp"
	"context"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"armada"
	"armada/internal/doctor"
)

// right is what an executor must be allowed to do. deploy/kubernetes/rbac.yaml
// grants these and no more; a test compares.
type right struct {
	group, resource, subresource string
	verbs                        []string
	when                         func(*Config, *Expected) bool // nil: always
}

var rights = []right{
	{resource: "pods", verbs: []string{"get", "list", "watch", "create", "delete", "patch"}},
	{resource: "pods", subresource: "log", verbs: []string{"get"}},
	{resource: "nodes", verbs: []string{"list", "watch"}},
	{resource: "events", verbs: []string{"list"}},
	{group: metricsGroup, resource: "pods", verbs: []string{"list"}},
	{resource: "services", verbs: []string{"get", "create", "delete"}},
	{group: "networking.k8s.io", resource: "ingresses", verbs: []string{"get", "create", "delete"}},
	{resource: "pods", subresource: "exec", verbs: []string{"get", "create"}, when: func(_ *Config, e *Expected) bool { return e.Commands }},
	{resource: "users", verbs: []string{"impersonate"}, when: impersonates},
	{resource: "groups", verbs: []string{"impersonate"}, when: impersonates},
}

func impersonates(c *Config, _ *Expected) bool { return c.ImpersonateUsers }

func (r right) String() string {
	name := r.resource
	if r.group != "" {
		name += "." + r.group
	}
	if r.subresource != "" {
		name += "/" + r.subresource
	}
	return name
}

// Expected is what an executor will want of its cluster, beside its config.
type Expected struct {
	Pool     string                 // of nodes that name none
	Classes  []armada.PriorityClass // that jobs may name
	Commands bool                   // run in containers as well
}

// Check looks whether an executor could work in the cluster, and changes nothing.
// It answers what it found up to where it could not go on.
func Check(ctx context.Context, config Config, expects Expected) []doctor.Check {
	const cluster = "cluster"
	clients, err := connect(&config)
	if err != nil {
		return []doctor.Check{doctor.Good(cluster, "%v", err).Fail("name a file in executor.kubernetes.kubeconfig, or run the executor in a pod of its cluster")}
	}
	version, err := clients.own.Discovery().ServerVersion()
	if err != nil {
		return []doctor.Check{doctor.Good(cluster, "the API server at %s does not answer: %v", clients.host, err).Fail("the executor must reach it; look at the kubeconfig's server and credentials")}
	}
	checks := []doctor.Check{doctor.Good(cluster, "%s answers, version %s", clients.host, version.GitVersion)}
	for _, r := range rights {
		if r.when == nil || r.when(&config, &expects) {
			checks = append(checks, clients.mayI(ctx, r))
		}
	}
	checks = append(checks, clients.classesCheck(ctx, &config, expects.Classes)...)
	return append(append(checks, clients.nodesCheck(ctx, &config, expects.Pool)...), storageCheck(ctx, &config)...)
}

// mayI asks the API server whether we have a right.
func (c *clients) mayI(ctx context.Context, r right) doctor.Check {
	name := "rights: " + r.String()
	var missing []string
	for _, verb := range r.verbs {
		answer, err := c.own.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
				Group: r.group, Resource: r.resource, Subresource: r.subresource, Verb: verb,
			}},
		}, metav1.CreateOptions{})
		if err != nil {
			return doctor.Unknown(name, "%v", err)
		}
		if !answer.Status.Allowed {
			missing = append(missing, verb)
		}
	}
	if len(missing) > 0 {
		where := "grants it"
		if r.when != nil {
			where = "has it as a comment"
		}
		return doctor.Good(name, "may not %s in all namespaces", strings.Join(missing, ", ")).Fail("deploy/kubernetes/rbac.yaml %s", where)
	}
	return doctor.Good(name, "may %s", strings.Join(r.verbs, ", "))
}

// nodesCheck looks at the nodes that the executor would use.
func (c *clients) nodesCheck(ctx context.Context, config *Config, pool string) []doctor.Check {
	const name = "nodes"
	nodes, err := c.own.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: config.NodeSelector})
	if err != nil {
		return []doctor.Check{doctor.Unknown(name, "%v", err)}
	}
	pools, nameless, ready := map[string]int{}, 0, 0
	for i := range nodes.Items {
		n := &nodes.Items[i]
		pools[cmp.Or(n.Labels[config.NodePoolLabel], pool)]++
		if !config.BindDirectly && n.Labels[config.NodeIDLabel] == "" {
			nameless++
		}
		if _, quiet := silent(n); !quiet && !n.Spec.Unschedulable {
			ready++
		}
	}
	check := doctor.Good(name, "%d nodes, %d of them take pods, by pool %v", len(nodes.Items), ready, pools)
	if ready == 0 {
		check = check.Fail("nothing could run: look at the nodes, and at executor.kubernetes.nodeSelector")
	}
	checks := []doctor.Check{check}
	if nameless > 0 {
		checks = append(checks, doctor.Good("node labels", "%d nodes have no label %s", nameless, config.NodeIDLabel).
			Fail("pods cannot be led to them: set executor.kubernetes.nodeIDLabel to a label that every node has alone, or bindDirectly"))
	}
	return checks
}
