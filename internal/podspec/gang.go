package podspec

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/api/validate/content"

	"armada"
)

// The annotations of a job that make it a member of a gang.
const (
	AnnotationGangID          = "armadaproject.io/gangId"
	AnnotationGangCardinality = "armadaproject.io/gangCardinality"
	AnnotationGangUniformity  = "armadaproject.io/gangNodeUniformityLabel"
	AnnotationFailFast        = "armadaproject.io/failFast"
)

// GangDefaults fills in what a gang leaves out.
func (r *Rules) GangDefaults(gang *armada.Gang) {
	if !gang.Alone() && gang.UniformityLabel == "" {
		gang.UniformityLabel = r.config.DefaultGangNodeUniformityLabel
	}
}

// GangLabel is the label that the pods of a gang get, false when they get none.
func (r *Rules) GangLabel(gang armada.Gang) (key, value string, wanted bool) {
	return AnnotationGangID, gang.ID, r.config.AddGangIDLabel && !gang.Alone()
}

// MaxGang is how many members a gang may have.
const MaxGang = 100_000

// ParseGang reads the gang that a job's annotations put it in: a gang of one
// when they name none or one of a single member. A gang fails fast unless
// failFast is "false", a lone job if it is "true". That the members of a gang
// agree is for the caller to check. Paths begin with path, that of the
// annotations.
func ParseGang(annotations map[string]string, path string) (armada.Gang, []armada.Violation) {
	var wrong []armada.Violation
	refuse := func(key, format string, args ...any) {
		wrong = append(wrong, armada.Violation{Path: fmt.Sprintf("%s[%s]", path, key), Message: fmt.Sprintf(format, args...)})
	}
	failFast, chosen := annotations[AnnotationFailFast]
	if chosen && failFast != "true" && failFast != "false" {
		refuse(AnnotationFailFast, `is %q, must be "true" or "false"`, clip(failFast))
	}
	alone := armada.Gang{FailFast: failFast == "true"}
	id := annotations[AnnotationGangID]
	if id == "" {
		return alone, wrong
	}
	gang := armada.Gang{ID: id, UniformityLabel: annotations[AnnotationGangUniformity], FailFast: failFast != "false"}

	text, given := annotations[AnnotationGangCardinality]
	cardinality, err := strconv.Atoi(text)
	switch {
	case !given:
		refuse(AnnotationGangCardinality, "is missing, must say how many jobs the gang %q has", clip(id))
	case err != nil || cardinality < 1 || cardinality > MaxGang:
		refuse(AnnotationGangCardinality, "is %q, must be a whole number from 1 to %d", clip(text), MaxGang)
	}
	gang.Cardinality = cardinality

	if label := gang.UniformityLabel; label != "" && len(content.IsLabelKey(label)) > 0 {
		refuse(AnnotationGangUniformity, "%q is not a label key", clip(label))
	}
	if len(wrong) > 0 || gang.Alone() {
		return alone, wrong
	}
	return gang, nil
}
