package wire_test

import (
	"bytes"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"armada/internal/wire"
	"armada/pkg/api"
	"armada/pkg/api/armadaevents"
	"armada/pkg/api/executorapi"
	"armada/pkg/api/k8s/api/resource"
)

func TestTextsThatAreNotUTF8AreMendedAndNothingElseChanges(t *testing.T) {
	t.Parallel()
	of := func(text string) *executorapi.LeaseRequest {
		quantity := "1" + text
		return &executorapi.LeaseRequest{
			ExecutorId: "e", Pool: text, UnassignedJobRunIds: []string{"a", "b" + text + "c"}, MaxJobsToLease: 7,
			Nodes: []*executorapi.NodeInfo{{
				Name: "n", Labels: map[string]string{"l": text}, RunIdsByState: map[string]api.JobState{"r": 2},
				TotalResources: map[string]*resource.Quantity{"cpu": {String_: &quantity}},
			}},
		}
	}
	raw, err := proto.Marshal(of("BAD"))
	if err != nil {
		t.Fatal(err)
	}
	got := &executorapi.LeaseRequest{}
	for bad, good := range map[string]string{"\xff\xfe\xfd": "\uFFFD", "a\x00b": "a\uFFFDb"} {
		broken := bytes.ReplaceAll(raw, []byte("BAD"), []byte(bad))
		if proto.Unmarshal(broken, got) == nil && !wire.HasNUL(broken, got.ProtoReflect().Descriptor()) {
			t.Fatal("the library takes what is not UTF-8: there is nothing to mend")
		}
		if err := proto.Unmarshal(wire.Mended(broken, got.ProtoReflect().Descriptor()), got); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(got, of(good)) {
			t.Errorf("mended: %v", got)
		}
	}
	if whole := wire.Mended(raw, got.ProtoReflect().Descriptor()); !bytes.Equal(whole, raw) {
		t.Error("a message without fault was changed")
	}
}

func FuzzMendingNeverPanicsAndMendsOnce(f *testing.F) {
	list := &executorapi.EventList{Events: []*armadaevents.EventSequence{{Queue: "q", Events: []*armadaevents.EventSequence_Event{{
		Event: &armadaevents.EventSequence_Event_JobRunTerminatedDebugInfo{JobRunTerminatedDebugInfo: &armadaevents.JobRunTerminatedDebugInfo{DebugMessage: "BAD"}},
	}}}}}
	raw, err := proto.Marshal(list)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(strings.ReplaceAll(string(raw), "BAD", "\xff\xfe\xfd")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d := list.ProtoReflect().Descriptor()
		once := wire.Mended(raw, d)
		if twice := wire.Mended(once, d); !bytes.Equal(once, twice) {
			t.Errorf("%x was mended to %x and then to %x", raw, once, twice)
		}
	})
}
