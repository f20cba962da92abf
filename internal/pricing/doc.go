// Package pricing knows what queues bid in market-driven pools: [Bids] asks a file
// or a service for it, again and again, and keeps the last good answer.
//
// The words: a *bid* is what a job offers for a place, and what it offers to keep
// it; it depends on the pool, on the queue and on the price *band* that the job
// names at submission (A to H). Who says nothing bids 0, and 0 displaces nobody.
//
// Asking takes time and may fail; rounds must not. So they only ever see a snapshot
// ([Bids.Latest]), which the leader gives to its pools when it has changed. While
// the file is wrong or the service away, the snapshot stays as it is, a warning says
// since when, and so does a metric. A wrong answer is refused as a whole: half of
// an answer would be prices that nobody has set.
//
// What a place costs is no matter of this package, see internal/scheduling. Start
// at bids.go; the two sources are file.go and service.go. Why it is built so:
// docs/adr/0023-markets.md.
package pricing
