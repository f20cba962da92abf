// Package store is the contract of what must be remembered and asked, and what
// is promised about it. The two forms, sqlite and postgres, keep all promises;
// storetest is the one suite that both pass.
//
// The promises, which the code of the forms names by number:
//
//  1. Durable before OK. What a call answered with success did survives power
//     loss.
//  2. State and event together. A transition and its events are one
//     transaction; neither is seen without the other. Every job and run has a
//     version that grows by one per transition.
//  3. Read your writes. After Submit has answered, every read on every replica
//     sees the jobs; queues too.
//  4. Numbered without gaps, in commit order, per incarnation of a job set. A
//     reader that has seen event n never later meets an event below n.
//  5. The feed misses nothing and stalls for nobody ([Feed]).
//  6. Guarded transitions. internal/lifecycle decides inside the transaction
//     that locks the job; the loser of a race is told and does nothing. A
//     [Unit] happens wholly or not at all.
//  7. Fenced leadership. A call with the fence of a leader commits only while
//     its epoch is current, checked in the same transaction.
//  8. Exact deduplication of (queue, client id), for the retention time, within
//     one request and between replicas.
//  9. One copy of a pod spec, by content hash, and one of a shape.
//  10. The hot part stays small: active jobs are found without touching finished
//     ones, and no index mentions what changes per transition.
//  11. Executors live here too, with their sessions, nodes and settings.
//  12. Concurrent writes of one process are coalesced into one transaction.
//  13. Asking is part of the contract: list, group and count, fast on indexed
//     columns at any size, otherwise bounded in time with a continuation.
//  14. A store brought back from a copy begins another life, in which what was
//     handed out in the lost time means nothing ([Restoration]).
//
// Errors are [armada.Error] values with a code where a caller can act on them:
// NotFound, Precondition, Invalid, Fenced, Unavailable (nothing was done),
// Exhausted, OutOfRange. After a commit no call answers Unavailable. All
// methods may be called from many goroutines; a cancelled context abandons a
// call that has not begun to commit, and waits for one that has.
//
// The contract must never learn about pods' insides (they are bytes), about the
// wire, or about scheduling.
package store
