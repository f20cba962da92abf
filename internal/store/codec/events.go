package codec

import (
	"encoding/binary"
	"fmt"
	"time"

	"armada"
)

// The fields of an event. Strings marked with * are written as bytes when they
// differ from those of the latest event of the block that has the field, and
// as the varint 1 when they are equal.
const (
	eventKind      = 1
	eventCreated   = 2  // microseconds since the event before, zigzag
	eventJob       = 3  // left out when equal to that of the event before
	eventJobULID   = 4  // the same as 16 bytes
	eventAttempt   = 5  // the run is this attempt of the job
	eventRun       = 6  // a run that is not
	eventExecutor  = 7  // *
	eventPool      = 8  // *
	eventNode      = 9  // *
	eventPod       = 10 // nested
	eventBy        = 11 // *
	eventReason    = 12 // *
	eventPriority  = 13
	eventFor       = 14
	eventEnd       = 15 // nested
	eventRetryable = 16
	eventAttempted = 17
	eventAddress   = 18 // nested, repeated: port 1, address 2
	eventUsage     = 19 // nested: maps max 1, average 2, cumulative 3
)

// AppendBlock appends the bytes of a block of events to b and returns it. The
// events' numbers are not stored: they follow from that of the first.
func AppendBlock(b []byte, events []armada.Event) []byte {
	r := record(append(b, version))
	r = binary.AppendUvarint(r, uint64(len(events)))
	var w blockWriter
	for i := range events {
		w.append(&r, &events[i])
	}
	return r
}

// blockWriter remembers what the next event's fields are compared with.
type blockWriter struct {
	job     armada.JobID
	created int64
	same    [eventReason + 1]string
}

func (w *blockWriter) append(r *record, e *armada.Event) {
	start := len(*r)
	// Nearly every event takes less than 128 bytes: leave one for the length.
	*r = append(*r, 0)
	w.fields(r, e)
	size := len(*r) - start - 1
	if size < 0x80 {
		(*r)[start] = byte(size)
		return
	}
	var head [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(size))
	*r = append(*r, head[:n-1]...)
	copy((*r)[start+n:], (*r)[start+1:start+1+size])
	copy((*r)[start:], head[:n])
}

func (w *blockWriter) fields(r *record, e *armada.Event) {
	r.uint(eventKind, uint64(e.Kind))
	created := e.Created.UnixMicro()
	r.int(eventCreated, created-w.created)
	w.created = created
	if e.Job != w.job {
		w.job = e.Job
		if id, ok := packULID(string(e.Job)); ok {
			r.alwaysString(eventJobULID, string(id[:]))
		} else {
			r.alwaysString(eventJob, string(e.Job))
		}
	}
	if e.Run != "" {
		if attempt, ok := attemptOf(e.Run, e.Job); ok {
			r.uint(eventAttempt, uint64(attempt))
		} else {
			r.string(eventRun, string(e.Run))
		}
	}
	w.string(r, eventExecutor, string(e.Executor))
	w.string(r, eventPool, e.Pool)
	w.string(r, eventNode, e.Node)
	if e.Pod != (armada.Pod{}) {
		r.nested(eventPod, func(r *record) { appendPod(r, &e.Pod) })
	}
	w.string(r, eventBy, e.By)
	w.string(r, eventReason, e.Reason)
	r.uint(eventPriority, uint64(e.Priority))
	r.string(eventFor, string(e.For))
	if e.End != nil {
		r.nested(eventEnd, func(r *record) { appendEnd(r, e.End) })
	}
	r.bool(eventRetryable, e.Retryable)
	r.bool(eventAttempted, e.Attempted)
	appendAddresses(r, eventAddress, e.Addresses)
	if e.Usage != nil {
		r.nested(eventUsage, func(r *record) {
			r.pairs(1, e.Usage.Max)
			r.pairs(2, e.Usage.Average)
			r.pairs(3, e.Usage.Cumulative)
		})
	}
}

func (w *blockWriter) string(r *record, field uint64, v string) {
	switch v {
	case "":
	case w.same[field]:
		r.alwaysUint(field, 1)
	default:
		r.alwaysString(field, v)
		w.same[field] = v
	}
}

// DecodeBlock appends the events of a block to events; the first is numbered
// first. What it returns does not alias b.
func DecodeBlock(events []armada.Event, b []byte, first int64) ([]armada.Event, error) {
	f, err := open(b)
	if err != nil {
		return nil, fmt.Errorf("block of events: %w", err)
	}
	count, ok := f.take()
	if !ok || count > uint64(len(f.rest)) {
		return nil, fmt.Errorf("block of events: %w", ErrCorrupt)
	}
	var rd blockReader
	for i := range count {
		size, ok := f.take()
		if !ok || size > uint64(len(f.rest)) {
			return nil, fmt.Errorf("event %d of a block: %w", i, ErrCorrupt)
		}
		e := armada.Event{Number: first + int64(i)}
		one := fields{rest: f.rest[:size]}
		f.rest = f.rest[size:]
		if rd.read(&one, &e); one.err != nil {
			return nil, fmt.Errorf("event %d of a block: %w", i, one.err)
		}
		events = append(events, e)
	}
	return events, nil
}

// blockReader remembers what a field may repeat.
type blockReader struct {
	job     armada.JobID
	created int64
	same    [eventReason + 1]string
}

func (rd *blockReader) read(f *fields, e *armada.Event) {
	attempt := uint64(0)
	for f.next() {
		switch f.number {
		case eventKind:
			e.Kind = armada.EventKind(f.uint())
		case eventCreated:
			rd.created += f.int()
		case eventJob:
			rd.job = armada.JobID(f.str())
		case eventJobULID:
			rd.job = armada.JobID(f.ulid())
		case eventAttempt:
			attempt = f.uint()
		case eventRun:
			e.Run = armada.RunID(f.str())
		case eventExecutor:
			e.Executor = armada.ExecutorID(rd.string(f))
		case eventPool:
			e.Pool = rd.string(f)
		case eventNode:
			e.Node = rd.string(f)
		case eventPod:
			f.nested(func(f *fields) { readPod(f, &e.Pod) })
		case eventBy:
			e.By = rd.string(f)
		case eventReason:
			e.Reason = rd.string(f)
		default:
			rd.readRare(f, e)
		}
	}
	e.Job, e.Created = rd.job, time.UnixMicro(rd.created).UTC()
	if attempt != 0 {
		e.Run = armada.NewRunID(e.Job, int(attempt))
	}
}

func (rd *blockReader) readRare(f *fields, e *armada.Event) {
	switch f.number {
	case eventPriority:
		e.Priority = uint32(f.uint())
	case eventFor:
		e.For = armada.JobID(f.str())
	case eventEnd:
		e.End = &armada.RunEnd{}
		f.nested(func(f *fields) { readEnd(f, e.End) })
	case eventRetryable:
		e.Retryable = f.bool()
	case eventAttempted:
		e.Attempted = f.bool()
	case eventAddress:
		readAddress(f, &e.Addresses)
	case eventUsage:
		e.Usage = &armada.Usage{}
		f.nested(func(f *fields) { readUsage(f, e.Usage) })
	}
}

func (rd *blockReader) string(f *fields) string {
	if f.kind == kindBytes {
		rd.same[f.number] = string(f.bytes)
	}
	return rd.same[f.number]
}

func appendAddresses(r *record, field uint64, addresses map[int32]string) {
	for _, port := range sortedPorts(addresses) {
		r.nested(field, func(r *record) {
			r.int(1, int64(port))
			r.string(2, addresses[port])
		})
	}
}

func readAddress(f *fields, into *map[int32]string) {
	var port int32
	var address string
	f.nested(func(f *fields) {
		for f.next() {
			switch f.number {
			case 1:
				port = int32(f.int())
			case 2:
				address = f.str()
			}
		}
	})
	if *into == nil {
		*into = map[int32]string{}
	}
	(*into)[port] = address
}

func readUsage(f *fields, u *armada.Usage) {
	for f.next() {
		switch f.number {
		case 1:
			u.Max = f.pair(u.Max)
		case 2:
			u.Average = f.pair(u.Average)
		case 3:
			u.Cumulative = f.pair(u.Cumulative)
		}
	}
}
