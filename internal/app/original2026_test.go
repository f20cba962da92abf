package app

import (
	"strings"
	"testing"
	"time"
)

func TestSettingsOfExecutorsOf2026ReachWhoServesThemAndWhoGivesThemUp(t *testing.T) {
	t.Parallel()
	c, err := configured(t, `
executors: {maxAttempts: 7, original2026: {closedAfter: 2m, lostTimeout: 3h, nodeIDLabel: example.com/node, priorityClass: batch}}
`)
	if err != nil {
		t.Fatal(err)
	}
	served, givenUp := c.executors().Original2026, c.leader().Expiry.Original2026
	if served.ClosedAfter != 2*time.Minute || served.MaxAttempts != 7 || served.Pinning.NodeIDLabel != "example.com/node" || served.Pinning.PriorityClass != "batch" {
		t.Errorf("they are served as %+v", served)
	}
	if givenUp.ClosedAfter != 2*time.Minute || givenUp.GivenUp != 3*time.Hour {
		t.Errorf("they are given up after %+v", givenUp)
	}
}

func TestWrongSettingsOfExecutorsOf2026AreTold(t *testing.T) {
	t.Parallel()
	_, err := configured(t, `executors: {original2026: {closedAfter: 5s, lostTimeout: 5s, nodeIDLabel: "not a label"}}`)
	for _, want := range []string{
		"executors.original2026.lostTimeout: must be longer than closedAfter, 5s, is 5s",
		"executors: original2026.closedAfter: must be at least 15s",
		`original2026.nodeIDLabel: "not a label"`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
}
