package wiretable

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// section is what the rows of a table, below a heading, are about.
type section int

const (
	nothing section = iota
	service
	message
	enum
)

// parser reads a year's text. One file of descriptors is made for each package,
// since nothing on the wire tells files apart.
type parser struct {
	files map[string]*descriptorpb.FileDescriptorProto // by package
	paths map[string]string                            // REST paths, by full method name

	pkg     string
	in      section
	message *descriptorpb.DescriptorProto
	name    string // the message's, with its package
	service *descriptorpb.ServiceDescriptorProto
	enum    *descriptorpb.EnumDescriptorProto
}

// parse reads the lines of a table.
func parse(text string) (*parser, error) {
	p := &parser{files: map[string]*descriptorpb.FileDescriptorProto{}, paths: map[string]string{}}
	number := 0
	for line := range strings.Lines(text) {
		number++
		if err := p.line(strings.TrimSpace(line)); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	return p, nil
}

func (p *parser) line(line string) error {
	if rest, is := strings.CutPrefix(line, "## "); is {
		_, pkg, found := strings.Cut(rest, "(package ")
		if !found {
			return fmt.Errorf("the heading %q names no package", line)
		}
		p.pkg, p.in = strings.TrimSuffix(pkg, ")"), nothing
		return nil
	}
	if name, is := strings.CutPrefix(line, "### service "); is {
		p.service = &descriptorpb.ServiceDescriptorProto{Name: proto.String(p.local(name))}
		p.file().Service = append(p.file().Service, p.service)
		p.in = service
		return nil
	}
	if name, is := strings.CutPrefix(line, "#### enum "); is {
		p.in = enum
		return p.openEnum(name)
	}
	if name, is := strings.CutPrefix(line, "#### "); is {
		p.in = message
		return p.openMessage(name)
	}
	switch {
	case p.in == enum && strings.Contains(line, " = "):
		return p.values(line)
	case p.in == message && strings.HasPrefix(line, "reserved: "):
		return p.reserved(strings.TrimPrefix(line, "reserved: "))
	case strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| no. |") && !strings.HasPrefix(line, "| method |"):
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		return p.row(cells)
	}
	return nil
}

func (p *parser) row(cells []string) error {
	switch {
	case p.in == service && len(cells) == 4:
		return p.method(cells)
	case p.in == message && len(cells) == 3:
		return p.field(cells)
	default:
		return fmt.Errorf("the row %q has no place here", cells)
	}
}

// file is the file of descriptors of the package that is being read.
func (p *parser) file() *descriptorpb.FileDescriptorProto {
	f := p.files[p.pkg]
	if f == nil {
		f = newFile(p.pkg)
		p.files[p.pkg] = f
	}
	return f
}

// newFile has what gogo's code of the original did: no presence of scalars and
// no look at the bytes of strings.
func newFile(pkg string) *descriptorpb.FileDescriptorProto {
	return &descriptorpb.FileDescriptorProto{
		Name:    proto.String(fileName(pkg)),
		Package: proto.String(pkg),
		Syntax:  proto.String("editions"),
		Edition: descriptorpb.Edition_EDITION_2023.Enum(),
		Options: &descriptorpb.FileOptions{Features: &descriptorpb.FeatureSet{
			FieldPresence:  descriptorpb.FeatureSet_IMPLICIT.Enum(),
			Utf8Validation: descriptorpb.FeatureSet_NONE.Enum(),
		}},
	}
}

func fileName(pkg string) string { return "wiretable/" + pkg + ".proto" }

// local is a full name without its package.
func (p *parser) local(full string) string { return strings.TrimPrefix(full, p.pkg+".") }

// openMessage begins a message, which may belong to another.
func (p *parser) openMessage(full string) error {
	name := p.local(full)
	p.message, p.name = &descriptorpb.DescriptorProto{Name: proto.String(name[strings.LastIndex(name, ".")+1:])}, full
	outer, err := p.outer(name)
	if outer == nil {
		p.file().MessageType = append(p.file().MessageType, p.message)
	} else {
		outer.NestedType = append(outer.NestedType, p.message)
	}
	return err
}

// openEnum begins an enum, which may belong to a message.
func (p *parser) openEnum(full string) error {
	name := p.local(full)
	p.enum = &descriptorpb.EnumDescriptorProto{Name: proto.String(name[strings.LastIndex(name, ".")+1:])}
	outer, err := p.outer(name)
	if outer == nil {
		p.file().EnumType = append(p.file().EnumType, p.enum)
	} else {
		outer.EnumType = append(outer.EnumType, p.enum)
	}
	return err
}

// outer is the message that a name is nested in, or nil if it is in none.
func (p *parser) outer(name string) (*descriptorpb.DescriptorProto, error) {
	parts := strings.Split(name, ".")
	among := p.file().GetMessageType()
	var found *descriptorpb.DescriptorProto
	for _, part := range parts[:len(parts)-1] {
		i := slices.IndexFunc(among, func(m *descriptorpb.DescriptorProto) bool { return m.GetName() == part })
		if i < 0 {
			return nil, fmt.Errorf("%s belongs to a message that the table does not have above it", name)
		}
		found, among = among[i], among[i].GetNestedType()
	}
	return found, nil
}

// values reads "A = 0, B = 1". The names of an enum's values live beside the
// enum, where two of a package may be the same; so they are told apart by the
// enum's name, which the wire does not know.
func (p *parser) values(line string) error {
	for part := range strings.SplitSeq(line, ", ") {
		name, value, _ := strings.Cut(part, " = ")
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil {
			return fmt.Errorf("the value of %s: %w", name, err)
		}
		p.enum.Value = append(p.enum.Value, &descriptorpb.EnumValueDescriptorProto{
			Name: proto.String(p.enum.GetName() + "_" + name), Number: proto.Int32(int32(n)),
		})
	}
	return nil
}

func (p *parser) reserved(numbers string) error {
	for part := range strings.SplitSeq(numbers, ", ") {
		n, err := strconv.ParseInt(part, 10, 32)
		if err != nil {
			return fmt.Errorf("the reserved number: %w", err)
		}
		p.message.ReservedRange = append(p.message.ReservedRange, &descriptorpb.DescriptorProto_ReservedRange{
			Start: proto.Int32(int32(n)), End: proto.Int32(int32(n) + 1),
		})
	}
	return nil
}

func (p *parser) method(cells []string) error {
	in, clientStreams := strings.CutPrefix(cells[1], "stream ")
	out, serverStreams := strings.CutPrefix(cells[2], "stream ")
	p.service.Method = append(p.service.Method, &descriptorpb.MethodDescriptorProto{
		Name: proto.String(cells[0]), InputType: proto.String("." + in), OutputType: proto.String("." + out),
		ClientStreaming: proto.Bool(clientStreams), ServerStreaming: proto.Bool(serverStreams),
	})
	p.depend(in)
	p.depend(out)
	if cells[3] != "" {
		p.paths[p.pkg+"."+p.service.GetName()+"."+cells[0]] = cells[3]
	}
	return nil
}

// depend imports the file that has a type. The names of the tables' packages
// have no dots.
func (p *parser) depend(full string) {
	pkg, _, _ := strings.Cut(full, ".")
	name := fileName(pkg)
	switch {
	case full == "google.protobuf.Timestamp":
		name = "google/protobuf/timestamp.proto"
	case full == "google.protobuf.Empty":
		name = "google/protobuf/empty.proto"
	case strings.HasPrefix(full, p.pkg+"."):
		return
	}
	if f := p.file(); !slices.Contains(f.GetDependency(), name) {
		f.Dependency = append(f.Dependency, name)
	}
}
