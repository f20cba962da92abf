package codec

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"armada"
)

var update = flag.Bool("update", false, "write golden files anew; those of old versions stay")

var table = armada.DefaultResourceTable()

// The samples have every field set: what a field is forgotten for shows.
var (
	at       = time.Date(2026, 11, 23, 17, 55, 22, 123456000, time.UTC)
	ulid     = armada.JobID("01jdcx7k3q8fdt2zv4y9w5m6n7")
	pod      = armada.Pod{Name: "armada-x", Namespace: "space", KubernetesID: "uid", Number: 1}
	theEnd   = armada.RunEnd{Cause: armada.CauseOutOfMemory, Reason: "r", Category: "c", Subcategory: "s", Debug: "d", Containers: []armada.ContainerEnd{{Name: "main", ExitCode: -9, Cause: armada.CauseEvicted, Reason: "x", Message: "m"}}}
	aRun     = armada.Run{ID: armada.NewRunID(ulid, 2), Job: ulid, Attempt: 2, Executor: "east", Node: "n1", Pool: "p", After: []armada.RunID{"v-1", ""}, Away: "gpu", Addresses: map[int32]string{80: "h:1", 443: "h"}, State: armada.RunFailed, Version: 5, Pod: pod, End: theEnd, Leased: at, Pending: at.Add(1e6), Started: at.Add(2e6), Finished: at.Add(3e6)}
	polled   = armada.Run{ID: armada.NewRunID(ulid, 1), Job: ulid, Attempt: 1, Polled: armada.Polled{Delivered: at, Renewed: at.Add(1e6), Done: at.Add(2e6), Returned: at.Add(3e6)}, Stuck: "no such image"}
	aJob     = armada.Job{ID: ulid, Owner: "alice", Groups: []string{"g", ""}, ClientID: "mine", Priority: 7, Gang: armada.Gang{ID: "g", Cardinality: 3, UniformityLabel: "rack", FailFast: true}, Version: 9, Wish: armada.Wish{Kind: armada.WishPreempt, By: "b", Why: "w", For: "j", At: at}, Attempts: 2, Reason: "over", Transitioned: at}
	taught   = armada.Job{ID: ulid, Lessons: &armada.Lessons{Returned: 1, Retried: 2, Avoid: []string{"n1", ""}, Memory: armada.MemoryGrowth{Factor: 1.5, Extra: 1 << 30}}}
	policy   = armada.RetryPolicy{Name: "p", Limit: 3, Default: armada.RetryFail, Rules: []armada.RetryRule{{Action: armada.RetryAgain, Category: "c", Subcategory: "s", ExitCodes: []int32{3}, Conditions: []armada.RetryCondition{armada.RetryOnEvicted}, Message: "m", AvoidNode: true, Memory: armada.MemoryGrowth{Factor: 1.5, Extra: 7}}}}
	details  = armada.JobDetails{Namespace: "n", Labels: map[string]string{"b": "2", "a": "1", "": ""}, Annotations: map[string]string{"k": "v"}, ExternalURI: "u", Scheduler: "s", Ingresses: []armada.IngressRequest{{Ports: []uint32{80, 0}, Annotations: map[string]string{"x": "y"}, TLS: true, CertName: "c", UseClusterIP: true}, {}}, Services: []armada.ServiceRequest{{Headless: true, Ports: []uint32{1, 2}, Name: "s"}}}
	needs    = armada.Requirements{PriorityClass: "high", Resources: armada.Resources{1000, 1 << 33, 0, 2}, NodeSelector: []armada.Label{{Key: "a", Value: "b"}}, Tolerations: []armada.Toleration{{Key: "k", Exists: true, Value: "v", Effect: armada.NoExecute}, {}}, Affinity: []armada.NodeTerm{{Expressions: []armada.NodeExpression{{Key: "x", Operator: armada.OpIn, Values: []string{"1", ""}, Field: true}}}, {}}}
	theNode  = []armada.Node{{Name: "n", Executor: "east", Pool: "p", Type: "t", Labels: map[string]string{"l": "1"}, Taints: []armada.Taint{{Key: "k", Value: "v", Effect: armada.NoSchedule}}, Allocatable: armada.Resources{8000, 1, 2, 3}, MinimumJob: armada.Resources{500, 0, 7}, Unschedulable: true, Others: []armada.PriorityUsage{{Priority: -3, Used: armada.Resources{-1, 5}}}}, {Executor: "east"}}
	podsOnly = []armada.NodeKind{{Pool: "p", PodsOnly: true, Gone: at}}
	queue    = armada.Queue{Name: "q", PriorityFactor: 2.5, Permissions: []armada.Permission{{Subjects: []armada.Subject{{Kind: "User", Name: "u"}}, Verbs: []armada.Verb{armada.VerbSubmit}}}, Limits: map[string]armada.ResourceFractions{"c": {Maximum: map[string]float64{"cpu": 0.5}}}, Cordoned: true, Labels: map[string]string{"a": "b"}, RetryPolicies: []string{"r"}}
	events   = []armada.Event{
		{Number: 41, Kind: armada.EventSubmitted, Job: ulid, Created: at, Priority: 7},
		{Number: 42, Kind: armada.EventQueued, Job: ulid, Created: at},
		{Number: 43, Kind: armada.EventLeased, Job: ulid, Created: at.Add(time.Second), Run: armada.NewRunID(ulid, 1), Executor: "east", Pool: "p", Node: "n1"},
		{Number: 44, Kind: armada.EventLeased, Job: "not a ulid", Created: at.Add(-time.Second), Run: "odd", Executor: "east", Pool: "p", Node: "n2", Pod: pod},
		{Number: 45, Kind: armada.EventFailed, Job: ulid, Created: at.Add(time.Second), Run: armada.NewRunID(ulid, 1), Executor: "west", Pool: "p", Node: "n2", Reason: strings.Repeat("long ", 40), End: &theEnd, Retryable: true},
		{Number: 46, Kind: armada.EventPreempted, Job: ulid, Created: at, By: "scheduler", Reason: "room", For: "other", Attempted: true},
		{Number: 47, Kind: armada.EventUtilisation, Job: ulid, Created: at, Usage: &armada.Usage{Max: map[string]string{"cpu": "1"}, Average: map[string]string{"cpu": "2"}, Cumulative: map[string]string{"memory": "3Gi"}}},
		{Number: 48, Kind: armada.EventIngressInfo, Job: ulid, Created: at, Addresses: map[int32]string{443: "a:1", 80: "b:2"}},
		{Number: 49, Kind: armada.EventFailed, Job: "", End: &armada.RunEnd{}, Usage: &armada.Usage{}},
	}
)

// life is what AppendLife keeps.
type life struct {
	Job armada.Job
	Run armada.Run
}

// form is one thing that is stored: how it is written, and read from bytes.
type form struct {
	name   string
	bytes  func() []byte
	want   any
	decode func([]byte) (any, error)
}

func forms() []form {
	kept := armada.Job{ID: ulid, Version: aJob.Version, Priority: aJob.Priority, Transitioned: at, Attempts: 2, Reason: aJob.Reason, Wish: aJob.Wish}
	fixed := armada.Job{Owner: aJob.Owner, Groups: aJob.Groups, ClientID: aJob.ClientID, Gang: aJob.Gang}
	return []form{
		{"block", func() []byte { return AppendBlock(nil, events) }, events, func(b []byte) (any, error) { return DecodeBlock(nil, b, 41) }},
		{"life", func() []byte { return AppendLife(nil, &aJob, &aRun) }, life{kept, aRun}, func(b []byte) (any, error) {
			l := life{Job: armada.Job{ID: ulid}}
			err := DecodeLife(b, &l.Job, &l.Run)
			return l, err
		}},
		{"lessons", func() []byte { return AppendLife(nil, &taught, nil) }, taught, func(b []byte) (any, error) {
			j := armada.Job{ID: ulid}
			err := DecodeLife(b, &j, nil)
			return j, err
		}},
		{"policy", func() []byte {
			b, err := AppendRetryPolicy(nil, &policy)
			if err != nil {
				panic(err)
			}
			return b
		}, policy, func(b []byte) (any, error) { return DecodeRetryPolicy(b, "p") }},
		{"fixed", func() []byte { return AppendFixed(nil, &aJob) }, fixed, func(b []byte) (any, error) {
			var j armada.Job
			err := DecodeFixed(b, &j)
			return j, err
		}},
		{"band", func() []byte { return AppendFixed(nil, &armada.Job{Band: 3}) }, armada.Job{Band: 3}, func(b []byte) (any, error) {
			var j armada.Job
			err := DecodeFixed(b, &j)
			return j, err
		}},
		{"details", func() []byte { return AppendDetails(nil, &details) }, details, func(b []byte) (any, error) { return DecodeDetails(b) }},
		{"run", func() []byte { return AppendRun(nil, &aRun) }, aRun, func(b []byte) (any, error) { return DecodeRun(b, ulid) }},
		{"stuck", func() []byte { return AppendRun(nil, &polled) }, polled, func(b []byte) (any, error) { return DecodeRun(b, ulid) }},
		{"more", func() []byte { return AppendRequirements(nil, table, &armada.Requirements{MoreThanPod: true}) }, &armada.Requirements{MoreThanPod: true}, func(b []byte) (any, error) { return DecodeRequirements(b, table) }},
		{"podsonly", func() []byte { return AppendKinds(nil, table, podsOnly) }, podsOnly, func(b []byte) (any, error) { return DecodeKinds(b, table) }},
		{"requirements", func() []byte { return AppendRequirements(nil, table, &needs) }, &needs, func(b []byte) (any, error) { return DecodeRequirements(b, table) }},
		{"nodes", func() []byte { return AppendNodes(nil, table, theNode) }, theNode, func(b []byte) (any, error) { return DecodeNodes(b, table, "east") }},
		{"queue", func() []byte {
			b, err := AppendQueue(nil, &queue)
			if err != nil {
				panic(err)
			}
			return b
		}, queue, func(b []byte) (any, error) { return DecodeQueue(b, "q") }},
	}
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	t.Parallel()
	for _, f := range forms() {
		got, err := f.decode(f.bytes())
		if err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		if diff := cmp.Diff(f.want, got); diff != "" {
			t.Errorf("%s (-written +read):\n%s", f.name, diff)
		}
	}
}

// The files of a version are never changed: what this test reads may lie in
// somebody's database.
func TestBytesOfOldVersionsAreStillRead(t *testing.T) {
	t.Parallel()
	for _, f := range forms() {
		path := filepath.Join("testdata", f.name+".v1.hex")
		if *update {
			if err := os.WriteFile(path, []byte(hex.EncodeToString(f.bytes())+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		golden, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if !bytes.Equal(golden, f.bytes()) {
			t.Errorf("%s is written differently from %s: a new version needs a new file", f.name, path)
		}
		got, err := f.decode(golden)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if diff := cmp.Diff(f.want, got); diff != "" {
			t.Errorf("%s (-written +read):\n%s", path, diff)
		}
	}
}

// Why a run does not begin once stood among what is known of runs of executors of 2020.
func TestWhyARunIsStuckIsReadFromWhereItOnceStood(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("testdata", "polled.v1.hex"))
	if err != nil {
		t.Fatal(err)
	}
	golden, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeRun(golden, ulid)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(polled, got); diff != "" {
		t.Errorf("-written +read:\n%s", diff)
	}
}

func TestFieldsOfNewerProgramsAreSkipped(t *testing.T) {
	t.Parallel()
	for _, f := range forms() {
		if f.name == "queue" || f.name == "policy" || f.name == "block" {
			continue // JSON skips unknown keys; events are tried below
		}
		r := record(f.bytes())
		r.alwaysUint(900, 7)
		r.alwaysString(901, "whatever a newer program keeps here")
		got, err := f.decode(r)
		if err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		if diff := cmp.Diff(f.want, got); diff != "" {
			t.Errorf("%s (-written +read):\n%s", f.name, diff)
		}
	}
	var w blockWriter
	inner := record{}
	w.fields(&inner, &events[2])
	inner.alwaysString(900, "new")
	block := record{version, 1, byte(len(inner))}
	got, err := DecodeBlock(nil, append(block, inner...), 43)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(events[2:3], got); diff != "" {
		t.Errorf("an event (-written +read):\n%s", diff)
	}
}

func TestANewerVersionIsRefusedByName(t *testing.T) {
	t.Parallel()
	for _, f := range forms() {
		b := f.bytes()
		b[0] = version + 1
		if _, err := f.decode(b); !errors.Is(err, ErrVersion) {
			t.Errorf("%s: %v", f.name, err)
		}
		if _, err := f.decode(nil); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s without bytes: %v", f.name, err)
		}
	}
}

func TestABlockOfManyEventsIsSmall(t *testing.T) {
	t.Parallel()
	var block []armada.Event
	for i := range 200 {
		id := ulid[:23] + armada.JobID([]byte{alphabet[i>>5&31], alphabet[i&31], 'x'})
		block = append(block, armada.Event{Kind: armada.EventSubmitted, Job: id, Created: at, Priority: 1}, armada.Event{Kind: armada.EventQueued, Job: id, Created: at})
	}
	if size := len(AppendBlock(nil, block)); size > 400*15 {
		t.Errorf("400 events take %d bytes", size)
	}
}

func TestResourcesAreKeptByName(t *testing.T) {
	t.Parallel()
	other, err := armada.NewResourceTable([]armada.Resource{{Name: "fpga"}, {Name: armada.Memory}, {Name: armada.CPU, Milli: true}})
	if err != nil {
		t.Fatal(err)
	}
	q, err := DecodeRequirements(AppendRequirements(nil, table, &needs), other)
	if err != nil {
		t.Fatal(err)
	}
	if want := (armada.Resources{0, 1 << 33, 1000}); q.Resources != want {
		t.Errorf("amounts %v, want %v", q.Resources, want)
	}
	same := armada.Requirements{Resources: armada.Resources{0, 1 << 33, 1000}}
	if a, b := AppendRequirements(nil, other, &same), AppendRequirements(nil, table, &armada.Requirements{Resources: armada.Resources{1000, 1 << 33}}); !bytes.Equal(a, b) {
		t.Error("equal amounts are different bytes under another table")
	}
}

func TestULIDsPackToSixteenBytesAndBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.StringMatching(`[0-7][0-9a-hjkmnp-tv-z]{25}`).Draw(t, "id")
		packed, ok := packULID(id)
		if !ok || unpackULID(packed[:]) != id {
			t.Fatalf("%q became %x and %q", id, packed, unpackULID(packed[:]))
		}
	})
	for _, id := range []string{"", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "81arz3ndektsv4rrffq69g5fav", "01arz3ndektsv4rrffq69g5fau", "01arz3ndektsv4rrffq69g5fa"} {
		if _, ok := packULID(id); ok {
			t.Errorf("%q passes for a canonical ULID", id)
		}
	}
}

func anEvent(t *rapid.T) armada.Event {
	word := rapid.SampledFrom([]string{"", "a", "east", "west", strings.Repeat("x", 200)})
	words := rapid.MapOfN(word, word, 0, 3)
	e := armada.Event{
		Kind: armada.EventKind(rapid.IntRange(0, 40).Draw(t, "kind")), Created: at.Add(time.Duration(rapid.Int64Range(-1e9, 1e9).Draw(t, "created")) * time.Microsecond),
		Job:      armada.JobID(rapid.SampledFrom([]string{"", "a", string(ulid), "01jdcx7k3q8fdt2zv4y9w5m6n8"}).Draw(t, "job")),
		Executor: armada.ExecutorID(word.Draw(t, "executor")), Pool: word.Draw(t, "pool"), Node: word.Draw(t, "node"),
		By: word.Draw(t, "by"), Reason: word.Draw(t, "reason"), Priority: rapid.Uint32().Draw(t, "priority"), For: armada.JobID(word.Draw(t, "for")),
		Retryable: rapid.Bool().Draw(t, "retryable"), Attempted: rapid.Bool().Draw(t, "attempted"),
	}
	e.Run = armada.RunID(rapid.SampledFrom([]string{"", "odd", string(e.Job) + "-0", string(e.Job) + "-01", string(e.Job) + "-1", string(e.Job) + "-123"}).Draw(t, "run"))
	if rapid.Bool().Draw(t, "pod") {
		e.Pod = armada.Pod{Name: word.Draw(t, "pod name"), Number: rapid.Int32().Draw(t, "number")}
	}
	if rapid.Bool().Draw(t, "end") {
		e.End = &armada.RunEnd{Cause: armada.Cause(rapid.IntRange(0, 9).Draw(t, "cause")), Debug: word.Draw(t, "debug")}
		for range rapid.IntRange(0, 2).Draw(t, "containers") {
			e.End.Containers = append(e.End.Containers, armada.ContainerEnd{Name: word.Draw(t, "container"), ExitCode: rapid.Int32().Draw(t, "code")})
		}
	}
	if rapid.Bool().Draw(t, "usage") {
		e.Usage = &armada.Usage{}
		if m := words.Draw(t, "max"); len(m) > 0 {
			e.Usage.Max = m
		}
	}
	for _, port := range rapid.SliceOfN(rapid.Int32(), 0, 3).Draw(t, "ports") {
		if e.Addresses == nil {
			e.Addresses = map[int32]string{}
		}
		e.Addresses[port] = word.Draw(t, "address")
	}
	return e
}

func TestAnyBlockIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		block := rapid.SliceOfN(rapid.Custom(anEvent), 0, 12).Draw(t, "block")
		first := rapid.Int64Range(1, 1<<40).Draw(t, "first")
		for i := range block {
			block[i].Number = first + int64(i)
		}
		before := []armada.Event{{Number: 1}}
		got, err := DecodeBlock(before, AppendBlock(nil, block), first)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(block)+1 {
			t.Fatalf("%d events became %d", len(block), len(got)-1)
		}
		for i := range block {
			if diff := cmp.Diff(block[i], got[i+1]); diff != "" {
				t.Fatalf("event %d (-written +read):\n%s", i, diff)
			}
		}
	})
}

func FuzzBrokenBytesNeverPanic(f *testing.F) {
	for i, form := range forms() {
		f.Add(byte(i), form.bytes())
	}
	all := forms()
	f.Fuzz(func(t *testing.T, which byte, b []byte) {
		form := all[int(which)%len(all)]
		if _, err := form.decode(b); err != nil && form.name != "queue" && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
			t.Errorf("%s: an error of no kind: %v", form.name, err)
		}
	})
}

func BenchmarkBlockOf400Events(b *testing.B) {
	var block []armada.Event
	for range 200 {
		block = append(block, events[0], events[1])
	}
	var buffer []byte
	var back []armada.Event
	b.ReportAllocs()
	for b.Loop() {
		buffer = AppendBlock(buffer[:0], block)
		var err error
		if back, err = DecodeBlock(back[:0], buffer, 1); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(buffer))/400, "bytes/event")
}

func TestTheTimeOfWhatWasToldBesideTransitionsIsKept(t *testing.T) {
	t.Parallel()
	for _, told := range []time.Time{{}, at.Add(time.Second)} {
		job := armada.Job{ID: ulid, Version: 3, Transitioned: at, Told: told}
		read := armada.Job{ID: ulid}
		if err := DecodeLife(AppendLife(nil, &job, nil), &read, &armada.Run{}); err != nil {
			t.Fatal(err)
		}
		if !read.Told.Equal(told) || read.Latest().Before(job.Latest()) {
			t.Errorf("%v is read as %v", told, read.Told)
		}
	}
}
