package e2e

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada/pkg/api"
	"armada/pkg/client"
)

// fillDisk makes armada's files take no more than so many bytes each, as on a
// full disk, until room is called.
func (u *up) fillDisk(t *testing.T, most int64) (room func()) {
	t.Helper()
	set := func(limit, was *unix.Rlimit) {
		t.Helper()
		if err := unix.Prlimit(u.cmd.Process.Pid, unix.RLIMIT_FSIZE, limit, was); err != nil {
			t.Fatal(err)
		}
	}
	var was unix.Rlimit
	set(nil, &was)
	set(&unix.Rlimit{Cur: uint64(most), Max: was.Max}, nil)
	return func() { set(&was, nil) }
}

// batch are jobs of a job set of their own, that a repeated call does not make
// twice.
func batch(n int) *api.JobSubmitRequest {
	const size = 20
	r := &api.JobSubmitRequest{Queue: "full", JobSetId: fmt.Sprintf("batch-%d", n)}
	for i := range size {
		r.JobRequestItems = append(r.JobRequestItems, &api.JobSubmitRequestItem{ClientId: fmt.Sprintf("%d-%d", n, i), PodSpec: markingSpec("/nowhere")})
	}
	return r
}

// known counts the jobs that there are of a job set.
func (u *up) known(t *testing.T, events api.EventClient, set string) int {
	t.Helper()
	ended, active := endsOf(t, events, "full", set)
	return len(ended) + active
}

func TestAFullDiskIsToldAndTakesNothingByHalvesAndIsSurvived(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Cleanup(func() { killProcessesOf(dir) })
	u := startUp(t, dir, "--simulate", "1x1:cpu=1,memory=16Gi,ephemeral-storage=64Gi", "--set", "executor.simulatedRuntime=1h")
	u.mustCtl(t, "create", "queue", "full")
	conn := u.dial(t)
	submitter, events := api.NewSubmitClient(conn), api.NewEventClient(conn)

	info, err := os.Stat(filepath.Join(dir, "armada.db-wal"))
	if err != nil {
		t.Fatal(err)
	}
	room := u.fillDisk(t, info.Size()+400_000)
	why := "nothing was written, because the disk fails: look at the room, the quota, the permissions and the limit of file sizes in " + dir
	answered := map[int]*api.JobSubmitResponse{}
	refused := []int{}
	for n := 0; len(refused) < 3; n++ {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		answer, err := submitter.SubmitJobs(ctx, batch(n))
		cancel()
		if err == nil {
			answered[n] = answer
		} else {
			refused = append(refused, n)
			if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), why) {
				t.Fatalf("a full disk answers %v, want UNAVAILABLE: %s", err, why)
			}
		}
		if n > 1000 {
			t.Fatal("the disk is never full")
		}
	}
	if len(answered) == 0 {
		t.Fatal("nothing was taken before the disk was full: the test shows nothing")
	}

	// Reading goes on, and shows batches wholly or not at all.
	for n := range answered {
		if got := u.known(t, events, fmt.Sprintf("batch-%d", n)); got != 20 {
			t.Errorf("of batch %d, which was acknowledged, there are %d jobs", n, got)
		}
	}
	for _, n := range refused {
		if got := u.known(t, events, fmt.Sprintf("batch-%d", n)); got != 0 {
			t.Errorf("of batch %d, which was refused, there are %d jobs", n, got)
		}
	}
	u.mustCtl(t, "describe", "job", answered[0].GetJobResponseItems()[0].GetJobId())

	waiting := u.submitOnFullDisk(t, why)
	room()
	if err := waiting.Wait(); err != nil {
		t.Errorf("with room again armadactl submit ends with %v", err)
	}

	// A repeated call completes what was refused, and repeats nothing.
	again, err := client.New(client.Config{ArmadaURL: u.grpc})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	for n := range len(answered) + len(refused) {
		answer, err := again.Submitter.SubmitJobs(t.Context(), batch(n))
		if err != nil {
			t.Fatalf("with room again: %v", err)
		}
		if before := answered[n]; before != nil && answer.GetJobResponseItems()[19].GetJobId() != before.GetJobResponseItems()[19].GetJobId() {
			t.Errorf("batch %d was taken twice", n)
		}
		if got := u.known(t, events, fmt.Sprintf("batch-%d", n)); got != 20 {
			t.Errorf("of batch %d there are %d jobs in the end", n, got)
		}
	}
	until(t, "the scheduler works again", func() bool {
		return strings.Contains(u.mustCtl(t, "get", "jobs", "--queue", "full", "--state", "running"), "running")
	})
}

// submitOnFullDisk begins to submit jobs with armadactl, and returns when that
// has said why it takes its time.
func (u *up) submitOnFullDisk(t *testing.T, why string) *exec.Cmd {
	t.Helper()
	file := filepath.Join(t.TempDir(), "jobs.yaml")
	text := "queue: full\njobSetId: by-hand\njobs:\n  - podSpec: {containers: [" + container("a", "command: [echo]", "100m") + "]}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	_, port, _ := strings.Cut(u.grpc, ":")
	cmd := exec.CommandContext(ctx, binary(t, "armadactl"), "--armadaUrl", "localhost:"+port, "submit", file)
	said, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for scanner := bufio.NewScanner(said); len(lines) < 2 && scanner.Scan(); {
		lines = append(lines, scanner.Text())
	}
	want := []string{"Not yet: submit 1 jobs: submit: " + why + ": disk I/O error (778)", "Trying again."}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("on a full disk armadactl submit says\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	return cmd
}
