package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Settings that documents show are settings.
func TestTheSettingsOfExamplesAndHowtosAreAccepted(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	for name, least := range map[string]int{"limits.md": 5, "original-executors.md": 1} {
		howto, err := os.ReadFile(filepath.Join(root, "docs", "howto", name))
		if err != nil {
			t.Fatal(err)
		}
		blocks := strings.Split(string(howto), "```yaml\n")[1:]
		if len(blocks) < least {
			t.Errorf("%s shows only %d pieces of settings", name, len(blocks))
		}
		for _, block := range blocks {
			block, _, _ = strings.Cut(block, "```")
			if _, err := configured(t, block); err != nil {
				t.Errorf("%s: %s\n%v", name, block, err)
			}
		}
	}
	if _, _, err := LoadConfig(filepath.Join(root, "examples", "limits.yaml"), nil, nil); err != nil {
		t.Error(err)
	}
}
