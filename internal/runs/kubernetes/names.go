package kubernetes

import (
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"

	"armada"
	"armada/internal/runs"
)

// What pods of runs carry. The labels and annotations with underscores are those
// of the original, by which tools find pods.
const (
	LabelJob       = "armada_job_id"
	LabelRun       = "armada_job_run_id"
	LabelQueue     = "armada_queue_id"
	LabelPodNumber = "armada_pod_number"
	LabelPodCount  = "armada_pod_count"
	// LabelExecutor tells whose pod it is, where several executors share a cluster.
	LabelExecutor = "armadaproject.io/executor"

	AnnotationJobSet = "armada_jobset_id"
	AnnotationOwner  = "armada_owner"
	// AnnotationGroups is the groups of the owner, as JSON, where something is to be
	// made beside the pod in the owner's name.
	AnnotationGroups = "armadaproject.io/owner-groups"
	// AnnotationForgotten is when the end of the run was told and forgotten.
	AnnotationForgotten = "armadaproject.io/forgotten"
	// AnnotationWanted is the run of another executor that needs the pod's name.
	AnnotationWanted = "armadaproject.io/wanted-by"
	// AnnotationVerdict is a [verdict] as JSON.
	AnnotationVerdict = "armadaproject.io/verdict"
	// AnnotationPool is the pool that the run was placed in.
	AnnotationPool = "armadaproject.io/pool"
	// AnnotationObjects is what is to be made beside the pod, as JSON.
	AnnotationObjects = "armadaproject.io/objects"

	// Finalizer keeps the object of a pod until its end is told.
	Finalizer = "armadaproject.io/run"
)

// verdict is how a run is to end if its containers have not ended by themselves
// before At.
type verdict struct {
	At          time.Time    `json:"at"`
	Phase       runs.Phase   `json:"phase"` // Stopped, Failed or Unknown
	Reason      string       `json:"reason,omitempty"`
	Cause       armada.Cause `json:"cause,omitempty"`
	Category    string       `json:"category,omitempty"`
	Subcategory string       `json:"subcategory,omitempty"`
	// GiveBack says that the run never began and its lease may go elsewhere.
	GiveBack bool `json:"giveBack,omitempty"`
}

// verdictOn reads the verdict of a pod; nil when it has none. One that cannot be
// read was written by nobody we know and counts as a stop.
func verdictOn(pod *corev1.Pod) *verdict {
	text, given := pod.Annotations[AnnotationVerdict]
	if !given {
		return nil
	}
	v := &verdict{}
	if json.Unmarshal([]byte(text), v) != nil || v.Phase < runs.Failed || v.Phase > runs.Unknown {
		return &verdict{Phase: runs.Stopped, Reason: "stopped"}
	}
	return v
}

func (v *verdict) text() string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // a struct of strings and numbers
	}
	return string(text)
}

func runOf(pod *corev1.Pod) armada.RunID { return armada.RunID(pod.Labels[LabelRun]) }

func forgotten(pod *corev1.Pod) bool {
	_, yes := pod.Annotations[AnnotationForgotten]
	return yes
}

// forgottenAt is when the end of a forgotten pod's run was told. A time that cannot
// be read is long ago.
func forgottenAt(pod *corev1.Pod) time.Time {
	at, err := time.Parse(time.RFC3339, pod.Annotations[AnnotationForgotten])
	if err != nil {
		return time.Time{}
	}
	return at
}

// podName is what the pod of a job is called: the same for every attempt.
func podName(job armada.JobID) string { return "armada-" + string(job) + "-0" }
