// Package lifecycle says which transitions of jobs and runs are legal, what
// each of them emits, and who wins a race. It is pure: [Apply] looks at a job,
// its current run and one [Change], and answers with the job, the run and the
// events as they are afterwards. The store calls it inside the transaction
// that locks the job, so nothing else decides about states.
//
// The words: a change is something that happened or was asked for; the table
// [Rules] holds one rule per change, state and wish; a change without a rule
// is either [Already] true (a repeat, answered with success) or [Refused] (it
// came too late, or speaks of another run). A wish (cancel, preempt) is
// recorded while a run lives and granted when the run has ended:
//
//   - a success reported before the kill is confirmed beats cancel and preempt;
//   - any other end of a run grants the wish: a cancelled job's failure is
//     "cancelled", a preempted job's failure is "preempted";
//   - a user's cancel replaces the scheduler's preempt, never the reverse.
//
// What executors of 2020 say of a run beyond that is a mark (mark.go): it changes
// no state and is no event, and what waits for the want of news can name the
// version of the run that it knows.
//
// Job and run end together: a job with a run is active until the run's end is
// known or given up, which is why two attempts of a job never overlap.
//
// The package must never read a clock, do I/O or know about a store. The
// picture of the table is docs/lifecycle.md, generated from it.
package lifecycle

//go:generate go test -count=1 -run TestThePictureInTheDocsIsCurrent . -update
