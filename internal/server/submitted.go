package server

import (
	"context"
	"fmt"
	"slices"

	"armada"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/pkg/api"
	corev1 "armada/pkg/api/k8s/core/v1"
)

// submitted completes submitted events: they are stored without their jobs,
// which are put together here from the job and its template. It may be used by
// many goroutines.
type submitted struct {
	store store.Asking
	specs *decoded
}

// jobs returns the jobs of the submitted events in a piece. A job whose other
// data was pruned is there with what its event tells.
func (s *submitted) jobs(ctx context.Context, key store.JobSetKey, events []armada.Event) (map[armada.JobID]*api.Job, error) {
	of := map[armada.JobID]*armada.Event{}
	var ids []armada.JobID
	for i := range events {
		if e := &events[i]; e.Kind == armada.EventSubmitted {
			of[e.Job] = e
			ids = append(ids, e.Job)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	out := make(map[armada.JobID]*api.Job, len(ids))
	for piece := range slices.Chunk(ids, store.MaxPage) {
		known, err := s.store.JobsByID(ctx, piece)
		if err != nil {
			return nil, fmt.Errorf("look up submitted jobs: %w", err)
		}
		for i := range known {
			job := &known[i]
			spec, err := s.specs.get(ctx, job.Job.Template)
			if err != nil {
				return nil, err
			}
			out[job.Job.ID] = wire.Job(job, spec, of[job.Job.ID].Priority)
		}
	}
	for _, id := range ids {
		if out[id] == nil {
			out[id] = wire.ForgottenJob(key, of[id])
		}
	}
	return out, nil
}

// decoded remembers the latest templates that were read, as messages. They are
// shared and must not be changed.
type decoded struct {
	store store.Asking
	cache *lru[armada.TemplateID, *corev1.PodSpec]
}

func newDecoded(asking store.Asking, bytes int) *decoded {
	return &decoded{store: asking, cache: newLRU[armada.TemplateID, *corev1.PodSpec](bytes)}
}

// decodedFactor is about how much larger a decoded spec is than its bytes.
const decodedFactor = 8

// get returns a template decoded; an empty one when it is not kept any more.
func (d *decoded) get(ctx context.Context, id armada.TemplateID) (*corev1.PodSpec, error) {
	if spec, ok := d.cache.get(id); ok {
		return spec, nil
	}
	raw, err := d.store.Template(ctx, id)
	if armada.CodeOf(err) == armada.CodeNotFound && err != nil {
		return &corev1.PodSpec{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read a pod spec: %w", err)
	}
	spec, err := wire.PodSpec(raw)
	if err != nil {
		return nil, err
	}
	d.cache.put(id, spec, decodedFactor*len(raw))
	return spec, nil
}
