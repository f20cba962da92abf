package codec

import (
	"fmt"
	"math"

	"armada"
)

// AppendFixed appends the part of a job that is set at submission and that the
// scheduler needs: owner, groups, client id, gang, price band. Ids, queue, job set, number,
// template, shape and time of submission are columns of their own.
//
// Fields: owner 1, group 2 (repeated), client id 3, gang 4 (id 1, cardinality
// 2, uniformity label 3, fail fast 4), price band 5.
func AppendFixed(b []byte, job *armada.Job) []byte {
	r := record(append(b, version))
	r.string(1, job.Owner)
	for _, g := range job.Groups {
		r.alwaysString(2, g)
	}
	r.string(3, job.ClientID)
	if job.Gang != (armada.Gang{}) {
		r.nested(4, func(r *record) {
			r.string(1, job.Gang.ID)
			r.int(2, int64(job.Gang.Cardinality))
			r.string(3, job.Gang.UniformityLabel)
			r.bool(4, job.Gang.FailFast)
		})
	}
	r.uint(5, uint64(job.Band))
	return r
}

// DecodeFixed sets the fields that AppendFixed writes.
func DecodeFixed(b []byte, job *armada.Job) error {
	f, err := open(b)
	if err != nil {
		return fmt.Errorf("job: %w", err)
	}
	for f.next() {
		switch f.number {
		case 1:
			job.Owner = f.str()
		case 2:
			job.Groups = append(job.Groups, f.str())
		case 3:
			job.ClientID = f.str()
		case 4:
			f.nested(func(f *fields) { readGang(f, &job.Gang) })
		case 5:
			job.Band = armada.PriceBand(f.uint())
		}
	}
	return wrap("job", f.err)
}

func readGang(f *fields, g *armada.Gang) {
	for f.next() {
		switch f.number {
		case 1:
			g.ID = f.str()
		case 2:
			g.Cardinality = int(f.int())
		case 3:
			g.UniformityLabel = f.str()
		case 4:
			g.FailFast = f.bool()
		}
	}
}

// AppendLife appends the part of a job that its transitions change, with its
// current or latest run: everything but the state of the job. Run is ignored
// for a job that was never leased.
//
// Fields: version 1, priority 2, transitioned 3, attempts 4, reason 5, wish 6
// (kind 1, by 2, why 3, for 4, at 5), run 7 (see AppendRun), lessons 8 (returned
// 1, retried 2, avoid 3 (repeated), memory's factor 4 and extra 5), told 9.
func AppendLife(b []byte, job *armada.Job, run *armada.Run) []byte {
	r := record(append(b, version))
	r.int(1, job.Version)
	r.uint(2, uint64(job.Priority))
	r.time(3, job.Transitioned)
	r.int(4, int64(job.Attempts))
	r.string(5, job.Reason)
	if job.Wish != (armada.Wish{}) {
		r.nested(6, func(r *record) {
			r.uint(1, uint64(job.Wish.Kind))
			r.string(2, job.Wish.By)
			r.string(3, job.Wish.Why)
			r.string(4, string(job.Wish.For))
			r.time(5, job.Wish.At)
		})
	}
	if job.Attempts > 0 && run != nil {
		r.nested(7, func(r *record) { appendRun(r, run) })
	}
	if l := job.Lessons; l != nil {
		r.nested(8, func(r *record) { appendLessons(r, l) })
	}
	r.time(9, job.Told)
	return r
}

// DecodeLife sets the fields that AppendLife writes. The job's id must be set;
// run is set when the job was ever leased.
func DecodeLife(b []byte, job *armada.Job, run *armada.Run) error {
	f, err := open(b)
	if err != nil {
		return fmt.Errorf("job's life: %w", err)
	}
	for f.next() {
		switch f.number {
		case 1:
			job.Version = f.int()
		case 2:
			job.Priority = uint32(f.uint())
		case 3:
			job.Transitioned = f.time()
		case 4:
			job.Attempts = int(f.int())
		case 5:
			job.Reason = f.str()
		case 6:
			f.nested(func(f *fields) { readWish(f, &job.Wish) })
		case 7:
			f.nested(func(f *fields) { readRun(f, job.ID, run) })
		case 8:
			job.Lessons = &armada.Lessons{}
			f.nested(func(f *fields) { readLessons(f, job.Lessons) })
		case 9:
			job.Told = f.time()
		}
	}
	return wrap("job's life", f.err)
}

func readWish(f *fields, w *armada.Wish) {
	for f.next() {
		switch f.number {
		case 1:
			w.Kind = armada.WishKind(f.uint())
		case 2:
			w.By = f.str()
		case 3:
			w.Why = f.str()
		case 4:
			w.For = armada.JobID(f.str())
		case 5:
			w.At = f.time()
		}
	}
}

func appendLessons(r *record, l *armada.Lessons) {
	r.int(1, int64(l.Returned))
	r.int(2, int64(l.Retried))
	for _, node := range l.Avoid {
		r.alwaysString(3, node)
	}
	r.uint(4, math.Float64bits(l.Memory.Factor))
	r.int(5, l.Memory.Extra)
}

func readLessons(f *fields, l *armada.Lessons) {
	for f.next() {
		switch f.number {
		case 1:
			l.Returned = int(f.int())
		case 2:
			l.Retried = int(f.int())
		case 3:
			l.Avoid = append(l.Avoid, f.str())
		case 4:
			l.Memory.Factor = math.Float64frombits(f.uint())
		case 5:
			l.Memory.Extra = f.int()
		}
	}
}

// AppendDetails appends a job's details.
//
// Fields: namespace 1, label 2, annotation 3 (pairs), external URI 4, scheduler
// 5, ingress 6 (port 1, annotation 2, TLS 3, certificate 4, cluster IP 5),
// service 7 (headless 1, port 2, name 3).
func AppendDetails(b []byte, d *armada.JobDetails) []byte {
	r := record(append(b, version))
	r.string(1, d.Namespace)
	r.pairs(2, d.Labels)
	r.pairs(3, d.Annotations)
	r.string(4, d.ExternalURI)
	r.string(5, d.Scheduler)
	for i := range d.Ingresses {
		in := &d.Ingresses[i]
		r.nested(6, func(r *record) {
			for _, p := range in.Ports {
				r.alwaysUint(1, uint64(p))
			}
			r.pairs(2, in.Annotations)
			r.bool(3, in.TLS)
			r.string(4, in.CertName)
			r.bool(5, in.UseClusterIP)
		})
	}
	for i := range d.Services {
		s := &d.Services[i]
		r.nested(7, func(r *record) {
			r.bool(1, s.Headless)
			for _, p := range s.Ports {
				r.alwaysUint(2, uint64(p))
			}
			r.string(3, s.Name)
		})
	}
	return r
}

// DecodeDetails reads what AppendDetails wrote.
func DecodeDetails(b []byte) (armada.JobDetails, error) {
	var d armada.JobDetails
	f, err := open(b)
	if err != nil {
		return d, fmt.Errorf("job details: %w", err)
	}
	for f.next() {
		switch f.number {
		case 1:
			d.Namespace = f.str()
		case 2:
			d.Labels = f.pair(d.Labels)
		case 3:
			d.Annotations = f.pair(d.Annotations)
		case 4:
			d.ExternalURI = f.str()
		case 5:
			d.Scheduler = f.str()
		case 6:
			var in armada.IngressRequest
			f.nested(func(f *fields) { readIngress(f, &in) })
			d.Ingresses = append(d.Ingresses, in)
		case 7:
			var s armada.ServiceRequest
			f.nested(func(f *fields) { readService(f, &s) })
			d.Services = append(d.Services, s)
		}
	}
	return d, wrap("job details", f.err)
}

func readIngress(f *fields, in *armada.IngressRequest) {
	for f.next() {
		switch f.number {
		case 1:
			in.Ports = append(in.Ports, uint32(f.uint()))
		case 2:
			in.Annotations = f.pair(in.Annotations)
		case 3:
			in.TLS = f.bool()
		case 4:
			in.CertName = f.str()
		case 5:
			in.UseClusterIP = f.bool()
		}
	}
}

func readService(f *fields, s *armada.ServiceRequest) {
	for f.next() {
		switch f.number {
		case 1:
			s.Headless = f.bool()
		case 2:
			s.Ports = append(s.Ports, uint32(f.uint()))
		case 3:
			s.Name = f.str()
		}
	}
}

// wrap names what could not be read.
func wrap(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
