package restjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/proto"
)

// ContentType is what every answer is declared as, streams included.
const ContentType = "application/json"

// Marshaler is a runtime.Marshaler of the gRPC gateway that speaks this
// package's JSON. A stream is one JSON object per line. The zero value is
// ready to use, by any number of goroutines.
type Marshaler struct{}

var (
	_ runtime.Marshaler         = Marshaler{}
	_ runtime.Delimited         = Marshaler{}
	_ runtime.StreamContentType = Marshaler{}
)

// Decode reads data, which must be one JSON value, into an empty message. It
// answers the names in data that the message does not have. An error is a
// *FieldError when a value is wrong, otherwise data is not JSON.
func Decode(data []byte, into proto.Message) ([]Warning, error) {
	if !utf8.Valid(data) {
		return nil, notUTF8(data)
	}
	d := newDecoder(bytes.NewReader(data))
	if err := d.message(into); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("not valid JSON: there is nothing")
		}
		return d.warnings, err
	}
	if _, err := d.json.Token(); !errors.Is(err, io.EOF) {
		return d.warnings, fmt.Errorf("not valid JSON: something follows the value at byte %d", d.json.InputOffset())
	}
	return d.warnings, nil
}

// Encode writes a message as JSON on one line, without a newline.
func Encode(m proto.Message) ([]byte, error) {
	return appendMessage(nil, m.ProtoReflect(), true)
}

// Marshal encodes a message, or a map of messages by name as the gateway uses
// for the lines of a stream.
func (Marshaler) Marshal(v any) ([]byte, error) {
	switch v := v.(type) {
	case proto.Message:
		return Encode(v)
	case map[string]any:
		return appendMembers(nil, v)
	case map[string]proto.Message:
		return appendMembers(nil, v)
	}
	encoded, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("writing a %T as JSON: %w", v, err)
	}
	return encoded, nil
}

// Unmarshal decodes into a message; what the message does not know is ignored.
func (Marshaler) Unmarshal(data []byte, v any) error {
	if m, ok := v.(proto.Message); ok {
		_, err := Decode(data, m)
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("reading a %T from JSON: %w", v, err)
	}
	return nil
}

// NewDecoder decodes one message after the other from r. When r is a body
// prepared by FieldValidation, unknown names are noted there; otherwise they
// are ignored. Decode answers io.EOF when nothing is left.
func (Marshaler) NewDecoder(r io.Reader) runtime.Decoder {
	var d *decoder
	var unread error
	body, _ := r.(*checkedBody)
	return runtime.DecoderFunc(func(v any) error {
		if d == nil {
			var data []byte
			if data, unread = io.ReadAll(r); unread == nil && !utf8.Valid(data) {
				unread = notUTF8(data)
			}
			d = newDecoder(bytes.NewReader(data))
		}
		m, ok := v.(proto.Message)
		if !ok && unread == nil {
			return d.json.Decode(v)
		}
		err := unread
		if err == nil {
			err = d.message(m)
		}
		if err == nil && body != nil {
			err = body.note(d.warnings)
		}
		d.warnings = nil
		if body != nil && !errors.Is(err, io.EOF) { // without a body the request is empty, and what is wrong is told by who gets it
			body.failed = err
		}
		return err
	})
}

// NewEncoder writes each value and a newline.
func (m Marshaler) NewEncoder(w io.Writer) runtime.Encoder {
	return runtime.EncoderFunc(func(v any) error {
		encoded, err := m.Marshal(v)
		if err != nil {
			return err
		}
		_, err = w.Write(append(encoded, '\n'))
		return err
	})
}

// ContentType is application/json.
func (Marshaler) ContentType(any) string { return ContentType }

// StreamContentType is application/json too: clients of all years expect it.
func (Marshaler) StreamContentType(any) string { return ContentType }

// Delimiter is the newline between the objects of a stream.
func (Marshaler) Delimiter() []byte { return []byte("\n") }
