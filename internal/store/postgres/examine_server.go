package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"armada/internal/doctor"
)

// grant is how a role may see what other roles do.
const grant = "GRANT pg_read_all_stats TO the role of the URL, to have it checked"

func lookAtClock(ctx context.Context, x *examiner, name string) error {
	best, ahead := time.Hour, time.Duration(0)
	for range 5 { // the fastest answer is the most exact
		var shown time.Time
		asked := time.Now()
		if err := x.row(ctx, "SELECT clock_timestamp()", &shown); err != nil {
			return err
		}
		if took := time.Since(asked); took < best {
			best, ahead = took, shown.Sub(asked.Add(took/2))
		}
	}
	x.tell(ClockCheck(name, "the database's clock", ahead, best/2, x.limits.Clock))
	return nil
}

// ClockCheck judges by how much another clock is ahead of this machine's, give or
// take an error.
func ClockCheck(name, whose string, ahead, give, limit time.Duration) doctor.Check {
	words, by := "ahead of", ahead
	if ahead < 0 {
		words, by = "behind", -ahead
	}
	c := doctor.Good(name, "%s is %s %s this machine's, give or take %s", whose, by.Round(time.Millisecond), words, give.Round(time.Millisecond))
	if by-give > limit {
		return c.Warn("let NTP or chrony keep both clocks; times that users see differ by as much")
	}
	return c
}

func lookAtDurability(ctx context.Context, x *examiner, name string) error {
	var fsync, pages, commit string
	err := x.row(ctx, "SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')", &fsync, &pages, &commit)
	if err != nil {
		return err
	}
	switch {
	case fsync != "on":
		x.tell(doctor.Good(name, "fsync is %s: what was acknowledged is lost when the machine stops", fsync).Fail("set fsync = on"))
	case pages != "on":
		x.tell(doctor.Good(name, "full_page_writes is %s: a page that was half written stays damaged", pages).Fail("set full_page_writes = on, unless the disk writes pages whole"))
	case commit != "on" && commit != "remote_apply":
		x.tell(doctor.Good(name, "synchronous_commit is %s here; Armada sets it on for what it writes itself", commit).
			Warn("set synchronous_commit = on for the database, so that nobody relies on the other value"))
	default:
		x.tell(doctor.Good(name, "fsync and full_page_writes are on, synchronous_commit is %s", commit))
	}
	return nil
}

func lookAtStandbys(ctx context.Context, x *examiner, name string) error {
	var wanted string
	if err := x.row(ctx, "SELECT current_setting('synchronous_standby_names')", &wanted); err != nil {
		return err
	}
	var all, hidden int
	var lagging, following []string
	err := x.rows(ctx, "SELECT application_name, state, sync_state FROM pg_stat_replication", func(r pgx.Rows) error {
		var who, state, how *string
		if err := r.Scan(&who, &state, &how); err != nil {
			return err
		}
		switch {
		case state == nil || how == nil:
			hidden++
		case *state != "streaming" && *state != "catchup": // a backup is none
			return nil
		case *how == "sync" || *how == "quorum":
			following = append(following, *who)
		default:
			lagging = append(lagging, *who)
		}
		all++
		return nil
	})
	switch {
	case err != nil:
		return err
	case hidden > 0:
		x.tell(doctor.Unknown(name, "there are %d, and this role may not see how they follow", hidden).Advise(grant))
	case wanted != "" && len(following) == 0:
		x.tell(doctor.Good(name, "synchronous_standby_names is %q, and no such standby follows: nothing can be committed", wanted).
			Fail("start the standby, or take it out of synchronous_standby_names"))
	case len(lagging) > 0 && len(following) == 0:
		x.tell(doctor.Good(name, "%s: what was acknowledged last may be missing after a failover", asynchronous(lagging)).
			Warn("name it in synchronous_standby_names; after a failover to it stop the servers and type armada restored"))
	case all == 0:
		x.tell(doctor.Good(name, "there are none"))
	default:
		x.tell(doctor.Good(name, "%s in step, %d behind", strings.Join(following, ", "), len(lagging)))
	}
	return nil
}

func asynchronous(names []string) string {
	if len(names) == 1 {
		return names[0] + " follows asynchronously"
	}
	return strings.Join(names, ", ") + " follow asynchronously"
}

func lookForOldSnapshots(ctx context.Context, x *examiner, name string) error {
	var pid *int
	var who, state string
	var age float64
	err := x.row(ctx, `SELECT pid, coalesce(usename, '') || ' (' || coalesce(application_name, '') || ')', coalesce(state, ''),
			coalesce(extract(epoch FROM clock_timestamp() - xact_start), 0)
		FROM pg_stat_activity WHERE backend_type = 'client backend' AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
		UNION ALL SELECT NULL, '', '', 0 ORDER BY 4 DESC, 1 LIMIT 1`, &pid, &who, &state, &age)
	if err != nil {
		return err
	}
	old := time.Duration(age * float64(time.Second))
	switch {
	case pid != nil && old > x.limits.Transaction:
		c := doctor.Good(name, "process %d of %s is in a transaction since %s (%s): nothing that died since is cleaned up", *pid, who, old.Round(time.Second), state)
		advice := "find out what it is, and end it with SELECT pg_terminate_backend(%d); set idle_in_transaction_session_timeout for roles of people"
		if old > 12*x.limits.Transaction {
			x.tell(c.Fail(advice, *pid))
		} else {
			x.tell(c.Warn(advice, *pid))
		}
	case !x.sees:
		x.tell(doctor.Unknown(name, "this role sees its own sessions only, which have no old transaction").Advise(grant))
	default:
		x.tell(doctor.Good(name, "no transaction is older than %s", x.limits.Transaction))
	}
	return nil
}

func lookForPrepared(ctx context.Context, x *examiner, name string) error {
	var count int
	var age float64
	var oldest string
	err := x.row(ctx, `SELECT count(*)::int, coalesce(max(extract(epoch FROM clock_timestamp() - prepared)), 0)::float8,
		coalesce((array_agg(gid ORDER BY prepared))[1], '') FROM pg_prepared_xacts`, &count, &age, &oldest)
	if err != nil {
		return err
	}
	old := time.Duration(age * float64(time.Second))
	c := doctor.Good(name, "there are none")
	if count > 0 {
		c = doctor.Good(name, "there are %d, the oldest, %q, since %s", count, oldest, old.Round(time.Second))
	}
	if old > x.limits.Transaction {
		c = c.Warn("COMMIT PREPARED or ROLLBACK PREPARED '%s': it holds its locks and keeps the dead from being cleaned up; Armada makes none", oldest)
	}
	x.tell(c)
	return nil
}

func lookAtSlots(ctx context.Context, x *examiner, name string) error {
	count := 0
	var worst doctor.Check
	err := x.rows(ctx, `SELECT slot_name, active, xmin IS NOT NULL OR catalog_xmin IS NOT NULL, coalesce(wal_status, ''),
			CASE WHEN pg_is_in_recovery() THEN 0 ELSE coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0) END::bigint
		FROM pg_replication_slots ORDER BY 5`, func(r pgx.Rows) error {
		var slot, status string
		var active, snapshot bool
		var held int64
		if err := r.Scan(&slot, &active, &snapshot, &status, &held); err != nil {
			return err
		}
		count++
		advice := "SELECT pg_drop_replication_slot('" + slot + "') if nobody comes back for it; bound it with max_slot_wal_keep_size"
		switch {
		case status == "lost":
			worst = doctor.Good(name, "%s has lost its place: who used it must begin anew", slot).Warn("%s", advice)
		case !active && snapshot:
			worst = doctor.Good(name, "nobody reads %s, and it keeps the dead from being cleaned up", slot).Fail("%s", advice)
		case held > x.limits.Held:
			worst = doctor.Good(name, "%s holds back %d MiB of the log, and the disk fills", slot, held>>20).Fail("%s", advice)
		case !active && worst.Verdict != doctor.Problem:
			worst = doctor.Good(name, "nobody reads %s, and it holds back the log, %d MiB so far", slot, held>>20).Warn("%s", advice)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if worst.Verdict == doctor.NotChecked {
		worst = doctor.Good(name, "there are %d, all in use", count)
		if count == 0 {
			worst = doctor.Good(name, "there are none")
		}
	}
	x.tell(worst)
	return nil
}

// spare is how many connections a server uses besides its pool: one to listen,
// and one for a moment when it starts.
const spare = 2

func lookAtConnections(ctx context.Context, x *examiner, name string) error {
	var most, reserved, used, ours, listeners, ofRole, ofDatabase int
	err := x.row(ctx, `SELECT current_setting('max_connections')::int, current_setting('superuser_reserved_connections')::int,
			(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' OR backend_type IS NULL)::int,
			count(*) FILTER (WHERE application_name = 'armada' AND datname = current_database() AND pid <> pg_backend_pid())::int,
			count(*) FILTER (WHERE application_name = 'armada' AND datname = current_database() AND query = 'LISTEN armada')::int,
			(SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user), (SELECT datconnlimit FROM pg_database WHERE datname = current_database())
		FROM pg_stat_activity`, &most, &reserved, &used, &ours, &listeners, &ofRole, &ofDatabase)
	if err != nil {
		return err
	}
	room := most - reserved - (used - ours) // for servers
	for _, limit := range []int{ofRole, ofDatabase} {
		if limit >= 0 {
			room = min(room, limit)
		}
	}
	servers := max(listeners, 1)
	each := x.config.Connections + spare
	c := doctor.Good(name, "servers can have %d (max_connections %d), and %s up to %d each; %d are open", room, most, plural(servers, "server uses", "servers use"), each, ours)
	switch {
	case room < servers*each:
		c = c.Fail("raise max_connections (or the limit of the role or the database), or lower store.connections: %d are needed", servers*each)
	case room < (servers+1)*each:
		c = c.Warn("there is no room for one more server; raise max_connections, or lower store.connections")
	}
	x.tell(c)
	return nil
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func lookAtAutovacuum(ctx context.Context, x *examiner, name string) error {
	var on, counts string
	var tables []string
	err := x.row(ctx, `SELECT current_setting('autovacuum'), current_setting('track_counts'),
		ARRAY(SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = 'armada' AND c.relkind = 'r' AND c.reloptions && ARRAY['autovacuum_enabled=false', 'autovacuum_enabled=off', 'autovacuum_enabled=0', 'autovacuum_enabled=no'] ORDER BY 1)`,
		&on, &counts, &tables)
	if err != nil {
		return err
	}
	switch {
	case on != "on" || counts != "on":
		x.tell(doctor.Good(name, "autovacuum is %s and track_counts is %s: tables grow without end", on, counts).Fail("set autovacuum = on and track_counts = on"))
	case len(tables) > 0:
		x.tell(doctor.Good(name, "it is turned off for %s", strings.Join(tables, ", ")).Fail("ALTER TABLE armada.%s RESET (autovacuum_enabled)", tables[0]))
	default:
		x.tell(doctor.Good(name, "it is on"))
	}
	return nil
}
