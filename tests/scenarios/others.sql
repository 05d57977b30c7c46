-- Other tools' tests
-- spock and pglogical, wal2json, flink-cdc, go-pq-cdc, pg_replicate, Electric: what their lists have that no suite above has.

-- == rows-that-come-back
-- from: spock: tuple_origin, pglogical: basic
-- what: a row is deleted and inserted again with other values, many times, in one transaction and in several
-- [both]
CREATE TABLE t (id int PRIMARY KEY, v text, w int DEFAULT 1);
-- [rows]
INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, NULL);
-- [then]
BEGIN;
DELETE FROM t WHERE id = 1;
INSERT INTO t VALUES (1, 'a2');
DELETE FROM t WHERE id = 1;
INSERT INTO t VALUES (1, 'a3', NULL);
UPDATE t SET w = 5 WHERE id = 1;
COMMIT;
DELETE FROM t WHERE id = 2;
INSERT INTO t VALUES (2, 'b2');
DELETE FROM t WHERE id = 2;
INSERT INTO t (id, v) VALUES (2, 'b3') ON CONFLICT (id) DO UPDATE SET v = 'never';
DELETE FROM t;
INSERT INTO t SELECT g, 'all' FROM generate_series(1, 3) g;

-- == large-values-come-and-go
-- from: pglogical: toasted, wal2json: toast
-- what: a large value is set, left alone, moved with its key, replaced by an equal one, made small; compressed and not
-- [both]
CREATE TABLE t (id int PRIMARY KEY, c text, e text, n int);
ALTER TABLE t ALTER c SET STORAGE EXTENDED, ALTER e SET STORAGE EXTERNAL;
-- [rows]
INSERT INTO t SELECT g, (SELECT string_agg(md5((g * 100 + k)::text), '') FROM generate_series(1, 300) k), repeat('e', 9000), g FROM generate_series(1, 10) g;
-- [then]
UPDATE t SET n = 0 WHERE id < 3;
UPDATE t SET id = id + 100 WHERE id = 3;
BEGIN;
UPDATE t SET id = id + 100 WHERE id = 4;
UPDATE t SET n = 1 WHERE id = 104;
UPDATE t SET c = 'small' WHERE id = 104;
COMMIT;
UPDATE t SET e = e WHERE id = 5;
UPDATE t SET e = repeat('e', 9000) WHERE id = 6;
BEGIN;
INSERT INTO t SELECT 11, c, e, 11 FROM t WHERE id = 7;
UPDATE t SET n = 12 WHERE id = 11;
UPDATE t SET id = 12 WHERE id = 11;
DELETE FROM t WHERE id = 7;
UPDATE t SET id = 7 WHERE id = 12;
COMMIT;

-- == every-identity-in-turn
-- from: wal2json: update1 to update4, delete1 to delete4
-- what: tables with DEFAULT, FULL, INDEX and composite keys: the key alone, all of it, none of it changes
-- [both]
CREATE TABLE pk_only (a int, b int, c int, PRIMARY KEY (b, a));
CREATE TABLE pk_full (a int, b int, c int, PRIMARY KEY (a, b));
ALTER TABLE pk_full REPLICA IDENTITY FULL;
CREATE TABLE uk_index (a int NOT NULL, b int NOT NULL, c int, UNIQUE (a, b));
ALTER TABLE uk_index REPLICA IDENTITY USING INDEX uk_index_a_b_key;
CREATE TABLE uk_full (a int NOT NULL, b int NOT NULL, c int, UNIQUE (a, b));
ALTER TABLE uk_full REPLICA IDENTITY FULL;
-- [rows]
INSERT INTO pk_only SELECT g, g % 3, g FROM generate_series(1, 20) g;
INSERT INTO pk_full SELECT * FROM pk_only;
INSERT INTO uk_index SELECT * FROM pk_only;
INSERT INTO uk_full SELECT * FROM pk_only;
-- [then]
UPDATE pk_only SET c = -c WHERE a < 5;
UPDATE pk_full SET c = -c WHERE a < 5;
UPDATE uk_index SET c = -c WHERE a < 5;
UPDATE uk_full SET c = -c WHERE a < 5;
UPDATE pk_only SET b = b + 10 WHERE a BETWEEN 5 AND 8;
UPDATE pk_full SET b = b + 10 WHERE a BETWEEN 5 AND 8;
UPDATE uk_index SET b = b + 10 WHERE a BETWEEN 5 AND 8;
UPDATE uk_full SET b = b + 10 WHERE a BETWEEN 5 AND 8;
UPDATE pk_only SET a = b, b = a, c = NULL WHERE a > 15;
UPDATE pk_full SET a = b, b = a, c = NULL WHERE a > 15;
UPDATE uk_index SET a = b, b = a, c = NULL WHERE a > 15;
UPDATE uk_full SET a = b, b = a, c = NULL WHERE a > 15;
DELETE FROM pk_only WHERE c = 10;
DELETE FROM pk_full WHERE c = 10;
DELETE FROM uk_index WHERE c = 10;
DELETE FROM uk_full WHERE c = 10;

-- == identity-changes-its-kind
-- from: pglogical: replication_set, wal2json
-- what: the replica identity of a table changes from key to whole row and back while changes travel, without a copy under way
-- after: while stamps are in force that is refused by design (docs/COPY.md)
-- [both]
CREATE TABLE t (id int PRIMARY KEY, u int NOT NULL UNIQUE, v text);
-- [rows]
INSERT INTO t SELECT g, g, 'v' FROM generate_series(1, 20) g;
-- [then]
UPDATE t SET v = 'one' WHERE id < 5;
ALTER TABLE t REPLICA IDENTITY FULL;
UPDATE t SET v = 'two' WHERE id < 4;
UPDATE t SET id = id + 100 WHERE id = 10;
ALTER TABLE t REPLICA IDENTITY USING INDEX t_u_key;
UPDATE t SET v = 'three', id = id + 200 WHERE u = 3;
UPDATE t SET u = u + 300 WHERE u = 4;
ALTER TABLE t REPLICA IDENTITY DEFAULT;
DELETE FROM t WHERE id = 5;

-- == snapshots-of-sessions
-- from: flink-cdc: newly committed while reading, go-pq-cdc: snapshot
-- what: sessions in SERIALIZABLE and REPEATABLE READ, cursors, two writers of one row where one waits
-- [both]
CREATE TABLE t (id int PRIMARY KEY, v int);
-- [rows]
INSERT INTO t SELECT g, 0 FROM generate_series(1, 10) g;
-- [then]
-- @a
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM t;
-- @b
BEGIN ISOLATION LEVEL SERIALIZABLE;
UPDATE t SET v = 1 WHERE id = 1;
INSERT INTO t VALUES (11, 1);
COMMIT;
-- @a
INSERT INTO t SELECT 12, count(*) FROM t;
COMMIT;
-- @b
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM t WHERE id < 5 ORDER BY id FOR UPDATE;
FETCH 2 FROM c;
UPDATE t SET v = 100 WHERE CURRENT OF c;
FETCH 1 FROM c;
DELETE FROM t WHERE CURRENT OF c;
COMMIT;

-- == copy-and-returning
-- from: go-pq-cdc: copy, pg_replicate: bulk
-- what: rows that come by INSERT ... SELECT of thousands, multi-row VALUES, RETURNING, generate_series with NULLs, all in the log at once
-- [both]
CREATE TABLE t (id bigserial PRIMARY KEY, v text, n numeric);
CREATE TABLE u (id bigint, v text);
-- [rows]
INSERT INTO t (v, n) SELECT 'seed', g FROM generate_series(1, 10) g;
-- [then]
INSERT INTO t (v, n) SELECT CASE WHEN g % 2 = 0 THEN 'x' || g END, NULLIF(g % 5, 0) FROM generate_series(1, 4000) g;
WITH moved AS (DELETE FROM t WHERE id % 3 = 0 RETURNING id, v) INSERT INTO u SELECT * FROM moved;
INSERT INTO t (v) VALUES ('a'), (NULL), ('c') RETURNING id;

-- == a-wide-key
-- from: pg_replicate: composite keys, Electric: tables with many key columns
-- what: a key of nine columns of nine types, of which some are equal and others only alike
-- [both]
CREATE TABLE t (a int, b text, c date, d numeric, e boolean, f uuid, g timestamptz, h bytea, i char(3), v int, PRIMARY KEY (a, b, c, d, e, f, g, h, i));
-- [rows]
INSERT INTO t SELECT n % 2, 'b' || n % 3, date '2026-01-01' + n % 2, n / 2.0, n % 2 = 0, md5((n % 4)::text)::uuid, timestamptz '2026-01-01 00:00+00' + n * interval '1 us', decode(lpad(to_hex(n), 4, '0'), 'hex'), 'x', n FROM generate_series(1, 60) n;
-- [then]
UPDATE t SET v = -v WHERE a = 1;
UPDATE t SET i = 'xy' WHERE v < -40;
UPDATE t SET d = d + 0.5, h = h || '\x00' WHERE v BETWEEN 1 AND 10;
UPDATE t SET d = 1.00 WHERE d = 1.0;
DELETE FROM t WHERE b = 'b0' AND e;

-- == numbers-that-are-equal-but-not-the-same
-- from: Electric: numeric keys, spock: conflict detection
-- what: numeric keys 1.0 and 1.00, float -0 and 0, intervals of a month and of thirty days: equal keys, another text
-- [both]
CREATE TABLE n (k numeric PRIMARY KEY, v int);
CREATE TABLE f (k float8 PRIMARY KEY, v int);
CREATE TABLE i (k interval PRIMARY KEY, v int);
CREATE TABLE c (k char(8) PRIMARY KEY, v int);
-- [rows]
INSERT INTO n VALUES (1.0, 1), (2.50, 2), (3, 3);
INSERT INTO f VALUES ('-0', 1), (1, 2);
INSERT INTO i VALUES ('1 month', 1), ('1 day', 2);
INSERT INTO c VALUES ('a', 1), ('b', 2);
-- [then]
UPDATE n SET k = 1.00 WHERE k = 1;
UPDATE n SET v = 20 WHERE k = 2.5;
BEGIN;
DELETE FROM n WHERE k = 3;
INSERT INTO n VALUES (3.000, 30);
COMMIT;
UPDATE f SET k = 0 WHERE k = 0;
UPDATE i SET k = '30 days' WHERE k = '1 month';
UPDATE i SET v = 9 WHERE k = '24:00:00';
UPDATE c SET v = 5 WHERE k = 'a';

-- == commands-that-write-no-rows
-- from: spock: misc, flink-cdc: empty transactions
-- what: ANALYZE, VACUUM, COMMENT, GRANT, new indexes, dropped indexes, locks, notifications, temporary tables between changes
-- [both]
CREATE TABLE t (id int PRIMARY KEY, v int);
-- [rows]
INSERT INTO t SELECT g, g FROM generate_series(1, 10) g;
-- [then]
ANALYZE t;
VACUUM t;
COMMENT ON TABLE t IS 'a table';
GRANT SELECT ON t TO PUBLIC;
CREATE INDEX of_theirs ON t (v);
UPDATE t SET v = v + 1;
DROP INDEX of_theirs;
BEGIN;
LOCK TABLE t IN SHARE ROW EXCLUSIVE MODE;
NOTIFY something;
UPDATE t SET v = v + 1 WHERE id = 1;
COMMIT;
CREATE TEMP TABLE beside AS SELECT * FROM t;
UPDATE beside SET v = 0;
SELECT pg_advisory_lock(1);
SELECT txid_current();
ALTER TABLE t SET (fillfactor = 70);
ALTER TABLE t ALTER v SET STORAGE PLAIN;
DELETE FROM t WHERE id = 2;

-- == conflict-resolution-of-others
-- from: spock: conflict resolution, pglogical: last_update_wins
-- what: two writable sides and a rule which of them wins
-- out: one side owns a table at any time; what the other holds is a conflict, held or overwritten as configured (docs/APPLY.md)
