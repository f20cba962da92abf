package restjson

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Members answers the names that the object at a path of a message may have as
// members, sorted: the candidates for what an unknown name was meant to be. The
// path is as in a [Warning], without its last name; empty for the message
// itself. The answer is nil when the path leads to no object with fixed names.
func Members(m proto.Message, path string) []string {
	d := m.ProtoReflect().Descriptor()
	rest := strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
	for {
		switch form := specialForm(d).(type) {
		case nil:
		case kubernetesForm:
			return goMembers(reflect.TypeOf(form.empty()), rest)
		default:
			return nil
		}
		if len(rest) == 0 {
			return memberNames(d)
		}
		field := fieldsByName(d)[strings.ToLower(rest[0])]
		if field == nil {
			return nil
		}
		rest = rest[1:]
		if (field.IsList() || field.IsMap()) && len(rest) > 0 {
			rest = rest[1:]
		}
		if d = field.Message(); field.IsMap() {
			d = field.MapValue().Message()
		}
		if d == nil {
			return nil
		}
	}
}

func memberNames(d protoreflect.MessageDescriptor) []string {
	var names []string
	for i := range d.Fields().Len() {
		names = append(names, d.Fields().Get(i).JSONName())
	}
	slices.Sort(names)
	return names
}

// goMembers goes on within a Go type of Kubernetes.
func goMembers(t reflect.Type, rest []string) []string {
	for {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch {
		case opaque(t):
			return nil
		case len(rest) == 0:
			return slices.Sorted(maps.Keys(goFields(t)))
		case t.Kind() == reflect.Struct:
			member, known := goFields(t)[rest[0]]
			if !known {
				return nil
			}
			t = member
		case t.Kind() == reflect.Slice, t.Kind() == reflect.Map:
			t = t.Elem()
		default:
			return nil
		}
		rest = rest[1:]
	}
}
