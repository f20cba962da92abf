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
	howto, err := os.ReadFile(filepath.Join(root, "docs", "howto", "limits.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(howto), "```yaml\n")[1:]
	if len(blocks) < 5 {
		t.Errorf("the howto shows only %d pieces of settings", len(blocks))
	}
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		if _, err := configured(t, block); err != nil {
			t.Errorf("%s\n%v", block, err)
		}
	}
	if _, _, err := LoadConfig(filepath.Join(root, "examples", "limits.yaml"), nil, nil); err != nil {
		t.Error(err)
	}
}
