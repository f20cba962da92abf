package submitview_test

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"armada/internal/wire/submitview"
	"armada/pkg/api"
	corev1 "armada/pkg/api/k8s/core/v1"
)

// left lists the only fields whose type differs from the public message.
var left = map[protoreflect.FullName]bool{
	"api.JobSubmitRequestItem.pod_spec":  true,
	"api.JobSubmitRequestItem.pod_specs": true,
}

func TestTheViewDiffersFromThePublicRequestInPodSpecsOnly(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, pair := range []struct{ view, public proto.Message }{
		{&submitview.JobSubmitRequest{}, &api.JobSubmitRequest{}},
		{&submitview.JobSubmitRequestItem{}, &api.JobSubmitRequestItem{}},
	} {
		view, public := pair.view.ProtoReflect().Descriptor(), pair.public.ProtoReflect().Descriptor()
		if view.Name() != public.Name() || view.Fields().Len() != public.Fields().Len() {
			t.Errorf("%s has %d fields, %s has %d", view.FullName(), view.Fields().Len(), public.FullName(), public.Fields().Len())
		}
		for i := range public.Fields().Len() {
			want := public.Fields().Get(i)
			got := view.Fields().ByNumber(want.Number())
			if got == nil || got.Name() != want.Name() || got.Cardinality() != want.Cardinality() || got.IsMap() != want.IsMap() {
				t.Errorf("field %d of %s is %v, want %v", want.Number(), view.FullName(), got, want)
				continue
			}
			if left[want.FullName()] {
				seen++
				if got.Kind() != protoreflect.BytesKind || want.Message().FullName() != "k8s.io.api.core.v1.PodSpec" {
					t.Errorf("%s is %v here and %v in public, want bytes and a pod spec", want.FullName(), got.Kind(), want.Message().FullName())
				}
				continue
			}
			if !sameType(got, want) {
				t.Errorf("%s has another type than %s", got.FullName(), want.FullName())
			}
		}
	}
	if seen != len(left) {
		t.Errorf("compared %d pod spec fields, want %d", seen, len(left))
	}
}

func sameType(a, b protoreflect.FieldDescriptor) bool {
	if a.IsMap() {
		return sameType(a.MapKey(), b.MapKey()) && sameType(a.MapValue(), b.MapValue())
	}
	if a.Kind() != b.Kind() {
		return false
	}
	if a.Kind() != protoreflect.MessageKind {
		return true
	}
	x, y := a.Message().FullName(), b.Message().FullName()
	return x == y || x == "armada.submitview.JobSubmitRequestItem" && y == "api.JobSubmitRequestItem"
}

func TestTheViewOfARequestKeepsItsPodSpecsByteForByte(t *testing.T) {
	t.Parallel()
	spec := &corev1.PodSpec{
		Containers:        []*corev1.Container{{Name: proto.String("main"), Image: proto.String("busybox")}},
		PriorityClassName: proto.String("high"),
	}
	encoded, err := proto.Marshal(&api.JobSubmitRequest{
		Queue:    "a",
		JobSetId: "b",
		JobRequestItems: []*api.JobSubmitRequestItem{
			{Priority: 3, PodSpec: spec, Labels: map[string]string{"k": "v"}},
			{PodSpecs: []*corev1.PodSpec{spec, spec}, ClientId: "c"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var view submitview.JobSubmitRequest
	if err := proto.Unmarshal(encoded, &view); err != nil {
		t.Fatal(err)
	}
	items := view.GetJobRequestItems()
	if view.GetQueue() != "a" || view.GetJobSetId() != "b" || len(items) != 2 ||
		items[0].GetPriority() != 3 || items[0].GetLabels()["k"] != "v" || items[1].GetClientId() != "c" || len(items[1].GetPodSpecs()) != 2 {
		t.Fatalf("the view is %v", &view)
	}
	for _, raw := range [][]byte{items[0].GetPodSpec(), items[1].GetPodSpecs()[0], items[1].GetPodSpecs()[1]} {
		var got corev1.PodSpec
		if err := proto.Unmarshal(raw, &got); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(&got, spec) {
			t.Errorf("the pod spec became %v, want %v", &got, spec)
		}
	}
}
