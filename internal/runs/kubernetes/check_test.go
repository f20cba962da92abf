package kubernetes_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"armada"
	"armada/internal/doctor"
	"armada/internal/runs"
	"armada/internal/runs/kubernetes"
	"armada/internal/runs/runstest"
)

// grant gives a user the role of deploy/kubernetes/rbac.yaml, and more.
func (w *world) grant(t *testing.T, user string, more ...rbacv1.PolicyRule) {
	t.Helper()
	api, role := w.nodes.Cluster.Client.RbacV1(), kubernetes.GrantedRole(t)
	role.Name += "-" + user
	role.Rules = append(role.Rules, more...)
	if _, err := api.ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func failures(checks []doctor.Check) []string {
	var failed []string
	for _, c := range checks {
		if c.Verdict != doctor.OK {
			failed = append(failed, c.Name+": "+c.Finding)
		}
	}
	return failed
}

func TestCheckNamesEveryRightThatIsMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	user := w.nodes.Namespace + "-nobody"
	w.config.Kubeconfig = w.nodes.Cluster.User(t, user)
	var text strings.Builder
	for _, f := range failures(kubernetes.Check(t.Context(), w.config, kubernetes.Expected{Pool: "default"})) {
		text.WriteString(f + "\n")
	}
	for _, want := range []string{"pods: may not get, list, watch, create, delete, patch", "pods/log: may not get", "nodes", "events: may not list", "services: may not get, create, delete", "ingresses.networking.k8s.io: may not get, create, delete"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not told in\n%s", want, text.String())
		}
	}
}

func TestCheckSaysWhatIsWrongWithTheNodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	if failed := failures(kubernetes.Check(t.Context(), w.config, kubernetes.Expected{Pool: "default"})); len(failed) > 0 {
		t.Errorf("with nothing wrong it finds %q", failed)
	}
	for want, spoil := range map[string]func(*kubernetes.Config){
		"0 nodes":                            func(c *kubernetes.Config) { c.NodeSelector = "there=is-none" },
		"1 nodes have no label example/none": func(c *kubernetes.Config) { c.NodeIDLabel = "example/none" },
		`context "nowhere" does not exist`:   func(c *kubernetes.Config) { c.Context = "nowhere" },
		"kubeconfig":                         func(c *kubernetes.Config) { c.Kubeconfig = "/there/is/none" },
	} {
		config := w.config
		spoil(&config)
		if failed := failures(kubernetes.Check(t.Context(), config, kubernetes.Expected{Pool: "default"})); len(failed) != 1 || !strings.Contains(failed[0], want) {
			t.Errorf("it finds %q, want one about %q", failed, want)
		}
	}
}

// class makes a priority class of the test's own and returns its name.
func (w *world) class(t *testing.T, end string, value int32, policy corev1.PreemptionPolicy) string {
	t.Helper()
	name := w.nodes.Name + "-" + end
	api := w.nodes.Cluster.Client.SchedulingV1().PriorityClasses()
	if _, err := api.Create(t.Context(), &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value, PreemptionPolicy: &policy}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = api.Delete(context.Background(), name, metav1.DeleteOptions{}) })
	return name
}

func TestCheckNamesEveryPriorityClassThatPodsNeedAndTheClusterLacksOrSeesOtherwise(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	user := w.nodes.Namespace + "-executor"
	w.config.Kubeconfig = w.nodes.Cluster.User(t, user)
	w.grant(t, user) // and not to read classes
	good := w.class(t, "good", 1000, corev1.PreemptNever)
	other := w.class(t, "other", 7, corev1.PreemptNever)
	pushy := w.class(t, "pushy", 1000, corev1.PreemptLowerPriority)
	classes := []armada.PriorityClass{{Name: good, Priority: 1000}, {Name: other, Priority: 1000}, {Name: pushy, Priority: 1000}, {Name: "there-is-none", Priority: 1}, {Name: "nor-this", Priority: 1}}
	found := map[string]doctor.Check{}
	for _, c := range kubernetes.Check(t.Context(), w.config, kubernetes.Expected{Pool: "default", Classes: classes}) {
		found[strings.TrimPrefix(c.Name, "priority class ")] = c
	}
	for class, want := range map[string]struct {
		verdict doctor.Verdict
		finding string
		advice  string
	}{
		good:            {doctor.OK, "with priority 1000", ""},
		other:           {doctor.Warning, "priority 7, jobs.priorityClasses says 1000", "make both the same"},
		pushy:           {doctor.Warning, "removes other pods", "preemptionPolicy: Never"},
		"there-is-none": {doctor.Problem, "has none of that name", "priority-classes.yaml"},
		"nor-this":      {doctor.Problem, "has none of that name", "priority-classes.yaml"},
	} {
		if c := found[class]; c.Verdict != want.verdict || !strings.Contains(c.Finding, want.finding) || !strings.Contains(c.Advice, want.advice) {
			t.Errorf("of class %s it says %+v, want %v with %q", class, c, want.verdict, want.finding)
		}
	}
	pods, err := w.nodes.Cluster.Client.CoreV1().Pods(metav1.NamespaceDefault).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) > 0 {
		t.Errorf("there are %d pods after a check, %v", len(pods.Items), err)
	}
}

func TestCheckAsksForTheOnePriorityClassThatPodsWillHave(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	classes := []armada.PriorityClass{{Name: "there-is-none"}}
	for class, want := range map[string][]string{
		"none":                        nil,
		"of-the-cluster":              {"priority class of-the-cluster: the cluster has none of that name, and refuses every pod that names it"},
		w.class(t, "own", 1, "Never"): nil, // whatever its priority: it is the cluster's own
	} {
		w.config.PriorityClass = class
		if failed := failures(kubernetes.Check(t.Context(), w.config, kubernetes.Expected{Pool: "default", Classes: classes})); !slices.Equal(failed, want) {
			t.Errorf("with the class %q it finds %q, want %q", class, failed, want)
		}
	}
}

// The main paths, as somebody who has the role of the example and nothing else.
func TestTheRoleOfTheExampleIsEnough(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	user := w.nodes.Namespace + "-executor"
	w.config.Kubeconfig = w.nodes.Cluster.User(t, user)
	w.config.KeepFinished, w.config.KeepFailed = 0, 0
	w.grant(t, user)
	if failed := failures(kubernetes.Check(t.Context(), w.config, kubernetes.Expected{Pool: "default"})); len(failed) > 0 {
		t.Errorf("check finds %q", failed)
	}
	r := w.open(t)
	defer closed(t, r)

	good := w.begin(t, r, runstest.Job{Print: []string{"hello"}}, nil, nodePort(t, 8080), ingress(t, 8080))
	runstest.AwaitPhase(t, r, good.Run, runs.Succeeded)
	runstest.AwaitLine(t, r, good.Run, "hello")
	bad := w.begin(t, r, runstest.Job{ExitCode: 3}, nil)
	if s := ended(t, r, bad.Run); s.Phase != runs.Failed || s.End.Debug == "" {
		t.Errorf("it ended as %v: %+v", s.Phase, s.End)
	}
	long := w.begin(t, r, runstest.Job{Forever: true}, nil)
	runstest.AwaitPhase(t, r, long.Run, runs.Running)
	if err := r.Stop(t.Context(), long.Run, 0); err != nil {
		t.Fatal(err)
	}
	runstest.AwaitPhase(t, r, long.Run, runs.Stopped)
	for _, o := range []runs.Order{good, bad, long} {
		if err := r.Forget(t.Context(), o.Run); err != nil {
			t.Fatal(err)
		}
		await(t, "the pod to be removed", func(ctx context.Context) bool {
			_, err := w.nodes.Cluster.Client.CoreV1().Pods(w.nodes.Namespace).Get(ctx, "armada-"+string(o.Job)+"-0", metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		})
	}
}
