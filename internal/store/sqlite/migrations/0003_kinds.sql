-- What is known of an executor's nodes beyond those that there are: their kinds
-- of the last day, and whether its present session has reported its nodes.

ALTER TABLE executor ADD COLUMN kinds BLOB;
ALTER TABLE executor ADD COLUMN reported INTEGER NOT NULL DEFAULT 0;
