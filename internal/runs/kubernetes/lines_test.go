package kubernetes

import (
	"slices"
	"strings"
	"testing"
	"time"

	"armada/internal/runs"
)

func TestWhatAKubeletSaysOfALostLogIsNoLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"unable to retrieve container logs for containerd://57":                             nil,
		"2026-11-27T07:36:19.9Z unable to retrieve container logs for containerd://57\n":    {"unable to retrieve container logs for containerd://57"},
		"2026-11-27T07:36:19.9Z one\nunable to retrieve container logs for containerd://57": {"one"},
	} {
		var got []string
		err := readLines(strings.NewReader(text), "main", time.Time{}, func(l runs.LogLine) error {
			got = append(got, string(l.Text))
			return nil
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q is read as %q, %v", text, got, err)
		}
	}
}
