package kubetest

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"
)

// CreatePriorityClasses makes the priority classes of deploy/kubernetes in a
// cluster that has none of them yet. Pods of jobs name one.
func CreatePriorityClasses(ctx context.Context, client kubernetes.Interface) error {
	manifest := filepath.Join("deploy", "kubernetes", "priority-classes.yaml")
	root, err := above(manifest)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(root, manifest))
	if err != nil {
		return err
	}
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		class := &schedulingv1.PriorityClass{}
		if err := yaml.UnmarshalStrict([]byte(document), class); err != nil {
			return err
		}
		if _, err := client.SchedulingV1().PriorityClasses().Create(ctx, class, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}
