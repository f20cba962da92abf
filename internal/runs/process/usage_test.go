//go:build linux

package process

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"armada"
	"armada/internal/runs"
	"armada/internal/runs/runstest"
)

// usageOf waits for a sample of a run that will do.
func usageOf(t *testing.T, r *Runtime, run armada.RunID, what string, will func(runs.Sample) bool) runs.Sample {
	t.Helper()
	var sample runs.Sample
	eventually(t, what, func() bool {
		samples, err := r.Usage(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		var is bool
		sample, is = samples[run]
		return is && will(sample)
	})
	return sample
}

// spent is the time of processors in a sample.
func spent(s runs.Sample) time.Duration { return time.Duration(float64(s.CPU) * s.Window.Seconds()) }

// What is counted are all processes of all containers.
func TestTheUsageOfARunIsThatOfAllItsProcesses(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w *world) {
		r := w.opened(t)
		const burn = "while :; do :; done"
		const holds = 32 << 20 // by doubling 16 bytes 21 times
		hold := "x=0123456789abcdef; i=0; while [ $i -lt 21 ]; do x=$x$x; i=$((i+1)); done; echo holding; "
		busy := started(t, r, pod{Containers: []container{
			shell("below", "while [ ! -e held ]; do sleep 0.01; done; ("+burn+") & wait"),
			shell("holds", hold+"touch held; while :; do sleep 1000; done"),
		}}, 1)
		idle := started(t, r, pod{Containers: []container{shell("main", "exec sleep 1000")}}, 2)
		runstest.AwaitLine(t, r, busy, "holding")
		runstest.AwaitPhase(t, r, idle, runs.Running)

		used := usageOf(t, r, busy, "a sample of memory and processors", func(s runs.Sample) bool { return s.Memory > holds && s.CPU > 0 })
		if used.Memory > 8*holds {
			t.Errorf("%d bytes are told of a run that holds %d and not much else", used.Memory, holds)
		}
		little := usageOf(t, r, idle, "a sample of the run that sleeps", func(runs.Sample) bool { return true })
		if little.CPU >= used.CPU || little.Memory >= holds {
			t.Errorf("a run that sleeps uses %+v and one that works %+v", little, used)
		}
		if used.Window < leastWindow || used.At.IsZero() {
			t.Errorf("the sample is %+v", used)
		}
	})
}

func TestAnOrphanBurnsForItsRunWithoutCagesToo(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w *world) {
		r := w.opened(t)
		run := started(t, r, pod{Containers: []container{shell("main", "( (while :; do :; done) & ); exec sleep 1000")}}, 1)
		usageOf(t, r, run, "the orphan's work", func(s runs.Sample) bool { return spent(s) > 200*time.Millisecond })
	})
}

// The time of a container that is over counts in the sample of its end.
func TestWhatEndedContainersUsedIsNotLost(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w *world) {
		r := w.opened(t)
		run := started(t, r, pod{
			InitContainers: []container{shell("first", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done")},
			Containers:     []container{shell("main", "exec sleep 1000")},
		}, 1)
		runstest.AwaitPhase(t, r, run, runs.Running)
		s := usageOf(t, r, run, "the first sample", func(runs.Sample) bool { return true })
		if spent := time.Duration(float64(s.CPU) * s.Window.Seconds()); spent < 50*time.Millisecond {
			t.Errorf("of the counting of the init container %v are told in %+v", spent, s)
		}
	})
}

func TestSamplesFollowEachOtherWithoutAGap(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var m meter
	read := func(after time.Duration, cpu time.Duration, memory int64) (runs.Sample, bool) {
		s, is := m.add(map[armada.RunID]reading{"r": {Began: began, At: began.Add(after), CPU: int64(cpu), Memory: memory}})["r"]
		return s, is
	}
	if s, is := read(leastWindow/2, time.Second, 1); is {
		t.Errorf("a run that has just begun has the sample %+v", s)
	}
	first, _ := read(10*time.Second, 5*time.Second, 7)
	if want := (runs.Sample{At: began.Add(10 * time.Second), Window: 10 * time.Second, CPU: 500_000_000, Memory: 7}); first != want {
		t.Errorf("the first sample is %+v, want %+v", first, want)
	}
	if again, _ := read(10*time.Second+leastWindow/2, 6*time.Second, 8); again != first {
		t.Errorf("half a window later the latest sample is %+v", again)
	}
	next, _ := read(14*time.Second, 13*time.Second, 9)
	if want := (runs.Sample{At: began.Add(14 * time.Second), Window: 4 * time.Second, CPU: 2_000_000_000, Memory: 9}); next != want {
		t.Errorf("the next sample is %+v, want %+v", next, want)
	}
	if all := m.add(nil); len(all) != 0 {
		t.Errorf("samples are told of what does not live: %v", all)
	}
}

// A supervisor outlives the version that started it.
func TestASupervisorThatCannotMeasureIsNotAsked(t *testing.T) {
	t.Parallel()
	conn, other := net.Pipe()
	defer conn.Close()
	defer other.Close()
	r := &Runtime{session: &session{conn: conn, hello: reply{Version: protocolVersion}}}
	if _, err := r.Usage(context.Background()); !errors.Is(err, runs.ErrNotMeasured) {
		t.Errorf("it answered %v", err)
	}
}

// played writes the files of a control group into a folder.
func played(t *testing.T, files map[string]string) string {
	t.Helper()
	at := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(at, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return at
}

func TestACageIsReadAsTheKernelWritesIt(t *testing.T) {
	t.Parallel()
	second := played(t, map[string]string{
		"cpu.stat":       "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\n",
		"memory.current": "10485760\n",
		"memory.stat":    "anon 1\nfile 4194304\ninactive_file 1048576\nactive_file 3145728\n",
		"memory.events":  "low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\noom_group_kill 0\n",
		"cgroup.procs":   "12\n34\n",
	})
	first := played(t, map[string]string{
		"memory.usage_in_bytes": "20971520\n",
		"memory.stat":           "cache 1\ninactive_file 1\ntotal_cache 2\ntotal_inactive_file 20971519\n",
		"memory.oom_control":    "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
	})
	for name, test := range map[string]struct {
		cage        cage
		cpu, memory int64
		oom         bool
		inside      int
	}{
		"version 2":              {cage{unified: second}, 1_500_000_000, 9 << 20, true, 2},
		"both":                   {cage{unified: second, memory: first}, 1_500_000_000, 1, true, 2},
		"memory of version 1":    {cage{memory: first}, -1, 1, false, 0},
		"version 2 without any":  {cage{unified: played(t, map[string]string{"cpu.stat": "usage_usec 7\n"})}, 7000, -1, false, 0},
		"groups that have gone":  {cage{unified: "/no/such/group", memory: "/no/such/group"}, -1, -1, false, 0},
		"a container without it": {cage{}, -1, -1, false, 0},
	} {
		cpu, counted := test.cage.cpu()
		if !counted {
			cpu = -1
		}
		memory, weighed := test.cage.memoryUsed()
		if !weighed {
			memory = -1
		}
		if cpu != test.cpu || memory != test.memory || test.cage.outOfMemory() != test.oom || len(test.cage.inside()) != test.inside {
			t.Errorf("%s: cpu %d, memory %d, oom %t, inside %v", name, cpu, memory, test.cage.outOfMemory(), test.cage.inside())
		}
	}
}

func TestProcessesAreReadAsTheKernelTellsThem(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	stat := func(pid int, name string, parent, ticks, pages int, files map[string]string) {
		at := filepath.Join(root, strconv.Itoa(pid))
		if err := os.Mkdir(at, 0o700); err != nil {
			t.Fatal(err)
		}
		n := strconv.Itoa
		files["stat"] = n(pid) + " (" + name + ") S " + n(parent) + " 7 7 0 -1 4194304 1 2 3 4 " +
			n(ticks) + " 20 300 4000 20 0 1 0 12345 99999 " + n(pages) + " 18446744073709551615 1 1\n"
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(at, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	stat(10, "a ) name (of) 1 2", 1, 1, 5, map[string]string{"smaps_rollup": "00400000-7fff ---p 0 00:00 0 [rollup]\nRss:    900 kB\nPss:        120 kB\nPss_Dirty: 1 kB\n"})
	stat(11, "sh", 10, 2, 6, map[string]string{})
	stat(12, "sh", 13, 3, 7, map[string]string{}) // of each other, as it cannot be
	stat(13, "sh", 12, 4, 8, map[string]string{})
	if err := os.MkdirAll(filepath.Join(root, "14"), 0o700); err != nil { // it has ended
		t.Fatal(err)
	}
	table := readTable(root)
	if len(table.processes) != 4 || table.processes[10] != (usage{parent: 1, cpu: int64(4321 * tick), resident: int64(5 * os.Getpagesize())}) {
		t.Errorf("the processes are %+v", table.processes)
	}
	if len(table.family(10)) != 2 || len(table.family(12)) != 2 || len(table.family(14)) != 0 {
		t.Errorf("the families are %v, %v and %v", table.family(10), table.family(12), table.family(14))
	}
	if table.memory(10) != 120<<10 || table.memory(11) != int64(6*os.Getpagesize()) {
		t.Errorf("they hold %d and %d", table.memory(10), table.memory(11))
	}
	for _, text := range []string{"", "10 (sh", "10 (sh) S 1 2", "10 (sh) S x 7 7 0 -1 4 1 2 3 4 1 1 1 1 20 0 1 0 1 9 5"} {
		if u, err := parseStat([]byte(text)); err == nil {
			t.Errorf("%q is the process %+v", text, u)
		}
	}
}
