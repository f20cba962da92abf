package listing

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"armada"
	"armada/internal/store"
)

// imagined is a database of jobs that are looked at one by one: whatever walk is
// asked for, all its jobs are found. It notes the walks.
type imagined struct {
	jobs   []store.FullJob // number i+1
	since  map[string]int64
	taken  []Kind
	loaded int
	slow   time.Duration // that loading takes

	inOrder bool // active jobs are found together
}

func (d *imagined) Look(_ string, look func(View) error) error { return look(d) }

func (d *imagined) queueID(name string) int64 {
	id := int64(0)
	for _, c := range []byte(name) {
		id = id*256 + int64(c)
	}
	return id
}

func (d *imagined) Totals() ([]Total, error) {
	var totals []Total
	for i := range d.jobs {
		job := &d.jobs[i].Job
		at := slices.IndexFunc(totals, func(t Total) bool { return t.Queue == job.Queue })
		if at < 0 {
			at = len(totals)
			totals = append(totals, Total{ID: d.queueID(job.Queue), Queue: job.Queue})
		}
		totals[at].Jobs[job.State]++
	}
	return totals, nil
}

func (d *imagined) sets(wanted func(queue, name string) bool) []Set {
	var sets []Set
	for i := range d.jobs {
		job := &d.jobs[i].Job
		if !wanted(job.Queue, string(job.JobSet)) {
			continue
		}
		at := slices.IndexFunc(sets, func(s Set) bool { return s.Queue == job.Queue && s.Name == string(job.JobSet) })
		if at < 0 {
			at = len(sets)
			sets = append(sets, Set{ID: int64(at + 1), QueueID: d.queueID(job.Queue), Queue: job.Queue, Name: string(job.JobSet)})
		}
		sets[at].Jobs[job.State]++
	}
	return sets
}

func (d *imagined) Sets(q SetFilter, limit int) ([]Set, error) {
	sets := d.sets(func(queue, name string) bool {
		return (q.Queues == nil || slices.Contains(q.Queues, queue)) && (q.Names == nil || slices.Contains(q.Names, name)) && strings.HasPrefix(name, q.Prefix) && strings.Contains(name, q.Contains)
	})
	return sets[:min(limit, len(sets))], nil
}

func (d *imagined) ActiveSets([]int64) ([]Set, error) {
	return slices.DeleteFunc(d.sets(func(string, string) bool { return true }), func(s Set) bool { return s.Jobs.Active() == 0 }), nil
}

func (d *imagined) ActiveInOrder() bool { return d.inOrder }

// on tells whether a job is on a walk.
func (d *imagined) on(w *Walk, job *store.FullJob) bool {
	ofSet := func(s Set) bool { return s.Queue == job.Job.Queue && s.Name == string(job.Job.JobSet) }
	switch w.Kind {
	case OfQueues:
		return slices.Contains(w.Queues, d.queueID(job.Job.Queue))
	case OfSets:
		return slices.ContainsFunc(w.Sets, ofSet)
	case Active:
		return job.Job.State.Active() && slices.ContainsFunc(w.Sets, ofSet)
	case AllActive:
		return job.Job.State.Active()
	case Ended:
		return slices.Contains(w.Queues, d.queueID(job.Job.Queue)) && slices.Contains(w.States, job.Job.State)
	case Marked:
		return slices.ContainsFunc(MarksOf([]string{w.Mark}, job.Job.Owner, job.Details.Annotations), func(m Mark) bool { return slices.Contains(w.Values, m.Value) })
	default:
		return true
	}
}

func (d *imagined) Walk(w *Walk, s Stretch) ([]Candidate, bool, error) {
	d.taken = append(d.taken, w.Kind)
	return Merge(s, 1, func(_ int, s Stretch) ([]Candidate, error) {
		var list []Candidate
		for i := range d.jobs {
			if n := int64(i + 1); s.Low <= n && n <= s.High && d.on(w, &d.jobs[i]) {
				list = append(list, Candidate{Number: n})
			}
		}
		list = s.sort(list)
		return list[:min(len(list), s.Limit)], nil
	})
}

func (d *imagined) Load(numbers []int64, _ Parts) ([]store.FullJob, error) {
	time.Sleep(d.slow) // in a bubble: it takes no time of the test
	d.loaded += len(numbers)
	var jobs []store.FullJob
	for _, n := range numbers {
		jobs = append(jobs, d.jobs[n-1])
	}
	return jobs, nil
}

func (d *imagined) numbers(limit int, wanted func(*store.FullJob) bool) []int64 {
	var numbers []int64
	for i := range d.jobs {
		if wanted(&d.jobs[i]) && len(numbers) < limit {
			numbers = append(numbers, int64(i+1))
		}
	}
	return numbers
}

func (d *imagined) Numbers(ids []string) ([]int64, error) {
	return d.numbers(everywhere, func(f *store.FullJob) bool { return slices.Contains(ids, string(f.Job.ID)) }), nil
}

func (d *imagined) Prefixed(prefix string, limit int) ([]int64, error) {
	return d.numbers(limit, func(f *store.FullJob) bool { return strings.HasPrefix(string(f.Job.ID), prefix) }), nil
}

func (d *imagined) Held(states States) ([]int64, error) {
	return d.numbers(everywhere, func(f *store.FullJob) bool { return states.Has(f.Job.State) }), nil
}

func (d *imagined) First() (int64, error) { return 1, nil }

func (d *imagined) FirstSince(t time.Time) (int64, error) {
	at := slices.IndexFunc(d.jobs, func(f store.FullJob) bool { return !f.Job.Submitted.Before(t) })
	if at < 0 {
		at = len(d.jobs)
	}
	return int64(at + 1), nil
}

func (d *imagined) MarkedSince(name string) (int64, bool, error) {
	since, known := d.since[name]
	return since, known, nil
}

func (d *imagined) marked(name string, limit int, wanted func(string) bool) []int64 {
	return d.numbers(limit, func(f *store.FullJob) bool {
		return slices.ContainsFunc(MarksOf([]string{name}, f.Job.Owner, f.Details.Annotations), func(m Mark) bool { return wanted(m.Value) })
	})
}

func (d *imagined) CountMarked(name string, values []string, s Stretch) (int64, error) {
	return int64(len(d.marked(name, s.Limit, func(v string) bool { return slices.Contains(values, v) }))), nil
}

func (d *imagined) MarkValues(name, prefix string, limit int) ([]string, error) {
	var values []string
	d.marked(name, everywhere, func(v string) bool {
		if strings.HasPrefix(v, prefix) && !slices.Contains(values, v) {
			values = append(values, v)
		}
		return false
	})
	return values[:min(limit, len(values))], nil
}

func (d *imagined) MarkedPrefix(name, prefix string, limit int) ([]int64, error) {
	return d.marked(name, limit, func(v string) bool { return strings.HasPrefix(v, prefix) }), nil
}

// imagine makes 4,000 jobs: every hundredth is active, in the job set of its
// thousand.
func imagine() *imagined {
	d := &imagined{since: map[string]int64{Owners: 1, "run": 1, "late": 3001}}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 4000 {
		full := store.FullJob{Job: armada.Job{
			ID: armada.JobID(fmt.Sprintf("%08d", i)), Number: int64(i + 1), Queue: []string{"a", "b"}[i%2], JobSet: armada.JobSet(fmt.Sprintf("set-%d", i/1000)),
			Owner: fmt.Sprintf("owner-%d", i%40), State: armada.JobSucceeded, Submitted: start.Add(time.Duration(i) * time.Second),
		}}
		full.Details.Annotations = map[string]string{"run": fmt.Sprint(i / 10), "late": fmt.Sprint(i % 400), "other": "x"}
		switch {
		case i%500 == 0:
			full.Job.State = armada.JobRunning
		case i%100 == 0:
			full.Job.State = armada.JobQueued
		case i%50 == 1:
			full.Job.State = armada.JobFailed
		}
		d.jobs = append(d.jobs, full)
	}
	return d
}

func text(f store.Field, key string, op store.Op, v ...string) []store.Condition {
	return []store.Condition{{Column: store.Column{Field: f, Key: key}, Op: op, Texts: v}}
}

func TestTheShortestWalkIsTaken(t *testing.T) {
	t.Parallel()
	at := func(second int) time.Time {
		return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(second) * time.Second)
	}
	for name, c := range map[string]struct {
		query store.Query
		takes []Kind // none for what is listed beforehand
		most  int    // that may be loaded for all that match
	}{
		"everything":                   {store.Query{}, []Kind{All}, 4000},
		"a queue":                      {store.Query{Queue: "a"}, []Kind{OfQueues}, 2000},
		"queues that may be seen":      {store.Query{Queues: []string{"b"}}, []Kind{OfQueues}, 2000},
		"a job set":                    {store.Query{JobSet: "set-1"}, []Kind{OfSets}, 1000},
		"a job set of a queue":         {store.Query{Queue: "a", JobSet: "set-1"}, []Kind{OfSets}, 500},
		"no such job set":              {store.Query{JobSetPrefix: "never"}, []Kind{OfSets}, 0},
		"no such queue":                {store.Query{Queue: "never"}, nil, 0},
		"an id":                        {store.Query{IDs: []armada.JobID{"00000007"}}, nil, 1},
		"ids that begin alike":         {store.Query{Where: text(store.FieldJobID, "", store.OpPrefix, "000000")}, nil, 100},
		"waiting":                      {store.Query{States: []armada.JobState{armada.JobQueued}}, []Kind{Active}, 40},
		"waiting, of a queue":          {store.Query{Queue: "a", States: []armada.JobState{armada.JobQueued}}, []Kind{Active}, 40},
		"waiting, in order":            {store.Query{States: []armada.JobState{armada.JobQueued}}, []Kind{AllActive}, 40},
		"waiting or failed, in order":  {store.Query{States: []armada.JobState{armada.JobFailed, armada.JobQueued}}, []Kind{AllActive, Ended}, 120},
		"waiting of a queue, in order": {store.Query{Queue: "a", States: []armada.JobState{armada.JobQueued}}, []Kind{Active}, 40},
		"running":                      {store.Query{States: []armada.JobState{armada.JobRunning}}, nil, 8},
		"failed":                       {store.Query{States: []armada.JobState{armada.JobFailed}}, []Kind{Ended}, 80},
		"failed or running":            {store.Query{States: []armada.JobState{armada.JobFailed, armada.JobRunning}}, []Kind{Ended}, 88},
		"two states at once": {store.Query{States: []armada.JobState{armada.JobFailed}, Where: []store.Condition{{
			Column: store.Column{Field: store.FieldState}, Numbers: []int64{int64(armada.JobQueued)},
		}}}, nil, 0},
		"failed of an owner":          {store.Query{Owner: "owner-1", States: []armada.JobState{armada.JobFailed}}, []Kind{Ended}, 80},
		"an owner":                    {store.Query{Owner: "owner-1"}, []Kind{Marked}, 100},
		"owners that begin alike":     {store.Query{Where: text(store.FieldOwner, "", store.OpPrefix, "owner-1")}, []Kind{Marked}, 1100},
		"an annotation":               {store.Query{Annotations: map[string]string{"run": "17"}}, []Kind{Marked}, 10},
		"many values that begin so":   {store.Query{Where: text(store.FieldAnnotation, "run", store.OpPrefix, "39")}, []Kind{Marked}, 110},
		"one that is not indexed":     {store.Query{Annotations: map[string]string{"other": "y"}}, []Kind{All}, 4000},
		"one that is of late":         {store.Query{Annotations: map[string]string{"late": "7"}}, []Kind{Marked, All}, 3010},
		"that in a job set":           {store.Query{JobSet: "set-0", Annotations: map[string]string{"late": "7"}}, []Kind{OfSets}, 1000},
		"what contains":               {store.Query{Where: text(store.FieldNamespace, "", store.OpContains, "-3")}, []Kind{All}, 4000},
		"job sets that contain":       {store.Query{Where: text(store.FieldJobSet, "", store.OpContains, "-3")}, []Kind{OfSets}, 1000},
		"a time":                      {store.Query{SubmittedAfter: at(100), SubmittedBefore: at(103)}, []Kind{All}, 3},
		"an owner of the last minute": {store.Query{Owner: "owner-1", SubmittedAfter: at(3940)}, []Kind{Marked}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := imagine()
			d.inOrder = strings.HasSuffix(name, "in order")
			s, err := newSearch(c.query, armada.DefaultResourceTable())
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			done, err := s.run(t.Context(), d, "list", time.Minute, all, func(full *store.FullJob) { got = append(got, full.Job.Number) })
			if err != nil || !done {
				t.Fatalf("done %v, %v", done, err)
			}
			want := d.numbers(everywhere, s.matches)
			if !slices.Equal(got, want) {
				t.Errorf("found %d jobs of %d", len(got), len(want))
			}
			slices.Sort(d.taken)
			taken := slices.Compact(d.taken)
			sorted := slices.Sorted(slices.Values(c.takes))
			if !slices.Equal(taken, sorted) || d.loaded > c.most {
				t.Errorf("took %v and loaded %d, want %v and at most %d", taken, d.loaded, sorted, c.most)
			}
		})
	}
}

func TestASearchEndsWhenItsTimeIsUpAndGoesOnFromThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := imagine()
		d.slow = 30 * time.Millisecond // for 500 candidates
		q := store.Query{Descending: true, Limit: 1000, Where: text(store.FieldAnnotation, "run", store.OpContains, "00")}
		begun, pages := time.Now(), 0
		var got []int64
		for {
			start := time.Now()
			page, err := List(t.Context(), d, q, armada.DefaultResourceTable())
			if err != nil {
				t.Fatal(err)
			}
			for i := range page.Jobs {
				got = append(got, page.Jobs[i].Job.Number)
			}
			pages++
			if took := time.Since(start); took > patience+d.slow {
				t.Errorf("page %d took %v", pages, took)
			}
			if q.After = page.Next; q.After == "" {
				break
			}
			if page.Searched.IsZero() || len(page.Jobs) > 0 && page.Searched.After(page.Jobs[len(page.Jobs)-1].Job.Submitted) {
				t.Errorf("page %d was searched until %v", pages, page.Searched)
			}
		}
		slices.Reverse(got)
		want := d.numbers(everywhere, func(f *store.FullJob) bool { return strings.Contains(f.Details.Annotations["run"], "00") })
		if !slices.Equal(got, want) || pages < 2 {
			t.Errorf("%d jobs on %d pages in %v, want %d", len(got), pages, time.Since(begun), len(want))
		}
		q.Patience = time.Minute
		counted, err := Count(t.Context(), d, q, 10, armada.DefaultResourceTable())
		if err != nil || counted != (store.Counted{Jobs: 10, AtLeast: true}) {
			t.Errorf("counted %+v, %v", counted, err)
		}
		q = store.Query{Patience: d.slow}
		groups, err := Group(t.Context(), d, q, store.Column{Field: store.FieldAnnotation, Key: "other"}, false, armada.DefaultResourceTable())
		if err != nil || groups.Searched.IsZero() || len(groups.Groups) != 1 || groups.Groups[0].Jobs.Total() >= 4000 {
			t.Errorf("grouped %+v, %v", groups, err)
		}
	})
}

// TestStreamsAreMergedWithoutLossOrRepetition takes pages of random streams, both
// ways that forms merge them.
func TestASearchWithoutTimeFindsItsJobAllTheSame(t *testing.T) {
	t.Parallel()
	d := imagine()
	job := d.jobs[len(d.jobs)/2].Job.ID
	for _, descending := range []bool{false, true} {
		q := store.Query{IDs: []armada.JobID{job}, Descending: descending, Patience: 1}
		var found []armada.JobID
		for pages := 0; ; pages++ {
			page, err := List(t.Context(), d, q, armada.DefaultResourceTable())
			if err != nil || pages > 3 {
				t.Fatalf("page %d: %v", pages, err)
			}
			for i := range page.Jobs {
				found = append(found, page.Jobs[i].Job.ID)
			}
			if q.After = page.Next; q.After == "" {
				break
			}
		}
		if !slices.Equal(found, []armada.JobID{job}) {
			t.Errorf("descending %v: found %v", descending, found)
		}
	}
}

func TestStreamsAreMergedWithoutLossOrRepetition(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 5))
	for range 300 {
		streams := make([][]int64, random.IntN(12))
		var want []int64
		for i := range streams {
			for range random.IntN(30) {
				streams[i] = append(streams[i], random.Int64N(1000))
			}
			slices.Sort(streams[i])
			streams[i] = slices.Compact(streams[i])
			want = append(want, streams[i]...)
		}
		slices.Sort(want)
		descending := random.IntN(2) == 0
		first := func(i int, s Stretch, limit int) []Candidate {
			list, _ := (&Walk{Numbers: streams[i]}).list(Stretch{s.Low, s.High, s.Descending, limit})
			return list
		}
		merge := func(s Stretch) ([]Candidate, bool) {
			list, more, err := Merge(s, len(streams), func(i int, s Stretch) ([]Candidate, error) { return first(i, s, s.Limit), nil })
			if err != nil {
				t.Fatal(err)
			}
			return list, more
		}
		gather := func(s Stretch) ([]Candidate, bool) {
			each := 1 + random.IntN(s.Limit)
			g := NewGathered(s, each)
			type found struct {
				part int64
				c    Candidate
			}
			var rows []found
			for i := range streams {
				for _, c := range first(i, s, each) {
					rows = append(rows, found{int64(i), c})
				}
			}
			slices.SortStableFunc(rows, func(a, b found) int {
				if descending {
					a, b = b, a
				}
				return int(a.c.Number - b.c.Number)
			})
			for _, r := range rows[:min(len(rows), s.Limit)] {
				g.Add(r.part, r.c)
			}
			list, more := g.List()
			return slices.Compact(list), more
		}
		for _, page := range []func(Stretch) ([]Candidate, bool){merge, gather} {
			s := Stretch{Low: 0, High: everywhere, Descending: descending, Limit: 1 + random.IntN(20)}
			var got []int64
			for more := true; more; {
				var list []Candidate
				if list, more = page(s); more && len(list) == 0 {
					t.Fatal("nothing, and more to come")
				}
				for _, c := range list {
					got = append(got, c.Number)
					s = s.after(c.Number)
				}
			}
			if descending {
				slices.Reverse(got)
			}
			if !slices.Equal(got, slices.Compact(slices.Clone(want))) {
				t.Fatalf("descending %v: got %v, want %v", descending, got, want)
			}
		}
	}
}

func FuzzAContinuationIsGoodOrInvalid(f *testing.F) {
	d := imagine()
	q := store.Query{Order: store.Column{Field: store.FieldOwner}, Descending: true, Limit: 3}
	page, err := List(f.Context(), d, q, armada.DefaultResourceTable())
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{page.Next, "17", "-1", "x", "eyJDb2x1bW4iOnt9fQ"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, after string) {
		for _, order := range []store.Column{{}, q.Order} {
			page, err := List(t.Context(), imagine(), store.Query{Order: order, Descending: true, Limit: 3, After: after}, armada.DefaultResourceTable())
			if err != nil && armada.CodeOf(err) != armada.CodeInvalid || len(page.Jobs) > 3 {
				t.Errorf("after %q: %d jobs, %v", after, len(page.Jobs), err)
			}
		}
	})
}

func FuzzMarksOfValuesThatBeginAlikeBeginAlike(f *testing.F) {
	f.Add("run", "-7\x00")
	f.Add(strings.Repeat("é", 63), "éé")
	f.Fuzz(func(t *testing.T, prefix, rest string) {
		if !utf8.ValidString(prefix) || !utf8.ValidString(rest) {
			return // no annotation is such
		}
		short, long := MarkValue(prefix), MarkValue(prefix+rest)
		if !strings.HasPrefix(long, short) || !utf8.ValidString(long) || len(long) > markSize || strings.Contains(long, "\x00") {
			t.Errorf("the marks of %q and %q are %q and %q", prefix, prefix+rest, short, long)
		}
	})
}

// Where very many jobs are active their job sets say which of them are worth looking
// at, unless those are too many.
func TestManyActiveJobsAreFoundByJobSetsIfThoseAreFew(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sets  int
		takes Kind
		most  int // that may be walked over
	}{
		"few job sets":  {5, Active, listMost/5 + 1},
		"many job sets": {maxStreams + 1, AllActive, listMost + 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &imagined{inOrder: true}
			for i := range listMost + 1001 {
				job := armada.Job{ID: armada.JobID(fmt.Sprintf("%08d", i)), Number: int64(i + 1), Queue: "a", State: armada.JobQueued}
				job.JobSet = armada.JobSet(fmt.Sprintf("set-%d", i%c.sets))
				switch {
				case i > listMost:
					job.State = armada.JobSucceeded
				case i%c.sets == 3 || c.sets > maxStreams && i < c.sets:
					job.State = armada.JobRunning // in one of few, or in all of many
				}
				d.jobs = append(d.jobs, store.FullJob{Job: job})
			}
			s, err := newSearch(store.Query{States: []armada.JobState{armada.JobRunning}}, armada.DefaultResourceTable())
			if err != nil {
				t.Fatal(err)
			}
			found := 0
			done, err := s.run(t.Context(), d, "list", time.Minute, all, func(*store.FullJob) { found++ })
			if want := len(d.numbers(everywhere, s.matches)); err != nil || !done || found != want {
				t.Fatalf("found %d of %d, done %v, %v", found, want, done, err)
			}
			slices.Sort(d.taken)
			if taken := slices.Compact(d.taken); !slices.Equal(taken, []Kind{c.takes}) || d.loaded > c.most {
				t.Errorf("took %v and loaded %d, want %v and at most %d", taken, d.loaded, c.takes, c.most)
			}
		})
	}
}

// Names of job sets are few where jobs are many: a text in them is looked for there.
func TestATextInJobSetsIsLookedForInTheirNames(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		sets int
		most int // that may be loaded
	}{
		"in one of few":       {"set-3", 5, 1000/5 + 1},
		"in none":             {"nowhere", 5, 0},
		"in more than we ask": {"set", maxStreams + 1, 10_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &imagined{}
			for i := range max(1000, c.sets) {
				job := armada.Job{ID: armada.JobID(fmt.Sprintf("%08d", i)), Number: int64(i + 1), Queue: "a", State: armada.JobSucceeded}
				job.JobSet = armada.JobSet(fmt.Sprintf("set-%d", i%c.sets))
				d.jobs = append(d.jobs, store.FullJob{Job: job})
			}
			s, err := newSearch(store.Query{Where: []store.Condition{{
				Column: store.Column{Field: store.FieldJobSet}, Op: store.OpContains, Texts: []string{c.text},
			}}}, armada.DefaultResourceTable())
			if err != nil {
				t.Fatal(err)
			}
			found := 0
			done, err := s.run(t.Context(), d, "list", time.Minute, all, func(*store.FullJob) { found++ })
			if want := len(d.numbers(everywhere, s.matches)); err != nil || !done || found != want {
				t.Fatalf("found %d of %d, done %v, %v", found, want, done, err)
			}
			if d.loaded > c.most {
				t.Errorf("loaded %d, want at most %d", d.loaded, c.most)
			}
		})
	}
}
