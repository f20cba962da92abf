package manifest

import (
	"encoding/json"
	"fmt"
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

// APIVersion and KindQueue are what a file that describes a queue begins with.
const (
	APIVersion = "armadaproject.io/v1beta1"
	KindQueue  = "Queue"
)

// ReadQueue reads a file that describes a queue: kind, optionally apiVersion,
// and what api.Queue has. The error is an [*Error].
func ReadQueue(data []byte) (*api.Queue, error) {
	d, err := parse(data)
	if err != nil {
		return nil, err
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(d.json, &top); err != nil || top == nil {
		return nil, &Error{[]Problem{{Line: 1, Message: "must have the keys kind: Queue and name"}}}
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
	if kind != KindQueue {
		message := fmt.Sprintf("is %q, must be %s", kind, KindQueue)
		if kind == "" {
			message = "is missing, must be " + KindQueue
		}
		return nil, &Error{append(problems, d.problem("kind", message))}
	}
	delete(top, "apiVersion")
	delete(top, "kind")
	body, err := json.Marshal(top)
	if err != nil {
		return nil, fmt.Errorf("read a queue: %w", err)
	}
	queue := &api.Queue{}
	problems = append(problems, d.message(body, "", queue)...)
	if queue.GetName() == "" && len(problems) == 0 {
		problems = append(problems, d.absent("name", top))
	}
	if len(problems) > 0 {
		return nil, &Error{problems}
	}
	return queue, nil
}

// LocateInQueue finds the lines of violations in a file that [ReadQueue] has
// read. Their paths are those of a request.
func LocateInQueue(data []byte, wrong []armada.Violation) []Problem {
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
