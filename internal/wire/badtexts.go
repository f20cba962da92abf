package wire

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"armada"
	"armada/internal/podspec"
)

// deepest is how many messages inside each other are looked into.
const deepest = 100

// BadTexts finds the strings in the bytes of a message that are not valid UTF-8,
// which keeps it from being decoded, and those with the character NUL, which not
// every form of the store can keep or look for. Paths have the proto names.
func BadTexts(raw []byte, m protoreflect.MessageDescriptor) []armada.Violation {
	w := &textWalk{}
	w.message(raw, m, "", deepest)
	return w.found
}

// HasNUL tells whether a string in the bytes of a message has the character NUL.
// Bytes without one are passed over as a whole.
func HasNUL(raw []byte, m protoreflect.MessageDescriptor) bool { return hasNUL(raw, m, deepest) }

func hasNUL(raw []byte, m protoreflect.MessageDescriptor, depth int) bool {
	found := false
	podspec.EachField(raw, func(number protowire.Number, value []byte) {
		if found || bytes.IndexByte(value, 0) < 0 {
			return
		}
		field := m.Fields().ByNumber(number)
		switch {
		case field == nil || depth == 0:
		case field.Kind() == protoreflect.StringKind:
			found = true
		case field.Kind() == protoreflect.MessageKind: // of a map, its entry
			found = hasNUL(value, field.Message(), depth-1)
		}
	})
	return found
}

type textWalk struct{ found []armada.Violation }

func (w *textWalk) message(raw []byte, m protoreflect.MessageDescriptor, at string, depth int) {
	counts := map[protowire.Number]int{}
	podspec.EachField(raw, func(number protowire.Number, value []byte) {
		field := m.Fields().ByNumber(number)
		if field == nil || depth == 0 {
			return
		}
		path := strings.TrimPrefix(at+"."+string(field.Name()), ".")
		switch {
		case field.IsMap():
			w.entry(value, field, path, depth)
			return
		case field.IsList():
			path = fmt.Sprintf("%s[%d]", path, counts[number])
			counts[number]++
		}
		w.value(value, field, path, depth)
	})
}

// entry looks at an entry of a map: its key, and its value under that key.
func (w *textWalk) entry(raw []byte, field protoreflect.FieldDescriptor, path string, depth int) {
	var key, value []byte
	podspec.EachField(raw, func(number protowire.Number, part []byte) {
		switch int(number) {
		case 1:
			key = part
		case 2:
			value = part
		}
	})
	path = fmt.Sprintf("%s[%s]", path, clipKey(strings.ToValidUTF8(string(key), "\uFFFD")))
	w.value(key, field.MapKey(), path, depth)
	w.value(value, field.MapValue(), path, depth)
}

func (w *textWalk) value(raw []byte, field protoreflect.FieldDescriptor, path string, depth int) {
	switch {
	case field.Kind() == protoreflect.StringKind && !utf8.Valid(raw):
		w.found = append(w.found, armada.Violation{Path: path, Message: "is not valid UTF-8"})
	case field.Kind() == protoreflect.StringKind && bytes.IndexByte(raw, 0) >= 0:
		w.found = append(w.found, armada.Violation{Path: path, Message: "must not contain the character NUL"})
	case field.Kind() == protoreflect.MessageKind:
		w.message(raw, field.Message(), path, depth-1)
	}
}

// clipKey keeps a key of a caller's from filling an error.
func clipKey(key string) string {
	const most = 64
	if len(key) <= most {
		return key
	}
	return strings.ToValidUTF8(key[:most], "") + "…"
}
