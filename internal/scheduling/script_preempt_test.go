package scheduling

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"armada"
)

// fairness [halflife=DURATION] [shortjobs=DURATION] [large]
func (s *script) fairness(a *arguments) (err error) {
	f := &s.config.Fairness
	f.PreferLargeJobs = a.flag("large")
	for key, to := range map[string]*time.Duration{"halflife": &f.UsageHalfLife, "shortjobs": &f.ShortJobPenalty} {
		if text := a.value(key); text != "" && err == nil {
			*to, err = time.ParseDuration(text)
		}
	}
	return err
}

// preempt [fairshare] [urgency] [repair] [uncapped] [protected=FRACTION] [most=N]
func (s *script) preempt(a *arguments) error {
	protected, err := strconv.ParseFloat(cmp.Or(a.value("protected"), "1"), 64)
	s.config.Preemption = PreemptionRules{
		FairShare: a.flag("fairshare"), Urgency: a.flag("urgency"), Repair: a.flag("repair"), ProtectUncapped: a.flag("uncapped"),
		ProtectedShare: int64(protected * 1_000_000), MaxPerRound: a.number("most", 0),
		Rate: s.config.Preemption.Rate,
	}
	return err
}

// cancel NAME...: the runs are asked to end.
func (s *script) cancel(a *arguments) error {
	for _, name := range a.words() {
		if err := s.ask(armada.JobID(name), armada.WishCancel); err != nil {
			return err
		}
	}
	return nil
}

func (s *script) ask(id armada.JobID, wish armada.WishKind) error {
	j := s.jobs[string(id)]
	if j == nil || j.run == nil {
		return fmt.Errorf("%q does not run", id)
	}
	j.Wish.Kind = wish
	s.pool.Occupy(j.Job, *j.run, j.needs)
	return nil
}

// after tells which runs a lease waits for.
func (s *script) after(l Lease) string {
	var names []string
	for _, id := range l.After {
		names = append(names, string(id[:strings.LastIndexByte(string(id), '-')]))
	}
	if len(names) == 0 {
		return ""
	}
	return " after " + strings.Join(names, " and ")
}
