-- How many members gangs have: the active ones, and those that had a run. What was
-- submitted before is not counted. at is when a member came or went: the row goes
-- with the events of that time.

CREATE TABLE gang (
    job_set     INTEGER NOT NULL,
    id          TEXT NOT NULL,
    members     INTEGER NOT NULL,
    cardinality INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (job_set, id)
) WITHOUT ROWID;
CREATE INDEX gang_at ON gang (job_set, at);
