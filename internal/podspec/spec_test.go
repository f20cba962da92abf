package podspec_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"armada"
	"armada/internal/podspec"
)

func TestCanonicalBytesDoNotDependOnTheOrderOfMapEntries(t *testing.T) {
	t.Parallel()
	text := ordinary + "nodeSelector: {a: '1', b: '2', c: '3', d: '4', e: '5'}\noverhead: {cpu: 1m, memory: 1Mi}"
	want := spec(t, text).Canonical()
	for range 50 {
		if got := spec(t, text).Canonical(); !bytes.Equal(got, want) {
			t.Fatal("one spec, two encodings")
		}
	}
	// The entries of a map as a client sends them: here c before a. Field 7 is
	// the node selector, its entries have key 1 and value 2.
	entry := func(key string) []byte { return []byte{0x3a, 6, 0x0a, 1, key[0], 0x12, 1, 'x'} }
	one, err := podspec.Decode(append(entry("a"), entry("c")...))
	if err != nil {
		t.Fatal(err)
	}
	other, err := podspec.Decode(append(entry("c"), entry("a")...))
	if err != nil {
		t.Fatal(err)
	}
	if podspec.TemplateID(one.Canonical()) != podspec.TemplateID(other.Canonical()) {
		t.Error("the order of map entries changes the template")
	}
	if id := podspec.TemplateID(one.Canonical()); len(id) != 64 || id == podspec.TemplateID(want) {
		t.Errorf("template id %q", id)
	}
}

func TestBytesThatAreNoPodSpecAreAnError(t *testing.T) {
	t.Parallel()
	for _, raw := range [][]byte{{0xff}, {0x0a, 0x7f}, []byte("no protobuf")} {
		if _, err := podspec.Decode(raw); err == nil {
			t.Errorf("%q was decoded", raw)
		}
	}
}

func TestAQuantityWithAHugeExponentDoesNotStopTheServer(t *testing.T) {
	t.Parallel()
	field := func(number protowire.Number, content []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), content)
	}
	overhead := func(amount string) []byte { // field 32: a map from names to quantities
		return field(32, slices.Concat(field(1, []byte("memory")), field(2, field(1, []byte(amount)))))
	}
	s, err := podspec.Decode(overhead("7Gi"))
	if err != nil || s.Requirements(rules(t, nil)).Resources[1] != 7<<30 {
		t.Fatalf("the quantity is not where the test believes: %v", err)
	}
	evil := overhead("12345678901234567890123e999999999") // the power would take gigabytes
	if _, err := podspec.Decode(evil); err == nil || !strings.Contains(err.Error(), "exponent") {
		t.Errorf("got %v, want an error about the exponent", err)
	}
	if _, err := podspec.DecodeJSON([]byte(`{"overhead": {"memory": "1234567890123e999999999"}}`)); err == nil {
		t.Error("the same in JSON was decoded")
	}
	harmless := spec(t, `containers: [{name: main, args: ["1e999999999", "--until=12345678901234567890123e99999"]}]`)
	if got := harmless.Containers(nil)[0].Args[0]; got != "1e999999999" {
		t.Errorf("an argument became %q", got)
	}
}

func TestJSONMatchesKeysWithoutRegardToCaseAndTakesNulls(t *testing.T) {
	t.Parallel()
	s, err := podspec.DecodeJSON([]byte(`{"containers": [{"name": "Container1", "image": null, "workingdir": "/w",
		"Resources": {"limits": {"cpu": "120m", "memory": "512Mi", "nvidia.com/gpu": 1}}}], "tolerations": null, "unknown": 1}`))
	if err != nil {
		t.Fatal(err)
	}
	want := spec(t, `containers: [{name: Container1, workingDir: /w, resources: {limits: {cpu: 120m, memory: 512Mi, nvidia.com/gpu: "1"}}}]`)
	if !bytes.Equal(s.Canonical(), want.Canonical()) {
		t.Errorf("got %s", s.Canonical())
	}
	text, err := s.JSON()
	if err != nil {
		t.Fatal(err)
	}
	again, err := podspec.DecodeJSON(text)
	if err != nil || !bytes.Equal(again.Canonical(), want.Canonical()) {
		t.Errorf("JSON there and back: %v, %s", err, text)
	}
}

func TestRequiredNodeLabelsBecomePartOfTheNodeSelector(t *testing.T) {
	t.Parallel()
	r := rules(t, nil)
	beside := spec(t, ordinary+"nodeSelector: {a: '1', b: old}")
	beside.FoldNodeLabels(map[string]string{"b": "2", "c": "3"})
	beside.FoldNodeLabels(nil)
	within := spec(t, ordinary+"nodeSelector: {a: '1', b: '2', c: '3'}")
	if diff := cmp.Diff(within.Requirements(r), beside.Requirements(r)); diff != "" {
		t.Error("requirements (-want +got):\n" + diff)
	}
	bare := spec(t, ordinary)
	bare.FoldNodeLabels(map[string]string{"a": "1"})
	if got := bare.Requirements(r).NodeSelector; len(got) != 1 || got[0] != (armada.Label{Key: "a", Value: "1"}) {
		t.Errorf("selector %v", got)
	}
}

func TestTimesOfASpecAreReadAndBounded(t *testing.T) {
	t.Parallel()
	s := spec(t, ordinary+"terminationGracePeriodSeconds: 30\nactiveDeadlineSeconds: 9223372036854775807")
	if got := s.GracePeriod(); got != 30*time.Second {
		t.Errorf("grace period %s", got)
	}
	if got, limited := s.ActiveDeadline(); !limited || got < 290*365*24*time.Hour {
		t.Errorf("deadline %s, %v", got, limited)
	}
	bare := spec(t, ordinary)
	if _, limited := bare.ActiveDeadline(); limited || bare.GracePeriod() != 0 {
		t.Error("a spec without times has some")
	}
}

func FuzzWhatDecodesCanBeCheckedAndEncoded(f *testing.F) {
	f.Add(wire(f, ordinary))
	f.Add(wire(f, affine))
	f.Add([]byte{0x3a, 6, 0x0a, 1, 'a', 0x12, 1, 'x'})
	r := podspec.DefaultRules(table)
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := podspec.Decode(raw)
		if err != nil {
			return
		}
		canonical := s.Canonical()
		again, err := podspec.Decode(canonical)
		if err != nil {
			t.Fatalf("what was encoded cannot be decoded: %v", err)
		}
		if !bytes.Equal(again.Canonical(), canonical) {
			t.Fatal("canonical bytes are not stable")
		}
		s.Containers(nil)
		if len(s.Validate(r, "spec")) > 0 {
			return
		}
		s.Default(r)
		if left := s.Validate(r, "spec"); len(left) > 0 {
			t.Fatalf("a valid spec is not valid after the defaults: %v", left)
		}
		s.Requirements(r)
	})
}
