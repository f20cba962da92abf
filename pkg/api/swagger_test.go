package api_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"armada/pkg/api"
)

// swagger is as much of a Swagger 2.0 document as the tests look at.
type swagger struct {
	Paths map[string]map[string]struct {
		Summary, Description string
		Parameters           []struct{ Name, Description string }
	}
	Definitions map[string]struct {
		Description string
		Properties  map[string]schema
	}
}

type schema struct {
	Ref                  string `json:"$ref"`
	Type, Format         string
	Description          string
	IntOrString          bool `json:"x-kubernetes-int-or-string"`
	Items                *schema
	AdditionalProperties *schema
	Properties           map[string]schema
}

func document(t *testing.T) swagger {
	t.Helper()
	var d swagger
	if err := json.Unmarshal(api.Swagger, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestEveryRouteIsDescribed(t *testing.T) {
	t.Parallel()
	d := document(t)
	described := map[string]bool{}
	for path, verbs := range d.Paths {
		for verb, operation := range verbs {
			described[strings.ToUpper(verb)+" "+variable.ReplaceAllString(path, "{}")] = operation.Summary+operation.Description != ""
		}
	}
	served := 0
	for _, f := range files() {
		for i := range f.Services().Len() {
			methods := f.Services().Get(i).Methods()
			for j := range methods.Len() {
				for _, r := range routes(methods.Get(j)) {
					served++
					if key := r.verb + " " + variable.ReplaceAllString(r.path, "{}"); !described[key] {
						t.Errorf("%s is not described", key)
					}
				}
			}
		}
	}
	if served != len(described) {
		t.Errorf("%d routes are served and %d described", served, len(described))
	}
}

func TestEveryReferenceLeadsSomewhere(t *testing.T) {
	t.Parallel()
	d := document(t)
	for part := range strings.SplitSeq(string(api.Swagger), `"$ref": "#/definitions/`) {
		name, _, isRef := strings.Cut(part, `"`)
		if _, ok := d.Definitions[name]; !ok && isRef && !strings.HasPrefix(part, "{") {
			t.Errorf("%s is not defined", name)
		}
	}
}

func TestKubernetesMessagesAreDescribedAsManifestsAreWritten(t *testing.T) {
	t.Parallel()
	d := document(t)
	for definition, members := range map[string][]string{
		"v1PodSpec":       {"containers", "volumes", "nodeSelector", "terminationGracePeriodSeconds"},
		"coreV1Container": {"name", "image", "command", "resources", "livenessProbe"},
		"v1Volume":        {"name", "hostPath", "persistentVolumeClaim"}, // inlined in JSON, a level of its own in protobuf
		"v1Probe":         {"httpGet", "periodSeconds"},
		"v1Ingress":       {"metadata", "spec"},
	} {
		for _, member := range members {
			if _, ok := d.Definitions[definition].Properties[member]; !ok {
				t.Errorf("%s has no %s", definition, member)
			}
		}
	}
	if limits := d.Definitions["v1ResourceRequirements"].Properties["limits"]; limits.AdditionalProperties == nil || !limits.AdditionalProperties.IntOrString || limits.AdditionalProperties.Type != "" {
		t.Errorf("limits are %+v", limits)
	}
	if port := d.Definitions["v1HTTPGetAction"].Properties["port"]; port.Format != "int-or-string" || !port.IntOrString || port.Type != "" {
		t.Errorf("a port is %+v", port)
	}
	if grace := d.Definitions["v1PodSpec"].Properties["terminationGracePeriodSeconds"]; grace.Type != "integer" {
		t.Errorf("the grace period is %+v", grace)
	}
	if lines := d.Definitions["lookoutLogsRequest"].Properties["tailLines"]; lines.Type != "integer" {
		t.Errorf("tailLines is %+v", lines)
	}
	if event := d.Definitions["apiStreamingQueueMessage"].Properties["Event"]; event.Properties["queue"].Ref == "" {
		t.Errorf("the queue stream is %+v", event)
	}
}

// What Kubernetes says of its own is Kubernetes' matter; some of it has no words.
func TestEverythingOfOursIsDescribedInWords(t *testing.T) {
	t.Parallel()
	d := document(t)
	for path, verbs := range d.Paths {
		for verb, operation := range verbs {
			for _, p := range operation.Parameters {
				if p.Description == "" {
					t.Errorf("%s %s: the parameter %s has no description", verb, path, p.Name)
				}
			}
		}
	}
	looked := 0
	for name, definition := range d.Definitions {
		if !regexp.MustCompile(`^(api|binoculars|schedulerobjects|rpc|protobuf)`).MatchString(name) {
			continue
		}
		looked++
		if definition.Description == "" {
			t.Errorf("%s has no description", name)
		}
		for member, s := range definition.Properties {
			if s.Description == "" && s.Ref == "" && s.Properties == nil {
				t.Errorf("%s.%s has no description", name, member)
			}
		}
	}
	if looked < 50 {
		t.Errorf("only %d definitions were found", looked)
	}
}
