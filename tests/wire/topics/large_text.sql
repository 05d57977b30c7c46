-- A value over several pages, compressed and not, and text beyond ASCII at word boundaries.
CREATE TABLE t (id int PRIMARY KEY, doc text);
CREATE PUBLICATION wire FOR TABLE t;
-- slot
INSERT INTO t VALUES (1, repeat('switch back ', 2000));
INSERT INTO t SELECT 10 + n, repeat('x', n) || 'ß€😀' || repeat('y', 9) FROM generate_series(0, 8) n;
