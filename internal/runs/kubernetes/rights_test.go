package kubernetes

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// GrantedRole reads the role of deploy/kubernetes/rbac.yaml.
func GrantedRole(t testing.TB) *rbacv1.ClusterRole {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "deploy", "kubernetes", "rbac.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
		role := &rbacv1.ClusterRole{}
		if err := yaml.Unmarshal(document, role); err != nil {
			t.Fatal(err)
		}
		if role.Kind == "ClusterRole" {
			return role
		}
	}
	t.Fatal("deploy/kubernetes/rbac.yaml has no ClusterRole")
	return nil
}

func TestTheRoleOfTheExampleGrantsWhatCheckAsksForAndNoMore(t *testing.T) {
	t.Parallel()
	granted, wanted := map[string][]string{}, map[string][]string{}
	for _, rule := range GrantedRole(t).Rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				granted[group+"/"+resource] = slices.Sorted(slices.Values(rule.Verbs))
			}
		}
	}
	for _, r := range rights {
		if r.when != nil {
			continue // the file shows them as a comment
		}
		name := r.group + "/" + r.resource
		if r.subresource != "" {
			name += "/" + r.subresource
		}
		wanted[name] = slices.Sorted(slices.Values(r.verbs))
	}
	if !maps.EqualFunc(granted, wanted, slices.Equal[[]string]) {
		t.Errorf("the role grants %v, the executor needs %v", granted, wanted)
	}
}
