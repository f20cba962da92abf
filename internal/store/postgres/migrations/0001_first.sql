-- The first form of the database. Blobs are written by internal/store/codec.
-- Times are microseconds since 1970. Nothing here is newer than PostgreSQL 13.

CREATE FUNCTION armada.clock() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
$$;

-- One row: the lane. Whoever writes updates it first and so holds it until its
-- transaction is over.
CREATE TABLE armada.lane (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq bigint NOT NULL DEFAULT 0, -- the latest row of the feed
    job bigint NOT NULL DEFAULT 0, -- the latest number of a job
    at  bigint NOT NULL DEFAULT 0  -- the time of the latest transaction: it never goes back
) WITH (fillfactor = 10);
INSERT INTO armada.lane DEFAULT VALUES;

CREATE TABLE armada.queue (
    id      bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name    text COLLATE "C" NOT NULL UNIQUE,
    deleted boolean NOT NULL DEFAULT false, -- kept while its last jobs end
    body    bytea NOT NULL
);

-- How many jobs of a queue are queued.
CREATE TABLE armada.queued (
    queue bigint PRIMARY KEY,
    jobs  bigint NOT NULL
) WITH (fillfactor = 10);

-- The row's id is the incarnation. A closed one takes no new jobs.
CREATE TABLE armada.job_set (
    id     bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    queue  text COLLATE "C" NOT NULL,
    name   text COLLATE "C" NOT NULL,
    closed boolean NOT NULL DEFAULT false,
    last   bigint NOT NULL DEFAULT 0, -- number of its latest event
    pruned bigint NOT NULL DEFAULT 0  -- events up to this number are gone
) WITH (fillfactor = 50);
CREATE INDEX job_set_key ON armada.job_set (queue, name, id);
CREATE INDEX job_set_name ON armada.job_set (name);
CREATE UNIQUE INDEX job_set_open ON armada.job_set (queue, name) WHERE NOT closed;

-- One row per job set and transaction.
CREATE TABLE armada.event_block (
    job_set bigint NOT NULL,
    last    bigint NOT NULL, -- number of its last event
    count   integer NOT NULL,
    at      bigint NOT NULL,
    events  bytea NOT NULL,
    PRIMARY KEY (job_set, last)
);
ALTER TABLE armada.event_block ALTER COLUMN events SET STORAGE EXTERNAL;

-- uses counts the jobs that name the row.
CREATE TABLE armada.template (
    id   bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    hash text COLLATE "C" NOT NULL UNIQUE,
    uses bigint NOT NULL,
    body bytea NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE armada.shape (
    id   bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    hash text COLLATE "C" NOT NULL UNIQUE,
    uses bigint NOT NULL,
    body bytea NOT NULL
) WITH (fillfactor = 70);

-- What never changes of a job. It is written once and deleted once.
CREATE TABLE armada.job (
    number    bigint PRIMARY KEY,
    id        text COLLATE "C" NOT NULL CONSTRAINT job_id UNIQUE,
    queue     bigint NOT NULL,
    job_set   bigint NOT NULL,
    template  bigint NOT NULL,
    shape     bigint NOT NULL,
    submitted bigint NOT NULL,
    fixed     bytea NOT NULL,
    details   bytea NOT NULL
);
CREATE INDEX job_of_queue ON armada.job (queue, number);
CREATE INDEX job_of_set ON armada.job (job_set, number);

-- The lives of active jobs. turn grows with every change of the row; no index
-- mentions what changes but executor, which is set while a run is held.
CREATE TABLE armada.active (
    number     bigint PRIMARY KEY,
    queue      bigint NOT NULL,
    job_set    bigint NOT NULL,
    turn       bigint NOT NULL DEFAULT 1,
    state      smallint NOT NULL,
    cancelling boolean NOT NULL DEFAULT false, -- somebody wishes to cancel it
    executor   text COLLATE "C",
    life       bytea NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX active_of_set ON armada.active (queue, job_set, number);
CREATE INDEX active_held ON armada.active (executor) WHERE executor IS NOT NULL;

-- The lives of finished jobs.
CREATE TABLE armada.ended (
    number bigint PRIMARY KEY,
    at     bigint NOT NULL,
    state  smallint NOT NULL,
    life   bytea NOT NULL
);

-- Attempts that another attempt followed; the latest is in the job's life.
CREATE TABLE armada.run (
    job     bigint NOT NULL,
    attempt integer NOT NULL,
    body    bytea NOT NULL,
    PRIMARY KEY (job, attempt)
);

CREATE TABLE armada.client_id (
    queue bigint NOT NULL,
    name  text COLLATE "C" NOT NULL,
    job   text COLLATE "C" NOT NULL,
    at    bigint NOT NULL,
    CONSTRAINT client_id_key PRIMARY KEY (queue, name)
);
CREATE INDEX client_id_at ON armada.client_id USING brin (at) WITH (autosummarize = on);

-- The feed: a row per transaction, holding what it touched. Commit is the
-- transaction's own name, by which its writer finds out that it was done.
CREATE TABLE armada.change (
    seq    bigint PRIMARY KEY,
    at     bigint NOT NULL,
    commit bytea UNIQUE,
    first  bigint NOT NULL DEFAULT 0, -- the new jobs are fresh numbers from this one on
    fresh  integer NOT NULL DEFAULT 0,
    one    bigint NOT NULL DEFAULT 0, -- a single element
    body   bytea NOT NULL DEFAULT '', -- more elements
    sets   bigint[] NOT NULL DEFAULT '{}' -- job sets with new events
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE armada.executor (
    number        bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    id            text COLLATE "C" NOT NULL UNIQUE,
    deleted       boolean NOT NULL DEFAULT false,
    kind          smallint NOT NULL,
    session       text NOT NULL,
    lease         bigint NOT NULL, -- microseconds
    acknowledged  bigint NOT NULL,
    replica       text NOT NULL,
    replica_addr  text NOT NULL,
    cordoned      boolean NOT NULL DEFAULT false,
    cordon_reason text NOT NULL DEFAULT '',
    nodes_hash    bytea NOT NULL DEFAULT '',
    nodes         bytea NOT NULL DEFAULT '', -- compressed
    reported      boolean NOT NULL DEFAULT false, -- the session has put its nodes
    kinds         bytea NOT NULL DEFAULT '' -- kinds of nodes that are remembered
) WITH (fillfactor = 50);
ALTER TABLE armada.executor ALTER COLUMN nodes SET STORAGE EXTERNAL;

-- One row. No replica leads while replica is empty.
CREATE TABLE armada.leader (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    replica text NOT NULL DEFAULT '',
    addr    text NOT NULL DEFAULT '', -- where the others reach it
    epoch   bigint NOT NULL DEFAULT 0,
    until   bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO armada.leader DEFAULT VALUES;
