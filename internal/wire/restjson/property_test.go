package restjson_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"pgregory.net/rapid"

	"armada/internal/wire/restjson"
	"armada/pkg/api"
	_ "armada/pkg/api/armadaevents"
	_ "armada/pkg/api/bidstore"
	_ "armada/pkg/api/binoculars"
	_ "armada/pkg/api/executorapi"
	_ "armada/pkg/api/lookout"
	_ "armada/pkg/api/priorityoverride"
)

// messages are all messages of ours.
func messages() []protoreflect.MessageDescriptor {
	var all []protoreflect.MessageDescriptor
	var add func(protoreflect.MessageDescriptors)
	add = func(of protoreflect.MessageDescriptors) {
		for i := range of.Len() {
			if !of.Get(i).IsMapEntry() {
				all = append(all, of.Get(i))
				add(of.Get(i).Messages())
			}
		}
	}
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if strings.HasPrefix(f.Path(), "pkg/api/") {
			add(f.Messages())
		}
		return true
	})
	return all
}

func TestNoTwoFieldsOfAMessageDifferInCaseOnly(t *testing.T) {
	t.Parallel()
	for _, m := range messages() {
		taken := map[string]protoreflect.FieldDescriptor{}
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			for _, name := range []string{strings.ToLower(string(f.Name())), strings.ToLower(f.JSONName())} {
				if other := taken[name]; other != nil && other != f {
					t.Errorf("%s and %s are both called %s", f.FullName(), other.FullName(), name)
				}
				taken[name] = f
			}
		}
	}
}

// TestEveryKubernetesMessageHasItsForm fails when a new field has a type of
// Kubernetes that would be written as a protobuf message.
func TestEveryKubernetesMessageHasItsForm(t *testing.T) {
	t.Parallel()
	for _, m := range messages() {
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			if f.IsMap() {
				f = f.MapValue()
			}
			if f.Message() == nil || !strings.HasPrefix(string(f.Message().FullName()), "k8s.io.") {
				continue
			}
			if !restjson.HasForm(f.Message()) {
				t.Errorf("%s is a %s, which has no form", f.FullName(), f.Message().FullName())
			}
		}
	}
}

// fill draws values for the fields of m, to a depth.
func fill(t *rapid.T, m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.Message() != nil && !f.IsMap() && depth == 0 || rapid.IntRange(0, 2).Draw(t, "absent") == 0 {
			continue
		}
		switch {
		case f.IsMap():
			for range rapid.IntRange(0, 2).Draw(t, "entries") {
				key := scalar(t, f.MapKey()).MapKey()
				m.Mutable(f).Map().Set(key, value(t, f.MapValue(), m.Mutable(f).Map().NewValue(), depth))
			}
		case f.IsList():
			list := m.Mutable(f).List()
			for range rapid.IntRange(0, 2).Draw(t, "elements") {
				list.Append(value(t, f, list.NewElement(), depth))
			}
		case f.Message() != nil:
			m.Set(f, value(t, f, m.NewField(f), depth))
		default:
			m.Set(f, scalar(t, f))
		}
	}
}

func value(t *rapid.T, f protoreflect.FieldDescriptor, zero protoreflect.Value, depth int) protoreflect.Value {
	if f.Message() == nil {
		return scalar(t, f)
	}
	switch name := f.Message().FullName(); {
	case name == "google.protobuf.Timestamp":
		set(zero.Message(), "seconds", protoreflect.ValueOfInt64(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "seconds")))
		set(zero.Message(), "nanos", protoreflect.ValueOfInt32(rapid.Int32Range(0, 999999999).Draw(t, "nanos")))
	case name == "google.protobuf.Duration": // of one sign
		whole, part := rapid.Int64Range(0, 315576000000).Draw(t, "seconds"), rapid.Int32Range(0, 999999999).Draw(t, "nanos")
		if rapid.Bool().Draw(t, "negative") {
			whole, part = -whole, -part
		}
		set(zero.Message(), "seconds", protoreflect.ValueOfInt64(whole))
		set(zero.Message(), "nanos", protoreflect.ValueOfInt32(part))
	case name == "k8s.io.apimachinery.pkg.api.resource.Quantity":
		set(zero.Message(), "string", protoreflect.ValueOfString(rapid.SampledFrom([]string{"1", "120m", "512Mi", "3G", "-2", "0"}).Draw(t, "quantity")))
	case strings.HasPrefix(string(name), "k8s.io."):
		text := rapid.SampledFrom(kubernetesTexts[name]).Draw(t, "object")
		if err := restjson.DecodeMessage([]byte(text), zero.Message()); err != nil {
			t.Fatalf("reading %s: %v", text, err)
		}
	case depth > 0:
		fill(t, zero.Message(), depth-1)
	}
	return zero
}

// kubernetesTexts are manifests to choose from.
var kubernetesTexts = map[protoreflect.FullName][]string{
	"k8s.io.api.core.v1.PodSpec": {
		`{"containers":[]}`,
		`{"containers":[{"name":"a","image":"b","resources":{"limits":{"cpu":"1","memory":"1Gi"}},"livenessProbe":{"httpGet":{"port":80},"periodSeconds":3}}],
		  "nodeSelector":{"a":"b"},"tolerations":[{"key":"k","operator":"Exists","tolerationSeconds":5}],"volumes":[{"name":"v","emptyDir":{"sizeLimit":"1Gi"}}],
		  "affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"z","operator":"In","values":["a"]}]}]}}}}`,
	},
	"k8s.io.api.core.v1.ConfigMap":            {`{"metadata":{"name":"a"},"data":{"k":"v"},"binaryData":{"b":"AAE="}}`},
	"k8s.io.api.core.v1.PodLogOptions":        {`{"container":"a","follow":true,"sinceTime":"2026-01-31T12:00:00Z"}`},
	"k8s.io.api.core.v1.ResourceRequirements": {`{"requests":{"cpu":"100m"}}`},
	"k8s.io.api.core.v1.Service":              {`{"metadata":{"name":"a","creationTimestamp":"2026-01-31T12:00:00Z"},"spec":{"ports":[{"port":80,"targetPort":"http"}]}}`},
	"k8s.io.api.core.v1.ServiceSpec":          {`{"type":"NodePort","ports":[{"port":80,"targetPort":8080}]}`},
	"k8s.io.api.core.v1.Taint":                {`{"key":"a","effect":"NoSchedule"}`},
	"k8s.io.api.networking.v1.Ingress":        {`{"spec":{"rules":[{"host":"a","http":{"paths":[{"pathType":"Prefix","path":"/","backend":{"service":{"name":"s","port":{"number":80}}}}]}}]}}`},
	"k8s.io.api.networking.v1.IngressSpec":    {`{"tls":[{"hosts":["a"],"secretName":"b"}]}`},
}

func set(m protoreflect.Message, name protoreflect.Name, v protoreflect.Value) {
	m.Set(m.Descriptor().Fields().ByName(name), v)
}

func scalar(t *rapid.T, f protoreflect.FieldDescriptor) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(t, "bool"))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(strings.ToValidUTF8(rapid.String().Draw(t, "string"), "?"))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(rapid.Int32Range(0, 12).Draw(t, "enum")))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(rapid.Float64().Draw(t, "double"))
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(rapid.Int32().Draw(t, "int32"))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(rapid.Int64().Draw(t, "int64"))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(rapid.Uint32().Draw(t, "uint32"))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(rapid.Uint64().Draw(t, "uint64"))
	default:
		t.Fatalf("no value for %s", f.FullName())
		return protoreflect.Value{}
	}
}

func TestAnyMessageOfOursComesBackAsItWas(t *testing.T) {
	t.Parallel()
	all := messages()
	rapid.Check(t, func(t *rapid.T) {
		descriptor := rapid.SampledFrom(all).Draw(t, "message")
		kind, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.FullName())
		if err != nil {
			t.Fatal(err)
		}
		message := kind.New()
		fill(t, message, 4)
		text, err := restjson.Encode(message.Interface())
		if err != nil {
			t.Fatal(err)
		}
		back := kind.New().Interface()
		warnings, err := restjson.Decode(text, back)
		if err != nil || len(warnings) > 0 {
			t.Fatalf("reading %s: %v %v", text, err, warnings)
		}
		if !proto.Equal(back, message.Interface()) {
			t.Fatalf("%s became %v, was %v", text, back, message)
		}
	})
}

// FuzzDecode feeds arbitrary bodies. What is accepted must be written as
// something that is read as the same.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"queue":"a","jobSetId":"b","jobRequestItems":[{"priority":1.5,"namespace":"n","labels":{"a":"b"},"podSpec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"120m","memory":1}}}]}}]}`,
		`{"Queue":null,"jobRequestItems":[null,{"podSpecs":[{"Containers":[{"livenessProbe":{"httpGet":{"port":"x"}}}]}],"ingress":[{"type":"Ingress","ports":[80]}],"services":[{"type":1}]}]}`,
		`{"job_set_id":"\ud800","queue":"\u0000","x":[[[{}]]]}`,
		`{"jobRequestItems":[{"priority":"NaN"},{"priority":-0},{"priority":1e400}]}`,
		`{"jobRequestItems":[{"podSpec":{"terminationGracePeriodSeconds":1e2,"volumes":[{"emptyDir":{"sizeLimit":"1e3Ki"}}]}}]}`,
		`[]`, `null`, `{"queue":`, `{}{}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var first, second api.JobSubmitRequest
		if _, err := restjson.Decode(body, &first); err != nil {
			return
		}
		text, err := restjson.Encode(&first)
		if err != nil {
			t.Fatalf("%q was read and cannot be written: %v", body, err)
		}
		warnings, err := restjson.Decode(text, &second)
		if err != nil || len(warnings) > 0 {
			t.Fatalf("%s was written and cannot be read: %v %v", text, err, warnings)
		}
		again, err := restjson.Encode(&second)
		if err != nil || string(again) != string(text) {
			t.Fatalf("%s became %s (%v)", text, again, err)
		}
	})
}
