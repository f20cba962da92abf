package executors

import (
	"context"
	"fmt"
	"sync"

	"armada"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/pkg/api/executorapi"
	corev1 "armada/pkg/api/k8s/core/v1"
)

// Lease makes the message that lets an executor start a run.
func (s *Service) Lease(ctx context.Context, o *store.Order) (*executorapi.JobRunLease, error) {
	spec, err := s.specs.get(o)
	if err != nil {
		return nil, err
	}
	preemptible, err := s.preemptible(ctx, o.Job.Shape)
	if err != nil {
		return nil, err
	}
	if away := s.config.Away[o.Run.Away]; len(away) > 0 {
		spec = wire.Tolerating(spec, away)
	}
	return wire.Lease(o, spec, preemptible), nil
}

// preemptible tells whether jobs of a shape may lose their place.
func (s *Service) preemptible(ctx context.Context, shape armada.ShapeID) (bool, error) {
	if known, found := s.specs.class(shape); found {
		return known, nil
	}
	requirements, err := s.store.Requirements(ctx, shape)
	if err != nil {
		return false, fmt.Errorf("reading shape %s: %w", shape, err)
	}
	preemptible := s.classes[requirements.PriorityClass].Preemptible
	s.specs.setClass(shape, preemptible)
	return preemptible, nil
}

// specCache keeps decoded pod specs, which leases share and nobody changes, and
// what is known of shapes. It forgets everything when it is full.
type specCache struct {
	mu      sync.Mutex
	most    int
	table   armada.ResourceTable
	specs   map[armada.TemplateID]*corev1.PodSpec
	classes map[armada.ShapeID]bool
}

func newSpecCache(most int, table armada.ResourceTable) *specCache {
	return &specCache{most: most, table: table, specs: map[armada.TemplateID]*corev1.PodSpec{}, classes: map[armada.ShapeID]bool{}}
}

func (c *specCache) get(o *store.Order) (*corev1.PodSpec, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if spec, found := c.specs[o.Job.Template]; found {
		return spec, nil
	}
	spec, err := wire.PodSpec(o.Template)
	if err != nil {
		return nil, fmt.Errorf("decoding the pod spec of job %s: %w", o.Job.ID, err)
	}
	wire.WithoutFloating(spec, c.table)
	if len(c.specs) >= c.most {
		clear(c.specs)
	}
	c.specs[o.Job.Template] = spec
	return spec, nil
}

func (c *specCache) class(shape armada.ShapeID) (preemptible, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	preemptible, found = c.classes[shape]
	return preemptible, found
}

func (c *specCache) setClass(shape armada.ShapeID, preemptible bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.classes) >= c.most {
		clear(c.classes)
	}
	c.classes[shape] = preemptible
}
