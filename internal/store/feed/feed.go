// Package feed is what the forms of the store share of the feed: how an element,
// a row of elements and a position are written.
//
// The words: an element names something that a transaction touched, by kind and
// number; a row holds the elements of one transaction, and its sequence number
// tells the order of commits; a position is a place within a row.
//
// The package must never read a database.
package feed

import (
	"encoding/binary"
	"iter"

	"armada"
	"armada/internal/store"
	"armada/internal/store/codec"
	"armada/internal/store/intake"
)

// Element is a number times four, plus its kind.
type Element uint64

// The kinds of elements; their numbers are kept in databases.
const (
	Job = iota
	Queue
	Executor
)

// Of makes an element.
func Of(kind int, number int64) Element { return Element(number)<<2 | Element(kind) }

// Kind is what the element names.
func (e Element) Kind() int { return int(e & 3) }

// Number is the row's number.
func (e Element) Number() int64 { return int64(e >> 2) }

// AppendRow appends a row's bytes.
func AppendRow(b []byte, elements ...Element) []byte {
	for _, e := range elements {
		b = binary.AppendUvarint(b, uint64(e))
	}
	return b
}

// EncodePosition makes a position of two numbers: the last row of the feed that
// was read whole, and how many elements of the one after it were read.
func EncodePosition(seq, offset int64) store.Position {
	return binary.AppendUvarint(binary.AppendUvarint(nil, uint64(seq)), uint64(offset))
}

// DecodePosition reads what EncodePosition wrote; Invalid for anything else.
func DecodePosition(p store.Position) (seq, offset int64, err error) {
	a, n := binary.Uvarint(p)
	if n <= 0 {
		return 0, 0, intake.Coded(armada.CodeInvalid, "%x is no position of the feed", []byte(p))
	}
	b, m := binary.Uvarint(p[n:])
	if m <= 0 || n+m != len(p) {
		return 0, 0, intake.Coded(armada.CodeInvalid, "%x is no position of the feed", []byte(p))
	}
	return int64(a), int64(b), nil
}

// Reading gathers distinct elements from rows, in order, until there are
// enough.
type Reading struct {
	Elements []Element
	limit    int
	seq      int64 // the last row that was read whole
	offset   int64 // and how many elements of the next
	seen     map[Element]struct{}
}

// Read begins after a position.
func Read(after store.Position, limit int) (*Reading, error) {
	seq, offset, err := DecodePosition(after)
	return &Reading{limit: limit, seq: seq, offset: offset, seen: map[Element]struct{}{}}, err
}

// After is the last row that was read whole: the next one is to be added.
func (r *Reading) After() int64 { return r.seq }

// Full tells that there are enough elements.
func (r *Reading) Full() bool { return len(r.Elements) >= r.limit }

// Position is where the reading has come to.
func (r *Reading) Position() store.Position { return EncodePosition(r.seq, r.offset) }

// Check answers OutOfRange unless the rows first to last, and none when first
// is 0, hold all that follows the position.
func (r *Reading) Check(first, last int64) error {
	if r.seq > last || first > r.seq+1 || first == 0 && r.seq < last {
		return intake.Coded(armada.CodeOutOfRange, "the feed keeps %d to %d and not what follows %d", first, last, r.seq)
	}
	return nil
}

// Add takes over the elements of the next row; rows after the reading is full
// are ignored.
func (r *Reading) Add(seq int64, row []byte) error {
	if r.Full() {
		return nil
	}
	skip := r.offset
	for n := int64(1); len(row) > 0; n++ {
		value, size := binary.Uvarint(row)
		if size <= 0 {
			return codec.ErrCorrupt
		}
		row = row[size:]
		if n <= skip {
			continue
		}
		e := Element(value)
		if _, known := r.seen[e]; !known {
			r.seen[e] = struct{}{}
			r.Elements = append(r.Elements, e)
		}
		if r.Full() && len(row) > 0 {
			r.offset = n
			return nil
		}
	}
	r.seq, r.offset = seq, 0
	return nil
}

// Stretches yields elements in their order, jobs with consecutive
// numbers at once by the first and the last of them: jobs are submitted, leased
// and reported in stretches, and one statement for many rows costs half.
func Stretches(elements []Element) iter.Seq2[Element, Element] {
	return func(yield func(first, last Element) bool) {
		for len(elements) > 0 {
			n := 1
			for elements[0].Kind() == Job && n < len(elements) && elements[n] == elements[n-1]+1<<2 {
				n++
			}
			if !yield(elements[0], elements[n-1]) {
				return
			}
			elements = elements[n:]
		}
	}
}
