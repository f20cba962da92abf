-- works with programs of form 2
-- What is known of this database having been brought back from a copy.

-- One row. Home names the database as its server does: another one than the
-- present, and the tables came here by a dump. Empty: not known yet.
CREATE TABLE armada.restoration (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    lives bigint NOT NULL DEFAULT 0, -- how often it was restored
    held  bigint NOT NULL DEFAULT 0, -- until then nothing may be started
    home  text NOT NULL DEFAULT ''
) WITH (fillfactor = 10);
INSERT INTO armada.restoration DEFAULT VALUES;

-- home is the cluster, where we may ask for it, the database and the table: the
-- first differs where a dump is loaded elsewhere, the second in another database,
-- the third in the same one.
CREATE FUNCTION armada.home() RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE v_cluster text := '-';
BEGIN
    IF has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') THEN
        v_cluster := (SELECT system_identifier FROM pg_catalog.pg_control_system());
    END IF;
    RETURN v_cluster || '/' || (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
        || '/' || 'armada.restoration'::regclass::oid;
END $$;

-- restored begins another life. Programs that know nothing of lives are shut out.
-- The rows of the feed move, and stay: who is in doubt about a commit finds it.
CREATE FUNCTION armada.restored(p_now bigint, p_hold bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_at bigint;
BEGIN
    v_at := armada.enter(p_now);
    UPDATE armada.lane SET seq = seq + 1099511627776, job = job + 1099511627776;
    UPDATE armada.change SET seq = seq + 1099511627776;
    UPDATE armada.leader SET replica = '', addr = '', until = 0, epoch = epoch + 1099511627776;
    UPDATE armada.executor SET session = '', reported = false;
    UPDATE armada.restoration SET lives = lives + 1, held = greatest(held, v_at + p_hold), home = armada.home();
    UPDATE armada.form SET needs = greatest(needs, number) WHERE name LIKE '%_restoration.sql';
END $$;

-- recognise restores a database that came here by a dump, and tells whether it did.
CREATE FUNCTION armada.recognise(p_now bigint, p_hold bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE v_home text;
BEGIN
    PERFORM armada.enter(p_now);
    SELECT home INTO v_home FROM armada.restoration;
    IF v_home = armada.home() THEN
        RETURN false;
    END IF;
    IF v_home = '' THEN
        UPDATE armada.restoration SET home = armada.home();
        RETURN false;
    END IF;
    PERFORM armada.restored(p_now, p_hold);
    RETURN true;
END $$;

CREATE FUNCTION armada.hold(p_now bigint, p_at_least bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_at bigint;
BEGIN
    v_at := armada.enter(p_now);
    UPDATE armada.restoration SET held = greatest(held, v_at + p_at_least) WHERE held > v_at;
END $$;

-- Since when the leader leads, for those who ask.
ALTER TABLE armada.leader ADD COLUMN since bigint NOT NULL DEFAULT 0;

CREATE OR REPLACE FUNCTION armada.lead(p_now bigint, p_replica text, p_addr text, p_ttl bigint,
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
    UPDATE armada.leader SET replica = o_replica, addr = o_addr, epoch = o_epoch, until = o_until,
        since = CASE WHEN o_new THEN v_at ELSE since END;
END $$;
