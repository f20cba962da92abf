package pgtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Admit puts rules of who may connect, in the form of pg_hba.conf, before those
// that there are.
func (s *Server) Admit(t testing.TB, rules ...string) {
	t.Helper()
	path := filepath.Join(s.data(), "pg_hba.conf")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s.put(t, path, strings.Join(rules, "\n")+"\n"+string(before))
	s.Exec(t, s.URL("postgres"), "SELECT pg_reload_conf()")
}

// Certify makes the server offer TLS with a certificate and its key, both PEM.
// Connections without it are served as before, see [Server.Admit].
func (s *Server) Certify(t testing.TB, certificate, key []byte) {
	t.Helper()
	s.put(t, filepath.Join(s.data(), "server.crt"), string(certificate))
	s.put(t, filepath.Join(s.data(), "server.key"), string(key))
	s.Restart(t, "ssl=on")
}

// put writes a file that only the server may read.
func (s *Server) put(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.give(path); err != nil {
		t.Fatal(err)
	}
}

// Log is what the server has logged.
func (s *Server) Log(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.folder, "log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
