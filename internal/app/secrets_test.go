package app

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestThePrintedConfigHasNoSecretOfLogins(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "armada.yaml")
	text := `
auth:
  basicAuth: {users: {ada: {password: hunter2-a}}}
  peerSecret: hunter2-hunter2-b
  permissionGroupMapping: {create_queue: [everyone]}
executor:
  auth: {openId: {providerUrl: https://login.example, clientId: c, clientSecret: hunter2-c}}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	config, effective, err := LoadConfig(file, []string{"ARMADA_EXECUTOR_AUTH_BASIC_AUTH_PASSWORD=hunter2-d"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var printed strings.Builder
	if err := effective.WriteYAML(&printed); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&printed, "%v %+v %#v", config.Auth, config.Executor, config.Auth.BasicAuth)
	if out := printed.String(); strings.Contains(out, "hunter2") || !strings.Contains(out, "ada") {
		t.Errorf("printed:\n%s", out)
	}
}
