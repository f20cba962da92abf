// Package listing is what the forms of the store share of List: continuations,
// the bound on time, and the comparison of what no index knows.
//
// A form looks at candidates in pieces, in the order of numbers, and offers each
// of them. The package must never read a database.
package listing

import (
	"math"
	"strconv"
	"strings"
	"time"

	"armada"
	"armada/internal/store"
	"armada/internal/store/intake"
)

const (
	// defaultPage is the limit of a query that names none.
	defaultPage = 100
	// patience bounds how long a page is looked for among jobs that do not match.
	patience = 200 * time.Millisecond
	// Step is how many candidates a form looks at between glances at the time.
	Step = 500
)

// Listing is one List call.
type Listing struct {
	Query  store.Query
	Wanted States

	limit int
	at    int64 // the number of the last job that was looked at
	page  store.Page
}

// New begins a listing; Invalid for a continuation that nobody gave.
func New(q store.Query) (*Listing, error) {
	l := &Listing{Query: q, Wanted: StatesOf(q.States), limit: q.Limit}
	if l.limit <= 0 {
		l.limit = defaultPage
	}
	l.limit = min(l.limit, store.MaxPage)
	if q.Descending {
		l.at = math.MaxInt64
	}
	if q.After != "" {
		at, err := strconv.ParseInt(q.After, 10, 64)
		if err != nil || at < 0 {
			return nil, intake.Coded(armada.CodeInvalid, "list: %q is not a continuation", q.After)
		}
		l.at = at
	}
	return l, nil
}

// Run calls step, which looks at some candidates and tells whether there may be
// more, until the page is full, nothing is left or the time is up.
func (l *Listing) Run(step func() (more bool, err error)) (store.Page, error) {
	deadline := time.Now().Add(patience)
	for {
		more, err := step()
		switch {
		case err != nil:
			return store.Page{}, err
		case !more:
			return l.page, nil
		case l.Full() || time.Now().After(deadline):
			l.page.Next = strconv.FormatInt(l.at, 10)
			return l.page, nil
		}
	}
}

// Narrow returns the part of a range of numbers, both inclusive, that was not
// looked at yet; it is empty when low is above high.
func (l *Listing) Narrow(low, high int64) (int64, int64) {
	if l.Query.Descending {
		return low, min(high, l.at-1)
	}
	return max(low, l.at+1), high
}

// Full tells that the page is full: no further job may be looked at.
func (l *Listing) Full() bool { return len(l.page.Jobs) >= l.limit }

// Room is how many jobs the page has room for.
func (l *Listing) Room() int { return l.limit - len(l.page.Jobs) }

// Passed records that the candidate was looked at.
func (l *Listing) Passed(number int64) { l.at = number }

// Offer adds a job if it matches. Its state was compared already.
func (l *Listing) Offer(full *store.FullJob) {
	if l.matches(full) {
		l.page.Jobs = append(l.page.Jobs, *full)
	}
}

// matches compares what the candidates' index does not know.
func (l *Listing) matches(full *store.FullJob) bool {
	q, job := &l.Query, &full.Job
	switch {
	case q.Queue != "" && job.Queue != q.Queue,
		q.JobSet != "" && string(job.JobSet) != q.JobSet,
		!strings.HasPrefix(string(job.JobSet), q.JobSetPrefix),
		q.Owner != "" && job.Owner != q.Owner,
		q.Namespace != "" && full.Details.Namespace != q.Namespace,
		!q.SubmittedAfter.IsZero() && job.Submitted.Before(q.SubmittedAfter),
		!q.SubmittedBefore.IsZero() && !job.Submitted.Before(q.SubmittedBefore):
		return false
	}
	for k, v := range q.Annotations {
		if have, ok := full.Details.Annotations[k]; !ok || have != v {
			return false
		}
	}
	return true
}

// States is a set of states; the empty one holds all.
type States uint32

// StatesOf returns the set of some states, and that of all for none.
func StatesOf(list []armada.JobState) States {
	var set States
	for _, s := range list {
		set |= 1 << s
	}
	return set
}

// Has tells whether a state is among them.
func (s States) Has(state armada.JobState) bool { return s == 0 || s&(1<<state) != 0 }

// Codes are the numbers of the states, with commas between.
func (s States) Codes() string {
	var codes []string
	for _, state := range armada.JobStates() {
		if s.Has(state) {
			codes = append(codes, strconv.Itoa(int(state)))
		}
	}
	return strings.Join(codes, ", ")
}

// OnlyActive tells that no finished job can be wanted.
func (s States) OnlyActive() bool {
	for _, state := range armada.JobStates() {
		if !state.Active() && s.Has(state) {
			return false
		}
	}
	return true
}
