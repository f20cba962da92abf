-- works with programs of form 2
--
-- settle tells whether a commit was done. When it was not it never will be: its
-- name is taken, by a row without the number of a job, which tells whoever asks
-- again, because the answer was lost, the same.
CREATE OR REPLACE FUNCTION armada.settle(p_commit bytea) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE v_at bigint; v_seq bigint; v_first bigint;
BEGIN
    v_at := armada.enter(0);
    SELECT first INTO v_first FROM armada.change WHERE commit = p_commit;
    IF FOUND THEN
        RETURN v_first > 0;
    END IF;
    UPDATE armada.lane SET seq = seq + 1 RETURNING seq INTO v_seq;
    INSERT INTO armada.change (seq, at, commit) VALUES (v_seq, v_at, p_commit);
    RETURN false;
END $$;
