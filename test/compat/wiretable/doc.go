// Package wiretable makes messages of the original's wire from nothing but the
// tables of its field numbers (testdata), so that a test which plays a client or
// an executor of the original shares no line with the code it tests: no
// generated message, no .proto file.
//
// A [Table] is one year's wire. [Table.Make] builds a message from [Fields],
// [At] reads one. Messages are dynamic ones and go over gRPC like any other:
//
//	answer := table.New("api.JobSubmitResponse")
//	err := conn.Invoke(ctx, "/api.Submit/SubmitJobs", table.Make("api.JobSubmitRequest", wiretable.Fields{
//		"queue": "q", "job_set_id": "s",
//	}), answer)
//	id := wiretable.At(wiretable.List(answer, "job_response_items")[0], "job_id").String()
//
// Messages of Kubernetes are fields of bytes here, which is the same on the
// wire: Make takes the types of k8s.io/api for them, which bring their own
// encoding, and a reader decodes the bytes with those types. Strings may hold
// bytes that are not UTF-8, as those of the original's own clients.
//
// The package is test support: what does not fit a table panics.
package wiretable
