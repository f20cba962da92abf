package compat

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"armada/internal/app"
	"armada/internal/wire/restjson"
	_ "armada/pkg/api"
	_ "armada/pkg/api/armadaevents"
	_ "armada/pkg/api/bidstore"
	_ "armada/pkg/api/binoculars"
	_ "armada/pkg/api/executorapi"
	_ "armada/pkg/api/priorityoverride"
	_ "armada/pkg/api/schedulerobjects"
	"armada/test/compat/wiretable"
)

var years = map[string]func() *wiretable.Table{"2020": wiretable.Year2020, "2026": wiretable.Year2026}

// TestEveryMessageOfTheWireKeepsItsBytes has each message of both tables with
// everything set, and once for each member of its oneofs, encoded by the table's
// numbers. The generated message of that name must know all of it and encode it
// as the same bytes.
func TestEveryMessageOfTheWireKeepsItsBytes(t *testing.T) {
	t.Parallel()
	for year, table := range years {
		for _, m := range table().Messages() {
			t.Run(year+"/"+string(m.FullName()), func(t *testing.T) {
				t.Parallel()
				ours := generated(t, m.FullName())
				for _, fixture := range fixtures(m, ours.Descriptor()) {
					keeps(t, fixture, ours.New().Interface())
				}
			})
		}
	}
}

func keeps(t *testing.T, fixture *dynamicpb.Message, ours proto.Message) {
	t.Helper()
	want := encoded(t, fixture)
	if err := proto.Unmarshal(want, ours); err != nil {
		t.Fatalf("%v: %v", fixture, err)
	}
	if path := unknown(ours.ProtoReflect()); path != "" {
		t.Errorf("%s is not known: %v", path, ours)
	}
	if got := encoded(t, ours); !bytes.Equal(got, want) {
		t.Errorf("%v became other bytes:\n%x\n%x", fixture, want, got)
	}
	if got, want := keysOf(t, ours), namesOf(fixture); !slices.Equal(got, want) {
		t.Errorf("in JSON its members are %q, want %q", got, want)
	}
}

// generated is the type that the server has for a name of the wire.
func generated(t *testing.T, name protoreflect.FullName) protoreflect.Message {
	t.Helper()
	found, err := protoregistry.GlobalTypes.FindMessageByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return found.New()
}

func encoded(t *testing.T, m proto.Message) []byte {
	t.Helper()
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// fixtures are messages with every field set: one, and one more for each member
// of a oneof after the first.
func fixtures(m, ours protoreflect.MessageDescriptor) []*dynamicpb.Message {
	most := 1
	for i := range m.Oneofs().Len() {
		most = max(most, m.Oneofs().Get(i).Fields().Len())
	}
	all := make([]*dynamicpb.Message, most)
	for n := range all {
		all[n] = dynamicpb.NewMessage(m)
		fill(all[n], ours, n)
	}
	return all
}

// fill sets every field of a message, and of each oneof the n-th member.
func fill(m protoreflect.Message, ours protoreflect.MessageDescriptor, n int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if one := f.ContainingOneof(); one != nil && one.Fields().Get(n%one.Fields().Len()) != f {
			continue
		}
		// The generated field tells which message of Kubernetes the bytes are.
		kind := ours.Fields().ByNumber(f.Number())
		switch {
		case kind == nil:
			continue // the test of bytes will not find it
		case f.IsMap():
			for k := range 2 {
				key := scalar(f.MapKey(), k).MapKey()
				m.Mutable(f).Map().Set(key, value(f.MapValue(), kind.MapValue(), m.Mutable(f).Map().NewValue, k))
			}
		case f.IsList():
			for k := range 2 {
				m.Mutable(f).List().Append(value(f, kind, m.Mutable(f).List().NewElement, k))
			}
		default:
			if v := value(f, kind, func() protoreflect.Value { return m.NewField(f) }, 0); v.IsValid() {
				m.Set(f, v)
			}
		}
	}
}

// value is the k-th value of a field.
func value(f, ours protoreflect.FieldDescriptor, empty func() protoreflect.Value, k int) protoreflect.Value {
	switch {
	case f.Kind() == protoreflect.MessageKind:
		v := empty()
		fill(v.Message(), ours.Message(), k)
		return v
	case f.Kind() == protoreflect.BytesKind && ours.Message() != nil:
		return protoreflect.ValueOfBytes(kubernetes(ours.Message().FullName()))
	default:
		return scalar(f, k)
	}
}

func scalar(f protoreflect.FieldDescriptor, k int) protoreflect.Value {
	n := 300*int(f.Number()) + k // beyond what one byte of a varint holds
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(fmt.Sprintf("%s-%d-é", f.Name(), k))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte{0xff, byte(n)})
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.Int32Kind:
		if f.Parent().FullName() == "google.protobuf.Timestamp" {
			return protoreflect.ValueOfInt32(int32(n)) // nanoseconds are never negative
		}
		return protoreflect.ValueOfInt32(int32(-n))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(int64(-n))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(n))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(uint64(n))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(float64(n) + 0.25)
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(n) + 0.25)
	case protoreflect.EnumKind:
		values := f.Enum().Values()
		return protoreflect.ValueOfEnum(values.Get(values.Len() - 1 - k%values.Len()).Number())
	default:
		panic(fmt.Sprintf("a field of kind %s is not of the wire", f.Kind()))
	}
}

// kubernetes is a message of Kubernetes as its own types encode it; of one that
// the table names and nobody describes, nothing.
func kubernetes(name protoreflect.FullName) []byte {
	amount := resource.MustParse("1500m")
	pod := corev1.PodSpec{
		Containers:   []corev1.Container{{Name: "main", Image: "busybox", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": amount}}}},
		NodeSelector: map[string]string{"a": "b", "c": "d"},
	}
	rules := networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{Host: "h"}}}
	ports := corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}
	since := int64(5)
	known := map[protoreflect.FullName]interface{ Marshal() ([]byte, error) }{
		"k8s.io.api.core.v1.PodSpec":                    &pod,
		"k8s.io.api.core.v1.Taint":                      &corev1.Taint{Key: "k", Value: "v", Effect: corev1.TaintEffectNoSchedule},
		"k8s.io.api.core.v1.ConfigMap":                  &corev1.ConfigMap{Data: map[string]string{"a": "b", "c": "d"}},
		"k8s.io.api.core.v1.PodLogOptions":              &corev1.PodLogOptions{Container: "main", SinceSeconds: &since},
		"k8s.io.api.core.v1.ResourceRequirements":       &pod.Containers[0].Resources,
		"k8s.io.api.core.v1.Service":                    &corev1.Service{Spec: ports},
		"k8s.io.api.core.v1.ServiceSpec":                &ports,
		"k8s.io.api.networking.v1.Ingress":              &networkingv1.Ingress{Spec: rules},
		"k8s.io.api.networking.v1.IngressSpec":          &rules,
		"k8s.io.apimachinery.pkg.api.resource.Quantity": &amount,
		"schedulerobjects.JobSchedulingInfo":            nothing{},
		"schedulerobjects.PodRequirements":              nothing{},
	}
	raw, err := known[name].Marshal()
	if err != nil {
		panic(err) // never for these
	}
	return raw
}

type nothing struct{}

func (nothing) Marshal() ([]byte, error) { return nil, nil }

// unknown is the path of the first field that a message does not know, or "".
func unknown(m protoreflect.Message) string {
	if raw := m.GetUnknown(); len(raw) > 0 {
		number, _, _ := protowire.ConsumeTag(raw)
		return fmt.Sprintf("%s %d", m.Descriptor().FullName(), number)
	}
	found := ""
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap() && f.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				found = unknown(v.Message())
				return found == ""
			})
		case f.IsList() && f.Message() != nil:
			for i := 0; i < v.List().Len() && found == ""; i++ {
				found = unknown(v.List().Get(i).Message())
			}
		case !f.IsMap() && !f.IsList() && f.Message() != nil:
			found = unknown(v.Message())
		}
		return found == ""
	})
	return found
}

// keysOf are the members of a message as REST writes it, without those that it
// writes although they are empty.
func keysOf(t *testing.T, m proto.Message) []string {
	t.Helper()
	raw, err := restjson.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &members); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	maps.DeleteFunc(members, func(_ string, v json.RawMessage) bool { return string(v) == "[]" || string(v) == "{}" })
	return slices.Sorted(maps.Keys(members))
}

// namesOf are the names in JSON of the fields that a message has. Messages of
// the stream of queues have one member more around them, which readers look for.
func namesOf(m *dynamicpb.Message) []string {
	if m.Descriptor().FullName() == "api.StreamingQueueMessage" {
		return []string{"Event"}
	}
	var names []string
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Message() == nil || f.IsMap() || f.IsList() || proto.Size(v.Message().Interface()) > 0 {
			names = append(names, f.JSONName())
		}
		return true
	})
	slices.Sort(names)
	return names
}

// TestEveryMethodOfBothYearsIsServed calls each method of the tables with an
// empty message: whatever it answers, it does something.
func TestEveryMethodOfBothYearsIsServed(t *testing.T) {
	t.Parallel()
	address := startUp(t, func(*app.Config) {})
	methods := 0
	for year, table := range years {
		client := newClient(t, address, table())
		for _, s := range table().Services() {
			if slices.Contains(calledByServers, s.FullName()) {
				continue
			}
			for i := range s.Methods().Len() {
				m := s.Methods().Get(i)
				methods++
				if st := client.asks(m); st.Code() == codes.Unimplemented || st.Code() == codes.Unknown {
					t.Errorf("%s of %s is not served: %v", m.FullName(), year, st)
				}
			}
		}
	}
	if methods < 60 {
		t.Errorf("the tables have only %d methods", methods)
	}
}

// calledByServers are services that others have and this server calls.
var calledByServers = []protoreflect.FullName{"api.BidRetrieverService", "api.PriorityOverrideService"}

// asks sends an empty message to a method and returns how the call ends, or how
// it was answered first.
func (c *client) asks(m protoreflect.MethodDescriptor) *status.Status {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	name := fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name())
	s, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: m.IsStreamingClient(), ServerStreams: true}, name)
	ok(c.t, err)
	if err = s.SendMsg(c.new(m.Input())); err == nil {
		_ = s.CloseSend() // what is answered counts
		err = s.RecvMsg(c.new(m.Output()))
	}
	return status.Convert(err)
}
