// Package executor is the agent of one cluster: it leases runs from the server,
// has its runtime run them, and reports what becomes of them. It only dials
// out.
//
// The words: a session is one life of the connection, with an id of its own; a
// request carries the session's next sequence number, the nodes when they have
// changed, and the ids of all runs the agent holds; the server acknowledges it
// with an end marker and the length of the lease. Only the acknowledgement of
// its own sequence renews the lease, counted from the monotonic time at which
// that request was sent. When the lease comes within a margin of its end, the
// agent stops its runs: from then on the server may call them lost.
//
// Three loops share the [Agent]: sessions (session.go) connect, ask and obey;
// reports (reports.go) compares what the runtime tells with what the server
// knows, and closes the gap; the lease watch (lease.go) stops runs in time.
// Between them stands the ledger (ledger.go): every run that the agent answers
// for, from the lease that brought it to the acknowledged report of its end.
//
// The agent must never decide what runs where, start a run twice, or forget a
// run before the server knows its end.
package executor
