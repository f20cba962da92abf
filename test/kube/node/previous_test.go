//go:build linux

package node_test

import (
	"testing"

	"armada"
	"armada/test/kube/node"
)

// The kubelet has the log of a sidecar's life before while the next one runs.
func TestTheLogOfASidecarsLifeBeforeIsShown(t *testing.T) {
	h := newHouse(t)
	job := h.submit(h.job("wait", "\n      initContainers:\n        - {name: side, image: "+node.Image+", command: ["+h.node.Actor+
		"], args: [print=begun, sleep=5s, exit=3], restartPolicy: Always, resources: {requests: *small, limits: *small}}"))[0]
	h.until(armada.EventRunning, job)
	h.await("the sidecar to have been started again", func() bool {
		return h.ctl("logs", "--previous", "--container", "side", job) == "begun\n"
	})
	if said := h.ctl("logs", "--previous", "--container", "main", job); said != "" {
		t.Errorf("a container that was started once is told to have said %q before", said)
	}
}
