package kube_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"armada"
	"armada/internal/app"
	"armada/internal/auth"
	"armada/internal/runs/kubernetes/kubetest"
	"armada/pkg/api"
	"armada/pkg/client"
	"armada/test/chaos/proxy"
)

// accounts is a namespace with service accounts: armada, which may review tokens,
// and robot, which may nothing.
type accounts struct {
	*testing.T
	namespace, host, caFile string
}

func newAccounts(t *testing.T) *accounts {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubetest.Shared(t).Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	namespace, err := kubetest.Client().CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "team-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	a := &accounts{T: t, namespace: namespace.Name, host: config.Host, caFile: config.CAFile}
	for _, name := range []string{"armada", "robot"} {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := kubetest.Client().CoreV1().ServiceAccounts(a.namespace).Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := kubetest.Client().RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "armada-reviews-" + a.namespace},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:auth-delegator"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "armada", Namespace: a.namespace}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return a
}

// user is what the cluster calls an account.
func (a *accounts) user(account string) string {
	return "system:serviceaccount:" + a.namespace + ":" + account
}

// token is one of an account, for the cluster itself when no audience is given.
func (a *accounts) token(account string, audiences ...string) string {
	a.Helper()
	day := int64(24 * 60 * 60)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences, ExpirationSeconds: &day}}
	answer, err := kubetest.Client().CoreV1().ServiceAccounts(a.namespace).CreateToken(a.Context(), account, request, metav1.CreateOptions{})
	if err != nil {
		a.Fatal(err)
	}
	return answer.Status.Token
}

func (a *accounts) file(text string) string {
	a.Helper()
	path := filepath.Join(a.TempDir(), "token")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		a.Fatal(err)
	}
	return path
}

// config lets accounts of the cluster in; edit changes it.
func (a *accounts) config(edit func(*auth.Kubernetes)) auth.Config {
	a.Helper()
	config := auth.DefaultConfig()
	config.KubernetesAuth.APIServer, config.KubernetesAuth.CAFile = a.host, a.caFile
	config.KubernetesAuth.TokenFile = a.file(a.token("armada") + "\n")
	config.PermissionGroupMapping = map[string][]string{"create_queue": {a.user("robot")}}
	edit(&config.KubernetesAuth)
	if err := config.Validate(); err != nil {
		a.Fatal(err)
	}
	return config
}

// asked answers who a token proves to be, to whom the clock tells the time.
func (a *accounts) asked(config auth.Config, now func() time.Time) func(token string) (auth.Principal, error) {
	a.Helper()
	methods, err := config.Methods(slog.New(slog.DiscardHandler), now)
	if err != nil {
		a.Fatal(err)
	}
	return func(token string) (auth.Principal, error) {
		return methods.Authenticate(a.Context(), auth.Credentials{Authorization: []string{"Bearer " + token}})
	}
}

// wants fails the test unless the error has the code and says why.
func (a *accounts) wants(err error, code armada.ErrorCode, why string) {
	a.Helper()
	if armada.CodeOf(err) != code || !strings.Contains(err.Error(), why) {
		a.Errorf("the answer is %v, want %q", err, why)
	}
}

func TestAServiceAccountOfARealClusterLogsIn(t *testing.T) {
	t.Parallel()
	a := newAccounts(t)
	h := &house{TB: t, log: slog.New(slog.DiscardHandler)}
	config := app.DefaultConfig()
	config.Server.GRPCAddr, config.Server.HTTPAddr, config.Auth = "127.0.0.1:0", "127.0.0.1:0", a.config(func(*auth.Kubernetes) {})
	server, _ := h.begin(app.RoleServer|app.RoleExecutor, config, withoutJobs)
	login := client.Config{ArmadaURL: server.GRPCAddr(), ForceNoTLS: true, Timeout: patience}
	login.KubernetesNativeAuth = &client.KubernetesNativeAuth{Enabled: true, TokenFile: a.file(a.token("robot"))}
	c, err := client.New(login)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	who, err := c.WhoAmI(t.Context())
	if err != nil || who.Name != a.user("robot") || !strings.Contains(strings.Join(who.Groups, " "), "system:serviceaccounts:"+a.namespace) {
		t.Errorf("it is %+v, %v", who, err)
	}
	if err := c.CreateQueue(t.Context(), &api.Queue{Name: "q", PriorityFactor: 1}); err != nil {
		t.Error(err)
	}
}

func TestTokensForOthersExpiredForgedAndOfDeletedAccountsAreRefused(t *testing.T) {
	t.Parallel()
	a, clock := newAccounts(t), time.Now()
	now := func() time.Time { return clock }
	whoever := a.asked(a.config(func(*auth.Kubernetes) {}), now)
	ours := a.asked(a.config(func(k *auth.Kubernetes) { k.Audiences = []string{"armada", "other"} }), now)
	robot := a.token("robot")
	if p, err := whoever(robot); err != nil || p.Name != a.user("robot") {
		t.Errorf("a token of the cluster proves %v, %v", p, err)
	}
	if p, err := ours(a.token("robot", "armada")); err != nil || p.Name != a.user("robot") {
		t.Errorf("a token for this server proves %v, %v", p, err)
	}
	const unknown = "does not know the token"
	for name, answer := range map[string]func() (auth.Principal, error){
		"a token for the cluster where one for this server is wanted": func() (auth.Principal, error) { return ours(robot) },
		"a token for somebody else":                                   func() (auth.Principal, error) { return ours(a.token("robot", "elsewhere")) },
		"a token for this server where one for the cluster is wanted": func() (auth.Principal, error) { return whoever(a.token("robot", "armada")) },
		"a token with another signature":                              func() (auth.Principal, error) { return whoever(robot[:len(robot)-8] + "AAAAAAAA") },
	} {
		t.Log(name)
		_, err := answer()
		a.wants(err, armada.CodeUnauthenticated, unknown)
	}
	_, err := whoever("not a token")
	a.wants(err, armada.CodeUnauthenticated, "is not that of a service account")

	// The cluster forgets an account a while after it was deleted, and so do we. Each
	// look is a minute later to the server, so that it remembers no answer.
	if err := kubetest.Client().CoreV1().ServiceAccounts(a.namespace).Delete(t.Context(), "robot", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	h := &house{TB: t}
	h.await("the token of a deleted account to be refused", func() bool {
		clock = clock.Add(time.Minute + time.Second)
		_, err = whoever(robot)
		return err != nil
	})
	a.wants(err, armada.CodeUnauthenticated, unknown)
	clock = clock.Add(25 * time.Hour)
	_, err = whoever(robot)
	a.wants(err, armada.CodeUnauthenticated, "has expired at")
}

func TestAnAPIThatDoesNotAnswerOrDoesNotTellIsNoRefusal(t *testing.T) {
	t.Parallel()
	a, clock := newAccounts(t), time.Now()
	between, err := proxy.Open(strings.TrimPrefix(a.host, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	defer between.Close()
	ask := a.asked(a.config(func(k *auth.Kubernetes) { k.APIServer = "https://" + between.Addr() }), func() time.Time { return clock })
	robot := a.token("robot")
	between.Set(proxy.Fault{Refuse: true})
	_, err = ask(robot)
	a.wants(err, armada.CodeUnavailable, "the API does not answer at the moment")
	between.Set(proxy.Fault{})
	if _, err := ask(robot); err != nil {
		t.Errorf("when the API is there: %v", err)
	}
	between.Set(proxy.Fault{Refuse: true})
	between.Cut()
	if _, err := ask(robot); err != nil {
		t.Errorf("a token that was taken lately, without the API: %v", err)
	}
	clock = clock.Add(2 * time.Minute)
	_, err = ask(robot)
	a.wants(err, armada.CodeUnavailable, "the API does not answer at the moment")

	// Whoever may not review tokens cannot say that one is wrong.
	powerless := a.asked(a.config(func(k *auth.Kubernetes) { k.TokenFile = a.file(robot) }), time.Now)
	_, err = powerless(a.token("armada"))
	a.wants(err, armada.CodeUnavailable, "403 Forbidden")
	strange := a.asked(a.config(func(k *auth.Kubernetes) { k.TokenFile = a.file("no token") }), time.Now)
	_, err = strange(robot)
	a.wants(err, armada.CodeUnavailable, "401 Unauthorized")
}
