package executor2020

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"

	"armada"
	"armada/internal/lifecycle"
)

const (
	leased   = armada.EventLeased
	returned = armada.EventLeaseReturned
	expired  = armada.EventLeaseExpired
	begun    = armada.EventPending
	runs     = armada.EventRunning
	success  = armada.EventSucceeded
	failure  = armada.EventFailed
	wished   = armada.EventCancelling
	gone     = armada.EventCancelled
)

func specOf(t *testing.T, j job) *corev1.PodSpec {
	t.Helper()
	spec := &corev1.PodSpec{}
	ok(t, spec.Unmarshal(j.PodSpec))
	return spec
}

// Statement 50.
func TestALeasedJobHasASpecAndANamespaceAndNothingOfTheServers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		plain, chosen := w.submit(wanted{class: "armada-default"}), w.submit(wanted{class: "armada-preemptible"})
		jobs := w.polls(offer("east", 8), plain, chosen)
		for _, j := range jobs {
			if j.Namespace != "space" || j.Owner != "ann" || j.Queue != "q" || j.JobSet != "set" || j.Labels["mine"] != "yes" || j.Annotations["note"] != "short" {
				t.Errorf("the job is %+v", j)
			}
			spec := specOf(t, j)
			if len(spec.NodeSelector) != 0 || spec.Affinity != nil || spec.NodeName != "" {
				t.Errorf("the pod of %s is bound to a node: %v, %v, %q", j.ID, spec.NodeSelector, spec.Affinity, spec.NodeName)
			}
			if want := map[string]string{plain: "", chosen: "armada-preemptible"}[j.ID]; spec.PriorityClassName != want {
				t.Errorf("the pod of %s has the priority class %q, want %q", j.ID, spec.PriorityClassName, want)
			}
		}
	})
}

// What a cluster does not count, no pod may ask for (14.3).
func TestAClusterThatDoesNotCountStorageGetsPodsThatAskForNone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{storage: "8Gi"})
		amounts := of(map[string]string{"cpu": "8", "memory": "64Gi"})
		j := w.polls(leaseRequest{ClusterID: "fake", Resources: amounts, Nodes: []node{{Name: "n", Allocatable: amounts, Available: amounts}}}, id)[0]
		asks := specOf(t, j).Containers[0].Resources
		if _, there := asks.Requests["ephemeral-storage"]; there || len(asks.Limits) != 2 {
			t.Errorf("the pod asks for %v and %v", asks.Requests, asks.Limits)
		}
	})
}

// Statement 51.
func TestNoAnswerIsLargerThanAnExecutorTakes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var all []string
		for range 120 {
			all = append(all, w.submit(wanted{bytes: 65 << 10}))
		}
		var got []string
		for polls := 0; len(got) < len(all); polls++ {
			jobs, err := w.lease(t.Context(), offer("east", 256))
			ok(t, err)
			if size := proto.Size(encode("JobLease", map[string]any{"job": jobs})); size >= 4<<20 {
				t.Fatalf("an answer has %d bytes", size)
			}
			for _, j := range jobs {
				got = append(got, j.ID)
				w.runs("east", j.ID, "uid-"+j.ID)
			}
			if polls > 10 {
				t.Fatalf("%d of %d jobs are leased after %d polls", len(got), len(all), polls)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, all) {
			t.Errorf("leased are %d jobs, some twice or never", len(got))
		}
	})
}

// Statement 52.
func TestAJobIsHandedOutOnceUntilItsLeaseExpires(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		w.runs("east", id, "uid")
		for range 150 { // it polls on and does not name the job
			pause(5 * time.Second) // and the poll itself waits for a second
			w.polls(offer("east", 8))
		}
		w.is(id, armada.JobRunning)
		pause(time.Minute + 2*time.Second)
		w.polls(offer("east", 8)) // its old pod may be there
		w.tells(id, leased, begun, runs, expired, leased)
		pause(time.Minute)
		w.polls(offer("east", 8), id)
	})
}

func TestALostAnswerIsMadeGoodWhenTheExecutorTwiceDoesNotNameTheJob(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lost, there := w.submit(wanted{}), w.submit(wanted{})
		w.polls(offer("east", 8), lost, there)
		for range 3 {
			pause(15 * time.Second)
			w.keeps("east", []string{there}, there)
			w.is(lost, armada.JobLeased)
		}
		pause(15 * time.Second)
		w.keeps("east", []string{there}, there)
		w.polls(offer("east", 8)) // a pod of it may be there all the same
		w.tells(lost, leased, returned, leased)
		pause(time.Minute)
		w.polls(offer("east", 8), lost)
		w.is(there, armada.JobLeased)
	})
}

// Statement 53.
func TestJobsThatAnExecutorOf2020CannotRunStayAway(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		more, small, large := w.submit(wanted{moreThanPod: true, cores: 4}), w.submit(wanted{}), w.submit(wanted{cores: 4})
		r := offer("east", 32)
		r.Minimum = of(map[string]string{"cpu": "2"})
		w.polls(r, large)
		pause(5 * time.Second)
		w.polls(r)
		// They run on none of the nodes that there are, and are told why.
		for id, why := range map[string]string{more: "without services, ingresses and gangs", small: "smaller than the jobs that the nodes are for"} {
			if reason := w.is(id, armada.JobRejected).Job.Reason; !strings.Contains(reason, why) {
				t.Errorf("job %s is rejected since %s", id, reason)
			}
		}
	})
}

// Jobs that an older server took in have shapes that do not tell of services.
func TestAJobWithServicesIsNotHandedOutWhateverItsShapeSays(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{services: []armada.ServiceRequest{{Ports: []uint32{80}}}})
		w.polls(offer("east", 8))
		pause(time.Second)
		if events := w.history(id); len(events) < 2 || events[1].Kind != returned || !strings.Contains(events[1].Reason, "services") {
			t.Errorf("it is told %v", events)
		}
	})
}

func TestAJobThatNoAnswerCanHoldIsGivenBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id, small := w.submit(wanted{bytes: 3 << 20}), w.submit(wanted{})
		w.polls(offer("east", 8), small)
		if events := w.history(id); len(events) < 2 || events[1].Kind != returned || !strings.Contains(events[1].Reason, "too large") {
			t.Errorf("it is told %v", events)
		}
	})
}

func TestAPollGetsNoMoreThanTheExecutorHasFree(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		first, second := w.submit(wanted{cores: 4}), w.submit(wanted{cores: 4})
		r := offer("east", 8)
		r.Resources = of(map[string]string{"cpu": "7", "memory": "64Gi", "ephemeral-storage": "1Ti"})
		w.polls(r, first)
		pause(5 * time.Second)
		w.polls(r) // the first one is not heard of: it may not be counted yet
		w.runs("east", first, "uid")
		pause(5 * time.Second)
		w.polls(r, second)
	})
}

func TestWhatTheExecutorHasNoRoomForIsGivenBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{cores: 4})
		r := offer("east", 8)
		r.Resources = of(map[string]string{"cpu": "2", "memory": "64Gi", "ephemeral-storage": "1Ti"})
		for range 19 {
			w.polls(r)
			pause(5 * time.Second)
		}
		w.polls(r)
		events := w.history(id)
		if len(events) < 2 || events[1].Kind != returned || !strings.Contains(events[1].Reason, "room") {
			t.Errorf("it is told %v", events)
		}
	})
}

func TestWhatOthersUseOfANodeIsNotGivenAway(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.submit(wanted{cores: 6})
		small := w.submit(wanted{cores: 4})
		r := offer("east", 8)
		r.Nodes[0].Available = of(map[string]string{"cpu": "5", "memory": "64Gi", "ephemeral-storage": "1Ti"})
		w.polls(r, small)
		w.runs("east", small, "uid")
		r.Nodes[0].Available = of(map[string]string{"cpu": "1", "memory": "63Gi", "ephemeral-storage": "1Ti"})
		pause(5 * time.Second)
		w.polls(r) // 4 of the 7 that are used are ours, and are not counted twice
		nodes, err := w.kept.Executors(t.Context())
		ok(t, err)
		if used := nodes[0].Nodes[0].Others[0].Used[0]; used != 3000 {
			t.Errorf("others use %d thousandths of a core, want 3000", used)
		}
	})
}

func TestTheNodesOfAClusterAreInThePoolOfTheConfiguration(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.polls(offer("gpus", 8))
		w.polls(offer("east", 8))
		all, err := w.kept.Executors(t.Context())
		ok(t, err)
		for i, want := range []string{armada.DefaultPool, "gpu"} {
			if got := all[i].Nodes[0].Pool; got != want {
				t.Errorf("the nodes of %s are in the pool %q, want %q", all[i].Executor.ID, got, want)
			}
		}
	})
}

func TestTwoPollsAtOnceHandOutAJobOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		answers := make(chan int, 2)
		for range 2 {
			go func() {
				jobs, err := w.lease(t.Context(), offer("east", 8))
				if err != nil {
					t.Error(err)
				}
				answers <- len(jobs)
			}()
		}
		if got := <-answers + <-answers; got != 1 {
			t.Errorf("job %s is handed out %d times", id, got)
		}
	})
}

func TestAPodMakesRoomOnlyWhenItsVictimHasEnded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		victim := w.submit(wanted{cores: 8})
		w.polls(offer("east", 8), victim)
		w.runs("east", victim, "uid")
		next := w.submit(wanted{cores: 8})
		run := armada.NewRunID(armada.JobID(victim), 1)
		w.change(
			lifecycle.Change{Kind: lifecycle.Preempt, Job: armada.JobID(victim), Run: run, By: "scheduler"},
			lifecycle.Change{Kind: lifecycle.Lease, Job: armada.JobID(next), Lease: lifecycle.Terms{Executor: "east", Node: "east-1", Pool: "default", After: []armada.RunID{run}}},
		)
		w.polls(offer("east", 8))
		w.keeps("east", []string{victim})
		w.tells(victim, leased, begun, runs, armada.EventPreempted, failure)
		w.polls(offer("east", 8), next)
	})
}

// A store that was brought back from a copy may not know what an executor has.
func TestNothingIsHandedOutWhileARestoredStoreWaits(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.polls(offer("east", 8))
		id := w.submit(wanted{})
		pause(time.Second)
		w.is(id, armada.JobLeased)
		ok(t, w.kept.Restored(t.Context(), 30*time.Second))
		pause(20 * time.Second)
		w.polls(offer("east", 8)) // its session was void
		w.keeps("east", []string{"of-the-lost-time"})
		pause(20 * time.Second)
		w.polls(offer("east", 8)) // the pod may still be on its way out
		pause(30 * time.Second)
		w.polls(offer("east", 8), id)
	})
}
