package login

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"armada/internal/app"
	"armada/internal/auth/authtest"
)

func TestNamesAndPasswordsAsInTheHowto(t *testing.T) {
	t.Parallel()
	hash, err := bcrypt.GenerateFromPassword([]byte("another horse"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, "htpasswd", "bob:"+string(hash)+"\n")
	everything.secret("correct horse", "another horse", string(hash))
	blocks := examples(t, "### Names and passwords", "yaml")
	s := serve(t, blocks[0], "/etc/armada/htpasswd", file)
	c := calls(t, clientOf(t, blocks[1], "armada.example:50051", s.grpc), "alice")
	if _, err := c.Jobs(t.Context(), jobsOfQ); err != nil {
		t.Error(err)
	}
	bob := clientOf(t, blocks[1], "armada.example:50051", s.grpc, "username: alice", "username: bob", "correct horse", "another horse")
	bob.BasicAuth.PasswordFile, bob.BasicAuth.Password = write(t, "password", "another horse\n"), ""
	source, err := bob.Source()
	if err != nil {
		t.Fatal(err)
	}
	header, err := source.Authorization(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := get(t, s.http, header); code != 403 {
		t.Errorf("bob, who may nothing, is answered %d", code)
	}
}

func TestServiceAccountsAsInTheHowto(t *testing.T) {
	t.Parallel()
	cluster := authtest.NewCluster(t)
	const folder = "/var/run/secrets/kubernetes.io/serviceaccount/"
	blocks := examples(t, "### Kubernetes service accounts", "yaml")
	s := serve(t, blocks[0], "https://kubernetes.default.svc", cluster.URL, folder+"ca.crt", cluster.CAFile, folder+"token", write(t, "own", "the server's own token"))
	config := clientOf(t, blocks[1], "armada.example:50051", s.grpc)
	config.KubernetesNativeAuth.TokenFile = write(t, "token", cluster.Token("system:serviceaccount:team:robot", time.Now().Add(time.Hour)))
	calls(t, config, "system:serviceaccount:team:robot")
}

func TestCertificatesAsInTheHowto(t *testing.T) {
	t.Parallel()
	authority := authtest.NewAuthority(t)
	serverCert, serverKey := authority.Files(t.TempDir(), authority.Certify("server"))
	cert, key := authority.Files(t.TempDir(), authority.Certify("alice"))
	blocks := examples(t, "### Client certificates", "yaml")
	s := serve(t, blocks[0], "/etc/armada/tls/cert.pem", serverCert, "/etc/armada/tls/key.pem", serverKey, "/etc/armada/tls/clients.pem", authority.File)
	calls(t, clientOf(t, blocks[1], "armada.example:50051", s.grpc, "/etc/armada/tls/ca.pem", authority.File, "/home/alice/cert.pem", cert, "/home/alice/key.pem", key), "alice")
}

func TestACommandThatPrintsATokenAsInTheHowto(t *testing.T) {
	t.Parallel()
	p := authtest.NewProvider(t)
	s := serve(t, examples(t, "### OpenID Connect", "yaml")[0], "https://login.example", p.URL)
	token := p.Token("alice", map[string]any{"groups": []string{"admins"}})
	everything.secret(token)
	for name, prints := range map[string]string{"alone": token, "ExecCredential": `{"kind":"ExecCredential","status":{"token":"` + token + `"}}`} {
		ran := filepath.Join(t.TempDir(), "ran")
		script := write(t, "corp-token", "#!/bin/sh\nprintf x >>"+ran+"\n[ \"$*\" = '--audience armada' ] || exit 1\ncat <<'END'\n"+prints+"\nEND\n")
		if err := os.Chmod(script, 0o700); err != nil {
			t.Fatal(err)
		}
		config := clientOf(t, examples(t, "### A command that prints a token", "yaml")[0], "armada.example:50051", s.grpc, "/usr/local/bin/corp-token", script)
		calls(t, config, "alice")
		if text, err := os.ReadFile(ran); err != nil || string(text) != "x" {
			t.Errorf("%s: it ran %d times, %v", name, len(text), err)
		}
		config.ExecAuth.Args = nil
		source, err := config.Source()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := source.Authorization(t.Context()); err == nil || !strings.Contains(err.Error(), "exit status 1") {
			t.Errorf("%s: a command that fails: %v", name, err)
		}
	}
}

func TestTheExecutorOfTheHowtoIsLoaded(t *testing.T) {
	t.Parallel()
	text := strings.NewReplacer("file:///etc/armada/agent-password", "a password").Replace(examples(t, "## Executors and replicas", "yaml")[0])
	config, _, err := app.LoadConfig(write(t, "executor.yaml", text), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if config.Executor.Auth.BasicAuth.Username != "agent-of-a" || !config.Executor.TLS {
		t.Errorf("it is %+v", config.Executor)
	}
}

func TestCredentialsInPlainTextAreRefusedBeyondThisMachine(t *testing.T) {
	t.Parallel()
	example := examples(t, "### Kerberos", "yaml")[0]
	for more, want := range map[string]string{
		"server: {grpcAddr: 0.0.0.0:1}\n":                        "server.grpcAddr: can be reached from elsewhere",
		"server: {httpAddr: armada.example:1}\n":                 "server.httpAddr: can be reached from elsewhere",
		"server: {httpAddr: 0.0.0.0:1, allowPlainText: true}\n":  "",
		"server: {httpAddr: localhost:1, grpcAddr: '[::1]:1'}\n": "",
	} {
		_, _, err := app.LoadConfig(write(t, "armada.yaml", example+more), nil, nil)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", more, err)
		}
	}
}
