package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"armada/internal/doctor"
)

func lookForDeadRows(ctx context.Context, x *examiner, name string) error {
	var worst string
	var dead, live int64
	var ago *float64
	err := x.row(ctx, fmt.Sprintf(`SELECT relname::text, n_dead_tup, n_live_tup, extract(epoch FROM clock_timestamp() - greatest(last_autovacuum, last_vacuum))::float8
		FROM pg_stat_user_tables WHERE schemaname = 'armada' ORDER BY n_dead_tup > greatest(%d, n_live_tup) DESC, n_dead_tup DESC LIMIT 1`, x.limits.Dead), &worst, &dead, &live, &ago)
	if err != nil {
		return err
	}
	last := "never"
	if ago != nil {
		last = time.Duration(*ago*float64(time.Second)).Round(time.Second).String() + " ago"
	}
	c := doctor.Good(name, "at most %d in one table, %s", dead, worst)
	if dead > max(x.limits.Dead, live) {
		c = doctor.Good(name, "%s has %d beside %d living rows, and was last cleaned up %s", worst, dead, live, last).
			Warn("see what the checks of old snapshots, prepared transactions and slots say; otherwise VACUUM armada.%s, and let autovacuum do more (autovacuum_vacuum_cost_limit)", worst)
	}
	x.tell(c)
	return nil
}

func lookForHold(ctx context.Context, x *examiner, name string) error {
	var lives, left int64
	var home string
	var atHome bool
	err := x.row(ctx, "SELECT lives, greatest(0, held - armada.clock()), home, home = armada.home() FROM armada.restoration", &lives, &left, &home, &atHome)
	if err != nil {
		return err
	}
	switch held := time.Duration(left) * time.Microsecond; {
	case home != "" && !atHome:
		x.tell(doctor.Good(name, "the tables came here by a dump, and no server has started since").Warn("stop servers that use a copy of it elsewhere, and start one here: it sees to the rest"))
	case held > 0:
		x.tell(doctor.Good(name, "nothing is started for another %s, or until executors have stopped what this database does not know", held.Round(time.Second)).
			Warn("wait; the servers' logs tell which executor is waited for"))
	case lives > 0:
		x.tell(doctor.Good(name, "%s from a copy, and all is settled", plural(int(lives), "time", "times")))
	default:
		x.tell(doctor.Good(name, "never"))
	}
	return nil
}

// ago is a difference of the database's times in words.
func ago(microseconds int64) string {
	return (time.Duration(max(0, microseconds)) * time.Microsecond).Round(time.Second).String() + " ago"
}

func lookAtLeader(ctx context.Context, x *examiner, name string) error {
	var replica, addr string
	var epoch, left, since int64
	err := x.row(ctx, `SELECT replica, addr, epoch, until - armada.clock(), CASE WHEN since = 0 THEN 0 ELSE armada.clock() - since END FROM armada.leader`,
		&replica, &addr, &epoch, &left, &since)
	if err != nil {
		return err
	}
	switch {
	case replica == "":
		x.tell(doctor.Good(name, "nobody leads: the last one resigned").Fail("start a server; if one runs, its log says why it does not lead"))
	case left <= 0:
		x.tell(doctor.Good(name, "nobody leads since %s, when the time of %s was over", ago(-left), replica).Fail("start a server; if one runs, its log says why it does not lead"))
	default:
		x.tell(doctor.Good(name, "%s leads since %s, in epoch %d", replica, ago(since), epoch))
		x.knows(replica, addr)
	}
	return nil
}

// knows notes where a server is to be found.
func (x *examiner) knows(replica, addr string) {
	for _, r := range x.replicas {
		if r.Addr == addr {
			return
		}
	}
	if addr != "" {
		x.replicas = append(x.replicas, ReplicaAddress{Name: replica, Addr: addr})
	}
}

// namedExecutors bounds how many executors a finding names.
const namedExecutors = 5

func lookAtExecutors(ctx context.Context, x *examiner, name string) error {
	var silent, well, cordoned []string
	err := x.rows(ctx, `SELECT id, lease, armada.clock() - acknowledged, session <> '', cordoned, replica, replica_addr
		FROM armada.executor WHERE NOT deleted ORDER BY acknowledged DESC, id`, func(r pgx.Rows) error {
		var id, replica, addr string
		var lease, since int64
		var session, closed bool
		if err := r.Scan(&id, &lease, &since, &session, &closed, &replica, &addr); err != nil {
			return err
		}
		words := id + ", heard of " + ago(since)
		switch {
		case !session || since > lease:
			silent = append(silent, words)
			return nil
		case closed:
			cordoned = append(cordoned, words)
		default:
			well = append(well, words)
		}
		x.knows(replica, addr)
		return nil
	})
	if err != nil {
		return err
	}
	c := doctor.Good(name, "%d of %d are there: %s", len(well), len(well)+len(cordoned)+len(silent), few(well))
	if len(cordoned) > 0 {
		c.Finding += "; cordoned: " + few(cordoned)
	}
	switch {
	case len(well)+len(cordoned)+len(silent) == 0:
		c = doctor.Good(name, "there are none, so no job can run").Warn("start an executor: armada executor --servers ADDRESSES")
	case len(silent) > 0:
		c.Finding += "; silent: " + few(silent)
		c = c.Warn("look at their logs and whether they reach a server; their jobs fail after executors.lostTimeout. Delete those that will not come back")
	}
	x.tell(c)
	return nil
}

func few(names []string) string {
	switch {
	case len(names) == 0:
		return "none"
	case len(names) > namedExecutors:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:namedExecutors], "; "), len(names)-namedExecutors)
	}
	return strings.Join(names, "; ")
}
