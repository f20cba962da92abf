package restjson_test

import (
	"slices"
	"testing"

	"armada/internal/wire/restjson"
	"armada/pkg/api"
)

func TestMembersAreKnownAtEveryPath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"":                             "jobSetId",
		"jobRequestItems[3]":           "podSpec",
		"job_request_items[3].ingress": "useClusterIP",
		"jobRequestItems[0].podSpec":   "containers",
		"jobRequestItems[0].podSpecs[0].containers[2].resources": "limits",
		"jobRequestItems[0].podSpec.containers[0].livenessProbe": "httpGet", // embedded in Go
		"jobRequestItems[0].podSpec.affinity.nodeAffinity":       "requiredDuringSchedulingIgnoredDuringExecution",
		"jobRequestItems[0].services[0]":                         "ports",
	} {
		if got := restjson.Members(&api.JobSubmitRequest{}, path); !slices.Contains(got, want) || !slices.IsSorted(got) {
			t.Errorf("%q has %v, not %s", path, got, want)
		}
	}
	for _, path := range []string{
		"nothing", "queue", "queue.x", "jobRequestItems[0].labels", "jobRequestItems[0].labels[a]", "jobRequestItems[0].podSpec.nodeSelector",
		"jobRequestItems[0].podSpec.nothing.more", "jobRequestItems[0].podSpec.containers[0].resources.limits[cpu]",
	} {
		if got := restjson.Members(&api.JobSubmitRequest{}, path); got != nil {
			t.Errorf("%q has %v", path, got)
		}
	}
	limits := "resourceLimitsByPriorityClassName[high]"
	if got := restjson.Members(&api.Queue{}, limits); !slices.Contains(got, "maximumResourceFraction") {
		t.Errorf("%q has %v", limits, got)
	}
}
