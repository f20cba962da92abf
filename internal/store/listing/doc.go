// Package listing is what the forms of the store share of asking for jobs: how a
// query is turned into the shortest way through the jobs, the bound on time,
// continuations, sorting, counting and grouping.
//
// The words: a number is a job's place in the order of submission. A walk is a way
// through the jobs in the order of their numbers which leaves out no job that
// matches; a form takes walks by its indexes. A candidate is a job on a walk: it is
// loaded and compared with all conditions, unless its state tells already that it
// does not match. A mark is an entry of the index of owners and annotations.
//
// How many jobs there are by queue, job set and state is kept beside the jobs, so
// the length of a walk is known before it is taken, and counts by these are read.
//
//	listing.go  pages, and the search that everything else is made of
//	plan.go     which walk is taken       walk.go   what walks are, and merging them
//	sorted.go   order by a column         group.go  counts and groups
//	sets.go     lists of job sets         marks.go  what is marked
//
// The package must never read a database: it asks a [View].
package listing
