package restjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// eventMember is the level that StreamingQueueMessage has around its oneof.
const (
	eventMember  = "Event"
	eventWrapped = protoreflect.FullName("api.StreamingQueueMessage")
)

// decoder reads messages from JSON and remembers where it is.
type decoder struct {
	json     *json.Decoder
	at       trail
	started  bool // Something of the present value was read.
	warnings []Warning
}

func newDecoder(r io.Reader) *decoder {
	d := &decoder{json: json.NewDecoder(r)}
	d.json.UseNumber()
	return d
}

// message reads the next JSON value; io.EOF when there is none.
func (d *decoder) message(into proto.Message) error {
	d.at, d.started = d.at[:0], false
	_, err := d.messageValue(into.ProtoReflect())
	return err
}

// messageValue reads a message, in whatever form its type has in JSON. It says
// whether the value was null, which leaves the message as it is.
func (d *decoder) messageValue(m protoreflect.Message) (null bool, err error) {
	if special := specialForm(m.Descriptor()); special != nil {
		var raw json.RawMessage
		if err := d.json.Decode(&raw); err != nil {
			return false, d.syntax(err)
		}
		if string(raw) == "null" {
			return true, nil
		}
		return false, special.decode(d, raw, m)
	}
	token, err := d.token()
	if err != nil || token == nil {
		return err == nil, err
	}
	return false, d.object(token, m)
}

// object reads the members of a message, of which the first token was read.
func (d *decoder) object(first json.Token, m protoreflect.Message) error {
	if first != json.Delim('{') {
		return d.want("an object", first)
	}
	names := fieldsByName(m.Descriptor())
	var seen map[protoreflect.FieldNumber]bool
	for d.json.More() {
		key, err := d.token()
		if err != nil {
			return err
		}
		name := key.(string)
		d.at = append(d.at, step{name: name})
		field := names[strings.ToLower(name)]
		switch {
		case field == nil && m.Descriptor().FullName() == eventWrapped && strings.EqualFold(name, eventMember):
			err = d.eventLevel(m)
		case field == nil:
			d.warnings = append(d.warnings, Warning{Path: d.at.String()})
			var skipped json.RawMessage
			err = d.syntax(d.json.Decode(&skipped))
		default:
			if seen[field.Number()] {
				d.warnings = append(d.warnings, Warning{Path: d.at.String(), Repeated: true})
			} else if seen == nil {
				seen = make(map[protoreflect.FieldNumber]bool, 8)
			}
			seen[field.Number()] = true
			err = d.field(m, field)
		}
		if err != nil {
			return err
		}
		d.at = d.at[:len(d.at)-1]
	}
	_, err := d.token() // the closing brace
	return err
}

// eventLevel reads the object that stands around the oneof of m.
func (d *decoder) eventLevel(m protoreflect.Message) error {
	token, err := d.token()
	if err != nil || token == nil {
		return err
	}
	return d.object(token, m)
}

// field reads the value of a member; null means absent.
func (d *decoder) field(m protoreflect.Message, field protoreflect.FieldDescriptor) error {
	m.Clear(field)
	switch {
	case field.IsMap():
		return d.mapField(m, field)
	case field.IsList():
		return d.listField(m, field)
	case field.Message() != nil:
		value := m.NewField(field)
		null, err := d.messageValue(value.Message())
		if err == nil && !null {
			m.Set(field, value)
		}
		return err
	}
	token, err := d.token()
	if err != nil || token == nil {
		return err
	}
	value, err := d.scalar(field, token)
	if err == nil {
		m.Set(field, value)
	}
	return err
}

func (d *decoder) listField(m protoreflect.Message, field protoreflect.FieldDescriptor) error {
	token, err := d.token()
	if err != nil || token == nil {
		return err
	}
	if token != json.Delim('[') {
		return d.want("a list", token)
	}
	list := m.Mutable(field).List()
	for i := 0; d.json.More(); i++ {
		d.at = append(d.at, step{index: i})
		value, err := d.element(field, list.NewElement())
		if err != nil {
			return err
		}
		list.Append(value)
		d.at = d.at[:len(d.at)-1]
	}
	_, err = d.token() // the closing bracket
	return err
}

func (d *decoder) mapField(m protoreflect.Message, field protoreflect.FieldDescriptor) error {
	token, err := d.token()
	if err != nil || token == nil {
		return err
	}
	if token != json.Delim('{') {
		return d.want("an object", token)
	}
	entries := m.Mutable(field).Map()
	for d.json.More() {
		token, err := d.token()
		if err != nil {
			return err
		}
		d.at = append(d.at, step{name: token.(string), isKey: true})
		key, err := d.mapKey(field.MapKey(), token.(string))
		if err != nil {
			return err
		}
		if entries.Has(key) {
			d.warnings = append(d.warnings, Warning{Path: d.at.String(), Repeated: true})
		}
		value, err := d.element(field.MapValue(), entries.NewValue())
		if err != nil {
			return err
		}
		entries.Set(key, value)
		d.at = d.at[:len(d.at)-1]
	}
	_, err = d.token() // the closing brace
	return err
}

// element reads one value of a list or map; null is its zero value.
func (d *decoder) element(field protoreflect.FieldDescriptor, zero protoreflect.Value) (protoreflect.Value, error) {
	if field.Message() != nil {
		_, err := d.messageValue(zero.Message())
		return zero, err
	}
	token, err := d.token()
	if err != nil || token == nil {
		return zero, err
	}
	return d.scalar(field, token)
}

func (d *decoder) token() (json.Token, error) {
	token, err := d.json.Token()
	if err != nil {
		return nil, d.syntax(err)
	}
	d.started = true
	return token, nil
}

// syntax says where JSON ends to be JSON. The end of input is io.EOF only
// before a value.
func (d *decoder) syntax(err error) error {
	switch {
	case err == nil:
		return nil
	case err == io.EOF && !d.started: //nolint:errorlint // json.Decoder answers it bare
		return io.EOF
	case err == io.EOF: //nolint:errorlint // json.Decoder answers it bare
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("not valid JSON at byte %d: %w", d.json.InputOffset(), err)
}

// want is the error for a value of the wrong form.
func (d *decoder) want(form string, got json.Token) error {
	what := "null"
	switch got := got.(type) {
	case json.Delim:
		what = "an object"
		if got == '[' {
			what = "a list"
		}
	case bool:
		what = fmt.Sprint(got)
	case json.Number:
		what = "the number " + clip(got.String())
	case string:
		what = fmt.Sprintf("the string %q", clip(got))
	}
	return d.fail(fmt.Errorf("must be %s, not %s", form, what))
}

func (d *decoder) fail(err error) error {
	return &FieldError{Path: d.at.String(), Err: err}
}

// clip keeps a value of a caller's from filling an error.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// names caches fieldsByName by message.
var names sync.Map // protoreflect.MessageDescriptor -> map[string]protoreflect.FieldDescriptor

// fieldsByName finds fields by their names in lower case, JSON and proto.
func fieldsByName(m protoreflect.MessageDescriptor) map[string]protoreflect.FieldDescriptor {
	if known, ok := names.Load(m); ok {
		return known.(map[string]protoreflect.FieldDescriptor)
	}
	byName := make(map[string]protoreflect.FieldDescriptor, 2*m.Fields().Len())
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		byName[strings.ToLower(string(f.Name()))] = f
		byName[strings.ToLower(f.JSONName())] = f
	}
	names.Store(m, byName)
	return byName
}

// sub reads a value that was cut out of the input, at the present path.
func (d *decoder) sub(raw []byte, read func(*decoder) error) error {
	inner := newDecoder(bytes.NewReader(raw))
	inner.at = d.at
	err := read(inner)
	d.warnings = append(d.warnings, inner.warnings...)
	return err
}
