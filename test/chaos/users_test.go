package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"armada/internal/runs/simulated"
	"armada/pkg/api"
	"armada/pkg/api/k8s/api/resource"
	corev1 "armada/pkg/api/k8s/core/v1"
	"armada/pkg/client"
	"armada/test/chaos/checker"
)

// users submit, cancel, reprioritise and watch, and write down what they were
// answered. They know the servers' common address, which breaks, and the
// address of each, which does too.
type users struct {
	seed    uint64
	common  string
	servers []string

	mu       sync.Mutex
	history  checker.History
	jobs     []submitted // what was acknowledged, for those who steer
	refusals []error     // calls that failed although the client tried again
	watches  []*watcher
}

type submitted struct{ queue, set, id string }

// The queues, and the job sets of each.
var (
	queues  = []string{"alpha", "beta", "gamma"}
	setsOf  = 3
	jobSets = func() (all []submitted) {
		for _, queue := range queues {
			for i := range setsOf {
				all = append(all, submitted{queue: queue, set: fmt.Sprintf("%s-%d", queue, i+1)})
			}
		}
		return all
	}()
)

func dial(address string) (*client.Client, error) {
	return client.New(client.Config{ArmadaURL: address, ForceNoTLS: true, Uncompressed: true})
}

// prepare makes the queues. What ends badly in the first one is tried again.
func (u *users) prepare(ctx context.Context) error {
	c, err := dial(u.common)
	if err != nil {
		return err
	}
	defer c.Close()
	again := &api.RetryPolicy{Name: "again", RetryLimit: 2, DefaultAction: api.RetryAction_RETRY_ACTION_RETRY}
	if err := c.CreateRetryPolicy(ctx, again); err != nil {
		return err
	}
	for i, name := range queues {
		queue := &api.Queue{Name: name, PriorityFactor: float64(i + 1)}
		if i == 0 {
			queue.RetryPolicies = []string{again.GetName()}
		}
		if err := c.CreateQueue(ctx, queue); err != nil {
			return err
		}
	}
	return nil
}

// random is a source of a user's own.
func (u *users) random(who uint64) *rand.Rand { return rand.New(rand.NewPCG(u.seed, who)) }

// submit hands in batches until ctx ends. What fails is tried again under the
// same client ids, as a careful program would, and given up after a while.
func (u *users) submit(ctx context.Context, who int) error {
	c, err := dial(u.common)
	if err != nil {
		return err
	}
	defer c.Close()
	r := u.random(uint64(who))
	for n := 0; ctx.Err() == nil; n++ {
		if u.crowded() {
			pause(ctx, 50*time.Millisecond)
			continue
		}
		set := jobSets[r.IntN(len(jobSets))]
		batch := u.batch(r, fmt.Sprintf("u%d-%d", who, n))
		for range 4 {
			ids, err := c.Submit(ctx, set.queue, set.set, items(batch))
			u.told(ctx, set, batch, ids, err)
			if err == nil {
				u.readBack(ctx, r, ids)
				break
			}
			if ctx.Err() != nil {
				break
			}
			pause(ctx, 200*time.Millisecond)
		}
		pause(ctx, time.Duration(20+r.IntN(100))*time.Millisecond)
	}
	return nil
}

// job is one to submit.
type job struct {
	clientID string
	cpu      int64
	runtime  time.Duration
	exit     int
}

func (u *users) batch(r *rand.Rand, name string) []job {
	batch := make([]job, 1+r.IntN(12))
	for i := range batch {
		batch[i] = job{
			clientID: fmt.Sprintf("%s-%d", name, i), cpu: int64(500 * (1 + r.IntN(8))),
			runtime: time.Duration(r.IntN(800)) * time.Millisecond,
		}
		if r.IntN(8) == 0 {
			batch[i].exit = 1 + r.IntN(3)
		}
	}
	return batch
}

func items(batch []job) []*api.JobSubmitRequestItem {
	var all []*api.JobSubmitRequestItem
	for _, j := range batch {
		amounts := map[string]*resource.Quantity{}
		for name, text := range map[string]string{"cpu": fmt.Sprintf("%dm", j.cpu), "memory": "16Mi"} {
			amounts[name] = &resource.Quantity{String_: proto.String(text)}
		}
		all = append(all, &api.JobSubmitRequestItem{
			ClientId: j.clientID,
			Annotations: map[string]string{
				simulated.AnnotationRuntime: j.runtime.String(), simulated.AnnotationExitCode: fmt.Sprint(j.exit),
			},
			PodSpec: &corev1.PodSpec{Containers: []*corev1.Container{{
				Name: proto.String("main"), Image: proto.String("none"),
				Resources: &corev1.ResourceRequirements{Requests: amounts, Limits: amounts},
			}}},
		})
	}
	return all
}

// told writes down what became of a submission.
func (u *users) told(ctx context.Context, set submitted, batch []job, ids []string, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, j := range batch {
		s := checker.Submit{JobSet: set.set, ClientID: j.clientID, CPU: j.cpu}
		if err == nil {
			s.Job = ids[i]
			u.jobs = append(u.jobs, submitted{set.queue, set.set, ids[i]})
		}
		u.history.Submits = append(u.history.Submits, s)
	}
	if err != nil && ctx.Err() == nil {
		u.refusals = append(u.refusals, err)
	}
}

// readBack looks for a job that was just acknowledged on any of the servers.
func (u *users) readBack(ctx context.Context, r *rand.Rand, ids []string) {
	server := u.servers[r.IntN(len(u.servers))]
	id := ids[r.IntN(len(ids))]
	c, err := dial(server)
	if err != nil {
		return
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	jobs, err := c.Jobs(ctx, client.JobQuery{IDs: []string{id}})
	if err != nil {
		return // a server that does not answer says nothing
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.history.Reads = append(u.history.Reads, checker.Read{Job: id, Server: server, Seen: len(jobs) == 1})
}

// some returns up to n acknowledged jobs of one job set, the recent ones rather
// than the old.
func (u *users) some(r *rand.Rand, n int) []submitted {
	u.mu.Lock()
	defer u.mu.Unlock()
	recent := u.jobs[max(0, len(u.jobs)-200):]
	if len(recent) == 0 {
		return nil
	}
	set := recent[r.IntN(len(recent))].set
	var chosen []submitted
	for _, j := range slices.Backward(recent) {
		if j.set == set && len(chosen) < n && r.IntN(2) == 0 {
			chosen = append(chosen, j)
		}
	}
	return chosen
}

// steer cancels and reprioritises until ctx ends.
func (u *users) steer(ctx context.Context, who int) error {
	c, err := dial(u.common)
	if err != nil {
		return err
	}
	defer c.Close()
	r := u.random(uint64(who))
	for ctx.Err() == nil {
		pause(ctx, time.Duration(100+r.IntN(300))*time.Millisecond)
		jobs := u.some(r, 1+r.IntN(4))
		if len(jobs) == 0 {
			continue
		}
		if r.IntN(2) == 0 {
			u.cancel(ctx, c, jobs)
		} else {
			u.reprioritise(ctx, c, jobs[0], float64(1+r.IntN(1000)))
		}
	}
	return nil
}

func (u *users) cancel(ctx context.Context, c *client.Client, jobs []submitted) {
	var ids []string
	for _, j := range jobs {
		ids = append(ids, j.id)
	}
	u.mu.Lock()
	u.history.Cancels = append(u.history.Cancels, checker.Cancel{Asked: ids}) // also when no answer comes
	u.mu.Unlock()
	answered, err := c.Cancel(ctx, jobs[0].queue, jobs[0].set, ids, "chaos")
	u.mu.Lock()
	defer u.mu.Unlock()
	if err == nil {
		u.history.Cancels = append(u.history.Cancels, checker.Cancel{Asked: ids, Answered: answered})
	} else if ctx.Err() == nil {
		u.refusals = append(u.refusals, err)
	}
}

func (u *users) reprioritise(ctx context.Context, c *client.Client, j submitted, to float64) {
	results, err := c.Reprioritize(ctx, j.queue, j.set, []string{j.id}, to)
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case err == nil && results[j.id] == "":
		u.history.Priorities = append(u.history.Priorities, checker.Priority{Job: j.id, To: to})
	case err != nil && ctx.Err() == nil:
		u.refusals = append(u.refusals, err)
	}
}

// watcher follows a job set over all its connections.
type watcher struct {
	mu    sync.Mutex
	watch checker.Watch
	open  map[string]bool // jobs that have not ended, as far as it has seen
	seen  map[string]bool
}

// follow watches a job set until ctx ends.
func (u *users) follow(ctx context.Context, name string, set submitted) error {
	c, err := dial(u.common)
	if err != nil {
		return err
	}
	defer c.Close()
	w := &watcher{watch: checker.Watch{Watcher: name, JobSet: set.set}, open: map[string]bool{}, seen: map[string]bool{}}
	u.mu.Lock()
	u.watches = append(u.watches, w)
	u.mu.Unlock()
	err = c.Watch(ctx, client.Stream{Queue: set.queue, JobSet: set.set}, func(m *api.EventStreamMessage) error {
		w.take(m)
		return nil
	})
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("%s stops watching %s: %w", name, set.set, err)
}

func (w *watcher) take(m *api.EventStreamMessage) {
	e := recorded(m)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watch.Events = append(w.watch.Events, e)
	w.seen[e.Job] = true
	switch {
	case e.Kind == "succeeded", e.Kind == "cancelled", e.Kind == "failed" && !e.Retryable:
		delete(w.open, e.Job)
	case e.Kind == "submitted":
		w.open[e.Job] = true
	}
}

// recorded turns a message into what the checker takes; the kind is the name of
// the field on the wire.
func recorded(m *api.EventStreamMessage) checker.Event {
	message := m.GetMessage().ProtoReflect()
	field := message.WhichOneof(message.Descriptor().Oneofs().ByName("events"))
	head := client.Head(m.GetMessage())
	return checker.Event{
		ID: m.GetId(), Kind: string(field.Name()), Job: head.Job, Created: head.Created,
		ClientID:  m.GetMessage().GetSubmitted().GetJob().GetClientId(),
		Priority:  m.GetMessage().GetReprioritized().GetNewPriority(),
		Retryable: m.GetMessage().GetFailed().GetRetryable(),
	}
}

// crowd is how many unfinished jobs keep users from submitting more: on a slow
// machine, too, what has been submitted can be done in the end.
const crowd = 2000

// crowded tells whether that many are known. There are two watchers of each.
func (u *users) crowded() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := 0
	for _, w := range u.watches {
		w.mu.Lock()
		n += len(w.open)
		w.mu.Unlock()
	}
	return n > 2*crowd
}

// waiting tells for how many jobs some watcher waits.
func (u *users) waiting() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := 0
	for _, w := range u.watches {
		w.mu.Lock()
		n += len(w.open)
		for _, j := range u.jobs {
			if j.set == w.watch.JobSet && !w.seen[j.id] {
				n++
			}
		}
		w.mu.Unlock()
	}
	return n
}

// list asks one server for all jobs.
func (u *users) list(ctx context.Context, server string) error {
	c, err := dial(server)
	if err != nil {
		return err
	}
	defer c.Close()
	jobs, err := c.Jobs(ctx, client.JobQuery{})
	if err != nil {
		return err
	}
	listing := checker.Listing{Server: server}
	for _, j := range jobs {
		listing.Jobs = append(listing.Jobs, checker.Listed{Job: j.GetJobId(), State: ended(j.GetState())})
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.history.Listings = append(u.history.Listings, listing)
	return nil
}

// ended names an end as the checker does, and any other state as the wire.
func ended(s api.JobState) string {
	switch s {
	case api.JobState_SUCCEEDED:
		return "succeeded"
	case api.JobState_FAILED, api.JobState_REJECTED:
		return "failed"
	case api.JobState_CANCELLED:
		return "cancelled"
	case api.JobState_PREEMPTED:
		return "preempted"
	default:
		return s.String()
	}
}

// record returns all that was written down; nobody may be at work any more.
func (u *users) record() *checker.History {
	for _, w := range u.watches {
		u.history.Watches = append(u.history.Watches, w.watch)
	}
	return &u.history
}

// pause waits, or not so long if ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
