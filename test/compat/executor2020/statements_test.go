package executor2020

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
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

// Statement 54.
func TestARenewalNamesWhatMayStay(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b, c, d := w.submit(wanted{}), w.submit(wanted{}), w.submit(wanted{}), w.submit(wanted{})
		w.polls(offer("east", 8), a, b, c, d)
		for _, id := range []string{a, b, c, d} {
			w.runs("east", id, "uid-"+id)
		}
		w.says("east", b, "succeeded", event{KubernetesID: "uid-" + b})
		w.says("east", c, "failed", event{KubernetesID: "uid-" + c, Reason: "exit", ExitCodes: map[string]int32{"main": 3}})
		w.cancel(d)
		w.is(d, armada.JobRunning)
		w.keeps("east", []string{a, b, c, d, "never"}, a, b, c)
		w.tells(d, leased, begun, runs, wished, gone) // nobody will tell of its end
		if end := w.is(c, armada.JobFailed).Runs[0].End; end.Reason != "exit" || len(end.Containers) != 1 || end.Containers[0].ExitCode != 3 {
			t.Errorf("it ended so: %+v", end)
		}
		w.says("east", d, "failed", event{KubernetesID: "uid-" + d, Reason: "killed"})
		w.tells(d, leased, begun, runs, wished, gone)
		ok(t, w.done(t.Context(), b, c))
		w.keeps("east", []string{a}, a)
	})
}

func TestACancelledJobThatWasNotHandedOutNeverIs(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.polls(offer("east", 8))
		id := w.submit(wanted{})
		pause(time.Second) // leased and not handed out
		w.is(id, armada.JobLeased)
		w.cancel(id)
		w.polls(offer("east", 8))
		w.tells(id, leased, wished, gone)
	})
}

func TestACancelledJobWhosePodHasVanishedIsCancelled(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		w.runs("east", id, "uid")
		w.cancel(id)
		for range 5 {
			pause(15 * time.Second)
			w.keeps("east", nil)
		}
		w.tells(id, leased, begun, runs, wished, gone)
	})
}

// Statement 55.
func TestWhoCannotTellWhatMayStayIsUnavailable(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		unavailable := func(cluster string) {
			t.Helper()
			if kept, err := w.renew(t.Context(), cluster, id); status.Code(err) != codes.Unavailable {
				t.Errorf("%s: %v stay, %v; want UNAVAILABLE", cluster, kept, err)
			}
		}
		w.broken.Store(true)
		unavailable("east")
		w.broken.Store(false)
		unavailable("nobody-knows-it")
		w.keeps("east", []string{id}, id)
		// The id is another executor's now.
		ok(t, w.kept.OpenSession(t.Context(), armada.Executor{ID: "east", Session: "ours", Lease: time.Minute}))
		unavailable("east")
		if _, err := w.lease(t.Context(), offer("east", 8)); status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "ClusterId") {
			t.Errorf("asking for jobs: %v, want FAILED_PRECONDITION that names the field", err)
		}
	})
}

// Statement 56.
func TestAnExpiredJobThatStillWaitsIsGivenBackToWhoHasIt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		waits, elsewhere := w.submit(wanted{node: "east", cores: 2}), w.submit(wanted{})
		r := offer("east", 8)
		r.Nodes[0].Labels = map[string]string{"zone": "east"}
		w.polls(r, waits, elsewhere)
		w.runs("east", waits, "uid-1")
		w.runs("east", elsewhere, "uid-2")
		pause(17 * time.Minute) // it is cut off
		w.is(waits, armada.JobQueued)
		w.is(elsewhere, armada.JobQueued)
		w.polls(offer("west", 8), elsewhere)
		w.runs("west", elsewhere, "uid-3")
		w.keeps("east", []string{waits, elsewhere}, waits)
		w.tells(waits, leased, begun, runs, expired, leased, begun, runs)
		w.says("east", waits, "succeeded", event{KubernetesID: "uid-1"})
		w.is(waits, armada.JobSucceeded)
		w.says("east", elsewhere, "failed", event{KubernetesID: "uid-2", Reason: "killed"})
		w.is(elsewhere, armada.JobRunning)
	})
}

func TestAnExpiredJobThatIsLeasedHereAgainAndNotHandedOutIsKept(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		w.runs("east", id, "uid")
		pause(17 * time.Minute)
		w.polls(offer("east", 8)) // the node has room, the job is leased there again
		w.is(id, armada.JobLeased)
		w.keeps("east", []string{id}, id)
		pause(5 * time.Minute)
		w.polls(offer("east", 8)) // and is never handed out, since it is there
		w.says("east", id, "succeeded", event{KubernetesID: "uid"})
		w.is(id, armada.JobSucceeded)
	})
}

// Statement 57.
func TestAJobThatIsDoneWithWaitsForItsOutcome(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		told, silent := w.submit(wanted{}), w.submit(wanted{})
		w.polls(offer("east", 8), told, silent)
		w.says("east", told, "pending", event{KubernetesID: "uid"})
		ok(t, w.done(t.Context(), told, silent))
		pause(14 * time.Minute)
		w.polls(offer("west", 8))
		w.is(told, armada.JobPending)
		w.says("east", told, "failed", event{KubernetesID: "uid", Reason: "stuck for ever"})
		if why := w.is(told, armada.JobFailed).Job.Reason; why != "stuck for ever" {
			t.Errorf("it failed since %q", why)
		}
		pause(3 * time.Minute)
		if why := w.is(silent, armada.JobFailed).Job.Reason; !strings.Contains(why, "has not told how it ended") {
			t.Errorf("it failed since %q", why)
		}
	})
}

// Statement 58.
func TestWhatIsSaidOfUnknownJobsIsAccepted(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		queued := w.submit(wanted{cores: 64})
		w.polls(offer("east", 8))
		for _, id := range []string{"never", "", queued} {
			ok(t, w.done(t.Context(), id))
			ok(t, w.giveBack(t.Context(), "east", id))
			for _, kind := range []string{"pending", "running", "failed", "succeeded", "lease_returned", "unable_to_schedule", "terminated", "utilisation", "leased"} {
				ok(t, w.report(t.Context(), kind, event{JobID: id, Cluster: "east", Created: time.Now()}))
			}
			ok(t, w.report(t.Context(), "cancelled", event{JobID: id, Created: time.Now()}))
		}
		ok(t, w.reportAll(t.Context()))
		ok(t, w.usage(t.Context(), "east", nil))
		if events := w.history(queued); len(events) > 1 { // it is rejected: no node is so large
			t.Errorf("it is told %v", events)
		}
	})
}

// Statement 59.
func TestTheEndOfAFormerAttemptElsewhereChangesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		w.runs("east", id, "uid-1")
		pause(17 * time.Minute)
		w.polls(offer("west", 8), id)
		w.runs("west", id, "uid-2")
		for _, kind := range []string{"failed", "succeeded", "lease_returned"} {
			w.says("east", id, kind, event{KubernetesID: ""})
		}
		ok(t, w.giveBack(t.Context(), "east", id))
		w.is(id, armada.JobRunning)
		w.tells(id, leased, begun, runs, expired, leased, begun, runs)
		w.keeps("west", []string{id}, id)
	})
}

func TestTheEndOfAFormerAttemptOnTheSameClusterChangesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		w.runs("east", id, "uid-1")
		pause(17 * time.Minute)
		w.polls(offer("east", 8))
		w.keeps("east", nil) // its pod is not there any more
		pause(time.Minute)
		w.polls(offer("east", 8), id)
		w.says("east", id, "failed", event{KubernetesID: "uid-1", Reason: "late"})
		w.is(id, armada.JobLeased)
		w.runs("east", id, "uid-2")
		w.says("east", id, "failed", event{KubernetesID: "uid-1", Reason: "late"})
		w.is(id, armada.JobRunning)
	})
}

// Statement 60.
func TestALeaseIsReturnedOnceWithItsReason(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		ok(t, w.giveBack(t.Context(), "east", id))
		w.is(id, armada.JobLeased) // until the reason is told
		w.says("east", id, "lease_returned", event{Reason: "the pod could not be made"})
		w.says("east", id, "lease_returned", event{Reason: "the pod could not be made"})
		ok(t, w.giveBack(t.Context(), "east", id)) // the run that follows was not handed out
		pause(time.Second)
		w.tells(id, leased, returned, leased)
		if why := w.history(id)[1].Reason; why != "the pod could not be made" {
			t.Errorf("it is returned since %q", why)
		}
	})
}

func TestALeaseThatIsReturnedWithoutAReasonIsReturnedAllTheSame(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		ok(t, w.giveBack(t.Context(), "east", id))
		pause(5 * time.Second)
		w.polls(offer("east", 8))
		w.tells(id, leased, returned, leased)
		w.polls(offer("west", 8))
		pause(time.Minute)
		w.polls(offer("east", 8), id)
		w.says("east", id, "lease_returned", event{Reason: "late"}) // of the attempt before
		w.tells(id, leased, returned, leased)
	})
}

// Statement 61.
func TestPhasesThatAreToldAgainChangeNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		for range 2 {
			w.runs("east", id, "uid")
		}
		w.says("east", id, "pending", event{KubernetesID: "uid"})
		for range 2 {
			w.says("east", id, "succeeded", event{KubernetesID: "uid"})
			w.says("east", id, "failed", event{KubernetesID: "uid"})
			w.runs("east", id, "uid")
		}
		w.tells(id, leased, begun, runs, success)
	})
}

// Statement 62.
func TestWhyAPodCannotBeginIsToldWithWhatFollows(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		back, bad := w.submit(wanted{}), w.submit(wanted{})
		w.polls(offer("east", 8), back, bad)
		for _, id := range []string{back, bad} {
			w.says("east", id, "pending", event{KubernetesID: "uid-" + id})
			w.says("east", id, "unable_to_schedule", event{KubernetesID: "uid-" + id, Reason: "no such image"})
		}
		ok(t, w.giveBack(t.Context(), "east", back))
		w.says("east", back, "lease_returned", event{Reason: "stuck"})
		ok(t, w.done(t.Context(), bad))
		w.says("east", bad, "failed", event{KubernetesID: "uid-" + bad, Reason: "given up"})
		for id, kind := range map[string]armada.EventKind{back: returned, bad: failure} {
			e := w.history(id)[2]
			if e.Kind != kind || !strings.Contains(e.Reason, "no such image") {
				t.Errorf("it is told %s since %q", e.Kind, e.Reason)
			}
		}
		w.is(bad, armada.JobFailed)
	})
}

// Statements 11 and 63.
func TestALeaseIsToldBeforeWhatTheExecutorSaysOfIt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		for _, slow := range []time.Duration{10 * time.Second, -10 * time.Second, 0} { // how much its clock is behind
			e := event{JobID: id, Cluster: "east", Created: time.Now().Add(-slow), KubernetesID: "uid"}
			ok(t, w.report(t.Context(), map[time.Duration]string{10 * time.Second: "pending", -10 * time.Second: "running", 0: "succeeded"}[slow], e))
		}
		w.tells(id, leased, begun, runs, success)
		events := w.history(id)
		for i := 1; i < len(events); i++ {
			if events[i].Created.Before(events[i-1].Created) || events[i].Created.After(time.Now()) {
				t.Errorf("%s is of %s, after %s", events[i].Kind, events[i].Created, events[i-1].Created)
			}
		}
	})
}

func TestUsageOfAJobIsTold(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		w.runs("east", id, "uid")
		w.says("east", id, "utilisation", event{KubernetesID: "uid", Max: of(map[string]string{"cpu": "300m"})})
		events := w.history(id)
		if last := events[len(events)-1]; last.Kind != armada.EventUtilisation || last.Usage.Max["cpu"] != "300m" {
			t.Errorf("it is told %+v", last)
		}
	})
}

func TestACancelThatComesBetweenIsSeenByTheSameRenewal(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.submit(wanted{})
		w.polls(offer("east", 8), id)
		w.runs("east", id, "uid")
		first := func() { w.cancel(id) }
		w.before.Store(&first)
		w.keeps("east", []string{id})
		w.tells(id, leased, begun, runs, wished, gone)
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
		ok(t, w.kept.Restored(t.Context(), time.Minute))
		w.polls(offer("east", 8))
		w.keeps("east", []string{"of-the-lost-time"})
		pause(2 * time.Minute)
		w.polls(offer("east", 8), id)
	})
}

var _ store.Executors = disturbed{}
