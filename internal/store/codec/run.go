package codec

import (
	"fmt"

	"armada"
)

// AppendRun appends a run. Its job is not stored.
//
// Fields: attempt 1, id 2 (only if it is not the job's attempt-th), executor 3,
// node 4, pool 5, after 6 (repeated), state 7, version 8, pod 9, end 10,
// leased 11, pending 12, started 13, finished 14, away 15,
// polled 16 (delivered 1, renewed 2, done 3, returned 4, stuck 5),
// addresses 17 (repeated: port 1, address 2).
func AppendRun(b []byte, run *armada.Run) []byte {
	r := record(append(b, version))
	appendRun(&r, run)
	return r
}

func appendRun(r *record, run *armada.Run) {
	r.int(1, int64(run.Attempt))
	if n, ok := attemptOf(run.ID, run.Job); !ok || n != run.Attempt {
		r.alwaysString(2, string(run.ID))
	}
	r.string(3, string(run.Executor))
	r.string(4, run.Node)
	r.string(5, run.Pool)
	for _, id := range run.After {
		r.alwaysString(6, string(id))
	}
	r.uint(7, uint64(run.State))
	r.int(8, run.Version)
	if run.Pod != (armada.Pod{}) {
		r.nested(9, func(r *record) { appendPod(r, &run.Pod) })
	}
	if e := &run.End; e.Cause != 0 || e.Reason != "" || e.Category != "" || e.Subcategory != "" || e.Debug != "" || len(e.Containers) > 0 {
		r.nested(10, func(r *record) { appendEnd(r, e) })
	}
	r.time(11, run.Leased)
	r.time(12, run.Pending)
	r.time(13, run.Started)
	r.time(14, run.Finished)
	r.string(15, run.Away)
	if p := &run.Polled; *p != (armada.Polled{}) {
		r.nested(16, func(r *record) {
			r.time(1, p.Delivered)
			r.time(2, p.Renewed)
			r.time(3, p.Done)
			r.time(4, p.Returned)
		})
	}
	appendAddresses(r, 17, run.Addresses)
	r.string(18, run.Stuck)
}

// DecodeRun reads what AppendRun wrote of a run of the job.
func DecodeRun(b []byte, job armada.JobID) (armada.Run, error) {
	var run armada.Run
	f, err := open(b)
	if err != nil {
		return run, fmt.Errorf("run: %w", err)
	}
	readRun(&f, job, &run)
	return run, wrap("run", f.err)
}

func readRun(f *fields, job armada.JobID, run *armada.Run) {
	named := false
	run.Job = job
	for f.next() {
		switch f.number {
		case 1:
			run.Attempt = int(f.int())
		case 2:
			run.ID, named = armada.RunID(f.str()), true
		case 3:
			run.Executor = armada.ExecutorID(f.str())
		case 4:
			run.Node = f.str()
		case 5:
			run.Pool = f.str()
		case 6:
			run.After = append(run.After, armada.RunID(f.str()))
		case 7:
			run.State = armada.RunState(f.uint())
		case 8:
			run.Version = f.int()
		case 9:
			f.nested(func(f *fields) { readPod(f, &run.Pod) })
		case 10:
			f.nested(func(f *fields) { readEnd(f, &run.End) })
		case 11:
			run.Leased = f.time()
		case 12:
			run.Pending = f.time()
		case 13:
			run.Started = f.time()
		case 14:
			run.Finished = f.time()
		case 15:
			run.Away = f.str()
		case 16:
			f.nested(func(f *fields) { readPolled(f, run) })
		case 17:
			readAddress(f, &run.Addresses)
		case 18:
			run.Stuck = f.str()
		}
	}
	if !named {
		run.ID = armada.NewRunID(job, run.Attempt)
	}
}

func readPolled(f *fields, run *armada.Run) {
	p := &run.Polled
	for f.next() {
		switch f.number {
		case 1:
			p.Delivered = f.time()
		case 2:
			p.Renewed = f.time()
		case 3:
			p.Done = f.time()
		case 4:
			p.Returned = f.time()
		case 5: // where it was written before it had a field of its own
			run.Stuck = f.str()
		}
	}
}

// A pod's fields: name 1, namespace 2, Kubernetes id 3, number 4.
func appendPod(r *record, p *armada.Pod) {
	r.string(1, p.Name)
	r.string(2, p.Namespace)
	r.string(3, p.KubernetesID)
	r.int(4, int64(p.Number))
}

func readPod(f *fields, p *armada.Pod) {
	for f.next() {
		switch f.number {
		case 1:
			p.Name = f.str()
		case 2:
			p.Namespace = f.str()
		case 3:
			p.KubernetesID = f.str()
		case 4:
			p.Number = int32(f.int())
		}
	}
}

// An end's fields: cause 1, reason 2, category 3, subcategory 4, debug 5,
// container 6 (name 1, exit code 2, cause 3, reason 4, message 5).
func appendEnd(r *record, e *armada.RunEnd) {
	r.uint(1, uint64(e.Cause))
	r.string(2, e.Reason)
	r.string(3, e.Category)
	r.string(4, e.Subcategory)
	r.string(5, e.Debug)
	for i := range e.Containers {
		c := &e.Containers[i]
		r.nested(6, func(r *record) {
			r.string(1, c.Name)
			r.int(2, int64(c.ExitCode))
			r.uint(3, uint64(c.Cause))
			r.string(4, c.Reason)
			r.string(5, c.Message)
		})
	}
}

func readEnd(f *fields, e *armada.RunEnd) {
	for f.next() {
		switch f.number {
		case 1:
			e.Cause = armada.Cause(f.uint())
		case 2:
			e.Reason = f.str()
		case 3:
			e.Category = f.str()
		case 4:
			e.Subcategory = f.str()
		case 5:
			e.Debug = f.str()
		case 6:
			var c armada.ContainerEnd
			f.nested(func(f *fields) { readContainer(f, &c) })
			e.Containers = append(e.Containers, c)
		}
	}
}

func readContainer(f *fields, c *armada.ContainerEnd) {
	for f.next() {
		switch f.number {
		case 1:
			c.Name = f.str()
		case 2:
			c.ExitCode = int32(f.int())
		case 3:
			c.Cause = armada.Cause(f.uint())
		case 4:
			c.Reason = f.str()
		case 5:
			c.Message = f.str()
		}
	}
}
