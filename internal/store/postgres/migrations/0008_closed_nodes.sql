-- works with programs of form 2
-- Nodes that operators have closed, one name a line. Older programs place jobs on
-- them while they lead.

ALTER TABLE armada.executor ADD COLUMN closed_nodes text NOT NULL DEFAULT '';

CREATE FUNCTION armada.cordon_node(p_now bigint, p_id text, p_node text, p_cordoned boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_at bigint; v_number bigint; v_had text; v_names text[];
BEGIN
    v_at := armada.enter(p_now);
    SELECT number, closed_nodes INTO v_number, v_had FROM armada.executor WHERE id = p_id AND NOT deleted;
    IF v_number IS NULL THEN
        RAISE EXCEPTION 'executor "%" is not known', p_id USING ERRCODE = 'ZA003';
    END IF;
    v_names := string_to_array(v_had, E'\n');
    IF p_cordoned = (p_node = ANY (v_names)) THEN
        RETURN;
    END IF;
    v_names := CASE WHEN p_cordoned THEN v_names || p_node ELSE array_remove(v_names, p_node) END;
    UPDATE armada.executor SET closed_nodes = array_to_string(v_names, E'\n') WHERE number = v_number;
    PERFORM armada.touch(v_at, v_number * 4 + 2);
END $$;

-- An executor that comes back after it was forgotten has none.
CREATE OR REPLACE FUNCTION armada.delete_executor(p_now bigint, p_id text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_at bigint; v_number bigint; v_job text;
BEGIN
    v_at := armada.enter(p_now);
    SELECT j.id INTO v_job FROM armada.active a JOIN armada.job j ON j.number = a.number WHERE a.executor = p_id LIMIT 1;
    UPDATE armada.executor SET deleted = true, session = '', cordoned = false, cordon_reason = '', nodes = '', nodes_hash = '',
            kinds = '', reported = false, closed_nodes = ''
        WHERE id = p_id AND NOT deleted RETURNING number INTO v_number;
    IF v_number IS NULL THEN
        RETURN;
    END IF;
    IF v_job IS NOT NULL THEN
        RAISE EXCEPTION 'executor "%" has runs, one of job %', p_id, v_job USING ERRCODE = 'ZA002';
    END IF;
    PERFORM armada.touch(v_at, v_number * 4 + 2);
END $$;
