package wiretable

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

//go:embed testdata/2020.md
var text2020 string

//go:embed testdata/2026.md
var text2026 string

// The two tables, each read once. They are safe for use by several goroutines.
var (
	Year2020 = sync.OnceValue(func() *Table { return mustRead(text2020) })
	Year2026 = sync.OnceValue(func() *Table { return mustRead(text2026) })
)

// Table is the wire of one year.
type Table struct {
	files *protoregistry.Files
	paths map[string]string
}

func mustRead(text string) *Table {
	t, err := read(text)
	if err != nil {
		panic(fmt.Sprintf("wiretable: %v", err))
	}
	return t
}

// read makes descriptors of a table's text.
func read(text string) (*Table, error) {
	p, err := parse(text)
	if err != nil {
		return nil, err
	}
	settle(p.files)
	set := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		protodesc.ToFileDescriptorProto(timestamppb.File_google_protobuf_timestamp_proto),
		protodesc.ToFileDescriptorProto(emptypb.File_google_protobuf_empty_proto),
	}}
	for _, pkg := range slices.Sorted(maps.Keys(p.files)) {
		set.File = append(set.File, p.files[pkg])
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return nil, err
	}
	return &Table{files: files, paths: p.paths}, nil
}

// Messages are the descriptors of all messages of the table, in order of name.
func (t *Table) Messages() []protoreflect.MessageDescriptor {
	var all []protoreflect.MessageDescriptor
	var add func(protoreflect.MessageDescriptors)
	add = func(some protoreflect.MessageDescriptors) {
		for i := range some.Len() {
			if m := some.Get(i); !m.IsMapEntry() {
				all = append(all, m)
				add(m.Messages())
			}
		}
	}
	t.each(func(f protoreflect.FileDescriptor) { add(f.Messages()) })
	slices.SortFunc(all, func(a, b protoreflect.MessageDescriptor) int {
		return strings.Compare(string(a.FullName()), string(b.FullName()))
	})
	return all
}

// Services are the descriptors of all services of the table, in order of name.
func (t *Table) Services() []protoreflect.ServiceDescriptor {
	var all []protoreflect.ServiceDescriptor
	t.each(func(f protoreflect.FileDescriptor) {
		for i := range f.Services().Len() {
			all = append(all, f.Services().Get(i))
		}
	})
	slices.SortFunc(all, func(a, b protoreflect.ServiceDescriptor) int {
		return strings.Compare(string(a.FullName()), string(b.FullName()))
	})
	return all
}

// REST is the verb and path of a method as the table writes them, for example
// "POST /v1/job/submit (body *)", or "" for a method without one.
func (t *Table) REST(method protoreflect.FullName) string { return t.paths[string(method)] }

// each calls visit with the files that are the table's own.
func (t *Table) each(visit func(protoreflect.FileDescriptor)) {
	t.files.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if strings.HasPrefix(f.Path(), "wiretable/") {
			visit(f)
		}
		return true
	})
}

// Message is the descriptor of a message, by its full name.
func (t *Table) Message(name protoreflect.FullName) protoreflect.MessageDescriptor {
	d, err := t.files.FindDescriptorByName(name)
	if err != nil {
		panic(fmt.Sprintf("wiretable: %s: %v", name, err))
	}
	m, is := d.(protoreflect.MessageDescriptor)
	if !is {
		panic(fmt.Sprintf("wiretable: %s is no message", name))
	}
	return m
}

// New is an empty message.
func (t *Table) New(name protoreflect.FullName) *dynamicpb.Message {
	return dynamicpb.NewMessage(t.Message(name))
}

// Fields are a message's fields by their names in the table. A value is what the
// field's type is in Go; Fields for a message; a time for a timestamp; anything
// with a method Marshal for a message of Kubernetes; []any, []string or []Fields
// for a repeated field; map[string]any, map[string]string or map[int32]any for a
// map. Integers may be int, whatever their size. Nil leaves the field out.
type Fields map[string]any

// Make is a message with fields.
func (t *Table) Make(name protoreflect.FullName, fields Fields) *dynamicpb.Message {
	m := t.New(name)
	set(m, fields)
	return m
}

// set fills a message.
func set(m protoreflect.Message, fields Fields) {
	for name, value := range fields {
		f := m.Descriptor().Fields().ByName(protoreflect.Name(name))
		if f == nil {
			panic(fmt.Sprintf("wiretable: %s has no field %q", m.Descriptor().FullName(), name))
		}
		switch {
		case value == nil:
		case f.IsMap():
			entries := m.Mutable(f).Map()
			eachEntry(value, func(key protoreflect.MapKey, v any) {
				entries.Set(key, convert(f.MapValue(), entries.NewValue(), v))
			})
		case f.IsList():
			list := m.Mutable(f).List()
			eachElement(value, func(v any) { list.Append(convert(f, list.NewElement(), v)) })
		default:
			m.Set(f, convert(f, m.NewField(f), value))
		}
	}
}

func eachEntry(value any, visit func(protoreflect.MapKey, any)) {
	text := func(k string) protoreflect.MapKey { return protoreflect.ValueOfString(k).MapKey() }
	switch entries := value.(type) {
	case map[string]string:
		for k, v := range entries {
			visit(text(k), v)
		}
	case map[string]any:
		for k, v := range entries {
			visit(text(k), v)
		}
	case map[int32]any:
		for k, v := range entries {
			visit(protoreflect.ValueOfInt32(k).MapKey(), v)
		}
	default:
		panic(fmt.Sprintf("wiretable: a map cannot be made of %T", value))
	}
}

func eachElement(value any, visit func(any)) {
	switch list := value.(type) {
	case []string:
		for _, v := range list {
			visit(v)
		}
	case []Fields:
		for _, v := range list {
			visit(v)
		}
	case []any:
		for _, v := range list {
			visit(v)
		}
	default:
		panic(fmt.Sprintf("wiretable: a repeated field cannot be made of %T", value))
	}
}

// convert makes a field's value; empty is a fresh one of its type.
func convert(f protoreflect.FieldDescriptor, empty protoreflect.Value, value any) protoreflect.Value {
	switch v := value.(type) {
	case Fields:
		set(empty.Message(), v)
		return empty
	case time.Time:
		set(empty.Message(), Fields{"seconds": v.Unix(), "nanos": v.Nanosecond()})
		return empty
	case protoreflect.ProtoMessage:
		return protoreflect.ValueOfMessage(v.ProtoReflect())
	case interface{ Marshal() ([]byte, error) }:
		encoded, err := v.Marshal()
		if err != nil {
			panic(fmt.Sprintf("wiretable: %s: %v", f.FullName(), err))
		}
		return protoreflect.ValueOfBytes(encoded)
	case int:
		return integer(f, v)
	default:
		return protoreflect.ValueOf(value)
	}
}

func integer(f protoreflect.FieldDescriptor, v int) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(v))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(int64(v))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(v))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(uint64(v))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(v))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(float64(v))
	default:
		panic(fmt.Sprintf("wiretable: %s takes no integer", f.FullName()))
	}
}

// At follows the names of fields down from a message and returns what is there,
// or the field's default. All but the last must be single messages.
func At(m proto.Message, path ...protoreflect.Name) protoreflect.Value {
	r := m.ProtoReflect()
	for _, name := range path[:len(path)-1] {
		r = r.Get(field(r, name)).Message()
	}
	return r.Get(field(r, path[len(path)-1]))
}

// Has tells whether the field at a path is set, as are all above it.
func Has(m proto.Message, path ...protoreflect.Name) bool {
	r := m.ProtoReflect()
	for _, name := range path[:len(path)-1] {
		if !r.Has(field(r, name)) {
			return false
		}
		r = r.Get(field(r, name)).Message()
	}
	return r.Has(field(r, path[len(path)-1]))
}

// Kind is the name of the member of a oneof that is set, or "".
func Kind(m proto.Message, oneof protoreflect.Name) protoreflect.Name {
	r := m.ProtoReflect()
	o := r.Descriptor().Oneofs().ByName(oneof)
	if o == nil {
		panic(fmt.Sprintf("wiretable: %s has no oneof %q", r.Descriptor().FullName(), oneof))
	}
	if f := r.WhichOneof(o); f != nil {
		return f.Name()
	}
	return ""
}

// List is a repeated field of messages, at a path as [At] takes it.
func List(m proto.Message, path ...protoreflect.Name) []proto.Message {
	list := At(m, path...).List()
	all := make([]proto.Message, list.Len())
	for i := range all {
		all[i] = list.Get(i).Message().Interface()
	}
	return all
}

// Strings is a repeated field of strings, at a path as [At] takes it.
func Strings(m proto.Message, path ...protoreflect.Name) []string {
	list := At(m, path...).List()
	all := make([]string, list.Len())
	for i := range all {
		all[i] = list.Get(i).String()
	}
	return all
}

// Texts is a map of strings, at a path as [At] takes it.
func Texts(m proto.Message, path ...protoreflect.Name) map[string]string {
	all := map[string]string{}
	At(m, path...).Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		all[k.String()] = v.String()
		return true
	})
	return all
}

// Time is a timestamp, at a path as [At] takes it, or the zero time.
func Time(m proto.Message, path ...protoreflect.Name) time.Time {
	if !Has(m, path...) {
		return time.Time{}
	}
	at := At(m, path...).Message().Interface()
	return time.Unix(At(at, "seconds").Int(), At(at, "nanos").Int()).UTC()
}

func field(r protoreflect.Message, name protoreflect.Name) protoreflect.FieldDescriptor {
	f := r.Descriptor().Fields().ByName(name)
	if f == nil {
		panic(fmt.Sprintf("wiretable: %s has no field %q", r.Descriptor().FullName(), name))
	}
	return f
}

// Path makes a path for [At] and its like of names.
func Path(names ...string) []protoreflect.Name {
	path := make([]protoreflect.Name, len(names))
	for i, name := range names {
		path[i] = protoreflect.Name(name)
	}
	return path
}
