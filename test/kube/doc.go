// Package kube tests whole systems whose jobs are pods of a Kubernetes cluster: a
// server and executors in this process, and a real API server with played
// kubelets (internal/runs/kubernetes/kubetest). `make kube` builds what they need;
// cluster is the module of it. Tests on a real node, whose pods truly run, are in
// node.
package kube
