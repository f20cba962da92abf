-- What is asked for is counted and indexed. A job set's row, which every
-- transaction with an event of it writes anyway, has its jobs by state; tally has
-- those of queues.
ALTER TABLE job_set ADD COLUMN queued INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job_set ADD COLUMN leased INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job_set ADD COLUMN pending INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job_set ADD COLUMN running INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job_set ADD COLUMN succeeded INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job_set ADD COLUMN failed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job_set ADD COLUMN cancelled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job_set ADD COLUMN preempted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job_set ADD COLUMN rejected INTEGER NOT NULL DEFAULT 0;

CREATE TABLE tally (
    queue INTEGER NOT NULL,
    state INTEGER NOT NULL,
    jobs  INTEGER NOT NULL,
    PRIMARY KEY (queue, state)
) WITHOUT ROWID;

CREATE TABLE counted (job_set INTEGER, state INTEGER, queue INTEGER, jobs INTEGER, PRIMARY KEY (job_set, state)) WITHOUT ROWID;
INSERT INTO counted SELECT job_set, state, queue, count(*) FROM job GROUP BY job_set, state;
UPDATE job_set SET
    queued = coalesce((SELECT jobs FROM counted WHERE counted.job_set = job_set.id AND state = 1), 0),
    leased = coalesce((SELECT jobs FROM counted WHERE counted.job_set = job_set.id AND state = 2), 0),
    pending = coalesce((SELECT jobs FROM counted WHERE counted.job_set = job_set.id AND state = 3), 0),
    running = coalesce((SELECT jobs FROM counted WHERE counted.job_set = job_set.id AND state = 4), 0),
    succeeded = coalesce((SELECT jobs FROM counted WHERE counted.job_set = job_set.id AND state = 5), 0),
    failed = coalesce((SELECT jobs FROM counted WHERE counted.job_set = job_set.id AND state = 6), 0),
    cancelled = coalesce((SELECT jobs FROM counted WHERE counted.job_set = job_set.id AND state = 7), 0),
    preempted = coalesce((SELECT jobs FROM counted WHERE counted.job_set = job_set.id AND state = 8), 0),
    rejected = coalesce((SELECT jobs FROM counted WHERE counted.job_set = job_set.id AND state = 9), 0);
INSERT INTO tally SELECT queue, state, sum(jobs) FROM counted GROUP BY queue, state;
DROP TABLE counted;

CREATE INDEX job_set_name ON job_set (name);
-- An entry comes with a job set's first active job and goes with its last.
CREATE INDEX job_set_active ON job_set (queue) WHERE queued + leased + pending + running > 0;

-- Finished jobs by their state, which is written once: while a job is active no
-- entry of it is here.
CREATE INDEX job_ended ON job (queue, state) WHERE ended != 0;

-- Jobs by owner and by annotations that are named in the configuration. Jobs from
-- number since on have their marks; a name without since is not indexed any more.
-- The name of the owners is empty.
CREATE TABLE mark_key (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    name  TEXT NOT NULL UNIQUE,
    since INTEGER
);
CREATE TABLE mark (
    key    INTEGER NOT NULL,
    value  TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (key, value, number)
) WITHOUT ROWID;
