package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTheSettingsOfOriginalExecutorsInTheHowtoAreAccepted(t *testing.T) {
	t.Parallel()
	howto, err := os.ReadFile(filepath.Join("..", "..", "docs", "howto", "original-executors.md"))
	if err != nil {
		t.Fatal(err)
	}
	of2020 := false
	for _, block := range strings.Split(string(howto), "```yaml\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		c, err := configured(t, block)
		if err != nil {
			t.Errorf("%s\n%v", block, err)
			continue
		}
		of2020 = of2020 || c.executors2020().Pools["east"] == "gpu"
	}
	if !of2020 {
		t.Error("no piece of settings gives the executor east the pool gpu")
	}
}

// Renewals are not written each time, and the leader waits for that too.
func TestALeaseOf2020IsGivenUpWhenItIsOverAtTheEarliest(t *testing.T) {
	t.Parallel()
	c, err := configured(t, "executors: {original2020: {lease: 30m}}")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.leader().Expiry.Original2020.GivenUp, 32*time.Minute; got != want {
		t.Errorf("the leader gives runs up after %s, want %s", got, want)
	}
}

func TestWrongSettingsOfExecutorsOf2020AreNamed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"executors: {original2020: {lease: 0s}}":         "executors.original2020: lease: must be longer than 0",
		"executors: {original2020: {pools: {'a b': x}}}": "executors.original2020: pools: the executor's id \"a b\"",
		"executors: {original2020: {pools: {east: ''}}}": "executors.original2020: pools[east]: must name a pool",
	} {
		if _, err := configured(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
