package scheduling

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"armada"
)

// script runs the commands of one scenario against one pool.
type script struct {
	config  Config
	pool    *Pool
	queues  map[string]armada.Queue
	nodes   map[string]armada.Node
	types   []KnownKind          // node types, there or not
	jobs    map[string]*worldJob // by name
	members map[string]int       // of gangs, so far
	number  int64
	bids    map[string]armada.QueueBids
	last    Outcome
	now     time.Time
	decided uint64 // the pool's version at the last round
}

func newScript() *script {
	return &script{
		config: Config{Resources: armada.DefaultResourceTable()},
		now:    time.Unix(0, 0),
		queues: map[string]armada.Queue{}, nodes: map[string]armada.Node{},
		jobs: map[string]*worldJob{}, members: map[string]int{}, bids: map[string]armada.QueueBids{},
	}
}

// run does one command and returns what it answers.
func (s *script) run(words []string) (string, error) {
	name, args := words[0], parseArguments(words[1:])
	configures := map[string]func(*arguments) error{"class": s.class, "multiplier": s.multiplier, "limit": s.limit, "preempt": s.preempt, "fairness": s.fairness, "rate": s.rate, "floating": s.floating, "pods": s.pods, "away": s.away, "guests": s.guests, "keep": s.keep, "market": s.market, "quote": s.quote, "optimise": s.optimise}
	if f, ok := configures[name]; ok {
		if s.pool != nil {
			return "", fmt.Errorf("the configuration comes before everything else")
		}
		return "", f(args)
	}
	if s.pool == nil {
		s.pool = NewPool("default", s.config)
	}
	tells := map[string]func(*arguments) error{
		"node": s.node, "remove-node": s.removeNode, "queue": s.queue, "remove-queue": s.removeQueue,
		"submit": s.submit, "gang": s.gang, "run": s.runs, "reprioritize": s.reprioritize, "finish": s.finish, "cancel": s.cancel,
		"type": s.nodeType, "requeue": s.requeue, "close": s.executor(false), "open": s.executor(true), "wait": s.wait, "other": s.other, "bid": s.bid,
	}
	asks := map[string]func(*arguments) (string, error){
		"round": s.round, "shares": s.shares, "why": s.why, "nodes": s.printNodes, "pool": s.printPool, "ever": s.ever, "wake": s.wake, "kept": s.kept, "prices": s.prices, "values": s.values,
	}
	var answer string
	var err error
	if f, ok := tells[name]; ok {
		err = f(args)
	} else if f, ok := asks[name]; ok {
		answer, err = f(args)
	} else {
		return "", fmt.Errorf("there is no command %q", name)
	}
	if err == nil {
		err = args.rest()
	}
	return answer, err
}

func (s *script) class(a *arguments) error {
	priority, err := strconv.ParseInt(a.word(1), 10, 32)
	if err != nil {
		return err
	}
	limits, err := most(a)
	s.config.Classes = append(s.config.Classes, armada.PriorityClass{
		Name: a.word(0), Priority: int32(priority), Preemptible: a.flag("preemptible"), QueueLimits: limits,
	})
	return err
}

func (s *script) multiplier(a *arguments) error {
	for i := range s.config.Resources.Len() {
		if v := a.value(s.config.Resources.At(i).Name); v != "" {
			thousandths, err := quantity(v, true)
			if err != nil {
				return err
			}
			s.config.FairnessMultipliers[i] = thousandths
		}
	}
	return nil
}

func (s *script) limit(a *arguments) error {
	s.config.MaxLeasesPerRound = a.number("leases", 0)
	s.config.MaxQueueLookback = a.number("lookback", 0)
	var err error
	s.config.RoundLimits, err = most(a)
	return err
}

func (s *script) node(a *arguments) (err error) {
	n := armada.Node{
		Name: a.word(0), Executor: armada.ExecutorID(cmp.Or(a.value("executor"), "cluster")),
		Labels: a.prefixed("label."), Unschedulable: a.flag("unschedulable"), PodsOnly: a.flag("pods-only"),
	}
	n.Labels["kubernetes.io/hostname"] = n.Name
	n.Taints = taints(a)
	for _, o := range a.values("others") { // PRIORITY:cpu=1,memory=1Gi
		priority, amounts, _ := strings.Cut(o, ":")
		p, err := strconv.ParseInt(priority, 10, 32)
		if err != nil {
			return err
		}
		used, err := s.resources(parseArguments(strings.Split(amounts, ",")))
		if err != nil {
			return err
		}
		n.Others = append(n.Others, armada.PriorityUsage{Priority: int32(p), Used: used})
	}
	if n.MinimumJob, err = s.resources(parseArguments(strings.Split(a.value("minimum"), ","))); err != nil {
		return err
	}
	n.Allocatable, err = s.resources(a)
	s.nodes[n.Name] = n
	s.pool.SetNode(n)
	return err
}

func taints(a *arguments) []armada.Taint {
	var taints []armada.Taint
	for _, t := range a.values("taint") {
		pair, effect, _ := strings.Cut(t, ":")
		key, value, _ := strings.Cut(pair, "=")
		taints = append(taints, armada.Taint{Key: key, Value: value, Effect: armada.TaintEffect(effect)})
	}
	return taints
}

// nodeType NAME: a cluster may have such nodes, though none is there.
func (s *script) nodeType(a *arguments) (err error) {
	k := KnownKind{NodeType: a.word(0)}
	k.Pool, k.Labels, k.Taints = cmp.Or(a.value("pool"), "default"), a.prefixed("label."), taints(a)
	if k.MinimumJob, err = s.resources(parseArguments(strings.Split(a.value("minimum"), ","))); err != nil {
		return err
	}
	k.Allocatable, err = s.resources(a)
	s.types = append(s.types, k)
	s.pool.SetKnown(s.types)
	return err
}

// ever NAME: could the job run on any node that there is or could be?
func (s *script) ever(a *arguments) (string, error) {
	j, ok := s.jobs[a.word(0)]
	if !ok {
		return "", fmt.Errorf("there is no job %q", a.word(0))
	}
	known := slices.Clone(s.types)
	for _, name := range slices.Sorted(maps.Keys(s.nodes)) {
		n := s.nodes[name]
		k := KnownKind{Executor: n.Executor, NodeKind: n.Kind()}
		k.Pool = "default"
		known = append(known, k)
	}
	SortKnown(known)
	if k, could := s.config.CouldRun(j.needs, j.Gang.UniformityLabel, known); could {
		return fmt.Sprintf("%s: on %s\n", a.word(0), cmp.Or(k.NodeType, string(k.Executor))), nil
	}
	return fmt.Sprintf("%s: %s\n", a.word(0), s.config.WhyNever(j.needs, j.Gang.UniformityLabel, known)), nil
}

func (s *script) removeNode(a *arguments) error {
	for _, name := range a.words() {
		s.pool.RemoveNode(s.nodes[name].Executor, name)
		delete(s.nodes, name)
	}
	return nil
}

func (s *script) queue(a *arguments) error {
	factor, err := strconv.ParseFloat(cmp.Or(a.value("factor"), "1"), 64)
	if err != nil {
		return err
	}
	limits, err := queueLimits(a)
	q := armada.Queue{Name: a.word(0), PriorityFactor: factor, Cordoned: a.flag("cordoned"), Limits: limits}
	s.queues[q.Name] = q
	s.pool.SetQueue(q)
	return err
}

func (s *script) removeQueue(a *arguments) error {
	s.pool.RemoveQueue(a.word(0))
	return nil
}

// submit QUEUE NAME [count=N]: N above 1 makes NAME1 to NAMEN.
func (s *script) submit(a *arguments) error {
	queue, name, count := a.word(0), a.word(1), a.number("count", 1)
	needs, err := s.requirements(a)
	if err != nil {
		return err
	}
	priority := uint32(a.number("priority", 0))
	band, _ := armada.ParsePriceBand(a.value("band"))
	for i := range count {
		full := name
		if count > 1 {
			full += strconv.Itoa(i + 1)
		}
		s.enqueue(full, queue, priority, band, armada.Gang{}, needs)
	}
	return nil
}

// gang QUEUE NAME size=N [members=M]: makes the next M members NAME-1, NAME-2 …
func (s *script) gang(a *arguments) error {
	queue, name, size := a.word(0), a.word(1), a.number("size", 2)
	gang := armada.Gang{ID: name, Cardinality: size, UniformityLabel: a.value("uniform")}
	needs, err := s.requirements(a)
	if err != nil {
		return err
	}
	priority := uint32(a.number("priority", 0))
	band, _ := armada.ParsePriceBand(a.value("band"))
	for range a.number("members", size) {
		s.members[name]++
		s.enqueue(fmt.Sprintf("%s-%d", name, s.members[name]), queue, priority, band, gang, needs)
	}
	return nil
}

func (s *script) enqueue(name, queue string, priority uint32, band armada.PriceBand, gang armada.Gang, needs *armada.Requirements) {
	s.number++
	j := &worldJob{needs: needs, Job: armada.Job{
		ID: armada.JobID(name), Number: s.number, Queue: queue, JobSet: "set", Priority: priority, Band: band,
		Gang: gang, Shape: needs.Shape(s.config.Resources), State: armada.JobQueued, Submitted: s.now,
	}}
	s.jobs[name] = j
	s.pool.Enqueue(j.Job, needs)
}

// runs NAME NODE: the queued job runs there, whatever a round would say.
func (s *script) runs(a *arguments) error {
	n, ok := s.nodes[a.word(1)]
	if !ok {
		n = armada.Node{Name: a.word(1), Executor: "cluster"}
	}
	return s.lease(Lease{Job: armada.JobID(a.word(0)), Executor: n.Executor, Node: n.Name})
}

func (s *script) lease(l Lease) error {
	j, ok := s.jobs[string(l.Job)]
	if !ok {
		return fmt.Errorf("there is no job %q", l.Job)
	}
	j.Attempts++
	id, _ := j.Run()
	j.run = &armada.Run{ID: id, Job: l.Job, Executor: l.Executor, Node: l.Node, Away: l.Away, Started: s.now}
	s.pool.Occupy(j.Job, *j.run, j.needs)
	return nil
}

func (s *script) reprioritize(a *arguments) error {
	j := s.jobs[a.word(0)]
	j.Priority = uint32(a.number("priority", 0))
	if j.run != nil {
		s.pool.Occupy(j.Job, *j.run, j.needs)
	} else {
		s.pool.Enqueue(j.Job, j.needs)
	}
	return nil
}

func (s *script) finish(a *arguments) error {
	for _, name := range a.words() {
		if s.jobs[name] == nil {
			return fmt.Errorf("there is no job %q", name)
		}
		if j := s.jobs[name]; j.run != nil {
			j.run.Finished = s.now
			s.pool.Ended(j.Job, *j.run)
		}
		s.pool.Remove(armada.JobID(name))
		delete(s.jobs, name)
	}
	return nil
}

func (s *script) requeue(a *arguments) error {
	for _, name := range a.words() {
		j := s.jobs[name]
		j.run, j.Wish = nil, armada.Wish{}
		s.pool.Enqueue(j.Job, j.needs)
	}
	return nil
}

func (s *script) executor(open bool) func(*arguments) error {
	return func(a *arguments) error {
		s.pool.SetExecutor(armada.ExecutorID(a.word(0)), open)
		return nil
	}
}

// round runs a round and takes its decisions, as a leader does.
func (s *script) round(*arguments) (string, error) {
	s.decided = s.pool.Version()
	s.last = Round(Input{Now: s.now, Pool: s.pool})
	s.pool.Spend(s.now, s.last)
	var b strings.Builder
	for _, d := range s.last.Decisions {
		var leases []string
		for _, l := range d.Leases {
			leases = append(leases, fmt.Sprintf("%s on %s%s%s", l.Job, l.Node, isAway(l), s.after(l)))
			if err := s.lease(l); err != nil {
				return "", err
			}
		}
		fmt.Fprintln(&b, cmp.Or(strings.Join(leases, ", "), "to repair nodes"))
		for _, p := range d.Preemptions {
			fmt.Fprintf(&b, "  preempts %s: %s\n", p.Job, p.Reason)
			if err := s.ask(p.Job, armada.WishPreempt); err != nil {
				return "", err
			}
		}
	}
	for _, w := range s.last.Waiting {
		fmt.Fprintf(&b, "waiting in %s: %d from %s: %v\n", w.Queue, w.Jobs, w.First, w.Reason)
	}
	if b.Len() == 0 {
		return "nothing\n", nil
	}
	return b.String(), nil
}

func (s *script) shares(*arguments) (string, error) {
	var b strings.Builder
	percent := func(millionths int64) string { return fmt.Sprintf("%d.%d%%", millionths/10000, millionths%10000/1000) }
	for _, q := range s.last.Report.Queues {
		fmt.Fprintf(&b, "%s: weight %.3g, fair %s, adjusted %s, demand %s, holds %s, placed %d, queued %d",
			q.Queue, q.Weight, percent(q.FairShare), percent(q.AdjustedShare), percent(q.Demand), percent(q.Share), q.Placed, q.Queued)
		if q.Stopped.Code != armada.ReasonNone {
			fmt.Fprintf(&b, "; stopped: %v", q.Stopped)
		}
		b.WriteByte('\n')
	}
	return b.String(), nil
}

// why NAME: all that the last round has to say about a waiting job.
func (s *script) why(a *arguments) (string, error) {
	j, ok := s.jobs[a.word(0)]
	if !ok {
		return "", fmt.Errorf("there is no job %q", a.word(0))
	}
	for _, w := range s.last.Waiting {
		if w.Queue != j.Queue || w.Shape != j.Shape || w.Gang != "" && w.Gang != j.Gang.ID {
			continue
		}
		return fmt.Sprintf("%s: %v\n", a.word(0), w.Reason), nil
	}
	return fmt.Sprintf("%s: nothing to say\n", a.word(0)), nil
}

func (s *script) printNodes(*arguments) (string, error) {
	var b strings.Builder
	w := world{}
	for _, j := range s.jobs {
		w.jobs = append(w.jobs, *j)
	}
	for _, name := range slices.Sorted(maps.Keys(s.nodes)) {
		n := s.nodes[name]
		var runs []string
		for _, j := range s.jobs {
			switch {
			case j.run == nil || j.run.Node != name:
			case j.Wish.Kind != armada.WishNone:
				runs = append(runs, string(j.ID)+" (leaves)")
			default:
				runs = append(runs, string(j.ID))
			}
		}
		slices.Sort(runs)
		fmt.Fprintf(&b, "%s: free %s, runs [%s]\n", name, s.describe(w.free(n)), strings.Join(runs, " "))
	}
	return b.String(), nil
}

// printPool tells the capacity, and whether a round could decide anything new.
func (s *script) printPool(*arguments) (string, error) {
	changed := "changed since the last round"
	if s.decided == s.pool.Version() {
		changed = "unchanged since the last round"
	}
	return fmt.Sprintf("capacity %s, %s\n", s.describe(s.pool.space.Capacity()), changed), nil
}
