-- Nodes that operators have closed, one name a line.

ALTER TABLE executor ADD COLUMN closed_nodes TEXT NOT NULL DEFAULT '';
