package wire_test

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	"armada/internal/wire"
	"armada/pkg/api"
)

func TestEveryTextThatIsNotUTF8IsFound(t *testing.T) {
	t.Parallel()
	message := &api.JobSubmitRequest{Queue: "BAD", JobSetId: "good", JobRequestItems: []*api.JobSubmitRequestItem{
		{Namespace: "good"}, {Labels: map[string]string{"team": "BAD"}, ClientId: "BAD"},
	}}
	raw, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	raw = bytes.ReplaceAll(raw, []byte("BAD"), []byte("\xff\xfe\xfd"))
	found := map[string]bool{}
	for _, v := range wire.NotUTF8(raw, message.ProtoReflect().Descriptor()) {
		found[v.Path] = true
	}
	for _, path := range []string{"queue", "job_request_items[1].labels[team]", "job_request_items[1].client_id"} {
		if !found[path] {
			t.Errorf("%s is not found", path)
		}
	}
	if len(found) != 3 {
		t.Errorf("found is %v", found)
	}
}
