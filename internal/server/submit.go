package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc"

	"armada"
	"armada/internal/auth"
	"armada/internal/podspec"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/internal/wire/submitview"
	"armada/pkg/api"
)

// submitService is api.Submit: what users of all years call. The queue methods
// are those of [queues], shared with api.QueueService.
type submitService struct {
	unimplementedSubmit
	*queues
	*changes

	auth   *auth.Authorizer
	store  store.Store
	specs  *specs
	ids    *ids
	most   int // jobs per request
	health *health
}

// unimplementedSubmit answers by name what submitService does not have: it is
// one level below so that embedded services come first.
type unimplementedSubmit struct{ api.UnimplementedSubmitServer }

// register registers the service with a handler of its own for SubmitJobs: that
// request is decoded into a view that leaves pod specs encoded.
func (s *submitService) register(r grpc.ServiceRegistrar) {
	desc := api.Submit_ServiceDesc
	desc.Methods = slices.Clone(desc.Methods)
	i := slices.IndexFunc(desc.Methods, func(m grpc.MethodDesc) bool { return m.MethodName == "SubmitJobs" })
	desc.Methods[i].Handler = s.handleSubmitJobs
	r.RegisterService(&desc, s)
}

func (s *submitService) handleSubmitJobs(_ any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) { //nolint:revive // gRPC's own order of arguments
	request := &submitview.JobSubmitRequest{}
	if err := decode(request); err != nil {
		return nil, err
	}
	handle := func(ctx context.Context, _ any) (any, error) { return s.submit(ctx, request) }
	if intercept == nil {
		return handle(ctx, request)
	}
	return intercept(ctx, request, &grpc.UnaryServerInfo{Server: s, FullMethod: api.Submit_SubmitJobs_FullMethodName}, handle)
}

// submit takes the jobs of a request in, all or none.
func (s *submitService) submit(ctx context.Context, request *submitview.JobSubmitRequest) (*api.JobSubmitResponse, error) {
	caller, err := s.auth.Authorize(ctx, armada.VerbSubmit, request.GetQueue())
	if err != nil {
		return nil, err
	}
	if n := len(request.GetJobRequestItems()); n > s.most {
		return nil, violations{{Path: "job_request_items", Message: fmt.Sprintf("has %d items, at most %d are taken at once", n, s.most)}}.err("the jobs were not submitted")
	}
	checked := submission{specs: s.specs, request: request}
	items := checked.check()
	if err := checked.refusal(); err != nil {
		return nil, err
	}
	if err := s.inNamespaces(ctx, request); err != nil {
		return nil, err
	}
	made, err := s.ids.next(len(items))
	if err != nil {
		return nil, err
	}
	batch := store.Submission{
		Queue:     request.GetQueue(),
		JobSet:    armada.JobSet(request.GetJobSetId()),
		Jobs:      make([]store.NewJob, len(items)),
		Templates: map[armada.TemplateID][]byte{},
		Shapes:    map[armada.ShapeID]*armada.Requirements{},
	}
	for i, asked := range request.GetJobRequestItems() {
		it := &items[i]
		batch.Jobs[i] = newJob(made[i], asked, it, caller)
		if key, value, wanted := s.specs.rules.GangLabel(it.gang); wanted {
			batch.Jobs[i].Details.Labels = with(batch.Jobs[i].Details.Labels, key, value)
		}
		batch.Templates[it.spec.template] = it.spec.canonical
		batch.Shapes[it.needs.shape] = it.needs.requirements
	}
	taken, err := s.store.Submit(ctx, batch)
	if armada.CodeOf(err) == armada.CodeNotFound {
		return nil, noQueue(ctx, s.auth, s.store, request.GetQueue())
	}
	var late *store.GangError
	if errors.As(err, &late) {
		return nil, checked.late(late)
	}
	if err != nil {
		return nil, fmt.Errorf("submit %d jobs: %w", len(items), err)
	}
	answer := &api.JobSubmitResponse{JobResponseItems: make([]*api.JobSubmitResponseItem, len(taken))}
	answers := make([]api.JobSubmitResponseItem, len(taken))
	for i := range taken {
		answers[i].JobId = string(taken[i].ID)
		answer.JobResponseItems[i] = &answers[i]
	}
	return answer, nil
}

// inNamespaces refuses jobs in namespaces that the queue's jobs may not use.
func (s *submitService) inNamespaces(ctx context.Context, request *submitview.JobSubmitRequest) error {
	allowed, limited, err := s.auth.Namespaces(ctx, request.GetQueue())
	if armada.CodeOf(err) == armada.CodeNotFound {
		return noQueue(ctx, s.auth, s.store, request.GetQueue())
	}
	if err != nil || !limited {
		return err
	}
	for i, asked := range request.GetJobRequestItems() {
		if name := cmp.Or(asked.GetNamespace(), wire.DefaultNamespace); !slices.Contains(allowed, name) {
			return &armada.Error{Code: armada.CodeDenied, Message: fmt.Sprintf(
				"job_request_items[%d].namespace: jobs of the queue %q may not run in the namespace %q, but in %s (the queue's label %s)",
				i, request.GetQueue(), name, strings.Join(allowed, ", "), auth.NamespacesLabel)}
		}
	}
	return nil
}

// refusal is the error of a request that is not valid: every violation, and one
// entry for each bad item as armadactl of 2026 prints it.
func (s *submission) refusal() error {
	if len(s.wrong) == 0 {
		return nil
	}
	return s.refuse(armada.CodeInvalid)
}

// late is the error of a valid request of which one item is a member for whom its
// gang has no place.
func (s *submission) late(why *store.GangError) error {
	annotation := podspec.AnnotationGangID
	if why.Disagrees() {
		annotation = podspec.AnnotationGangCardinality
	}
	s.wrong.add(fmt.Sprintf("job_request_items[%d].annotations[%s]", why.Job, annotation), why.Why())
	s.perItem = map[int]int{why.Job: 1}
	return s.refuse(armada.CodePrecondition)
}

func (s *submission) refuse(code armada.ErrorCode) error {
	perItem := &api.JobSubmitResponse{}
	for _, i := range slices.Sorted(maps.Keys(s.perItem)) {
		prefix := fmt.Sprintf("job_request_items[%d].", i)
		var texts []string
		for _, v := range s.wrong {
			if strings.HasPrefix(v.Path, prefix) {
				texts = append(texts, strings.TrimPrefix(v.Path, prefix)+" "+v.Message)
			}
		}
		perItem.JobResponseItems = append(perItem.JobResponseItems, &api.JobSubmitResponseItem{
			JobId: prefix[:len(prefix)-1], Error: clip(strings.Join(texts, "; "), 4096),
		})
	}
	refused := &armada.Error{Code: code, Message: "none of the jobs was submitted", Violations: s.wrong}
	return &detailed{error: refused, detail: perItem}
}

// newJob puts a job together. Labels and annotations may name the job's id; the
// spec may not, so that jobs share it.
func newJob(id armada.JobID, asked *submitview.JobSubmitRequestItem, it *item, owner auth.Principal) store.NewJob {
	annotations := withID(asked.GetAnnotations(), id)
	return store.NewJob{
		Job: armada.Job{
			ID:       id,
			Owner:    owner.Name,
			Groups:   owner.Groups,
			ClientID: asked.GetClientId(),
			Priority: it.priority,
			Template: it.spec.template,
			Shape:    it.needs.shape,
			Gang:     it.gang,
			Band:     it.band,
		},
		Details: armada.JobDetails{
			Namespace:   cmp.Or(asked.GetNamespace(), wire.DefaultNamespace),
			Labels:      withID(asked.GetLabels(), id),
			Annotations: annotations,
			ExternalURI: cmp.Or(asked.GetExternalJobUri(), annotations[annotationEU]),
			Scheduler:   asked.GetScheduler(),
			Ingresses:   wire.Ingresses(asked.GetIngress()),
			Services:    wire.Services(asked.GetServices()),
		},
	}
}

// with returns the texts with one more, and leaves those given alone.
func with(texts map[string]string, key, value string) map[string]string {
	more := maps.Clone(texts)
	if more == nil {
		more = map[string]string{}
	}
	more[key] = value
	return more
}

const idMark = "{JobId}"

// withID puts the job's id where values say {JobId}; {{JobId}} stands for the
// mark itself.
func withID(texts map[string]string, id armada.JobID) map[string]string {
	var replace *strings.Replacer
	for key, value := range texts {
		if !strings.Contains(value, idMark) {
			continue
		}
		if replace == nil {
			replace = strings.NewReplacer("{"+idMark+"}", idMark, idMark, string(id))
			texts = maps.Clone(texts)
		}
		texts[key] = replace.Replace(value)
	}
	return texts
}
