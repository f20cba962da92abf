package server

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strconv"

	"armada"
	"armada/internal/podspec"
)

// spec is a valid pod spec with its defaults, and all that jobs need to know of
// it. It is shared by jobs and does not change.
type spec struct {
	template  armada.TemplateID
	canonical []byte
	alone     needs // of a job that is this pod
	more      needs // of one that has more than it, see [armada.Requirements.MoreThanPod]
}

// needs are the requirements that a spec makes.
type needs struct {
	shape        armada.ShapeID
	requirements *armada.Requirements
}

func (s *spec) needs(moreThanPod bool) needs {
	if moreThanPod {
		return s.more
	}
	return s.alone
}

// specKey is the hash of everything that a spec is made from.
type specKey [sha256.Size]byte

// specs turns the bytes of submitted pod specs into specs, and remembers the
// latest ones by their hash: most jobs repeat a few of them, and then cost
// neither decoding nor validation. It may be used by many goroutines.
type specs struct {
	rules *podspec.Rules
	cache *lru[specKey, *spec]
}

func newSpecs(rules *podspec.Rules, bytes int) *specs {
	return &specs{rules: rules, cache: newLRU[specKey, *spec](bytes)}
}

// take returns the spec for the bytes of a pod spec and the node labels that a
// client of 2020 demands beside it, or what is wrong with it. Paths begin with
// path, which is asked for only then.
func (s *specs) take(raw []byte, nodeLabels map[string]string, path func() string) (*spec, []armada.Violation) {
	key := keyOf(raw, nodeLabels)
	if found, ok := s.cache.get(key); ok {
		return found, nil
	}
	decoded, err := podspec.Decode(raw)
	if err != nil {
		return nil, podspec.Undecodable(raw, err, path())
	}
	decoded.FoldNodeLabels(nodeLabels)
	if wrong := decoded.Validate(s.rules, path()); len(wrong) > 0 {
		return nil, wrong
	}
	decoded.Default(s.rules)
	made := &spec{canonical: decoded.Canonical()}
	made.template = podspec.TemplateID(made.canonical)
	made.alone.requirements = decoded.Requirements(s.rules)
	more := *made.alone.requirements
	more.MoreThanPod = true
	made.more.requirements = &more
	for _, n := range []*needs{&made.alone, &made.more} {
		n.shape = n.requirements.Shape(s.rules.Table())
	}
	s.cache.put(key, made, 2*len(made.canonical))
	return made, nil
}

// keyOf hashes the spec's bytes as they came, and the labels by key.
func keyOf(raw []byte, nodeLabels map[string]string) specKey {
	if len(nodeLabels) == 0 {
		return sha256.Sum256(raw)
	}
	h := sha256.New()
	inner := sha256.Sum256(raw)
	h.Write(inner[:])
	for _, key := range slices.Sorted(maps.Keys(nodeLabels)) {
		h.Write([]byte(strconv.Quote(key) + "=" + strconv.Quote(nodeLabels[key]) + "\n"))
	}
	return specKey(h.Sum(nil))
}
