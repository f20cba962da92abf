package api_test

import (
	"bufio"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	_ "armada/pkg/api"
	_ "armada/pkg/api/armadaevents"
	_ "armada/pkg/api/bidstore"
	_ "armada/pkg/api/binoculars"
	_ "armada/pkg/api/executorapi"
	_ "armada/pkg/api/lookout"
	_ "armada/pkg/api/peers"
	_ "armada/pkg/api/priorityoverride"
	_ "armada/pkg/api/schedulerobjects"
)

// ours is where numbers of this project's own begin.
const ours = 1000

// extensions are the messages that stand in such fields and nowhere else.
var extensions = []protoreflect.FullName{
	"armadaevents.JobRunOutcomeUnknown", "armadaevents.JobRunStuck", "executorapi.LogsOrder", "executorapi.ExecOrder", "executorapi.TerminalSize",
}

// opaque messages are named by others' fields and described nowhere.
var opaque = []protoreflect.FullName{"schedulerobjects.JobSchedulingInfo", "schedulerobjects.PodRequirements"}

// files are the wire's own files that others speak too: all but lookout
// and peers.
func files() []protoreflect.FileDescriptor {
	var all []protoreflect.FileDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if strings.HasPrefix(f.Path(), "pkg/api/") {
			all = append(all, f)
		}
		return true
	})
	slices.SortFunc(all, func(a, b protoreflect.FileDescriptor) int { return strings.Compare(a.Path(), b.Path()) })
	return all
}

// TestTheWireIsWhatClientsAndExecutorsSpeak compares the descriptors with
// testdata/wire.txt, in both directions: nothing is missing, nothing differs,
// and everything more has a number of our own.
func TestTheWireIsWhatClientsAndExecutorsSpeak(t *testing.T) {
	t.Parallel()
	want := readTable(t, "testdata/wire.txt")
	got := map[string]bool{}
	for _, f := range files() {
		if f.Package() == "lookout" || f.Package() == "peers" || path.Base(f.Path()) == "agent.proto" {
			continue
		}
		for i := range f.Services().Len() {
			describeService(got, f.Services().Get(i))
		}
		describeMessages(t, got, f.Messages())
		describeEnums(got, f.Enums())
	}
	for line := range want {
		if !got[line] {
			t.Errorf("missing or different: %s", line)
		}
	}
	for line := range got {
		if !want[line] {
			t.Errorf("invented: %s", line)
		}
	}
	if len(want) < 800 {
		t.Errorf("the table has only %d lines", len(want))
	}
}

func readTable(t *testing.T, name string) map[string]bool {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	lines := map[string]bool{}
	for scan := bufio.NewScanner(f); scan.Scan(); {
		if line := scan.Text(); line != "" && !strings.HasPrefix(line, "#") {
			lines[line] = true
		}
	}
	return lines
}

func describeService(lines map[string]bool, s protoreflect.ServiceDescriptor) {
	for i := range s.Methods().Len() {
		m := s.Methods().Get(i)
		line := fmt.Sprintf("rpc %s/%s %s -> %s", s.FullName(), m.Name(),
			streamed(m.IsStreamingClient(), m.Input()), streamed(m.IsStreamingServer(), m.Output()))
		for _, r := range routes(m) {
			line += " | " + r.verb + " " + r.path
			if r.body != "" {
				line += " (body " + r.body + ")"
			}
		}
		lines[line] = true
	}
}

func streamed(is bool, m protoreflect.MessageDescriptor) string {
	if is {
		return "stream:" + string(m.FullName())
	}
	return string(m.FullName())
}

func describeMessages(t *testing.T, lines map[string]bool, messages protoreflect.MessageDescriptors) {
	for i := range messages.Len() {
		m := messages.Get(i)
		if m.IsMapEntry() || slices.Contains(opaque, m.FullName()) || slices.Contains(extensions, m.FullName()) {
			continue
		}
		fields := 0
		for j := range m.Fields().Len() {
			f := m.Fields().Get(j)
			if f.Number() >= ours {
				continue
			}
			fields++
			lines[describeField(m, f)] = true
		}
		if fields == 0 {
			lines["message "+string(m.FullName())] = true
		}
		for j := range m.ReservedRanges().Len() {
			r := m.ReservedRanges().Get(j)
			for n := r[0]; n < r[1]; n++ {
				lines[fmt.Sprintf("reserved %s %d", m.FullName(), n)] = true
			}
		}
		describeMessages(t, lines, m.Messages())
		describeEnums(lines, m.Enums())
	}
}

func describeField(m protoreflect.MessageDescriptor, f protoreflect.FieldDescriptor) string {
	line := fmt.Sprintf("field %s %d %s %s", m.FullName(), f.Number(), f.Name(), typeOf(f))
	if one := f.ContainingOneof(); one != nil {
		line += " oneof:" + string(one.Name())
	}
	if f.Options().(*descriptorpb.FieldOptions).GetDeprecated() {
		line += " deprecated"
	}
	return line
}

func typeOf(f protoreflect.FieldDescriptor) string {
	if f.IsMap() {
		return fmt.Sprintf("map<%s,%s>", typeOf(f.MapKey()), typeOf(f.MapValue()))
	}
	name := f.Kind().String()
	switch {
	case f.Message() != nil:
		name = string(f.Message().FullName())
	case f.Enum() != nil:
		name = string(f.Enum().FullName())
	}
	if f.IsList() {
		return "repeated:" + name
	}
	return name
}

func describeEnums(lines map[string]bool, enums protoreflect.EnumDescriptors) {
	for i := range enums.Len() {
		e := enums.Get(i)
		for j := range e.Values().Len() {
			v := e.Values().Get(j)
			lines[fmt.Sprintf("enum %s %d %s", e.FullName(), v.Number(), v.Name())] = true
		}
	}
}

type route struct{ verb, path, body string }

func routes(m protoreflect.MethodDescriptor) []route {
	rule, ok := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
	if !ok || rule == nil {
		return nil
	}
	var all []route
	for _, r := range append([]*annotations.HttpRule{rule}, rule.GetAdditionalBindings()...) {
		one := route{body: r.GetBody()}
		switch p := r.GetPattern().(type) {
		case *annotations.HttpRule_Get:
			one.verb, one.path = "GET", p.Get
		case *annotations.HttpRule_Put:
			one.verb, one.path = "PUT", p.Put
		case *annotations.HttpRule_Post:
			one.verb, one.path = "POST", p.Post
		case *annotations.HttpRule_Delete:
			one.verb, one.path = "DELETE", p.Delete
		case *annotations.HttpRule_Patch:
			one.verb, one.path = "PATCH", p.Patch
		}
		all = append(all, one)
	}
	return all
}

var variable = regexp.MustCompile(`\{[^}]*\}`)

func TestNoTwoMethodsHandleOneVerbAndRoute(t *testing.T) {
	t.Parallel()
	taken := map[string]protoreflect.FullName{}
	for _, f := range files() {
		for i := range f.Services().Len() {
			methods := f.Services().Get(i).Methods()
			for j := range methods.Len() {
				for _, r := range routes(methods.Get(j)) {
					if r.verb == "" || r.path == "" {
						t.Errorf("%s has a route without verb or path", methods.Get(j).FullName())
					}
					key := r.verb + " " + variable.ReplaceAllString(r.path, "{}")
					if other, ok := taken[key]; ok {
						t.Errorf("%s and %s both handle %s", other, methods.Get(j).FullName(), key)
					}
					taken[key] = methods.Get(j).FullName()
				}
			}
		}
	}
	for _, key := range []string{"POST /v1/queue", "PUT /v1/queue/{}", "GET /v1/queue/{}", "POST /v1/lookout/jobs"} {
		if _, ok := taken[key]; !ok {
			t.Errorf("nobody handles %s", key)
		}
	}
}

func TestEveryServiceMethodAndMessageOfOursIsExplained(t *testing.T) {
	t.Parallel()
	// Go keeps no comments in descriptors, so the files are read.
	declaration := regexp.MustCompile(`^\s*(message|service|enum|rpc) (\w+)`)
	for _, f := range files() {
		source, err := os.ReadFile(strings.TrimPrefix(f.Path(), "pkg/api/"))
		if err != nil {
			t.Fatal(err)
		}
		before := ""
		for line := range strings.SplitSeq(string(source), "\n") {
			if d := declaration.FindStringSubmatch(line); d != nil && !strings.HasPrefix(strings.TrimSpace(before), "//") {
				t.Errorf("%s: %s %s has no comment", f.Path(), d[1], d[2])
			}
			before = line
		}
	}
}
