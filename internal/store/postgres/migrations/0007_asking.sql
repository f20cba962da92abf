-- works with programs of form 2
--
-- What is asked for is counted and indexed. A job set's row has its jobs by state,
-- tally has those of queues; triggers keep both when a job moves on. It takes as long
-- as there are jobs, in which nothing is written.

ALTER TABLE armada.job_set
    ADD COLUMN queued bigint NOT NULL DEFAULT 0,
    ADD COLUMN leased bigint NOT NULL DEFAULT 0,
    ADD COLUMN pending bigint NOT NULL DEFAULT 0,
    ADD COLUMN running bigint NOT NULL DEFAULT 0,
    ADD COLUMN succeeded bigint NOT NULL DEFAULT 0,
    ADD COLUMN failed bigint NOT NULL DEFAULT 0,
    ADD COLUMN cancelled bigint NOT NULL DEFAULT 0,
    ADD COLUMN preempted bigint NOT NULL DEFAULT 0,
    ADD COLUMN rejected bigint NOT NULL DEFAULT 0;

CREATE TABLE armada.tally (
    queue bigint NOT NULL,
    state smallint NOT NULL,
    jobs  bigint NOT NULL,
    PRIMARY KEY (queue, state)
) WITH (fillfactor = 10);

-- add_counts adds to the numbers of jobs of job sets and of queues.
CREATE FUNCTION armada.add_counts(p_sets bigint[], p_queues bigint[], p_states smallint[], p_by bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE armada.job_set s SET
        queued = s.queued + d.queued,
        leased = s.leased + d.leased,
        pending = s.pending + d.pending,
        running = s.running + d.running,
        succeeded = s.succeeded + d.succeeded,
        failed = s.failed + d.failed,
        cancelled = s.cancelled + d.cancelled,
        preempted = s.preempted + d.preempted,
        rejected = s.rejected + d.rejected
        FROM (SELECT u.id,
            coalesce(sum(u.by) FILTER (WHERE u.state = 1), 0) AS queued,
            coalesce(sum(u.by) FILTER (WHERE u.state = 2), 0) AS leased,
            coalesce(sum(u.by) FILTER (WHERE u.state = 3), 0) AS pending,
            coalesce(sum(u.by) FILTER (WHERE u.state = 4), 0) AS running,
            coalesce(sum(u.by) FILTER (WHERE u.state = 5), 0) AS succeeded,
            coalesce(sum(u.by) FILTER (WHERE u.state = 6), 0) AS failed,
            coalesce(sum(u.by) FILTER (WHERE u.state = 7), 0) AS cancelled,
            coalesce(sum(u.by) FILTER (WHERE u.state = 8), 0) AS preempted,
            coalesce(sum(u.by) FILTER (WHERE u.state = 9), 0) AS rejected
            FROM unnest(p_sets, p_states, p_by) u(id, state, by) GROUP BY u.id) d
        WHERE s.id = d.id;
    INSERT INTO armada.tally AS t (queue, state, jobs)
        SELECT u.queue, u.state, sum(u.by) FROM unnest(p_queues, p_states, p_by) u(queue, state, by) GROUP BY u.queue, u.state HAVING sum(u.by) <> 0
        ON CONFLICT (queue, state) DO UPDATE SET jobs = t.jobs + excluded.jobs;
END $$;

-- New jobs are counted where they are written, with their job sets' events.
CREATE FUNCTION armada.count_active() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE v_sets bigint[]; v_queues bigint[]; v_states smallint[]; v_by bigint[];
BEGIN
    IF TG_OP = 'DELETE' THEN
        SELECT array_agg(job_set), array_agg(queue), array_agg(state), array_agg(n) INTO v_sets, v_queues, v_states, v_by
            FROM (SELECT job_set, queue, state, -count(*) AS n FROM old_rows GROUP BY job_set, queue, state) d;
    ELSE
        SELECT array_agg(job_set), array_agg(queue), array_agg(state), array_agg(n) INTO v_sets, v_queues, v_states, v_by
            FROM (SELECT job_set, queue, state, sum(by) AS n
                FROM (SELECT job_set, queue, state, 1 AS by FROM new_rows UNION ALL SELECT job_set, queue, state, -1 FROM old_rows) u
                GROUP BY job_set, queue, state HAVING sum(by) <> 0) d;
    END IF;
    IF v_sets IS NOT NULL THEN
        PERFORM armada.add_counts(v_sets, v_queues, v_states, v_by);
    END IF;
    RETURN NULL;
END $$;

-- A finished job's row of job is still there when its life is deleted.
CREATE FUNCTION armada.count_ended() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE v_sets bigint[]; v_queues bigint[]; v_states smallint[]; v_by bigint[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(job_set), array_agg(queue), array_agg(state), array_agg(n) INTO v_sets, v_queues, v_states, v_by
            FROM (SELECT j.job_set, e.queue, e.state, count(*) AS n FROM new_rows e JOIN armada.job j ON j.number = e.number
                GROUP BY j.job_set, e.queue, e.state) d;
    ELSE
        SELECT array_agg(job_set), array_agg(queue), array_agg(state), array_agg(n) INTO v_sets, v_queues, v_states, v_by
            FROM (SELECT j.job_set, e.queue, e.state, -count(*) AS n FROM old_rows e JOIN armada.job j ON j.number = e.number
                GROUP BY j.job_set, e.queue, e.state) d;
    END IF;
    IF v_sets IS NOT NULL THEN
        PERFORM armada.add_counts(v_sets, v_queues, v_states, v_by);
    END IF;
    RETURN NULL;
END $$;

SELECT armada.add_counts(array_agg(job_set), array_agg(queue), array_agg(state), array_agg(n)) FROM (
    SELECT job_set, queue, state, count(*) AS n FROM armada.active GROUP BY job_set, queue, state
    UNION ALL SELECT j.job_set, e.queue, e.state, count(*) FROM armada.ended e JOIN armada.job j ON j.number = e.number GROUP BY j.job_set, e.queue, e.state) d
    HAVING count(*) > 0;

CREATE TRIGGER active_updated AFTER UPDATE ON armada.active REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION armada.count_active();
CREATE TRIGGER active_deleted AFTER DELETE ON armada.active REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION armada.count_active();
CREATE TRIGGER ended_inserted AFTER INSERT ON armada.ended REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION armada.count_ended();
CREATE TRIGGER ended_deleted AFTER DELETE ON armada.ended REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION armada.count_ended();

-- Finished jobs by their state, which never changes.
CREATE INDEX ended_in_state ON armada.ended (queue, state, number);

-- Jobs by owner and by annotations that are named in the configuration. Jobs from
-- number since on have their marks; a name without since is not indexed any more.
-- The name of the owners is empty.
CREATE TABLE armada.mark_key (
    id    integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name  text COLLATE "C" NOT NULL UNIQUE,
    since bigint
);
CREATE TABLE armada.mark (
    key    integer NOT NULL,
    value  text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    PRIMARY KEY (key, value, number)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

-- Older programs call commit without marks.
DROP FUNCTION armada.commit(bytea, bigint, bytea, bigint, text[], text[], bigint[], bigint[], bigint[], bigint, text[], bigint[], text[], bytea[], text[], bigint[], text[], bytea[], bigint[], text[], text[], boolean[], bigint[], integer[], bigint[], integer[], bytea[], bigint[], text[], text[], bigint, text[], bigint[], integer[], integer[], integer[], smallint, bytea[], bytea[], bytea[], bigint[], bigint[], smallint[], boolean[], text[], bytea[], bigint[], bigint[], bigint[], smallint[], bytea[], bigint[], integer[], bytea[]);

-- commit writes what a group of requests changes, if what they were decided on
-- still holds. Parallel arrays describe rows; _sets, _templates and _shapes of
-- jobs and blocks are places, from 1, in the arrays of those.
CREATE FUNCTION armada.commit(
    p_commit bytea, p_now bigint, p_feed bytea,
    p_epoch bigint, p_executors text[], p_sessions text[],
    p_taking bigint[], p_queues bigint[], p_queued bigint[], p_limit bigint,
    p_templates text[], p_template_uses bigint[], p_new_templates text[], p_template_bodies bytea[],
    p_shapes text[], p_shape_uses bigint[], p_new_shapes text[], p_shape_bodies bytea[],
    p_set_ids bigint[], p_set_queues text[], p_set_names text[], p_set_open boolean[], p_set_events bigint[],
    p_block_sets integer[], p_block_lasts bigint[], p_block_counts integer[], p_blocks bytea[],
    p_client_queues bigint[], p_client_names text[], p_client_jobs text[], p_client_age bigint,
    p_job_ids text[], p_job_queues bigint[], p_job_sets integer[], p_job_templates integer[], p_job_shapes integer[],
    p_job_state smallint, p_job_fixed bytea[], p_job_details bytea[], p_job_lives bytea[],
    p_numbers bigint[], p_turns bigint[], p_states smallint[], p_cancelling boolean[], p_holders text[], p_lives bytea[],
    p_end_numbers bigint[], p_end_turns bigint[], p_end_at bigint[], p_end_states smallint[], p_end_lives bytea[],
    p_run_jobs bigint[], p_run_attempts integer[], p_runs bytea[],
    p_mark_names text[] DEFAULT '{}', p_mark_jobs integer[] DEFAULT '{}', p_mark_keys integer[] DEFAULT '{}', p_mark_values text[] DEFAULT '{}'
) RETURNS bigint LANGUAGE plpgsql
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
    v_at bigint; v_seq bigint; v_first bigint; v_rows bigint; v_fresh integer := cardinality(p_job_ids);
    v_sets bigint[]; v_templates bigint[]; v_shapes bigint[]; v_new bigint[]; v_set integer; v_keys integer[];
BEGIN
    PERFORM armada.prepare();
    UPDATE armada.lane SET at = greatest(at + (p_now IS NULL)::integer, coalesce(p_now, armada.clock())), seq = seq + 1, job = job + v_fresh
        RETURNING at, seq, job - v_fresh INTO v_at, v_seq, v_first;

    -- Fences.
    IF p_epoch <> 0 AND NOT EXISTS (SELECT FROM armada.leader WHERE epoch = p_epoch AND replica <> '') THEN
        RAISE EXCEPTION 'epoch % is over', p_epoch USING ERRCODE = 'ZA001';
    END IF;
    IF EXISTS (SELECT FROM unnest(p_executors, p_sessions) u(id, session) WHERE NOT EXISTS (
            SELECT FROM armada.executor e WHERE e.id = u.id AND e.session = u.session AND NOT e.deleted)) THEN
        RAISE EXCEPTION 'a session is not current' USING ERRCODE = 'ZA001';
    END IF;

    -- Known jobs.
    IF cardinality(p_numbers) > 0 THEN
        UPDATE armada.active a SET turn = a.turn + 1, state = u.state, cancelling = u.cancelling, executor = nullif(u.holder, ''), life = u.life
            FROM unnest(p_numbers, p_turns, p_states, p_cancelling, p_holders, p_lives) u(number, turn, state, cancelling, holder, life)
            WHERE a.number = u.number AND a.turn = u.turn;
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        IF v_rows <> cardinality(p_numbers) THEN
            RAISE EXCEPTION '% jobs changed meanwhile', cardinality(p_numbers) - v_rows USING ERRCODE = 'ZA001';
        END IF;
    END IF;
    IF cardinality(p_end_numbers) > 0 THEN
        WITH gone AS (DELETE FROM armada.active a
            USING unnest(p_end_numbers, p_end_turns, p_end_at, p_end_states, p_end_lives) u(number, turn, at, state, life)
            WHERE a.number = u.number AND a.turn = u.turn RETURNING a.number, a.queue, u.at, u.state, u.life)
        INSERT INTO armada.ended (number, queue, at, state, life) SELECT number, queue, at, state, life FROM gone;
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        IF v_rows <> cardinality(p_end_numbers) THEN
            RAISE EXCEPTION '% jobs changed meanwhile', cardinality(p_end_numbers) - v_rows USING ERRCODE = 'ZA001';
        END IF;
    END IF;
    IF cardinality(p_run_jobs) > 0 THEN
        INSERT INTO armada.run (job, attempt, body) SELECT * FROM unnest(p_run_jobs, p_run_attempts, p_runs);
    END IF;

    -- Queues.
    IF cardinality(p_queues) > 0 THEN
        UPDATE armada.queued q SET jobs = q.jobs + u.by FROM unnest(p_queues, p_queued) u(id, by) WHERE q.queue = u.id;
    END IF;
    IF cardinality(p_taking) > 0 THEN
        IF EXISTS (SELECT FROM unnest(p_taking) u(id) WHERE NOT EXISTS (SELECT FROM armada.queue q WHERE q.id = u.id AND NOT q.deleted)) THEN
            RAISE EXCEPTION 'a queue was deleted' USING ERRCODE = 'ZA001';
        END IF;
        IF p_limit > 0 AND EXISTS (SELECT FROM unnest(p_taking) u(id) JOIN armada.queued q ON q.queue = u.id WHERE q.jobs > p_limit) THEN
            RAISE EXCEPTION 'a queue is full' USING ERRCODE = 'ZA001';
        END IF;
    END IF;

    -- Job sets and their events.
    IF cardinality(p_set_ids) > 0 THEN
        INSERT INTO armada.job_set (queue, name)
            SELECT u.queue, u.name FROM unnest(p_set_ids, p_set_queues, p_set_names) u(id, queue, name)
            WHERE u.id = 0 AND NOT EXISTS (SELECT FROM armada.job_set s WHERE s.queue = u.queue AND s.name = u.name AND NOT s.closed);
        v_sets := ARRAY(SELECT CASE WHEN u.id <> 0 THEN u.id ELSE
                (SELECT s.id FROM armada.job_set s WHERE s.queue = u.queue AND s.name = u.name AND NOT s.closed) END
            FROM unnest(p_set_ids, p_set_queues, p_set_names) WITH ORDINALITY u(id, queue, name, place) ORDER BY u.place);
        v_new := array_fill(0::bigint, ARRAY[cardinality(p_set_ids)]);
        FOREACH v_set IN ARRAY p_job_sets LOOP
            v_new[v_set] := v_new[v_set] + 1;
        END LOOP;
        UPDATE armada.job_set s SET last = s.last + u.events, queued = s.queued + u.new
            FROM unnest(v_sets, p_set_open, p_set_events, v_new) u(id, open, events, new) WHERE s.id = u.id AND NOT (u.open AND s.closed);
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        IF v_rows <> cardinality(p_set_ids) THEN
            RAISE EXCEPTION 'a job set was closed' USING ERRCODE = 'ZA001';
        END IF;
        INSERT INTO armada.event_block (job_set, last, count, at, events)
            SELECT s.id, s.last - p_set_events[u.place] + u.last, u.count, v_at, u.events
            FROM unnest(p_block_sets, p_block_lasts, p_block_counts, p_blocks) u(place, last, count, events)
            JOIN armada.job_set s ON s.id = v_sets[u.place];
    END IF;

    -- Client ids come before their jobs: a submission that is sent again has both.
    IF cardinality(p_client_names) > 0 THEN
        INSERT INTO armada.client_id AS c (queue, name, job, at)
            SELECT u.queue, u.name, u.job, v_at FROM unnest(p_client_queues, p_client_names, p_client_jobs) u(queue, name, job)
            ON CONFLICT (queue, name) DO UPDATE SET job = excluded.job, at = excluded.at WHERE c.at <= v_at - p_client_age;
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        IF v_rows <> cardinality(p_client_names) THEN
            RAISE EXCEPTION '% client ids are known', cardinality(p_client_names) - v_rows USING ERRCODE = 'ZA001';
        END IF;
    END IF;

    -- New jobs.
    IF v_fresh > 0 THEN
        INSERT INTO armada.template (hash, uses, body) SELECT u.hash, 0, u.body FROM unnest(p_new_templates, p_template_bodies) u(hash, body)
            WHERE NOT EXISTS (SELECT FROM armada.template t WHERE t.hash = u.hash);
        INSERT INTO armada.shape (hash, uses, body) SELECT u.hash, 0, u.body FROM unnest(p_new_shapes, p_shape_bodies) u(hash, body)
            WHERE NOT EXISTS (SELECT FROM armada.shape t WHERE t.hash = u.hash);
        UPDATE armada.template t SET uses = t.uses + u.n FROM unnest(p_templates, p_template_uses) u(hash, n) WHERE t.hash = u.hash;
        UPDATE armada.shape t SET uses = t.uses + u.n FROM unnest(p_shapes, p_shape_uses) u(hash, n) WHERE t.hash = u.hash;
        v_templates := ARRAY(SELECT (SELECT t.id FROM armada.template t WHERE t.hash = u.hash)
            FROM unnest(p_templates) WITH ORDINALITY u(hash, place) ORDER BY u.place);
        v_shapes := ARRAY(SELECT (SELECT t.id FROM armada.shape t WHERE t.hash = u.hash)
            FROM unnest(p_shapes) WITH ORDINALITY u(hash, place) ORDER BY u.place);
        IF array_position(v_templates, NULL) IS NOT NULL OR array_position(v_shapes, NULL) IS NOT NULL THEN
            RAISE EXCEPTION 'a template or shape was deleted' USING ERRCODE = 'ZA001';
        END IF;
        INSERT INTO armada.job (number, id, queue, job_set, template, shape, submitted, fixed, details)
            SELECT v_first + u.place, u.id, u.queue, v_sets[u.job_set], v_templates[u.template], v_shapes[u.shape], v_at, u.fixed, u.details
            FROM unnest(p_job_ids, p_job_queues, p_job_sets, p_job_templates, p_job_shapes, p_job_fixed, p_job_details)
            WITH ORDINALITY u(id, queue, job_set, template, shape, fixed, details, place);
        INSERT INTO armada.active (number, queue, job_set, state, life)
            SELECT v_first + u.place, u.queue, v_sets[u.job_set], p_job_state, u.life
            FROM unnest(p_job_queues, p_job_sets, p_job_lives) WITH ORDINALITY u(queue, job_set, life, place);

        -- Names with which these jobs are not marked begin anew behind them.
        IF p_mark_names IS DISTINCT FROM ARRAY(SELECT name FROM armada.mark_key WHERE since IS NOT NULL ORDER BY name) THEN
            UPDATE armada.mark_key SET since = NULL WHERE since IS NOT NULL AND NOT name = ANY (p_mark_names);
            INSERT INTO armada.mark_key AS k (name, since) SELECT u.name, v_first + 1 FROM unnest(p_mark_names) u(name)
                ON CONFLICT (name) DO UPDATE SET since = excluded.since WHERE k.since IS NULL;
        END IF;
        v_keys := ARRAY(SELECT (SELECT k.id FROM armada.mark_key k WHERE k.name = u.name) FROM unnest(p_mark_names) WITH ORDINALITY u(name, place) ORDER BY u.place);
        INSERT INTO armada.mark (key, value, number)
            SELECT v_keys[u.key], u.value, v_first + u.job FROM unnest(p_mark_jobs, p_mark_keys, p_mark_values) u(job, key, value);
        INSERT INTO armada.tally AS t (queue, state, jobs) SELECT u.queue, p_job_state, count(*) FROM unnest(p_job_queues) u(queue) GROUP BY u.queue
            ON CONFLICT (queue, state) DO UPDATE SET jobs = t.jobs + excluded.jobs;
    END IF;
    INSERT INTO armada.change (seq, at, commit, first, fresh, body, sets)
        VALUES (v_seq, v_at, p_commit, v_first + 1, v_fresh, p_feed, coalesce(v_sets, '{}'));
    PERFORM armada.trim(v_seq, v_at);
    RETURN armada.clock();
END $$;

-- prune_jobs deletes finished jobs with all that hangs on them, and templates and
-- shapes that no job uses any more. It answers how many there were.
DROP FUNCTION armada.prune_jobs(bigint, bigint[]);
CREATE FUNCTION armada.prune_jobs(p_now bigint, p_numbers bigint[],
    p_mark_names text[] DEFAULT '{}', p_mark_values text[] DEFAULT '{}', p_mark_jobs bigint[] DEFAULT '{}') RETURNS bigint LANGUAGE plpgsql
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE v_gone bigint[]; v_templates bigint[]; v_shapes bigint[];
BEGIN
    PERFORM armada.enter(p_now);
    WITH gone AS (DELETE FROM armada.ended e USING unnest(p_numbers) u(number) WHERE e.number = u.number RETURNING e.number)
    SELECT array_agg(number) INTO v_gone FROM gone;
    IF v_gone IS NULL THEN
        RETURN 0;
    END IF;
    DELETE FROM armada.mark m USING unnest(p_mark_names, p_mark_values, p_mark_jobs) u(name, value, job), armada.mark_key k
        WHERE k.name = u.name AND m.key = k.id AND m.value = u.value AND m.number = u.job AND u.job = ANY (v_gone);
    WITH runs AS (DELETE FROM armada.run r USING unnest(v_gone) u(number) WHERE r.job = u.number),
        jobs AS (DELETE FROM armada.job j USING unnest(v_gone) u(number) WHERE j.number = u.number RETURNING j.template, j.shape),
        templates AS (UPDATE armada.template t SET uses = t.uses - u.n
            FROM (SELECT template AS id, count(*) AS n FROM jobs GROUP BY template) u WHERE t.id = u.id RETURNING t.id),
        shapes AS (UPDATE armada.shape t SET uses = t.uses - u.n
            FROM (SELECT shape AS id, count(*) AS n FROM jobs GROUP BY shape) u WHERE t.id = u.id RETURNING t.id)
    SELECT ARRAY(SELECT id FROM templates), ARRAY(SELECT id FROM shapes) INTO v_templates, v_shapes;
    DELETE FROM armada.template WHERE id = ANY (v_templates) AND uses = 0;
    DELETE FROM armada.shape WHERE id = ANY (v_shapes) AND uses = 0;
    RETURN cardinality(v_gone);
END $$;
