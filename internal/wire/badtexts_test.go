package wire_test

import (
	"bytes"
	"maps"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"armada/internal/wire"
	"armada/pkg/api"
)

func TestEveryTextThatIsNotUTF8OrHasANULIsFound(t *testing.T) {
	t.Parallel()
	message := &api.JobSubmitRequest{Queue: "BAD", JobSetId: "good", JobRequestItems: []*api.JobSubmitRequestItem{
		{Namespace: "good"}, {Labels: map[string]string{"team": "BAD"}, ClientId: "BAD"}, {Priority: 1e-300, Ingress: []*api.IngressConfig{{Ports: []uint32{0, 1}}}},
	}}
	raw, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	of := message.ProtoReflect().Descriptor()
	if wire.HasNUL(raw, of) {
		t.Error("numbers are taken for texts with a NUL")
	}
	for bad, why := range map[string]string{"\xff\xfe\xfd": "is not valid UTF-8", "a\x00b": "must not contain the character NUL"} {
		broken := bytes.ReplaceAll(raw, []byte("BAD"), []byte(bad))
		found := map[string]string{}
		for _, v := range wire.BadTexts(broken, of) {
			found[v.Path] = v.Message
		}
		if want := map[string]string{"queue": why, "job_request_items[1].labels[team]": why, "job_request_items[1].client_id": why}; !maps.Equal(found, want) {
			t.Errorf("found is %v, want %v", found, want)
		}
		if got := wire.HasNUL(broken, of); got != strings.Contains(bad, "\x00") {
			t.Errorf("%q has a NUL: %v", bad, got)
		}
	}
}
