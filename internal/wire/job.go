package wire

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"armada"
	"armada/internal/store"
	"armada/pkg/api"
	corev1 "armada/pkg/api/k8s/core/v1"
)

// PodSpec decodes the bytes of a template.
func PodSpec(template []byte) (*corev1.PodSpec, error) {
	spec := &corev1.PodSpec{}
	if err := proto.Unmarshal(template, spec); err != nil {
		return nil, fmt.Errorf("decode a pod spec: %w", err)
	}
	return spec, nil
}

// Job writes a job as watchers see it in its submitted event, with the priority
// that it had then. The spec is always in the field that clients of all years
// read; it is shared and must not be changed.
func Job(full *store.FullJob, spec *corev1.PodSpec, priority uint32) *api.Job {
	job, details := &full.Job, &full.Details
	return &api.Job{
		Id:                       string(job.ID),
		JobSetId:                 string(job.JobSet),
		Queue:                    job.Queue,
		Priority:                 float64(priority),
		PodSpec:                  spec, // the field that clients of all years read
		Created:                  timestamp(job.Submitted),
		Namespace:                details.Namespace,
		Owner:                    job.Owner,
		QueueOwnershipUserGroups: job.Groups,
		Labels:                   details.Labels,
		Annotations:              details.Annotations,
		ClientId:                 job.ClientID,
		Ingress:                  ingressMessages(details.Ingresses),
		Services:                 serviceMessages(details.Services),
		Scheduler:                details.Scheduler,
	}
}

// ForgottenJob writes what an event alone tells of a job whose other data was
// pruned, so that watchers find a job in every submitted event.
func ForgottenJob(key store.JobSetKey, e *armada.Event) *api.Job {
	return &api.Job{
		Id:        string(e.Job),
		JobSetId:  string(key.JobSet),
		Queue:     key.Queue,
		Priority:  float64(e.Priority),
		PodSpec:   &corev1.PodSpec{}, // the field that clients of all years read
		Created:   timestamp(e.Created),
		Namespace: DefaultNamespace,
	}
}

// DefaultNamespace is the namespace of jobs that name none.
const DefaultNamespace = "default"

// Ingresses turns requested ingresses into ours.
func Ingresses(in []*api.IngressConfig) []armada.IngressRequest {
	var out []armada.IngressRequest
	for _, i := range in {
		out = append(out, armada.IngressRequest{
			Ports: i.GetPorts(), Annotations: i.GetAnnotations(), TLS: i.GetTlsEnabled(), CertName: i.GetCertName(), UseClusterIP: i.GetUseClusterIP(),
		})
	}
	return out
}

// Services turns requested services into ours.
func Services(in []*api.ServiceConfig) []armada.ServiceRequest {
	var out []armada.ServiceRequest
	for _, s := range in {
		out = append(out, armada.ServiceRequest{Headless: s.GetType() == api.ServiceType_Headless, Ports: s.GetPorts(), Name: s.GetName()})
	}
	return out
}

func ingressMessages(in []armada.IngressRequest) []*api.IngressConfig {
	var out []*api.IngressConfig
	for _, i := range in {
		out = append(out, &api.IngressConfig{
			Ports: i.Ports, Annotations: i.Annotations, TlsEnabled: i.TLS, CertName: i.CertName, UseClusterIP: i.UseClusterIP,
		})
	}
	return out
}

func serviceMessages(in []armada.ServiceRequest) []*api.ServiceConfig {
	var out []*api.ServiceConfig
	for _, s := range in {
		kind := api.ServiceType_NodePort
		if s.Headless {
			kind = api.ServiceType_Headless
		}
		out = append(out, &api.ServiceConfig{Type: kind, Ports: s.Ports, Name: s.Name})
	}
	return out
}

// JobDetails writes a job for the query service. The spec may be nil when it
// was not asked for; runs are written latest first.
func JobDetails(full *store.FullJob, spec *corev1.PodSpec, withRuns bool) *api.JobDetails {
	job := &full.Job
	out := &api.JobDetails{
		JobId:            string(job.ID),
		Queue:            job.Queue,
		Jobset:           string(job.JobSet),
		Namespace:        full.Details.Namespace,
		State:            JobState(job.State),
		SubmittedTs:      timestamp(job.Submitted),
		LastTransitionTs: timestamp(job.Transitioned),
	}
	if run, leased := job.Run(); leased {
		out.LatestRunId = string(run)
	}
	if by, why, cancelled := job.Cancellation(); cancelled {
		out.CancelUser, out.CancelReason, out.CancelTs = by, why, timestamp(job.Wish.At)
		if job.Wish.At.IsZero() {
			out.CancelTs = timestamp(job.Transitioned)
		}
	}
	if spec != nil {
		out.JobSpec = Job(full, spec, job.Priority)
	}
	if withRuns {
		for i := len(full.Runs) - 1; i >= 0; i-- {
			out.JobRuns = append(out.JobRuns, RunDetails(&full.Runs[i]))
		}
	}
	return out
}

// RunDetails writes a run for the query service.
func RunDetails(r *armada.Run) *api.JobRunDetails {
	return &api.JobRunDetails{
		RunId:      string(r.ID),
		JobId:      string(r.Job),
		State:      RunState(r),
		Cluster:    string(r.Executor),
		Node:       r.Node,
		LeasedTs:   timestamp(r.Leased),
		PendingTs:  timestamp(r.Pending),
		StartedTs:  timestamp(r.Started),
		FinishedTs: timestamp(r.Finished),

		IngressAddresses: r.Addresses,
	}
}
