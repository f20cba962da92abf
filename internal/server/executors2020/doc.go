// Package executors2020 serves the executors of 2020: they poll for jobs, keep
// them by naming them, give them back, say that they have done with them, and
// report what became of them as events.
//
// A [Service] is an adapter on the same store and the same scheduler that every
// other executor has. The nodes that an executor reports join a pool; the leader
// decides what runs there; LeaseJobs (lease.go) hands out what was decided, each
// run once. Those executors know jobs and no runs, and no sessions: what they say
// of a job concerns its current run if they hold that, and else nothing. What
// must be remembered of a run beyond its state is in [armada.Polled], written by
// marks (internal/lifecycle), so any replica answers any call.
//
//	lease.go    LeaseJobs; choose.go says what is handed out, tidy.go what ends instead
//	renew.go    RenewLease, the one call that kills pods: keep.go says which are kept
//	done.go     ReturnLease, ReportDone
//	events.go   Report, ReportMultiple
//	usage.go    ReportUsage
//
// Promises: a run is handed out at most once; a job that the answer of RenewLease
// lacks is one that may not run on, and any doubt is UNAVAILABLE; whatever an
// executor says of jobs that it does not hold is answered with OK and changes
// nothing. What an executor stops renewing is given up by the leader, run by run
// (internal/leader/expiry.go), and queued again.
//
// docs/adr/0026 says why it is so; the tests are in test/compat/executor2020.
package executors2020
