package app

import (
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"armada"
	"armada/internal/scheduling"
)

func TestWhereJobsMayBeAwayIsReadForTheSchedulerAndForPods(t *testing.T) {
	t.Parallel()
	c, err := configured(t, `
scheduling:
  wellKnownNodeTypes:
    - {name: gpu, taints: [{key: gpu, value: "*", effect: NoSchedule}, {key: team, value: ml, effect: NoExecute}]}
  away:
    - priorityClass: armada-preemptible
      nodeType: gpu
      priority: 500
      conditions:
        - {resource: nvidia.com/gpu, atMost: "0"}
        - {resource: cpu, atLeast: 500m, atMost: "4"}
        - {resource: cpu, atMost: "2"}
`)
	if err != nil {
		t.Fatal(err)
	}
	taints := []armada.Taint{{Key: "gpu", Value: "*", Effect: armada.NoSchedule}, {Key: "team", Value: "ml", Effect: armada.NoExecute}}
	if diff := gocmp.Diff([]scheduling.Away{{
		Class: "armada-preemptible", NodeType: "gpu", Taints: taints, Priority: 500,
		AtLeast: map[string]int64{armada.CPU: 500}, AtMost: map[string]int64{armada.CPU: 2000, armada.NvidiaGPU: 0},
	}}, c.scheduling().Away); diff != "" {
		t.Errorf("the scheduler is told (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff(map[string][]armada.Toleration{"gpu": {
		{Key: "gpu", Exists: true, Effect: armada.NoSchedule}, {Key: "team", Value: "ml", Effect: armada.NoExecute},
	}}, c.executors().Away); diff != "" {
		t.Errorf("pods there tolerate (-want +got):\n%s", diff)
	}
}

func TestEverythingThatIsWrongWithBeingAwayIsTold(t *testing.T) {
	t.Parallel()
	_, err := configured(t, `
scheduling:
  wellKnownNodeTypes:
    - {name: a, taints: [{effect: Never}]}
    - {name: a}
  away:
    - {priorityClass: armada-default, nodeType: a}
    - {priorityClass: none, nodeType: b}
    - {priorityClass: armada-preemptible, nodeType: a, priority: 1000, conditions: [{resource: fpga}, {resource: cpu}, {resource: cpu, atMost: lots}]}
    - {priorityClass: armada-preemptible, nodeType: a}
`)
	for _, want := range []string{
		"scheduling.wellKnownNodeTypes[0].taints[0].key: must be given",
		`scheduling.wellKnownNodeTypes[0].taints[0].effect: must be NoSchedule, PreferNoSchedule or NoExecute, is "Never"`,
		`scheduling.wellKnownNodeTypes[1].name: "a" is empty or given twice`,
		"scheduling.wellKnownNodeTypes[1].taints: must say by which taints",
		`scheduling.away[0].priorityClass: must be preemptible, and "armada-default" is not`,
		`scheduling.away[1].priorityClass: "none" is not one of jobs.priorityClasses`,
		`scheduling.away[1].nodeType: "b" is not one of scheduling.wellKnownNodeTypes`,
		"scheduling.away[2].priority: must be lower than that of the class, 1000, is 1000",
		`scheduling.away[2].conditions[0].resource: "fpga" is not counted`,
		"scheduling.away[2].conditions[1].atLeast: must be given, or atMost",
		"scheduling.away[2].conditions[2].atMost: ",
		`scheduling.away[3].nodeType: "a" is given twice for the class "armada-preemptible"`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
}

func TestWhereJobsOfAPoolMayBeGuestsIsRead(t *testing.T) {
	t.Parallel()
	c, err := configured(t, "scheduling: {pools: {cpu: {awayPools: [gpu, old]}, old: {awayPools: [gpu]}}}")
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(map[string][]string{"cpu": {"gpu", "old"}, "old": {"gpu"}}, c.scheduling().AwayPools); diff != "" {
		t.Errorf("the scheduler is told (-want +got):\n%s", diff)
	}
}

func TestEverythingThatIsWrongWithAwayPoolsIsTold(t *testing.T) {
	t.Parallel()
	_, err := configured(t, `
scheduling:
  pricing: {file: prices.yaml}
  pools:
    a: {awayPools: [b, b, "", market, a]}
    b: {awayPools: [c]}
    c: {awayPools: [a]}
    market: {marketDriven: true}
`)
	for _, want := range []string{
		"scheduling.pools.a.awayPools[0]: jobs of pool b may be guests in a already, perhaps by way of others",
		"scheduling.pools.a.awayPools[1]: pool b is named twice",
		"scheduling.pools.a.awayPools[2]: must name a pool",
		"scheduling.pools.a.awayPools[3]: must be left out",
		"scheduling.pools.a.awayPools[4]: jobs of pool a may be guests in a already",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
}
