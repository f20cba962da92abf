package kubernetes

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"armada"
	"armada/internal/doctor"
)

// classesCheck looks whether the cluster has the priority classes that pods will
// name, and whether it understands them as Armada does. An executor may not read
// classes, and needs not: the API server is asked for a pod of each without making
// it, and answers with the priority that the pod would have had.
func (c *clients) classesCheck(ctx context.Context, config *Config, classes []armada.PriorityClass) []doctor.Check {
	switch config.PriorityClass {
	case "":
	case noPriorityClass:
		return nil
	default:
		return []doctor.Check{c.classCheck(ctx, config.PriorityClass, nil)}
	}
	checks := make([]doctor.Check, len(classes))
	for i := range classes {
		checks[i] = c.classCheck(ctx, classes[i].Name, &classes[i].Priority)
	}
	return checks
}

// unknownClass is in what API servers answer of a pod whose class they lack.
const unknownClass = "no PriorityClass with name"

// classCheck looks at one class; its priority is compared where there is one to
// compare with.
func (c *clients) classCheck(ctx context.Context, class string, priority *int32) doctor.Check {
	name := "priority class " + class
	pod, err := c.own.CoreV1().Pods(metav1.NamespaceDefault).Create(ctx, podOfClass(class), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	switch {
	case err != nil && strings.Contains(err.Error(), unknownClass):
		return doctor.Good(name, "the cluster has none of that name, and refuses every pod that names it").
			Fail("kubectl apply -f deploy/kubernetes/priority-classes.yaml makes those of the default settings; add your own, or set executor.kubernetes.priorityClass to none")
	case err != nil:
		return doctor.Unknown(name, "the API server does not take a pod of it in namespace %s: %v", metav1.NamespaceDefault, err)
	case priority != nil && pod.Spec.Priority != nil && *pod.Spec.Priority != *priority:
		return doctor.Good(name, "the cluster gives its pods priority %d, jobs.priorityClasses says %d", *pod.Spec.Priority, *priority).
			Warn("make both the same: other pods are counted by the cluster's priorities, and jobs placed by Armada's")
	case pod.Spec.PreemptionPolicy == nil || *pod.Spec.PreemptionPolicy != corev1.PreemptNever:
		return doctor.Good(name, "the cluster removes other pods to make room for pods of it").
			Warn("give it preemptionPolicy: Never: who makes room for a job is for Armada to say")
	}
	finding := "the cluster has it"
	if pod.Spec.Priority != nil {
		finding = fmt.Sprintf("the cluster has it, with priority %d", *pod.Spec.Priority)
	}
	return doctor.Good(name, "%s", finding)
}

// podOfClass is a pod that the strictest of clusters take.
func podOfClass(class string) *corev1.Pod {
	yes, no := true, false
	amounts := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("64Mi"), corev1.ResourceEphemeralStorage: resource.MustParse("1Mi"),
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "armada-check-", Namespace: metav1.NamespaceDefault},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, PriorityClassName: class, AutomountServiceAccountToken: &no,
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: &yes, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers: []corev1.Container{{
				Name: "main", Image: "none",
				Resources: corev1.ResourceRequirements{Requests: amounts, Limits: amounts},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
}
