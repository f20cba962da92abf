package podspec_test

import (
	"strings"
	"testing"

	"armada"
	"armada/internal/podspec"
)

func TestLabelsAndAnnotationsAreThoseThatKubernetesTakes(t *testing.T) {
	t.Parallel()
	at := func() string { return "at" }
	long := strings.Repeat("x", 64)
	for _, c := range []struct{ key, value, want string }{
		{"team", "a", ""},
		{"team", "", ""},
		{"example.org/Team_1", "A-b_c.d", ""},
		{"", "a", `"" is not a label key`},
		{"my team", "a", `"my team" is not a label key`},
		{long, "a", "is not a label key"},
		{"team", "a b", `"a b" is not a label value`},
		{"team", "-a", "is not a label value"},
		{"team", long, "is not a label value"},
	} {
		if got := podspec.ValidateLabel(c.key, c.value, at); !says(got, "at["+c.key[:min(len(c.key), 64)]+"]", c.want) {
			t.Errorf("the label %q = %q: %v, want %q", c.key, c.value, got, c.want)
		}
	}
	for key, want := range map[string]string{
		"note": "", "armadaproject.io/gangId": "", "Example.ORG/note": "",
		"": "is not an annotation key", "my note": "is not an annotation key", "a/b/c": "is not an annotation key",
	} {
		if got := podspec.ValidateAnnotationKey(key, at); !says(got, "at["+key+"]", want) {
			t.Errorf("the annotation %q: %v, want %q", key, got, want)
		}
	}
}

// says tells whether there is one violation at a path with a phrase; none when
// the phrase is empty.
func says(found []armada.Violation, path, phrase string) bool {
	if phrase == "" {
		return len(found) == 0
	}
	return len(found) == 1 && found[0].Path == path && strings.Contains(found[0].Message, phrase)
}
