-- Which attempts that ended badly are repeated. Queues name the policies.

CREATE TABLE retry_policy (
    name TEXT PRIMARY KEY,
    body BLOB NOT NULL
) WITHOUT ROWID;
