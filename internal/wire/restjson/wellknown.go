package restjson

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// special is how messages are written that are not objects of their fields.
type special interface {
	// decode reads raw, which is JSON and not null, into an empty message.
	decode(d *decoder, raw []byte, m protoreflect.Message) error
	encode(b []byte, m protoreflect.Message) ([]byte, error)
}

type (
	timestampForm struct{}
	anyForm       struct{}
	protobufForm  struct{} // The rest of google.protobuf, as everybody writes it.
)

// specialForm is nil for messages that are objects of their fields.
func specialForm(m protoreflect.MessageDescriptor) special {
	switch name := m.FullName(); {
	case strings.HasPrefix(string(name), "k8s.io."):
		if form, known := kubernetesForms[name]; known {
			return form
		}
		return nil
	case name == "google.protobuf.Timestamp":
		return timestampForm{}
	case name == "google.protobuf.Any":
		return anyForm{}
	case name == "google.protobuf.Empty":
		return nil
	case name.Parent() == "google.protobuf":
		return protobufForm{}
	}
	return nil
}

func (timestampForm) encode(b []byte, m protoreflect.Message) ([]byte, error) {
	seconds, nanos := timestampFields(m)
	at := &timestamppb.Timestamp{Seconds: m.Get(seconds).Int(), Nanos: int32(m.Get(nanos).Int())}
	if err := at.CheckValid(); err != nil {
		return nil, fmt.Errorf("a time cannot be written: %w", err)
	}
	b = append(b, '"')
	b = at.AsTime().AppendFormat(b, time.RFC3339Nano)
	return append(b, '"'), nil
}

// decode reads RFC 3339, or seconds and nanos as an object.
func (timestampForm) decode(d *decoder, raw []byte, m protoreflect.Message) error {
	if raw[0] == '{' {
		return d.sub(raw, func(inner *decoder) error {
			token, err := inner.token()
			if err != nil {
				return err
			}
			return inner.object(token, m)
		})
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return d.fail(errors.New("must be a time as RFC 3339"))
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return d.fail(fmt.Errorf("%q is not a time as RFC 3339, such as 2026-01-31T12:00:00Z", clip(text)))
	}
	stamp := timestamppb.New(at)
	if stamp.CheckValid() != nil {
		return d.fail(fmt.Errorf("%q is out of range", clip(text)))
	}
	seconds, nanos := timestampFields(m)
	m.Set(seconds, protoreflect.ValueOfInt64(stamp.GetSeconds()))
	m.Set(nanos, protoreflect.ValueOfInt32(stamp.GetNanos()))
	return nil
}

func timestampFields(m protoreflect.Message) (seconds, nanos protoreflect.FieldDescriptor) {
	fields := m.Descriptor().Fields()
	return fields.ByName("seconds"), fields.ByName("nanos")
}

// typeMember names the type of the message in an Any.
const typeMember = "@type"

func (anyForm) encode(b []byte, m protoreflect.Message) ([]byte, error) {
	holder, ok := m.Interface().(*anypb.Any)
	if !ok {
		return nil, fmt.Errorf("an Any of Go type %T cannot be written", m.Interface())
	}
	b = append(b, `{"`+typeMember+`":`...)
	b = appendString(b, holder.GetTypeUrl())
	inner, err := holder.UnmarshalNew()
	if err != nil {
		// A type that this program does not have, or bytes that are not of
		// their type: the caller gets what there is.
		b = append(b, `,"value":"`...)
		b = base64.StdEncoding.AppendEncode(b, holder.GetValue())
		return append(b, `"}`...), nil
	}
	if specialForm(inner.ProtoReflect().Descriptor()) != nil {
		if b, err = appendMessage(append(b, `,"value":`...), inner.ProtoReflect(), false); err != nil {
			return nil, err
		}
		return append(b, '}'), nil
	}
	fields, err := appendFields(nil, inner.ProtoReflect(), false)
	if err != nil {
		return nil, err
	}
	if len(fields) > 0 {
		b = append(append(b, ','), fields...)
	}
	return append(b, '}'), nil
}

func (anyForm) decode(d *decoder, raw []byte, m protoreflect.Message) error {
	holder, ok := m.Interface().(*anypb.Any)
	if !ok {
		return d.fail(fmt.Errorf("an Any of Go type %T cannot be read", m.Interface()))
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return d.fail(errors.New("must be an object"))
	}
	var url string
	if json.Unmarshal(members[typeMember], &url) != nil {
		return d.fail(fmt.Errorf("must have a member %s", typeMember))
	}
	kind, err := protoregistry.GlobalTypes.FindMessageByURL(url)
	if err != nil {
		return d.fail(fmt.Errorf("no type is known as %q", clip(url)))
	}
	inner := kind.New()
	content := members["value"]
	if specialForm(inner.Descriptor()) == nil {
		delete(members, typeMember)
		if content, err = json.Marshal(members); err != nil {
			return d.fail(err)
		}
	}
	if len(content) > 0 {
		err = d.sub(content, func(inside *decoder) error {
			_, err := inside.messageValue(inner)
			return err
		})
		if err != nil {
			return err
		}
	}
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(inner.Interface())
	if err != nil {
		return d.fail(err)
	}
	holder.TypeUrl, holder.Value = url, encoded
	return nil
}

func (protobufForm) encode(b []byte, m protoreflect.Message) ([]byte, error) {
	encoded, err := protojson.Marshal(m.Interface())
	if err != nil {
		return nil, fmt.Errorf("a %s cannot be written: %w", m.Descriptor().FullName(), err)
	}
	return append(b, encoded...), nil
}

func (protobufForm) decode(d *decoder, raw []byte, m protoreflect.Message) error {
	if err := protojson.Unmarshal(raw, m.Interface()); err != nil {
		return d.fail(fmt.Errorf("must be a %s", m.Descriptor().FullName()))
	}
	return nil
}
