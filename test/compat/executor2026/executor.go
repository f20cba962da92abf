package executor2026

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"

	"armada/test/compat/wiretable"
)

// Rhythm is how often an executor does what it does.
type Rhythm struct{ Request, MakePods, Report time.Duration }

// Every is the rhythm of the original, so many times as fast.
func Every(faster int) Rhythm {
	return Rhythm{Request: 5 * time.Second / time.Duration(faster), MakePods: 5 * time.Second / time.Duration(faster), Report: 2 * time.Second / time.Duration(faster)}
}

// Executor is one life of an executor of 2026.
type Executor struct {
	id      string
	conn    grpc.ClientConnInterface
	cluster *Cluster
	rhythm  Rhythm

	// The goroutine of Run owns these.
	runs map[string]*run

	mu         sync.Mutex
	remembered int
	wrong      []string
}

// run is what an executor remembers of a run.
type run struct {
	lease  proto.Message // nil when it was found by its pod
	pod    *kubePod      // nil before it is made
	failed bool          // it never got a pod
}

// New makes an executor of a cluster. It finds the pods that are there already.
func New(id string, conn grpc.ClientConnInterface, cluster *Cluster, rhythm Rhythm) *Executor {
	e := &Executor{id: id, conn: conn, cluster: cluster, rhythm: rhythm, runs: map[string]*run{}}
	for _, p := range cluster.look() {
		e.runs[p.run] = &run{pod: p}
	}
	return e
}

// Run works until the context ends.
func (e *Executor) Run(ctx context.Context) {
	request, pods, report := time.NewTicker(e.rhythm.Request), time.NewTicker(e.rhythm.MakePods), time.NewTicker(e.rhythm.Report)
	defer request.Stop()
	defer pods.Stop()
	defer report.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-request.C:
			e.ask(ctx)
		case <-pods.C:
			e.makePods()
		case <-report.C:
			e.report(ctx)
		}
	}
}

// Wrong tells what happened that would have ended a real executor, stopped it or
// lost it something.
func (e *Executor) Wrong() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.wrong)
}

// Remembers is how many runs the executor had in mind after its latest request.
func (e *Executor) Remembers() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.remembered
}

func (e *Executor) blame(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.wrong = append(e.wrong, fmt.Sprintf(format, args...))
}

// ask makes a request and does what it is told. When it fails, all that came is
// lost, and the next one asks again.
func (e *Executor) ask(ctx context.Context) {
	pods := e.cluster.look()
	onNode, most := map[string]map[string]any{}, 100
	var unassigned []string
	for id, r := range e.runs {
		switch {
		case r.pod != nil && !r.pod.vanished && slices.Contains(pods, r.pod) && (!r.pod.ended || !r.pod.told()):
			if onNode[r.pod.node] == nil {
				onNode[r.pod.node] = map[string]any{}
			}
			onNode[r.pod.node][id] = 2
		case r.pod != nil && r.pod.vanished && !r.pod.ended:
			// The pod was deleted, and now it is gone: so is the run.
			delete(e.runs, id)
		default:
			unassigned = append(unassigned, id)
			if r.pod == nil && !r.failed {
				most = 0
			}
		}
	}
	var nodes []wiretable.Fields
	for _, n := range e.cluster.nodes {
		nodes = append(nodes, e.cluster.describe(n, onNode[n]))
	}
	answer, err := Ask(ctx, e.conn, wiretable.Fields{
		"executor_id": e.id, "pool": "default", "max_jobs_to_lease": most, "unassigned_job_run_ids": unassigned, "nodes": nodes,
		"resources": map[string]any{"cpu": amount("-2")},
	})
	if err != nil {
		return
	}
	if answer.Closing > time.Second {
		e.blame("the stream was closed %s after the end marker", answer.Closing)
	}
	if len(answer.Leases) > most {
		e.blame("%d leases where %d were asked for", len(answer.Leases), most)
	}
	for _, id := range answer.Cancels {
		e.cancel(id)
	}
	for _, l := range answer.Leases {
		e.accept(l)
	}
	e.mu.Lock()
	e.remembered = len(e.runs)
	e.mu.Unlock()
}

// cancel forgets a run, or deletes its pod unless the pod's end was reported.
func (e *Executor) cancel(id string) {
	r := e.runs[id]
	switch {
	case r == nil:
	case r.pod == nil, r.pod.vanished, r.pod.ended && r.pod.told():
		delete(e.runs, id)
	default:
		if r.pod.ended {
			e.blame("run %s is to be forgotten before the note that its end was told is on its pod: its log is lost", id)
		}
		e.cluster.remove(r.pod)
	}
}

// accept remembers a lease. It looks at everything that the original uses without
// a check.
func (e *Executor) accept(l proto.Message) {
	id := wiretable.At(l, "job_run_id").String()
	if _, known := e.runs[id]; known {
		e.blame("run %s was leased although it was reported", id)
		return
	}
	for _, path := range [][]string{{"queue"}, {"jobset"}, {"job", "job_id"}, {"job", "objectMeta", "namespace"}, {"job", "mainObject", "pod_spec", "pod_spec"}} {
		names := wiretable.Path(path...)
		if !wiretable.Has(l, names...) {
			e.blame("the lease of run %s has no %v", id, path)
			return
		}
	}
	if wiretable.Texts(l, "job", "objectMeta", "annotations")["armadaproject.io/pool"] == "" {
		e.blame("the lease of run %s does not tell the pool", id)
	}
	e.runs[id] = &run{lease: l}
}

// makePods makes the pods of runs that have none.
func (e *Executor) makePods() {
	for id, r := range e.runs {
		if r.pod != nil || r.failed {
			continue
		}
		spec := &corev1.PodSpec{}
		if err := spec.Unmarshal(wiretable.At(r.lease, "job", "mainObject", "pod_spec", "pod_spec").Bytes()); err != nil {
			e.blame("the pod spec of run %s cannot be read: %v", id, err)
			continue
		}
		job := wiretable.At(r.lease, "job", "job_id").String()
		p := &kubePod{
			name: "armada-" + job + "-0", namespace: wiretable.At(r.lease, "job", "objectMeta", "namespace").String(), job: job, run: id,
			queue: wiretable.At(r.lease, "queue").String(), set: wiretable.At(r.lease, "jobset").String(),
			node: e.cluster.place(spec), cores: spec.Containers[0].Resources.Requests.Cpu().Value(), runtime: e.cluster.Runtime,
		}
		if p.node == "" {
			e.blame("run %s is for a node with %v, and there is none: its pod stays pending", id, spec.NodeSelector)
			continue
		}
		if text := wiretable.Texts(r.lease, "job", "objectMeta", "annotations")["runtime"]; text != "" {
			p.runtime, _ = time.ParseDuration(text)
		}
		if err := e.cluster.make(p); err != nil {
			e.blame("the pod of run %s: %v", id, err)
			r.failed = true
			continue
		}
		r.pod = p
	}
}

// report tells in one list what was not told yet of the pods, and notes on them
// that it was, if the list was taken.
func (e *Executor) report(ctx context.Context) {
	type told struct {
		pod   *kubePod
		phase string
	}
	var all []told
	var sequences []wiretable.Fields
	for _, p := range e.cluster.look() {
		for _, phase := range p.phases() {
			if p.reported[phase] || !p.deleted.IsZero() {
				continue
			}
			all = append(all, told{p, phase})
			info := wiretable.Fields{"pod_number": 0, "node_name": p.node}
			if phase == "jobRunAssigned" {
				info["node_name"] = ""
			}
			sequences = append(sequences, wiretable.Fields{"queue": p.queue, "job_set_name": p.set, "events": []wiretable.Fields{{
				"created": time.Now(),
				phase: wiretable.Fields{"job_id": p.job, "run_id": p.run, "resourceInfos": []wiretable.Fields{{
					"objectMeta": wiretable.Fields{"executor_id": e.id, "namespace": p.namespace, "name": p.name, "kubernetes_id": "uid-" + p.run},
					"podInfo":    info,
				}}},
			}}})
		}
	}
	if len(all) == 0 || Report(ctx, e.conn, sequences...) != nil {
		return
	}
	for _, t := range all {
		e.cluster.note(t.pod, t.phase)
	}
}
