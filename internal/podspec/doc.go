// Package podspec turns the bytes of a Kubernetes pod spec into what the rest
// of Armada speaks: violations with their paths, the requirements that the
// scheduler places by, and the containers that a runtime starts.
//
// The words: a [Spec] is a decoded pod spec; its canonical bytes are the
// template, which the store keeps once by content hash ([TemplateID]); [Rules]
// are what an installation demands of a spec and fills in. The order is
//
//	spec, err := podspec.Decode(raw)
//	spec.FoldNodeLabels(item.RequiredNodeLabels)
//	violations := spec.Validate(rules, "job_request_items[0].pod_spec")
//	spec.Default(rules)
//	requirements := spec.Requirements(rules)
//
// What is accepted and why is told by docs/adr/0003-pod-spec-validation.md.
//
// The package is pure: it reads no clock and does no I/O. It is the only pure
// package that imports Kubernetes' types and shows none of them to its callers.
// Placing by requirements is internal/scheduling, running containers is
// internal/runs.
package podspec
