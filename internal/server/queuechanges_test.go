package server_test

import (
	"net/http"
	"strings"
	"testing"

	"armada/pkg/api"
	"armada/pkg/api/lookout"
)

// changesOf are who changed what of a queue, newest first, as they are listed.
func changesOf(w *world, queue string) string {
	w.t.Helper()
	answer, err := lookout.NewLookoutClient(w.conn).ListQueues(w.t.Context(), &lookout.ListQueuesRequest{Queue: queue})
	ok(w.t, err)
	if len(answer.GetQueues()) != 1 || answer.GetQueues()[0].GetName() != queue {
		w.t.Fatalf("the queues are %v, want only %s", answer.GetQueues(), queue)
	}
	var told []string
	for _, c := range answer.GetQueues()[0].GetChanges() {
		if !c.GetTime().IsValid() {
			w.t.Errorf("a change has the time %v", c.GetTime())
		}
		told = append(told, c.GetBy()+": "+c.GetWhat())
	}
	return strings.Join(told, "; ")
}

func TestAQueueTellsWhoChangedIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	queue := &api.Queue{Name: "told", PriorityFactor: 1, UserOwners: []string{"ada"}}
	_, err := w.submit.CreateQueue(t.Context(), queue)
	ok(t, err)
	_, err = w.submit.CreateQueue(t.Context(), queue) // which changes nothing
	ok(t, err)
	queue.PriorityFactor, queue.Labels = 2.5, map[string]string{"team": "a"}
	_, err = w.submit.UpdateQueue(t.Context(), queue)
	ok(t, err)
	_, err = w.queue.CordonQueue(t.Context(), &api.QueueCordonRequest{Name: "told"})
	ok(t, err)
	answer, body := w.call(http.MethodPut, "/v1/queue/told", `{"priorityFactor":2.5,"labels":{"team":"a"},"userOwners":["ada","bob"]}`)
	if answer.StatusCode != http.StatusOK {
		t.Fatal(body)
	}
	want := "anonymous: no longer cordoned, permissions; anonymous: cordoned; anonymous: priority factor 1 to 2.5, labels; anonymous: created"
	if got := changesOf(w, "told"); got != want {
		t.Errorf("the changes are\n%s, want\n%s", got, want)
	}
}

func TestAQueueRemembersItsLatestChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for factor := range 30 {
		_, err := w.submit.CreateQueue(t.Context(), &api.Queue{Name: "told", PriorityFactor: float64(factor + 1)})
		ok(t, err)
	}
	told := strings.Split(changesOf(w, "told"), "; ")
	if len(told) != 20 || told[0] != "anonymous: priority factor 29 to 30" || told[19] != "anonymous: priority factor 10 to 11" {
		t.Errorf("the changes are %q", told)
	}
}
