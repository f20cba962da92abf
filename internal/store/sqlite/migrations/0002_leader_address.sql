-- Where the leading replica is reached by the others.
ALTER TABLE leader ADD COLUMN addr TEXT NOT NULL DEFAULT '';
