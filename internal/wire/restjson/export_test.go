package restjson

import (
	"bytes"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// HasForm says whether a message has a form of its own.
func HasForm(m protoreflect.MessageDescriptor) bool { return specialForm(m) != nil }

// DecodeMessage reads one value into any message, as it is below the top.
func DecodeMessage(data []byte, m protoreflect.Message) error {
	_, err := newDecoder(bytes.NewReader(data)).messageValue(m)
	return err
}
