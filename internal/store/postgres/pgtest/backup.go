package pgtest

import (
	"os"
	"path/filepath"
	"testing"
)

// Backup is a base backup of a server, with the archive of its log from then on.
type Backup struct {
	archive string
	copied  *Server
}

// Backup makes a base backup. The server must have been made with
// "archive_mode=on".
func (s *Server) Backup(t testing.TB) *Backup {
	t.Helper()
	b := &Backup{archive: filepath.Join(s.folder, "archive")}
	if err := os.Mkdir(b.archive, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.give(b.archive); err != nil {
		t.Fatal(err)
	}
	s.Exec(t, s.URL("postgres"), "ALTER SYSTEM SET archive_command = 'cp %p "+b.archive+"/%f'")
	s.Exec(t, s.URL("postgres"), "SELECT pg_reload_conf()")
	var err error
	if b.copied, err = settle(nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.copied.remove)
	copying := b.copied.command("pg_basebackup", "--dbname="+s.URL("postgres"), "--pgdata="+b.copied.data(), "--checkpoint=fast", "--no-sync")
	if out, err := copying.CombinedOutput(); err != nil {
		t.Fatalf("pgtest: pg_basebackup: %v\n%s", err, out)
	}
	return b
}

// Recover starts a server from the backup and the archive, as everything was at a
// restore point of that name. The first server must have been stopped in order.
func (b *Backup) Recover(t testing.TB, point string) *Server {
	t.Helper()
	signal := filepath.Join(b.copied.data(), "recovery.signal")
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.copied.give(signal); err != nil {
		t.Fatal(err)
	}
	b.copied.Restart(t, "restore_command=cp "+b.archive+"/%f %p", "recovery_target_name="+point, "recovery_target_action=promote")
	b.copied.await(t, "the recovery does not end", "SELECT NOT pg_is_in_recovery()")
	return b.copied
}
