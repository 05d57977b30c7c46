-- Transactions with nothing for us: 14 sends BEGIN and COMMIT, later versions send nothing.
CREATE TABLE t (id int PRIMARY KEY);
CREATE TABLE unpublished (id int);
CREATE PUBLICATION wire FOR TABLE t;
-- slot
INSERT INTO unpublished VALUES (1);
CREATE TABLE other (id int);
UPDATE t SET id = 1 WHERE false;
INSERT INTO t VALUES (1);
UPDATE t SET id = id;
