package client

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTLSIsUsedUnlessTheServerIsOnThisMachineOrItIsSwitchedOff(t *testing.T) {
	t.Parallel()
	for address, tls := range map[string]bool{
		"":                          false, // localhost:50051
		"localhost:50051":           false,
		"dns:///localhost:50051":    false,
		"my.localhost.example:443":  false,
		"127.0.0.1:50051":           false,
		"127.8.9.1:50051":           false,
		"[::1]:50051":               false,
		"[::ffff:127.0.0.1]:50051":  false,
		"armada.example.com:443":    true,
		"10.0.0.1:50051":            true,
		"[2001:db8::1]:50051":       true,
		"127.0.0.1.example.com:443": true,
	} {
		if got := (&Config{ArmadaURL: address}).UsesTLS(); got != tls {
			t.Errorf("%q: TLS is %t", address, got)
		}
		if (&Config{ArmadaURL: address, ForceNoTLS: true}).UsesTLS() {
			t.Errorf("%q: forceNoTls does not switch it off", address)
		}
	}
}

// file writes a config file.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const contextsText = `
currentContext: home
contexts:
  home:
    armadaUrl: localhost:1
  Work:
    ArmadaURL: armada.example.com:443  # keys match without regard to case
    basicAuth: {username: alice, password: secret}
    grpcKeepAliveTime: 20s
    executorClusters: {a: b}
    execAuth: {cmd: token, args: [a], env: [{name: A, value: b}], interactive: true}
`

func TestAFileHasContextsOneOfWhichIsCurrent(t *testing.T) {
	t.Parallel()
	path := file(t, contextsText)
	home, err := Load(path, "")
	if err != nil || home.ArmadaURL != "localhost:1" {
		t.Errorf("the current one: %+v, %v", home, err)
	}
	work, err := Load(path, "Work")
	if err != nil || work.ArmadaURL != "armada.example.com:443" || work.BasicAuth.Password != "secret" ||
		work.GRPCKeepAliveTime != 20*time.Second || work.ExecutorClusters["a"] != "b" || work.ExecAuth.Env[0].Value != "b" {
		t.Errorf("the named one: %+v, %v", work, err)
	}
	if err := work.Validate(); err != nil {
		t.Errorf("basicAuth comes before execAuth: %v", err)
	}
	_, err = Load(path, "wurk")
	if err == nil || !strings.Contains(err.Error(), `no context "wurk"; it has Work, home`) {
		t.Errorf("an unknown one: %v", err)
	}
}

func TestTheOlderFlatFormIsReadToo(t *testing.T) {
	t.Parallel()
	path := file(t, "armadaUrl: a:1\nforceNoTls: true\n")
	config, err := Load(path, "")
	if err != nil || config.ArmadaURL != "a:1" || config.UsesTLS() {
		t.Errorf("%+v, %v", config, err)
	}
	if _, err := Load(path, "home"); err == nil {
		t.Error("it has a context")
	}
}

func TestDefaultsHoldWhereTheFileSaysNothing(t *testing.T) {
	t.Parallel()
	defaults := file(t, "currentContext: a\ncontexts:\n  a: {armadaUrl: a:1, BasicAuth: {username: u, password: p}}\n  b: {armadaUrl: b:1}\n")
	own := file(t, "contexts:\n  a: {forceNoTls: true, basicAuth: {password: mine}}\n  c: {armadaUrl: c:1}\n")
	none := filepath.Join(t.TempDir(), "none.yaml")
	config, err := LoadOver(own, defaults, "")
	if err != nil || config.ArmadaURL != "a:1" || !config.ForceNoTLS || *config.BasicAuth != (BasicAuth{Username: "u", Password: "mine"}) {
		t.Errorf("%+v, %v", config, err)
	}
	both, err := ReadFileOver(own, defaults)
	if err != nil || strings.Join(both.Names(), " ") != "a b c" || both.Path != own {
		t.Errorf("%+v, %v", both, err)
	}
	for name, paths := range map[string][2]string{"a:1": {none, defaults}, "c:1": {own, none}} {
		if config, err := LoadOver(paths[0], paths[1], name[:1]); err != nil || config.ArmadaURL != name {
			t.Errorf("%s: %+v, %v", name, config, err)
		}
	}
	if _, err := LoadOver(own, file(t, "armadaUrl: a:1\n"), ""); err == nil || !strings.Contains(err.Error(), "the same form") {
		t.Errorf("of two forms: %v", err)
	}
}

func TestTheEnvironmentSetsKeys(t *testing.T) {
	t.Parallel()
	variables := map[string]string{
		"ARMADA_URL": "a:1", "ARMADA_REST_URL": "r", "ARMADA_FORCE_NO_TLS": "true", "ARMADA_GRPC_KEEP_ALIVE_TIME": "11s",
		"ARMADA_BASIC_AUTH_PASSWORD": "secret", "ARMADA_OPEN_ID_AUTH_SCOPES": "a,b", "ARMADA_OPEN_ID_AUTH_LOCAL_PORT": "99",
		"ARMADA_KUBERNETES_NATIVE_AUTH_EXPIRY": "7", "ARMADA_TLS_CA_FILE": "ca", "ARMADA_EXECUTOR_CLUSTERS": "no",
	}
	was := &BasicAuth{Username: "alice", Password: "old"}
	config := Config{BasicAuth: was, ArmadaURL: "file:1"}
	if err := config.Environment(func(name string) string { return variables[name] }); err != nil {
		t.Fatal(err)
	}
	if config.ArmadaURL != "a:1" || config.ArmadaRESTURL != "r" || !config.ForceNoTLS || config.GRPCKeepAliveTime != 11*time.Second ||
		*config.BasicAuth != (BasicAuth{Username: "alice", Password: "secret"}) || strings.Join(config.OpenIDAuth.Scopes, " ") != "a b" || config.OpenIDAuth.LocalPort != 99 ||
		config.KubernetesNativeAuth.Expiry != 7 || config.TLS.CAFile != "ca" || config.ExecAuth != nil || config.KerberosAuth != nil {
		t.Errorf("%+v %+v", config, config.BasicAuth)
	}
	if was.Password != "old" {
		t.Error("the file's section was changed")
	}
	for name, value := range map[string]string{"ARMADA_FORCE_NO_TLS": "perhaps", "ARMADA_GRPC_KEEP_ALIVE_TIME": "1", "ARMADA_OPEN_ID_AUTH_LOCAL_PORT": "99999", "ARMADA_KUBERNETES_NATIVE_AUTH_EXPIRY": "soon"} {
		err := new(Config).Environment(func(asked string) string { return map[string]string{name: value}[asked] })
		if err == nil || !strings.HasPrefix(err.Error(), name+": is \""+value+"\", must be ") {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
	if err := config.Environment(func(name string) string { return map[string]string{"ARMADAURL": "old:1"}[name] }); err != nil || config.ArmadaURL != "old:1" {
		t.Errorf("%s, %v", config.ArmadaURL, err)
	}
}

func TestAFileThatIsNotThereIsAnErrorWhenItWasNamed(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	if config, err := Load("", ""); err != nil || config.Address() != DefaultURL {
		t.Errorf("without a name: %+v, %v", config, err)
	}
	if _, err := Load("", "home"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("with the name of a context: %v", err)
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none"), ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("with its name: %v", err)
	}
}

func TestAnUnknownKeyNamesItsLineAndTheNearestOne(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"armadaUrl: a:1\nforceNoTSL: true\n":                               "line 2: forceNoTSL: unknown key, the nearest known one is forceNoTls",
		"contexts:\n  a:\n    basicAuth:\n      user: x\n":                 "line 4: contexts.a.basicAuth.user: unknown key, the nearest known one is username",
		"currentContext: a\narmadaUrl: a:1\n":                              "line 2: armadaUrl: unknown key",
		"execAuth:\n  env:\n    - nam: x\n":                                "line 3: execAuth.env[0].nam: unknown key, the nearest known one is name",
		"forceNoTls: perhaps\n":                                            "line 1",
		"- armadaUrl\n":                                                    "line 1",
		"openIdAuth: {providerUrl: x}\nopenIdAuth: {providerUrl: x, a: b}": "line 2",
	} {
		if _, err := ReadFile(file(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestValuesThatCannotBeMeantAreRefusedByTheirKey(t *testing.T) {
	t.Parallel()
	for want, config := range map[string]Config{
		"armadaUrl: ":            {ArmadaURL: "https://armada.example.com/"},
		"grpcKeepAliveTime: ":    {GRPCKeepAliveTime: time.Second},
		"grpcKeepAliveTimeout: ": {GRPCKeepAliveTimeout: -1},
		"basicAuth.username: ":   {BasicAuth: &BasicAuth{Password: "x"}},
	} {
		if _, err := New(config); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s%v", want, err)
		}
	}
}
