// Package kubernetes runs pods in a Kubernetes cluster: one pod for each run, on
// the node that the scheduler chose.
//
// The words: a pod is ours when its label [LabelExecutor] has our executor's id;
// all others are only counted, by what they take from the nodes. The finalizer
// [Finalizer] keeps a pod's object in the cluster, whoever deletes it, until its
// end is told and forgotten. A verdict is an annotation in which this runtime
// writes down, before it deletes a pod, how the run is to end if it does not end
// by itself first: stopped, failed, or given back. A forgotten pod carries
// [AnnotationForgotten] and no finalizer; it stays for its logs until the keeper
// removes it.
//
// What is promised, and why it holds (docs/adr/0033-pods.md):
//   - all state is on the pods: an executor that is killed and started again, at
//     any moment, tells of each run what it would have told;
//   - a run is made once: pods are named by job, and a pod of an earlier attempt
//     is removed before the next one is made;
//   - no end is lost: the object of a pod outlives the pod;
//   - a run ends once, by the first of what happened: its containers' own end
//     before a verdict, a success even after one.
//
// What a pod says is read by pure functions: [statusOf] (status.go) tells the
// status of a run from its pod, podOf (pod.go) makes a pod from an order,
// [troubleWith] (trouble.go) tells what is wrong with a pod that does not get on.
// Around them stand the caches that follow the cluster (watch.go) and the runtime's
// methods (runtime.go): start.go makes the pods, objects.go what is beside them,
// exec.go runs commands in them, and letgo.go is the end of one whose end was told.
// One queue has the runs to look at (observe.go), the rounds look for trouble and
// remove old pods (rounds.go), and logs (logs.go) have their ends kept (archive.go)
// as long as there is room (keeping.go), in a folder or in a bucket (shelf.go).
//
// It must never decide what runs, touch a pod that is not ours, or make a pod
// without a lease's order; but one of another executor that has ended gives its
// name to the next run of its job (handover.go). It is the only package beside
// internal/podspec that uses Kubernetes' types, and shows none of them.
package kubernetes
