package nearest_test

import (
	"strings"
	"testing"

	"armada/pkg/nearest"
)

func TestSimilarNamesAreThoseAFewTypingErrorsAway(t *testing.T) {
	t.Parallel()
	known := []string{"batch", "batch-2", "demo", "research", "web"}
	for unknown, want := range map[string]string{
		"demmo": "demo", "DEMO": "demo", "btach": "batch", "batch-1": "batch-2 batch", "reserch": "research",
		"w": "", "production": "", "wbe": "web", "": "",
	} {
		if got := strings.Join(nearest.Names(unknown, known), " "); got != want {
			t.Errorf("%q resembles %q, want %q", unknown, got, want)
		}
	}
}
