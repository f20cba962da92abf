package server

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"armada"
	"armada/internal/auth"
	"armada/internal/podspec"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/pkg/api"
)

// queues is what both api.Submit and api.QueueService do with queues.
type queues struct {
	auth  *auth.Authorizer
	store store.Store
	rules *podspec.Rules
	now   func() time.Time
}

// CreateQueue creates a queue or replaces it whole. A queue with neither owners
// nor permissions belongs to whoever creates it.
func (q *queues) CreateQueue(ctx context.Context, r *api.Queue) (*emptypb.Empty, error) {
	caller, err := q.auth.Authorize(ctx, auth.VerbCreateQueue, r.GetName())
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, q.create(ctx, r, caller)
}

// CreateQueues does the same for several queues and answers those that failed.
func (q *queues) CreateQueues(ctx context.Context, r *api.QueueList) (*api.BatchQueueCreateResponse, error) {
	caller, err := q.auth.Authorize(ctx, auth.VerbCreateQueue, "")
	if err != nil {
		return nil, err
	}
	answer := &api.BatchQueueCreateResponse{}
	for _, each := range r.GetQueues() {
		if err := q.create(ctx, each, caller); err != nil {
			answer.FailedQueues = append(answer.FailedQueues, &api.QueueCreateResponse{Queue: each, Error: clip(err.Error(), roomOfOthers)})
		}
	}
	return answer, nil
}

// UpdateQueue replaces a queue whole; NotFound when there is none. Over REST it is
// [queues.CreateQueue], as PUT is everywhere: clients of 2020 create queues so, and
// do it again each time that they run.
func (q *queues) UpdateQueue(ctx context.Context, r *api.Queue) (*emptypb.Empty, error) {
	caller, err := q.auth.Authorize(ctx, auth.VerbCreateQueue, r.GetName())
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, q.update(ctx, r, caller)
}

// UpdateQueues does the same for several queues and answers those that failed.
func (q *queues) UpdateQueues(ctx context.Context, r *api.QueueList) (*api.BatchQueueUpdateResponse, error) {
	caller, err := q.auth.Authorize(ctx, auth.VerbCreateQueue, "")
	if err != nil {
		return nil, err
	}
	answer := &api.BatchQueueUpdateResponse{}
	for _, each := range r.GetQueues() {
		if err := q.update(ctx, each, caller); err != nil {
			answer.FailedQueues = append(answer.FailedQueues, &api.QueueUpdateResponse{Queue: each, Error: clip(err.Error(), roomOfOthers)})
		}
	}
	return answer, nil
}

func (q *queues) create(ctx context.Context, r *api.Queue, caller auth.Principal) error {
	queue, err := q.read(ctx, r)
	if err != nil {
		return err
	}
	if len(queue.Permissions) == 0 {
		queue.Permissions = []armada.Permission{{
			Subjects: []armada.Subject{{Kind: armada.SubjectUser, Name: caller.Name}}, Verbs: armada.OwnerVerbs(),
		}}
	}
	return q.keep(ctx, queue, caller, false)
}

func (q *queues) update(ctx context.Context, r *api.Queue, caller auth.Principal) error {
	if throughGateway(ctx) {
		return q.create(ctx, r, caller)
	}
	queue, err := q.read(ctx, r)
	if err != nil {
		return err
	}
	return q.keep(ctx, queue, caller, true)
}

// read checks a queue. One without a priority factor has the factor 1.
func (q *queues) read(ctx context.Context, r *api.Queue) (armada.Queue, error) {
	usual, _ := q.rules.PriorityClass("")
	queue := wire.Queue(r, usual.Name)
	if queue.PriorityFactor == 0 {
		queue.PriorityFactor = 1
	}
	var wrong violations
	if err := armada.ValidateQueueName(queue.Name); err != nil {
		wrong.add("name", err.Error())
	}
	if f := queue.PriorityFactor; math.IsNaN(f) || math.IsInf(f, 0) || f < 1 {
		wrong.add("priority_factor", fmt.Sprintf("is %v, must be a number from 1 up", f))
	}
	checkPermissions(r.GetPermissions(), &wrong)
	for _, key := range slices.Sorted(maps.Keys(queue.Labels)) {
		if key == "" || queue.Labels[key] == "" {
			wrong.add(fmt.Sprintf("labels[%s]", key), "must have neither an empty key nor an empty value")
		}
	}
	q.checkLimits(r, &wrong)
	if err := q.checkPolicies(ctx, queue.RetryPolicies, &wrong); err != nil {
		return queue, err
	}
	return queue, wrong.err("the queue was not changed")
}

// checkPolicies checks that there are the retry policies that a queue names.
func (q *queues) checkPolicies(ctx context.Context, names []string, wrong *violations) error {
	if len(names) == 0 {
		return nil
	}
	all, err := q.store.RetryPolicies(ctx)
	if err != nil {
		return fmt.Errorf("list the retry policies: %w", err)
	}
	for i, name := range names {
		path := fmt.Sprintf("retry_policies[%d]", i)
		switch {
		case !slices.ContainsFunc(all, func(p armada.RetryPolicy) bool { return p.Name == name }):
			wrong.add(path, thereIsNoPolicy(name, all))
		case slices.Contains(names[:i], name):
			wrong.add(path, fmt.Sprintf("%q is given twice", name))
		}
	}
	return nil
}

// checkLimits checks the limits of a queue. Those of 2020 may be of any resource: such
// clients name what their clusters may have.
func (q *queues) checkLimits(r *api.Queue, wrong *violations) {
	checkFractions(r.GetResourceLimits(), "resource_limits", wrong) // clients of 2020 send it
	byClass := r.GetResourceLimitsByPriorityClassName()
	for _, class := range slices.Sorted(maps.Keys(byClass)) {
		path := fmt.Sprintf("resource_limits_by_priority_class_name[%s]", clip(class, 80))
		if _, known := q.rules.PriorityClass(class); class == "" || !known {
			names := q.rules.ClassNames()
			wrong.add(path, fmt.Sprintf("%q is no priority class%s: there are %s", clip(class, 80), meant(class, names), strings.Join(names, ", ")))
		}
		path += ".maximum_resource_fraction"
		q.checkResources(byClass[class].GetMaximumResourceFraction(), path, wrong)
		byPool := byClass[class].GetMaximumResourceFractionByPool()
		for _, pool := range slices.Sorted(maps.Keys(byPool)) {
			q.checkResources(byPool[pool].GetMaximumResourceFraction(), fmt.Sprintf("%s_by_pool[%s].maximum_resource_fraction", path, clip(pool, 80)), wrong)
		}
	}
}

// checkResources checks fractions of resources that are counted: a limit of another
// would hold nobody back.
func (q *queues) checkResources(fractions map[string]float64, path string, wrong *violations) {
	checkFractions(fractions, path, wrong)
	table := q.rules.Table()
	for _, name := range slices.Sorted(maps.Keys(fractions)) {
		if _, counted := table.Index(name); !counted {
			wrong.add(fmt.Sprintf("%s[%s]", path, clip(name, 80)), "is not a resource that is counted here; known are "+strings.Join(table.Names(), ", "))
		}
	}
}

func checkFractions(fractions map[string]float64, path string, wrong *violations) {
	for _, name := range slices.Sorted(maps.Keys(fractions)) {
		if f := fractions[name]; math.IsNaN(f) || f < 0 {
			wrong.add(fmt.Sprintf("%s[%s]", path, clip(name, 80)), fmt.Sprintf("is %v, must be a fraction of the capacity from 0 up", f))
		}
	}
}

func checkPermissions(permissions []*api.Queue_Permissions, wrong *violations) {
	for i, p := range permissions {
		for j, s := range p.GetSubjects() {
			path := fmt.Sprintf("permissions[%d].subjects[%d]", i, j)
			if s.GetKind() != armada.SubjectUser && s.GetKind() != armada.SubjectGroup {
				wrong.add(path+".kind", fmt.Sprintf("is %q, must be %s or %s", clip(s.GetKind(), 80), armada.SubjectUser, armada.SubjectGroup))
			}
			if s.GetName() == "" {
				wrong.add(path+".name", "must not be empty")
			}
		}
		for j, verb := range p.GetVerbs() {
			if !slices.Contains(armada.Verbs(), armada.Verb(verb)) {
				wrong.add(fmt.Sprintf("permissions[%d].verbs[%d]", i, j), fmt.Sprintf("is %q, must be one of %s", clip(verb, 80), verbList()))
			}
		}
	}
}

func verbList() string {
	var names []string
	for _, v := range armada.Verbs() {
		names = append(names, string(v))
	}
	return strings.Join(names, ", ")
}

// DeleteQueue forgets a queue that has no active jobs. That there is none is
// fine.
func (q *queues) DeleteQueue(ctx context.Context, r *api.QueueDeleteRequest) (*emptypb.Empty, error) {
	if _, err := q.auth.Authorize(ctx, auth.VerbDeleteQueue, r.GetName()); err != nil {
		return nil, err
	}
	if err := named("name", r.GetName(), "no queue was deleted"); err != nil {
		return nil, err
	}
	if err := q.store.DeleteQueue(ctx, r.GetName()); err != nil {
		return nil, fmt.Errorf("delete the queue: %w", err)
	}
	return &emptypb.Empty{}, nil
}

// GetQueue answers a queue as it was set. Over REST the answer names its active
// job sets too, because clients of 2020 ask for them there.
func (q *queues) GetQueue(ctx context.Context, r *api.QueueGetRequest) (*api.Queue, error) {
	if _, err := q.auth.Authorize(ctx, auth.VerbSeeQueues, r.GetName()); err != nil {
		return nil, err
	}
	if err := named("name", r.GetName(), "nothing was looked up"); err != nil {
		return nil, err
	}
	queue, err := q.queue(ctx, r.GetName())
	if err != nil {
		return nil, err
	}
	answer := wire.QueueMessage(queue)
	if throughGateway(ctx) {
		if answer.ActiveJobSets, err = q.activeJobSets(ctx, r.GetName()); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

func (q *queues) queue(ctx context.Context, name string) (armada.Queue, error) {
	queue, err := q.store.Queue(ctx, name)
	if armada.CodeOf(err) == armada.CodeNotFound {
		return armada.Queue{}, noQueue(ctx, q.auth, q.store, name)
	}
	if err != nil {
		return armada.Queue{}, fmt.Errorf("look up the queue: %w", err)
	}
	return queue, nil
}

// GetQueueInfo counts the active jobs of a queue by job set. A queue that does
// not exist has none.
func (q *queues) GetQueueInfo(ctx context.Context, r *api.QueueInfoRequest) (*api.QueueInfo, error) {
	if _, err := q.auth.Authorize(ctx, auth.VerbSeeQueues, r.GetName()); err != nil {
		return nil, err
	}
	if r.GetName() == "" {
		return &api.QueueInfo{}, nil
	}
	sets, err := q.activeJobSets(ctx, r.GetName())
	return &api.QueueInfo{Name: r.GetName(), ActiveJobSets: sets}, err
}

func (q *queues) activeJobSets(ctx context.Context, name string) ([]*api.JobSetInfo, error) {
	counts, err := q.store.Count(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("count the queue's jobs: %w", err)
	}
	sets := map[armada.JobSet]wire.JobSetInfo{}
	for _, c := range counts {
		info := sets[c.JobSet]
		if c.State == armada.JobQueued {
			info.Queued += c.Jobs
		} else {
			info.Started += c.Jobs
		}
		sets[c.JobSet] = info
	}
	return wire.JobSetInfos(sets), nil
}

// GetQueues sends the queues by name, at most as many as asked for, then the
// end marker: clients take a list without it for broken.
func (q *queues) GetQueues(r *api.StreamingQueueGetRequest, stream grpc.ServerStreamingServer[api.StreamingQueueMessage]) error {
	ctx := stream.Context()
	sight, err := q.auth.Sight(ctx, auth.VerbSeeQueues)
	if err != nil {
		return err
	}
	all, err := q.store.Queues(ctx)
	if err != nil {
		return fmt.Errorf("list the queues: %w", err)
	}
	all = slices.DeleteFunc(all, func(queue armada.Queue) bool { return !sight.Sees(queue.Name) })
	if n := int(r.GetNum()); n >= 1 && n < len(all) {
		all = all[:n]
	}
	for _, queue := range all {
		message := &api.StreamingQueueMessage{Event: &api.StreamingQueueMessage_Queue{Queue: wire.QueueMessage(queue)}}
		if err := stream.Send(message); err != nil {
			return fmt.Errorf("send a queue: %w", err)
		}
	}
	if err := stream.Send(&api.StreamingQueueMessage{Event: &api.StreamingQueueMessage_End{End: &api.EndMarker{}}}); err != nil {
		return fmt.Errorf("send the end of the queues: %w", err)
	}
	return nil
}
