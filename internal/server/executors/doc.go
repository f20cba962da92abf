// Package executors serves the executors: their sessions, the leases and stops
// that are pushed to them, their reports, and the logs they are asked for.
//
// A [Service] follows the store's feed once for the whole replica and hands
// what concerns an executor to the stream that the executor holds here
// (dispatch.go). A stream (stream.go) answers each request of its executor with
// the end marker that renews the lease, then with what the list of runs lacks and
// what should not be on it; between requests it pushes what the feed brought. It
// depends on executors that make a request only when the one before was answered
// (docs/adr/0007; the tests of both sides are test/sessions). Reports
// (reports.go) become guarded transitions under the fence of the executor's
// session. Logs (logs.go) and commands (exec.go) are orders down the stream,
// answered by a call of the executor's.
//
// Executors of the original of 2026 speak the same service and nothing of sessions:
// internal/server/executors2026 serves them.
//
// The package decides nothing about jobs: that is the leader's and
// internal/lifecycle's matter.
package executors
