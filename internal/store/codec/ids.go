package codec

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"armada"
)

// alphabet is that of ULIDs (Crockford's base 32), in lower case.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

var digits = func() (d [256]byte) {
	for i := range d {
		d[i] = 0xff
	}
	for i := range len(alphabet) {
		d[alphabet[i]] = byte(i)
	}
	return d
}()

// packULID returns the 16 bytes of a canonical lower-case ULID, and false for
// any other string.
func packULID(s string) (id [16]byte, ok bool) {
	if len(s) != 26 || digits[s[0]] > 7 {
		return id, false
	}
	acc, bits, at := uint64(digits[s[0]]), 3, 0
	for i := 1; i < 26; i++ {
		d := digits[s[i]]
		if d == 0xff {
			return id, false
		}
		acc, bits = acc<<5|uint64(d), bits+5
		if bits >= 8 {
			bits -= 8
			id[at] = byte(acc >> bits)
			at++
		}
	}
	return id, true
}

// unpackULID is the reverse of packULID.
func unpackULID(id []byte) string {
	var s [26]byte
	s[0] = alphabet[id[0]>>5]
	acc, bits, at := uint64(id[0]&0x1f), 5, 1
	for i := 1; ; {
		for bits >= 5 {
			bits -= 5
			s[at] = alphabet[acc>>bits&0x1f]
			at++
		}
		if i == 16 {
			return string(s[:])
		}
		acc, bits = acc<<8|uint64(id[i]), bits+8
		i++
	}
}

func (f *fields) ulid() string {
	if !f.isBytes() {
		return ""
	}
	if len(f.bytes) != 16 {
		f.fail("a ULID that is not 16 bytes long")
		return ""
	}
	return unpackULID(f.bytes)
}

// attemptOf returns n when run is the n-th attempt of the job, canonically
// written.
func attemptOf(run armada.RunID, job armada.JobID) (int, bool) {
	attempt, ok := strings.CutPrefix(string(run), string(job)+"-")
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(attempt)
	if err != nil || n < 1 || strconv.Itoa(n) != attempt {
		return 0, false
	}
	return n, true
}

func sortedPorts(m map[int32]string) []int32 {
	if len(m) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(m))
}
