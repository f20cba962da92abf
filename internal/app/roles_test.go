package app

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheExampleConfigurationsLoad(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("..", "..", "deploy", "*.yaml"))
	if err != nil || len(files) < 2 {
		t.Fatalf("found %q, %v", files, err)
	}
	files = append(files, filepath.Join("..", "..", "deploy", "kubernetes", "executor.yaml"))
	for _, file := range files {
		if _, _, err := LoadConfig(file, nil, nil); err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
		}
	}
}

func TestARoleThatLacksWhatItNeedsNamesTheKey(t *testing.T) {
	t.Parallel()
	for role, key := range map[Roles]string{RoleServer: "store.database:", RoleExecutor: "executor: servers:"} {
		config := DefaultConfig()
		config.DataDir = t.TempDir()
		s, err := Open(t.Context(), config, role, "test", slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("role %d opened with %v, want an error about %s", role, err, key)
		}
		if s != nil {
			t.Error("there is a system besides the error")
		}
	}
}

func TestSettingsOfRolesThatCannotBeAreToldByTheirKey(t *testing.T) {
	t.Parallel()
	for key, value := range map[string]string{
		"replica.advertise":        "0.0.0.0:50051",
		"store.database":           "mysql://somewhere",
		"store.directDatabase":     "postgres://somewhere", // and no database
		"store.keepFinishedJobs":   "-1",
		"store.indexedAnnotations": "[two words]",
		"retries.most":             "-1",
		"retries.defaultPolicy":    "two words",
		"executor.id":              "two words",
		"executor.servers":         "armada.example",
		"executor.keepLogsBytes":   "-1",
		"dataDir":                  "",
	} {
		_, _, err := LoadConfig("", nil, map[string]string{key: value})
		_, name, _ := strings.Cut(key, ".")
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %q loads with %v", key, value, err)
		}
	}
}

func TestAReplicaBoundOnEveryAddressIsReachedByTheHostsName(t *testing.T) {
	t.Parallel()
	for bound, want := range map[string]string{
		"0.0.0.0:50051":   "machine:50051",
		"[::]:50051":      "machine:50051",
		"10.0.0.7:50051":  "10.0.0.7:50051",
		"127.0.0.1:50051": "127.0.0.1:50051",
		"[fd00::1]:50051": "[fd00::1]:50051",
	} {
		if got, err := reachable(bound, "machine"); err != nil || got != want {
			t.Errorf("%s is reached at %s, %v; want %s", bound, got, err, want)
		}
	}
}
