-- yb-voyager's migration tests
-- The live migrations of `migtests/tests/pg` and of `testlivemigration`, and the workloads of `cdcbench`: unique values that move
-- from row to row, partitions with keys of their own, names, sequences, types. Voyager applies rows in parallel and must find such
-- conflicts; here they are found by the net effect of a batch or not at all.

-- == unique-column
-- from: unique-key-conflicts-test
-- what: a unique value goes from row to row: delete then insert, delete then update, update then insert, update then update
-- [both]
CREATE TABLE t (id serial PRIMARY KEY, email varchar(255) UNIQUE);
-- [rows]
INSERT INTO t (email) SELECT 'user' || g || '@example' FROM generate_series(1, 8) g;
-- [then]
DELETE FROM t WHERE id = 1;
INSERT INTO t VALUES (20, 'user1@example');
DELETE FROM t WHERE id = 2;
UPDATE t SET email = 'user2@example' WHERE id = 3;
UPDATE t SET email = 'moved4@example' WHERE id = 4;
INSERT INTO t VALUES (21, 'user4@example');
UPDATE t SET email = 'moved5@example' WHERE id = 5;
UPDATE t SET email = 'user5@example' WHERE id = 6;
UPDATE t SET email = NULL WHERE id = 7;
INSERT INTO t VALUES (22, NULL);

-- == unique-columns-of-two
-- from: unique-key-conflicts-test
-- what: the same with two columns of which one changes at a time, some of them NULL
-- [both]
CREATE TABLE t (id serial PRIMARY KEY, first_name varchar(100), last_name varchar(100), UNIQUE (first_name, last_name));
-- [rows]
INSERT INTO t (first_name, last_name) VALUES ('John', 'Doe'), ('Jane', 'Smith'), ('Bob', 'Johnson'), ('Alice', 'Williams'), ('Tom', 'Clark'), (NULL, 'Clark');
-- [then]
BEGIN;
DELETE FROM t WHERE id = 1;
INSERT INTO t VALUES (10, 'John', 'Doe');
DELETE FROM t WHERE id = 2;
UPDATE t SET first_name = 'Jane', last_name = 'Smith' WHERE id = 3;
UPDATE t SET first_name = 'Thomas' WHERE id = 5;
INSERT INTO t VALUES (11, 'Tom', 'Clark');
UPDATE t SET first_name = 'Al' WHERE id = 4;
UPDATE t SET first_name = 'Alice', last_name = 'Williams' WHERE id = 5;
INSERT INTO t VALUES (12, NULL, 'Clark');
COMMIT;

-- == unique-twice
-- from: unique-key-conflicts-test, cdcbench schema-two-unique-indexes
-- what: a constraint and an index over the same column, over others, over more: one change gives way in several at once
-- [both]
CREATE TABLE same (id serial PRIMARY KEY, email varchar(255) UNIQUE);
CREATE UNIQUE INDEX ON same (email);
CREATE TABLE other (id serial PRIMARY KEY, email varchar(255) UNIQUE, phone varchar(20));
CREATE UNIQUE INDEX ON other (phone);
CREATE TABLE subset (id serial PRIMARY KEY, a text, b text, c text, UNIQUE (a, b));
CREATE UNIQUE INDEX ON subset (a, b, c);
-- [rows]
INSERT INTO same (email) SELECT 'e' || g FROM generate_series(1, 8) g;
INSERT INTO other (email, phone) SELECT 'e' || g, 'p' || g FROM generate_series(1, 8) g;
INSERT INTO subset (a, b, c) SELECT 'a' || g, 'b' || g, 'c' FROM generate_series(1, 8) g;
-- [then]
BEGIN;
DELETE FROM same WHERE id = 1;
UPDATE same SET email = 'e1' WHERE id = 2;
UPDATE same SET email = 'e2' WHERE id = 3;
DELETE FROM other WHERE id = 1;
UPDATE other SET email = 'free' WHERE id = 2;
UPDATE other SET phone = 'p1', email = 'e2' WHERE id = 3;
INSERT INTO other VALUES (20, 'e1', 'p3');
UPDATE subset SET a = 'moved' WHERE id = 1;
INSERT INTO subset VALUES (20, 'a1', 'b1', 'c');
COMMIT;

-- == unique-expression
-- from: unique-key-conflicts-test, ExpressionIndexOnPartitions
-- what: unique over lower(email), so that values that differ are in one another's way
-- [both]
CREATE TABLE t (id serial PRIMARY KEY, email varchar(255));
CREATE UNIQUE INDEX ON t (lower(email));
-- [rows]
INSERT INTO t (email) SELECT 'User' || g FROM generate_series(1, 8) g;
-- [then]
UPDATE t SET email = 'moved' WHERE id = 4;
INSERT INTO t (email) VALUES ('USER4');
BEGIN;
UPDATE t SET email = 'MOVED5' WHERE id = 5;
UPDATE t SET email = 'uSER5' WHERE id = 6;
DELETE FROM t WHERE id = 7;
INSERT INTO t (email) VALUES ('user7');
COMMIT;

-- == unique-where
-- from: unique-key-conflicts-test, cdcbench conflict-versioned-rows-partial-index
-- what: one current row a key, by a partial unique index: it hands over to the next one
-- [both]
CREATE TABLE t (id serial PRIMARY KEY, check_id int, most_recent boolean);
CREATE UNIQUE INDEX ON t (check_id) WHERE most_recent;
-- [rows]
INSERT INTO t (check_id, most_recent) SELECT g, true FROM generate_series(1, 10) g;
-- [then]
UPDATE t SET most_recent = false WHERE check_id = 1;
INSERT INTO t (check_id, most_recent) VALUES (1, true);
BEGIN;
UPDATE t SET most_recent = false WHERE check_id < 6 AND most_recent;
INSERT INTO t (check_id, most_recent) SELECT g, true FROM generate_series(1, 5) g;
COMMIT;
BEGIN;
DELETE FROM t WHERE id = 7;
UPDATE t SET check_id = 7 WHERE id = 8;
INSERT INTO t (check_id, most_recent) VALUES (8, true);
COMMIT;
UPDATE t SET most_recent = NULL WHERE check_id = 9;
INSERT INTO t (check_id, most_recent) VALUES (9, true);

-- == values-that-swap
-- from: cdcbench conflict-value-swap, conflict-update-pairs
-- what: two rows exchange their unique values by way of a third; with a deferrable constraint directly
-- [both]
CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE);
CREATE TABLE d (id int PRIMARY KEY, u int UNIQUE DEFERRABLE INITIALLY DEFERRED);
-- [rows]
INSERT INTO t SELECT g, g FROM generate_series(1, 20) g;
INSERT INTO d SELECT g, g FROM generate_series(1, 20) g;
-- [then]
BEGIN;
UPDATE t SET u = -1 WHERE id = 1;
UPDATE t SET u = 1 WHERE id = 2;
UPDATE t SET u = 2 WHERE id = 1;
COMMIT;
BEGIN;
UPDATE d SET u = 2 WHERE id = 1;
UPDATE d SET u = 1 WHERE id = 2;
UPDATE d SET u = u % 10 + 11 WHERE id > 10;
COMMIT;
UPDATE d SET u = 21 - u;

-- == nulls-that-are-not-distinct
-- from: cdcbench conflict-nulls-not-distinct, UniqueKeyConflictWithNullValues
-- what: NULL once, beside NULL as often as one likes: which of them gives way, and which need not
-- since: 15
-- [both]
CREATE TABLE once (id int PRIMARY KEY, a int, b int, UNIQUE NULLS NOT DISTINCT (a, b));
CREATE TABLE often (id int PRIMARY KEY, a int, b int, UNIQUE (a, b));
-- [rows]
INSERT INTO once VALUES (1, NULL, NULL), (2, 1, NULL), (3, 1, 1);
INSERT INTO often VALUES (1, NULL, NULL), (2, NULL, NULL), (3, 1, 1);
-- [then]
BEGIN;
UPDATE once SET a = 5 WHERE id = 1;
INSERT INTO once VALUES (4, NULL, NULL);
DELETE FROM once WHERE id = 2;
UPDATE once SET b = NULL WHERE id = 3;
COMMIT;
INSERT INTO often VALUES (4, NULL, 1), (5, NULL, 1);
UPDATE often SET a = NULL WHERE id = 3;

-- == a-covering-unique-index
-- from: UniqueKeyIndexCovering
-- what: unique over one column that includes another
-- [both]
CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL, b int);
CREATE UNIQUE INDEX t_a ON t (a) INCLUDE (b);
ALTER TABLE t REPLICA IDENTITY USING INDEX t_a;
-- [rows]
INSERT INTO t SELECT g, g, g FROM generate_series(1, 20) g;
-- [then]
UPDATE t SET b = 100 WHERE a < 5;
UPDATE t SET a = a + 100 WHERE id > 15;
BEGIN;
DELETE FROM t WHERE id = 6;
UPDATE t SET a = 6 WHERE id = 7;
COMMIT;

-- == unique-in-one-partition-only
-- from: UniqueIndexOnlyOnLeafPartitions
-- what: a leaf has a unique index that its siblings lack: a value moves within it and out of it
-- [both]
CREATE TABLE t (id int, region text, email text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE t_a PARTITION OF t FOR VALUES IN ('a');
CREATE TABLE t_b PARTITION OF t FOR VALUES IN ('b');
CREATE UNIQUE INDEX ON t_a (email);
CREATE UNIQUE INDEX ON t_b (lower(email));
-- [rows]
INSERT INTO t SELECT g, CASE WHEN g % 2 = 0 THEN 'a' ELSE 'b' END, 'e' || g FROM generate_series(1, 20) g;
-- [then]
BEGIN;
UPDATE t SET email = 'free' WHERE id = 2;
INSERT INTO t VALUES (22, 'a', 'e2');
UPDATE t SET region = 'b' WHERE id = 4;
INSERT INTO t VALUES (24, 'a', 'e4');
UPDATE t SET email = 'E1' WHERE id = 1;
DELETE FROM t WHERE id = 3;
UPDATE t SET email = 'E3' WHERE id = 5;
COMMIT;

-- == keys-on-the-leaves-only
-- from: PartitionedTableWithChildPK
-- what: the root has no key, its leaves have one each
-- elsewhere: integration/test_check.py::test_partitions_with_another_identity_are_warned_of_and_mended

-- == partitions-in-several-schemas
-- from: PartitionsAcrossDifferentSchemas
-- what: the root in one schema, its partitions in another
-- [both]
CREATE SCHEMA "partitions_in_several_schemas.parts";
CREATE TABLE t (id int, at date, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE "partitions_in_several_schemas.parts".t_2025 PARTITION OF t FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE "partitions_in_several_schemas.parts".t_2026 PARTITION OF t FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
-- [rows]
INSERT INTO t SELECT g, date '2025-12-20' + g, 'v' FROM generate_series(1, 30) g;
-- [then]
UPDATE t SET at = at - 30 WHERE id > 20;
INSERT INTO "partitions_in_several_schemas.parts".t_2026 VALUES (100, '2026-05-05', 'direct');
DELETE FROM "partitions_in_several_schemas.parts".t_2025 WHERE id < 5;

-- == three-levels-of-partitions
-- from: MultiLevelPartitioningWithChildTablesHasPK, partitions
-- what: list, then range, then hash; rows that move across all levels
-- [both]
CREATE TABLE sales (id int, region text, at date, amount int, PRIMARY KEY (id, region, at)) PARTITION BY LIST (region);
CREATE TABLE sales_eu PARTITION OF sales FOR VALUES IN ('London', 'Sofia') PARTITION BY RANGE (at);
CREATE TABLE sales_eu_old PARTITION OF sales_eu FOR VALUES FROM (MINVALUE) TO ('2026-01-01') PARTITION BY HASH (id);
CREATE TABLE sales_eu_old_0 PARTITION OF sales_eu_old FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE sales_eu_old_1 PARTITION OF sales_eu_old FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE sales_eu_new PARTITION OF sales_eu FOR VALUES FROM ('2026-01-01') TO (MAXVALUE);
CREATE TABLE sales_rest PARTITION OF sales DEFAULT;
-- [rows]
INSERT INTO sales SELECT g, (ARRAY['London', 'Sofia', 'Boston', 'Sydney'])[g % 4 + 1], date '2025-12-01' + g, g * 10 FROM generate_series(1, 60) g;
-- [then]
UPDATE sales SET region = 'Sofia' WHERE region = 'Boston' AND id < 30;
UPDATE sales SET at = '2025-06-01' WHERE id % 9 = 0;
UPDATE sales SET amount = 0 WHERE region = 'Sydney';
UPDATE sales_eu SET id = id + 1000 WHERE id > 50;
DELETE FROM sales WHERE amount % 70 = 0;

-- == names-that-need-quotes
-- from: case-sensitivity-reserved-words, CaseSensitiveColumns
-- what: reserved words and mixed case as schemas, tables, columns, constraints, enums; equal names in two schemas
-- [both]
CREATE SCHEMA "names_that_need_quotes.order";
CREATE TYPE "Kind" AS ENUM ('A', 'a');
CREATE TABLE "order" ("user" serial PRIMARY KEY, "Table" text UNIQUE, "select" "Kind", "from" int, "From" int CONSTRAINT "group" CHECK ("From" > 0));
CREATE TABLE "Order" ("user" serial PRIMARY KEY, "USER" int);
CREATE TABLE "names_that_need_quotes.order"."order" ("user" serial PRIMARY KEY, "check" int);
CREATE TABLE customers (id int PRIMARY KEY, "Statuses" text, arr int);
-- [rows]
INSERT INTO "order" ("Table", "select", "from", "From") SELECT 't' || g, 'A', g, g FROM generate_series(1, 10) g;
INSERT INTO "Order" ("USER") SELECT generate_series(1, 10);
INSERT INTO "names_that_need_quotes.order"."order" ("check") SELECT generate_series(1, 10);
INSERT INTO customers SELECT g, (ARRAY['ACTIVE', 'RECURRING', 'EXPIRED'])[g % 3 + 1], g FROM generate_series(1, 50) g;
-- [then]
BEGIN;
UPDATE "order" SET "Table" = 'free', "select" = 'a' WHERE "user" = 1;
INSERT INTO "order" ("Table", "from") VALUES ('t1', 0);
UPDATE "order" SET "From" = "from" + 1, "from" = "From" WHERE "user" > 5;
COMMIT;
UPDATE "Order" SET "USER" = -"USER" WHERE "user" % 2 = 0;
DELETE FROM "Order" WHERE "user" = 3;
UPDATE "names_that_need_quotes.order"."order" SET "check" = NULL WHERE "user" = 4;
UPDATE customers SET "Statuses" = 'RECURRING' WHERE id < 10;
DELETE FROM customers WHERE "Statuses" = 'EXPIRED' AND id > 40;

-- == strings-of-all-kinds
-- from: LiveMigrationWithDatatypeEdgeCases
-- what: quotes, backslashes, line breaks, control characters, bidirectional marks, very long; also as enum labels and hstore
-- needs: hstore, ltree
-- [both]
CREATE TYPE label AS ENUM ('it''s', 'a "quote"', 'back\slash', 'ümläut', 'with space', '日本', '🚀', '123', 'a,b', '{x}');
CREATE TABLE s (id int PRIMARY KEY, v varchar(100), t text, c char(20));
CREATE TABLE e (id int PRIMARY KEY, l label, ls label[]);
CREATE TABLE h (id int PRIMARY KEY, m hstore, j json, jb jsonb, lt ltree, u uuid);
CREATE TABLE b (id int PRIMARY KEY, y bytea, iv interval, d numeric(38, 9), z timestamptz, bo bool);
-- [rows]
INSERT INTO s VALUES (1, 'O''Reilly', E'line\nbreak\ttab\\', 'padded'), (2, E'\u202Ebidi', E'\x01\x1f', ''), (3, 'null', 'NULL', '\N'), (4, '/*', '-- no comment; DROP TABLE s', '$$');
INSERT INTO e SELECT g, (enum_range(NULL::label))[g], (enum_range(NULL::label))[1:g] FROM generate_series(1, 10) g;
INSERT INTO h VALUES (1, '"a=>b" => "c,d", e => NULL', '{"k": "it''s \"q\" \\ \/"}', '{"k": "it''s \"q\" \\ \/"}', 'Top.a_b.C', '00000000-0000-0000-0000-000000000000'), (2, '', '{}', '[]', '', NULL);
INSERT INTO b VALUES (1, '\x00275c22ff', '-1 year 2 mons -3 days 04:05:06.7', -0.000000001, '1970-01-01 00:00:00+05:45', NULL), (2, '', '0', 99999999999999999999999999999.999999999, 'epoch', true);
-- [then]
UPDATE s SET t = v, v = NULL WHERE id = 1;
UPDATE s SET t = repeat('𝄞', 3000) WHERE id = 2;
INSERT INTO s VALUES (5, repeat('ü', 100), '', NULL);
UPDATE e SET l = 'a,b' WHERE id = 1;
UPDATE e SET ls = ls || '{x}'::label WHERE id < 4;
UPDATE h SET m = m || 'x => "y\"z"', jb = jb || '{"n": 1.10}' WHERE id = 1;
UPDATE b SET y = y || '\x00', d = -d, iv = -iv;
DELETE FROM s WHERE id = 3;

-- == what-a-shop-does
-- from: cdcbench oltp-order-lifecycle, oltp-checkout-multi-table
-- what: orders with their lines and stock in one transaction each, cancelled, shipped, counted down
-- [both]
CREATE TABLE stock (item int PRIMARY KEY, left_over int CHECK (left_over >= 0));
CREATE TABLE orders (id int PRIMARY KEY, state text NOT NULL, total int, changed timestamptz);
CREATE TABLE line (order_id int REFERENCES orders ON DELETE CASCADE, n int, item int REFERENCES stock, PRIMARY KEY (order_id, n));
-- [rows]
INSERT INTO stock SELECT g, 1000 FROM generate_series(1, 10) g;
-- [then]
DO $$ BEGIN FOR o IN 1..120 LOOP
    INSERT INTO orders VALUES (o, 'new', 0, '2026-01-01');
    FOR n IN 1..o % 4 + 1 LOOP
        INSERT INTO line VALUES (o, n, (o + n) % 10 + 1);
        UPDATE stock SET left_over = left_over - 1 WHERE item = (o + n) % 10 + 1;
        UPDATE orders SET total = total + 1 WHERE id = o;
    END LOOP;
    COMMIT;
    IF o % 5 = 0 THEN DELETE FROM orders WHERE id = o - 2; END IF;
    IF o % 3 = 0 THEN UPDATE orders SET state = 'paid' WHERE id = o - 1; UPDATE orders SET state = 'sent' WHERE id = o - 1; END IF;
    IF o % 7 = 0 THEN ROLLBACK; END IF;
    COMMIT;
END LOOP; END $$;

-- == a-queue-of-jobs
-- from: cdcbench oltp-job-queue, oltp-session-churn
-- what: rows that are inserted, locked, marked and deleted soon after, most of them within one batch
-- [both]
CREATE TABLE job (id int PRIMARY KEY, slot int UNIQUE, state text, payload text);
-- [rows]
INSERT INTO job SELECT g, g, 'ready', 'p' FROM generate_series(1, 10) g;
-- [then]
DO $$ BEGIN FOR n IN 11..200 LOOP
    DELETE FROM job WHERE slot = n % 10 + 1;
    INSERT INTO job VALUES (n, n % 10 + 1, 'ready', repeat('p', n));
    PERFORM 1 FROM job WHERE id = n FOR UPDATE;
    UPDATE job SET state = 'taken' WHERE id = n;
    COMMIT;
END LOOP; END $$;

-- == hot-rows
-- from: cdcbench oltp-skewed-hot-rows, oltp-ledger, EventsOnSamePkOrdered
-- what: few rows changed hundreds of times, deleted and inserted again under the same key
-- [both]
CREATE TABLE t (id int PRIMARY KEY, v int, note text);
-- [rows]
INSERT INTO t VALUES (1, 0, 'hot'), (2, 0, 'warm');
-- [then]
DO $$ BEGIN FOR n IN 1..300 LOOP
    UPDATE t SET v = v + 1 WHERE id = 1;
    IF n % 10 = 0 THEN DELETE FROM t WHERE id = 2; END IF;
    IF n % 10 = 1 THEN INSERT INTO t VALUES (2, n, 'again') ON CONFLICT (id) DO UPDATE SET v = n; END IF;
    IF n % 50 = 0 THEN UPDATE t SET id = 3 WHERE id = 1; UPDATE t SET id = 1 WHERE id = 3; END IF;
    COMMIT;
END LOOP; END $$;

-- == wide-rows
-- from: LargeNumberOfColumns, cdcbench schema-wide-rows
-- what: hundreds of columns of long names of which few change
-- [both]
DO $$ BEGIN EXECUTE 'CREATE TABLE t (id int PRIMARY KEY, ' || (SELECT string_agg(format('a_column_with_a_name_that_is_about_as_long_as_names_can_be_%s int', g), ', ') FROM generate_series(1, 400) g) || ')'; END $$;
-- [rows]
INSERT INTO t (id, a_column_with_a_name_that_is_about_as_long_as_names_can_be_7) SELECT g, g FROM generate_series(1, 30) g;
-- [then]
UPDATE t SET a_column_with_a_name_that_is_about_as_long_as_names_can_be_400 = id WHERE id < 10;
UPDATE t SET a_column_with_a_name_that_is_about_as_long_as_names_can_be_1 = 1, a_column_with_a_name_that_is_about_as_long_as_names_can_be_7 = NULL WHERE id > 20;
DELETE FROM t WHERE id = 15;

-- == constraints-of-every-kind
-- from: constraints, indexes
-- what: checks over several columns, exclusion, deferrable, partial and included indexes, foreign keys to unique columns
-- [both]
CREATE TABLE p (id int PRIMARY KEY, code text NOT NULL UNIQUE, low int, high int, CHECK (low <= high));
CREATE TABLE q (id int PRIMARY KEY, p text REFERENCES p (code) ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE, during int4range, EXCLUDE USING gist (during WITH &&) WHERE (id > 0));
CREATE INDEX ON p USING gin (to_tsvector('simple', code));
CREATE INDEX ON p USING brin (low);
CREATE INDEX ON p USING hash (code);
CREATE INDEX ON p USING spgist (code);
CREATE INDEX ON q (p) INCLUDE (during) WHERE p IS NOT NULL;
-- [rows]
INSERT INTO p SELECT g, 'c' || g, g, g + 10 FROM generate_series(1, 20) g;
INSERT INTO q SELECT g, 'c' || g, int4range(g * 10, g * 10 + 5) FROM generate_series(1, 20) g;
-- [then]
UPDATE p SET code = 'moved' WHERE id = 3;
DELETE FROM p WHERE id = 4;
BEGIN;
UPDATE q SET during = 'empty' WHERE id = 5;
UPDATE q SET during = '[50,54)' WHERE id = 6;
UPDATE p SET low = low + 5, high = high + 5;
COMMIT;

-- == views-rules-and-functions
-- from: views-and-rules, misc-objects-1, dependent-ddls
-- what: changes made through updatable views, INSTEAD OF triggers, rules, functions and writable CTEs
-- [both]
CREATE TABLE t (id serial PRIMARY KEY, v text, kind int);
CREATE VIEW simple AS SELECT id, v FROM t WHERE kind = 1 WITH LOCAL CHECK OPTION;
ALTER VIEW simple ALTER v SET DEFAULT 'by view';
CREATE VIEW joined AS SELECT a.id, a.v || b.v AS both FROM t a JOIN t b USING (id);
CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE format('UPDATE %I.t SET v = %L WHERE id = %s', tg_table_schema, NEW."both", OLD.id); RETURN NEW; END $$;
CREATE TRIGGER instead INSTEAD OF UPDATE ON joined FOR EACH ROW EXECUTE FUNCTION instead();
CREATE TABLE log (at serial PRIMARY KEY, what text);
CREATE RULE log_it AS ON UPDATE TO t DO ALSO INSERT INTO log (what) VALUES ('rule ' || NEW.id);
-- [rows]
INSERT INTO t (v, kind) SELECT 'v' || g, g % 2 FROM generate_series(1, 10) g;
-- [then]
UPDATE simple SET v = 'through' WHERE id = 3;
DELETE FROM simple WHERE id = 5;
UPDATE joined SET "both" = 'instead' WHERE id = 2;
WITH gone AS (DELETE FROM t WHERE id = 7 RETURNING *), kept AS (INSERT INTO t (v) VALUES ('kept') RETURNING id) INSERT INTO log (what) SELECT v FROM gone UNION ALL SELECT id::text FROM kept;
INSERT INTO log VALUES (1, 'x') ON CONFLICT (at) DO NOTHING;

-- == expressions-in-set-lists
-- from: stackexchange, sakila
-- what: MERGE and UPDATE from other tables, rows that several sources match
-- since: 15
-- [both]
CREATE TABLE t (id int PRIMARY KEY, v int);
CREATE TABLE delta (id int, v int);
ALTER TABLE delta REPLICA IDENTITY FULL;
-- [rows]
INSERT INTO t SELECT g, g FROM generate_series(1, 20) g;
INSERT INTO delta SELECT g, 100 FROM generate_series(10, 30) g;
-- [then]
MERGE INTO t USING delta d ON t.id = d.id WHEN MATCHED AND t.id % 3 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET v = t.v + d.v WHEN NOT MATCHED THEN INSERT VALUES (d.id, d.v);
UPDATE t SET v = d.v FROM delta d WHERE d.id = t.id + 1;
DELETE FROM delta USING t WHERE t.id = delta.id AND t.v = 100;

-- == sequences-are-kept-ahead
-- from: sequences, sequence_resumption
-- what: sequences at the end of a migration
-- elsewhere: fault/test_sequences.py::test_at_any_moment_they_are_ahead_whoever_is_killed

-- == fall-back
-- from: basic-live-test, LiveMigrationWithFallback
-- what: the way back after the cutover
-- elsewhere: integration/test_reverse.py::test_ownership_decides_which_way_rows_go

-- == bulk-assessment
-- from: assessment-report-test, omnibus, pgtbrus, osm, rna, mgi
-- what: reports about a schema, and sample schemas whose data is not there
-- out: they move structure alone, which is pg_dump's part of the product, not the stream's
