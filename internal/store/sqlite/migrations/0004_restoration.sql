-- What is known of this file having been brought back from a copy. One row:
-- how often, and until when nothing may be started.
CREATE TABLE restoration (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    lives INTEGER NOT NULL,
    held  INTEGER NOT NULL
);
INSERT INTO restoration VALUES (1, 0, 0);
