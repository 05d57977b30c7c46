-- The relation changes between rows, also inside a transaction: each row has the relation of its own moment.
CREATE TABLE t (id int PRIMARY KEY, a text);
CREATE PUBLICATION wire FOR TABLE t;
-- slot
INSERT INTO t VALUES (1, 'a');
ALTER TABLE t RENAME a TO b;
INSERT INTO t VALUES (2, 'b');
BEGIN;
INSERT INTO t VALUES (3, 'c');
ALTER TABLE t ADD c int DEFAULT 7;
INSERT INTO t VALUES (4, 'd', NULL);
ALTER TABLE t DROP b;
INSERT INTO t VALUES (5, 9);
COMMIT;
ALTER TABLE t ALTER c TYPE bigint;
ALTER TABLE t RENAME TO t2;
INSERT INTO t2 VALUES (6, 10);
CREATE SCHEMA elsewhere;
ALTER TABLE t2 SET SCHEMA elsewhere;
INSERT INTO elsewhere.t2 VALUES (7, 11);
