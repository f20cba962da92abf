package runs

import "armada/internal/podspec"

// Variables are what every container learns of its job, by the names that
// Armada's users know.
func Variables(o *Order) []podspec.Variable {
	variables := []podspec.Variable{
		{Name: "ARMADA_JOB_ID", Value: string(o.Job)},
		{Name: "ARMADA_RUN_ID", Value: string(o.Run)},
		{Name: "ARMADA_QUEUE", Value: o.Queue},
		{Name: "ARMADA_JOB_SET", Value: string(o.JobSet)},
		{Name: "ARMADA_JOB_SET_ID", Value: string(o.JobSet)},
	}
	for _, from := range []struct{ annotation, variable string }{
		{podspec.AnnotationGangID, "ARMADA_GANG_ID"},
		{podspec.AnnotationGangCardinality, "ARMADA_GANG_CARDINALITY"},
		{"ARMADA_GANG_NODE_UNIFORMITY_LABEL_NAME", "ARMADA_GANG_NODE_UNIFORMITY_LABEL_NAME"},
		{"ARMADA_GANG_NODE_UNIFORMITY_LABEL_VALUE", "ARMADA_GANG_NODE_UNIFORMITY_LABEL_VALUE"},
	} {
		if value := o.Annotations[from.annotation]; value != "" {
			variables = append(variables, podspec.Variable{Name: from.variable, Value: value})
		}
	}
	return variables
}
