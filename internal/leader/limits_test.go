package leader

import (
	"testing"
	"testing/synctest"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/scheduling"
)

// withRules gives a replica the real scheduler with these rules.
func withRules(change func(*scheduling.Config)) func(*Leader, *replica) {
	return func(l *Leader, _ *replica) {
		change(&l.config.Scheduling)
		l.plans = func() func(string) planner {
			shared := scheduling.NewShared(l.config.Scheduling)
			return func(name string) planner { return fairPool{shared.NewPool(name)} }
		}
	}
}

func TestJobsOfAllPoolsTogetherStartAtTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		e := anExecutor("east")
		e.Lease = time.Hour
		other := aNode("n2", 1000)
		other.Pool = "other"
		m.acknowledge(e, aNode("n1", 4), other)
		start(t, m, "a", withRules(func(c *scheduling.Config) { c.Rate = scheduling.Rate{PerSecond: 2, Burst: 10} }))
		pass(time.Second)
		m.submit(someJobs(30)...)
		pass(time.Millisecond)
		if n := m.inState(armada.JobLeased); n != 10 {
			t.Errorf("%d jobs are leased at once, want the burst of 10", n)
		}
		pass(4 * time.Second)
		if n := m.inState(armada.JobLeased); n != 18 {
			t.Errorf("%d jobs are leased after 4 s, want 2 a second more", n)
		}
		pass(time.Minute)
		if n := m.inState(armada.JobLeased); n != 30 {
			t.Errorf("%d jobs are leased after a minute, want all", n)
		}
	})
}

func TestPoolsShareTheBudgetOfAFloatingResource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.shapes["licensed"] = &armada.Requirements{Resources: armada.Resources{1000, 0, 0, 0, 1}}
		small, large := aNode("n1", 1), aNode("n2", 8)
		large.Pool = "large"
		e := anExecutor("east")
		e.Lease = time.Hour
		m.acknowledge(e, small, large)
		r := start(t, m, "a", withRules(func(c *scheduling.Config) {
			c.Resources = counting(t, armada.Resource{Name: "licences", Floating: true})
			c.Budgets = []scheduling.Budget{{Resource: "licences", Pools: []string{"default", "large"}, Amount: 2}}
		}))
		licensed := someJobs(4)
		for i := range licensed {
			licensed[i].Shape = "licensed"
		}
		m.submit(licensed...)
		pass(time.Second)
		wantState(t, m, armada.JobLeased, licensed[0].ID, licensed[1].ID)
		wantState(t, m, armada.JobQueued, licensed[2].ID, licensed[3].ID)
		waits, _ := m.job(licensed[2].ID)
		if reasons := r.Explanations().Reasons(waits); len(reasons) != 2 || reasons[1].Code != armada.ReasonFloating || reasons[1].Resource.Name != "licences" {
			t.Errorf("the third job waits for %+v, want licences", reasons)
		}
		// The one that ends gives a licence back to both pools: there is room in
		// either.
		_, run := m.job(licensed[0].ID)
		if run.Pool != "default" {
			t.Fatalf("the first job runs in pool %q", run.Pool)
		}
		m.report(lifecycle.ReportSucceeded, licensed[0].ID)
		pass(time.Second)
		wantState(t, m, armada.JobLeased, licensed[1].ID, licensed[2].ID)
		wantState(t, m, armada.JobQueued, licensed[3].ID)
	})
}

func TestAJobThatAsksForMoreThanAnyBudgetIsRejected(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.shapes["greedy"] = &armada.Requirements{Resources: armada.Resources{1000, 0, 0, 0, 3}}
		m.shapes["licensed"] = &armada.Requirements{Resources: armada.Resources{1000, 0, 0, 0, 2}}
		e := anExecutor("east")
		e.Lease = time.Hour
		start(t, m, "a", withRules(func(c *scheduling.Config) {
			c.Resources = counting(t, armada.Resource{Name: "licences", Floating: true})
			c.Budgets = []scheduling.Budget{{Resource: "licences", Pools: []string{"default"}, Amount: 2}}
		}))
		pass(time.Second)
		m.acknowledge(e, aNode("n1", 8))
		greedy, licensed := aJob("greedy"), aJob("licensed")
		greedy.Shape, licensed.Shape = "greedy", "licensed"
		m.submit(greedy, licensed)
		pass(time.Second)
		wantState(t, m, armada.JobLeased, "licensed")
		wantState(t, m, armada.JobRejected, "greedy")
		job, _ := m.job("greedy")
		if want := "no known node fits: cluster east, pool default: it asks for 3 licences, all that the pool may use is 2"; job.Reason != want {
			t.Errorf("it is rejected because %q, want %q", job.Reason, want)
		}
	})
}

func TestAnExecutorThatDoesNotBeginItsRunsGetsNothingNew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		slow, quick := anExecutor("slow"), anExecutor("quick")
		slow.Lease, quick.Lease = time.Hour, time.Hour
		m.acknowledge(slow, aNode("n1", 6))
		start(t, m, "a", func(l *Leader, _ *replica) { l.config.MaxUnacknowledged = 4 })
		pass(time.Second)
		m.submit(someJobs(5)...)
		pass(time.Second)
		if n := m.inState(armada.JobLeased); n != 5 {
			t.Fatalf("%d jobs are leased, want all 5 of one round", n)
		}
		next := []armada.Job{aJob("next"), aJob("last")}
		m.submit(next...)
		pass(time.Second)
		wantState(t, m, armada.JobQueued, "next", "last")

		// Another executor gets them.
		m.acknowledge(quick, aNode("n2", 1))
		pass(time.Second)
		wantState(t, m, armada.JobLeased, "next")
		wantState(t, m, armada.JobQueued, "last")

		// It gets more when it has begun with half of what it may have.
		for i, job := range someJobs(5)[:3] {
			if m.report(lifecycle.ReportPending, job.ID); i < 2 {
				pass(time.Second)
				wantState(t, m, armada.JobQueued, "last")
			}
		}
		pass(time.Second)
		wantState(t, m, armada.JobLeased, "last")
	})
}

// counting returns a table of the default resources and more.
func counting(t *testing.T, more ...armada.Resource) armada.ResourceTable {
	t.Helper()
	table := armada.DefaultResourceTable()
	var all []armada.Resource
	for i := range table.Len() {
		all = append(all, table.At(i))
	}
	table, err := armada.NewResourceTable(append(all, more...))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestAJobWithoutAPlaceAtHomeRunsAwayUntilSomebodyAtHomeNeedsTheRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.shapes["loose"] = &armada.Requirements{PriorityClass: "loose", Resources: armada.Resources{1000}}
		m.shapes["owner"] = &armada.Requirements{PriorityClass: "firm", Resources: armada.Resources{1000}, Tolerations: []armada.Toleration{{Key: "gpu", Exists: true}}}
		gpu := aNode("n1", 1)
		gpu.Taints = []armada.Taint{{Key: "gpu", Value: "a100", Effect: armada.NoSchedule}}
		e := anExecutor("east")
		e.Lease = time.Hour
		start(t, m, "a", withRules(func(c *scheduling.Config) {
			c.Classes = []armada.PriorityClass{{Name: "loose", Priority: 1000, Preemptible: true}, {Name: "firm", Priority: 1000}}
			c.Away = []scheduling.Away{{Class: "loose", NodeType: "gpu", Taints: []armada.Taint{{Key: "gpu", Value: scheduling.AnyValue}}, Priority: 500}}
			c.Preemption = scheduling.PreemptionRules{Urgency: true}
		}))
		pass(time.Second)
		m.acknowledge(e, gpu)
		guest := aJob("guest")
		guest.Shape = "loose"
		m.submit(guest)
		pass(time.Second)
		wantState(t, m, armada.JobLeased, "guest")
		if _, run := m.job("guest"); run.Away != "gpu" {
			t.Errorf("the store knows the run as away on %q, want gpu", run.Away)
		}
		owner := aJob("owner")
		owner.Shape = "owner"
		m.submit(owner)
		pass(time.Second)
		wantState(t, m, armada.JobLeased, "owner")
		if job, _ := m.job("guest"); job.Wish.Kind != armada.WishPreempt || job.Wish.For != "owner" {
			t.Errorf("the guest's wish is %+v, want that it is preempted for the owner", job.Wish)
		}
	})
}

func TestAJobIsAGuestOfAnotherPoolUntilSomebodyAtHomeThereNeedsTheRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := aStore()
		m.shapes["loose"] = &armada.Requirements{PriorityClass: "loose", Resources: armada.Resources{1000}}
		m.shapes["device"] = &armada.Requirements{PriorityClass: "loose", Resources: armada.Resources{1000, 0, 0, 1}}
		plain, devices := aNode("n1", 1), aNode("n2", 1)
		plain.Pool, devices.Pool = "plain", "devices" // whose round would be the first by its name
		devices.Allocatable[3] = 1
		e := anExecutor("east")
		e.Lease = time.Hour
		start(t, m, "a", withRules(func(c *scheduling.Config) {
			c.Classes = []armada.PriorityClass{{Name: "loose", Priority: 10, Preemptible: true}}
			c.Preemption.Urgency = true
			c.AwayPools = map[string][]string{"plain": {"devices"}}
		}))
		m.acknowledge(e, plain, devices)
		pass(time.Second)
		jobs := someJobs(2)
		for i := range jobs {
			jobs[i].Shape = "loose"
			m.submit(jobs[i])
			pass(time.Second)
		}
		for i, want := range []struct{ pool, away string }{{"plain", ""}, {"devices", "pool:plain"}} {
			if _, run := m.job(jobs[i].ID); run.Pool != want.pool || run.Away != want.away {
				t.Fatalf("job %d has the run %+v, want one of pool %s, away %q", i, run, want.pool, want.away)
			}
		}
		owner := aJob("owner")
		owner.Shape = "device"
		m.submit(owner)
		pass(time.Second)
		guest, _ := m.job(jobs[1].ID)
		if _, run := m.job("owner"); guest.Wish.Kind != armada.WishPreempt || run.Pool != "devices" || len(run.After) != 1 {
			t.Errorf("the guest has the wish %v, and who is at home the run %+v", guest.Wish, run)
		}
	})
}
