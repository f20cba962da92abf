-- What is done in the lane. Each function is one statement for its caller, so
-- that the lane is never held by anybody who waits for a client.
--
-- Errors of ours: ZA001 what the caller knew is stale; ZA002 not in the present
-- state; ZA003 not found; ZA004 the epoch or session is void.
--
-- p_now is the time of a caller with a clock of its own, else NULL: then time grows
-- with every transaction, even while the database's clock is behind it.

-- enter takes the lane and returns the time of the transaction. What the
-- session says about durability and isolation is not trusted.
CREATE FUNCTION armada.enter(p_now bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE v_at bigint;
BEGIN
    PERFORM armada.prepare();
    UPDATE armada.lane SET at = greatest(at + (p_now IS NULL)::integer, coalesce(p_now, armada.clock())) RETURNING at INTO v_at;
    RETURN v_at;
END $$;

CREATE FUNCTION armada.prepare() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the lane needs isolation level read committed and not %', current_setting('transaction_isolation');
    END IF;
    IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    IF current_setting('lock_timeout') = '0' THEN
        PERFORM set_config('lock_timeout', '5s', true);
    END IF;
END $$;

-- The feed keeps at least 16384 transactions and what is younger than ten
-- minutes. Every 1024 transactions up to four times as many rows go.
CREATE FUNCTION armada.trim(p_seq bigint, p_at bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_seq % 1024 = 0 THEN
        DELETE FROM armada.change WHERE seq <= p_seq - 16384 AND at < p_at - 600000000
            AND seq < (SELECT min(seq) FROM armada.change) + 4096;
    END IF;
END $$;

-- touch adds one element to the feed. The lane is held.
CREATE FUNCTION armada.touch(p_at bigint, p_one bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_seq bigint;
BEGIN
    UPDATE armada.lane SET seq = seq + 1 RETURNING seq INTO v_seq;
    INSERT INTO armada.change (seq, at, one) VALUES (v_seq, p_at, p_one);
    PERFORM armada.trim(v_seq, p_at);
END $$;

-- settle tells whether a commit was done. When it was not it never will be.
CREATE FUNCTION armada.settle(p_commit bytea) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE v_at bigint; v_seq bigint;
BEGIN
    v_at := armada.enter(0);
    IF EXISTS (SELECT FROM armada.change WHERE commit = p_commit) THEN
        RETURN true;
    END IF;
    UPDATE armada.lane SET seq = seq + 1 RETURNING seq INTO v_seq;
    INSERT INTO armada.change (seq, at, commit) VALUES (v_seq, v_at, p_commit);
    RETURN false;
END $$;

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
    p_run_jobs bigint[], p_run_attempts integer[], p_runs bytea[]
) RETURNS bigint LANGUAGE plpgsql
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
    v_at bigint; v_seq bigint; v_first bigint; v_rows bigint; v_fresh integer := cardinality(p_job_ids);
    v_sets bigint[]; v_templates bigint[]; v_shapes bigint[];
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
        DELETE FROM armada.active a USING unnest(p_end_numbers, p_end_turns) u(number, turn) WHERE a.number = u.number AND a.turn = u.turn;
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        IF v_rows <> cardinality(p_end_numbers) THEN
            RAISE EXCEPTION '% jobs changed meanwhile', cardinality(p_end_numbers) - v_rows USING ERRCODE = 'ZA001';
        END IF;
        INSERT INTO armada.ended (number, at, state, life) SELECT * FROM unnest(p_end_numbers, p_end_at, p_end_states, p_end_lives);
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
        UPDATE armada.job_set s SET last = s.last + u.events
            FROM unnest(v_sets, p_set_open, p_set_events) u(id, open, events) WHERE s.id = u.id AND NOT (u.open AND s.closed);
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
    END IF;
    INSERT INTO armada.change (seq, at, commit, first, fresh, body, sets)
        VALUES (v_seq, v_at, p_commit, v_first + 1, v_fresh, p_feed, coalesce(v_sets, '{}'));
    PERFORM armada.trim(v_seq, v_at);
    RETURN armada.clock();
END $$;

-- Queues. The elements of the feed: number * 4 + 1 for a queue, + 2 for an executor.

CREATE FUNCTION armada.put_queue(p_now bigint, p_name text, p_body bytea, p_must_exist boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_at bigint; v_id bigint;
BEGIN
    v_at := armada.enter(p_now);
    UPDATE armada.queue SET body = p_body, deleted = false WHERE name = p_name AND NOT (deleted AND p_must_exist) RETURNING id INTO v_id;
    IF v_id IS NULL THEN
        IF p_must_exist THEN
            RAISE EXCEPTION 'queue "%" does not exist', p_name USING ERRCODE = 'ZA003';
        END IF;
        INSERT INTO armada.queue (name, body) VALUES (p_name, p_body) RETURNING id INTO v_id;
        INSERT INTO armada.queued (queue, jobs) VALUES (v_id, 0);
    END IF;
    PERFORM armada.touch(v_at, v_id * 4 + 1);
END $$;

CREATE FUNCTION armada.delete_queue(p_now bigint, p_name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_at bigint; v_id bigint;
BEGIN
    v_at := armada.enter(p_now);
    SELECT id INTO v_id FROM armada.queue WHERE name = p_name AND NOT deleted;
    IF v_id IS NULL THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM armada.active WHERE queue = v_id AND NOT cancelling) THEN
        RAISE EXCEPTION 'queue "%" has active jobs', p_name USING ERRCODE = 'ZA002';
    END IF;
    UPDATE armada.queue SET deleted = true WHERE id = v_id;
    UPDATE armada.job_set SET closed = true WHERE queue = p_name AND NOT closed;
    PERFORM armada.touch(v_at, v_id * 4 + 1);
END $$;

-- Executors.

CREATE FUNCTION armada.open_session(p_now bigint, p_id text, p_kind smallint, p_session text, p_lease bigint, p_replica text, p_replica_addr text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_at bigint; v_number bigint;
BEGIN
    v_at := armada.enter(p_now);
    INSERT INTO armada.executor AS e (id, kind, session, lease, acknowledged, replica, replica_addr)
        VALUES (p_id, p_kind, p_session, p_lease, v_at, p_replica, p_replica_addr)
        ON CONFLICT (id) DO UPDATE SET deleted = false, kind = excluded.kind, session = excluded.session, reported = false, lease = excluded.lease,
            acknowledged = excluded.acknowledged, replica = excluded.replica, replica_addr = excluded.replica_addr
        RETURNING number INTO v_number;
    PERFORM armada.touch(v_at, v_number * 4 + 2);
END $$;

-- current returns the number of an executor whose session this is.
CREATE FUNCTION armada.current(p_id text, p_session text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE v_number bigint;
BEGIN
    SELECT number INTO v_number FROM armada.executor WHERE id = p_id AND session = p_session AND p_session <> '' AND NOT deleted;
    IF v_number IS NULL THEN
        RAISE EXCEPTION 'session "%" is not the current one of executor "%"', p_session, p_id USING ERRCODE = 'ZA004';
    END IF;
    RETURN v_number;
END $$;

CREATE FUNCTION armada.acknowledge(p_now bigint, p_id text, p_session text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE v_at bigint; v_number bigint; v_lease bigint;
BEGIN
    v_at := armada.enter(p_now);
    v_number := armada.current(p_id, p_session);
    UPDATE armada.executor SET acknowledged = v_at WHERE number = v_number RETURNING lease INTO v_lease;
    PERFORM armada.touch(v_at, v_number * 4 + 2);
    RETURN v_lease;
END $$;

CREATE FUNCTION armada.put_nodes(p_now bigint, p_id text, p_session text, p_hash bytea, p_nodes bytea, p_kinds bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_at bigint; v_number bigint;
BEGIN
    v_at := armada.enter(p_now);
    v_number := armada.current(p_id, p_session);
    UPDATE armada.executor SET nodes = CASE WHEN nodes_hash = p_hash THEN nodes ELSE p_nodes END, nodes_hash = p_hash,
        kinds = p_kinds, reported = true WHERE number = v_number AND (nodes_hash <> p_hash OR NOT reported);
    IF FOUND THEN
        PERFORM armada.touch(v_at, v_number * 4 + 2);
    END IF;
END $$;

CREATE FUNCTION armada.cordon(p_now bigint, p_id text, p_cordoned boolean, p_reason text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_at bigint; v_number bigint;
BEGIN
    v_at := armada.enter(p_now);
    UPDATE armada.executor SET cordoned = p_cordoned, cordon_reason = p_reason WHERE id = p_id AND NOT deleted RETURNING number INTO v_number;
    IF v_number IS NULL THEN
        RAISE EXCEPTION 'executor "%" is not known', p_id USING ERRCODE = 'ZA003';
    END IF;
    PERFORM armada.touch(v_at, v_number * 4 + 2);
END $$;

-- The row of a deleted executor stays so that the feed can tell.
CREATE FUNCTION armada.delete_executor(p_now bigint, p_id text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_at bigint; v_number bigint; v_job text;
BEGIN
    v_at := armada.enter(p_now);
    SELECT j.id INTO v_job FROM armada.active a JOIN armada.job j ON j.number = a.number WHERE a.executor = p_id LIMIT 1;
    UPDATE armada.executor SET deleted = true, session = '', cordoned = false, cordon_reason = '', nodes = '', nodes_hash = '',
            kinds = '', reported = false
        WHERE id = p_id AND NOT deleted RETURNING number INTO v_number;
    IF v_number IS NULL THEN
        RETURN;
    END IF;
    IF v_job IS NOT NULL THEN
        RAISE EXCEPTION 'executor "%" has runs, one of job %', p_id, v_job USING ERRCODE = 'ZA002';
    END IF;
    PERFORM armada.touch(v_at, v_number * 4 + 2);
END $$;

-- Leadership.

CREATE FUNCTION armada.lead(p_now bigint, p_replica text, p_addr text, p_ttl bigint,
    OUT o_replica text, OUT o_addr text, OUT o_epoch bigint, OUT o_until bigint, OUT o_new boolean)
LANGUAGE plpgsql AS $$
DECLARE v_at bigint;
BEGIN
    v_at := armada.enter(p_now);
    SELECT replica, addr, epoch, until, false INTO o_replica, o_addr, o_epoch, o_until, o_new FROM armada.leader;
    IF o_replica <> '' AND o_until > v_at AND o_replica <> p_replica THEN
        RETURN; -- somebody else leads
    END IF;
    IF o_replica <> p_replica OR o_until <= v_at THEN
        o_replica := p_replica;
        o_epoch := o_epoch + 1;
        o_new := true;
    END IF;
    o_addr := p_addr;
    o_until := v_at + p_ttl;
    UPDATE armada.leader SET replica = o_replica, addr = o_addr, epoch = o_epoch, until = o_until;
END $$;

CREATE FUNCTION armada.resign(p_now bigint, p_epoch bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM armada.enter(p_now);
    UPDATE armada.leader SET replica = '', addr = '', until = 0 WHERE epoch = p_epoch AND replica <> '';
END $$;

-- Retention.

CREATE FUNCTION armada.prune_jobs(p_now bigint, p_numbers bigint[]) RETURNS bigint LANGUAGE plpgsql
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE v_templates bigint[]; v_shapes bigint[]; v_jobs bigint;
BEGIN
    PERFORM armada.enter(p_now);
    WITH gone AS (DELETE FROM armada.ended e USING unnest(p_numbers) u(number) WHERE e.number = u.number RETURNING e.number),
        runs AS (DELETE FROM armada.run r USING gone WHERE r.job = gone.number),
        jobs AS (DELETE FROM armada.job j USING gone WHERE j.number = gone.number RETURNING j.template, j.shape),
        templates AS (UPDATE armada.template t SET uses = t.uses - u.n
            FROM (SELECT template AS id, count(*) AS n FROM jobs GROUP BY template) u WHERE t.id = u.id RETURNING t.id),
        shapes AS (UPDATE armada.shape t SET uses = t.uses - u.n
            FROM (SELECT shape AS id, count(*) AS n FROM jobs GROUP BY shape) u WHERE t.id = u.id RETURNING t.id)
    SELECT ARRAY(SELECT id FROM templates), ARRAY(SELECT id FROM shapes), (SELECT count(*) FROM jobs) INTO v_templates, v_shapes, v_jobs;
    DELETE FROM armada.template WHERE id = ANY (v_templates) AND uses = 0;
    DELETE FROM armada.shape WHERE id = ANY (v_shapes) AND uses = 0;
    RETURN v_jobs;
END $$;

-- prune_sets deletes the events that were written before any job of their job
-- set that is still known, at most p_limit blocks, and job sets without jobs.
-- It returns up to which of the job sets it came.
CREATE FUNCTION armada.prune_sets(p_now bigint, p_sets bigint[], p_limit bigint, OUT o_came bigint, OUT o_events bigint) LANGUAGE plpgsql AS $$
DECLARE v_set bigint; v_oldest bigint; v_last bigint; v_rows bigint; v_events bigint; v_rest bigint := p_limit;
BEGIN
    PERFORM armada.enter(p_now);
    o_came := 0;
    o_events := 0;
    FOREACH v_set IN ARRAY p_sets LOOP
        SELECT submitted INTO v_oldest FROM armada.job WHERE job_set = v_set ORDER BY number LIMIT 1;
        WITH old AS (SELECT last FROM armada.event_block WHERE job_set = v_set AND (v_oldest IS NULL OR at < v_oldest) ORDER BY last LIMIT v_rest),
            gone AS (DELETE FROM armada.event_block b USING old WHERE b.job_set = v_set AND b.last = old.last RETURNING b.last, b.count)
        SELECT max(last), count(*), coalesce(sum(count), 0) INTO v_last, v_rows, v_events FROM gone;
        UPDATE armada.job_set SET pruned = v_last WHERE id = v_set AND v_last IS NOT NULL;
        v_rest := v_rest - v_rows;
        o_events := o_events + v_events;
        IF v_rest <= 0 THEN
            o_came := v_set - 1; -- the next call comes back to this one
            RETURN;
        END IF;
        IF v_oldest IS NULL THEN
            DELETE FROM armada.job_set WHERE id = v_set;
            v_rest := v_rest - 1;
        END IF;
        o_came := v_set;
    END LOOP;
END $$;

CREATE FUNCTION armada.prune_clients(p_now bigint, p_age bigint, p_limit bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE v_at bigint; v_rows bigint;
BEGIN
    v_at := armada.enter(p_now);
    DELETE FROM armada.client_id WHERE ctid = ANY (ARRAY(SELECT ctid FROM armada.client_id WHERE at <= v_at - p_age LIMIT p_limit));
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    RETURN v_rows;
END $$;
