package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"armada/internal/doctor"
	"armada/internal/store/postgres"
	"armada/internal/store/sqlite"
	"armada/pkg/api"
)

// Examine looks at the installation that a config describes, from this machine,
// and changes nothing: the database or the data folder, the server that the
// config would be for, and every server that the database knows.
func Examine(ctx context.Context, config Config) []doctor.Check {
	var checks []doctor.Check
	var replicas []postgres.ReplicaAddress
	if config.Store.Database.IsEmpty() {
		checks = examineFolder(ctx, config.DataDir)
	} else {
		x := postgres.Examine(ctx, config.postgres(slog.New(slog.DiscardHandler)), postgres.Limits{})
		checks, replicas = x.Checks, x.Replicas
	}
	checks = append(checks, examineServer(ctx, config)...)
	secured, err := peersTLS(config.Server.TLS)
	if err != nil {
		return append(checks, doctor.Unknown("other servers", "%v", err))
	}
	return append(checks, examineReplicas(ctx, replicas, secured)...)
}

// Room on the disk of a data folder: with less than the first this machine takes
// no jobs.
const (
	leastRoom  = 64 << 20
	littleRoom = 1 << 30
)

// examineFolder looks at a data folder and the database in it.
func examineFolder(ctx context.Context, dir string) []doctor.Check {
	const folder, room = "data folder", "disk"
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []doctor.Check{doctor.Good(folder, "there is no %s", dir).Warn("start armada up, which makes it, or say --data-dir or --database")}
	case err != nil:
		return []doctor.Check{doctor.Good(folder, "%v", err).Fail("run this as the user who runs armada")}
	case !info.IsDir():
		return []doctor.Check{doctor.Good(folder, "%s is no folder", dir).Fail("say another one with --data-dir")}
	}
	checks := []doctor.Check{folderCheck(folder, dir, info)}
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		checks = append(checks, doctor.Unknown(room, "%v", err))
	} else {
		free := int64(disk.Bavail) * disk.Bsize
		c := doctor.Good(room, "%d MiB are free", free>>20)
		switch {
		case free < leastRoom:
			c = c.Fail("make room: nothing can be submitted, and this machine takes no jobs below %d MiB", leastRoom>>20)
		case free < littleRoom:
			c = c.Warn("make room, or keep less: store.keepFinished, store.keepFinishedJobs, executor.keepLogsBytes")
		}
		checks = append(checks, c)
	}
	return append(checks, sqlite.Examine(ctx, filepath.Join(dir, "armada.db"))...)
}

func folderCheck(name, dir string, info fs.FileInfo) doctor.Check {
	use := "nobody uses it now"
	if lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0); err == nil {
		defer func() { _ = lock.Close() }()
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
			use = "in use by " + holder(lock)
		}
	}
	c := doctor.Good(name, "%s, mode %04o, %s", dir, info.Mode().Perm(), use)
	owner, known := info.Sys().(*syscall.Stat_t)
	switch {
	case info.Mode().Perm()&0o077 != 0:
		return c.Warn("chmod 700 %s: whoever reads it reads everybody's jobs and their logs", dir)
	case known && int(owner.Uid) != os.Geteuid() && os.Geteuid() != 0:
		return c.Warn("it belongs to user %d and this is user %d, who cannot run armada on it", owner.Uid, os.Geteuid())
	}
	return c
}

// answerPatience is how long a server may take to answer.
const answerPatience = 3 * time.Second

// examineServer asks the server of this machine, if there is one.
func examineServer(ctx context.Context, config Config) []doctor.Check {
	const rest = "REST of this machine"
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	// Whose certificate that is does not matter: nothing secret is said.
	var secured *tls.Config
	scheme := "http://"
	if config.Server.TLS.IsSet() {
		scheme, secured = "https://", &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}
	}
	checks := []doctor.Check{reach(ctx, "gRPC of this machine", "", config.Server.GRPCAddr, secured).check()}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+config.Server.HTTPAddr+"/health", http.NoBody)
	if err != nil {
		return append(checks, doctor.Unknown(rest, "%v", err))
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: secured}} // and no proxy
	answer, err := client.Do(request)
	if err != nil {
		return append(checks, doctor.Unknown(rest, "nothing answers at %s", config.Server.HTTPAddr).Advise("none is needed where no server is meant to run"))
	}
	defer func() { _ = answer.Body.Close() }()
	why, _ := io.ReadAll(io.LimitReader(answer.Body, 500)) // what was read of it will do
	if answer.StatusCode != http.StatusNoContent {
		return append(checks, doctor.Good(rest, "%s answers %s: %s", config.Server.HTTPAddr, answer.Status, why).Fail("see the server's log"))
	}
	return append(checks, doctor.Good(rest, "%s is healthy", config.Server.HTTPAddr))
}

// examineReplicas asks the servers that the database knows, all at once.
func examineReplicas(ctx context.Context, replicas []postgres.ReplicaAddress, secured *tls.Config) []doctor.Check {
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	answers := make([]reached, len(replicas))
	group := new(errgroup.Group)
	for i, r := range replicas {
		group.Go(func() error {
			answers[i] = reach(ctx, "server "+r.Name, r.Name, r.Addr, secured)
			return nil
		})
	}
	_ = group.Wait()
	var checks []doctor.Check
	for _, a := range answers {
		checks = append(checks, a.check())
		if a.err == nil {
			checks = append(checks, a.clock())
		}
	}
	return checks
}

// reached is what a server answered.
type reached struct {
	name, replica, addr string
	err                 error
	serving             bool
	version, shown      string
	took                time.Duration
	answered            time.Time
}

// reach asks a server how it is. The second question is the one whose time
// counts: no connection is made for it.
func reach(ctx context.Context, name, replica, addr string, secured *tls.Config) reached {
	a := reached{name: name, replica: replica, addr: addr}
	security := insecure.NewCredentials()
	if secured != nil {
		security = credentials.NewTLS(secured)
	}
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(security), grpc.WithNoProxy())
	if err != nil {
		a.err = err
		return a
	}
	defer func() { _ = conn.Close() }()
	for range 2 {
		var header metadata.MD
		asked := time.Now()
		health, err := api.NewSubmitClient(conn).Health(ctx, &emptypb.Empty{}, grpc.Header(&header))
		if err != nil {
			a.err = err
			return a
		}
		a.took, a.answered = time.Since(asked), time.Now()
		a.serving = health.GetStatus() == api.HealthCheckResponse_SERVING
		for key, into := range map[string]*string{"armada-version": &a.version, "armada-time": &a.shown} {
			if values := header.Get(key); len(values) > 0 {
				*into = values[0]
			}
		}
	}
	return a
}

func (a reached) check() doctor.Check {
	switch {
	case a.err != nil && a.replica == "":
		return doctor.Unknown(a.name, "nothing answers at %s", a.addr).Advise("none is needed where no server is meant to run")
	case a.err != nil:
		return doctor.Good(a.name, "it is not reached at %s: %v", a.addr, a.err).
			Fail("set replica.advertise of that server to an address that other servers reach, and let firewalls pass it")
	case !a.serving:
		return doctor.Good(a.name, "it starts or stops, at %s", a.addr).Warn("look again in a minute")
	}
	return doctor.Good(a.name, "it serves at %s, version %s", a.addr, a.version)
}

func (a reached) clock() doctor.Check {
	name := "clock of " + a.replica
	shown, err := time.Parse(time.RFC3339Nano, a.shown)
	if err != nil {
		return doctor.Unknown(name, "the server does not tell").Advise("run armada doctor on its machine")
	}
	return postgres.ClockCheck(name, "its clock", shown.Sub(a.answered.Add(-a.took/2)), a.took/2, postgres.Limits{}.WithDefaults().Clock)
}

// Problems is an error that counts the problems among checks, nil for none.
func Problems(checks []doctor.Check) error {
	if n := doctor.Count(checks, doctor.Problem); n > 0 {
		return fmt.Errorf("%s found", plural(n, "problem was", "problems were"))
	}
	return nil
}
