package api_test

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"armada/pkg/api"
	"armada/pkg/api/armadaevents"
	"armada/pkg/api/executorapi"
)

// Executors cut the last words of containers at any byte. One such text must
// not hide the other events of its report.
func TestAReportWithTextThatIsNotUTF8CanBeRead(t *testing.T) {
	t.Parallel()
	const broken = "disk full \xe2\x82"

	podError := protowire.AppendString(protowire.AppendTag(nil, 2, protowire.BytesType), broken)
	failure := protowire.AppendBytes(protowire.AppendTag(nil, 8, protowire.BytesType), podError)
	runErrors := protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), failure)
	event := protowire.AppendBytes(protowire.AppendTag(nil, 14, protowire.BytesType), runErrors)
	sequence := protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), event)
	list := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), sequence)
	var report executorapi.EventList
	if err := proto.Unmarshal(list, &report); err != nil {
		t.Fatalf("the report of an executor of today: %v", err)
	}
	if got := report.GetEvents()[0].GetEvents()[0].GetJobRunErrors().GetErrors()[0].GetPodError().GetMessage(); got != broken {
		t.Errorf("the message is %q, want %q", got, broken)
	}

	failed := protowire.AppendString(protowire.AppendTag(nil, 6, protowire.BytesType), broken)
	message := protowire.AppendBytes(protowire.AppendTag(nil, 9, protowire.BytesType), failed)
	old := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), message)
	var events api.EventList
	if err := proto.Unmarshal(old, &events); err != nil {
		t.Fatalf("the report of an executor of 2020: %v", err)
	}
	if got := events.GetEvents()[0].GetFailed().GetReason(); got != broken {
		t.Errorf("the reason is %q, want %q", got, broken)
	}
}

// What nobody describes survives being read and written.
func TestOpaqueMessagesKeepTheirBytes(t *testing.T) {
	t.Parallel()
	inner := protowire.AppendString(protowire.AppendTag(nil, 7, protowire.BytesType), "x")
	encoded := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), inner)
	var requeued armadaevents.JobRequeued
	if err := proto.Unmarshal(encoded, &requeued); err != nil {
		t.Fatal(err)
	}
	again, err := proto.Marshal(&requeued)
	if err != nil {
		t.Fatal(err)
	}
	if string(again) != string(encoded) {
		t.Errorf("%x became %x", encoded, again)
	}
}
