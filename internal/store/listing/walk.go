package listing

import (
	"cmp"
	"math"
	"slices"
	"time"

	"armada"
	"armada/internal/store"
)

// Form is a form of the store.
type Form interface {
	// Look calls look with what there is at one moment; what is given to it may be
	// used until it returns.
	Look(what string, look func(View) error) error
}

// View is what a form answers of one moment.
type View interface {
	// Totals are the jobs of all queues that have any.
	Totals() ([]Total, error)
	// Sets are job sets that match, at most limit of them.
	Sets(q SetFilter, limit int) ([]Set, error)
	// ActiveSets are the job sets with active jobs, of some queues or of all.
	ActiveSets(queues []int64) ([]Set, error)
	// ActiveInOrder tells whether the form can walk through the active jobs of all
	// queues at once, and meets no others.
	ActiveInOrder() bool
	// Walk returns the next candidates of a walk within the stretch, in order, and
	// whether there are more behind the last of them.
	Walk(w *Walk, s Stretch) ([]Candidate, bool, error)
	// Load returns jobs that are still there, in the order of their numbers in the
	// list, with the parts that are asked for.
	Load(numbers []int64, parts Parts) ([]store.FullJob, error)
	// Numbers are those of jobs by id.
	Numbers(ids []string) ([]int64, error)
	// Prefixed are the numbers of jobs whose ids begin with a text, at most limit.
	Prefixed(prefix string, limit int) ([]int64, error)
	// Held are the numbers of jobs that executors hold, in some states.
	Held(states States) ([]int64, error)
	// First is the lowest number, and FirstSince the lowest of those that were
	// submitted at or after a time, or what the next job will have.
	First() (int64, error)
	FirstSince(t time.Time) (int64, error)
	// MarkedSince is the number from which on all jobs have their marks of a name.
	MarkedSince(name string) (since int64, known bool, err error)
	// CountMarked counts jobs with a mark of one of the values within the stretch, up
	// to its limit.
	CountMarked(name string, values []string, s Stretch) (int64, error)
	// MarkValues and MarkedPrefix are the values of marks that begin with a text, and the numbers of
	// the jobs that have them, each at most as many as its limit.
	MarkValues(name, prefix string, limit int) ([]string, error)
	MarkedPrefix(name, prefix string, limit int) ([]int64, error)
}

// Total is how many jobs a queue has.
type Total struct {
	ID    int64
	Queue string
	Jobs  store.StateCounts
}

// Set is a job set's row.
type Set struct {
	ID, QueueID int64
	Queue, Name string
	Jobs        store.StateCounts
}

// SetFilter asks for job sets: by name, by the beginning of the name or by a text in
// it (all when these are empty), of some queues (all when nil), with ids below a
// bound unless it is 0, in the order of ids from the highest.
type SetFilter struct {
	Queues   []string
	Names    []string
	Prefix   string
	Contains string
	Before   int64
}

// Kind is how a walk is found.
type Kind uint8

// The kinds of walks.
const (
	All       Kind = iota // every job
	OfQueues              // of Queues
	OfSets                // of Sets
	Active                // active ones of Sets
	AllActive             // every active one; only if ActiveInOrder
	Ended                 // finished ones of Queues in States
	Marked                // with a mark
	Listed                // those in Numbers
)

// Walk is a way through the jobs.
type Walk struct {
	Kind    Kind
	Queues  []int64
	Sets    []Set
	States  []armada.JobState
	Mark    string
	Values  []string
	Numbers []int64 // ascending

	Low, High int64 // it covers the jobs between these numbers, inclusive
}

// streams is how many parts of indexes it merges.
func (w *Walk) streams() int {
	switch w.Kind {
	case OfQueues:
		return len(w.Queues)
	case OfSets, Active:
		return len(w.Sets)
	case Ended:
		return len(w.Queues) * len(w.States)
	case Marked:
		return len(w.Values)
	default:
		return 1
	}
}

// Stretch is a range of numbers, both inclusive, and how many candidates of it are
// wanted.
type Stretch struct {
	Low, High  int64
	Descending bool
	Limit      int
}

// Candidate is a job on a walk, with its state where the walk knows it.
type Candidate struct {
	Number int64
	State  armada.JobState
}

// Parts are the parts of jobs that are loaded beside what never changes and their
// state. Jobs of which little is loaded are many.
type Parts struct {
	Life    bool // what transitions change, with the latest run
	Owner   bool // with all else that is fixed
	Needs   bool // what they ask for, with the names of their shapes and templates
	Details bool
	Earlier bool // attempts before the latest
}

// Whole are all parts.
var Whole = Parts{Life: true, Owner: true, Needs: true, Details: true, Earlier: true}

// need adds what is needed to know a column.
func (p *Parts) need(c store.Column) {
	switch c.Field {
	case store.FieldJobID, store.FieldQueue, store.FieldJobSet, store.FieldState, store.FieldSubmitted:
	case store.FieldPriorityClass, store.FieldResource:
		p.Needs = true
	case store.FieldOwner:
		p.Owner = true
	case store.FieldNamespace, store.FieldAnnotation:
		p.Details = true
	default:
		p.Life = true
	}
}

// after leaves out what lies before a number, and the number.
func (s Stretch) after(number int64) Stretch {
	if s.Descending {
		s.High = min(s.High, number-1)
	} else {
		s.Low = max(s.Low, number+1)
	}
	return s
}

// until leaves out what lies behind a number.
func (s Stretch) until(number int64) Stretch {
	if s.Descending {
		s.Low = max(s.Low, number)
	} else {
		s.High = min(s.High, number)
	}
	return s
}

// sort orders candidates and leaves out those that are there twice.
func (s Stretch) sort(list []Candidate) []Candidate {
	slices.SortFunc(list, func(a, b Candidate) int {
		if s.Descending {
			a, b = b, a
		}
		return cmp.Compare(a.Number, b.Number)
	})
	return slices.CompactFunc(list, func(a, b Candidate) bool { return a.Number == b.Number })
}

// within drops what lies behind the stretch.
func (s Stretch) within(list []Candidate) []Candidate {
	for len(list) > 0 {
		if last := list[len(list)-1].Number; s.Low <= last && last <= s.High {
			break
		}
		list = list[:len(list)-1]
	}
	return list
}

// Merge merges streams that are in order. Next returns the first candidates of one
// of them within a stretch.
func Merge(s Stretch, streams int, next func(i int, s Stretch) ([]Candidate, error)) ([]Candidate, bool, error) {
	var merged []Candidate
	more := false
	cut := func() {
		if merged = s.sort(merged); len(merged) >= s.Limit {
			merged, more = merged[:s.Limit], true
			s = s.until(merged[s.Limit-1].Number) // nothing behind it is of use
		}
	}
	for i := range streams {
		list, err := next(i, s)
		if err != nil {
			return nil, false, err
		}
		if merged = append(merged, list...); len(merged) > 4*s.Limit {
			cut()
		}
	}
	cut()
	return merged, more, nil
}

// list takes a walk through numbers that are listed beforehand.
func (w *Walk) list(s Stretch) ([]Candidate, bool) {
	var list []Candidate
	from, _ := slices.BinarySearch(w.Numbers, s.Low)
	to, found := slices.BinarySearch(w.Numbers, s.High)
	if found {
		to++
	}
	part := w.Numbers[from:max(from, to)]
	more := len(part) > s.Limit
	for i := range min(len(part), s.Limit) {
		if s.Descending {
			list = append(list, Candidate{Number: part[len(part)-1-i]})
		} else {
			list = append(list, Candidate{Number: part[i]})
		}
	}
	return list, more
}

// everywhere is the range of all numbers.
const everywhere = math.MaxInt64

// Each is how many candidates of each stream of a walk are worth asking for at once.
func (s Stretch) Each(w *Walk) int {
	const few = 25
	return min(s.Limit, max(few, 4*s.Limit/max(1, w.streams())))
}

// Gathered are the candidates of several streams, of each the first ones.
type Gathered struct {
	stretch Stretch
	each    int
	parts   map[int64]int
	list    []Candidate
	more    bool
}

// NewGathered gathers candidates of streams that were asked for so many of each.
func NewGathered(s Stretch, each int) *Gathered {
	return &Gathered{stretch: s, each: each, parts: map[int64]int{}}
}

// Add adds the next candidate of a stream, which is not before those of any other.
func (g *Gathered) Add(part int64, c Candidate) {
	if g.more {
		return // what comes now may lie behind something that was not asked for
	}
	g.list = append(g.list, c)
	g.parts[part]++
	g.more = g.parts[part] == g.each || len(g.list) == g.stretch.Limit
}

// List are the candidates that are known to follow each other, and whether there
// may be more.
func (g *Gathered) List() ([]Candidate, bool) { return g.list, g.more }
