package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that ours asks
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"armada"
	"armada/internal/wire"
)

// The library answers a request that cannot be decoded with INTERNAL, as if the
// server were to blame, and one that is too large with RESOURCE_EXHAUSTED, which
// clients repeat until their time is up. Here both are INVALID_ARGUMENT with what is
// wrong: services and streams hand a letter to the library where it asks for
// the message, and the codec leaves in it what was wrong.

// readAhead is how many bytes beyond the limit of messages the library reads: what it
// does not read it answers in its own words.
const readAhead = 32 << 20

// letter is a message on its way in, and why it cannot be read.
type letter struct {
	message any
	wrong   error
}

// read decodes with the library's decode.
func (l *letter) read(decode func(any) error) error {
	err := decode(l)
	if l.wrong != nil {
		return l.wrong
	}
	return err
}

// codec is the library's own, for letters too.
type codec struct {
	encoding.CodecV2
	most int // bytes of a message
}

func newCodec(most int) codec { return codec{encoding.GetCodecV2("proto"), most} }

// Unmarshal decodes a message, in a letter or bare.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	l, is := v.(*letter)
	if !is {
		return c.decode(data, v)
	}
	if n := data.Len(); n > c.most {
		l.wrong = &armada.Error{Code: armada.CodeInvalid, Message: fmt.Sprintf(
			"the request is %d bytes long, at most %d are taken (server.maxMessageBytes): send it in several parts", n, c.most)}
		return nil
	}
	err := c.decode(data, l.message)
	if err == nil {
		return nil
	}
	wrong := &armada.Error{Code: armada.CodeInvalid, Message: "the request cannot be read"}
	if m, is := l.message.(proto.Message); is {
		wrong.Violations = wire.BadTexts(data.Materialize(), m.ProtoReflect().Descriptor())
	}
	if len(wrong.Violations) == 0 {
		wrong.Cause = err
	}
	l.wrong = wrong
	return nil // an error would be sent to the caller at once, as INTERNAL
}

// fromOriginals are the messages in which executors of the original send texts of
// containers and of clusters, which nobody has looked at and which may be cut
// anywhere.
var fromOriginals = map[protoreflect.FullName]bool{
	"executorapi.EventList": true, "executorapi.LeaseRequest": true, "api.EventList": true, "api.EventMessage": true,
}

// decode decodes a message; a text in it that is not UTF-8 or has a NUL is an error.
// In those of executors of the original it is mended: the executor would send the
// same again for ever.
func (c codec) decode(data mem.BufferSlice, v any) error {
	err := c.CodecV2.Unmarshal(data, v)
	m, is := v.(proto.Message)
	if !is {
		return err
	}
	of := m.ProtoReflect().Descriptor()
	if err == nil && hasZero(data) && wire.HasNUL(data.Materialize(), of) {
		err = errNUL
	}
	if err == nil || !fromOriginals[of.FullName()] {
		return err
	}
	if proto.Unmarshal(wire.Mended(data.Materialize(), of), m) == nil {
		return nil
	}
	return err
}

var errNUL = errors.New("a text contains the character NUL")

// hasZero tells whether there is a zero among the bytes of a message.
func hasZero(data mem.BufferSlice) bool {
	return slices.ContainsFunc(data, func(b mem.Buffer) bool { return bytes.IndexByte(b.ReadOnlyData(), 0) >= 0 })
}

// readable registers services whose calls answer so.
type readable struct {
	grpc.ServiceRegistrar
	calls *calls
}

// RegisterService registers a service with its handlers wrapped.
func (r readable) RegisterService(service *grpc.ServiceDesc, impl any) {
	wrapped := *service
	wrapped.Methods = slices.Clone(service.Methods)
	for i := range wrapped.Methods {
		wrapped.Methods[i].Handler = r.wrap("/"+service.ServiceName+"/"+wrapped.Methods[i].MethodName, wrapped.Methods[i].Handler)
	}
	r.ServiceRegistrar.RegisterService(&wrapped, impl)
}

func (r readable) wrap(method string, handle grpc.MethodHandler) grpc.MethodHandler {
	return func(service any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
		var unread error
		answer, err := handle(service, ctx, func(message any) error {
			unread = (&letter{message: message}).read(decode)
			return unread
		}, intercept)
		if unread != nil { // no interceptor has seen the call
			return nil, r.calls.finish(ctx, method, unread)
		}
		return answer, err
	}
}
