-- The first form of the database. Blobs are written by internal/store/codec.

CREATE TABLE queue (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    name    TEXT NOT NULL UNIQUE,
    deleted INTEGER NOT NULL DEFAULT 0, -- kept while its last jobs end
    body    BLOB NOT NULL
);

-- The row's id is the incarnation. A closed one takes no new jobs.
CREATE TABLE job_set (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    queue  TEXT NOT NULL,
    name   TEXT NOT NULL,
    closed INTEGER NOT NULL DEFAULT 0,
    last   INTEGER NOT NULL DEFAULT 0, -- number of its latest event
    pruned INTEGER NOT NULL DEFAULT 0  -- events up to this number are gone
);
CREATE INDEX job_set_key ON job_set (queue, name);

-- One row per job set and transaction, so row ids follow time.
CREATE TABLE event_block (
    id      INTEGER PRIMARY KEY,
    job_set INTEGER NOT NULL,
    last    INTEGER NOT NULL, -- number of its last event
    count   INTEGER NOT NULL,
    at      INTEGER NOT NULL, -- when it was written, microseconds
    events  BLOB NOT NULL
);
CREATE INDEX event_block_place ON event_block (job_set, last);

-- uses counts the jobs that name the row.
CREATE TABLE template (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    hash TEXT NOT NULL UNIQUE,
    uses INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX template_unused ON template (id) WHERE uses = 0;

CREATE TABLE shape (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    hash TEXT NOT NULL UNIQUE,
    uses INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX shape_unused ON shape (id) WHERE uses = 0;

-- ended is 0 while the job is active. What transitions change on the way is in
-- state and life, which no index mentions; executor is set while a run is held.
CREATE TABLE job (
    number    INTEGER PRIMARY KEY AUTOINCREMENT,
    id        TEXT NOT NULL UNIQUE,
    queue     INTEGER NOT NULL,
    job_set   INTEGER NOT NULL,
    template  INTEGER NOT NULL,
    shape     INTEGER NOT NULL,
    submitted INTEGER NOT NULL,
    state     INTEGER NOT NULL,
    executor  TEXT,
    ended     INTEGER NOT NULL,
    life      BLOB NOT NULL,
    fixed     BLOB NOT NULL,
    details   BLOB NOT NULL
);
CREATE INDEX job_of_queue ON job (queue);
CREATE INDEX job_of_set ON job (job_set);
CREATE INDEX job_active ON job (queue, job_set) WHERE ended = 0;
CREATE INDEX job_held ON job (executor) WHERE executor IS NOT NULL;

-- Attempts that another attempt followed; the latest is in job.life.
CREATE TABLE run (
    job     INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    body    BLOB NOT NULL,
    PRIMARY KEY (job, attempt)
) WITHOUT ROWID;

CREATE TABLE client_id (
    id    INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,
    name  TEXT NOT NULL,
    job   TEXT NOT NULL,
    at    INTEGER NOT NULL
);
CREATE UNIQUE INDEX client_id_key ON client_id (queue, name);

-- The feed: one row per transaction, holding what it touched.
CREATE TABLE change (
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    at   INTEGER NOT NULL,
    body BLOB NOT NULL
);

CREATE TABLE executor (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    deleted      INTEGER NOT NULL DEFAULT 0,
    kind         INTEGER NOT NULL,
    session      TEXT NOT NULL,
    lease        INTEGER NOT NULL, -- microseconds
    acknowledged INTEGER NOT NULL,
    replica      TEXT NOT NULL,
    replica_addr TEXT NOT NULL,
    cordoned     INTEGER NOT NULL DEFAULT 0,
    cordon_reason TEXT NOT NULL DEFAULT '',
    nodes_hash   BLOB,
    nodes        BLOB -- compressed
);

-- One row. No replica leads while replica is empty.
CREATE TABLE leader (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    replica TEXT NOT NULL,
    epoch   INTEGER NOT NULL,
    until   INTEGER NOT NULL
);
INSERT INTO leader VALUES (1, '', 0, 0);
