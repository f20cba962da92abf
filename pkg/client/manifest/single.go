package manifest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"

	"armada"
	"armada/pkg/api"
	kubeapi "armada/pkg/api/k8s/core/v1"
)

// PodSpec is the message that a pod spec is on the wire: what the fields of
// api.JobSubmitRequestItem take.
type PodSpec = kubeapi.PodSpec

// ReadPodSpec reads the spec of a pod. The error is an [*Error].
func ReadPodSpec(data []byte) (*PodSpec, error) {
	d, err := parse(data)
	if err != nil {
		return nil, err
	}
	spec := &PodSpec{}
	if problems := d.message(d.json, "", spec); len(problems) > 0 {
		return nil, &Error{problems}
	}
	return spec, nil
}

// FromKubernetes turns a pod spec of Kubernetes' Go types into a message.
func FromKubernetes(spec *corev1.PodSpec) (*PodSpec, error) {
	raw, err := spec.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode a pod spec: %w", err)
	}
	message := &PodSpec{}
	if err := proto.Unmarshal(raw, message); err != nil {
		return nil, fmt.Errorf("decode a pod spec: %w", err)
	}
	return message, nil
}

// APIVersion and a kind are what a file that describes a thing begins with.
const (
	APIVersion      = "armadaproject.io/v1beta1"
	KindQueue       = "Queue"
	KindRetryPolicy = "RetryPolicy"
)

// Thing is what a file describes: an api.Queue or an api.RetryPolicy.
type Thing interface {
	proto.Message
	GetName() string
}

// things are empty ones, by kind.
var things = map[string]func() Thing{
	KindQueue:       func() Thing { return &api.Queue{} },
	KindRetryPolicy: func() Thing { return &api.RetryPolicy{} },
}

// ReadQueue reads a file that describes a queue: kind, optionally apiVersion,
// and what api.Queue has. The error is an [*Error].
func ReadQueue(data []byte) (*api.Queue, error) {
	thing, err := read(data, KindQueue)
	queue, _ := thing.(*api.Queue)
	return queue, err
}

// ReadRetryPolicy reads a file that describes a retry policy, as ReadQueue does a
// queue.
func ReadRetryPolicy(data []byte) (*api.RetryPolicy, error) {
	thing, err := read(data, KindRetryPolicy)
	policy, _ := thing.(*api.RetryPolicy)
	return policy, err
}

// Read reads a file that describes a queue or a retry policy, whichever it says.
func Read(data []byte) (Thing, error) { return read(data, KindQueue, KindRetryPolicy) }

// read reads a file that describes a thing of one of the kinds.
func read(data []byte, kinds ...string) (Thing, error) {
	d, err := parse(data)
	if err != nil {
		return nil, err
	}
	may := strings.Join(kinds, " or ")
	var top map[string]json.RawMessage
	if err := json.Unmarshal(d.json, &top); err != nil || top == nil {
		return nil, &Error{[]Problem{{Line: 1, Message: "must have the keys kind: " + may + " and name"}}}
	}
	var version, kind string
	problems := d.text(orNull(top["apiVersion"]), "apiVersion", &version)
	problems = append(problems, d.text(orNull(top["kind"]), "kind", &kind)...)
	if len(problems) > 0 {
		return nil, &Error{problems}
	}
	if version != "" && version != APIVersion {
		problems = append(problems, d.problem("apiVersion", fmt.Sprintf("is %q, must be %s", version, APIVersion)))
	}
	if !slices.Contains(kinds, kind) {
		message := fmt.Sprintf("is %q, must be %s", kind, may)
		if kind == "" {
			message = "is missing, must be " + may
		}
		return nil, &Error{append(problems, d.problem("kind", message))}
	}
	delete(top, "apiVersion")
	delete(top, "kind")
	body, err := json.Marshal(top)
	if err != nil {
		return nil, fmt.Errorf("read a file of kind %s: %w", kind, err)
	}
	thing := things[kind]()
	problems = append(problems, d.message(body, "", thing)...)
	if thing.GetName() == "" && len(problems) == 0 {
		problems = append(problems, d.absent("name", top))
	}
	if len(problems) > 0 {
		return nil, &Error{problems}
	}
	return thing, nil
}

// Locate finds the lines of violations in a file that [Read] has read. Their paths
// are those of a request.
func Locate(data []byte, wrong []armada.Violation) []Problem {
	d, err := parse(data)
	problems := make([]Problem, len(wrong))
	for i, v := range wrong {
		problems[i] = Problem{Path: camel(v.Path), Message: v.Message}
		if err == nil {
			problems[i].Line = d.line(problems[i].Path)
		}
	}
	return problems
}

// camel spells the names of a path as files do; what is in brackets stays.
func camel(path string) string {
	var b strings.Builder
	depth, upper := 0, false
	for _, r := range path {
		switch {
		case r == '[':
			depth++
		case r == ']':
			depth--
		case r == '_' && depth == 0:
			upper = true
			continue
		}
		if upper {
			r = unicode.ToUpper(r)
		}
		upper = false
		b.WriteRune(r)
	}
	return b.String()
}

func orNull(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return json.RawMessage("null")
	}
	return raw
}
