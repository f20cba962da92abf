package wiretable

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// scalars are the types of fields that are no messages.
var scalars = map[string]descriptorpb.FieldDescriptorProto_Type{
	"string": descriptorpb.FieldDescriptorProto_TYPE_STRING,
	"bytes":  descriptorpb.FieldDescriptorProto_TYPE_BYTES,
	"bool":   descriptorpb.FieldDescriptorProto_TYPE_BOOL,
	"int32":  descriptorpb.FieldDescriptorProto_TYPE_INT32,
	"int64":  descriptorpb.FieldDescriptorProto_TYPE_INT64,
	"uint32": descriptorpb.FieldDescriptorProto_TYPE_UINT32,
	"uint64": descriptorpb.FieldDescriptorProto_TYPE_UINT64,
	"double": descriptorpb.FieldDescriptorProto_TYPE_DOUBLE,
	"float":  descriptorpb.FieldDescriptorProto_TYPE_FLOAT,
}

// field reads a row "number | name | type", where the type may end in
// "(deprecated)" and "(oneof name)".
func (p *parser) field(cells []string) error {
	number, err := strconv.ParseInt(cells[0], 10, 32)
	if err != nil {
		return fmt.Errorf("the field's number: %w", err)
	}
	f := &descriptorpb.FieldDescriptorProto{
		Name: proto.String(cells[1]), Number: proto.Int32(int32(number)),
		Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
	}
	kind := cells[2]
	if rest, is := strings.CutSuffix(kind, " (deprecated)"); is {
		kind = rest
		f.Options = &descriptorpb.FieldOptions{Deprecated: proto.Bool(true)}
	}
	if rest, choice, is := strings.Cut(kind, " (oneof "); is {
		kind = rest
		p.choice(f, strings.TrimSuffix(choice, ")"))
	}
	if rest, is := strings.CutPrefix(kind, "repeated "); is {
		kind = rest
		f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	}
	if rest, is := strings.CutPrefix(kind, "map<"); is {
		p.mapping(f, strings.TrimSuffix(rest, ">"))
	} else {
		p.typed(f, kind)
	}
	p.message.Field = append(p.message.Field, f)
	return nil
}

// choice puts a field into a oneof of the message.
func (p *parser) choice(f *descriptorpb.FieldDescriptorProto, name string) {
	i := slices.IndexFunc(p.message.GetOneofDecl(), func(o *descriptorpb.OneofDescriptorProto) bool { return o.GetName() == name })
	if i < 0 {
		i = len(p.message.GetOneofDecl())
		p.message.OneofDecl = append(p.message.OneofDecl, &descriptorpb.OneofDescriptorProto{Name: proto.String(name)})
	}
	f.OneofIndex = proto.Int32(int32(i))
}

// typed gives a field its type. Whether a name is a message or an enum shows
// when all are known; a message of Kubernetes is bytes.
func (p *parser) typed(f *descriptorpb.FieldDescriptorProto, kind string) {
	if t, is := scalars[kind]; is {
		f.Type = t.Enum()
		return
	}
	if strings.HasPrefix(kind, "k8s.io.") {
		f.Type = descriptorpb.FieldDescriptorProto_TYPE_BYTES.Enum()
		// Such a field is there or not, as any message is.
		if f.OneofIndex == nil && f.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL {
			f.Options = explicit(f.GetOptions())
		}
		return
	}
	p.depend(kind)
	f.TypeName = proto.String("." + kind)
}

func explicit(o *descriptorpb.FieldOptions) *descriptorpb.FieldOptions {
	if o == nil {
		o = &descriptorpb.FieldOptions{}
	}
	o.Features = &descriptorpb.FeatureSet{FieldPresence: descriptorpb.FeatureSet_EXPLICIT.Enum()}
	return o
}

// mapping makes the entry of a map "key, value", a repeated message.
func (p *parser) mapping(f *descriptorpb.FieldDescriptorProto, kinds string) {
	key, value, _ := strings.Cut(kinds, ", ")
	name := ""
	for part := range strings.SplitSeq(f.GetName(), "_") {
		name += strings.ToUpper(part[:1]) + part[1:]
	}
	name += "Entry"
	entry := &descriptorpb.DescriptorProto{Name: proto.String(name), Options: &descriptorpb.MessageOptions{MapEntry: proto.Bool(true)}}
	for i, part := range []struct{ name, kind string }{{"key", key}, {"value", value}} {
		member := &descriptorpb.FieldDescriptorProto{
			Name: proto.String(part.name), Number: proto.Int32(int32(i + 1)),
			Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}
		p.typed(member, part.kind)
		entry.Field = append(entry.Field, member)
	}
	p.message.NestedType = append(p.message.NestedType, entry)
	f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	f.Type = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum()
	f.TypeName = proto.String("." + p.name + "." + name)
}

// group is where a field stands among those of its message.
func group(f *descriptorpb.FieldDescriptorProto) int32 {
	if f.OneofIndex == nil {
		return -1
	}
	return f.GetOneofIndex()
}

// settle says of each field that names a type whether that is an enum or a
// message. A message that the table names and does not have is bytes.
func settle(files map[string]*descriptorpb.FileDescriptorProto) {
	enums := map[string]bool{}
	messages := map[string]bool{".google.protobuf.Timestamp": true, ".google.protobuf.Empty": true}
	var collect func(outer string, m *descriptorpb.DescriptorProto)
	collect = func(outer string, m *descriptorpb.DescriptorProto) {
		name := outer + "." + m.GetName()
		messages[name] = true
		for _, e := range m.GetEnumType() {
			enums[name+"."+e.GetName()] = true
		}
		for _, nested := range m.GetNestedType() {
			collect(name, nested)
		}
	}
	for pkg, f := range files {
		for _, e := range f.GetEnumType() {
			enums["."+pkg+"."+e.GetName()] = true
		}
		for _, m := range f.GetMessageType() {
			collect("."+pkg, m)
		}
	}
	var visit func(some []*descriptorpb.DescriptorProto)
	visit = func(some []*descriptorpb.DescriptorProto) {
		for _, m := range some {
			visit(m.GetNestedType())
			// Descriptors want the members of a oneof side by side.
			slices.SortStableFunc(m.Field, func(a, b *descriptorpb.FieldDescriptorProto) int { return cmp.Compare(group(a), group(b)) })
			for _, f := range m.GetField() {
				switch {
				case f.Type != nil:
				case enums[f.GetTypeName()]:
					f.Type = descriptorpb.FieldDescriptorProto_TYPE_ENUM.Enum()
				case messages[f.GetTypeName()]:
					f.Type = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum()
				default:
					f.TypeName, f.Type = nil, descriptorpb.FieldDescriptorProto_TYPE_BYTES.Enum()
				}
			}
		}
	}
	for _, f := range files {
		visit(f.GetMessageType())
	}
}
