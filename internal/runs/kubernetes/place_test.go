package kubernetes_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"armada"
	"armada/internal/runs"
	"armada/internal/runs/kubernetes"
	"armada/internal/runs/kubernetes/kubetest"
	"armada/internal/runs/runstest"
)

// podOf reads the pod of a run.
func (w *world) podOf(t testing.TB, o runs.Order) *corev1.Pod {
	t.Helper()
	pod, err := w.nodes.Cluster.Client.CoreV1().Pods(w.nodes.Namespace).Get(t.Context(), "armada-"+string(o.Job)+"-0", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func TestPodsAreLedToTheNodeThatTheSchedulerChose(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(c *kubernetes.Config)
		want   func(node string) (selector map[string]string, bound bool)
	}{
		"by its hostname": {func(*kubernetes.Config) {}, func(node string) (map[string]string, bool) {
			return map[string]string{corev1.LabelHostname: node, kubetest.Played: "yes"}, false
		}},
		"by a label of the operator's": {func(c *kubernetes.Config) { c.NodeIDLabel = "example/id" }, func(node string) (map[string]string, bool) {
			return map[string]string{"example/id": "id-of-" + node, kubetest.Played: "yes"}, false
		}},
		"directly": {func(c *kubernetes.Config) { c.BindDirectly = true }, func(string) (map[string]string, bool) {
			return map[string]string{kubetest.Played: "yes"}, true
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2)
			c.change(&w.config)
			for _, name := range w.nodes.Names {
				w.changed(t, name, func(n *corev1.Node) { n.Labels["example/id"] = "id-of-" + name })
			}
			r := w.open(t)
			defer closed(t, r)
			node := w.nodes.Names[1]
			o := w.beginAs(t, r, runstest.Job{Forever: true}, func(o *runs.Order) {
				o.Node, o.Spec = node, specOf(t, `{containers: [{name: main, image: none}], nodeSelector: {kubetest/played: "yes"}, schedulerName: nobody}`)
			})
			pod := w.podOf(t, o)
			selector, bound := c.want(node)
			if !maps.Equal(pod.Spec.NodeSelector, selector) {
				t.Errorf("it selects its node by %v, want %v", pod.Spec.NodeSelector, selector)
			}
			if bound && pod.Spec.NodeName != node {
				t.Errorf("it is bound to %q, want %q", pod.Spec.NodeName, node)
			}
			if bound {
				runstest.AwaitPhase(t, r, o.Run, runs.Running)
			}
		})
	}
}

// specOf is the bytes of a pod spec in YAML.
func specOf(t testing.TB, text string) []byte {
	t.Helper()
	spec := &corev1.PodSpec{}
	if err := yaml.UnmarshalStrict([]byte(text), spec); err != nil {
		t.Fatal(err)
	}
	raw, err := spec.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Without what leads it to its node, a pod would run wherever the cluster likes.
func TestARunIsGivenBackWhereNothingLeadsToItsNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.config.NodeIDLabel = "example/id"
	w.changed(t, w.nodes.Names[1], func(n *corev1.Node) { n.Labels["use"] = "no" })
	w.config.NodeSelector += ",use!=no"
	r := w.open(t)
	defer closed(t, r)
	for node, want := range map[string]string{
		"nowhere":        `node "nowhere" is not, or no longer, one that the executor uses`,
		w.nodes.Names[1]: "is not, or no longer, one that the executor uses",
		w.nodes.Names[0]: "has no label example/id (executor.kubernetes.nodeIDLabel)",
	} {
		o := runs.Order{Run: armada.NewRunID("01arz3ndektsv4rrffq69gzz00", 1), Job: "01arz3ndektsv4rrffq69gzz00", Queue: "a-queue", JobSet: "a-set", Node: node}
		w.spec(&o, runstest.Job{})
		if err := r.Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("on %s: %v, want an error that says: %s", node, err, want)
		}
	}
	if pods, err := w.nodes.Cluster.Client.CoreV1().Pods(w.nodes.Namespace).List(t.Context(), metav1.ListOptions{}); err != nil || len(pods.Items) > 0 {
		t.Errorf("%d pods were made, %v", len(pods.Items), err)
	}
}

func TestRunsGoOnWhereANodeIsNoLongerToBeUsedAndEndWithIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.config.NodeSelector += ",use!=no"
	w.config.Pending.ContainerStatuses = []kubernetes.ContainerRule{{ReasonRegexp: pattern(".*"), Action: kubernetes.ActionFail}}
	r := w.open(t)
	defer closed(t, r)
	o := w.begin(t, r, runstest.Job{Forever: true}, nil)
	runstest.AwaitPhase(t, r, o.Run, runs.Running)
	w.changed(t, o.Node, func(n *corev1.Node) { n.Labels["use"] = "no" })
	awaitNode(t, r, o.Node, "the node not to be told", func(_ armada.Node, there bool) bool { return !there })
	for range 2 { // rounds in which others are found in trouble
		bad := w.beginAs(t, r, runstest.Job{}, func(o *runs.Order) { o.Node, o.Annotations[kubetest.Waits] = w.nodes.Names[1], "InvalidImageName" })
		ended(t, r, bad.Run)
	}
	if pod := w.podOf(t, o); pod.DeletionTimestamp != nil || pod.Annotations[kubernetes.AnnotationVerdict] != "" {
		t.Errorf("its run is ended: %v", pod.Annotations)
	}
	w.nodes.RemoveNode(t, o.Node)
	if s := ended(t, r, o.Run); s.Phase != runs.Unknown || s.End.Subcategory != "node-lost" || s.End.Category != armada.CategoryInternal || s.End.Reason != "node "+o.Node+" is gone" {
		t.Errorf("it ended as %v: %+v", s.Phase, s.End)
	}
}

// A pod as jobs may have it, with fields from everywhere.
const everything = `
serviceAccountName: robot
automountServiceAccountToken: false
imagePullSecrets: [{name: registry}]
priority: 0
hostname: here
subdomain: there
hostAliases: [{ip: 10.1.2.3, hostnames: [other]}]
dnsPolicy: None
dnsConfig: {nameservers: [10.0.0.1], options: [{name: ndots, value: "2"}]}
terminationGracePeriodSeconds: 41
activeDeadlineSeconds: 7200
shareProcessNamespace: true
enableServiceLinks: false
setHostnameAsFQDN: true
hostUsers: true
preemptionPolicy: PreemptLowerPriority
schedulerName: somebody
nodeSelector: {kubetest/played: "yes"}
securityContext: {runAsUser: 1000, fsGroup: 2000, supplementalGroups: [3000], seccompProfile: {type: RuntimeDefault}, sysctls: [{name: net.core.somaxconn, value: "1024"}]}
tolerations: [{key: gpu, operator: Exists, effect: NoSchedule}, {key: slow, value: "yes", effect: NoExecute, tolerationSeconds: 60}]
topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {a: b}}}]
affinity:
  nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 5, preference: {matchExpressions: [{key: zone, operator: NotIn, values: [a]}]}}]}
  podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, podAffinityTerm: {topologyKey: zone, labelSelector: {matchLabels: {a: b}}}}]}
readinessGates: [{conditionType: example.com/ready}]
volumes:
  - {name: scratch, emptyDir: {medium: Memory, sizeLimit: 1Gi}}
  - {name: data, persistentVolumeClaim: {claimName: data, readOnly: true}}
  - {name: config, configMap: {name: config, defaultMode: 256, items: [{key: a, path: b}]}}
  - {name: secret, secret: {secretName: secret, optional: true}}
  - {name: host, hostPath: {path: /dev/shm, type: Directory}}
  - {name: nfs, nfs: {server: nfs.example, path: /exports}}
  - {name: csi, csi: {driver: csi.example, volumeAttributes: {a: b}}}
  - {name: own, ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}}}
  - {name: all, projected: {sources: [{serviceAccountToken: {path: token, audience: there, expirationSeconds: 3600}}, {downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}]}}
initContainers:
  - {name: first, image: "init:1", command: [sh, -c], args: ["true"], resources: {requests: {cpu: "1"}, limits: {cpu: "2"}}}
  - name: beside
    image: side:1
    restartPolicy: Always
    startupProbe: {exec: {command: [ready]}, periodSeconds: 3}
    ports: [{name: http, containerPort: 8080, protocol: TCP}]
containers:
  - name: main
    image: registry.example/main@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
    imagePullPolicy: Always
    workingDir: /work
    command: [run]
    args: ["$(ARMADA_JOB_ID)", --flag]
    env: [{name: A, value: "1"}, {name: ARMADA_QUEUE, value: mine}, {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}, {name: KEY, valueFrom: {secretKeyRef: {name: secret, key: key, optional: true}}}]
    envFrom: [{prefix: P_, configMapRef: {name: config}}]
    resources: {requests: {cpu: 500m, memory: 1.5Gi, example.com/widget: 1}, limits: {memory: 2Gi, example.com/widget: 1}}
    volumeMounts: [{name: scratch, mountPath: /scratch}, {name: data, mountPath: /data, readOnly: true, subPath: a}, {name: host, mountPath: /dev/shm, mountPropagation: HostToContainer}]
    lifecycle: {preStop: {exec: {command: [stop]}}}
    livenessProbe: {httpGet: {path: /live, port: http, httpHeaders: [{name: X, value: "y"}]}, failureThreshold: 7}
    readinessProbe: {tcpSocket: {port: 8080}}
    terminationMessagePath: /dev/message
    terminationMessagePolicy: FallbackToLogsOnError
    securityContext: {privileged: true, capabilities: {add: [SYS_PTRACE]}, readOnlyRootFilesystem: true}
    stdin: true
    stdinOnce: true
    tty: true
  - {name: second, image: "second:2"}
`

// The same spec is made by a bare client and as a run: the API server has the same of
// both, but for what the executor promises to add.
func TestAPodSpecReachesTheAPIServerAsItWasSubmitted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	r := w.open(t)
	defer closed(t, r)
	raw := specOf(t, everything)
	bare := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "bare", Namespace: w.nodes.Namespace}}
	if err := bare.Spec.Unmarshal(raw); err != nil {
		t.Fatal(err)
	}
	bare.Spec.RestartPolicy = corev1.RestartPolicyNever
	bare, err := w.nodes.Cluster.Client.CoreV1().Pods(bare.Namespace).Create(t.Context(), bare, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var o runs.Order
	w.beginAs(t, r, runstest.Job{Forever: true}, func(order *runs.Order) {
		order.Owner, order.Labels, order.Spec = "ada", map[string]string{"own": "label", "armada_preemptible": "true", "armada_queue_id": "not taken"}, raw
		order.Annotations["own"] = "annotation"
		o = *order
	})
	pod := w.podOf(t, o)

	for key, want := range map[string]string{
		"own": "label", "armada_job_id": string(o.Job), "armada_job_run_id": string(o.Run), "armada_queue_id": "a-queue",
		"armada_pod_number": "0", "armada_pod_count": "1", "armada_preemptible": "true", "armadaproject.io/executor": string(w.place.Executor),
	} {
		if got := pod.Labels[key]; got != want {
			t.Errorf("its label %s is %q, want %q", key, got, want)
		}
	}
	for key, want := range map[string]string{"own": "annotation", "armada_jobset_id": "a-set", "armada_owner": "ada", "armadaproject.io/pool": "default"} {
		if got := pod.Annotations[key]; got != want {
			t.Errorf("its annotation %s is %q, want %q", key, got, want)
		}
	}
	added := map[string]string{"ARMADA_JOB_ID": string(o.Job), "ARMADA_JOB_SET_ID": "a-set", "ARMADA_QUEUE": "a-queue"}
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			c := &containers[i]
			env, own := map[string]string{}, []corev1.EnvVar(nil)
			for _, v := range c.Env {
				if env[v.Name] = v.Value; !strings.HasPrefix(v.Name, "ARMADA_") || c.Name == "main" && v.Name == "ARMADA_QUEUE" {
					own = append(own, v)
				}
			}
			for name, value := range added {
				if c.Name == "main" && name == "ARMADA_QUEUE" {
					value = "mine"
				}
				if env[name] != value {
					t.Errorf("container %s has %s=%q, want %q", c.Name, name, env[name], value)
				}
			}
			c.Env = own
		}
	}
	if pod.Spec.NodeSelector[corev1.LabelHostname] != o.Node {
		t.Errorf("it selects its node by %v", pod.Spec.NodeSelector)
	}
	delete(pod.Spec.NodeSelector, corev1.LabelHostname)
	pod.Spec.NodeName = "" // bound since
	got, want := textOf(t, &pod.Spec), textOf(t, &bare.Spec)
	if got != want {
		t.Errorf("the API server has\n%s\nwant\n%s", got, want)
	}
}

func textOf(t testing.TB, spec *corev1.PodSpec) string {
	t.Helper()
	text, err := json.MarshalIndent(spec, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheOperatorsSchedulerAndPriorityClassAreTaken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change       func(c *kubernetes.Config)
		spec         string
		scheduler    string
		class        string
		withPriority int32
	}{
		"none is set":               {func(*kubernetes.Config) {}, `{containers: [{name: main, image: none}], priorityClassName: system-node-critical}`, "default-scheduler", "system-node-critical", 2000001000},
		"the scheduler is set":      {func(c *kubernetes.Config) { c.SchedulerName = "ours" }, `{containers: [{name: main, image: none}]}`, "ours", "", 0},
		"the job has its own":       {func(c *kubernetes.Config) { c.SchedulerName = "ours" }, `{containers: [{name: main, image: none}], schedulerName: theirs}`, "theirs", "", 0},
		"the class is replaced":     {func(c *kubernetes.Config) { c.PriorityClass = "system-cluster-critical" }, `{containers: [{name: main, image: none}], priorityClassName: no-such-class, priority: 5}`, "default-scheduler", "system-cluster-critical", 2000000000},
		"the class is taken away":   {func(c *kubernetes.Config) { c.PriorityClass = "none" }, `{containers: [{name: main, image: none}], priorityClassName: no-such-class, priority: 5}`, "default-scheduler", "", 0},
		"a restart policy is given": {func(*kubernetes.Config) {}, `{containers: [{name: main, image: none}], restartPolicy: Always}`, "default-scheduler", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			c.change(&w.config)
			r := w.open(t)
			defer closed(t, r)
			pod := w.podOf(t, w.beginAs(t, r, runstest.Job{Forever: true}, func(o *runs.Order) { o.Spec = specOf(t, c.spec) }))
			if s := pod.Spec; s.SchedulerName != c.scheduler || s.PriorityClassName != c.class || s.Priority == nil || *s.Priority != c.withPriority || s.RestartPolicy != corev1.RestartPolicyNever {
				t.Errorf("scheduler %q, class %q, restarts %s", s.SchedulerName, s.PriorityClassName, s.RestartPolicy)
			}
		})
	}
}
