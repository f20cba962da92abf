package store

import (
	"context"
	"time"
)

// Restoration is what a store does when it was brought back from a copy: a
// backup, a dump, a snapshot of its disk. What was written after the copy was
// made, the lost time, is not known any more, but clients and executors have
// seen it. So the store begins another life, in which nothing that was handed
// out in the lost time means something else:
//
//   - Every job set is another incarnation: a cursor from before begins anew, as
//     that of a job set that was forgotten.
//   - Numbers of jobs, positions of the feed and epochs go on far beyond those of
//     the lost time. The feed tells who holds an older position to load anew; who
//     led leads no more; sessions of executors are void.
//   - Nothing may be started for the time of a hold: an executor may be running
//     what the store does not know, and must be told to stop it first, or have
//     stopped it because its lease has ended.
type Restoration interface {
	// Restored begins another life. No process may be serving the store, and the
	// hold must be at least as long as the leases of executors. It may run twice.
	Restored(ctx context.Context, hold time.Duration) error
	// Held returns for how long nothing may be started yet, 0 when nothing is in
	// the way. Once it has been 0 it is 0 until the store is restored again, and
	// is answered from memory.
	Held(ctx context.Context) (time.Duration, error)
	// Hold makes the hold last at least so long from now, if it is not over.
	Hold(ctx context.Context, atLeast time.Duration) error
}

// LifeSpan is how far numbers go ahead with a new life: more than the lost time
// can have used. What a store numbers must stay below it within one life.
const LifeSpan = 1 << 40
