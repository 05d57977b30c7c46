-- pgcopydb's clone and follow tests
-- The folders of `tests/` of pgcopydb: what it copies (`unit/setup`), what it follows (`cdc-*`, `follow-*`), and shapes of schemas
-- that broke it once. Its tests of files, filters and command lines have no counterpart here.

-- == endpos-between-transactions
-- from: cdc-endpos-between-transaction
-- what: two transactions, one ends exactly where the other begins
-- [both]
CREATE TABLE genre (id int PRIMARY KEY, name text NOT NULL, changed timestamptz);
-- [rows]
INSERT INTO genre SELECT g, 'genre ' || g, '2026-01-01' FROM generate_series(1, 16) g;
-- [then]
BEGIN;
INSERT INTO genre SELECT g, 'first ' || g, '2026-02-01' FROM generate_series(100, 104) g;
COMMIT;
BEGIN;
INSERT INTO genre VALUES (107, 'out of order', '2026-02-01 00:00:01'), (105, 'second', '2026-02-01 00:00:02');
COMMIT;

-- == endpos-within-a-transaction
-- from: cdc-endpos-mid-txn
-- what: a transaction is cut by the end of a run there; here it comes whole or not at all, however many stages stop in between
-- [both]
CREATE TABLE genre (id int PRIMARY KEY, name text);
-- [rows]
INSERT INTO genre VALUES (1, 'a');
-- [then]
BEGIN;
INSERT INTO genre SELECT g, 'part one' FROM generate_series(2, 500) g;
SELECT pg_logical_emit_message(false, 'app', 'between');
INSERT INTO genre SELECT g, 'part two' FROM generate_series(501, 1000) g;
UPDATE genre SET name = upper(name) WHERE id % 10 = 0;
COMMIT;

-- == a-transaction-over-many-wal-files
-- from: cdc-endpos-in-multi-wal-txn, follow-data-only
-- what: pg_switch_wal between the statements of one transaction
-- [both]
CREATE TABLE t (id bigserial PRIMARY KEY, f1 int);
-- [rows]
INSERT INTO t (f1) SELECT generate_series(1, 10);
-- [then]
BEGIN;
INSERT INTO t (f1) VALUES (11);
SELECT pg_switch_wal();
INSERT INTO t (f1) VALUES (12), (13);
SELECT pg_switch_wal();
UPDATE t SET f1 = -f1 WHERE f1 % 2 = 0;
SELECT pg_switch_wal();
DELETE FROM t WHERE f1 = 3;
COMMIT;
SELECT pg_switch_wal();
INSERT INTO t (f1) VALUES (14);

-- == many-small-transactions
-- from: cdc-low-level
-- what: the deadlock of its pipeline: hundreds of one-row transactions into a table whose target trigger is loud
-- [both]
CREATE TABLE metric (id int, at timestamptz, name text, value numeric);
-- [new]
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'a row: %', repeat('a', 32768); RETURN NEW; END $$;
CREATE TRIGGER shout AFTER INSERT ON metric FOR EACH ROW EXECUTE FUNCTION shout();
ALTER TABLE metric ENABLE REPLICA TRIGGER shout;
-- [rows]
INSERT INTO metric SELECT g, '2026-01-01', 'm' || g, g FROM generate_series(1, 20) g;
-- [then]
DO $$ BEGIN FOR n IN 1..300 LOOP INSERT INTO metric VALUES (n, '2026-02-01 00:00:00.123456', 'metric_' || n, n / 7.0); COMMIT; END LOOP; END $$;

-- == rentals-and-payments
-- from: cdc-low-level, cdc-wal2json, cdc-test-decoding
-- what: payments in monthly partitions with identity FULL, inserted from a query, changed by the dozen, deleted by a join
-- [both]
CREATE TABLE rental (id serial PRIMARY KEY, at timestamptz NOT NULL, customer int NOT NULL, changed date);
CREATE TABLE payment (id serial, customer int NOT NULL, rental int NOT NULL REFERENCES rental, amount numeric(5, 2) NOT NULL, at timestamptz NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE payment_01 PARTITION OF payment FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2026-02-01 00:00+00');
CREATE TABLE payment_02 PARTITION OF payment FOR VALUES FROM ('2026-02-01 00:00+00') TO ('2026-03-01 00:00+00');
CREATE TABLE payment_03 PARTITION OF payment FOR VALUES FROM ('2026-03-01 00:00+00') TO ('2026-04-01 00:00+00');
ALTER TABLE payment REPLICA IDENTITY FULL;
ALTER TABLE payment_01 REPLICA IDENTITY FULL;
ALTER TABLE payment_02 REPLICA IDENTITY FULL;
ALTER TABLE payment_03 REPLICA IDENTITY FULL;
-- [rows]
INSERT INTO rental (at, customer) SELECT timestamptz '2026-01-01 00:00+00' + g * interval '6 hours', g % 17 FROM generate_series(1, 200) g;
INSERT INTO payment (customer, rental, amount, at) SELECT customer, id, (id % 9) + 0.99, at FROM rental;
-- [then]
BEGIN;
INSERT INTO rental (at, customer, changed) VALUES ('2026-03-01 00:00+00', 291, '2026-03-01'), ('2026-03-01 00:00+00', 293, '2026-03-01');
INSERT INTO payment (customer, rental, amount, at) SELECT customer, id, 5.99, at FROM rental WHERE changed = '2026-03-01';
COMMIT;
UPDATE payment SET amount = 11.95 WHERE amount = 8.99;
UPDATE payment SET at = at + interval '1 month' WHERE customer = 4 AND at < '2026-02-01 00:00+00';
BEGIN;
DELETE FROM payment USING rental WHERE rental.id = payment.rental AND rental.changed = '2026-03-01';
DELETE FROM rental WHERE changed = '2026-03-01';
COMMIT;

-- == replica-identity-index
-- from: cdc-replica-identity-index
-- what: no primary key; the identity is a unique index over two columns, updates that leave both alone
-- [both]
CREATE TABLE event (id bigserial NOT NULL, at timestamp(6) NOT NULL DEFAULT now(), name text NOT NULL);
CREATE UNIQUE INDEX event_identity ON event (id, at);
ALTER TABLE event REPLICA IDENTITY USING INDEX event_identity;
-- [rows]
INSERT INTO event (name) SELECT 'before-' || g FROM generate_series(1, 5) g;
-- [then]
BEGIN;
INSERT INTO event (name) SELECT 'after-' || g FROM generate_series(1, 5) g;
UPDATE event SET name = 'touched-' || id WHERE name LIKE 'before-%';
UPDATE event SET name = 'touched-' || id WHERE name LIKE 'after-%';
DELETE FROM event WHERE id = 10;
COMMIT;
UPDATE event SET at = at + interval '1 microsecond' WHERE id = 3;

-- == truncate-into-partitions
-- from: cdc-partitioned-target
-- what: a flat table there, partitions here whose key has one column more
-- refused: SB-TARGET-STRUCTURE
-- [old]
CREATE TABLE event (id bigint PRIMARY KEY, bucket smallint NOT NULL, payload text);
-- [new]
CREATE TABLE event (id bigint NOT NULL, bucket smallint NOT NULL, payload text, PRIMARY KEY (id, bucket)) PARTITION BY LIST (bucket);
CREATE TABLE event_a PARTITION OF event FOR VALUES IN (0);
CREATE TABLE event_b PARTITION OF event FOR VALUES IN (1);

-- == truncate-into-partitions-of-the-key
-- from: cdc-partitioned-target, partitioned-target
-- what: a flat table there, partitions by its key here; TRUNCATE, with rows before and after it in one transaction
-- [old]
CREATE TABLE event (id bigint, bucket smallint NOT NULL, payload text, PRIMARY KEY (id, bucket));
-- [new]
CREATE TABLE event (id bigint NOT NULL, bucket smallint NOT NULL, payload text, PRIMARY KEY (id, bucket)) PARTITION BY LIST (bucket);
CREATE TABLE event_a PARTITION OF event FOR VALUES IN (0);
CREATE TABLE event_b PARTITION OF event FOR VALUES IN (1);
-- [rows]
INSERT INTO event VALUES (1, 0, 'a'), (2, 1, 'b'), (3, 0, 'c');
-- [then]
INSERT INTO event VALUES (4, 1, 'd'), (5, 0, 'e');
BEGIN;
INSERT INTO event VALUES (6, 0, 'f');
TRUNCATE ONLY event;
INSERT INTO event VALUES (1, 1, 'after');
COMMIT;

-- == a-matview-beside
-- from: cdc-matview
-- what: REFRESH MATERIALIZED VIEW CONCURRENTLY writes rows that no subscriber can hold
-- [both]
CREATE TABLE src (id int PRIMARY KEY, val text);
CREATE MATERIALIZED VIEW mv AS SELECT id, val FROM src;
CREATE UNIQUE INDEX ON mv (id);
-- [rows]
INSERT INTO src VALUES (1, 'alpha'), (2, 'beta'), (3, 'gamma');
-- [then]
REFRESH MATERIALIZED VIEW mv;
INSERT INTO src VALUES (4, 'delta');
REFRESH MATERIALIZED VIEW CONCURRENTLY mv;
UPDATE src SET val = 'BETA' WHERE id = 2;
REFRESH MATERIALIZED VIEW CONCURRENTLY mv;

-- == generated-columns
-- from: cdc-generated-column, unit/setup/12, unit/setup/15
-- what: generated columns beside others, and a table of nothing else
-- [both]
CREATE TABLE place (id varchar PRIMARY KEY, name varchar(50), upper_name text GENERATED ALWAYS AS (upper(name::text)) STORED);
CREATE TABLE only_generated (n int GENERATED ALWAYS AS (1) STORED);
-- [rows]
INSERT INTO place VALUES ('a', 'Arles'), ('b', NULL);
INSERT INTO only_generated VALUES (DEFAULT), (DEFAULT);
-- [then]
INSERT INTO place VALUES ('c', 'Cahors');
UPDATE place SET name = 'Bourges' WHERE id = 'b';
UPDATE place SET id = 'd' WHERE id = 'a';
INSERT INTO only_generated VALUES (DEFAULT);

-- == names-with-everything
-- from: cdc-pgoutput, cdc-wal2json, unit/setup/4, unit/setup/6
-- what: blanks, dots, quotes and line breaks in names, 63 bytes long, and alike but for case
-- [both]
CREATE TABLE "Sp1eCial .Char" ("s0" serial PRIMARY KEY, "s""1" int NOT NULL, "nA M.e" text);
CREATE TABLE "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789012345678901234567890123456" ("abcdefghijklmnopqrstuvwxyz0123456789012345678901234567890123456" serial PRIMARY KEY, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789012345678901234567890123456" int);
CREATE TABLE "with a name

     AS (SELECT it

  " (row_id uuid PRIMARY KEY, "$1" int);
CREATE TABLE """dqname""" ("""a""" int PRIMARY KEY);
-- [rows]
INSERT INTO "Sp1eCial .Char" ("s""1") SELECT generate_series(1, 5);
INSERT INTO "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789012345678901234567890123456" ("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789012345678901234567890123456") SELECT generate_series(1, 5);
INSERT INTO """dqname""" VALUES (1);
-- [then]
UPDATE "Sp1eCial .Char" SET "s""1" = "s""1" * 2, "nA M.e" = 'x';
DELETE FROM "Sp1eCial .Char" WHERE "s""1" % 3 = 0;
UPDATE "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789012345678901234567890123456" SET "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789012345678901234567890123456" = 0, "abcdefghijklmnopqrstuvwxyz0123456789012345678901234567890123456" = "abcdefghijklmnopqrstuvwxyz0123456789012345678901234567890123456" + 10;
INSERT INTO "with a name

     AS (SELECT it

  " VALUES ('00000000-0000-0000-0000-000000000001', 1);
UPDATE """dqname""" SET """a""" = 2;

-- == strings-that-need-escapes
-- from: unit/setup/8, follow-data-only
-- what: line breaks, backslashes, quotes, statements and parameters as text; what looks like COPY's end
-- [both]
CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, f1 text, f2 text[]);
-- [rows]
INSERT INTO t (f1, f2) VALUES (E'aaa\naaa', '{}'), (E'bbb\r\nbbb', NULL), (E'\\\\Client\\S$\\2026\\Dir1', ARRAY[E'a\\b', '"', '{}', ',']), (E'\\.', NULL), ('\N', NULL), (E'test \rreturn', NULL), (E'''single'' "double" $1 %s ;', NULL);
-- [then]
INSERT INTO t (f1, f2) SELECT f1, f2 || f1 FROM t;
UPDATE t SET f1 = f1 || E'\n\\.\n' WHERE id % 2 = 0;
UPDATE t SET f1 = '\N' WHERE id = 1;
UPDATE t SET f1 = '' WHERE id = 2;

-- == exclusion-constraints
-- from: unit/setup/1, unit/setup/17
-- what: exclusion constraints, with and without a primary key: rows that give way to one another within a transaction
-- [both]
CREATE TABLE without_key (a int, b int, EXCLUDE USING btree (a WITH =));
ALTER TABLE without_key REPLICA IDENTITY FULL;
CREATE TABLE with_key (id int PRIMARY KEY, val int NOT NULL, EXCLUDE USING btree (val WITH =));
CREATE TABLE room (id int PRIMARY KEY, during int4range, EXCLUDE USING gist (during WITH &&));
-- [rows]
INSERT INTO without_key VALUES (1, 2), (3, 4);
INSERT INTO with_key VALUES (1, 10), (2, 20), (3, 30);
INSERT INTO room VALUES (1, '[1,10)'), (2, '[10,20)'), (3, '[20,30)');
-- [then]
BEGIN;
DELETE FROM with_key WHERE id = 1;
UPDATE with_key SET val = 10 WHERE id = 2;
INSERT INTO with_key VALUES (4, 20);
COMMIT;
BEGIN;
UPDATE without_key SET a = 9 WHERE a = 1;
INSERT INTO without_key VALUES (1, 1);
COMMIT;
BEGIN;
UPDATE room SET during = '[1,5)' WHERE id = 1;
UPDATE room SET during = '[5,20)' WHERE id = 2;
UPDATE room SET during = '[100,110)' WHERE id = 3;
INSERT INTO room VALUES (4, '[20,100)');
COMMIT;

-- == tables-that-inherit
-- from: unit/setup/2, unit/setup/13
-- what: children with columns of their own, data in the parent and in the children, queries that change all at once
-- [both]
CREATE TABLE parent_model (id int PRIMARY KEY, a int NOT NULL, b boolean NOT NULL);
CREATE TABLE child_1 (c jsonb NOT NULL, PRIMARY KEY (id)) INHERITS (parent_model);
CREATE TABLE child_2 (d int NOT NULL, PRIMARY KEY (id)) INHERITS (parent_model);
CREATE TABLE grandchild (e text, PRIMARY KEY (id)) INHERITS (child_1, child_2);
-- [rows]
INSERT INTO parent_model SELECT g, 1, true FROM generate_series(1, 50) g;
INSERT INTO child_1 SELECT 1000 + g, 1, false, '[1, 2]' FROM generate_series(1, 300) g;
INSERT INTO child_2 SELECT 2000 + g, 1, false, 13 FROM generate_series(1, 300) g;
INSERT INTO grandchild SELECT g, 1, false, '{}', 0, 'e' FROM generate_series(1, 20) g;
-- [then]
UPDATE parent_model SET a = a + 1 WHERE id % 10 = 0;
UPDATE ONLY child_1 SET b = true WHERE id < 1010;
DELETE FROM child_1 WHERE id % 7 = 0;
TRUNCATE ONLY child_2;
INSERT INTO child_2 VALUES (1, 1, false, 1);

-- == collations-of-icu
-- from: unit/setup/3, unit/setup/20
-- what: columns and keys in ICU collations, one of them the schema's own
-- [both]
CREATE COLLATION mine (locale = 'fr-FR-x-icu', provider = icu);
CREATE TABLE colls (id bigserial PRIMARY KEY, f1 text COLLATE "fr-FR-x-icu", f2 text COLLATE "de-DE-x-icu");
CREATE TABLE keyed (f1 text COLLATE mine PRIMARY KEY, f2 text COLLATE "en-US-x-icu");
CREATE VIEW v AS SELECT 'foo' COLLATE "C";
-- [rows]
INSERT INTO colls (f1, f2) VALUES ('côte', 'Öl'), ('coté', 'öl'), ('cote', 'Oel');
INSERT INTO keyed VALUES ('côte', 'a'), ('coté', 'b'), ('COTE', 'c');
-- [then]
UPDATE keyed SET f2 = upper(f2) WHERE f1 = 'coté';
UPDATE keyed SET f1 = 'cote' WHERE f1 = 'COTE';
DELETE FROM keyed WHERE f1 = 'côte';
UPDATE colls SET f2 = f1;

-- == a-table-in-parts
-- from: unit/setup/4
-- what: tables large enough to be copied in several chunks, with updates in all of them; the smallest beside
-- [both]
CREATE TABLE table_1 (id bigserial PRIMARY KEY, c char(580));
CREATE TABLE table_2 (id uuid PRIMARY KEY, c char(150));
-- [rows]
INSERT INTO table_1 (c) SELECT left(md5(g::text), 10) FROM generate_series(1, 3000) g;
INSERT INTO table_2 SELECT md5(g::text)::uuid, 'c' FROM generate_series(1, 3000) g;
-- [then]
UPDATE table_1 SET c = 'every tenth' WHERE id % 10 = 0;
UPDATE table_1 SET id = id + 100000 WHERE id % 100 = 1;
DELETE FROM table_1 WHERE id % 11 = 0;
UPDATE table_2 SET id = md5(id::text)::uuid WHERE id::text LIKE '0%';
DELETE FROM table_2 WHERE id::text LIKE 'f%';

-- == a-long-index
-- from: unit/setup/5, unit/setup/10
-- what: partial indexes over long lists, over an enum of a schema with quotes, which no search path finds
-- [both]
CREATE TYPE """state""" AS ENUM ('proposed', 'scheduled', 'started');
CREATE TABLE job (id bigint PRIMARY KEY, state """state""" DEFAULT 'scheduled' NOT NULL, kind varchar(64));
CREATE INDEX ON job (state) WHERE state = 'scheduled';
CREATE INDEX ON job (kind, id) WHERE kind = ANY (ARRAY['a', 'b', 'c', 'd', 'e']::varchar[]);
CREATE UNIQUE INDEX ON job (kind) WHERE state = 'started';
-- [rows]
INSERT INTO job SELECT g, 'scheduled', chr(97 + g) FROM generate_series(1, 20) g;
-- [then]
UPDATE job SET state = 'started' WHERE id < 5;
BEGIN;
UPDATE job SET state = 'proposed' WHERE id = 1;
INSERT INTO job SELECT 100, 'started', kind FROM job WHERE id = 1;
COMMIT;
DELETE FROM job WHERE state = 'scheduled' AND id > 15;

-- == checks-that-are-not-valid
-- from: unit/setup/11
-- what: rows that break a check constraint which was added NOT VALID: the copy cannot write them on a target that checks
-- [old]
CREATE TABLE employee (id uuid PRIMARY KEY, name varchar NOT NULL);
-- [new]
CREATE TABLE employee (id uuid PRIMARY KEY, name varchar NOT NULL);
-- [rows]
INSERT INTO employee VALUES ('00000000-0000-0000-0000-000000000001', 'abc'), ('00000000-0000-0000-0000-000000000002', 'def');
ALTER TABLE employee ADD CONSTRAINT no_abc CHECK (name !~ 'abc') NOT VALID;
-- [then]
INSERT INTO employee VALUES ('00000000-0000-0000-0000-000000000003', 'ghi');
DELETE FROM employee WHERE name = 'abc';

-- == tables-without-columns
-- from: unit/setup/9
-- what: tables of no columns at all
-- [both]
CREATE TABLE nothing ();
-- [rows]
INSERT INTO nothing SELECT FROM generate_series(1, 7);
-- [then]
INSERT INTO nothing DEFAULT VALUES;
INSERT INTO nothing DEFAULT VALUES;

-- == text-search-columns
-- from: unit/setup/21
-- what: tsvectors, large ones too, kept by a trigger of the source
-- [both]
CREATE TABLE doc (id bigint PRIMARY KEY, title text, body text, v tsvector);
CREATE TRIGGER keep BEFORE INSERT OR UPDATE ON doc FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger(v, 'pg_catalog.english', title, body);
-- [rows]
INSERT INTO doc VALUES (1, 'hello world', 'this is a document'), (2, 'many', (SELECT string_agg('word' || g, ' ') FROM generate_series(1, 3000) g));
-- [then]
INSERT INTO doc VALUES (3, 'Walking', 'they walked and walk');
UPDATE doc SET title = 'hello again' WHERE id = 1;
UPDATE doc SET title = 'few' WHERE id = 2;

-- == uuids-by-default
-- from: unit/setup/14
-- what: a column whose default differs with every call, in a table without a key
-- [both]
CREATE TABLE t (id uuid DEFAULT gen_random_uuid(), f1 text);
-- [rows]
INSERT INTO t (f1) SELECT generate_series(100, 199);
-- [then]
INSERT INTO t (f1) SELECT generate_series(200, 210);

-- == identity-columns
-- from: unit/setup/7, unit/setup/16
-- what: identity ALWAYS and BY DEFAULT, with values of one's own
-- [both]
CREATE TABLE always (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, f1 text);
CREATE TABLE by_default (id int GENERATED BY DEFAULT AS IDENTITY (START -100 INCREMENT -7) PRIMARY KEY, f1 text);
CREATE TABLE no_key (id int GENERATED ALWAYS AS IDENTITY, f1 text);
ALTER TABLE no_key REPLICA IDENTITY FULL;
-- [rows]
INSERT INTO always (f1) SELECT generate_series(1, 10);
INSERT INTO by_default (f1) SELECT generate_series(1, 10);
INSERT INTO no_key (f1) SELECT generate_series(1, 10);
-- [then]
INSERT INTO always (id, f1) OVERRIDING SYSTEM VALUE VALUES (500, 'own');
UPDATE always SET f1 = 'x' WHERE id < 4;
UPDATE always SET id = DEFAULT WHERE id = 9;
UPDATE by_default SET id = 1000 WHERE id = -100;
UPDATE no_key SET f1 = 'y' WHERE id = 3;
UPDATE no_key SET id = DEFAULT WHERE id = 4;
DELETE FROM no_key WHERE id = 5;

-- == tenants
-- from: citus
-- what: tables of tenants with keys of two columns that refer to one another, inet and jsonb, numeric(20,10)
-- [both]
CREATE TABLE company (id bigserial PRIMARY KEY, name text NOT NULL);
CREATE TABLE campaign (company bigint NOT NULL REFERENCES company, id bigserial, name text NOT NULL, budget bigint, PRIMARY KEY (company, id));
CREATE TABLE ad (company bigint, id bigserial, campaign bigint NOT NULL, clicks bigint DEFAULT 0, PRIMARY KEY (company, id), FOREIGN KEY (company, campaign) REFERENCES campaign (company, id));
CREATE TABLE click (company bigint, id bigserial, ad bigint NOT NULL, at timestamptz NOT NULL, cost numeric(20, 10), ip inet NOT NULL, data jsonb NOT NULL, PRIMARY KEY (company, id), FOREIGN KEY (company, ad) REFERENCES ad (company, id));
CREATE FUNCTION counted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE format('UPDATE %I.ad SET clicks = clicks + 1 WHERE company = %s AND id = %s', tg_table_schema, NEW.company, NEW.ad); RETURN NEW; END $$;
CREATE TRIGGER counted AFTER INSERT ON click FOR EACH ROW EXECUTE FUNCTION counted();
-- [rows]
INSERT INTO company (name) SELECT 'company ' || g FROM generate_series(1, 5) g;
INSERT INTO campaign (company, name) SELECT g % 5 + 1, 'campaign ' || g FROM generate_series(1, 20) g;
INSERT INTO ad (company, campaign) SELECT company, id FROM campaign;
INSERT INTO click (company, ad, at, cost, ip, data) SELECT ad.company, ad.id, '2026-01-01', 0.0123456789, ('10.0.0.' || ad.id)::inet, '{"a": [1, null]}' FROM ad, generate_series(1, 10);
-- [then]
INSERT INTO click (company, ad, at, cost, ip, data) SELECT ad.company, ad.id, '2026-02-01', 1e-10, '::1', '{}' FROM ad, generate_series(1, 5);
UPDATE campaign SET budget = 100 WHERE company = 2;
DELETE FROM click WHERE company = 3;
DELETE FROM ad WHERE company = 3;

-- == files-of-a-stream
-- from: cdc-file-rotation, cdc-endpos-*
-- what: files of WAL are rotated and an end position is met
-- out: here the stream is one log with positions, which no reader takes apart by files

-- == large-objects
-- from: blobs
-- what: large objects of pg_largeobject
-- out: no logical stream carries them; `switchback check` counts them under what is not covered

-- == extensions-and-filters
-- from: extensions, filtering, follow-filtering
-- what: extensions' own tables, and tables left out by pattern
-- elsewhere: integration/test_prepare.py::test_tables_are_published_by_their_identity_and_partitions_by_their_root

-- == three-databases
-- from: three-databases, all-databases
-- what: all databases of a server at once
-- out: a migration is one database; several run beside one another (integration/test_prepare.py)
