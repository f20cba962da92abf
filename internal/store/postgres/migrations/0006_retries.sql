-- works with programs of form 2
-- Which attempts that ended badly are repeated. Queues name the policies. Older
-- programs repeat none, and drop what the jobs that they change have learned.

CREATE TABLE armada.retry_policy (
    name text COLLATE "C" PRIMARY KEY,
    body bytea NOT NULL
);

CREATE FUNCTION armada.put_retry_policy(p_now bigint, p_name text, p_body bytea, p_must_exist boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM armada.enter(p_now);
    UPDATE armada.retry_policy SET body = p_body WHERE name = p_name;
    IF NOT FOUND THEN
        IF p_must_exist THEN
            RAISE EXCEPTION 'retry policy "%" does not exist', p_name USING ERRCODE = 'ZA003';
        END IF;
        INSERT INTO armada.retry_policy (name, body) VALUES (p_name, p_body);
    END IF;
END $$;

-- delete_retry_policy takes the policy off the queues that name it: in the bodies
-- of queues JSON follows a byte of version.
CREATE FUNCTION armada.delete_retry_policy(p_now bigint, p_name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_at bigint; v_queue record;
BEGIN
    v_at := armada.enter(p_now);
    DELETE FROM armada.retry_policy WHERE name = p_name;
    FOR v_queue IN SELECT id, body, convert_from(substr(body, 2), 'UTF8') AS json FROM armada.queue
        WHERE position(convert_to('"' || p_name || '"', 'UTF8') IN body) > 0
    LOOP
        CONTINUE WHEN NOT coalesce(v_queue.json::jsonb -> 'RetryPolicies' ? p_name, false);
        UPDATE armada.queue SET body = substr(v_queue.body, 1, 1) || convert_to(
            jsonb_set(v_queue.json::jsonb, '{RetryPolicies}', (v_queue.json::jsonb -> 'RetryPolicies') - p_name)::text, 'UTF8') WHERE id = v_queue.id;
        PERFORM armada.touch(v_at, v_queue.id * 4 + 1);
    END LOOP;
END $$;
