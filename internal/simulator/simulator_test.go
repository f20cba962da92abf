package simulator_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"armada/internal/simulator"
)

// everything is all that can be written of a result.
func everything(t *testing.T, r *simulator.Result) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, write := range []func(io.Writer) error{
		r.Summary().WriteText, r.WriteJobsCSV, r.WriteJobsParquet, r.WriteRoundsCSV, r.WriteRoundsParquet, r.WritePicture,
		func(w io.Writer) error { return json.NewEncoder(w).Encode(r.Summary()) },
	} {
		if err := write(&out); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

// varied has gangs, dependencies, waves, weights and two pools.
func varied(t *testing.T) simulator.Scenario {
	return scenario(t, `
clusters:
  - {name: a, nodeTemplates: [{number: 6, labels: {zone: x}, totalResources: {resources: {cpu: 8, memory: 32Gi}}}]}
  - {name: b, pool: other, nodeTemplates: [{number: 3, totalResources: {resources: {cpu: 16, memory: 64Gi}}}]}
pendingDelayDistribution: {minimum: 1s, tailMean: 2s}
workflowManagerDelayDistribution: {minimum: 3s, tailMean: 5s}
`, `
randomSeed: 3
queues:
  - name: one
    weight: 3
    jobTemplates:
      - {id: first, number: 300, `+small+`, runtimeDistribution: {minimum: 30s, tailMean: 1m}}
      - {id: second, number: 20, dependencies: [first], `+small+`, runtimeDistribution: {tailMean: 1m}}
  - name: two
    jobTemplates:
      - {id: gang, number: 12, gangCardinality: 4, gangNodeUniformityLabel: zone, `+small+`, runtimeDistribution: {minimum: 2m}, repeat: {numTimes: 3, period: 5m}}
`)
}

func TestASeedGivesTheSameBytesOnAnyNumberOfCores(t *testing.T) {
	s := varied(t)
	first := everything(t, play(t, s))
	for _, cores := range []int{1, runtime.NumCPU()} {
		before := runtime.GOMAXPROCS(cores)
		again := everything(t, play(t, s))
		runtime.GOMAXPROCS(before)
		if !bytes.Equal(first, again) {
			t.Errorf("on %d cores other bytes are written", cores)
		}
	}
	s.Workload.RandomSeed++
	if bytes.Equal(first, everything(t, play(t, s))) {
		t.Error("another seed gives the same bytes")
	}
}

func TestEveryJobOfAVariedWorkloadSucceedsAfterWhatItDependsOn(t *testing.T) {
	t.Parallel()
	r := play(t, varied(t))
	s := r.Summary()
	if s.States["succeeded"] != 356 || s.Submitted != 356 || s.NotSubmitted != 0 || s.Stopped {
		t.Errorf("the summary is %+v", s)
	}
	var firstEnd, secondBegin float64 = 0, math.MaxFloat64
	for _, row := range rows(t, r.WriteJobsCSV) {
		var submitted, finished float64
		if _, err := fmt.Sscan(row["submitted_time"]+" "+row["finished_time"], &submitted, &finished); err != nil {
			t.Fatal(err)
		}
		switch row["template"] {
		case "first":
			firstEnd = max(firstEnd, finished)
		case "second":
			secondBegin = min(secondBegin, submitted)
		}
	}
	if secondBegin < firstEnd+3 {
		t.Errorf("what waits was submitted at %v, what it waits for ended at %v, and the workflow manager takes 3 s at least", secondBegin, firstEnd)
	}
}

func TestTenEqualQueuesConvergeToATenthEach(t *testing.T) {
	t.Parallel()
	var workload strings.Builder
	workload.WriteString("queues:\n")
	for i := range 10 {
		// They come one after the other, each with more than the pool holds.
		fmt.Fprintf(&workload, "  - {name: q%d, jobTemplates: [{number: 4000, earliestSubmitTime: %dm, %s, runtimeDistribution: {minimum: 2m, tailMean: 1m}}]}\n", i, 2*i, small)
	}
	s := scenario(t, nodes(10, "32", "256Gi"), workload.String())
	s.Until = time.Hour
	last := map[string]string{}
	for _, row := range rows(t, play(t, s).WriteRoundsCSV) {
		last[row["queue"]] = row["actual_share"]
	}
	for queue, text := range last {
		var share float64
		if _, err := fmt.Sscan(text, &share); err != nil || math.Abs(share-0.1) > 0.001 {
			t.Errorf("queue %s holds %v of the pool in the end, and should a tenth (%v)", queue, share, err)
		}
	}
	if len(last) != 10 {
		t.Errorf("there are %d queues in the table", len(last))
	}
}

func TestTheMakespanOfAFullNodeIsWhatArithmeticSays(t *testing.T) {
	t.Parallel()
	// 10 jobs of exactly a minute on 4 cores: three batches, each begun at a round.
	s := play(t, scenario(t, nodes(1, "4", "16Gi"), "queues: [{name: q, jobTemplates: [{number: 10, "+small+", runtimeDistribution: {minimum: 1m}}]}]")).Summary()
	if s.Makespan != 180 {
		t.Errorf("the makespan is %v s, want 180", s.Makespan)
	}
	q := s.Queues[0]
	if q.WaitP50 != 60 || q.WaitP99 != 120 || q.WaitMean != 48 {
		t.Errorf("waits are %v (p50), %v (p99), %v (mean), want 60, 120 and 48", q.WaitP50, q.WaitP99, q.WaitMean)
	}
	if got, want := s.Pools[0].Utilisation["cpu"], 10.0/12; math.Abs(got-want) > 1e-9 {
		t.Errorf("%v of the cores were used, want %v", got, want)
	}
}

func TestAJobThatNoNodeCouldRunIsRejectedAndHoldsUpWhatDependsOnIt(t *testing.T) {
	t.Parallel()
	r := play(t, scenario(t, nodes(1, "4", "16Gi"), `queues: [{name: q, jobTemplates: [
  {id: large, requirements: {resourceRequirements: {requests: {cpu: 5}}}},
  {id: after, number: 3, dependencies: [large], `+small+`}]}]`))
	if s := r.Summary(); s.States["rejected"] != 1 || s.NotSubmitted != 3 {
		t.Errorf("the summary is %+v", s)
	}
	if reason := rows(t, r.WriteJobsCSV)[0]["reason"]; !strings.Contains(reason, "asks for 5 cpu") {
		t.Errorf("the reason is %q", reason)
	}
}

func TestAMistakeInAFileIsToldWithFileLineAndField(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"queues:\n- name: q\n  jobTemplates:\n  - numbr: 3\n":                                                                "workload.yaml:4: queues[0].jobTemplates[0].numbr: unknown key; the nearest known key is queues[0].jobTemplates[0].number",
		"queues:\n- name: q\n  jobTemplates:\n  - " + small + "\n    dependencies: [x]\n":                                    `workload.yaml:5: queues[0].jobTemplates[0].dependencies[0]: there is no template "x"`,
		"queues:\n- name: q\n  jobTemplates:\n  - " + small + "\n    priceBand: I\n":                                         "workload.yaml:5: queues[0].jobTemplates[0].priceBand: must be one of A to H, is \"I\"",
		"queues:\n- name: q\n  jobTemplates:\n  - " + small + "\n    number: 5\n    gangCardinality: 2\n":                    "workload.yaml:6: queues[0].jobTemplates[0].gangCardinality: must divide the number of jobs, 5",
		"queues:\n- name: q\n  jobTemplates:\n  - " + small + "\n    priorityClassName: high\n":                              `workload.yaml:5: queues[0].jobTemplates[0].priorityClassName: "high" is not one of the priority classes firm, loose`,
		"queues:\n- name: q\n  jobTemplates:\n  - requirements:\n      resourceRequirements:\n        requests: {cpus: 1}\n": "workload.yaml:6: queues[0].jobTemplates[0].requirements.resourceRequirements.requests.cpus: is no resource that is counted; the nearest is cpu",
		"queues:\n- name: q\n  jobTemplates:\n  - " + small + "\n    runtimeDistribution: {minimum: soon}\n":                 `workload.yaml:5: queues[0].jobTemplates[0].runtimeDistribution.minimum: "soon" is not a duration`,
		"queues:\n- name: q\n  jobTemplates:\n  - " + small + "\n    id: a\n    dependencies: [a]\n":                         "workload.yaml:6: queues[0].jobTemplates[0].dependencies: depends on itself",
	} {
		_, err := simulator.LoadWorkload(file(t, "workload.yaml", content), rules())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is\n  %v\nand should hold\n  %s", err, want)
		}
	}
}

func TestTheParquetTableHasTheRowsOfTheCSVTable(t *testing.T) {
	t.Parallel()
	r := play(t, varied(t))
	var out bytes.Buffer
	if err := r.WriteJobsParquet(&out); err != nil {
		t.Fatal(err)
	}
	type row struct {
		JobID    string   `parquet:"job_id"`
		Node     string   `parquet:"node"`
		Finished *float64 `parquet:"finished_time,optional"`
	}
	read, err := parquet.Read[row](bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	want := rows(t, r.WriteJobsCSV)
	if len(read) != len(want) {
		t.Fatalf("%d rows, want %d", len(read), len(want))
	}
	for i, got := range read {
		if got.JobID != want[i]["job_id"] || got.Node != want[i]["node"] || fmt.Sprint(*got.Finished) != want[i]["finished_time"] {
			t.Fatalf("row %d is %+v, want %v", i, got, want[i])
		}
	}
}

func TestThePictureIsXMLThatNamesEveryQueueAndPool(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := play(t, varied(t)).WritePicture(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{">one</text>", ">two</text>", ">Pool default: 48 cores on 6 nodes</text>", ">Pool other: 48 cores on 3 nodes</text>", "cores held", "time since the beginning"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
	for d := xml.NewDecoder(strings.NewReader(out.String())); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
