package storetest

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
)

var listed = flag.Int("listed", 2_000_000, "how many jobs the benchmarks of asking have; 20,000 with -short")

// The shape of what is asked about: jobs of a set follow each other, and sets of the
// queues take turns.
const (
	askedQueues = 20
	askedSet    = 1000 // jobs of a job set
	askedOwners = 200
	askedTries  = 200 // calls that a percentile is of
)

// IndexedAnnotation is the key that stores of the benchmarks index; another one that
// jobs have is not indexed.
const IndexedAnnotation, otherAnnotation = "example.com/run", "example.com/note"

// asked submits the jobs. All but the last of each hundred end at once: most
// succeed, some fail; of the last, half are held and half wait.
func asked(b *testing.B, s store.Store, n int) {
	b.Helper()
	for i := range askedQueues {
		if err := s.PutQueue(b.Context(), armada.Queue{Name: fmt.Sprintf("queue-%02d", i), PriorityFactor: 1}); err != nil {
			b.Fatal(err)
		}
	}
	sets := n / askedSet
	clients(b, 4, sets, func(_, call int) {
		set := call - 1
		sub := batchOf(fmt.Sprintf("set-%05d", set), askedSet)
		sub.Queue = fmt.Sprintf("queue-%02d", set%askedQueues)
		for i := range sub.Jobs {
			job := &sub.Jobs[i]
			job.Job.Owner = fmt.Sprintf("owner-%03d", (set*7+i/100)%askedOwners)
			job.Details.Annotations = map[string]string{
				IndexedAnnotation: fmt.Sprintf("run-%06d", set*10+i/100), otherAnnotation: fmt.Sprintf("note %d of %d", i, set),
			}
		}
		mustSubmit(b, s, sub)
		for part := range slices.Chunk(sub.Jobs, 400) {
			units := make([]store.Unit, 0, len(part))
			for i := range part {
				id := part[i].Job.ID
				end := lifeStep(id, 2)
				switch {
				case i%100 == 99 && i%200 == 99:
					continue
				case i%100 == 99:
					units = append(units, store.Unit{lifeStep(id, 0)})
					continue
				case i%33 == 0:
					end.Kind = lifecycle.ReportFailed
				}
				units = append(units, store.Unit{lifeStep(id, 0), end})
			}
			if _, err := s.Transition(b.Context(), store.Fence{}, units); err != nil {
				b.Error(err)
			}
		}
	})
}

// question is one kind of query of a benchmark.
type question struct {
	name    string
	limit   time.Duration
	ask     func(i int) error
	prepare func() // may be nil
}

// Asking measures listing, counting and grouping beside many jobs.
func (k *Bench) Asking(b *testing.B) {
	n := *listed
	if testing.Short() {
		n = 20_000
	}
	s := k.Open(b, b.TempDir())
	b.Cleanup(func() { _ = s.Close() })
	start := time.Now()
	asked(b, s, n)
	b.Logf("%d jobs were made in %v", n, time.Since(start))
	a := &asker{b: b, s: s, sets: n / askedSet}
	for _, q := range slices.Concat(a.lists(), a.others()) {
		b.Run(q.name, func(b *testing.B) {
			var took []time.Duration
			if q.prepare != nil {
				q.prepare()
			}
			for b.Loop() {
				for i := range askedTries {
					begun := time.Now()
					if err := q.ask(i); err != nil {
						b.Fatal(err)
					}
					if took = append(took, time.Since(begun)); testing.Short() {
						break
					}
				}
			}
			slices.Sort(took)
			ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
			b.ReportMetric(ms(took[len(took)/2]), "ms/p50")
			b.ReportMetric(ms(took[(len(took)-1)*99/100]), "ms/p99")
			b.ReportMetric(ms(q.limit), "limit-ms")
			b.ReportMetric(0, "ns/op")
			calibration(b)
		})
	}
}

type asker struct {
	b    *testing.B
	s    store.Store
	sets int
}

func (a *asker) set(i int) string   { return fmt.Sprintf("set-%05d", i*37%a.sets) }
func (a *asker) queue(i int) string { return fmt.Sprintf("queue-%02d", i*37%a.sets%askedQueues) }

// lists are queries by equality and prefix, the first page and a late one.
func (a *asker) lists() []question {
	where := func(f store.Field, key string, op store.Op, v string) []store.Condition {
		return []store.Condition{{Column: store.Column{Field: f, Key: key}, Op: op, Texts: []string{v}}}
	}
	any := a.page(store.Query{Limit: 1})
	middle := any.Jobs[0].Job.Submitted.Add(-time.Second)
	run := func(i int) string { return fmt.Sprintf("run-%06d", i*37%(a.sets*10)) }
	kinds := map[string]func(i int) store.Query{
		"ByID": func(i int) store.Query { return store.Query{IDs: []armada.JobID{any.Jobs[0].Job.ID}} },
		"ByPrefixOfID": func(i int) store.Query {
			return store.Query{Where: where(store.FieldJobID, "", store.OpPrefix, string(any.Jobs[0].Job.ID)[:22])}
		},
		"All":     func(i int) store.Query { return store.Query{} },
		"ByQueue": func(i int) store.Query { return store.Query{Queue: a.queue(i)} },
		"ByPrefixOfQueue": func(i int) store.Query {
			return store.Query{Where: where(store.FieldQueue, "", store.OpPrefix, "queue-1")}
		},
		"ByJobSet":         func(i int) store.Query { return store.Query{JobSet: a.set(i)} },
		"ByPrefixOfJobSet": func(i int) store.Query { return store.Query{JobSetPrefix: a.set(i)[:7]} },
		"ByOwner":          func(i int) store.Query { return store.Query{Owner: fmt.Sprintf("owner-%03d", i%askedOwners)} },
		"ByPrefixOfOwner": func(i int) store.Query {
			return store.Query{Where: where(store.FieldOwner, "", store.OpPrefix, "owner-1")}
		},
		"ByStateQueued":    func(i int) store.Query { return store.Query{States: []armada.JobState{armada.JobQueued}} },
		"ByStateLeased":    func(i int) store.Query { return store.Query{States: []armada.JobState{armada.JobLeased}} },
		"ByStateFailed":    func(i int) store.Query { return store.Query{States: []armada.JobState{armada.JobFailed}} },
		"ByStateSucceeded": func(i int) store.Query { return store.Query{States: []armada.JobState{armada.JobSucceeded}} },
		"ByQueueAndStateFailed": func(i int) store.Query {
			return store.Query{Queue: a.queue(i), States: []armada.JobState{armada.JobFailed}}
		},
		"ByTime": func(i int) store.Query { return store.Query{SubmittedBefore: middle} },
		"ByAnnotation": func(i int) store.Query {
			return store.Query{Where: where(store.FieldAnnotation, IndexedAnnotation, store.OpEqual, run(i))}
		},
		"ByPrefixOfAnnotation": func(i int) store.Query {
			return store.Query{Where: where(store.FieldAnnotation, IndexedAnnotation, store.OpPrefix, run(i)[:9])}
		},
	}
	const limit = 100 * time.Millisecond
	var list []question
	for name, query := range kinds {
		list = append(list, question{"FirstPage" + name, limit, func(i int) error {
			q := query(i)
			q.Descending = true
			_, err := a.s.List(a.b.Context(), q)
			return err
		}, nil})
		var late [3]store.Query
		list = append(list, question{"LatePage" + name, limit, func(i int) error {
			_, err := a.s.List(a.b.Context(), late[i%len(late)])
			return err
		}, func() {
			for i := range late {
				late[i] = query(i)
				late[i].Descending = true
				late[i].After = a.late(late[i])
			}
		}})
	}
	slices.SortFunc(list, func(x, y question) int { return strings.Compare(x.name, y.name) })
	return list
}

func (a *asker) page(q store.Query) store.Page {
	page, err := a.s.List(a.b.Context(), q)
	if err != nil {
		a.b.Fatal(err)
	}
	return page
}

// late is the continuation to page 1,000 of 100 jobs, or to the last but one.
func (a *asker) late(q store.Query) string {
	q.Limit = store.MaxPage
	last := "0"
	if q.Descending {
		last = fmt.Sprint(1 << 62)
	}
	for range 100 {
		page := a.page(q)
		if page.Next == "" {
			return last
		}
		q.After, last = page.Next, page.Next
	}
	return last
}

// others are queries without an index, counts and groups.
func (a *asker) others() []question {
	in := func(f store.Field, key string, op store.Op, v string) store.Query {
		return store.Query{Descending: true, Where: []store.Condition{{Column: store.Column{Field: f, Key: key}, Op: op, Texts: []string{v}}}}
	}
	list := func(q store.Query) func(int) error {
		return func(int) error { _, err := a.s.List(a.b.Context(), q); return err }
	}
	group := func(by store.Field, key string, times bool, q func(i int) store.Query) func(int) error {
		return func(i int) error {
			// Where the time does not suffice, what is reported is that time.
			_, err := a.s.Group(a.b.Context(), q(i), store.Column{Field: by, Key: key}, times)
			return err
		}
	}
	everything := func(int) store.Query { return store.Query{} }
	ofQueue := func(i int) store.Query { return store.Query{Queue: a.queue(i)} }
	ofSet := func(i int) store.Query { return store.Query{JobSet: a.set(i)} }
	const half, fast, second = 500 * time.Millisecond, 100 * time.Millisecond, time.Second
	return []question{
		{"ContainsInAnnotation", half, list(in(store.FieldAnnotation, otherAnnotation, store.OpContains, "nowhere")), nil},
		{"OtherAnnotation", half, list(in(store.FieldAnnotation, otherAnnotation, store.OpEqual, "nowhere")), nil},
		{"ContainsInJobSet", half, list(in(store.FieldJobSet, "", store.OpContains, "nowhere")), nil},
		{"CountFailedOfQueue", fast, func(i int) error {
			_, err := a.s.CountMatching(a.b.Context(), store.Query{Queue: a.queue(i), States: []armada.JobState{armada.JobFailed}}, 10_000)
			return err
		}, nil},
		{"GroupByState", fast, group(store.FieldState, "", false, everything), nil},
		{"GroupByQueue", fast, group(store.FieldQueue, "", false, everything), nil},
		{"GroupByJobSet", fast, group(store.FieldJobSet, "", false, everything), nil},
		{"GroupQueueByOwner", second, group(store.FieldOwner, "", false, ofQueue), nil},
		{"GroupQueueByNode", second, group(store.FieldNode, "", true, ofQueue), nil},
		{"GroupQueueByAnnotation", second, group(store.FieldAnnotation, IndexedAnnotation, false, ofQueue), nil},
		{"GroupSetByNamespace", second, group(store.FieldNamespace, "", true, ofSet), nil},
		{"ListActiveJobSets", fast, func(int) error {
			_, err := a.s.ListJobSets(a.b.Context(), store.JobSetQuery{ActiveOnly: true})
			return err
		}, nil},
	}
}
