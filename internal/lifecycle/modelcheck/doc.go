// Package modelcheck proves by exhaustion that the life cycle, the leases and
// the fence keep their promises together: it visits every state that one job,
// two executors, two leaders and a network that loses, repeats, delays and
// reorders can get into.
//
// The words: a [Machine] is a state and what may happen next; [Check] visits
// everything that is reachable and returns the shortest way to what must not
// be; [Protocol] is the machine of docs/architecture.md §6 and §4.7. The store
// in it decides by the real internal/lifecycle.Apply; executors, leaders,
// clocks and messages are modelled. A [Flaw] takes one of the protocol's rules
// away: that the checker then finds a way to break a promise shows that the
// rule is needed and that the checker would see it missing.
//
// The rules of the protocol, each of which the shells must follow:
//
//   - An executor's lease lasts from the moment it sent the heartbeat that was
//     acknowledged. A margin before its end the executor kills its pods, which
//     takes no longer than the margin. It reports a run only when its pod is
//     gone.
//   - The server counts from when it committed a heartbeat and gives runs up a
//     margin after the lease at the earliest. A session that was silent for so
//     long is over: its heartbeats are refused, and the executor begins a new
//     session. Otherwise a heartbeat on its way would renew it, and a push on
//     its way would start what was given up.
//   - Runs are given up only if the executor's session is still the one that was
//     silent, checked in the transaction that gives them up: an executor that
//     came back under a new session may have been given the run again.
//   - A push names the session it is for; in any other one it is void. It may
//     arrive at any time and any number of times.
//   - An executor starts a run only while its lease lasts, and never one that it
//     knew of in its session: running, ended, acknowledged, or told to stop
//     before it was told to start.
//   - An executor that was dead answers for a pod that it finds only when an
//     acknowledgement says that the store still counts on it, and kills it if not.
//   - A report counts only in the executor's current session.
//   - A leader's decision commits only if its epoch is current.
//
// What is promised, for executors that live:
//
//   - at most one attempt runs at a time, and none whose end the store knows or
//     assumes: what has succeeded is not run again;
//   - an attempt that a retry policy repeats has ended, or is over for its executor,
//     before the next one runs;
//   - a job ends once, with one terminal event, and does not change afterwards;
//   - no decision of a deposed leader commits;
//   - a job whose cancel was acknowledged is not leased again and ends cancelled,
//     or succeeded when that came first;
//   - from every state an end can be reached.
//
// The bounds: two attempts, two sessions, one change of leader; executor A has a
// bad link, a clock and a mortal process, B's heartbeats always arrive (what is
// promised of an executor concerns the store and itself, and both links bad are
// fifty times the states); a lease of three ticks with a margin of one.
// The package is for tests, pure, and knows nothing but lifecycle.
package modelcheck
