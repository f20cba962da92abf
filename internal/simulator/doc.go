// Package simulator plays a workload on made-up clusters in virtual time, with
// the scheduler and the life cycle of production: hours of a fleet in a second,
// and the same bytes every time.
//
// The words: a [Scenario] is [Clusters], a [Workload] and what an installation
// decides about scheduling. A template of the workload is submitted in waves
// (one, or as often as it repeats), each wave a number of jobs alike; a spread
// is a distribution of times, a minimum and an exponential tail. A life is one
// job of the simulation; the agenda is what will happen at which moment; a tick
// is a multiple of the round interval, the only moments at which rounds run.
//
// Until nothing is left to happen, [Run] takes what is due up to the next tick
// at which something could be decided, and then runs scheduling.Round for each
// pool that changed. Every change of a job goes through lifecycle.Apply, and the
// pools are told of jobs as the leader tells them: a queued job waits in every
// pool, a run holds room in its own. Ticks at which nothing changed are passed
// over; time then costs nothing.
//
// Machines are perfect here: a lease arrives at once, a run starts after its
// pending delay and succeeds after its run time, a preempted run ends at once.
// A preempted job is submitted again as a new one that has all its work before
// it, with what is left of its gang. A job that no node could ever run is
// rejected.
//
// The package must never read a clock, depend on the order of a map or on how
// the machine rounds: randomness is drawn in integers from a seed, by template,
// so that a workload's run times stay the same whatever is scheduled, and sums
// of floating point are taken in a fixed order, each product rounded by itself.
//
// Start at scenario.go for what can be written in the files, simulation.go for
// the loop, life.go for the jobs; then result.go for what is remembered, and
// summary.go, table.go and picture.go for what is told of it. Why it is built
// so: docs/adr/0021-simulation.md.
package simulator
