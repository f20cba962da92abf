-- Where the leader is reached by the other replicas, the kinds of nodes that an
-- executor has had, and what was forgotten, counted.

ALTER TABLE armada.leader ADD COLUMN addr text NOT NULL DEFAULT '';
ALTER TABLE armada.executor
    ADD COLUMN reported boolean NOT NULL DEFAULT false, -- the current session has put its nodes
    ADD COLUMN kinds bytea NOT NULL DEFAULT '';

CREATE OR REPLACE FUNCTION armada.open_session(p_now bigint, p_id text, p_kind smallint, p_session text, p_lease bigint, p_replica text, p_replica_addr text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_at bigint; v_number bigint;
BEGIN
    v_at := armada.enter(p_now);
    INSERT INTO armada.executor AS e (id, kind, session, lease, acknowledged, replica, replica_addr)
        VALUES (p_id, p_kind, p_session, p_lease, v_at, p_replica, p_replica_addr)
        ON CONFLICT (id) DO UPDATE SET deleted = false, kind = excluded.kind, session = excluded.session, lease = excluded.lease, reported = false,
            acknowledged = excluded.acknowledged, replica = excluded.replica, replica_addr = excluded.replica_addr
        RETURNING number INTO v_number;
    PERFORM armada.touch(v_at, v_number * 4 + 2);
END $$;

DROP FUNCTION armada.put_nodes(bigint, text, text, bytea, bytea);
-- The nodes are null when they are those that are there.
CREATE FUNCTION armada.put_nodes(p_now bigint, p_id text, p_session text, p_hash bytea, p_nodes bytea, p_kinds bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_at bigint; v_number bigint;
BEGIN
    v_at := armada.enter(p_now);
    v_number := armada.current(p_id, p_session);
    UPDATE armada.executor SET reported = true, kinds = p_kinds, nodes_hash = p_hash, nodes = coalesce(p_nodes, nodes) WHERE number = v_number;
    PERFORM armada.touch(v_at, v_number * 4 + 2);
END $$;

CREATE OR REPLACE FUNCTION armada.delete_executor(p_now bigint, p_id text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_at bigint; v_number bigint; v_job text;
BEGIN
    v_at := armada.enter(p_now);
    SELECT j.id INTO v_job FROM armada.active a JOIN armada.job j ON j.number = a.number WHERE a.executor = p_id LIMIT 1;
    UPDATE armada.executor SET deleted = true, session = '', cordoned = false, cordon_reason = '', nodes = '', nodes_hash = '', kinds = '', reported = false
        WHERE id = p_id AND NOT deleted RETURNING number INTO v_number;
    IF v_number IS NULL THEN
        RETURN;
    END IF;
    IF v_job IS NOT NULL THEN
        RAISE EXCEPTION 'executor "%" has runs, one of job %', p_id, v_job USING ERRCODE = 'ZA002';
    END IF;
    PERFORM armada.touch(v_at, v_number * 4 + 2);
END $$;

DROP FUNCTION armada.lead(bigint, text, bigint);
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
    o_new := o_new OR o_addr <> p_addr;
    o_addr := p_addr;
    o_until := v_at + p_ttl;
    UPDATE armada.leader SET replica = o_replica, addr = o_addr, epoch = o_epoch, until = o_until;
END $$;

CREATE OR REPLACE FUNCTION armada.resign(p_now bigint, p_epoch bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM armada.enter(p_now);
    UPDATE armada.leader SET replica = '', addr = '', until = 0 WHERE epoch = p_epoch AND replica <> '';
END $$;

DROP FUNCTION armada.prune_jobs(bigint, bigint[]);
-- prune_jobs returns how many jobs went.
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

DROP FUNCTION armada.prune_sets(bigint, bigint[], bigint);
-- prune_sets deletes the events that were written before any job of their job
-- set that is still known, at most p_limit blocks, and job sets without jobs.
-- It tells up to which of the job sets it came, and how many events went.
CREATE FUNCTION armada.prune_sets(p_now bigint, p_sets bigint[], p_limit bigint, OUT o_came bigint, OUT o_events bigint) LANGUAGE plpgsql AS $$
DECLARE v_set bigint; v_oldest bigint; v_last bigint; v_rows bigint; v_events bigint; v_rest bigint := p_limit;
BEGIN
    PERFORM armada.enter(p_now);
    o_came := 0;
    o_events := 0;
    FOREACH v_set IN ARRAY p_sets LOOP
        v_oldest := NULL;
        SELECT submitted INTO v_oldest FROM armada.job WHERE job_set = v_set ORDER BY number LIMIT 1;
        WITH old AS (SELECT last FROM armada.event_block WHERE job_set = v_set AND (v_oldest IS NULL OR at < v_oldest) ORDER BY last LIMIT v_rest),
            gone AS (DELETE FROM armada.event_block b USING old WHERE b.job_set = v_set AND b.last = old.last RETURNING b.last, b.count)
        SELECT max(last), count(*), coalesce(sum(count), 0) INTO v_last, v_rows, v_events FROM gone;
        UPDATE armada.job_set SET pruned = v_last WHERE id = v_set AND v_last IS NOT NULL;
        o_events := o_events + v_events;
        v_rest := v_rest - v_rows;
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
