-- PostgreSQL's own subscription tests
-- The files `src/test/subscription/t/001` to `038` and `100` of PostgreSQL: what its own logical replication is tested with. Two
-- servers, changes on one, what must be on the other. The product stands where the subscription stands there.

-- == keyed-full-and-none
-- from: 001_rep_changes
-- what: inserts, updates and deletes by key, by whole row, and of a table that only grows
-- [both]
CREATE TABLE keyed (id int PRIMARY KEY, note text);
CREATE TABLE whole (id int, note text);
ALTER TABLE whole REPLICA IDENTITY FULL;
CREATE TABLE grows (at int, note text);
CREATE TABLE unused (id int PRIMARY KEY);
-- [rows]
INSERT INTO keyed SELECT g, 'k' || g FROM generate_series(1, 40) g;
INSERT INTO whole SELECT g % 7, 'w' FROM generate_series(1, 40) g;
INSERT INTO grows SELECT g, 'g' FROM generate_series(1, 40) g;
-- [then]
INSERT INTO keyed SELECT g, 'new' FROM generate_series(41, 60) g;
UPDATE keyed SET note = 'touched' WHERE id % 3 = 0;
UPDATE keyed SET id = -id WHERE id > 50;
DELETE FROM keyed WHERE id BETWEEN 10 AND 20;
UPDATE whole SET note = 'x' WHERE id = 3;
DELETE FROM whole WHERE id = 5;
INSERT INTO whole VALUES (5, 'again'), (5, 'again'), (NULL, NULL);
UPDATE whole SET id = 8 WHERE note IS NULL;
INSERT INTO grows VALUES (100, 'more');
DELETE FROM keyed WHERE id = 9999;

-- == key-with-included-columns
-- from: 001_rep_changes
-- what: a primary key that includes more columns; only these change, then only the key
-- [both]
CREATE TABLE t (a int, b text, c int, PRIMARY KEY (a) INCLUDE (b));
-- [rows]
INSERT INTO t SELECT g, 'b' || g, g FROM generate_series(1, 20) g;
-- [then]
UPDATE t SET b = 'changed' WHERE a < 6;
UPDATE t SET a = a + 100 WHERE a > 15;
DELETE FROM t WHERE a = 7;

-- == one-of-many-twins
-- from: 001_rep_changes
-- what: rows that are equal in everything, found by the whole row; exactly one of them goes
-- [both]
CREATE TABLE t (a int, b text);
ALTER TABLE t REPLICA IDENTITY FULL;
-- [rows]
INSERT INTO t SELECT 1, 'same' FROM generate_series(1, 12);
INSERT INTO t SELECT NULL, NULL FROM generate_series(1, 6);
-- [then]
DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t WHERE a = 1);
UPDATE t SET b = 'other' WHERE ctid = (SELECT max(ctid) FROM t WHERE a = 1);
DELETE FROM t WHERE ctid = (SELECT max(ctid) FROM t WHERE a IS NULL);
UPDATE t SET a = 0 WHERE ctid IN (SELECT ctid FROM t WHERE a IS NULL LIMIT 2);
-- [holds]
SELECT count(*) = 16 FROM t;

-- == nothing-happens
-- from: 001_rep_changes
-- what: updates that change nothing, transactions without changes, rolled back ones, savepoints
-- [both]
CREATE TABLE t (id int PRIMARY KEY, v int);
CREATE TABLE w (id int, v int);
ALTER TABLE w REPLICA IDENTITY FULL;
-- [rows]
INSERT INTO t SELECT g, g FROM generate_series(1, 10) g;
INSERT INTO w SELECT g, g FROM generate_series(1, 10) g;
-- [then]
UPDATE t SET v = v;
UPDATE t SET id = id;
UPDATE w SET v = v;
BEGIN;
INSERT INTO t VALUES (100, 1);
ROLLBACK;
BEGIN;
COMMIT;
BEGIN;
INSERT INTO t VALUES (11, 11);
SAVEPOINT a;
DELETE FROM t;
SAVEPOINT b;
INSERT INTO t VALUES (1, -1);
ROLLBACK TO a;
UPDATE t SET v = 12 WHERE id = 11;
RELEASE a;
COMMIT;

-- == keys-change-places
-- from: 001_rep_changes, 100_bugs
-- what: keys that are swapped by way of a third, moved along a chain, freed and taken in one transaction
-- [both]
CREATE TABLE t (id int PRIMARY KEY, v text);
-- [rows]
INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 30) g;
-- [then]
BEGIN;
UPDATE t SET id = 0 WHERE id = 1;
UPDATE t SET id = 1 WHERE id = 2;
UPDATE t SET id = 2 WHERE id = 0;
COMMIT;
BEGIN;
DELETE FROM t WHERE id = 10;
UPDATE t SET id = 10 WHERE id = 11;
INSERT INTO t VALUES (11, 'again');
UPDATE t SET id = 31 WHERE id = 11;
INSERT INTO t VALUES (11, 'and again');
COMMIT;
UPDATE t SET id = id + 1000 WHERE id > 20;
UPDATE t SET id = id - 999 WHERE id > 1000;

-- == values-of-types
-- from: 002_types
-- what: arrays, composites, enums, domains, ranges of one's own, as column and as array; changed element by element
-- [both]
CREATE TYPE pair AS (a int, b text, c numeric);
CREATE TYPE level AS ENUM ('low', 'mid', 'high');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE span AS RANGE (subtype = float8);
CREATE TABLE arrays (id int PRIMARY KEY, i int[], d int[][], t text[], f float8[], n numeric[], ts timestamptz[]);
CREATE TABLE composites (id int PRIMARY KEY, p pair, ps pair[]);
CREATE TABLE enums (l level PRIMARY KEY, ls level[]);
CREATE TABLE domains (p positive PRIMARY KEY, ps positive[]);
CREATE TABLE spans (id int PRIMARY KEY, s span, ss span[], r numrange, tz tstzrange);
CREATE TABLE by_composite (p pair PRIMARY KEY, v int);
-- [rows]
INSERT INTO arrays VALUES (1, '{1,NULL,3}', '{{1,2},{3,4}}', '{"a b","",NULL,"q\"q"}', '{NaN,-Infinity,0.1}', '{1.50,NaN}', '{infinity}');
INSERT INTO composites VALUES (1, '(1,"x, y",2.50)', '{"(1,a,1)",NULL}'), (2, NULL, '{}');
INSERT INTO enums VALUES ('low', '{high,low}'), ('high', NULL);
INSERT INTO domains VALUES (1, '{1,2}'), (2, '{}');
INSERT INTO spans VALUES (1, '[1.5,2.5)', '{"[1,2]","(,)"}', 'empty', '[2026-01-01,infinity)');
INSERT INTO by_composite VALUES ('(1,a,1)', 1), ('(1,,1.0)', 2);
-- [then]
UPDATE arrays SET i[2] = 2, d[2][2] = 9, t = t || '{tail}';
INSERT INTO arrays VALUES (2, '[0:1]={7,8}', NULL, '{}', NULL, NULL, NULL);
UPDATE composites SET p.b = 'half "quoted"', ps = ARRAY[ROW(5, NULL, 1)::pair];
INSERT INTO enums VALUES ('mid', '{}');
UPDATE enums SET ls = '{mid}' WHERE l = 'high';
DELETE FROM enums WHERE l = 'low';
UPDATE domains SET p = p + 10;
UPDATE spans SET s = '(,3.25]', r = '[1.0,1.00]', tz = 'empty';
UPDATE by_composite SET v = 3 WHERE (p).b IS NULL;
UPDATE by_composite SET p.a = 7 WHERE v = 1;

-- == small-print-of-types
-- from: 002_types
-- what: negative zero, trailing zeros, blanks, both midnights, bits, addresses, text search, json with doubled keys
-- [both]
CREATE TABLE t (id int PRIMARY KEY, f float8, n numeric, c char(5), ti time, tz timetz, b bit(5), vb varbit, i inet, m macaddr8, q tsquery, v tsvector, j json, jb jsonb, x xml, mo money, iv interval, l pg_lsn);
ALTER TABLE t REPLICA IDENTITY FULL;
-- [rows]
INSERT INTO t VALUES (1, '-0', '1.10', 'a', '24:00', '00:00:00+14:59', '10101', '1', '10.1.2.3/8', '08:00:2b:01:02:03:04:05', 'a & !b', 'x:1A y', '{"a":1, "a":2}', '{"z":1,"a":[1e400]}', '<a/>', -1.5, '1 mon -1 day 00:00:00.000001', '16/B374D848');
-- [then]
INSERT INTO t (id, f, n, c, ti) VALUES (2, '1e-310', '0.000', '', '00:00'), (3, 'NaN', 'Infinity', 'a b', '23:59:59.999999');
UPDATE t SET j = '{"a":2,  "a":1}', n = '1.100', c = 'a ' WHERE id = 1;
UPDATE t SET f = 0 WHERE id = 1;
DELETE FROM t WHERE id = 3;

-- == foreign-keys-and-cascades
-- from: 003_constraints
-- what: cascades of the source come as changes of their own; the target's foreign keys must not do them a second time
-- [both]
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE orphan (id int PRIMARY KEY, parent int DEFAULT 1 REFERENCES parent ON DELETE SET DEFAULT ON UPDATE SET NULL);
CREATE TABLE self (id int PRIMARY KEY, up int REFERENCES self ON DELETE CASCADE);
-- [rows]
INSERT INTO parent SELECT generate_series(1, 20);
INSERT INTO child SELECT g, g % 20 + 1 FROM generate_series(1, 60) g;
INSERT INTO orphan SELECT g, g % 20 + 1 FROM generate_series(1, 60) g;
INSERT INTO self SELECT g, nullif(g / 2, 0) FROM generate_series(1, 31) g;
-- [then]
DELETE FROM parent WHERE id IN (5, 6, 7);
UPDATE parent SET id = id + 100 WHERE id > 15;
DELETE FROM self WHERE id = 3;
BEGIN;
INSERT INTO parent VALUES (50);
INSERT INTO child VALUES (500, 50);
DELETE FROM parent WHERE id = 50;
COMMIT;

-- == foreign-key-in-a-circle
-- from: 003_constraints
-- what: two tables that refer to one another, deferred; neither order of writing suits a checked foreign key
-- [both]
CREATE TABLE shop (id int PRIMARY KEY, boss int NOT NULL);
CREATE TABLE staff (id int PRIMARY KEY, shop int NOT NULL REFERENCES shop DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE shop ADD FOREIGN KEY (boss) REFERENCES staff DEFERRABLE INITIALLY DEFERRED;
-- [rows]
BEGIN;
INSERT INTO shop VALUES (1, 1), (2, 3);
INSERT INTO staff VALUES (1, 1), (2, 1), (3, 2);
COMMIT;
-- [then]
BEGIN;
INSERT INTO shop VALUES (3, 4);
INSERT INTO staff VALUES (4, 3);
UPDATE shop SET boss = 2 WHERE id = 1;
DELETE FROM staff WHERE id = 1;
COMMIT;
BEGIN;
UPDATE shop SET boss = 4, id = 30 WHERE id = 3;
UPDATE staff SET shop = 30 WHERE shop = 3;
COMMIT;

-- == triggers-of-the-target
-- from: 003_constraints
-- what: an ordinary trigger of the target stays silent, REPLICA and ALWAYS ones fire, once for each row
-- after: the copy fires them, too, and how often depends on when
-- [both]
CREATE TABLE t (id int PRIMARY KEY, v int);
CREATE TABLE plain (id int PRIMARY KEY, v int);
-- [new]
CREATE TABLE heard (who text, id int);
CREATE FUNCTION hear() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE format('INSERT INTO %I.heard VALUES (%L, %s)', tg_table_schema, tg_name, NEW.id); RETURN NEW; END $$;
CREATE TRIGGER silent AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION hear();
CREATE TRIGGER replica AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION hear();
CREATE TRIGGER always AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION hear();
ALTER TABLE t ENABLE REPLICA TRIGGER replica;
ALTER TABLE t ENABLE ALWAYS TRIGGER always;
CREATE TRIGGER silent AFTER INSERT OR UPDATE OR DELETE ON plain FOR EACH ROW EXECUTE FUNCTION hear();
-- [rows]
INSERT INTO t VALUES (1, 1);
INSERT INTO plain VALUES (1, 1);
-- [then]
INSERT INTO t VALUES (2, 2), (3, 3);
UPDATE t SET v = 9 WHERE id = 2;
INSERT INTO plain SELECT generate_series(2, 20), 0;
DELETE FROM plain WHERE id > 10;
-- [holds]
SELECT count(*) = 0 FROM heard WHERE who = 'silent';
SELECT array_agg(id ORDER BY id) FILTER (WHERE who = 'always') = array_agg(id ORDER BY id) FILTER (WHERE who = 'replica') FROM heard;
SELECT array_agg(id ORDER BY id) = '{1,2,2,3}' FROM heard WHERE who = 'always';

-- == triggers-of-both-sides
-- from: 003_constraints
-- what: the same triggers on both sides write into a journal and change the row; what they did travels, and is not done again
-- [both]
CREATE TABLE t (id int PRIMARY KEY, v int, changes int DEFAULT 0);
CREATE TABLE journal (n serial PRIMARY KEY, what text, id int);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE format('INSERT INTO %I.journal (what, id) VALUES (%L, %s)', tg_table_schema, tg_op, coalesce(NEW.id, OLD.id)); RETURN NULL; END $$;
CREATE FUNCTION count_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.changes := NEW.changes + 1; RETURN NEW; END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER count_up BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION count_up();
-- [rows]
INSERT INTO t SELECT g, g FROM generate_series(1, 20) g;
-- [then]
UPDATE t SET v = v * 2 WHERE id <= 10;
UPDATE t SET id = id + 100 WHERE id > 15;
DELETE FROM t WHERE id = 3;
INSERT INTO t SELECT g, g FROM generate_series(21, 30) g ON CONFLICT (id) DO UPDATE SET v = 0;
INSERT INTO t VALUES (4, 0) ON CONFLICT (id) DO UPDATE SET v = -1;

-- == rules-of-both-sides
-- from: 003_constraints
-- what: a rule that turns deletes into updates on the source; on the target it must not turn anything
-- [both]
CREATE TABLE t (id int PRIMARY KEY, gone bool DEFAULT false);
CREATE RULE keep AS ON DELETE TO t DO INSTEAD UPDATE t SET gone = true WHERE id = OLD.id;
CREATE TABLE u (id int PRIMARY KEY);
CREATE RULE also AS ON INSERT TO u DO ALSO INSERT INTO t VALUES (NEW.id + 1000);
-- [rows]
INSERT INTO t SELECT generate_series(1, 10);
-- [then]
DELETE FROM t WHERE id < 4;
INSERT INTO u SELECT generate_series(1, 30);
ALTER TABLE t DISABLE RULE keep;
DELETE FROM t WHERE id = 5;
DELETE FROM t WHERE id BETWEEN 1001 AND 1025;

-- == a-trigger-that-refuses-rows
-- from: 003_constraints
-- what: a REPLICA trigger of the target leaves out an update; there it vanishes, here it is a conflict that somebody must see
-- stops: SB-CONFLICT
-- [both]
CREATE TABLE t (id int PRIMARY KEY, v int);
-- [new]
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.v > 10 THEN RETURN NULL; END IF; RETURN NEW; END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION refuse();
ALTER TABLE t ENABLE REPLICA TRIGGER refuse;
-- [rows]
INSERT INTO t VALUES (1, 1);
-- [then]
UPDATE t SET v = 11;
-- [holds]
SELECT v = 1 FROM t;

-- == check-constraints-hold
-- from: 003_constraints
-- what: a check constraint that only the target has refuses a row: there the worker repeats for ever, here it stops and says so
-- stops: SB-POISON
-- [both]
CREATE TABLE t (id int PRIMARY KEY, v int);
-- [new]
ALTER TABLE t ADD CHECK (v < 100);
-- [rows]
INSERT INTO t VALUES (1, 1);
-- [then]
BEGIN;
INSERT INTO t VALUES (2, 2);
INSERT INTO t VALUES (3, 300);
COMMIT;
-- [holds]
SELECT array_agg(id) = '{1}' FROM t;

-- == rows-before-and-after
-- from: 004_sync
-- what: rows of before arrive by the copy, rows of after by the stream, each once; a table that is empty at first
-- [both]
CREATE TABLE filled (id int PRIMARY KEY, v text);
CREATE TABLE empty (id int PRIMARY KEY, v text);
CREATE TABLE log (at int, v text);
-- [rows]
INSERT INTO filled SELECT g, repeat('x', g % 50) FROM generate_series(1, 3000) g;
INSERT INTO log SELECT g, 'l' FROM generate_series(1, 1000) g;
-- [then]
INSERT INTO filled SELECT g, 'late' FROM generate_series(3001, 3100) g;
INSERT INTO empty SELECT g, 'e' FROM generate_series(1, 50) g;
INSERT INTO log SELECT g, 'l' FROM generate_series(1001, 1100) g;
UPDATE filled SET v = v || '!' WHERE id % 100 = 0;
DELETE FROM filled WHERE id % 101 = 0;

-- == a-target-with-rows
-- from: 004_sync
-- what: there a copy into rows of others fails and is tried for ever; here the copy is refused before anything is written
-- elsewhere: fault/test_copy.py::test_a_target_that_is_not_empty_is_refused_before_anything_is_written

-- == other-encodings
-- from: 005_encoding
-- what: a source in LATIN1 and a target in UTF8
-- elsewhere: integration/test_row_shapes.py::test_text_of_another_encoding_is_converted

-- == characters
-- from: 005_encoding
-- what: text of one to four bytes a character, composed and decomposed, the last code point, as value and as key
-- [both]
CREATE TABLE t (k text PRIMARY KEY, v text);
-- [rows]
INSERT INTO t VALUES ('ü', U&'\00fc'), (U&'u\0308', 'two'), ('表', 'three bytes'), (U&'\+01f600', 'four'), (U&'\+10ffff', 'last'), ('', 'none'), (E'\t\n\r\\', 'control');
-- [then]
UPDATE t SET v = v || U&'\+01f680' WHERE k <> '';
UPDATE t SET k = U&'\+01f4a9' WHERE k = U&'\+01f600';
DELETE FROM t WHERE k = U&'u\0308';
UPDATE t SET v = NULL WHERE k = '';

-- == a-rewrite-in-the-middle
-- from: 006_rewrite
-- what: VACUUM FULL, CLUSTER and REINDEX between changes: a new file for the table, the same rows
-- [both]
CREATE TABLE t (id int PRIMARY KEY, v text);
-- [rows]
INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 200) g;
-- [then]
UPDATE t SET v = 'one' WHERE id % 2 = 0;
VACUUM FULL t;
UPDATE t SET v = 'two' WHERE id % 3 = 0;
CLUSTER t USING t_pkey;
DELETE FROM t WHERE id % 5 = 0;
REINDEX TABLE t;
INSERT INTO t SELECT g, 'late' FROM generate_series(201, 210) g;

-- == ddl-of-publications
-- from: 007_ddl
-- what: CREATE, ALTER and DROP SUBSCRIPTION in one transaction, publications that do not exist
-- elsewhere: integration/test_capture.py::test_a_publication_made_anew_does_not_pass

-- == a-target-of-another-shape
-- from: 008_diff_schema
-- what: other order, wider types, columns of the target's own with defaults, a serial and a generated one, a column dropped on either side
-- [old]
CREATE TABLE t (a int PRIMARY KEY, gone int, b text, c int);
ALTER TABLE t DROP COLUMN gone;
CREATE TABLE w (a int, b text);
ALTER TABLE w REPLICA IDENTITY FULL;
-- [new]
CREATE TABLE t (c bigint, own timestamptz DEFAULT '2026-01-01', gone_here int, b text, n serial, a bigint PRIMARY KEY, double bigint GENERATED ALWAYS AS (a * 2) STORED);
ALTER TABLE t DROP COLUMN gone_here;
CREATE TABLE w (b text, own int DEFAULT 7, a bigint);
-- [rows]
INSERT INTO t SELECT g, 'b' || g, g FROM generate_series(1, 30) g;
INSERT INTO w SELECT g, 'w' FROM generate_series(1, 30) g;
-- [then]
UPDATE t SET c = c * 2 WHERE a < 10;
UPDATE t SET a = a + 100 WHERE a > 25;
INSERT INTO t VALUES (50, NULL, NULL);
DELETE FROM t WHERE a = 11;
UPDATE w SET b = 'x' WHERE a = 3;
DELETE FROM w WHERE a = 4;
INSERT INTO w VALUES (NULL, NULL);
-- [holds]
SELECT bool_and(own = '2026-01-01' AND n > 0 AND double = a * 2) FROM t;
SELECT bool_and(own = 7) FROM w;

-- == matviews-stay-home
-- from: 009_matviews
-- what: rows that REFRESH writes: the view's own must not come, the table's must
-- by-hand: moved, the view is filled from the table
-- [both]
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE MATERIALIZED VIEW m AS SELECT * FROM t;
CREATE UNIQUE INDEX ON m (id);
-- [rows]
INSERT INTO t VALUES (1, 'a'), (2, 'b');
-- [then]
REFRESH MATERIALIZED VIEW m;
INSERT INTO t VALUES (3, 'c');
REFRESH MATERIALIZED VIEW CONCURRENTLY m;
UPDATE t SET v = 'z' WHERE id = 1;
-- [holds]
SELECT count(*) = 0 FROM m;

-- == truncate-of-several
-- from: 010_truncate
-- what: two tables in one TRUNCATE, with rows of the same transaction before and after it
-- [both]
CREATE TABLE a (id int PRIMARY KEY, v int);
CREATE TABLE b (id int PRIMARY KEY, v int);
CREATE TABLE c (id int);
-- [rows]
INSERT INTO a SELECT g, g FROM generate_series(1, 50) g;
INSERT INTO b SELECT g, g FROM generate_series(1, 50) g;
INSERT INTO c SELECT generate_series(1, 50);
-- [then]
BEGIN;
INSERT INTO a VALUES (51, 51);
UPDATE b SET v = 0;
TRUNCATE a, b, c;
INSERT INTO a VALUES (1, 100);
INSERT INTO c VALUES (7);
TRUNCATE b;
INSERT INTO b VALUES (2, 200);
COMMIT;
UPDATE a SET v = 101;

-- == truncate-cascade-and-restart
-- from: 010_truncate
-- what: CASCADE takes the referring tables with it; RESTART IDENTITY begins anew
-- [both]
CREATE TABLE p (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v int);
CREATE TABLE q (id serial PRIMARY KEY, p int REFERENCES p);
-- [rows]
INSERT INTO p (v) SELECT generate_series(1, 20);
INSERT INTO q (p) SELECT generate_series(1, 20);
-- [then]
TRUNCATE p RESTART IDENTITY CASCADE;
INSERT INTO p (v) VALUES (1000);
INSERT INTO q (p) VALUES (1);

-- == truncate-only-and-partitions
-- from: 010_truncate
-- what: ONLY the parent of children that inherit; the root of a partitioned table; a truncated table truncated again
-- [both]
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent);
CREATE TABLE part (id int, k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
CREATE TABLE part_2 PARTITION OF part FOR VALUES IN (2);
-- [rows]
INSERT INTO parent SELECT generate_series(1, 10);
INSERT INTO child SELECT generate_series(1, 10);
INSERT INTO part SELECT g, g % 2 + 1 FROM generate_series(1, 20) g;
-- [then]
TRUNCATE ONLY parent;
TRUNCATE part;
INSERT INTO part VALUES (1, 1);
TRUNCATE part;
TRUNCATE part;
INSERT INTO part VALUES (2, 2);
INSERT INTO parent VALUES (77);
-- [holds]
SELECT count(*) = 10 FROM child;

-- == truncate-rolled-back
-- from: 010_truncate
-- what: a TRUNCATE of a savepoint that is rolled back, with rows written behind it
-- [both]
CREATE TABLE t (id int PRIMARY KEY);
-- [rows]
INSERT INTO t SELECT generate_series(1, 10);
-- [then]
BEGIN;
SAVEPOINT s;
TRUNCATE t;
INSERT INTO t VALUES (1), (99);
ROLLBACK TO s;
INSERT INTO t VALUES (11);
COMMIT;

-- == truncate-that-the-target-refuses
-- from: 010_truncate
-- what: a foreign key that only the target has stands against a TRUNCATE
-- stops: SB-POISON
-- [both]
CREATE TABLE t (id int PRIMARY KEY);
-- [new]
CREATE TABLE mine (id int REFERENCES t);
-- [rows]
INSERT INTO t VALUES (1), (2);
-- [then]
TRUNCATE t;
-- [holds]
SELECT count(*) = 2 FROM t;

-- == generated-on-both
-- from: 011_generated
-- what: stored columns of the old and the new value; one that depends on a column that did not travel; a generated column first
-- [both]
CREATE TABLE t (g int GENERATED ALWAYS AS (b * 10) STORED, a int PRIMARY KEY, b int, big text, l int GENERATED ALWAYS AS (length(big)) STORED);
ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
-- [rows]
INSERT INTO t (a, b, big) SELECT g, g, repeat(md5(g::text), 100) FROM generate_series(1, 10) g;
-- [then]
UPDATE t SET b = b + 1 WHERE a < 5;
UPDATE t SET a = a + 100 WHERE a = 9;
INSERT INTO t (a, b) VALUES (11, NULL);
UPDATE t SET big = 'short' WHERE a = 2;
DELETE FROM t WHERE a = 10;
-- [holds]
SELECT bool_and(l = length(big) AND g = b * 10) FROM t WHERE a < 9;

-- == generated-virtual
-- from: 011_generated
-- what: virtual columns, beside stored ones
-- since: 18
-- [both]
CREATE TABLE t (a int PRIMARY KEY, v int GENERATED ALWAYS AS (a + 1) VIRTUAL, s int GENERATED ALWAYS AS (a + 2) STORED, b text);
-- [rows]
INSERT INTO t (a, b) SELECT g, 'b' FROM generate_series(1, 10) g;
-- [then]
UPDATE t SET b = 'c' WHERE a < 4;
UPDATE t SET a = a + 50 WHERE a > 8;

-- == generated-on-one-side
-- from: 011_generated
-- what: generated there, ordinary here, and the other way round
-- elsewhere: integration/test_row_shapes.py::test_generated_on_one_side_only

-- == generated-identity
-- from: 011_generated
-- what: a replica identity that holds a generated column
-- elsewhere: integration/test_row_shapes.py::test_an_identity_with_generated_columns_is_none

-- == a-collation-that-takes-cases-as-equal
-- from: 012_collation
-- what: nondeterministic collations: rows that are equal to the key but not the same; found by key and by whole row
-- [both]
CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE by_key (k text COLLATE loose PRIMARY KEY, v text);
CREATE TABLE by_row (a text COLLATE loose, v int);
ALTER TABLE by_row REPLICA IDENTITY FULL;
-- [rows]
INSERT INTO by_key VALUES ('Anna', 'x'), ('bert', 'y'), ('CLARA', 'z');
INSERT INTO by_row VALUES ('Anna', 1), ('anna', 1), ('ANNA', 1);
-- [then]
UPDATE by_key SET v = 'touched' WHERE k = 'ANNA';
UPDATE by_key SET k = 'BERT' WHERE k = 'bert';
DELETE FROM by_key WHERE k = 'clara';
INSERT INTO by_key VALUES ('Clara', 'again');
DELETE FROM by_row WHERE a COLLATE "C" = 'anna';
UPDATE by_row SET v = 2 WHERE a COLLATE "C" = 'ANNA';
-- [holds]
SELECT array_agg(a::text COLLATE "C" ORDER BY v) = '{Anna,ANNA}' FROM by_row;

-- == flat-to-partitioned
-- from: 013_partition
-- what: an ordinary table there, partitions here; rows move between them when the key changes
-- [old]
CREATE TABLE t (id int, k text, v int, PRIMARY KEY (id, k));
-- [new]
CREATE TABLE t (k text, id int, v int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE t_a PARTITION OF t FOR VALUES IN ('a');
CREATE TABLE t_rest (v int, id int NOT NULL, k text NOT NULL);
ALTER TABLE t ATTACH PARTITION t_rest DEFAULT;
-- [rows]
INSERT INTO t SELECT g, chr(97 + g % 3), g FROM generate_series(1, 60) g;
-- [then]
UPDATE t SET k = 'a' WHERE k = 'b' AND id < 30;
UPDATE t SET k = 'z' WHERE k = 'a' AND id > 40;
UPDATE t SET v = 0 WHERE id % 5 = 0;
DELETE FROM t WHERE id % 7 = 0;
INSERT INTO t VALUES (100, 'a', 1), (101, 'q', 1);

-- == partitioned-to-flat
-- from: 013_partition
-- what: partitions of two levels there, an ordinary table here
-- [old]
CREATE TABLE t (id int, k int, v int, PRIMARY KEY (id, k)) PARTITION BY RANGE (k);
CREATE TABLE t_low PARTITION OF t FOR VALUES FROM (0) TO (10);
CREATE TABLE t_high PARTITION OF t FOR VALUES FROM (10) TO (100) PARTITION BY HASH (id);
CREATE TABLE t_high_0 PARTITION OF t_high FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE t_high_1 PARTITION OF t_high FOR VALUES WITH (MODULUS 2, REMAINDER 1);
-- [new]
CREATE TABLE t (id int, k int, v int, PRIMARY KEY (id, k));
-- [rows]
INSERT INTO t SELECT g, g % 50, g FROM generate_series(1, 200) g;
-- [then]
UPDATE t SET k = k + 20 WHERE k < 5;
UPDATE t SET id = id + 1000 WHERE k > 40;
DELETE FROM t WHERE v % 11 = 0;
INSERT INTO t_low VALUES (5000, 1, 1);
UPDATE t_low SET v = -1;
TRUNCATE t;
INSERT INTO t SELECT g, g % 50, g FROM generate_series(1, 20) g;

-- == partitions-cut-another-way
-- from: 013_partition
-- what: cut by list there, by hash here; columns in another order in every partition, one of them with dropped columns
-- [old]
CREATE TABLE t (id int, k text, v text, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE t_a (gone int, v text, k text NOT NULL, id int NOT NULL);
ALTER TABLE t_a DROP COLUMN gone;
ALTER TABLE t ATTACH PARTITION t_a FOR VALUES IN ('a', 'b');
CREATE TABLE t_rest PARTITION OF t DEFAULT;
-- [new]
CREATE TABLE t (v text, id int, k text, PRIMARY KEY (id, k)) PARTITION BY HASH (id);
CREATE TABLE t_0 PARTITION OF t FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE t_1 (k text NOT NULL, gone int, id int NOT NULL, v text);
ALTER TABLE t_1 DROP COLUMN gone;
ALTER TABLE t ATTACH PARTITION t_1 FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE t_2 PARTITION OF t FOR VALUES WITH (MODULUS 3, REMAINDER 2);
-- [rows]
INSERT INTO t SELECT g, chr(97 + g % 5), 'v' FROM generate_series(1, 60) g;
-- [then]
UPDATE t SET k = 'e' WHERE k = 'a';
UPDATE t SET id = id * 7 WHERE id > 50;
UPDATE t SET v = 'long ' || repeat('x', 3000) WHERE id % 9 = 0;
UPDATE t SET k = 'b' WHERE length(v) > 100;
DELETE FROM t WHERE k = 'c';

-- == partitions-by-whole-row
-- from: 013_partition, 100_bugs
-- what: a partitioned table without a key, every partition with identity FULL, rows that move
-- [both]
CREATE TABLE t (k int, v text) PARTITION BY LIST (k);
CREATE TABLE t_1 PARTITION OF t FOR VALUES IN (1);
CREATE TABLE t_2 (v text, gone int, k int);
ALTER TABLE t_2 DROP COLUMN gone;
ALTER TABLE t ATTACH PARTITION t_2 FOR VALUES IN (2);
ALTER TABLE t REPLICA IDENTITY FULL;
ALTER TABLE t_1 REPLICA IDENTITY FULL;
ALTER TABLE t_2 REPLICA IDENTITY FULL;
-- [rows]
INSERT INTO t SELECT 1 + g % 2, 'v' || g % 3 FROM generate_series(1, 40) g;
-- [then]
UPDATE t SET k = 2 WHERE tableoid = 't_1'::regclass AND v = 'v1';
UPDATE t SET v = 'w' WHERE k = 2 AND v = 'v2';
DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t_2) AND k = 2;

-- == partitions-that-come-and-go
-- from: 013_partition
-- what: a new empty partition is made while changes travel, on both sides; rows go into it at once
-- [both]
CREATE TABLE t (id int, at date, v int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE t_jan PARTITION OF t FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
-- [rows]
INSERT INTO t SELECT g, date '2026-01-01' + g, g FROM generate_series(1, 20) g;
-- [then]
-- @new
CREATE TABLE t_feb PARTITION OF t FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
-- @
CREATE TABLE t_feb PARTITION OF t FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO t SELECT g, date '2026-02-01' + g % 20, g FROM generate_series(100, 140) g;
UPDATE t SET at = '2026-02-10' WHERE at < '2026-01-10';
DELETE FROM t WHERE id % 4 = 0;

-- == attach-and-detach
-- from: 013_partition
-- what: rows that ATTACH PARTITION brings, or DETACH takes, are in no stream
-- out: PostgreSQL does not send them; `switchback check` names it under what is not covered, and docs/CAPTURE.md says so

-- == binary-or-text
-- from: 014_binary
-- what: types that both servers read in binary, beside types of one's own that they know by other oids
-- [old]
CREATE TYPE kind AS ENUM ('a', 'b');
CREATE TYPE both_kinds AS (k kind, n int);
CREATE TABLE t (id int PRIMARY KEY, n numeric, ts timestamptz[], u uuid);
CREATE TABLE own (id int PRIMARY KEY, k kind, ks kind[], c both_kinds);
-- [new]
CREATE TYPE in_between AS ENUM ('z');
CREATE TYPE kind AS ENUM ('b', 'other', 'a');
CREATE TYPE both_kinds AS (k kind, n int);
CREATE TABLE t (id int PRIMARY KEY, n numeric, ts timestamptz[], u uuid);
CREATE TABLE own (id int PRIMARY KEY, k kind, ks kind[], c both_kinds);
-- [rows]
INSERT INTO t SELECT g, g / 7.0, ARRAY['2026-01-01'::timestamptz + g * interval '1 day'], md5(g::text)::uuid FROM generate_series(1, 100) g;
INSERT INTO own VALUES (1, 'a', '{b,a}', '(b,1)'), (2, NULL, '{}', NULL);
-- [then]
UPDATE t SET n = -n, ts = ts || NULL::timestamptz WHERE id % 2 = 0;
UPDATE own SET k = 'b', c = '(a,2)';
INSERT INTO own VALUES (3, 'a', '{a,NULL}', '(,)');

-- == a-transaction-larger-than-memory
-- from: 015_stream
-- what: thousands of rows with large values in one transaction, updated and deleted in it, beside small ones that commit first
-- [both]
CREATE TABLE t (id int PRIMARY KEY, a text, b int, big text);
ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
-- [rows]
INSERT INTO t VALUES (1, 'old', 1, repeat('b', 5000)), (2, 'old', 2, NULL);
-- [then]
BEGIN;
INSERT INTO t SELECT g, md5(g::text), g, CASE WHEN g % 20 = 0 THEN repeat(md5(g::text), 200) END FROM generate_series(3, 5000) g;
UPDATE t SET a = 'even' WHERE id % 2 = 0;
-- @beside
INSERT INTO t VALUES (900000, 'beside', 0, NULL);
-- @
DELETE FROM t WHERE id % 3 = 0;
UPDATE t SET id = id + 100000 WHERE id % 7 = 0;
COMMIT;
-- @beside
UPDATE t SET b = 1 WHERE id = 900000;

-- == subtransactions-by-the-hundred
-- from: 016_stream_subxact
-- what: a transaction of many savepoints, each with rows of its own, nested, released and kept
-- [both]
CREATE TABLE t (id int PRIMARY KEY, v text);
-- [rows]
INSERT INTO t VALUES (1, 'a'), (2, 'b');
-- [then]
DO $$ BEGIN
    FOR n IN 1..300 LOOP
        BEGIN
            INSERT INTO t SELECT n * 10 + g, 'sub' FROM generate_series(0, 4) g;
            UPDATE t SET v = 'touched' WHERE id = n * 10 + 1;
            DELETE FROM t WHERE id = n * 10 + 2;
            IF n % 3 = 0 THEN RAISE 'undone'; END IF;
        EXCEPTION WHEN raise_exception THEN NULL;
        END;
    END LOOP;
END $$;

-- == a-column-added-in-a-large-transaction
-- from: 017_stream_ddl
-- what: ALTER TABLE ADD COLUMN between the rows of one transaction; the target has the column first
-- [both]
CREATE TABLE t (id int PRIMARY KEY, v text);
-- [rows]
INSERT INTO t SELECT g, 'v' FROM generate_series(1, 20) g;
-- [then]
-- @new
ALTER TABLE t ADD COLUMN IF NOT EXISTS c int;
ALTER TABLE t ADD COLUMN IF NOT EXISTS d int;
-- @
BEGIN;
INSERT INTO t SELECT g, 'v' FROM generate_series(21, 1000) g;
ALTER TABLE t ADD COLUMN c int;
INSERT INTO t SELECT g, 'v', -g FROM generate_series(1001, 2000) g;
ALTER TABLE t ADD COLUMN d int;
UPDATE t SET d = id WHERE id % 2 = 0;
COMMIT;

-- == undone-in-the-middle
-- from: 018_stream_subxact_abort
-- what: large parts of a large transaction are rolled back to savepoints, on several levels
-- [both]
CREATE TABLE t (id int PRIMARY KEY, v text);
-- [rows]
INSERT INTO t SELECT g, 'v' FROM generate_series(1, 10) g;
-- [then]
BEGIN;
INSERT INTO t SELECT g, 'one' FROM generate_series(11, 1000) g;
SAVEPOINT a;
INSERT INTO t SELECT g, 'two' FROM generate_series(1001, 2000) g;
SAVEPOINT b;
UPDATE t SET v = 'three';
SAVEPOINT c;
DELETE FROM t WHERE id % 2 = 0;
ROLLBACK TO c;
INSERT INTO t SELECT g, 'four' FROM generate_series(2001, 2500) g;
ROLLBACK TO b;
INSERT INTO t SELECT g, 'five' FROM generate_series(2001, 2100) g;
RELEASE a;
UPDATE t SET v = 'six' WHERE id < 5;
COMMIT;
BEGIN;
INSERT INTO t SELECT g, 'never' FROM generate_series(5000, 7000) g;
ROLLBACK;

-- == undone-with-its-column
-- from: 019_stream_subxact_ddl_abort
-- what: ALTER TABLE within a savepoint that is rolled back: rows behind it have the old columns again
-- [both]
CREATE TABLE t (id int PRIMARY KEY, v text);
-- [rows]
INSERT INTO t SELECT g, 'v' FROM generate_series(1, 10) g;
-- [then]
BEGIN;
INSERT INTO t VALUES (11, 'before');
SAVEPOINT s;
ALTER TABLE t ADD COLUMN c int DEFAULT 5;
INSERT INTO t VALUES (12, 'within', 1);
ALTER TABLE t DROP COLUMN v;
ROLLBACK TO s;
INSERT INTO t VALUES (12, 'after');
UPDATE t SET v = 'all';
COMMIT;

-- == messages
-- from: 020_messages
-- what: logical messages of the application, with and without a transaction, in rolled back ones, in the middle of rows
-- [both]
CREATE TABLE t (id int PRIMARY KEY);
-- [rows]
INSERT INTO t VALUES (1);
-- [then]
SELECT pg_logical_emit_message(false, 'app', 'outside');
BEGIN;
INSERT INTO t VALUES (2);
SELECT pg_logical_emit_message(true, 'app', 'within');
SELECT pg_logical_emit_message(false, 'app', 'outside, from within');
SAVEPOINT s;
SELECT pg_logical_emit_message(true, 'app', 'undone');
ROLLBACK TO s;
INSERT INTO t VALUES (3);
COMMIT;
SELECT pg_logical_emit_message(true, 'app', '');
SELECT pg_logical_emit_message(true, '', '\x00ff'::bytea);
BEGIN;
SELECT pg_logical_emit_message(false, 'app', 'alone');
ROLLBACK;
INSERT INTO t VALUES (4);

-- == two-phase
-- from: 021_twophase
-- what: PREPARE TRANSACTION, then COMMIT PREPARED or ROLLBACK PREPARED, with others' commits between
-- [both]
CREATE TABLE t (id int PRIMARY KEY, v text);
-- [rows]
INSERT INTO t SELECT g, 'v' FROM generate_series(1, 10) g;
-- [then]
BEGIN;
INSERT INTO t VALUES (11, 'prepared');
UPDATE t SET v = 'prepared' WHERE id = 1;
DELETE FROM t WHERE id = 2;
PREPARE TRANSACTION 'two_phase_kept';
BEGIN;
INSERT INTO t VALUES (12, 'never');
PREPARE TRANSACTION 'two_phase_undone';
INSERT INTO t VALUES (13, 'between');
-- @beside
ROLLBACK PREPARED 'two_phase_undone';
INSERT INTO t VALUES (12, 'again');
COMMIT PREPARED 'two_phase_kept';
UPDATE t SET v = 'after' WHERE id = 11;

-- == two-phase-with-savepoints
-- from: 022_twophase_cascade
-- what: a prepared transaction with parts that were rolled back before, and an empty one
-- [both]
CREATE TABLE t (id int PRIMARY KEY);
-- [rows]
INSERT INTO t VALUES (1);
-- [then]
BEGIN;
INSERT INTO t VALUES (2);
SAVEPOINT s;
INSERT INTO t VALUES (3);
ROLLBACK TO s;
INSERT INTO t VALUES (4);
PREPARE TRANSACTION 'two_phase_savepoints';
BEGIN;
PREPARE TRANSACTION 'two_phase_empty';
COMMIT PREPARED 'two_phase_empty';
COMMIT PREPARED 'two_phase_savepoints';

-- == two-phase-and-large
-- from: 023_twophase_stream
-- what: a prepared transaction larger than the server's memory for decoding; two of them, committed in the other order
-- [both]
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE u (id int PRIMARY KEY, v text);
-- [rows]
INSERT INTO t VALUES (1, 'a');
-- [then]
BEGIN;
INSERT INTO t SELECT g, repeat('t', 300) FROM generate_series(2, 3000) g;
PREPARE TRANSACTION 'two_phase_first';
BEGIN;
INSERT INTO u SELECT g, repeat('u', 300) FROM generate_series(1, 3000) g;
PREPARE TRANSACTION 'two_phase_second';
COMMIT PREPARED 'two_phase_second';
UPDATE u SET v = 'short' WHERE id % 2 = 0;
COMMIT PREPARED 'two_phase_first';
DELETE FROM t WHERE id % 3 = 0;

-- == two-phase-cascade
-- from: 022_twophase_cascade
-- what: a chain of three servers
-- out: the target gets ordinary transactions, so what is behind it in a chain is no business of the migration

-- == publications-of-others
-- from: 024_add_drop_pub, 025_rep_changes_for_schema, 031_column_list, 028_row_filter
-- what: other people's publications come, change and go, whole, of a schema, with some columns and some rows: ours is never cut
-- since: 15
-- [both]
CREATE TABLE t (id int PRIMARY KEY, v text, w int);
CREATE TABLE u (id int PRIMARY KEY, v text);
-- [rows]
INSERT INTO t SELECT g, 'v', g FROM generate_series(1, 20) g;
CREATE PUBLICATION theirs_columns FOR TABLE t (id, w);
CREATE PUBLICATION theirs_rows FOR TABLE t WHERE (id > 10);
-- [then]
INSERT INTO t SELECT g, 'v', g FROM generate_series(21, 30) g;
UPDATE t SET v = 'x' WHERE id < 5;
CREATE PUBLICATION theirs_schema FOR TABLES IN SCHEMA publications_of_others;
ALTER PUBLICATION theirs_schema ADD TABLES IN SCHEMA public;
INSERT INTO u VALUES (1, 'u');
ALTER PUBLICATION theirs_rows SET TABLE u;
UPDATE t SET id = id + 100 WHERE id > 25;
DROP PUBLICATION theirs_columns;
DROP PUBLICATION theirs_schema;
DELETE FROM t WHERE id = 7;
DROP PUBLICATION theirs_rows;
UPDATE u SET v = 'z';

-- == refresh-a-subscription
-- from: 021_alter_sub_pub, 024_add_drop_pub
-- what: ALTER SUBSCRIPTION adds and drops publications
-- out: a migration has its own publications, which nobody alters: somebody who does is SB-PUBLICATION (integration/test_capture.py)

-- == statistics-of-errors
-- from: 026_stats
-- what: errors of apply are counted
-- elsewhere: integration/test_poison.py::test_the_owner_wins_and_every_conflict_is_counted_and_recorded

-- == an-ordinary-role
-- from: 027_nosuperuser
-- what: neither side's role is a superuser
-- elsewhere: integration/test_prepare.py::test_a_migration_runs_with_the_rights_of_the_dry_run_s_script_and_no_superuser

-- == something-in-the-way
-- from: 029_on_error
-- what: the target has a row with that unique value: it stops, the rest of the transaction is not there either
-- stops: SB-CONFLICT
-- [both]
CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE);
-- [rows]
INSERT INTO t VALUES (1, 1);
-- [then]
-- @new
INSERT INTO t VALUES (1000, 77);
-- @
BEGIN;
INSERT INTO t VALUES (2, 2);
INSERT INTO t VALUES (3, 77);
COMMIT;
-- [holds]
SELECT array_agg(id ORDER BY id) = '{1,1000}' FROM t;

-- == skip-a-transaction
-- from: 029_on_error
-- what: ALTER SUBSCRIPTION SKIP: one transaction is left out
-- elsewhere: integration/test_poison.py::test_poison_is_shown_skipped_whole_and_owed

-- == changes-with-an-origin
-- from: 030_origin
-- what: transactions that another tool replicated into the source carry its origin: they belong to the source's rows like all others
-- [both]
CREATE TABLE t (id int PRIMARY KEY, v text);
-- [rows]
INSERT INTO t VALUES (1, 'a');
-- [then]
DO $$ BEGIN PERFORM pg_replication_origin_create('theirs_' || (SELECT oid FROM pg_database WHERE datname = current_database())); END $$;
DO $$ BEGIN PERFORM pg_replication_origin_session_setup('theirs_' || (SELECT oid FROM pg_database WHERE datname = current_database())); END $$;
BEGIN;
SELECT pg_replication_origin_xact_setup('0/AFFE', '2020-01-01');
INSERT INTO t VALUES (2, 'from elsewhere');
UPDATE t SET v = 'from elsewhere' WHERE id = 1;
COMMIT;
SELECT pg_replication_origin_session_reset();
INSERT INTO t VALUES (3, 'our own');
DO $$ BEGIN PERFORM pg_replication_origin_drop('theirs_' || (SELECT oid FROM pg_database WHERE datname = current_database())); END $$;

-- == no-way-round
-- from: 030_origin
-- what: a change that came from the other side does not go back
-- elsewhere: integration/test_capture.py::test_our_own_transactions_are_dropped_and_strangers_are_not

-- == whole-rows-and-indexes-of-the-target
-- from: 032_subscribe_use_index
-- what: found by the whole row, where the target has indexes that seem to help: partial, on an expression, with NULLs, not unique
-- [both]
CREATE TABLE t (a int, b text, c int);
ALTER TABLE t REPLICA IDENTITY FULL;
-- [new]
CREATE INDEX ON t (a) WHERE c > 5;
CREATE INDEX ON t (lower(b));
CREATE INDEX ON t (a, b);
CREATE INDEX ON t USING hash (b);
-- [rows]
INSERT INTO t SELECT nullif(g % 10, 3), nullif('B' || g % 4, 'B2'), g % 3 FROM generate_series(1, 200) g;
-- [then]
UPDATE t SET c = 9 WHERE a = 5;
UPDATE t SET a = NULL WHERE b = 'B1' AND c = 1;
DELETE FROM t WHERE a IS NULL AND b IS NULL AND c = 0;
DELETE FROM t WHERE ctid IN (SELECT ctid FROM t WHERE b = 'B3' ORDER BY ctid LIMIT 5);
UPDATE t SET b = 'b1' WHERE b = 'B1' AND a = 1;

-- == identity-by-another-index
-- from: 032_subscribe_use_index
-- what: the replica identity is a unique index that is not the primary key; then the primary key changes
-- [both]
CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL, b text NOT NULL, v text);
CREATE UNIQUE INDEX t_ab ON t (b, a);
ALTER TABLE t REPLICA IDENTITY USING INDEX t_ab;
-- [rows]
INSERT INTO t SELECT g, g % 5, 'b' || g / 5, 'v' FROM generate_series(1, 40) g;
-- [then]
UPDATE t SET v = 'x' WHERE id < 10;
UPDATE t SET id = id + 1000 WHERE id > 30;
UPDATE t SET a = a + 50 WHERE id BETWEEN 10 AND 14;
DELETE FROM t WHERE id = 20;
INSERT INTO t VALUES (20, 0, 'b4', 'again');

-- == owners-of-tables
-- from: 033_run_as_table_owner
-- what: tables of other owners, with row security that does not concern us
-- [both]
CREATE TABLE t (id int PRIMARY KEY, who text);
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON t USING (who = current_user);
CREATE TABLE u (id int PRIMARY KEY);
ALTER TABLE u OWNER TO pg_database_owner;
-- [rows]
INSERT INTO t VALUES (1, 'somebody'), (2, 'postgres');
INSERT INTO u VALUES (1);
-- [then]
INSERT INTO t VALUES (3, 'nobody');
UPDATE t SET who = 'else' WHERE id = 1;
DELETE FROM t WHERE id = 2;
INSERT INTO u VALUES (2);

-- == periods-without-overlaps
-- from: 034_temporal
-- what: a key over a range without overlaps, as primary key, as unique constraint beside another key, and a row found by it
-- since: 18
-- needs: btree_gist
-- [both]
CREATE TABLE by_key (id int, during daterange, v text, PRIMARY KEY (id, during WITHOUT OVERLAPS));
CREATE TABLE by_row (id int, during daterange, v text);
ALTER TABLE by_row REPLICA IDENTITY FULL;
CREATE TABLE by_unique (n int PRIMARY KEY, id int NOT NULL, during daterange NOT NULL, v text, UNIQUE (id, during WITHOUT OVERLAPS));
-- [rows]
INSERT INTO by_key SELECT g % 3, daterange(date '2026-01-01' + g * 10, date '2026-01-01' + g * 10 + 5), 'v' FROM generate_series(1, 30) g;
INSERT INTO by_row SELECT * FROM by_key;
INSERT INTO by_unique SELECT row_number() OVER (), * FROM by_key;
-- [then]
UPDATE by_key SET v = 'x' WHERE id = 1;
UPDATE by_key SET during = daterange(lower(during), upper(during) + 1) WHERE id = 2;
DELETE FROM by_key WHERE id = 0 AND lower(during) < '2026-03-01';
UPDATE by_row SET v = 'x' WHERE id = 1;
DELETE FROM by_row WHERE id = 2 AND lower(during) < '2026-03-01';
BEGIN;
UPDATE by_unique SET during = daterange(lower(during), lower(during) + 2) WHERE id = 1;
INSERT INTO by_unique SELECT n + 100, id, daterange(lower(during) + 2, lower(during) + 5), 'second half' FROM by_unique WHERE id = 1;
COMMIT;

-- == a-row-that-is-there-already
-- from: 035_conflicts
-- what: insert_exists: held and said, not passed over
-- stops: SB-CONFLICT
-- [both]
CREATE TABLE t (id int PRIMARY KEY, v text);
-- [rows]
INSERT INTO t VALUES (1, 'a');
-- [then]
-- @new
INSERT INTO t VALUES (2, 'mine');
-- @
INSERT INTO t VALUES (2, 'theirs');
-- [holds]
SELECT v = 'mine' FROM t WHERE id = 2;

-- == a-row-that-is-gone
-- from: 035_conflicts
-- what: update_missing and delete_missing
-- stops: SB-CONFLICT
-- [both]
CREATE TABLE t (id int PRIMARY KEY, v text);
-- [rows]
INSERT INTO t VALUES (1, 'a'), (2, 'b');
-- [then]
-- @new
DELETE FROM t WHERE id = 2;
-- @
DELETE FROM t WHERE id = 2;
-- [holds]
SELECT array_agg(id) = '{1}' FROM t;

-- == two-rows-in-the-way
-- from: 035_conflicts
-- what: multiple_unique_conflicts: one row of the source would replace two of the target
-- stops: SB-CONFLICT
-- [both]
CREATE TABLE t (a int PRIMARY KEY, b int UNIQUE, c int UNIQUE);
-- [rows]
INSERT INTO t VALUES (1, 1, 1);
-- [then]
-- @new
INSERT INTO t VALUES (20, 2, 20), (30, 30, 3);
-- @
INSERT INTO t VALUES (4, 2, 3);
-- [holds]
SELECT array_agg(a ORDER BY a) = '{1,20,30}' FROM t;

-- == an-index-that-computes
-- from: 100_bugs
-- what: bug 15114: an index whose predicate and expression call functions of the schema, found by nobody's search path
-- [both]
CREATE FUNCTION twice(x int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT x * 2';
CREATE FUNCTION thrice(x int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN x * 3; END';
CREATE TABLE t (id int PRIMARY KEY, b int);
CREATE INDEX ON t (b) WHERE id > twice(1);
CREATE INDEX ON t (thrice(b));
-- [rows]
INSERT INTO t VALUES (1, 2), (3, 4);
-- [then]
INSERT INTO t VALUES (5, 6);
UPDATE t SET b = b + 1;
DELETE FROM t WHERE id = 1;

-- == tables-that-nobody-replicates
-- from: 100_bugs
-- what: updates and deletes of temporary, unlogged and keyless tables must go on for the application although all tables are published
-- apart: fleeting: unlogged tables are in no stream
-- [both]
CREATE UNLOGGED TABLE fleeting (id int, v int);
CREATE TABLE keyless (id int, v int);
CREATE TABLE nothing (id int PRIMARY KEY, v int);
ALTER TABLE nothing REPLICA IDENTITY NOTHING;
-- [rows]
INSERT INTO keyless VALUES (1, 1);
INSERT INTO nothing VALUES (1, 1);
-- [then]
CREATE TEMP TABLE mine (id int, v int);
INSERT INTO mine VALUES (1, 1);
UPDATE mine SET v = 2;
DELETE FROM mine;
INSERT INTO fleeting VALUES (1, 1);
UPDATE fleeting SET v = 2;
DELETE FROM fleeting;
INSERT INTO keyless VALUES (2, 2);
INSERT INTO nothing VALUES (2, 2);

-- == updates-without-a-key
-- from: 100_bugs
-- what: updates and deletes of a table that has no identity: they travel nowhere, and the application's own go on
-- apart: t: its updates and deletes are in no stream, which check says
-- after: what the copy shows of it depends on when
-- [both]
CREATE TABLE t (id int, v int);
-- [rows]
INSERT INTO t VALUES (1, 1), (2, 2);
-- [then]
INSERT INTO t VALUES (3, 3);
UPDATE t SET v = 20 WHERE id = 2;
DELETE FROM t WHERE id = 1;
-- [holds]
SELECT array_agg(v ORDER BY v) = '{1,2,3}' FROM t;

-- == whole-rows-with-dropped-and-generated-columns
-- from: 100_bugs
-- what: bugs 17828 and later: identity FULL, and the target has dropped, more and generated columns that no row comes with
-- [old]
CREATE TABLE dropped (a int, gone int, b int);
ALTER TABLE dropped DROP COLUMN gone;
ALTER TABLE dropped REPLICA IDENTITY FULL;
CREATE TABLE generated (a int, c int);
ALTER TABLE generated REPLICA IDENTITY FULL;
-- [new]
CREATE TABLE dropped (gone_1 text, b int, gone_2 int, a int);
ALTER TABLE dropped DROP COLUMN gone_1, DROP COLUMN gone_2;
CREATE TABLE generated (a int, b int GENERATED ALWAYS AS (5 * a) STORED, c int);
-- [rows]
INSERT INTO dropped VALUES (1, 1), (2, 2), (3, NULL);
INSERT INTO generated VALUES (1, 1), (2, NULL), (NULL, 3);
-- [then]
UPDATE dropped SET b = 11 WHERE a = 1;
DELETE FROM dropped WHERE b IS NULL;
UPDATE generated SET c = 10 WHERE a = 1;
UPDATE generated SET a = 7 WHERE c IS NULL;
DELETE FROM generated WHERE a IS NULL;

-- == an-identity-out-of-line
-- from: 100_bugs
-- what: large values in the replica identity itself, stored apart; the row changes elsewhere, then there
-- [both]
CREATE TABLE t (k text NOT NULL, v int, other text);
ALTER TABLE t ALTER k SET STORAGE EXTERNAL, ALTER other SET STORAGE EXTERNAL;
ALTER TABLE t REPLICA IDENTITY FULL;
CREATE TABLE u (a int NOT NULL, k text NOT NULL, v int, big text);
ALTER TABLE u ALTER k SET STORAGE EXTERNAL, ALTER big SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX u_key ON u (a, k);
ALTER TABLE u REPLICA IDENTITY USING INDEX u_key;
-- [rows]
INSERT INTO t SELECT repeat(md5(g::text), 100), g, repeat('o', 5000) FROM generate_series(1, 10) g;
INSERT INTO u SELECT g, repeat(md5(g::text), 70), g, repeat('p', 5000) FROM generate_series(1, 10) g;
-- [then]
UPDATE t SET v = v + 1 WHERE v < 5;
UPDATE t SET k = k || 'x' WHERE v > 8;
UPDATE t SET other = NULL WHERE v = 6;
DELETE FROM t WHERE v = 7;
UPDATE u SET v = v + 1 WHERE v < 5;
UPDATE u SET k = k || 'x', big = big || 'q' WHERE v > 8;
DELETE FROM u WHERE v = 7;

-- == tables-made-again
-- from: 100_bugs
-- what: a table is dropped and made anew with other columns under the same name, on both sides
-- elsewhere: integration/test_ddl.py::test_new_tables_travel_from_their_first_row_on

-- == others-alter-while-we-write
-- from: 100_bugs
-- what: a transaction is under way while other sessions alter its table and create publications: cached shapes must be renewed in time
-- [both]
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE u (id int PRIMARY KEY, v text);
-- [rows]
INSERT INTO t VALUES (1, 'a');
INSERT INTO u VALUES (1, 'a');
-- [then]
BEGIN;
INSERT INTO t VALUES (2, 'open');
-- @beside
CREATE INDEX ON u (v);
ALTER TABLE u ALTER v SET STATISTICS 500;
CREATE PUBLICATION theirs_meanwhile FOR TABLE t, u;
INSERT INTO u VALUES (2, 'beside');
-- @
INSERT INTO u VALUES (3, 'still open');
UPDATE t SET v = 'still open' WHERE id = 1;
-- @beside
DROP PUBLICATION theirs_meanwhile;
ANALYZE u;
ALTER TABLE u ALTER v SET (n_distinct = 3);
-- @
INSERT INTO t VALUES (3, 'last');
COMMIT;
-- @beside
UPDATE u SET v = 'end';

-- == parallel-sessions
-- from: 100_bugs, 001_rep_changes
-- what: sessions that commit in another order than they began, over rows that each has touched before
-- [both]
CREATE TABLE t (id int PRIMARY KEY, v int);
-- [rows]
INSERT INTO t SELECT g, 0 FROM generate_series(1, 10) g;
-- [then]
-- @a
BEGIN;
UPDATE t SET v = 1 WHERE id = 1;
-- @b
BEGIN;
UPDATE t SET v = 2 WHERE id = 2;
INSERT INTO t VALUES (100, 2);
-- @c
BEGIN;
INSERT INTO t VALUES (101, 3);
-- @b
COMMIT;
-- @c
UPDATE t SET v = 3 WHERE id IN (2, 100);
COMMIT;
-- @a
UPDATE t SET v = 4 WHERE id = 101;
DELETE FROM t WHERE id = 100;
COMMIT;

-- == sequences
-- from: 036_sequences
-- what: sequences of serial and identity columns, and free ones
-- elsewhere: fault/test_sequences.py::test_at_any_moment_they_are_ahead_whoever_is_killed

-- == left-out-tables
-- from: 037_except
-- what: tables that are not to be moved
-- elsewhere: integration/test_prepare.py::test_tables_are_published_by_their_identity_and_partitions_by_their_root

-- == a-source-that-stops
-- from: 038_walsnd_shutdown_timeout
-- what: the server's shutdown must not wait for a reader that does not confirm
-- elsewhere: fault/test_source_stops.py::test_a_stop_of_the_source_does_not_wait_for_us
