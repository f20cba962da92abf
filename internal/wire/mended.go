package wire

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Mended returns the bytes of a message in which every string is valid UTF-8 and
// without the character NUL: what was not has U+FFFD in its place. It is for what executors of the original
// send, who do not look at the texts of containers: a list of reports must not be
// lost for one of them. Bytes that are no message come back as far as they are one.
func Mended(raw []byte, m protoreflect.MessageDescriptor) []byte {
	return mended(raw, m, deepest)
}

func mended(raw []byte, m protoreflect.MessageDescriptor, depth int) []byte {
	out := make([]byte, 0, len(raw)+8)
	for rest := raw; len(rest) > 0; {
		number, kind, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return append(out, rest...)
		}
		size := protowire.ConsumeFieldValue(number, kind, rest[n:])
		if size < 0 {
			return append(out, rest...)
		}
		field := m.Fields().ByNumber(number)
		value, isBytes := protowire.ConsumeBytes(rest[n : n+size])
		if kind == protowire.BytesType && isBytes >= 0 && field != nil && depth > 0 {
			out = protowire.AppendBytes(protowire.AppendTag(out, number, kind), mendedValue(value, field, depth))
		} else {
			out = append(out, rest[:n+size]...)
		}
		rest = rest[n+size:]
	}
	return out
}

func mendedValue(value []byte, field protoreflect.FieldDescriptor, depth int) []byte {
	switch {
	case field.Kind() == protoreflect.StringKind && (!utf8.Valid(value) || bytes.IndexByte(value, 0) >= 0):
		return []byte(strings.ReplaceAll(strings.ToValidUTF8(string(value), "\uFFFD"), "\x00", "\uFFFD"))
	case field.Kind() == protoreflect.MessageKind:
		return mended(value, field.Message(), depth-1)
	default:
		return value
	}
}
