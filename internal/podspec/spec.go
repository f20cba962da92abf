package podspec

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"armada"
)

// Spec is a decoded pod spec. It is not safe for concurrent use while
// [Spec.Default], [Spec.FoldNodeLabels] or [Spec.AddEnv] change it.
type Spec struct {
	pod  corev1.PodSpec
	size int // of the bytes it was decoded from; 0 when it came as JSON
}

// Decode reads the protobuf bytes of a k8s.io.api.core.v1.PodSpec, as on the
// wire. Fields that this version of Kubernetes' API does not know are dropped.
func Decode(raw []byte) (*Spec, error) {
	if err := boundExponents(raw); err != nil {
		return nil, fmt.Errorf("decoding a pod spec: %w", err)
	}
	s := &Spec{size: len(raw)}
	if err := s.pod.Unmarshal(raw); err != nil {
		return nil, fmt.Errorf("decoding a pod spec: %w", err)
	}
	return s, nil
}

// DecodeJSON reads a pod spec from Kubernetes' JSON. Keys match without regard
// to case, nulls are accepted, unknown keys are ignored.
func DecodeJSON(raw []byte) (*Spec, error) {
	if holdsHugeNumber(raw) {
		return nil, fmt.Errorf("decoding a pod spec: %w", errExponent)
	}
	s := &Spec{}
	if err := json.Unmarshal(raw, &s.pod); err != nil {
		return nil, fmt.Errorf("decoding a pod spec: %w", err)
	}
	return s, nil
}

// JSON returns the spec as Kubernetes' JSON.
func (s *Spec) JSON() ([]byte, error) { return json.Marshal(&s.pod) }

// Canonical returns the spec as protobuf bytes: equal specs give equal bytes,
// whatever order the map entries were in.
func (s *Spec) Canonical() []byte {
	raw, err := s.pod.Marshal()
	if err != nil {
		// Marshal fails only when its buffer is smaller than Size said.
		panic(fmt.Sprintf("podspec: encoding a decoded pod spec: %v", err))
	}
	return raw
}

// TemplateID returns the content hash of canonical bytes.
func TemplateID(canonical []byte) armada.TemplateID {
	sum := sha256.Sum256(canonical)
	return armada.TemplateID(hex.EncodeToString(sum[:]))
}

// FoldNodeLabels demands these node labels too, in place of the node selector's
// values for the same keys. Clients of 2020 send them beside the spec.
func (s *Spec) FoldNodeLabels(labels map[string]string) {
	if len(labels) == 0 {
		return
	}
	if s.pod.NodeSelector == nil {
		s.pod.NodeSelector = make(map[string]string, len(labels))
	}
	maps.Copy(s.pod.NodeSelector, labels)
}

// GracePeriod is how long the run may take to end when it is asked to.
// It is 0 before [Spec.Default] when the user gave none.
func (s *Spec) GracePeriod() time.Duration {
	if s.pod.TerminationGracePeriodSeconds == nil {
		return 0
	}
	return seconds(*s.pod.TerminationGracePeriodSeconds)
}

// ActiveDeadline is how long the run may take, and false when it is unlimited.
func (s *Spec) ActiveDeadline() (time.Duration, bool) {
	if s.pod.ActiveDeadlineSeconds == nil {
		return 0, false
	}
	return seconds(*s.pod.ActiveDeadlineSeconds), true
}

// seconds is n seconds, or the longest duration there is.
func seconds(n int64) time.Duration {
	const most = int64(1<<63-1) / int64(time.Second)
	return time.Duration(min(max(n, -most), most)) * time.Second
}

// Variable is one environment variable.
type Variable struct{ Name, Value string }

// AddEnv puts variables before those of every container and init container that
// does not define them itself.
func (s *Spec) AddEnv(variables []Variable) {
	for _, containers := range [][]corev1.Container{s.pod.InitContainers, s.pod.Containers} {
		for i := range containers {
			c := &containers[i]
			env := make([]corev1.EnvVar, 0, len(variables)+len(c.Env))
			for _, v := range variables {
				if !slices.ContainsFunc(c.Env, func(own corev1.EnvVar) bool { return own.Name == v.Name }) {
					env = append(env, corev1.EnvVar{Name: v.Name, Value: v.Value})
				}
			}
			c.Env = append(env, c.Env...)
		}
	}
}
