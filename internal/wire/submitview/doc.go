// Package submitview is the submit request as the server decodes it: the
// public api.JobSubmitRequest with its pod specs left as encoded bytes, so that
// a pod spec that was seen before costs a hash and not a decoding.
//
// It is generated from submitview.proto (by pkg/api/generate.sh) and never
// edited; a test compares it with the public message field by field. It is
// only ever decoded from a request, never sent.
package submitview
