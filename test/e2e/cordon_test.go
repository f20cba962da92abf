package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// TestAClosedNodeGetsNothingNewUntilItIsOpened goes through everything: REST, the
// store, the leader and a made-up cluster of one node.
func TestAClosedNodeGetsNothingNewUntilItIsOpened(t *testing.T) {
	t.Parallel()
	u := startUp(t, t.TempDir(), "--simulate", "1x1:cpu=4,memory=16Gi")
	post := func(path, text string) string {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+u.http+"/api/v1"+path, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		said := body(t, answer)
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("%s %s: %d %s", path, text, answer.StatusCode, said)
		}
		return said
	}
	u.mustCtl(t, "create", "queue", "q")
	told := func(set string) string {
		ids := strings.Fields(u.mustCtl(t, "get", "jobs", "--job-set", set, "-o", "name"))
		if len(ids) != 1 {
			return ""
		}
		return u.mustCtl(t, "describe", "job", ids[0])
	}
	submit := func(set string) {
		post("/job/submit", `{"queue":"q","jobSetId":"`+set+`","jobRequestItems":[{"podSpec":{"containers":[{"name":"main","image":"made-up",
			"resources":{"requests":{"cpu":1,"memory":"1Gi"},"limits":{"cpu":1,"memory":"1Gi"}}}]}}]}`)
	}
	submit("first")
	node := ""
	until(t, "a job has a node", func() bool {
		_, after, _ := strings.Cut(told("first"), "Node:")
		node, _, _ = strings.Cut(strings.TrimSpace(after), "\n")
		return node != ""
	})
	post("/binoculars/cordon", `{"nodeName":"`+node+`"}`)
	submit("second")
	until(t, "the next job is told why it waits", func() bool { return strings.Contains(told("second"), "accept nothing new") })
	post("/binoculars/cordon", `{"nodeName":"`+node+`","uncordon":true}`)
	until(t, "it has run", func() bool { return strings.Contains(told("second"), "succeeded") })
}
