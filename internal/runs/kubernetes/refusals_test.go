package kubernetes_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"armada"
	"armada/internal/runs"
	"armada/internal/runs/kubernetes/kubetest"
	"armada/internal/runs/runstest"
)

// webhook has somebody asked about every pod that is made in the namespace of the
// world. It answers nil for what is allowed, and errAway to say nothing at all.
func (w *world) webhook(t *testing.T, answer func(pod *corev1.Pod) (*metav1.Status, error)) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(to http.ResponseWriter, from *http.Request) {
		var review admissionv1.AdmissionReview
		pod := &corev1.Pod{}
		if err := errors.Join(json.NewDecoder(from.Body).Decode(&review), json.Unmarshal(review.Request.Object.Raw, pod)); err != nil {
			t.Errorf("the webhook is asked: %v", err)
		}
		status, err := answer(pod)
		if err != nil {
			http.Error(to, err.Error(), http.StatusServiceUnavailable)
			return
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: status == nil, Result: status}
		to.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(to).Encode(review) // who asks may be gone
	}))
	t.Cleanup(server.Close)
	none, fail := admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.Fail
	hooks := w.nodes.Cluster.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	if _, err := hooks.Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: w.nodes.Namespace},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "pods.example.com", AdmissionReviewVersions: []string{"v1"}, SideEffects: &none, FailurePolicy: &fail,
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				URL: &server.URL, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
			},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: w.nodes.Namespace}},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
		}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := hooks.Delete(context.Background(), w.nodes.Namespace, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	await(t, "the webhook to be asked", func(ctx context.Context) bool {
		probe := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "probe", Namespace: w.nodes.Namespace, Labels: map[string]string{"refuse": "400"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "none"}}},
		}
		_, err := w.nodes.Cluster.Client.CoreV1().Pods(w.nodes.Namespace).Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil
	})
}

// errAway is the answer of a webhook that gives none.
var errAway = errors.New("nobody is there")

// codes are what webhooks refuse with, as a pod's label says.
var codes = map[string]int32{"400": http.StatusBadRequest, "403": http.StatusForbidden, "409": http.StatusConflict, "429": http.StatusTooManyRequests, "500": http.StatusInternalServerError}

func TestAPodThatAnAdmissionWebhookRefusesFailsItsRunWhateverItsCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.webhook(t, func(pod *corev1.Pod) (*metav1.Status, error) {
		if code, refused := codes[pod.Labels["refuse"]]; refused {
			return &metav1.Status{Message: "no such team", Code: code}, nil
		}
		return nil, nil
	})
	r := w.open(t)
	defer closed(t, r)
	for code := range codes {
		o := w.beginAs(t, r, runstest.Job{}, func(o *runs.Order) { o.Labels = map[string]string{"refuse": code} })
		s := ended(t, r, o.Run)
		if s.Phase != runs.Failed || s.GiveBack || s.End.Category != armada.CategoryInternal || s.End.Subcategory != armada.SubcategoryCreateFailed ||
			!strings.Contains(s.End.Reason, `the pod could not be made: admission webhook "pods.example.com" denied the request: no such team`) {
			t.Errorf("with code %s it ended as %v: %+v", code, s.Phase, s.End)
		}
	}
	o := w.begin(t, r, runstest.Job{}, nil)
	runstest.AwaitPhase(t, r, o.Run, runs.Succeeded)
}

// Which is no refusal: it is asked again.
func TestAnAdmissionWebhookThatIsAwayOnlyDelaysRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	var asked atomic.Int64
	w.webhook(t, func(pod *corev1.Pod) (*metav1.Status, error) {
		switch {
		case pod.Name == "probe":
			return &metav1.Status{Code: http.StatusBadRequest}, nil
		case asked.Add(1) < 3:
			return nil, errAway
		}
		return nil, nil
	})
	r := w.open(t)
	defer closed(t, r)
	runstest.AwaitPhase(t, r, w.begin(t, r, runstest.Job{}, nil).Run, runs.Succeeded)
	if asked.Load() < 3 {
		t.Errorf("it was asked %d times", asked.Load())
	}
}

func TestARunWhosePodCanNeverBeMadeSaysWhatTheAPIServerSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	r := w.open(t)
	defer closed(t, r)
	for want, spec := range map[string]string{
		`spec.containers[0].volumeMounts[0].name: Not found: "none"`: `{containers: [{name: main, image: none, volumeMounts: [{name: none, mountPath: /a}]}]}`,
		`no PriorityClass with name no-such-class was found`:         `{containers: [{name: main, image: none}], priorityClassName: no-such-class}`,
		`spec.containers[0].name: Invalid value: "-"`:                `{containers: [{name: "-", image: none}]}`,
		`pod rejected: RuntimeClass "no-such-class" not found`:       `{containers: [{name: main, image: none}], runtimeClassName: no-such-class}`,
	} {
		o := w.beginAs(t, r, runstest.Job{}, func(o *runs.Order) { o.Spec = specOf(t, spec) })
		s := ended(t, r, o.Run)
		if s.Phase != runs.Failed || s.GiveBack || s.End.Subcategory != armada.SubcategoryCreateFailed || !strings.Contains(s.End.Reason, want) {
			t.Errorf("it ended as %v: %+v, want %s", s.Phase, s.End, want)
		}
	}
}

// front has the world's executors reach the cluster by a way on which somebody sees
// every request, and answers it or passes it on.
func (w *world) front(t testing.TB, see func(to http.ResponseWriter, from *http.Request, next http.Handler)) {
	t.Helper()
	w.config.Kubeconfig = w.nodes.Cluster.Front(t, func(api http.Handler) http.Handler {
		return http.HandlerFunc(func(to http.ResponseWriter, from *http.Request) { see(to, from, api) })
	})
}

func TestThePatternsOfTheOperatorSayWhatIsFatal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.config.FatalSubmissionErrors = []runs.Pattern{pattern("no such team")}
	var refused atomic.Int64
	w.front(t, func(to http.ResponseWriter, from *http.Request, next http.Handler) {
		if from.Method == http.MethodPost && strings.HasSuffix(from.URL.Path, "/pods") && refused.Add(1) == 1 {
			to.Header().Set("Content-Type", "application/json")
			to.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(to, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "there is no such team", "reason": "ServiceUnavailable", "code": 503}`)
			return
		}
		next.ServeHTTP(to, from)
	})
	r := w.open(t)
	defer closed(t, r)
	if s := ended(t, r, w.begin(t, r, runstest.Job{}, nil).Run); s.Phase != runs.Failed || s.End.Subcategory != armada.SubcategoryCreateFailed || !strings.Contains(s.End.Reason, "no such team") {
		t.Errorf("it ended as %v: %+v", s.Phase, s.End)
	}
}

// An API server that has too much to do is asked again until it is done, and makes one
// pod, with Retry-After and without.
func TestAPodIsAskedForAgainWhereTheAPIServerHasTooMuchToDo(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]string{"it says when to come back": "1", "it does not say when": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			var asked atomic.Int64
			w.front(t, func(to http.ResponseWriter, from *http.Request, next http.Handler) {
				if from.Method == http.MethodGet || asked.Add(1) > 3 {
					next.ServeHTTP(to, from)
					return
				}
				if after != "" {
					to.Header().Set("Retry-After", after)
				}
				http.Error(to, "too many requests", http.StatusTooManyRequests)
			})
			r := w.open(t)
			defer closed(t, r)
			o := w.begin(t, r, runstest.Job{}, nil)
			runstest.AwaitPhase(t, r, o.Run, runs.Succeeded)
			if n := w.nodes.Lives(w.podOf(t, o).Name); n != 1 || asked.Load() != 4 {
				t.Errorf("it had %d pods after %d requests", n, asked.Load())
			}
		})
	}
}

func TestARunThatTheClusterDoesNotPlaceIsGivenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.config.NodeIDLabel, w.config.Pending.NodeAssignment = kubetest.Played, 1 // by which nobody places pods here
	r := w.open(t)
	defer closed(t, r)
	s := ended(t, r, w.begin(t, r, runstest.Job{}, nil).Run)
	if s.Phase != runs.Failed || !s.GiveBack || s.End.Subcategory != "stuck-starting-up" || !strings.Contains(s.End.Reason, "the cluster did not place the pod on its node") {
		t.Errorf("it ended as %v, given back %v: %+v", s.Phase, s.GiveBack, s.End)
	}
}

// One container runs, and that the other never begins is found all the same.
func TestARunOfWhichOneContainerNeverBeginsIsGivenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	r := w.open(t)
	defer closed(t, r)
	o := w.beginAs(t, r, runstest.Job{Forever: true}, func(o *runs.Order) {
		o.Spec = specOf(t, `{containers: [{name: main, image: none}, {name: second, image: none}]}`)
	})
	var pod *corev1.Pod
	await(t, "one container to run", func(context.Context) bool {
		pod = w.podOf(t, o)
		return len(pod.Status.ContainerStatuses) == 1
	})
	pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
		Name: "second", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "InvalidImageName", Message: "what is that?"}},
	})
	if _, err := w.nodes.Cluster.Client.CoreV1().Pods(pod.Namespace).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if s := ended(t, r, o.Run); s.Phase != runs.Failed || s.End.Reason != "container second does not begin: InvalidImageName: what is that?" {
		t.Errorf("it ended as %v: %+v", s.Phase, s.End)
	}
}
