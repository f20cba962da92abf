package wire

import (
	"strconv"
	"strings"

	"armada/internal/store"
)

// CursorID writes a place in a stream as the id of an event: the incarnation, a
// hyphen and the event's number.
func CursorID(c store.Cursor) string {
	b := make([]byte, 0, 32)
	b = strconv.AppendInt(b, c.Incarnation, 10)
	b = append(b, '-')
	return string(strconv.AppendInt(b, c.Number, 10))
}

// Cursor reads the id of an event, and answers false for ids that [CursorID]
// does not write, such as those of other servers that users keep in scripts.
func Cursor(id string) (store.Cursor, bool) {
	incarnation, number, found := strings.Cut(id, "-")
	if !found {
		return store.Cursor{}, false
	}
	i, err := strconv.ParseInt(incarnation, 10, 64)
	if err != nil {
		return store.Cursor{}, false
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return store.Cursor{}, false
	}
	c := store.Cursor{Incarnation: i, Number: n}
	if i < 1 || n < 0 || CursorID(c) != id {
		return store.Cursor{}, false
	}
	return c, true
}
