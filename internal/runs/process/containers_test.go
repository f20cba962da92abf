//go:build linux

package process

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"armada"
	"armada/internal/runs"
	"armada/internal/runs/runstest"
)

func TestInitContainersRunInOrderAndSidecarsBesideTheRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	// Beside means that they wait for each other; the sidecar is heard to end.
	sidecar := shell("side", "exec 2>/dev/null; trap 'echo ended; exit 0' TERM; echo side > side; while :; do sleep 0.01; done")
	sidecar.RestartPolicy = "Always"
	run := started(t, r, pod{
		InitContainers: []container{
			shell("first", "echo 1; echo first > first"),
			sidecar,
			shell("second", "cat first; while [ ! -e side ]; do sleep 0.01; done; cat side"),
		},
		Containers: []container{
			shell("left", "touch left; while [ ! -e right ]; do sleep 0.01; done; echo met"),
			shell("right", "touch right; while [ ! -e left ]; do sleep 0.01; done; echo met"),
		},
	}, 1)
	s := runstest.AwaitPhase(t, r, run, runs.Succeeded)
	got := output(t, r, run)
	if want := []string{"first:1", "second:first", "second:side"}; len(got) < 6 || !slices.Equal(got[:3], want) {
		t.Fatalf("it printed %q", got)
	}
	if got[len(got)-1] != "side:ended" {
		t.Errorf("the sidecar was not ended last and politely: %q", got)
	}
	var names []string
	for _, c := range s.End.Containers {
		names = append(names, c.Name)
	}
	if want := []string{"first", "second", "left", "right"}; !slices.Equal(names, want) {
		t.Errorf("the containers that count are %q", names)
	}
}

func TestContainersMayHaveAnyNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	names := []string{"Container1", "two words", "a/../b\n%20", "", "same", "same"}
	var p pod
	for _, name := range names {
		p.Containers = append(p.Containers, shell(name, "echo said"))
	}
	run := started(t, r, p, 1)
	runstest.AwaitPhase(t, r, run, runs.Succeeded)
	got := output(t, r, run)
	slices.Sort(got)
	want := make([]string, len(names))
	for i, name := range names {
		want[i] = name + ":said"
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("they printed %q", got)
	}
}

func TestAFailedInitContainerKeepsTheOthersFromStarting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	run := started(t, r, pod{
		InitContainers: []container{shell("init", "exit 2"), shell("never", "echo started")},
		Containers:     []container{shell("main", "echo started")},
	}, 1)
	s := runstest.AwaitPhase(t, r, run, runs.Failed)
	if got := output(t, r, run); len(got) != 0 || !s.Running.IsZero() || len(s.End.Containers) != 1 || s.End.Containers[0].ExitCode != 2 {
		t.Errorf("it printed %q and ended so: %+v", got, s)
	}
	if !strings.Contains(s.End.Reason, "init") {
		t.Errorf("the reason does not name the container: %q", s.End.Reason)
	}
}

func TestARunEndsWithItsLastContainerAndFailsWithAny(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	run := started(t, r, pod{Containers: []container{
		shell("bad", "touch failed; exit 3"),
		shell("good", "while [ ! -e failed ]; do sleep 0.01; done; sleep 0.05; echo finished"),
	}}, 1)
	s := runstest.AwaitPhase(t, r, run, runs.Failed)
	if got := output(t, r, run); !slices.Equal(got, []string{"good:finished"}) {
		t.Errorf("it printed %q", got)
	}
	if len(s.End.Containers) != 2 || s.End.Containers[0].ExitCode != 3 || s.End.Containers[1].ExitCode != 0 {
		t.Errorf("it ended so: %+v", s.End)
	}
}

func TestASidecarThatEndsIsStartedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	sidecar := shell("side", "if [ -e once ]; then touch twice; sleep 1000; fi; touch once; exit 1")
	sidecar.RestartPolicy = "Always"
	run := started(t, r, pod{
		InitContainers: []container{sidecar},
		Containers:     []container{shell("main", "while [ ! -e twice ]; do sleep 0.01; done")},
	}, 1)
	runstest.AwaitPhase(t, r, run, runs.Succeeded)
}

// What cannot start ends at once, with the exit code that a shell would give and
// words that name the reason.
func TestWhatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	here := t.TempDir()
	notExecutable := filepath.Join(here, "plain")
	noInterpreter := filepath.Join(here, "script")
	noFormat := filepath.Join(here, "binary")
	for path, file := range map[string]struct {
		text string
		mode os.FileMode
	}{
		notExecutable: {"text", 0o600},
		noInterpreter: {"#!/no/such/interpreter\n", 0o700},
		noFormat:      {"\x00\x01\x02", 0o700},
	} {
		if err := os.WriteFile(path, []byte(file.text), file.mode); err != nil {
			t.Fatal(err)
		}
	}
	for n, test := range []struct {
		name      string
		container container
		code      int32 // 0: the run fails before any container
		words     []string
	}{
		{"no command", container{Image: "busybox:1"}, 0, []string{"no command", "no images", "busybox:1"}},
		{"args alone", container{Image: "busybox:1", Args: []string{"echo"}}, 0, []string{"no command", "no images"}},
		{"unknown command", container{Command: []string{"no-such-command"}}, 127, []string{`"no-such-command"`, "not found"}},
		{"unknown path", container{Command: []string{"/no/such/command"}}, 127, []string{`"/no/such/command"`, "not found"}},
		{"not executable", container{Command: []string{notExecutable}}, 126, []string{notExecutable}},
		{"a folder", container{Command: []string{here}}, 126, []string{here, "folder"}},
		{"no interpreter", container{Command: []string{noInterpreter}}, 127, []string{noInterpreter, "interpreter"}},
		{"no format", container{Command: []string{noFormat}}, 126, []string{noFormat}},
		{"no working folder", container{Command: []string{"true"}, WorkingDir: "/no/such/folder"}, 126, []string{"/no/such/folder"}},
	} {
		test.container.Name = "main"
		run := started(t, r, pod{Containers: []container{test.container}}, n)
		s := runstest.AwaitPhase(t, r, run, runs.Failed)
		for _, word := range test.words {
			if !strings.Contains(s.End.Reason, word) {
				t.Errorf("%s: the reason %q does not say %q", test.name, s.End.Reason, word)
			}
		}
		switch {
		case test.code == 0 && len(s.End.Containers) != 0:
			t.Errorf("%s: a container is told of: %+v", test.name, s.End)
		case test.code != 0 && (len(s.End.Containers) != 1 || s.End.Containers[0].ExitCode != test.code):
			t.Errorf("%s: it ended so: %+v", test.name, s.End)
		}
	}
}

func TestAPodSpecThatCannotBeReadFailsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	o := pod{}.order(t, 1)
	o.Spec = []byte{0xff, 0xff}
	if err := r.Start(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	if s := runstest.AwaitPhase(t, r, o.Run, runs.Failed); !strings.Contains(s.End.Reason, "pod spec") {
		t.Errorf("it ended so: %+v", s.End)
	}
}

func TestASignalIsToldWithItsName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	s := runstest.AwaitPhase(t, r, started(t, r, pod{Containers: []container{shell("main", "kill -s USR1 $$$$" /* Kubernetes makes $ of $$ */)}}, 1), runs.Failed)
	c := s.End.Containers[0]
	if c.ExitCode != 128+10 || !strings.Contains(c.Message, "signal 10") {
		t.Errorf("it ended so: %+v, %q", c, output(t, r, s.Run))
	}
}

func TestTheActiveDeadlineEndsARun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	second := int64(1)
	s := runstest.AwaitPhase(t, r, started(t, r, pod{
		Deadline:   &second,
		Containers: []container{shell("main", "exec sleep 1000")},
	}, 1), runs.Failed)
	if s.End.Cause != armada.CauseDeadlineExceeded {
		t.Errorf("it ended so: %+v", s.End)
	}
	if took := s.Ended.Sub(s.Pending); took < time.Second {
		t.Errorf("it ended after %v", took)
	}
}

func TestTheGraceOfThePodSpecCountsWhereNoneIsGiven(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	second := int64(1)
	run := started(t, r, pod{
		Grace:      &second,
		Containers: []container{shell("main", "trap '' TERM; echo deaf; while :; do sleep 0.1; done")},
	}, 1)
	runstest.AwaitLine(t, r, run, "deaf")
	begun := time.Now()
	if err := r.Stop(context.Background(), run, 0); err != nil {
		t.Fatal(err)
	}
	s := runstest.AwaitPhase(t, r, run, runs.Stopped)
	if took := s.Ended.Sub(begun); took < time.Second || took > patience/2 {
		t.Errorf("the grace was %v", took)
	}
}

func TestAContainerKnowsItsJobAndNothingOfArmada(t *testing.T) {
	t.Setenv("A_SECRET_OF_ARMADA", "told") // not parallel for this: the supervisor inherits it
	w := newWorld(t)
	r := w.opened(t)
	c := shell("main", "env; pwd")
	c.Env = []variable{
		{"OWN", "value of $(ARMADA_JOB_ID)"},
		{"ARMADA_QUEUE", "its own"},
		{"HOME", "/elsewhere"},
	}
	o := pod{Containers: []container{c}}.order(t, 1)
	o.Annotations = map[string]string{
		"armadaproject.io/gangId": "a-gang", "armadaproject.io/gangCardinality": "2",
		"ARMADA_GANG_NODE_UNIFORMITY_LABEL_NAME": "zone", "ARMADA_GANG_NODE_UNIFORMITY_LABEL_VALUE": "z1",
	}
	if err := r.Start(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	runstest.AwaitPhase(t, r, o.Run, runs.Succeeded)
	got := output(t, r, o.Run)
	for _, want := range []string{
		"ARMADA_JOB_ID=" + string(o.Job), "ARMADA_RUN_ID=" + string(o.Run), "ARMADA_JOB_SET=a-set", "ARMADA_JOB_SET_ID=a-set",
		"ARMADA_GANG_ID=a-gang", "ARMADA_GANG_CARDINALITY=2",
		"ARMADA_GANG_NODE_UNIFORMITY_LABEL_NAME=zone", "ARMADA_GANG_NODE_UNIFORMITY_LABEL_VALUE=z1",
		"OWN=value of " + string(o.Job), "ARMADA_QUEUE=its own", "HOME=/elsewhere",
		r.layout.run(o.Run).work(),
	} {
		if !slices.Contains(got, "main:"+want) {
			t.Errorf("it lacks %s: %q", want, got)
		}
	}
	for _, line := range got {
		if strings.Contains(line, "A_SECRET_OF_ARMADA") {
			t.Errorf("it was told %q", line)
		}
	}
}

func TestAContainerIsKilledAtItsMemoryLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	nodes, err := r.Nodes(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	// 200 MiB in a shell's variable, by doubling.
	c := shell("main", "x=0123456789abcdef; i=0; while [ $i -lt 24 ]; do x=$x$x; i=$((i+1)); done; echo done")
	c.Resources = map[string]limits{"limits": {"memory": "64Mi"}}
	run := started(t, r, pod{Containers: []container{c}}, 1)
	// Where the tests are run for the sake of some control groups, it must be those.
	if has := r.session.hello.Features; !strings.Contains(has, os.Getenv("ARMADA_TEST_GROUPS")) {
		t.Errorf("the supervisor has %q, and was to have %q", has, os.Getenv("ARMADA_TEST_GROUPS"))
	}
	switch enforced := nodes[0].Labels[LabelMemoryLimits]; enforced {
	case "enforced":
		s := runstest.AwaitPhase(t, r, run, runs.Failed)
		if s.End.Cause != armada.CauseOutOfMemory || s.End.Containers[0].Reason != "OOMKilled" || s.End.Containers[0].ExitCode != 137 {
			t.Errorf("it ended so: %+v", s.End)
		}
	case "accounted": // this machine lets us limit nobody, and the node says so
		runstest.AwaitPhase(t, r, run, runs.Succeeded)
	default:
		t.Errorf("the node says %q of its limits", enforced)
	}
}

func TestTheCapacityOfTheNodeCanBeGiven(t *testing.T) {
	t.Parallel()
	config := Config{Capacity: "cpu=1500m,memory=3Gi", Resources: armada.DefaultResourceTable(), Labels: map[string]string{"zone": "here"}}
	node, err := machine(&config, t.TempDir(), true)
	if err != nil {
		t.Fatal(err)
	}
	if node.Allocatable[0] != 1500 || node.Allocatable[1] != 3<<30 || node.Allocatable[2] <= 0 || node.Labels["zone"] != "here" {
		t.Errorf("the node is %+v", node)
	}
	for _, wrong := range []string{"cpu", "cpu=", "cpu=many", "gold=1", "cpu=-1"} {
		config.Capacity = wrong
		if _, err := machine(&config, t.TempDir(), true); err == nil {
			t.Errorf("%q was accepted", wrong)
		}
	}
	for host, want := range map[string]string{"My_Host.Example": "my-host.example", "": "localhost", "--": "localhost"} {
		if got := nodeName(host); got != want {
			t.Errorf("the machine %q is the node %q", host, got)
		}
	}
}
