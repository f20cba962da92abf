// Package executor is the agent of one cluster: it leases runs from the server,
// has its runtime run them, and reports what becomes of them. It only dials
// out.
//
// The words: a session is one life of the connection, with an id of its own; a
// request carries the session's next sequence number, the nodes when they have
// changed, and the ids of all runs the agent holds; the server answers it with
// an end marker that tells the length of the lease, and the agent makes the next
// request only then. Only the answer to its own sequence renews the lease,
// counted from the monotonic time at which that request was sent. When the lease
// comes within a margin of its end, the agent stops its runs and starts nothing:
// from then on the server may call them lost.
//
// [Connect] (connect.go) finds one of several servers. The loops of the [Agent]: sessions (session.go) connect, ask and obey; reports
// (reports.go) close the gap between what happened and what the server knows; the
// lease watch (lease.go) stops runs in time; one listens to the runtime, and names the
// failures of which it hears (categories.go); one looks at what runs use (usage.go);
// logs (logs.go) and commands in containers (exec.go) are answers to orders, each in a
// goroutine and a call of its own;
// and three crews (crew.go) ask the runtime to start, to stop and to forget, so that
// nobody else waits for it. Between them stands the ledger (ledger.go): every run that the agent
// answers for, from the lease that brought it to the acknowledged report of its
// end, and how far it has come with each.
//
// Races that are meant to happen, and what makes them harmless:
//
//   - A stop comes before the run has begun: the run is settled, and its turn to
//     start finds nothing to do. A stop comes while the runtime is asked to start
//     the run: it waits for the answer.
//   - A lease arrives twice, or after the end of its run was acknowledged: the
//     ledger knows the run, or remembers it until no older lease can arrive.
//   - A report is answered after the session has ended, or not at all: it is
//     repeated in the next one. Reports are idempotent by run.
//   - The server refuses a report because the session is void, while the next one
//     is open already: only the session that was refused is closed.
//
// The agent must never decide what runs where, start a run twice, or forget a
// run before the server knows its end. docs/adr/0007 has the whole protocol.
package executor
