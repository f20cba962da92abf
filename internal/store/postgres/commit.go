package postgres

import (
	"context"
	"slices"

	"armada"
	"armada/internal/store"
	"armada/internal/store/codec"
	"armada/internal/store/feed"
	"armada/internal/store/intake"
	"armada/internal/store/listing"
)

// maxBlock bounds the events of a block: whoever reads one event decodes all of
// its block.
const maxBlock = 1024

// told is who is to be woken after a commit.
type told struct {
	feed bool
	sets []store.JobSetKey
}

// arguments are those of the function commit, in its order; each part describes
// rows by parallel slices.
type arguments struct {
	list []any
}

func (a *arguments) add(values ...any) { a.list = append(a.list, values...) }

// commitCall calls the function with as many arguments as it has. With gangs it is
// another one.
var (
	commitCall      = callOf("armada.commit", commitWidth)
	commitGangsCall = callOf("armada.commit_gangs", commitWidth+gangsWidth)
)

const (
	commitWidth = 58
	gangsWidth  = 6
)

// write writes a batch in the lane, if what it hangs on still holds.
func (g *gathering) write(ctx context.Context, b *intake.Batch) error {
	s := g.writer.store
	a := g.arguments(b)
	c, err := s.pool.Acquire(ctx)
	if err != nil {
		return &notAcquired{err}
	}
	defer c.Release()
	var clock int64
	call := commitCall
	if len(b.Gangs) > 0 {
		call = commitGangsCall
		addGangs(a, b)
	}
	err = c.QueryRow(ctx, call, a.list...).Scan(&clock)
	if err := written(c.Conn().PgConn(), err); err != nil {
		return err
	}
	s.clock.learn(clock)
	for hash := range b.Templates {
		g.writer.known.templates[hash] = struct{}{}
	}
	for hash := range b.Shapes {
		g.writer.known.shapes[hash] = struct{}{}
	}
	if len(g.writer.known.templates) > maxKnown || len(g.writer.known.shapes) > maxKnown || len(g.writer.queues) > maxKnown {
		g.writer.forget()
	}
	s.publish(g.woken)
	return nil
}

// arguments describes the batch.
func (g *gathering) arguments(b *intake.Batch) *arguments {
	s := g.writer.store
	g.name = newName()
	g.woken = &told{feed: len(b.Fresh) > 0}
	var elements []feed.Element
	for _, e := range b.Changed {
		if e.Told {
			elements = append(elements, feed.Of(feed.Job, e.Job.Number))
		}
	}
	g.woken.feed = g.woken.feed || len(elements) > 0
	a := &arguments{list: make([]any, 0, commitWidth+gangsWidth)}
	a.add(g.name, s.clock.given(), feed.AppendRow([]byte{}, elements...))
	executors, sessions := []string{}, []string{}
	for id, session := range g.fenced.sessions {
		executors, sessions = append(executors, string(id)), append(sessions, string(session))
	}
	a.add(g.fenced.epoch, executors, sessions)
	g.addQueues(a, b)
	templates := addInterned(a, b.Templates, g.writer.known.templates)
	shapes := addInterned(a, b.Shapes, g.writer.known.shapes)
	sets := g.addSets(a, b)
	g.addClients(a, b)
	addFresh(a, b, sets, templates, shapes)
	g.addChanged(a, b)
	g.addMarks(a, b)
	return a
}

// addMarks adds what new jobs are marked with.
func (g *gathering) addMarks(a *arguments, b *intake.Batch) {
	names := g.writer.store.marks
	places := make(map[string]int32, len(names))
	for i, name := range names {
		places[name] = int32(i + 1)
	}
	jobs, keys, values := []int32{}, []int32{}, []string{}
	for i, e := range b.Fresh {
		for _, m := range listing.MarksOf(names, e.Job.Owner, e.Annotations) {
			jobs, keys, values = append(jobs, int32(i+1)), append(keys, places[m.Name]), append(values, m.Value)
		}
	}
	a.add(names, jobs, keys, values)
}

// addQueues adds which queues take jobs, and how many jobs are queued now.
func (g *gathering) addQueues(a *arguments, b *intake.Batch) {
	taking := []int64{}
	rows := map[string]int64{}
	for _, e := range b.Fresh {
		if rows[e.Job.Queue] == 0 {
			rows[e.Job.Queue] = e.Queue
			taking = append(taking, e.Queue)
		}
	}
	for _, e := range b.Changed {
		rows[e.Job.Queue] = e.Queue
	}
	queues, queued := []int64{}, []int64{}
	for name, by := range b.Queued {
		if by != 0 {
			queues, queued = append(queues, rows[name]), append(queued, by)
		}
	}
	a.add(taking, queues, queued, int64(g.writer.store.config.MaxQueuedPerQueue))
}

// addInterned adds templates or shapes with their uses, and the bodies of those
// that may be new; it returns their places.
func addInterned[ID ~string](a *arguments, used map[ID]*intake.Interned, known map[ID]struct{}) map[ID]int32 {
	places := make(map[ID]int32, len(used))
	hashes, uses, fresh, bodies := []string{}, []int64{}, []string{}, [][]byte{}
	for hash, t := range used {
		hashes, uses = append(hashes, string(hash)), append(uses, t.Uses)
		places[hash] = int32(len(hashes))
		if _, there := known[hash]; !there {
			fresh, bodies = append(fresh, string(hash)), append(bodies, t.Body)
		}
	}
	a.add(hashes, uses, fresh, bodies)
	return places
}

// addSets adds job sets and blocks of their events; it returns their places.
func (g *gathering) addSets(a *arguments, b *intake.Batch) map[*intake.JobSet]int32 {
	places := make(map[*intake.JobSet]int32, len(b.Sets))
	takes := map[*intake.JobSet]bool{}
	for _, e := range b.Fresh {
		takes[e.Set] = true
	}
	ids, queues, names, open, totals := []int64{}, []string{}, []string{}, []bool{}, []int64{}
	blockSets, lasts, counts, blocks := []int32{}, []int64{}, []int32{}, [][]byte{}
	for i, set := range b.Sets {
		place := int32(i + 1)
		places[set] = place
		g.woken.sets = append(g.woken.sets, set.Key)
		ids, queues, names = append(ids, set.ID), append(queues, set.Key.Queue), append(names, string(set.Key.JobSet))
		open, totals = append(open, takes[set]), append(totals, int64(len(set.Pending)))
		last := int64(0)
		for events := range slices.Chunk(set.Pending, maxBlock) {
			last += int64(len(events))
			blockSets, lasts, counts = append(blockSets, place), append(lasts, last), append(counts, int32(len(events)))
			blocks = append(blocks, codec.AppendBlock(nil, events))
		}
	}
	a.add(ids, queues, names, open, totals, blockSets, lasts, counts, blocks)
	return places
}

func (g *gathering) addClients(a *arguments, b *intake.Batch) {
	queues, names, jobs := []int64{}, []string{}, []string{}
	for _, c := range b.Clients {
		queues, names, jobs = append(queues, g.writer.queues[c.Queue]), append(names, c.Name), append(jobs, string(c.Job))
	}
	a.add(queues, names, jobs, g.writer.store.config.ClientIDRetention.Microseconds())
}

func addFresh(a *arguments, b *intake.Batch, sets map[*intake.JobSet]int32, templates map[armada.TemplateID]int32, shapes map[armada.ShapeID]int32) {
	n := len(b.Fresh)
	ids, queues, fixed, details, lives := make([]string, n), make([]int64, n), make([][]byte, n), make([][]byte, n), make([][]byte, n)
	inSets, ofTemplates, ofShapes := make([]int32, n), make([]int32, n), make([]int32, n)
	for i, e := range b.Fresh {
		ids[i], queues[i], fixed[i], details[i], lives[i] = string(e.Job.ID), e.Queue, e.Fixed, e.Details, codec.AppendLife(nil, &e.Job, &e.Run)
		inSets[i], ofTemplates[i], ofShapes[i] = sets[e.Set], templates[e.Job.Template], shapes[e.Job.Shape]
	}
	a.add(ids, queues, inSets, ofTemplates, ofShapes, int16(armada.JobQueued), fixed, details, lives)
}

// addChanged adds changed jobs, those that ended apart, and earlier runs.
func (g *gathering) addChanged(a *arguments, b *intake.Batch) {
	numbers, turns, states, cancelling, holders, lives := []int64{}, []int64{}, []int16{}, []bool{}, []string{}, [][]byte{}
	endNumbers, endTurns, endAt, endStates, endLives := []int64{}, []int64{}, []int64{}, []int16{}, [][]byte{}
	runJobs, attempts, runs := []int64{}, []int32{}, [][]byte{}
	// In the order of numbers, so that rows that lie together are written together.
	slices.SortFunc(b.Changed, func(x, y *intake.Entry) int { return int(x.Job.Number - y.Job.Number) })
	for _, e := range b.Changed {
		life, state := codec.AppendLife(nil, &e.Job, &e.Run), int16(e.Job.State)
		if e.Job.State.Active() {
			numbers, turns, states, lives = append(numbers, e.Job.Number), append(turns, g.turns[e]), append(states, state), append(lives, life)
			cancelling, holders = append(cancelling, e.Job.Wish.Kind == armada.WishCancel), append(holders, string(e.Holder()))
		} else {
			endNumbers, endTurns, endStates, endLives = append(endNumbers, e.Job.Number), append(endTurns, g.turns[e]), append(endStates, state), append(endLives, life)
			endAt = append(endAt, max(1, micros(e.Job.Transitioned)))
		}
		for i := range e.Earlier {
			runJobs, attempts = append(runJobs, e.Job.Number), append(attempts, int32(e.Earlier[i].Attempt))
			runs = append(runs, codec.AppendRun(nil, &e.Earlier[i]))
		}
	}
	a.add(numbers, turns, states, cancelling, holders, lives, endNumbers, endTurns, endAt, endStates, endLives, runJobs, attempts, runs)
}

// settleOnce tells whether a commit was done; when it was not it never will be.
func (s *Store) settleOnce(ctx context.Context, name []byte) (done bool, err error) {
	c, err := s.acquire(ctx)
	if err != nil {
		return false, err
	}
	defer c.Release()
	bounded, cancel := context.WithTimeout(ctx, s.config.Patience)
	defer cancel()
	err = c.QueryRow(bounded, "SELECT armada.settle($1)", name).Scan(&done)
	return done, written(c.Conn().PgConn(), err)
}
