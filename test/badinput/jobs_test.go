package badinput

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"armada/pkg/api"
	"armada/pkg/api/k8s/api/resource"
)

// first is the path of the first job of a request.
const first = "job_request_items[0]."

// invalid is a job, and all that is wrong with it.
func invalid(t *testing.T, job string, wrong ...violation) mistake {
	t.Helper()
	return mistake{sent: submitting(t, "demo", "set", job), code: codes.InvalidArgument, wrong: wrong}
}

// inPod is a mistake in a pod spec, at a path in it.
func inPod(t *testing.T, more, path, phrase, line string) mistake {
	t.Helper()
	return invalid(t, spec(pod(more)), violation{first + "pod_spec." + path, phrase, line})
}

func TestAJobWithoutExactlyOnePodSpecIsRefused(t *testing.T) {
	t.Parallel()
	refuse(t, map[string]mistake{
		"none": invalid(t, `{"priority":1}`, violation{first + "pod_spec", "is missing", "priority"}),
		"two in one list": invalid(t, `{"podSpecs":[`+pod()+`,`+pod()+`]}`,
			violation{first + "pod_specs", "has 2 entries, a job has exactly one", "podSpecs"}),
		"one in either field": invalid(t, `{"podSpec":`+pod()+`,"podSpecs":[`+pod()+`]}`,
			violation{first + "pod_specs", "must be empty when", "podSpecs"}),
		"one over the size limit": invalid(t, spec(pod(`"hostname":"`+strings.Repeat("x", 70_000)+`"`)),
			violation{first + "pod_spec", "at most 65535 are taken", "podSpec"}),
		"one without containers": invalid(t, spec(`{"restartPolicy":"Never"}`),
			violation{first + "pod_spec.containers", "must have at least one container", ""}),
	})
}

func TestBadResourcesAreRefused(t *testing.T) {
	t.Parallel()
	at := first + "pod_spec.containers[0].resources."
	refuse(t, map[string]mistake{
		"requests without limits": invalid(t, spec(resources(`{"cpu":"1"}`, `{}`)),
			violation{at + "limits[cpu]", "is missing while the request is 1, set it to 1", ""}),
		"limits below requests": invalid(t, spec(resources(`{"cpu":"2","memory":"1Gi"}`, `{"cpu":"1500m","memory":"1Gi"}`)),
			violation{at + "limits[cpu]", "is 1500m, less than the request of 2; it must be at least that", "cpu: 1500m"}),
		"limits above requests": invalid(t, spec(resources(`{"cpu":"1","memory":"1Gi"}`, `{"cpu":"1","memory":"2Gi"}`)),
			violation{at + "limits[memory]", "the two must be equal", "memory: 2Gi"}),
		"less than nothing": invalid(t, spec(resources(`{"cpu":"-1"}`, `{"cpu":"-1"}`)),
			violation{at + "requests[cpu]", "must not be negative", "cpu:"}, violation{at + "limits[cpu]", "must not be negative", "cpu:"}),
		"a resource that nobody counts": invalid(t, spec(resources(`{"unicorns":"1"}`, `{"unicorns":"1"}`)),
			violation{at + "requests[unicorns]", "known are cpu, memory", "unicorns"}, violation{at + "limits[unicorns]", "known are cpu, memory", "unicorns"}),
		"more than there can be": invalid(t, spec(resources(`{"memory":"9Ei"}`, `{"memory":"9Ei"}`)),
			violation{at + "requests[memory]", "out of range", "memory: 9Ei"}, violation{at + "limits[memory]", "out of range", "memory: 9Ei"}),
		"no quantity":            badQuantity(t, "lots", "write a number with an optional suffix, like 2, 500m, 1.5 or 16Gi"),
		"a quantity with a word": badQuantity(t, "2 cores", "write a number with an optional suffix, like 2, 500m, 1.5 or 16Gi"),
		"an endless exponent":    badQuantity(t, "1e999999999", "exponent is out of range"),
	})
}

// badQuantity is a job whose limit is no quantity.
func badQuantity(t *testing.T, text, phrase string) mistake {
	t.Helper()
	m := invalid(t, spec(resources(`{"cpu":"1"}`, `{"cpu":"1"}`)), violation{first + "pod_spec.containers[0].resources.limits[cpu]", phrase, "cpu: " + text})
	forms := toSubmit(t, submission("demo", "set", spec(resources(`{"cpu":"1"}`, `{"cpu":"`+text+`"}`))))
	forms.method, forms.message = m.sent.method, m.sent.message
	limits := forms.message.(*api.JobSubmitRequest).GetJobRequestItems()[0].GetPodSpec().GetContainers()[0].GetResources().GetLimits()
	limits["cpu"] = &resource.Quantity{String_: &text}
	m.sent = forms
	return m
}

func TestBadPlacesAreRefused(t *testing.T) {
	t.Parallel()
	const required = `"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[`
	const at = "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
	refuse(t, map[string]mistake{
		"a selector with a bad key":   inPod(t, `"nodeSelector":{"my zone":"a"}`, "nodeSelector[my zone]", "is not a label key", "my zone: a"),
		"a selector with a bad value": inPod(t, `"nodeSelector":{"zone":"a b"}`, "nodeSelector[zone]", "is not a label value", "zone: a b"),
		"an affinity without terms":   inPod(t, required+`]}}}`, at, "must have at least one term", "nodeSelectorTerms"),
		"an operator that there is not": inPod(t, required+`{"matchExpressions":[{"key":"zone","operator":"Like","values":["a"]}]}]}}}`,
			at+"[0].matchExpressions[0].operator", "must be In, NotIn, Exists, DoesNotExist, Gt or Lt", "operator: Like"),
		"In without values": inPod(t, required+`{"matchExpressions":[{"key":"zone","operator":"In"}]}]}}}`,
			at+"[0].matchExpressions[0].values", "must have at least one value for In", "key: zone"),
		"Gt of a word": inPod(t, required+`{"matchExpressions":[{"key":"zone","operator":"Gt","values":["three"]}]}]}}}`,
			at+"[0].matchExpressions[0].values[0]", "must be an integer for Gt", "three"),
		"a preference": inPod(t, `"affinity":{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,"preference":{}}]}}`,
			"affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution", "leave them out or use required", "preferredDuring"),
		"a toleration with an effect that there is not": inPod(t, `"tolerations":[{"key":"gpu","operator":"Exists","effect":"NoRun"}]`,
			"tolerations[0].effect", "must be NoSchedule, PreferNoSchedule, NoExecute", "effect: NoRun"),
		"a node label beside the spec": invalid(t, item(`"requiredNodeLabels":{"zone":"a b"}`),
			violation{first + "required_node_labels[zone]", "is not a label value", "zone: a b"}),
	})
}

func TestBadLabelsAreRefused(t *testing.T) {
	t.Parallel()
	refuse(t, map[string]mistake{
		"a label with a bad key":       invalid(t, item(`"labels":{"my team":"x"}`), violation{first + "labels[my team]", "is not a label key", "my team"}),
		"a label with a bad value":     invalid(t, item(`"labels":{"team":"x y"}`), violation{first + "labels[team]", "is not a label value", "team: x y"}),
		"an annotation with a bad key": invalid(t, item(`"annotations":{"my note":"x y"}`), violation{first + "annotations[my note]", "is not an annotation key", "my note"}),
	})
}

func TestBadGangsAreRefused(t *testing.T) {
	t.Parallel()
	gang := func(id, cardinality, more string) string {
		return item(`"annotations":{"armadaproject.io/gangId":` + quote(id) + `,"armadaproject.io/gangCardinality":` + quote(cardinality) + more + `}`)
	}
	at := first + "annotations[armadaproject.io/gang"
	// members are two of one gang; what is wrong is said of the second.
	members := func(one, other, path, phrase, line string) mistake {
		m := invalid(t, one, violation{"job_request_items[1]." + path, phrase, line})
		m.sent = submitting(t, "demo", "set", one, other)
		return m
	}
	classed := func(class string) string {
		return spec(pod(`"priorityClassName":"`+class+`"`), `"annotations":{"armadaproject.io/gangId":"g","armadaproject.io/gangCardinality":"2"}`)
	}
	refuse(t, map[string]mistake{
		"no cardinality":           invalid(t, item(`"annotations":{"armadaproject.io/gangId":"g"}`), violation{at + "Cardinality]", "must say how many jobs the gang", ""}),
		"a cardinality in words":   invalid(t, gang("g", "two", ""), violation{at + "Cardinality]", "must be a whole number from 1 to", "gangCardinality: two"}),
		"a cardinality of nothing": invalid(t, gang("g", "0", ""), violation{at + "Cardinality]", "must be a whole number from 1 to", "gangCardinality"}),
		"a uniformity label that is none": invalid(t, gang("g", "2", `,"armadaproject.io/gangNodeUniformityLabel":"my rack"`),
			violation{at + "NodeUniformityLabel]", "is not a label key", "my rack"}),
		"a fail-fast of maybe": invalid(t, gang("g", "2", `,"armadaproject.io/failFast":"maybe"`),
			violation{first + "annotations[armadaproject.io/failFast]", `must be "true" or "false"`, "maybe"}),
		"members of gangs of other sizes": members(gang("g", "2", ""), gang("g", "3", ""),
			"annotations[armadaproject.io/gangCardinality]", "is 3, but 2 in job_request_items[0]", "gangCardinality: \"3\""),
		"members of other classes": members(classed("armada-default"), classed("armada-preemptible"),
			"pod_spec.priorityClassName", `is "armada-preemptible", but "armada-default" in job_request_items[0]`, "armada-preemptible"),
		"members that want other places": members(gang("g", "2", `,"armadaproject.io/gangNodeUniformityLabel":"rack"`), gang("g", "2", `,"armadaproject.io/gangNodeUniformityLabel":"zone"`),
			"annotations[armadaproject.io/gangNodeUniformityLabel]", `is "zone", but "rack" in job_request_items[0]`, "zone"),
	})
}

func TestPrioritiesThatAreNoNumbersAreRefused(t *testing.T) {
	t.Parallel()
	refuse(t, map[string]mistake{
		"not a number":       invalid(t, item(`"priority":"NaN"`), violation{first + "priority", "must be a number", "priority: NaN"}),
		"infinite":           invalid(t, item(`"priority":"Infinity"`), violation{first + "priority", "must be a number", "priority: Infinity"}),
		"infinite downwards": invalid(t, item(`"priority":"-Infinity"`), violation{first + "priority", "must be a number", "priority: -Infinity"}),
	})
}

func TestBadNamesOfAJobAreRefused(t *testing.T) {
	t.Parallel()
	refuse(t, map[string]mistake{
		"a namespace that is none":     invalid(t, item(`"namespace":"My Namespace"`), violation{first + "namespace", "lower-case letters, digits", "namespace: My"}),
		"a client id that is too long": invalid(t, item(`"clientId":"`+strings.Repeat("x", 101)+`"`), violation{first + "client_id", "at most 100 are taken", "clientId"}),
		"everything wrong at once": invalid(t, spec(pod(`"nodeSelector":{"zone":"a b"}`), `"priority":"NaN"`, `"namespace":"-"`),
			violation{first + "pod_spec.nodeSelector[zone]", "is not a label value", "zone"},
			violation{first + "priority", "must be a number", "priority"},
			violation{first + "namespace", "lower-case letters", "namespace"}),
	})
}
