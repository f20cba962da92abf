package kubernetes

import (
	"log/slog"

	"k8s.io/klog/v2"
)

// LogTo has what the libraries of Kubernetes say written into a log instead of
// into stderr beside it. They keep their logger in a global: a program calls it
// once, before it opens a runtime.
func LogTo(log *slog.Logger) { klog.SetSlogLogger(log) }
