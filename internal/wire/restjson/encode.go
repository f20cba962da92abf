package restjson

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// appendMembers writes an object of messages and other values by name.
func appendMembers[V any](b []byte, members map[string]V) ([]byte, error) {
	b = append(b, '{')
	for i, name := range slices.Sorted(maps.Keys(members)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, name), ':')
		encoded, err := Marshaler{}.Marshal(members[name])
		if err != nil {
			return nil, err
		}
		b = append(b, encoded...)
	}
	return append(b, '}'), nil
}

// appendMessage writes a message in the form its type has in JSON. At the top
// of an answer lists and maps are there even when empty.
func appendMessage(b []byte, m protoreflect.Message, top bool) ([]byte, error) {
	if special := specialForm(m.Descriptor()); special != nil {
		return special.encode(b, m)
	}
	wrapped := m.Descriptor().FullName() == eventWrapped
	if wrapped {
		b = append(b, `{"`+eventMember+`":`...)
	}
	b, err := appendFields(append(b, '{'), m, top)
	if err != nil {
		return nil, err
	}
	b = append(b, '}')
	if wrapped {
		b = append(b, '}')
	}
	return b, nil
}

// appendFields writes the members of a message without the braces.
func appendFields(b []byte, m protoreflect.Message, top bool) ([]byte, error) {
	fields := m.Descriptor().Fields()
	first := true
	for i := range fields.Len() {
		field := fields.Get(i)
		repeated := field.IsList() || field.IsMap()
		if !m.Has(field) && (!top || !repeated) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(appendString(b, field.JSONName()), ':')
		var err error
		switch value := m.Get(field); {
		case field.IsList():
			b, err = appendList(b, field, value.List())
		case field.IsMap():
			b, err = appendMap(b, field, value.Map())
		default:
			b, err = appendValue(b, field, value)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field.JSONName(), err)
		}
	}
	return b, nil
}

func appendList(b []byte, field protoreflect.FieldDescriptor, list protoreflect.List) ([]byte, error) {
	b = append(b, '[')
	for i := range list.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendValue(b, field, list.Get(i)); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

// appendMap writes a map in the order of its keys.
func appendMap(b []byte, field protoreflect.FieldDescriptor, entries protoreflect.Map) ([]byte, error) {
	keys := make([]protoreflect.MapKey, 0, entries.Len())
	entries.Range(func(key protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, key)
		return true
	})
	slices.SortFunc(keys, func(x, y protoreflect.MapKey) int {
		switch field.MapKey().Kind() {
		case protoreflect.StringKind, protoreflect.BoolKind:
			return cmp.Compare(x.String(), y.String())
		case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind:
			return cmp.Compare(x.Uint(), y.Uint())
		default:
			return cmp.Compare(x.Int(), y.Int())
		}
	})
	b = append(b, '{')
	for i, key := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, key.String()), ':')
		var err error
		if b, err = appendValue(b, field.MapValue(), entries.Get(key)); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// appendValue writes one value: a field's, or an element's of a list or map.
func appendValue(b []byte, field protoreflect.FieldDescriptor, value protoreflect.Value) ([]byte, error) {
	switch field.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return appendMessage(b, value.Message(), false)
	case protoreflect.EnumKind:
		if known := field.Enum().Values().ByNumber(value.Enum()); known != nil {
			return appendString(b, enumName(field.Enum(), known)), nil
		}
		return strconv.AppendInt(b, int64(value.Enum()), 10), nil
	case protoreflect.BoolKind:
		return strconv.AppendBool(b, value.Bool()), nil
	case protoreflect.StringKind:
		return appendString(b, value.String()), nil
	case protoreflect.BytesKind:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, value.Bytes())
		return append(b, '"'), nil
	case protoreflect.DoubleKind:
		return appendFloat(b, value.Float(), 64), nil
	case protoreflect.FloatKind:
		return appendFloat(b, value.Float(), 32), nil
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind:
		return strconv.AppendUint(b, value.Uint(), 10), nil
	default:
		return strconv.AppendInt(b, value.Int(), 10), nil
	}
}

func appendFloat(b []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(b, `"-Infinity"`...)
	}
	format := byte('f')
	if size := math.Abs(f); size != 0 && (size < 1e-6 || size >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(b, f, format, -1, bits)
}

// appendString writes a string in quotes. Bytes that are not UTF-8 become the
// replacement character.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' || c >= utf8.RuneSelf {
			quoted, err := json.Marshal(s)
			if err != nil { // Strings can always be written.
				return append(b, `""`...)
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
