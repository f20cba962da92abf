package kubernetes_test

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"armada"
	"armada/internal/runs"
	"armada/internal/runs/kubernetes"
	"armada/internal/runs/runstest"
)

// impersonating is a world whose executor has the rights of
// deploy/kubernetes/rbac.yaml, and that of making things in the name of owners.
func impersonating(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, 1)
	user := w.nodes.Namespace + "-executor"
	w.config.Kubeconfig, w.config.ImpersonateUsers = w.nodes.Cluster.User(t, user), true
	w.grant(t, user)
	api, name := w.nodes.Cluster.Client.RbacV1(), user+"-impersonates"
	if _, err := api.ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"users", "groups"}, Verbs: []string{"impersonate"}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return w
}

// mayCreate lets somebody create things of a kind in the namespace of the world,
// and nothing else: not even look at them.
func (w *world) mayCreate(t *testing.T, kind, who, group, resource string) {
	t.Helper()
	api, name := w.nodes.Cluster.Client.RbacV1(), strings.ToLower(kind)+"-"+who+"-"+resource
	if _, err := api.Roles(w.nodes.Namespace).Create(t.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{group}, Resources: []string{resource}, Verbs: []string{"create"}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.RoleBindings(w.nodes.Namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: kind, Name: who}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// of starts a run of an owner that goes on, with a service and an ingress beside
// it.
func (w *world) of(t *testing.T, r *kubernetes.Runtime, owner string, groups ...string) runs.Order {
	t.Helper()
	return w.beginAs(t, r, runstest.Job{Forever: true}, func(o *runs.Order) {
		o.Owner, o.Groups, o.Objects = owner, groups, []runs.Object{nodePort(t, 8080), ingress(t, 9090)}
		for i := range o.Objects {
			o.Objects[i].Name = owner + "-" + o.Objects[i].Name
		}
	})
}

func TestPodsAndWhatIsBesideThemAreMadeInTheNameOfTheOwnerAndOfItsGroups(t *testing.T) {
	t.Parallel()
	w := impersonating(t)
	w.mayCreate(t, rbacv1.GroupKind, "science", "", "pods")
	w.mayCreate(t, rbacv1.GroupKind, "science", "", "services")
	w.mayCreate(t, rbacv1.GroupKind, "science", "networking.k8s.io", "ingresses")
	r := w.open(t)
	defer func() { closed(t, r) }()
	o := w.of(t, r, "ada", "music", "science")
	reached := func(all map[armada.RunID]runs.Status) bool { return len(all[o.Run].Addresses) == 2 }
	runstest.Await(t, r, "addresses", reached)

	// After a restart they are found, which ada herself could not.
	closed(t, r)
	r = w.open(t)
	runstest.Await(t, r, "addresses again", reached)

	if s := ended(t, r, w.of(t, r, "eve", "music").Run); s.Phase != runs.Failed || s.End.Subcategory != armada.SubcategoryCreateFailed ||
		!strings.Contains(s.End.Reason, `the pod could not be made: pods is forbidden: User "eve" cannot create resource "pods"`) {
		t.Errorf("the run of an owner who may not make pods ended as %v: %+v", s.Phase, s.End)
	}
}

func TestAnOwnerWhoMayMakePodsOnlyIsToldWhatElseWouldBeNeeded(t *testing.T) {
	t.Parallel()
	w := impersonating(t)
	w.mayCreate(t, rbacv1.UserKind, "bob", "", "pods")
	r := w.open(t)
	defer closed(t, r)
	o := w.of(t, r, "bob")
	if s := ended(t, r, o.Run); s.Phase != runs.Failed ||
		!strings.Contains(s.End.Reason, `bob-service-8080 could not be made: services is forbidden: User "bob" cannot create resource "services"`) {
		t.Errorf("it ended as %v: %+v", s.Phase, s.End)
	}
	if _, err := w.nodes.Cluster.Client.CoreV1().Services(w.nodes.Namespace).Get(t.Context(), "bob-service-8080", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the service is there: %v", err)
	}
}

// What a job says in its annotations about owner and groups is not taken for them.
func TestNobodyNamesOwnersAndGroupsInAnnotations(t *testing.T) {
	t.Parallel()
	w := impersonating(t)
	w.mayCreate(t, rbacv1.UserKind, "bob", "", "pods")
	w.mayCreate(t, rbacv1.GroupKind, "science", "", "services")
	r := w.open(t)
	defer closed(t, r)
	o := w.beginAs(t, r, runstest.Job{Forever: true}, func(o *runs.Order) {
		o.Owner, o.Objects = "bob", []runs.Object{nodePort(t, 8080)}
		o.Annotations[kubernetes.AnnotationGroups], o.Annotations[kubernetes.AnnotationOwner] = `["science"]`, "ada"
	})
	if s := ended(t, r, o.Run); s.Phase != runs.Failed || !strings.Contains(s.End.Reason, `User "bob" cannot create resource "services"`) {
		t.Errorf("it ended as %v: %+v", s.Phase, s.End)
	}
}

// What is made in nobody's name would be made with the executor's own rights.
func TestNothingIsMadeInNobodysName(t *testing.T) {
	t.Parallel()
	w := impersonating(t)
	r := w.open(t)
	defer closed(t, r)
	o := w.beginAs(t, r, runstest.Job{}, func(o *runs.Order) { o.Owner = "" })
	if s := ended(t, r, o.Run); s.Phase != runs.Failed || !strings.Contains(s.End.Reason, "the job has no owner") {
		t.Errorf("it ended as %v: %+v", s.Phase, s.End)
	}
	if _, err := w.nodes.Cluster.Client.CoreV1().Pods(w.nodes.Namespace).Get(t.Context(), "armada-"+string(o.Job)+"-0", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the pod is there: %v", err)
	}
}
