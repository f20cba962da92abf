package badinput

import (
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"armada/pkg/api"
)

// What an installation demands of jobs beyond what Kubernetes does.

func TestTooLittleAndTooMuchOfAResourceIsRefused(t *testing.T) {
	t.Parallel()
	at := first + "pod_spec.containers[0].resources."
	within := invalid(t, spec(resources(`{"cpu":"1","memory":"1Gi"}`, `{"cpu":"3","memory":"1Gi"}`)),
		violation{at + "limits[cpu]", "is 3, at most 2 times the request of 1 is allowed", `cpu: "3"`})
	within.config = func(i *installation) { i.jobs.MaxOversubscriptionByResourceRequest = map[string]float64{"cpu": 2} }
	refuse(t, map[string]mistake{
		"less memory than any program needs": invalid(t, spec(resources(`{"memory":"1000k"}`, `{"memory":"1000k"}`)),
			violation{at + "requests[memory]", "must be at least 1Mi", "memory: 1000k"}),
		"a limit beyond what a request may be multiplied by": within,
	})
}

func TestInitContainersThatAskForWholeCPUsAreRefused(t *testing.T) {
	t.Parallel()
	refuse(t, map[string]mistake{
		"two": invalid(t, spec(pod(`"initContainers":[{"name":"first","image":"busybox","resources":{"requests":{"cpu":"2"},"limits":{"cpu":"2"}}}]`)),
			violation{first + "pod_spec.initContainers[0].resources.requests[cpu]", "is 2, init containers must not ask for whole cpus because a node may set those apart; use 1900m", `cpu: "2"`}),
	})
}

func TestBadPriorityClassesTimesAndBandsAreRefused(t *testing.T) {
	t.Parallel()
	refuse(t, map[string]mistake{
		"a class that there is not": inPod(t, `"priorityClassName":"urgent"`, "priorityClassName",
			`"urgent" is not allowed, use one of armada-default, armada-preemptible`, "priorityClassName: urgent"),
		"a grace period that never ends": inPod(t, `"terminationGracePeriodSeconds":301`, "terminationGracePeriodSeconds",
			"is 301, must be 0 for the default or from 1 to 300", "terminationGracePeriodSeconds: 301"),
		"a grace period before the end": inPod(t, `"terminationGracePeriodSeconds":-1`, "terminationGracePeriodSeconds",
			"is -1, must be 0 for the default or from 1 to 300", "terminationGracePeriodSeconds: -1"),
		"a deadline that has passed": inPod(t, `"activeDeadlineSeconds":0`, "activeDeadlineSeconds", "is 0, must be at least 1", "activeDeadlineSeconds: 0"),
		"a price band that there is not": invalid(t, item(`"annotations":{"armadaproject.io/priceBand":"Z"}`),
			violation{first + "annotations[armadaproject.io/priceBand]", `is "Z", must be one of A to H`, "priceBand: Z"}),
		"an empty price band": invalid(t, item(`"annotations":{"armadaproject.io/priceBand":""}`),
			violation{first + "annotations[armadaproject.io/priceBand]", `is "", must be one of A to H`, "priceBand"}),
	})
}

func TestBadPortsAreRefused(t *testing.T) {
	t.Parallel()
	container := func(name string, ports string) string {
		return `{"name":"` + name + `","image":"busybox","ports":[` + ports + `],` + goodResources + `}`
	}
	at := first + "pod_spec.containers"
	refuse(t, map[string]mistake{
		"one port of two containers": invalid(t, spec(`{"containers":[`+container("a", `{"containerPort":80}`)+`,`+container("b", `{"containerPort":81},{"containerPort":80}`)+`]}`),
			violation{at + "[1].ports[1].containerPort", "is 80, which", "containerPort: 80"}),
		"one port of a container and an init container": invalid(t, spec(`{"containers":[`+container("a", `{"containerPort":80}`)+`],"initContainers":[{"name":"i","image":"busybox","ports":[{"containerPort":80}]}]}`),
			violation{at + "[0].ports[0].containerPort", "is 80, which", "containerPort: 80"}),
		"a port beyond the last":  invalid(t, spec(`{"containers":[`+container("a", `{"containerPort":65536}`)+`]}`), violation{at + "[0].ports[0].containerPort", "must be from 1 to 65535", "containerPort: 65536"}),
		"an ingress without port": invalid(t, item(`"ingress":[{"tlsEnabled":true}]`), violation{first + "ingress[0].ports", "must have at least one port", ""}),
		"one port of two ingresses": invalid(t, item(`"ingress":[{"ports":[80]},{"ports":[81,80]}]`),
			violation{first + "ingress[1].ports", "port 80 is in ingress[0] already", "ports"}),
		"a service without port":   invalid(t, item(`"services":[{"type":"Headless"}]`), violation{first + "services[0].ports", "must have at least one port", ""}),
		"a service on a port of 0": invalid(t, item(`"services":[{"type":"NodePort","ports":[0]}]`), violation{first + "services[0].ports", "0 is no port, 1 to 65535 are", "ports"}),
	})
}

func TestTolerationsThatAreKeptForOthersAreRefused(t *testing.T) {
	t.Parallel()
	m := inPod(t, `"tolerations":[{"key":"fine","operator":"Exists"},{"key":"ours","operator":"Exists"}]`, "tolerations[1].key", "ours", "key: ours")
	m.config = func(i *installation) { i.jobs.RestrictedTolerationKeys = []string{"ours"} }
	refuse(t, map[string]mistake{"a key of the operators": m})
}

func TestReasonsThatAreTooLongAreRefused(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1025)
	refuse(t, map[string]mistake{
		"to cancel jobs":      reasoned("CancelJobs", "/api/v1/job/cancel", long),
		"to cancel a job set": reasoned("CancelJobSet", "/api/v1/jobset/cancel", long),
		"to preempt jobs":     reasoned("PreemptJobs", "/api/v1/job/preempt", long),
	})
}

// reasoned is a request about a job set with a reason. armadactl is not asked: it
// has no reason of its own to be longer than what a person writes.
func reasoned(method, path, reason string) mistake {
	var message proto.Message = &api.JobCancelRequest{Queue: "demo", JobSetId: "set", Reason: reason}
	switch method {
	case "CancelJobSet":
		message = &api.JobSetCancelRequest{Queue: "demo", JobSetId: "set", Reason: reason}
	case "PreemptJobs":
		message = &api.JobPreemptRequest{Queue: "demo", JobSetId: "set", Reason: reason}
	}
	return mistake{
		sent: sending{
			method: "/api.Submit/" + method, message: message,
			verb: http.MethodPost, path: path, body: `{"queue":"demo","jobSetId":"set","reason":"` + reason + `"}`,
		},
		code: codes.InvalidArgument, wrong: []violation{{"reason", "is 1025 bytes long, at most 1024 are taken", ""}},
	}
}
