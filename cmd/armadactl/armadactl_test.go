package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada/pkg/client"
)

// TestWhatUsersSee runs command lines and compares everything they print with
// golden files.
func TestWhatUsersSee(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string][]string{
		"queues": {
			"create queue a", "create queue a --priority-factor 0.5", "create queue a --priority-factor 0", "create queue a --limits cpu=0.5", "create queue a --limits batch:cpu=2", "update queue demo", "update queue nope", "delete queue a", "delete queue demo",
			"get queue demo", "get queue demo -o json", "get queue demo -o wide", "get queue nope", "get queues", "get queues -o yaml", "get queues -o wide", "get queues -o name",
			"get queues -l team=x", "get queues --inverse -l team",
			"get queues other-queue", "get queues --only-cordoned", "get queues none", "get queues none demo neither -o name", "create -f testdata/queue.yaml", "create -f testdata/queue.yaml --dry-run",
			"create -f testdata/badqueue.yaml", "get scheduling-report", "get queue-report demo", "get queue-report nope", "get scheduling-report --queue a --job-id b",
		},
		"policies": {
			"create retry-policy -f testdata/policy.yaml", "create retry-policy -f testdata/policy.yaml -o json", "create retry-policy -f testdata/policy.yaml --dry-run",
			"create -f testdata/policy.yaml", "create retry-policy -f testdata/badpolicy.yaml", "create retry-policy -f testdata/refusedpolicy.yaml",
			"create retry-policy -f testdata/queue.yaml", "create retry-policy", "update retry-policy -f testdata/policy.yaml", "delete retry-policy patient", "delete retry-policy patient -o name",
			"get retry-policy patient", "get retry-policy patient -o json", "get retry-policy patient -o wide", "get retry-policy nope",
			"get retry-policies", "get retry-policies -o wide", "get retry-policies -o yaml", "get retry-policies -o name", "__complete get retry-policy p",
		},
		"submit": {
			"submit testdata/jobs.yaml", "submit testdata/jobs.yaml -o name", "submit testdata/jobs.yaml -o json", "submit testdata/jobs.yaml --dry-run",
			"submit testdata/typos.yaml", "submit testdata/refused.yaml", "submit testdata/toobig.yaml --dry-run", "submit testdata/noqueue.yaml", "submit testdata/none.yaml",
			"submit testdata/jobs.yaml --wait", "submit testdata/jobs.yaml --wait -o json", "submit testdata/jobs.yaml --wait -o name",
			"submit testdata/second.yaml --wait",
		},
		"watch": {"watch demo first --exit-if-inactive", "watch nope first", "watch demo first --from s --exit-if-inactive", "watch demo first --from s --exit-if-inactive -o name", "watch demo first --exit-if-inactive --force-new-events --force-legacy-events --from s"},
		"jobs": {
			"get jobs", "get jobs --limit 1", "get jobs --queue other-queue", "get jobs --queue dmeo", "get jobs --job-set none", "get jobs --state running,Failed", "get jobs -o wide", "get jobs -o name", "get jobs -o json --state failed",
			"get jobs -o yaml --limit 2", "get jobs --reverse -o name", "get jobs --sort state -o name", "get jobs --sort priority", "get jobs --sort priority --limit 1 -o name", "get jobs --sort submitted --limit 1 -o name", "get jobs --sort changed --reverse -o name", "get jobs --since 90m -o name", "get job " + job(1), "get job -o name " + job(1) + " " + job(2), "get job x",
		},
		"describe": {
			"describe job " + job(0), "describe job " + job(1), "describe job " + job(2), "describe job " + job(2) + " --events=false", "describe job " + job(0) + " -o yaml", "describe job x",
			"describe queue demo", "describe queue demo -o json", "describe queue demo -o yaml", "describe queue demo -o name", "describe queue other-queue", "describe queue nope",
		},
		"explain": {
			"explain job " + job(0), "explain job " + job(1), "explain job " + job(2), "explain job " + job(3), "explain job x", "explain job", "explain job " + job(1) + " -o json",
			"explain job " + job(2) + " -o yaml", "explain job " + job(2) + " -o name", "explain " + job(1), "why", "__complete explain job ",
		},
		"top": {
			"get executors", "get executors -o wide", "get executors local -o json", "get executors remote", "get nodes", "get nodes --executor local -o wide", "get nodes -o yaml",
			"get job-sets", "get job-sets --queue demo --active --limit 1", "get job-sets --queue nope", "get job-sets --contains x", "get job-sets -o json",
			"get job-spec " + job(0), "get job-spec " + job(0) + " --as-run -o json", "get job-spec " + job(2) + " --as-run", "get job-spec x",
			"get jobs --count", "get jobs --count --queue demo --state failed", "get jobs --count -o json", "get jobs --group-by owner", "get jobs --group-by annotation:team", "get jobs --group-by owner -o name",
			"get jobs --count --group-by owner", "get jobs --filter ^a", "__complete get nodes --executor ", "__complete cancel node ", "__complete get jobs --group-by ca",
			"top queues", "top queues -o wide", "top queues -o json", "top queues --interval 1ms", "top nodes", "top nodes -o wide", "top nodes -o yaml", "top nodes -o name", "top",
		},
		"logs": {
			"logs " + job(0), "logs --tail 1 --timestamps " + job(0), "logs " + job(1), "logs --since 1m " + job(0), "logs --since 2026-11-23T12:00:00.5Z -o json " + job(0),
			"logs --container side " + job(0), "logs --previous --container side " + job(0), "logs --previous -f " + job(0), "logs --prefix " + job(0), "logs --prefix --timestamps --container side " + job(0), "logs --since yesterday " + job(0), "logs -f " + job(1), "logs -f " + job(3),
		},
		"exec": {
			"exec " + job(2) + " -- ls -l --all", "exec -c side --run r1 " + job(2) + " -- 7", "exec " + job(2) + " -- 130", "exec " + job(2) + " -- -1", "exec " + job(0) + " -- ls", "exec " + job(1) + " -- ls",
			"exec " + job(2) + " ls", "exec " + job(2) + " -- ", "exec -- ls", "exec a b -- ls", "exec -t " + job(2) + " -- ls", "exec -it " + job(2) + " -- ls", "exec --context nope " + job(2) + " -- ls", "__complete exec ",
		},
		"forms": {
			"cancel job " + job(2) + " -o json", "cancel job " + job(2) + " -o name", "cancel job-set demo first -o yaml", "reprioritize job " + job(2) + " 5 -o json",
			"create queue a -o json", "update queue demo -o name", "delete queue a -o yaml", "get queue-report demo -o json", "get scheduling-report -o wide",
			"describe job " + job(1) + " -o name", "logs -o name " + job(0), "watch demo first --exit-if-inactive -o name",
		},
		"cancel": {"cancel job " + job(2), "cancel job demo first " + job(2) + " --reason enough", "cancel job " + job(0), "cancel job-set demo first", "cancel job-set demo none", "cancel job-set nope first"},
		"operators": {
			"cordon queue demo", "cordon queues demo other-queue", "cordon queues nope", "cordon queues", "cordon queues demo --dry-run", "uncordon queue demo", "uncordon queue demo -o json",
			"cordon executor local broken", "cordon executor remote broken", "cordon executor local", "uncordon executor local", "cordon node node-1", "cordon node node-3", "uncordon node node-1", "__complete cordon node ", "delete executor local", "delete executor remote",
			"cancel queues demo -s queued,running -a", "cancel queues --selector team=x -s leased -p batch --pools gpu --dry-run", "cancel queues demo", "cancel queues --selector team=y -s queued -a",
			"cancel executor local -a", "cancel executor remote -q demo -p batch", "cancel executor local", "cancel node n1 -e local -q demo,other-queue -p batch,best", "cancel node n1 -a", "cancel node n1 -e local -a -o yaml", "cancel node node-x -e local -a",
			"preempt job demo first " + job(2) + " room", "preempt job " + job(2), "preempt job " + job(0), "preempt job nope first " + job(2) + " room", "preempt job x", "preempt job", "preempt job demo first " + job(0),
			"preempt queues demo -a", "preempt executor local -a", "preempt node n1 -e local -a", "preempt", "cordon demo",
			"__complete cordon queues d", "__complete cancel executor ", "__complete cancel queues -s ", "__complete preempt executor local -q ", "__complete cancel node n --executor ",
		},
		"ancient": {
			"create-queue a --priorityFactor 2 --owners x --groupOwners g --resourceLimits cpu=0.3,memory=0.2", "create-queue a --resourceLimits cpu=3", "delete-queue a", "delete-queue demo",
			"info demo", "info other-queue", "cancel --jobId " + job(2), "cancel --queue demo --jobSet first", "cancel --queue demo", "analyze demo first", "analyze nope first", "resources demo first",
			"kube logs --tail=50 -c main --jobId " + job(0) + " --queue demo --jobSet first", "kube describe pod --jobId=" + job(0), "kube logs --jobId " + job(2), "kube logs --jobId x --queue demo --jobSet first",
			"--context home kube exec -it --jobId " + job(0), "kube logs", "kube --jobId " + job(0), "kube logs --jobId", "kube --help", "--help",
			"__complete info ", "__complete analyze demo ",
		},
		"reprioritize": {
			"reprioritize job demo first " + job(2) + " 5", "reprioritize job demo first " + job(1) + " 5", "reprioritize job " + job(2) + " 5", "reprioritize job x 5", "reprioritize job-set demo first 0.5",
			"reprioritize job-set demo second 1", "reprioritize job-set demo first soon",
		},
		"usage": {
			"sumbit x", "get", "get nothing", "get jobs --stat x", "get jobs --state x", "get jobs x", "get jobs --sort colour", "get queue", "get queues -o xml", "get job", "logs", "logs --tail -1 x",
			"cancel job a b", "watch demo", "submit", "jobs", "stop", "describe " + job(1), "get jobs --limit -1", "help exit-codes",
			"create queue a --priority-factor two", "create queue a --labels x", "create queue a --priorityFactor 2", "get jobs --limit x", "top queues --interval soon", "get jobs --count=perhaps", "get jobs --filter =x", "get scheduling-report -v=x", "reprioritize job " + job(2) + " -1", "get jobs -z",
		},
		"config": {
			"config get-contexts", "--config testdata/gone.yaml config current-context", "config get-contexts -o json", "config get-contexts -o name", "config current-context", "--config testdata/flat.yaml config get-contexts",
			"--config testdata/none.yaml get queues",
			"config use-context nope", "--context nope get queues", "--context web get queues", "--context oidc get queues",
		},
		"completion": {
			"__complete watch ", "__complete watch demo f", "__complete watch demo first ", "__complete logs ", "__complete cancel job ", "__complete cancel job demo first ",
			"__complete get job " + job(0) + " ", "__complete get queues demo ", "__complete get jobs --queue ", "__complete get jobs --queue demo --job-set ",
			"__complete describe queue ", "__complete watch demo first --from ", "__complete get jobs --state ca", "__complete get jobs --sort ", "__complete get jobs -o ", "__complete --context ", "__complete config use-context ", "__complete watch nope ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var all strings.Builder
			for _, line := range lines {
				r := run(t, words(line)...)
				all.WriteString("$ armadactl " + line + "\n" + r.out)
				if r.errors != "" {
					all.WriteString("! " + strings.ReplaceAll(strings.TrimSuffix(r.errors, "\n"), "\n", "\n! ") + "\n")
				}
				if r.code != exitOK {
					fmt.Fprintf(&all, "exit code %d\n", r.code)
				}
				all.WriteString("\n")
			}
			golden(t, name, all.String())
		})
	}
}

// words are the words of a command line; a space at the end is an empty last one.
func words(line string) []string {
	all := strings.Fields(line)
	if strings.HasSuffix(line, " ") {
		all = append(all, "")
	}
	return all
}

func TestFlagsOfAQueueReachTheServer(t *testing.T) {
	t.Parallel()
	r := run(t, "create", "queue", "q", "--priority-factor", "2.5", "--owners", "a,b", "--group-owners", "g", "--cordon", "-l", "x=y,z=w", "--retry-policies", "p")
	if want := []string{"create q 2.5 a+b g yes x=y, z=w p"}; !slices.Equal(r.said, want) {
		t.Errorf("asked for %q, not %q", r.said, want)
	}
}

func TestLimitsOfAQueueReachTheServer(t *testing.T) {
	t.Parallel()
	r := run(t, "update", "queue", "q", "--limits", "batch:cpu=0.5,memory=25%", "--limits", "batch@gpu:nvidia.com/gpu=100%", "--limits", "batch@gpu:cpu=0", "--limits", "best@cpu:cpu=1")
	want := []string{"batch: 50% of cpu, 25% of memory", "batch@gpu: 0% of cpu, 100% of nvidia.com/gpu", "best: ", "best@cpu: 100% of cpu"}
	if !slices.Equal(r.said, want) {
		t.Errorf("asked for %q, not %q: %s", r.said, want, r.errors)
	}
	for _, wrong := range []string{"cpu=0.5", "batch:", ":cpu=1", "batch@:cpu=1", "batch:cpu", "batch:cpu=2", "batch:cpu=101%", "batch:cpu=-1", "batch:cpu=NaN", "batch:=1", "batch:cpu=1,cpu=1"} {
		if r := run(t, "update", "queue", "q", "--limits", wrong); r.code != exitUsage || len(r.said) > 0 || !strings.Contains(r.errors, "--limits") {
			t.Errorf("%s: exit code %d: %s", wrong, r.code, r.errors)
		}
	}
}

func TestARetryPolicyReachesTheServer(t *testing.T) {
	t.Parallel()
	r := run(t, "create", "retry-policy", "-f", "testdata/policy.yaml")
	if want := []string{"policy filed RETRY_ACTION_RETRY no space"}; !slices.Equal(r.said, want) {
		t.Errorf("asked for %q, not %q", r.said, want)
	}
}

func TestCancellationsReachTheServerAsAsked(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"cancel job x":                         "cancel   x ",
		"cancel job q s x --reason r":          "cancel q s x r",
		"cancel job-set demo first --reason r": "cancel-set demo first r",
	} {
		if r := run(t, strings.Fields(line)...); !slices.Equal(r.said, []string{want}) {
			t.Errorf("%s asked for %q", line, r.said)
		}
	}
}

func TestRawEventsAreOneJSONObjectPerLine(t *testing.T) {
	t.Parallel()
	r := run(t, "watch", "demo", "first", "--raw", "--exit-if-inactive")
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	if r.code != exitOK || len(lines) != len(history()) {
		t.Fatalf("%d lines, exit code %d: %s", len(lines), r.code, r.errors)
	}
	if !strings.HasPrefix(lines[1], `{"id":"b","message":{"queued":{"jobId":"`+job(0)) {
		t.Errorf("the second line is %s", lines[1])
	}
}

func TestTheVersionIsTheClientsAndTheServers(t *testing.T) {
	t.Parallel()
	r := run(t, "version")
	if r.code != exitOK || !strings.Contains(r.out, "Client:         unknown") || !strings.Contains(r.out, "Server:         v9, at localhost:50051") {
		t.Errorf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
}

// nobody is an address where nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func TestAServerThatDoesNotAnswerIsNamedWithinSeconds(t *testing.T) {
	t.Parallel()
	address := nobody(t)
	began := time.Now()
	r := runWith(t, func(config client.Config) (*client.Client, error) { return client.New(config) }, "--armadaUrl", address, "get", "queues")
	if took := time.Since(began); took > 2*reach {
		t.Errorf("it took %s", took)
	}
	for _, want := range []string{"no server answers at " + address, "connection refused", "`armada up`", "--armadaUrl"} {
		if !strings.Contains(r.errors, want) {
			t.Errorf("%q is not in: %s", want, r.errors)
		}
	}
	if r.code != exitUnreachable {
		t.Errorf("exit code %d", r.code)
	}
}

// A server that cannot find out who calls is there, and says what is wrong.
func TestWhatAServerCannotDoNowIsSaidInItsWords(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const words = "authenticate the caller: the provider of OpenID Connect does not answer"
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { return status.Error(codes.Unavailable, words) }))
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	defer func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	address := listener.Addr().String()
	connect := func(config client.Config) (*client.Client, error) { return client.New(config) }
	r := runWith(t, connect, "--armadaUrl", address, "get", "queues")
	if !strings.Contains(r.errors, words) || strings.Contains(r.errors, "no server answers") || r.code != exitUnreachable {
		t.Errorf("exit code %d: %s", r.code, r.errors)
	}
	if r := runWith(t, connect, "--armadaUrl", address, "version"); r.code != exitOK || strings.Contains(r.out, "none can be reached") {
		t.Errorf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
}

func TestAVersionWithoutAServerIsNoError(t *testing.T) {
	t.Parallel()
	address := nobody(t)
	r := runWith(t, func(config client.Config) (*client.Client, error) { return client.New(config) }, "--armadaUrl", address, "version")
	if r.code != exitOK || !strings.Contains(r.out, "none can be reached at "+address) {
		t.Errorf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
}

func TestChoosingAContextChangesOneLineOfTheFile(t *testing.T) {
	t.Parallel()
	for name, texts := range map[string][2]string{
		"another": {"# mine\ncurrentContext: a # now\ncontexts:\n  a: {}\n  # the other\n  b b: {}\n", "# mine\ncurrentContext: b b # now\ncontexts:\n  a: {}\n  # the other\n  b b: {}\n"},
		"first":   {"# mine\ncontexts:\n  b b: {}\n", "# mine\ncurrentContext: b b\ncontexts:\n  b b: {}\n"},
	} {
		path := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, []byte(texts[0]), 0o600); err != nil {
			t.Fatal(err)
		}
		r := run(t, "--config", path, "config", "use-context", "b b")
		got, err := os.ReadFile(path)
		if err != nil || string(got) != texts[1] || r.code != exitOK {
			t.Errorf("%s: %v %s\n%s", name, err, r.errors, got)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: the file has the mode %v, %v", name, info.Mode(), err)
		}
		left, err := os.ReadDir(filepath.Dir(path))
		if err != nil || len(left) != 1 {
			t.Errorf("%s: %v beside it, %v", name, left, err)
		}
	}
}

func TestDefaultsBesideTheProgramHaveContextsOfTheirOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, defaults := filepath.Join(dir, "mine.yaml"), filepath.Join(dir, "defaults.yaml")
	if err := os.WriteFile(defaults, []byte("currentContext: a\ncontexts: {a: {armadaUrl: \"a:1\"}, b: {armadaUrl: \"b:1\"}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a", "b"} {
		r := runIn(t, &cli{defaults: defaults}, "--config", path, "config", "current-context")
		if r.out != want+"\n" || r.code != exitOK {
			t.Errorf("the current one is %q, not %q: %s", r.out, want, r.errors)
		}
		if r := runIn(t, &cli{defaults: defaults}, "--config", path, "config", "use-context", "b"); r.code != exitOK {
			t.Error(r.errors)
		}
	}
	r := runIn(t, &cli{defaults: defaults, environment: environment("ARMADA_CONFIG", path)}, "config", "get-contexts", "-o", "name")
	if r.out != "a\nb\n" {
		t.Errorf("there are %q", r.out)
	}
}

func TestWatchWaitsForAJobSetWithoutEventsUnlessItIsToEndWithTheJobs(t *testing.T) {
	t.Parallel()
	connect, s := serve(t)
	waiting := "Job set later of queue demo has no events, or they are forgotten; waiting for the next one.\n"
	if r := runWith(t, connect, "watch", "demo", "later"); !strings.HasPrefix(r.errors, waiting) || r.code != exitFailed || !s.awaited {
		t.Errorf("exit code %d, errors %q, want %q; the server was asked for what comes: %v", r.code, r.errors, waiting, s.awaited)
	}
	r := run(t, "watch", "demo", "later", "--exit-if-inactive")
	if r.code != exitNotFound || !strings.Contains(r.errors, "job set later of queue demo has no events") || r.out != "" {
		t.Errorf("exit code %d, %q", r.code, r.errors)
	}
}
