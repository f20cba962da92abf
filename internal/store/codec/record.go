package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The errors of decoding.
var (
	ErrVersion = errors.New("codec: written by a newer version")
	ErrCorrupt = errors.New("codec: corrupt")
)

// version is the first byte of every blob.
const version = 1

// The kinds of a field.
const (
	kindVarint = 0
	kindBytes  = 1
)

// record appends fields to bytes. Fields with zero values are left out.
type record []byte

func (r *record) key(field, kind uint64) { *r = binary.AppendUvarint(*r, field<<1|kind) }

func (r *record) uint(field, v uint64) {
	if v != 0 {
		r.alwaysUint(field, v)
	}
}

func (r *record) alwaysUint(field, v uint64) {
	r.key(field, kindVarint)
	*r = binary.AppendUvarint(*r, v)
}

// int is for values that may be negative.
func (r *record) int(field uint64, v int64) {
	if v != 0 {
		r.key(field, kindVarint)
		*r = binary.AppendVarint(*r, v)
	}
}

func (r *record) bool(field uint64, v bool) {
	if v {
		r.alwaysUint(field, 1)
	}
}

func (r *record) string(field uint64, v string) {
	if v != "" {
		r.alwaysString(field, v)
	}
}

// alwaysString is for elements of lists, where an empty one counts.
func (r *record) alwaysString(field uint64, v string) {
	r.key(field, kindBytes)
	*r = binary.AppendUvarint(*r, uint64(len(v)))
	*r = append(*r, v...)
}

// time writes microseconds since 1970; the zero time is left out.
func (r *record) time(field uint64, t time.Time) {
	if !t.IsZero() {
		r.key(field, kindVarint)
		*r = binary.AppendVarint(*r, t.UnixMicro())
	}
}

// nested appends what fill appends as one field.
func (r *record) nested(field uint64, fill func(*record)) {
	r.key(field, kindBytes)
	start := len(*r)
	fill(r)
	size := len(*r) - start
	var head [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(size))
	*r = append(*r, head[:n]...)
	copy((*r)[start+n:], (*r)[start:start+size])
	copy((*r)[start:], head[:n])
}

// pairs writes a map in the order of its keys: each pair is a nested record of
// key (1) and value (2).
func (r *record) pairs(field uint64, m map[string]string) {
	for _, k := range sortedKeys(m) {
		r.nested(field, func(r *record) {
			r.string(1, k)
			r.string(2, m[k])
		})
	}
}

// fields reads the fields of a record one by one:
//
//	for f := (fields{rest: b}); f.next(); { switch f.number … }
//
// and f.err afterwards. Values alias the bytes that are read; str copies.
type fields struct {
	rest   []byte
	number uint64
	kind   uint64
	varint uint64
	bytes  []byte
	err    error
}

func (f *fields) next() bool {
	if f.err != nil || len(f.rest) == 0 {
		return false
	}
	key, ok := f.take()
	if !ok {
		return false
	}
	f.number, f.kind = key>>1, key&1
	v, ok := f.take()
	if !ok {
		return false
	}
	f.varint, f.bytes = v, nil
	if f.kind == kindBytes {
		if v > uint64(len(f.rest)) {
			f.err = ErrCorrupt
			return false
		}
		f.bytes, f.rest = f.rest[:v], f.rest[v:]
	}
	return true
}

func (f *fields) take() (uint64, bool) {
	v, n := binary.Uvarint(f.rest)
	if n <= 0 {
		f.err = ErrCorrupt
		return 0, false
	}
	f.rest = f.rest[n:]
	return v, true
}

// isBytes and isVarint check the kind that a known field must have.
func (f *fields) isBytes() bool {
	if f.kind != kindBytes {
		f.fail("a field of the wrong kind")
	}
	return f.kind == kindBytes
}

func (f *fields) isVarint() bool {
	if f.kind != kindVarint {
		f.fail("a field of the wrong kind")
	}
	return f.kind == kindVarint
}

func (f *fields) fail(why string) {
	if f.err == nil {
		f.err = fmt.Errorf("%w: %s", ErrCorrupt, why)
	}
}

func (f *fields) str() string {
	if !f.isBytes() {
		return ""
	}
	return string(f.bytes)
}

func (f *fields) uint() uint64 {
	if !f.isVarint() {
		return 0
	}
	return f.varint
}

func (f *fields) int() int64 {
	if !f.isVarint() {
		return 0
	}
	return unzigzag(f.varint)
}

func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

func (f *fields) bool() bool { return f.uint() != 0 }

func (f *fields) time() time.Time { return time.UnixMicro(f.int()).UTC() }

// nested hands a nested record to read.
func (f *fields) nested(read func(*fields)) {
	if !f.isBytes() {
		return
	}
	inner := fields{rest: f.bytes}
	read(&inner)
	if inner.err != nil && f.err == nil {
		f.err = inner.err
	}
}

// pair reads one element of a map.
func (f *fields) pair(into map[string]string) map[string]string {
	if into == nil {
		into = map[string]string{}
	}
	var k, v string
	f.nested(func(f *fields) {
		for f.next() {
			switch f.number {
			case 1:
				k = f.str()
			case 2:
				v = f.str()
			}
		}
	})
	into[k] = v
	return into
}

// open checks the version byte and returns the fields after it.
func open(b []byte) (fields, error) {
	if len(b) == 0 {
		return fields{}, fmt.Errorf("%w: no bytes", ErrCorrupt)
	}
	if b[0] != version {
		return fields{}, fmt.Errorf("%w (%d)", ErrVersion, b[0])
	}
	return fields{rest: b[1:]}, nil
}

func sortedKeys[V any](m map[string]V) []string {
	if len(m) == 0 {
		return nil
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
