-- works with programs of form 2
--
-- How many members gangs have: the active ones, and those that had a run. What was
-- submitted before is not counted, and neither is what older programs submit. at is
-- when a member came or went: the row goes with the events of that time.

CREATE TABLE armada.gang (
    job_set     bigint NOT NULL,
    id          text COLLATE "C" NOT NULL,
    members     integer NOT NULL,
    cardinality integer NOT NULL,
    at          bigint NOT NULL,
    PRIMARY KEY (job_set, id)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX gang_at ON armada.gang (job_set, at);

-- commit_gangs is commit, with the arguments of which it begins, and by how much the
-- members of gangs change. A gang is one of the job set that has the id, or, when
-- that is 0, of the open one of a queue that has the name. Batches without members
-- of gangs know nothing of it.
CREATE FUNCTION armada.commit_gangs(
    bytea, bigint, bytea, bigint, text[], text[], bigint[], bigint[], bigint[], bigint, text[], bigint[], text[], bytea[], text[], bigint[], text[],
    bytea[], bigint[], text[], text[], boolean[], bigint[], integer[], bigint[], integer[], bytea[], bigint[], text[], text[], bigint, text[], bigint[],
    integer[], integer[], integer[], smallint, bytea[], bytea[], bytea[], bigint[], bigint[], smallint[], boolean[], text[], bytea[], bigint[], bigint[],
    bigint[], smallint[], bytea[], bigint[], integer[], bytea[], text[], integer[], integer[], text[],
    p_set_ids bigint[], p_queues text[], p_sets text[], p_ids text[], p_by integer[], p_cardinalities integer[]
) RETURNS bigint LANGUAGE plpgsql
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE v_clock bigint; v_at bigint; v_sets bigint[]; v_rows bigint;
BEGIN
    v_clock := armada.commit(
        $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32,
        $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44, $45, $46, $47, $48, $49, $50, $51, $52, $53, $54, $55, $56, $57, $58);
    SELECT at INTO v_at FROM armada.lane;
    v_sets := ARRAY(SELECT CASE WHEN u.id <> 0 THEN u.id ELSE
            (SELECT s.id FROM armada.job_set s WHERE s.queue = u.queue AND s.name = u.name AND NOT s.closed) END
        FROM unnest(p_set_ids, p_queues, p_sets) WITH ORDINALITY u(id, queue, name, place) ORDER BY u.place);
    INSERT INTO armada.gang AS g (job_set, id, members, cardinality, at)
        SELECT u.job_set, u.id, u.by, u.cardinality, v_at FROM unnest(v_sets, p_ids, p_by, p_cardinalities) u(job_set, id, by, cardinality) WHERE u.by >= 0
        ON CONFLICT (job_set, id) DO UPDATE SET members = g.members + excluded.members, at = v_at
            WHERE g.members + excluded.members <= g.cardinality AND g.cardinality = excluded.cardinality;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    IF v_rows <> (SELECT count(*) FROM unnest(p_by) u(by) WHERE u.by >= 0) THEN
        RAISE EXCEPTION 'members of a gang came meanwhile' USING ERRCODE = 'ZA001';
    END IF;
    UPDATE armada.gang g SET members = g.members + u.by, at = v_at
        FROM unnest(v_sets, p_ids, p_by) u(job_set, id, by) WHERE u.by < 0 AND g.job_set = u.job_set AND g.id = u.id;
    DELETE FROM armada.gang g USING unnest(v_sets, p_ids) u(job_set, id) WHERE g.job_set = u.job_set AND g.id = u.id AND g.members <= 0;
    RETURN v_clock;
END $$;

-- prune_sets deletes the events and the counts of gangs that were written before any
-- job of their job set that is still known, at most p_limit rows, and job sets
-- without jobs. It returns up to which of the job sets it came.
CREATE OR REPLACE FUNCTION armada.prune_sets(p_now bigint, p_sets bigint[], p_limit bigint, OUT o_came bigint, OUT o_events bigint) LANGUAGE plpgsql AS $$
DECLARE v_set bigint; v_oldest bigint; v_last bigint; v_rows bigint; v_events bigint; v_rest bigint := p_limit;
BEGIN
    PERFORM armada.enter(p_now);
    o_came := 0;
    o_events := 0;
    FOREACH v_set IN ARRAY p_sets LOOP
        SELECT submitted INTO v_oldest FROM armada.job WHERE job_set = v_set ORDER BY number LIMIT 1;
        WITH old AS (SELECT id FROM armada.gang WHERE job_set = v_set AND at < coalesce(v_oldest, 9223372036854775807) ORDER BY at LIMIT v_rest),
            gone AS (DELETE FROM armada.gang g USING old WHERE g.job_set = v_set AND g.id = old.id RETURNING g.id)
        SELECT v_rest - count(*) INTO v_rest FROM gone;
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
