-- works with programs of form 2
--
-- Finished jobs know their queue, so that each queue keeps its own for as long as
-- it is told, and those that are old are found in the order of their ends. It
-- takes as long as there are finished jobs, in which nothing is written.

ALTER TABLE armada.ended ADD COLUMN queue bigint;
UPDATE armada.ended e SET queue = j.queue FROM armada.job j WHERE j.number = e.number;
ALTER TABLE armada.ended ALTER COLUMN queue SET NOT NULL;
CREATE INDEX ended_of_queue ON armada.ended (queue, at);
CREATE INDEX ended_at ON armada.ended (at);
-- What was forgotten lies where searches begin.
ALTER TABLE armada.ended SET (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE armada.job SET (autovacuum_vacuum_scale_factor = 0.05);

-- commit writes what a group of requests changes, if what they were decided on
-- still holds. Parallel arrays describe rows; _sets, _templates and _shapes of
-- jobs and blocks are places, from 1, in the arrays of those.
CREATE OR REPLACE FUNCTION armada.commit(
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

-- put_nodes replaces the nodes of an executor whose kinds are still the known ones,
-- of which the new ones were made.
CREATE FUNCTION armada.put_nodes(p_now bigint, p_id text, p_session text, p_hash bytea, p_nodes bytea, p_kinds bytea, p_known bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_at bigint; v_number bigint;
BEGIN
    v_at := armada.enter(p_now);
    v_number := armada.current(p_id, p_session);
    IF NOT EXISTS (SELECT FROM armada.executor WHERE number = v_number AND kinds = p_known) THEN
        RAISE EXCEPTION 'the kinds of nodes changed meanwhile' USING ERRCODE = 'ZA001';
    END IF;
    UPDATE armada.executor SET nodes = CASE WHEN nodes_hash = p_hash THEN nodes ELSE p_nodes END, nodes_hash = p_hash,
        kinds = p_kinds, reported = true WHERE number = v_number AND (nodes_hash <> p_hash OR NOT reported);
    IF FOUND THEN
        PERFORM armada.touch(v_at, v_number * 4 + 2);
    END IF;
END $$;
