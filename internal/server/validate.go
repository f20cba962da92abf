package server

import (
	"bytes"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"armada"
	"armada/internal/podspec"
	"armada/internal/wire"
	"armada/internal/wire/submitview"
	"armada/pkg/api"
)

// What a submit request may contain.
const (
	maxJobSetID  = 1023 // characters
	maxClientID  = 100  // characters
	maxTexts     = 256 << 10
	maxListed    = 1000 // violations; whoever makes more finds the rest later
	annotationPB = "armadaproject.io/priceBand"
	annotationEU = "armadaproject.io/externalJobUri"
)

// item is a valid item of a submit request.
type item struct {
	spec     *spec
	needs    needs // of the spec
	gang     armada.Gang
	band     armada.PriceBand
	priority uint32
}

// submission checks a submit request.
type submission struct {
	specs   *specs
	request *submitview.JobSubmitRequest

	wrong   violations
	perItem map[int]int      // how many violations an item has, of those that have some
	gangs   map[string]first // by gang id
	lastRaw []byte           // the spec of the item before, and what it was taken for
	last    *spec
}

// first is the first member of a gang in the request.
type first struct {
	index int
	gang  armada.Gang
	class string
}

// check returns the items of a valid request; otherwise s.wrong is not empty.
func (s *submission) check() []item {
	s.head()
	items := make([]item, len(s.request.GetJobRequestItems()))
	for i, asked := range s.request.GetJobRequestItems() {
		before := len(s.wrong)
		items[i] = s.item(i, asked)
		if found := len(s.wrong) - before; found > 0 {
			if s.perItem == nil {
				s.perItem = map[int]int{}
			}
			s.perItem[i] = found
		}
		if len(s.wrong) >= maxListed {
			s.wrong.add("job_request_items", fmt.Sprintf("the items after number %d were not looked at", i))
			break
		}
	}
	return items
}

func (s *submission) head() {
	if s.request.GetQueue() == "" {
		s.wrong.add("queue", "must not be empty")
	}
	if set := s.request.GetJobSetId(); set == "" {
		s.wrong.add("job_set_id", "must not be empty")
	} else if n := utf8.RuneCountInString(set); n > maxJobSetID {
		s.wrong.add("job_set_id", fmt.Sprintf("has %d characters, at most %d are taken", n, maxJobSetID))
	}
}

// item checks one item.
func (s *submission) item(i int, asked *submitview.JobSubmitRequestItem) item {
	var out item
	path := func(field string) string { return fmt.Sprintf("job_request_items[%d].%s", i, field) }
	out.spec = s.spec(asked, path)
	if p, err := priority(asked.GetPriority()); err != nil {
		s.wrong.add(path("priority"), err.Error())
	} else {
		out.priority = p
	}
	s.texts(asked, path)
	s.ports(asked, path)
	if out.spec != nil {
		out.needs = out.spec.needs(len(asked.GetIngress()) > 0 || len(asked.GetServices()) > 0)
	}
	if len(asked.GetAnnotations()) == 0 {
		return out
	}
	if letter, given := asked.GetAnnotations()[annotationPB]; given {
		band, ok := armada.ParsePriceBand(letter)
		if !ok {
			s.wrong.add(path("annotations["+annotationPB+"]"), fmt.Sprintf("is %q, must be one of A to H", clip(letter, 64)))
		}
		out.band = band
	}
	gang, wrong := podspec.ParseGang(asked.GetAnnotations(), path("annotations"))
	s.wrong = append(s.wrong, wrong...)
	s.specs.rules.GangDefaults(&gang)
	if key, value, wanted := s.specs.rules.GangLabel(gang); wanted {
		s.wrong = append(s.wrong, podspec.ValidateLabel(key, value, func() string { return path("annotations") })...)
	}
	out.gang = gang
	if !gang.Alone() && out.spec != nil {
		out.needs = out.spec.needs(true)
		s.member(i, gang, out.needs.requirements.PriorityClass, path)
	}
	return out
}

// spec finds the one pod spec of an item and takes it.
func (s *submission) spec(asked *submitview.JobSubmitRequestItem, path func(string) string) *spec {
	raw, at := asked.GetPodSpec(), "pod_spec"
	switch several := asked.GetPodSpecs(); {
	case len(several) > 1:
		s.wrong.add(path("pod_specs"), fmt.Sprintf("has %d entries, a job has exactly one pod spec", len(several)))
		return nil
	case len(several) == 1 && raw != nil:
		s.wrong.add(path("pod_specs"), "must be empty when pod_spec is set: a job has exactly one pod spec")
		return nil
	case len(several) == 1:
		raw, at = several[0], "pod_specs[0]"
	case raw == nil:
		s.wrong.add(path("pod_spec"), "is missing")
		return nil
	}
	plain := len(asked.GetRequiredNodeLabels()) == 0
	if plain && s.last != nil && bytes.Equal(raw, s.lastRaw) {
		return s.last
	}
	taken, wrong := s.specs.take(raw, asked.GetRequiredNodeLabels(), func() string { return path(at) })
	for _, v := range wrong {
		for key := range asked.GetRequiredNodeLabels() { // they were folded into the spec
			if v.Path == path(at)+".nodeSelector["+key+"]" {
				v.Path = path("required_node_labels[" + key + "]")
			}
		}
		s.wrong = append(s.wrong, v)
	}
	if plain {
		s.lastRaw, s.last = raw, taken
	}
	return taken
}

var namespaceForm = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// texts checks names, and that labels and annotations stay within what
// Kubernetes takes for them together.
func (s *submission) texts(asked *submitview.JobSubmitRequestItem, path func(string) string) {
	if ns := asked.GetNamespace(); ns != "" && ns != wire.DefaultNamespace && !namespaceForm.MatchString(ns) {
		s.wrong.add(path("namespace"), fmt.Sprintf("%q must be at most 63 lower-case letters, digits or '-', and begin and end with a letter or digit", clip(ns, 80)))
	}
	if id := asked.GetClientId(); len(id) > maxClientID && utf8.RuneCountInString(id) > maxClientID {
		s.wrong.add(path("client_id"), fmt.Sprintf("has %d characters, at most %d are taken", utf8.RuneCountInString(id), maxClientID))
	}
	for _, texts := range []struct {
		field   string
		entries map[string]string
	}{{"labels", asked.GetLabels()}, {"annotations", asked.GetAnnotations()}} {
		size := 0
		for key, value := range texts.entries {
			size += len(key) + len(value)
		}
		if size > maxTexts {
			s.wrong.add(path(texts.field), fmt.Sprintf("are %d bytes long, at most %d are taken", size, maxTexts))
		}
	}
	for key, value := range asked.GetLabels() {
		s.wrong = append(s.wrong, podspec.ValidateLabel(key, withoutMark(value), func() string { return path("labels") })...)
	}
	for key := range asked.GetAnnotations() {
		s.wrong = append(s.wrong, podspec.ValidateAnnotationKey(key, func() string { return path("annotations") })...)
	}
}

// withoutMark is a value as it may be when the job has an id.
func withoutMark(value string) string {
	if !strings.Contains(value, idMark) {
		return value
	}
	return withID(map[string]string{"": value}, longestID)[""]
}

// longestID is an id as long as those of jobs.
const longestID = armada.JobID("00000000000000000000000000")

// ports checks what is to be reachable.
func (s *submission) ports(asked *submitview.JobSubmitRequestItem, path func(string) string) {
	var owner map[uint32]int
	for n, ingress := range asked.GetIngress() {
		at := path(fmt.Sprintf("ingress[%d].ports", n))
		s.portList(ingress.GetPorts(), at)
		for _, port := range ingress.GetPorts() {
			if owner == nil {
				owner = map[uint32]int{}
			}
			if before, taken := owner[port]; taken {
				s.wrong.add(at, fmt.Sprintf("port %d is in ingress[%d] already", port, before))
			}
			owner[port] = n
		}
		at = path(fmt.Sprintf("ingress[%d]", n))
		for key := range ingress.GetAnnotations() {
			s.wrong = append(s.wrong, podspec.ValidateAnnotationKey(key, func() string { return at + ".annotations" })...)
		}
		if name := ingress.GetCertName(); name != "" {
			s.wrong = append(s.wrong, podspec.ValidateSecretName(name, at+".cert_name")...)
		}
	}
	names := map[string]int{}
	for n, service := range asked.GetServices() {
		at := path(fmt.Sprintf("services[%d]", n))
		s.portList(service.GetPorts(), at+".ports")
		for i, port := range service.GetPorts() {
			if slices.Contains(service.GetPorts()[:i], port) {
				s.wrong.add(at+".ports", fmt.Sprintf("port %d is given twice", port))
			}
		}
		if name := service.GetName(); name != "" {
			s.wrong = append(s.wrong, podspec.ValidateServiceName(name, at+".name")...)
			if before, taken := names[name]; taken {
				s.wrong.add(at+".name", fmt.Sprintf("%q is the name of services[%d] already", clip(name, 64), before))
			}
			names[name] = n
		}
		if _, known := api.ServiceType_name[int32(service.GetType())]; !known {
			s.wrong.add(at+".type", fmt.Sprintf("%d is no type, NodePort and Headless are", service.GetType()))
		}
	}
}

func (s *submission) portList(ports []uint32, at string) {
	if len(ports) == 0 {
		s.wrong.add(at, "must have at least one port")
	}
	for _, port := range ports {
		if port < 1 || port > 65535 {
			s.wrong.add(at, fmt.Sprintf("%d is no port, 1 to 65535 are", port))
		}
	}
}

// member checks that the members of a gang agree with the first of them.
func (s *submission) member(i int, gang armada.Gang, class string, path func(string) string) {
	before, found := s.gangs[gang.ID]
	if !found {
		if s.gangs == nil {
			s.gangs = map[string]first{}
		}
		s.gangs[gang.ID] = first{i, gang, class}
		return
	}
	other := fmt.Sprintf("job_request_items[%d] of the same gang", before.index)
	if gang.Cardinality != before.gang.Cardinality {
		s.wrong.add(path("annotations["+podspec.AnnotationGangCardinality+"]"), fmt.Sprintf("is %d, but %d in %s", gang.Cardinality, before.gang.Cardinality, other))
	}
	if gang.UniformityLabel != before.gang.UniformityLabel {
		s.wrong.add(path("annotations["+podspec.AnnotationGangUniformity+"]"), fmt.Sprintf("is %q, but %q in %s", gang.UniformityLabel, before.gang.UniformityLabel, other))
	}
	if class != before.class {
		s.wrong.add(path("pod_spec.priorityClassName"), fmt.Sprintf("is %q, but %q in %s", class, before.class, other))
	}
}

// priority rounds a priority of the wire to the nearest whole number and takes
// the nearest end for what is out of range.
func priority(p float64) (uint32, error) {
	if math.IsNaN(p) || math.IsInf(p, 0) {
		return 0, fmt.Errorf("is %v, must be a number", p)
	}
	return uint32(min(max(math.Round(p), 0), math.MaxUint32)), nil
}
