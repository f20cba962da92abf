package wiretable

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	corev1 "k8s.io/api/core/v1"
)

func TestEveryRowOfATableIsAFieldOfItsMessage(t *testing.T) {
	t.Parallel()
	for year, c := range map[string]struct {
		table *Table
		text  string
	}{"2020": {Year2020(), text2020}, "2026": {Year2026(), text2026}} {
		fields := 0
		for _, m := range c.table.Messages() {
			fields += m.Fields().Len()
		}
		methods := 0
		for _, s := range c.table.Services() {
			methods += s.Methods().Len()
		}
		rows := 0
		for line := range strings.Lines(c.text) {
			if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| no.") && !strings.HasPrefix(line, "| method") {
				rows++
			}
		}
		if rows < 100 || fields+methods != rows {
			t.Errorf("%s: %d fields and %d methods of %d rows", year, fields, methods, rows)
		}
	}
}

func TestAMessageIsEncodedByTheNumbersOfItsTable(t *testing.T) {
	t.Parallel()
	table := Year2026()
	m := table.Make("executorapi.LeaseRequest", Fields{
		"executor_id": "e", "max_jobs_to_lease": 7, "unassigned_job_run_ids": []string{"r"},
	})
	var want []byte
	want = protowire.AppendString(protowire.AppendTag(want, 1, protowire.BytesType), "e")
	want = protowire.AppendVarint(protowire.AppendTag(want, 7, protowire.VarintType), 7)
	want = protowire.AppendString(protowire.AppendTag(want, 8, protowire.BytesType), "r")
	if got := encode(t, m); !bytes.Equal(got, want) {
		t.Errorf("encoded %x, want %x", got, want)
	}
}

func TestValuesComeBackAsTheyWereSet(t *testing.T) {
	t.Parallel()
	table := Year2026()
	created := time.Date(2026, 11, 26, 12, 0, 0, 5, time.UTC)
	sent := table.Make("executorapi.EventList", Fields{"events": []Fields{{
		"queue": "q", "events": []Fields{{
			"created": created,
			"jobRunErrors": Fields{"job_id": "j", "errors": []Fields{{
				"terminal": true,
				"podError": Fields{"message": "cut off \xff", "kubernetes_reason": 2},
			}}},
		}},
	}}})
	got := table.New("executorapi.EventList")
	if err := proto.Unmarshal(encode(t, sent), got); err != nil {
		t.Fatal(err)
	}
	event := List(List(got, "events")[0], "events")[0]
	if Kind(event, "event") != "jobRunErrors" || !Time(event, "created").Equal(created) {
		t.Errorf("the event is %v", event)
	}
	failure := List(event, "jobRunErrors", "errors")[0]
	if m := At(failure, "podError", "message").String(); m != "cut off \xff" {
		t.Errorf("the message is %q", m)
	}
	if r := At(failure, "podError", "kubernetes_reason").Enum(); r != 2 {
		t.Errorf("the reason is %d", r)
	}
	if !Has(event, "jobRunErrors", "job_id") || Has(event, "jobRunSucceeded", "job_id") {
		t.Error("Has does not tell what is set")
	}
}

func TestMessagesOfKubernetesAreTheirOwnEncoding(t *testing.T) {
	t.Parallel()
	table := Year2026()
	spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}
	lease := table.Make("executorapi.JobRunLease", Fields{"job": Fields{
		"mainObject": Fields{"pod_spec": Fields{"pod_spec": &spec}},
	}})
	var got corev1.PodSpec
	if err := got.Unmarshal(At(lease, "job", "mainObject", "pod_spec", "pod_spec").Bytes()); err != nil {
		t.Fatal(err)
	}
	if len(got.Containers) != 1 || got.Containers[0].Image != "i" {
		t.Errorf("the spec came back as %+v", got)
	}
}

func TestMapsAreMadeOfKeysAndValues(t *testing.T) {
	t.Parallel()
	m := Year2026().Make("executorapi.NodeInfo", Fields{
		"labels":           map[string]string{"a": "b"},
		"run_ids_by_state": map[string]any{"r": 2},
		"non_armada_allocated_resources": map[int32]any{
			-1: Fields{"resources": map[string]any{"cpu": []byte{10, 1, '1'}}},
		},
	})
	got := dynamicpb.NewMessage(m.Descriptor())
	if err := proto.Unmarshal(encode(t, m), got); err != nil {
		t.Fatal(err)
	}
	if Texts(got, "labels")["a"] != "b" {
		t.Errorf("the labels are %v", At(got, "labels"))
	}
	states := At(got, "run_ids_by_state").Map()
	if s := states.Get(protoreflect.ValueOfString("r").MapKey()).Enum(); s != 2 {
		t.Errorf("the state is %d", s)
	}
}

func encode(t *testing.T, m proto.Message) []byte {
	t.Helper()
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}
