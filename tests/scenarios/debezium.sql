-- Debezium's tests of its PostgreSQL connector
-- The tables of `postgres_create_tables.ddl` by kind of type, and what `RecordsStreamProducerIT` and its neighbours do with them:
-- values that are large, keys that change, tables without keys, domains, messages, origins. Formats of its records have no
-- counterpart here: the value in the target's table is what counts.

-- == numbers
-- from: numeric_table
-- what: every kind of number with its edges, NaN and infinities, serials and oids
-- [both]
CREATE TABLE t (pk serial PRIMARY KEY, si smallint, i int, bi bigint, r real, db double precision, ss smallserial, bs bigserial, b boolean, o oid);
-- [rows]
INSERT INTO t (si, i, bi, r, db, b, o) VALUES (-32768, -2147483648, -9223372036854775808, 3.3, 4.44, true, 4294967295), (32767, 2147483647, 9223372036854775807, 'NaN', 'NaN', false, 0), (0, 0, 0, 'Infinity', '-Infinity', NULL, 1), (1, 1, 1, 1e-45, 5e-324, true, NULL), (1, 1, 1, 3.4028235e38, 1.7976931348623157e308, true, NULL);
-- [then]
UPDATE t SET r = -r, db = db / 3 WHERE pk <> 4;
INSERT INTO t (r, db) VALUES (0.1, 0.1), ('-0', '-0');
UPDATE t SET si = NULL, i = NULL, bi = NULL WHERE pk = 1;
DELETE FROM t WHERE db = 'NaN';

-- == decimals
-- from: numeric_decimal_table, testInfinityNumeric
-- what: fixed, zero and free scale, integral values in them, NaN, and infinity where there is no precision
-- [both]
CREATE TABLE t (pk serial PRIMARY KEY, d decimal(3, 2), dzs decimal(4), dvs decimal, nn decimal(3, 2) NOT NULL, n numeric(6, 4), nvs numeric);
-- [rows]
INSERT INTO t (d, dzs, dvs, nn, n, nvs) VALUES (1.1, 10.11, 10.1111, 3.30, 22.2222, 22.2), (1, 10, 10, 1, 22, 22.000), ('NaN', 'NaN', 'NaN', 'NaN', 'NaN', 'NaN'), (NULL, NULL, 'Infinity', 0, NULL, '-Infinity');
-- [then]
UPDATE t SET dvs = dvs * 1.0, nvs = 0.00 WHERE pk < 3;
INSERT INTO t (dvs, nn, nvs) VALUES (1e100, 0.00, -1e-100), (123456789012345678901234567890.123456789012345678901234567890, 0, 0);
UPDATE t SET dvs = '-Infinity' WHERE dvs = 'NaN';

-- == strings
-- from: string_table
-- what: char, varchar, text, bytea of every byte, citext; blanks at the end; characters of several bytes in varchar(2)
-- needs: citext
-- [both]
CREATE TABLE t (pk serial PRIMARY KEY, vc varchar(2), ch character(4), c char(3), t text, b bytea, bnn bytea NOT NULL, ct citext);
CREATE TABLE by_citext (k citext PRIMARY KEY, v int);
-- [rows]
INSERT INTO t (vc, ch, c, t, b, bnn, ct) VALUES ('žš', 'abcd', 'abc', 'some text', '\x000102', '\x', 'Hello World'), ('  ', ' ', '', '', NULL, '\xff', '');
INSERT INTO by_citext VALUES ('Aa', 1), ('b', 2);
-- [then]
UPDATE t SET b = (SELECT decode(string_agg(lpad(to_hex(g), 2, '0'), ''), 'hex') FROM generate_series(0, 255) g), ch = 'a';
UPDATE t SET ct = 'hello world' WHERE ct = 'HELLO WORLD';
UPDATE by_citext SET v = 3 WHERE k = 'AA';
UPDATE by_citext SET k = 'B' WHERE k = 'b';
DELETE FROM by_citext WHERE k = 'aA';

-- == addresses-and-money
-- from: network_address_table, cidr_network_address_table, macaddr_table, cash_table
-- what: inet and cidr of both families with and without masks, macaddr, money of either sign
-- [both]
CREATE TABLE t (pk serial PRIMARY KEY, i inet, c cidr, m macaddr, m8 macaddr8, cash money);
-- [rows]
INSERT INTO t (i, c, m, m8, cash) VALUES ('192.168.2.0/12', '192.168.100.128/25', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', 1234.11), ('::ffff:1.2.3.4/128', '2001:db8::/32', '00:00:00:00:00:00', NULL, -0.01);
-- [then]
UPDATE t SET i = i + 1, cash = cash * 2;
INSERT INTO t (i, cash) VALUES ('10.0.0.1', '92233720368547758.07'), ('10.0.0.1/31', '-92233720368547758.08'), (NULL, NULL);
DELETE FROM t WHERE pk = 2;

-- == bits
-- from: bitbin_table, bytea_binmode_table
-- what: bit and varbit of every length, none at all, 64 and more; arrays of bytea
-- [both]
CREATE TABLE t (pk serial PRIMARY KEY, b1 bit, b2 bit(2), b7 bit(7), v1 varbit(1), v24 varbit(24), vl varbit(64), vu varbit, ba bytea[]);
-- [rows]
INSERT INTO t (b1, b2, b7, v1, v24, vl, vu, ba) VALUES ('0', '11', '1000001', '1', '000000110000001000000001', '1000000000000000000000000000000000000000000000000000000000000000', '', ARRAY['\x01'::bytea, NULL, '\x']);
-- [then]
INSERT INTO t (vu, ba) VALUES (repeat('10', 500)::varbit, '{}'), (NULL, NULL);
UPDATE t SET b7 = ~b7, vu = vu || B'1', ba = ba || '\xdeadbeef'::bytea;

-- == times
-- from: time_table, shouldReceiveTwentyFourHourTimeWithTimeZone, shouldReceiveDeletesWithInfinityDate
-- what: every kind of time with its precisions, the first and last there are, infinities, 24:00, zones of seconds
-- [both]
CREATE TABLE t (pk serial PRIMARY KEY, ts timestamp, ts0 timestamp(0), ts3 timestamp(3), tz timestamptz, d date, ti time, ti3 time(3), ttz timetz, iv interval, iv2 interval day to second(2), a timetz[]);
ALTER TABLE t REPLICA IDENTITY FULL;
-- [rows]
INSERT INTO t (ts, ts0, ts3, tz, d, ti, ti3, ttz, iv, iv2, a) VALUES
 ('2016-11-04T13:51:30.123456', '2016-11-04T13:51:30.6', '2016-11-04T13:51:30.1236', '2016-11-04T13:51:30.123456+02:00', '2016-11-04', '13:51:30', '13:51:30.1236', '13:51:30.123789+02:00', 'P1Y2M3DT4H5M6.78S', '1 day 00:00:00.456', '{24:00+00,00:00:00-15:59:59}'),
 ('4713-12-31 00:00:00 BC', 'infinity', '294276-12-31 23:59:59.999', '4713-12-31 00:00:00+00 BC', '4713-12-31 BC', '24:00', '00:00', '24:00:00+15:59:59', '-178000000 years', NULL, NULL),
 ('294276-12-31 23:59:59.999999', NULL, '-infinity', '294276-12-31 23:59:59.999999+00', '5874897-12-31', '00:00', NULL, NULL, '178000000 years', '-1 second', '{}'),
 ('-infinity', NULL, NULL, 'infinity', '-infinity', NULL, NULL, NULL, '1 mon -1 day', NULL, NULL);
-- [then]
UPDATE t SET tz = tz + interval '1 microsecond' WHERE pk = 1;
UPDATE t SET d = 'infinity' WHERE pk = 1;
INSERT INTO t (d, iv) VALUES ('0001-01-01', '-00:00:00.000001'), ('0001-12-31 BC', '1 year -1 mon 1 day -1 sec');
DELETE FROM t WHERE d = 'infinity';
DELETE FROM t WHERE iv = '-178000000 years';
UPDATE t SET ti = '23:59:59.9999999', ttz = '00:00:00+00' WHERE ti IS NULL;

-- == documents
-- from: text_table, geom_table, unknown_type_table
-- what: json as written and jsonb as understood, xml, uuid, geometry, a text query
-- [both]
CREATE TABLE t (pk serial PRIMARY KEY, j json, jb jsonb, x xml, u uuid, p point, q tsquery, pa path, po polygon, ci circle);
-- [rows]
INSERT INTO t (j, jb, x, u, p, q, pa, po, ci) VALUES ('{"bar": "baz", "bar" : 1}', '{"bar": "baz", "bar": 1.00}', '<foo>bar</foo><foo>bar</foo>', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '(1,1e-300)', '''a'' <2> !''b''', '[(1,1),(2,2)]', '((0,0),(1,1),(1,0))', '<(0,0),1e10>');
-- [then]
INSERT INTO t (j, jb) VALUES ('null', 'null'), ('[]', '[]'), ('"\u00e9\ud83d\ude00"', '"\u00e9\ud83d\ude00"'), (' 1 ', '1e-5');
UPDATE t SET jb = jsonb_set(jb, '{a}', '{"deep": [1, {"b": null}]}') WHERE pk = 1;
UPDATE t SET j = '{ }', p = '(NaN,Infinity)' WHERE pk = 2;

-- == ranges
-- from: range_table
-- what: bounded and unbounded ranges of every kind, and multiranges
-- [both]
CREATE TABLE t (pk serial PRIMARY KEY, ts tsrange, tz tstzrange, d daterange, i4 int4range, n numrange, i8 int8range, m datemultirange, nm nummultirange);
-- [rows]
INSERT INTO t (ts, tz, d, i4, n, i8, m, nm) VALUES ('[2019-03-31 15:30:00, infinity]', '(2017-06-05 11:29:12.549426+00,)', '[2019-03-31, infinity)', '[1000,6000)', '[5.3,6.3)', '[1000000,6000000)', '{[2019-01-01,2019-02-01),[2020-01-01,)}', '{}'), ('empty', 'empty', '(,)', '[1,1]', '(,5.30]', 'empty', NULL, '{[1.0,1.00]}');
-- [then]
UPDATE t SET d = d * daterange('2020-01-01', '2021-01-01'), m = m + datemultirange(daterange('2019-02-01', '2019-03-01'));
INSERT INTO t (n) VALUES ('[NaN,NaN]'), ('(-Infinity,Infinity)');

-- == arrays
-- from: array_table, array_table_with_nulls
-- what: arrays of everything, of NULL, of none, of two dimensions; replaced, appended to, set to NULL
-- needs: citext
-- [both]
CREATE TABLE t (pk serial PRIMARY KEY, i int[], b bigint[], x text[], c char(10)[], v varchar(10)[], d date[], n numeric(10, 2)[], nv numeric[3], ct citext[], ia inet[], ca cidr[], ma macaddr[], tr tsrange[], tz tstzrange[], dr daterange[], ir int4range[], nr numrange[], u uuid[], j json[], jb jsonb[], o oid[]);
-- [rows]
INSERT INTO t (i, b, x, c, v, d, n, nv, ct, ia, ca, ma, tr, tz, dr, ir, nr, u, j, jb, o) VALUES ('{1,2,3}', '{1550166368505037572}', '{"one","two","three"}', '{"cone","ctwo"}', '{"vcone"}', '{2016-11-04,infinity}', '{1.2,3.4}', '{1.10,2.22,3}', '{"Four","FIVE"}', '{"192.168.2.0/12","::1"}', '{"192.168.100.128/25"}', '{"08:00:2b:01:02:03"}', '{"[2019-03-31 15:30:00,infinity)","empty"}', '{"[2017-06-05 11:29:12.549426+00,)"}', '{"[2019-03-31,infinity)"}', '{"[1,6)","[1,4)"}', '{"[5.3,6.3)","(,10.0]"}', '{"40fea9ff-22a9-4e8a-b6b2-5e7a8a8f4b1e"}', ARRAY['{"a": "b"}', NULL]::json[], ARRAY['{"a": "b"}']::jsonb[], '{3,4000000000}');
INSERT INTO t (i, x, d, n) VALUES (NULL, '{NULL,"NULL",""}', '{}', '{NULL,NULL}');
-- [then]
UPDATE t SET i = i || NULL::int, x = array_prepend('"', x), j = '{}', nr = NULL;
INSERT INTO t (i, x) VALUES ('{{1,2},{3,4}}', '[-1:0]={a,b}');
UPDATE t SET i[1] = 9, x[5] = 'far' WHERE pk = 2;

-- == types-of-extensions
-- from: custom_table, hstore_table, hstore_table_with_special
-- what: ltree, isbn and hstore, alone and in arrays, with quotes and NULLs in them
-- needs: hstore, ltree, isn
-- [both]
CREATE TABLE t (pk serial PRIMARY KEY, lt ltree, i isbn, n text, lts ltree[], hs hstore, hss hstore[]);
CREATE TABLE by_ltree (k ltree PRIMARY KEY, v int);
-- [rows]
INSERT INTO t (lt, i, n, lts, hs, hss) VALUES ('Top.Collections.Pictures', '978-0-393-04002-9', NULL, '{"Ship.Frigate",NULL}', 'key => val, "key #1" => NULL', ARRAY['a => 1', NULL]::hstore[]), ('', NULL, 'x', NULL, '', NULL);
INSERT INTO by_ltree VALUES ('a.b', 1), ('a.b.c', 2);
-- [then]
UPDATE t SET hs = hs || '"quo\"te" => "back\\slash, comma", "NULL" => "NULL"';
INSERT INTO t (hs) SELECT hstore(array_agg('k' || g), array_agg(repeat('v', g))) FROM generate_series(1, 200) g;
UPDATE by_ltree SET v = 3 WHERE k = 'a.b';
UPDATE by_ltree SET k = 'a.c' WHERE k = 'a.b.c';

-- == all-columns-not-null
-- from: not_null_table
-- what: the old row of a delete and an update, where every column is NOT NULL and only the key comes
-- [both]
CREATE TABLE t (pk serial PRIMARY KEY, val numeric(20, 8), at timestamp NOT NULL, tz timestamptz NOT NULL, ti time NOT NULL, mo money NOT NULL, bi bit(3) NOT NULL, si smallint NOT NULL, re real NOT NULL, bo bool NOT NULL, vc varchar(5) NOT NULL, bx box NOT NULL, iv interval NOT NULL, ln line NOT NULL, js json NOT NULL, ui uuid NOT NULL, ip inet NOT NULL);
-- [rows]
INSERT INTO t (val, at, tz, ti, mo, bi, si, re, bo, vc, bx, iv, ln, js, ui, ip) SELECT g / 3.0, '2019-02-10', '2019-02-10 01:02:03+02', '00:00', g, B'101', g, g, true, 'abc', '(1,2),(3,4)', '1 day', '{1,2,3}', '{}', md5(g::text)::uuid, '::1' FROM generate_series(1, 20) g;
-- [then]
UPDATE t SET val = NULL WHERE pk < 5;
UPDATE t SET pk = pk + 100 WHERE pk > 15;
DELETE FROM t WHERE pk = 7;

-- == without-a-key
-- from: table_without_pk, TablesWithoutPrimaryKeyIT
-- what: no key: only inserts with DEFAULT, everything with FULL, the key's index with a unique one chosen later
-- [both]
CREATE TABLE none (id serial, val int);
CREATE TABLE full_row (id serial, val int);
ALTER TABLE full_row REPLICA IDENTITY FULL;
CREATE TABLE by_index (id serial, val int NOT NULL);
CREATE UNIQUE INDEX by_index_val ON by_index (val);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_val;
-- [rows]
INSERT INTO none (val) VALUES (10), (10);
INSERT INTO full_row (val) VALUES (10), (10);
INSERT INTO by_index (val) VALUES (10), (20);
-- [then]
INSERT INTO none (val) VALUES (20);
UPDATE full_row SET val = 20 WHERE id = 1;
DELETE FROM full_row WHERE id = 2;
UPDATE by_index SET val = 30 WHERE val = 10;
UPDATE by_index SET id = 99 WHERE val = 20;

-- == keys-that-change
-- from: shouldReceiveChangesForUpdatesWithPKChanges, TransactionMetadataIT
-- what: the key changes alone, with other columns, back and forth in one transaction, to a value just deleted
-- [both]
CREATE TABLE t (pk serial PRIMARY KEY, a text, b text DEFAULT 'b', big text);
ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
-- [rows]
INSERT INTO t (a, big) SELECT 'a' || g, repeat('x', 4000) FROM generate_series(1, 10) g;
-- [then]
UPDATE t SET pk = 101 WHERE pk = 1;
UPDATE t SET pk = 102, a = 'moved', b = NULL WHERE pk = 2;
BEGIN;
UPDATE t SET pk = 103 WHERE pk = 3;
UPDATE t SET pk = 3 WHERE pk = 103;
DELETE FROM t WHERE pk = 4;
UPDATE t SET pk = 4 WHERE pk = 5;
UPDATE t SET big = 'short' WHERE pk = 4;
COMMIT;
BEGIN;
UPDATE t SET pk = 106 WHERE pk = 6;
DELETE FROM t WHERE pk = 106;
INSERT INTO t (pk, a) VALUES (6, 'new');
COMMIT;

-- == large-values-by-identity
-- from: shouldNotPropagateUnchangedToastedData, shouldHandleToastedArrayColumnForReplicaIdentityFullTable
-- what: large text, bytea, arrays of every type that do not change while others do, with each kind of identity
-- needs: hstore
-- [both]
CREATE TABLE by_key (id serial PRIMARY KEY, n int, x text, b bytea, xs text[], vs varchar(10000)[], ds date[], bs bytea[], ns int[], ls bigint[], us uuid[], js jsonb, h hstore);
CREATE TABLE by_index (LIKE by_key INCLUDING DEFAULTS);
CREATE UNIQUE INDEX by_index_id ON by_index (id);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_id;
CREATE TABLE by_row (LIKE by_key INCLUDING DEFAULTS);
ALTER TABLE by_row REPLICA IDENTITY FULL;
-- [rows]
INSERT INTO by_key (n, x, b, xs, vs, ds, bs, ns, ls, us, js, h) SELECT g, (SELECT string_agg(md5((g * 1000 + k)::text), '') FROM generate_series(1, 200) k), (SELECT decode(string_agg(md5((g * 1000 + k)::text), ''), 'hex') FROM generate_series(1, 300) k), (SELECT array_agg(md5((g + k)::text)) FROM generate_series(1, 200) k), (SELECT array_agg(md5((g - k)::text)) FROM generate_series(1, 200) k), (SELECT array_agg(date '2000-01-01' + k * g * 37) FROM generate_series(1, 2000) k), (SELECT array_agg(decode(md5((g * k)::text), 'hex')) FROM generate_series(1, 200) k), (SELECT array_agg(k * g * 7919) FROM generate_series(1, 2000) k), (SELECT array_agg(k * g * 104729::bigint) FROM generate_series(1, 2000) k), (SELECT array_agg(md5((g * k)::text)::uuid) FROM generate_series(1, 300) k), (SELECT jsonb_agg(md5((g + 7 * k)::text)) FROM generate_series(1, 200) k), (SELECT hstore(array_agg(k::text), array_agg(md5((g * 3 + k)::text))) FROM generate_series(1, 200) k) FROM generate_series(1, 6) g;
INSERT INTO by_index SELECT * FROM by_key;
INSERT INTO by_row SELECT * FROM by_key;
-- [then]
UPDATE by_key SET n = n + 1 WHERE id < 3;
UPDATE by_index SET n = n + 1 WHERE id < 3;
UPDATE by_row SET n = n + 1 WHERE id < 3;
UPDATE by_key SET x = 'short', js = NULL WHERE id = 3;
UPDATE by_index SET x = 'short', js = NULL WHERE id = 3;
UPDATE by_row SET x = 'short', js = NULL WHERE id = 3;
UPDATE by_key SET id = id + 100 WHERE id = 4;
UPDATE by_index SET id = id + 100 WHERE id = 4;
UPDATE by_row SET id = id + 100 WHERE id = 4;
UPDATE by_key SET xs = xs || 'one more'::text, n = 0 WHERE id = 5;
UPDATE by_row SET xs = xs || 'one more'::text, n = 0 WHERE id = 5;
DELETE FROM by_index WHERE id = 5;
DELETE FROM by_row WHERE id = 6;
BEGIN;
UPDATE by_key SET n = 1 WHERE id = 6;
UPDATE by_key SET n = 2 WHERE id = 6;
UPDATE by_key SET b = b || '\x00' WHERE id = 6;
UPDATE by_key SET n = 3 WHERE id = 6;
COMMIT;

-- == domains
-- from: DomainTypesIT, shouldStreamValuesForDomainTypeOfDomainType
-- what: domains of domains, with precision, over arrays, bits, enums and composites, as key and as value
-- [both]
CREATE DOMAIN bit2 AS bit(3);
CREATE DOMAIN bit2bits AS bit2;
CREATE DOMAIN money2 AS money DEFAULT 0;
CREATE DOMAIN smallvar AS varchar(10) CHECK (VALUE <> '');
CREATE DOMAIN score AS numeric(8, 3);
CREATE DOMAIN tags AS text[] CHECK (array_length(VALUE, 1) < 5);
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN good_mood AS mood CHECK (VALUE > 'sad');
CREATE TYPE point3 AS (x int, y int, z score);
CREATE DOMAIN in_space AS point3 CHECK ((VALUE).x > 0);
CREATE TABLE t (pk smallvar PRIMARY KEY, b bit2bits, m money2, s score, ts tags, g good_mood, sp in_space, arr score[]);
CREATE TABLE by_mood (g good_mood PRIMARY KEY, v int);
-- [rows]
INSERT INTO t VALUES ('a', B'101', 12.34, 1.0005, '{x,y}', 'ok', '(1,2,3.5)', '{1.1,NULL}'), ('b', NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO by_mood VALUES ('ok', 1), ('happy', 2);
-- [then]
UPDATE t SET b = B'010', s = s * 2, g = 'happy', sp.z = 9;
UPDATE t SET pk = 'c' WHERE pk = 'b';
INSERT INTO t (pk) VALUES ('d');
UPDATE by_mood SET v = v + 1;
DELETE FROM by_mood WHERE g::mood = 'ok';

-- == enums
-- from: PostgresEnumIT, shouldStreamEnumAsKnownType
-- what: enums as value, key, default and array; compared by order, not by name
-- [both]
CREATE TYPE test_type AS ENUM ('V2', 'V1', 'v1', 'with blank', 'quo"te', 'comma,');
CREATE TABLE t (pk serial PRIMARY KEY, e test_type DEFAULT 'V1', es test_type[]);
CREATE TABLE by_enum (e test_type PRIMARY KEY, v int);
-- [rows]
INSERT INTO t (es) VALUES ('{V1,"with blank"}'), (NULL);
INSERT INTO by_enum SELECT e, 1 FROM unnest(enum_range(NULL::test_type)) e;
-- [then]
UPDATE t SET e = 'comma,', es = enum_range(NULL::test_type);
UPDATE by_enum SET v = 2 WHERE e > 'V1';
DELETE FROM by_enum WHERE e = 'quo"te';

-- == logical-messages
-- from: LogicalDecodingMessageIT
-- what: messages of the application in and out of transactions, large ones, with prefixes that look like ours
-- [both]
CREATE TABLE t (pk serial PRIMARY KEY, v text);
-- [rows]
INSERT INTO t (v) VALUES ('a');
-- [then]
SELECT pg_logical_emit_message(false, 'foo', 'bar');
SELECT pg_logical_emit_message(true, 'foo', 'bar');
BEGIN;
SELECT pg_logical_emit_message(true, 'foo', repeat('m', 200000));
INSERT INTO t (v) VALUES ('within');
SELECT pg_logical_emit_message(true, 'switchback', 'is this ours?');
SELECT pg_logical_emit_message(true, 'switchback_.heartbeat', 'is this?');
COMMIT;

-- == a-quoted-schema-and-column
-- from: shouldStreamColumnWhoseNameIsItselfQuoted, postgres_create_tables.ddl
-- what: names that contain quotes, dots and blanks
-- [both]
CREATE TABLE "Quoted_"" . Table" (pk serial PRIMARY KEY, "Quoted_"" . Text_Column" text, """all""" text, "Pk" int);
-- [rows]
INSERT INTO "Quoted_"" . Table" ("Quoted_"" . Text_Column") VALUES ('some text');
-- [then]
UPDATE "Quoted_"" . Table" SET """all""" = 'x', "Pk" = 5;
INSERT INTO "Quoted_"" . Table" ("Pk") VALUES (6);

-- == an-outbox
-- from: OutboxEventRouterIT
-- what: a table whose rows are inserted and deleted in the same transaction, beside the change they announce
-- [both]
CREATE TABLE outbox (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), kind text NOT NULL, payload jsonb);
CREATE TABLE orders (id int PRIMARY KEY, state text);
-- [rows]
INSERT INTO orders VALUES (1, 'new');
-- [then]
DO $$ BEGIN FOR n IN 2..40 LOOP
    INSERT INTO orders VALUES (n, 'new');
    INSERT INTO outbox (kind, payload) VALUES ('order', jsonb_build_object('id', n));
    DELETE FROM outbox;
    UPDATE orders SET state = 'sent' WHERE id = n - 1;
    COMMIT;
END LOOP; END $$;
INSERT INTO outbox VALUES ('00000000-0000-0000-0000-000000000001', 'left', NULL);

-- == several-truncated
-- from: shouldProcessTruncateMessagesForMultipleTableTruncateStatement
-- what: several tables in one statement, one of them empty
-- [both]
CREATE TABLE a (pk serial PRIMARY KEY, v int);
CREATE TABLE b (pk serial PRIMARY KEY, v int);
CREATE TABLE c (pk serial PRIMARY KEY, v int);
-- [rows]
INSERT INTO a (v) VALUES (1), (2);
INSERT INTO b (v) VALUES (1), (2);
-- [then]
INSERT INTO a (v) VALUES (3);
TRUNCATE a, b, c;
INSERT INTO b (v) VALUES (4);

-- == postgis-vector-timescale
-- from: postgis_create_tables.ddl, VectorDatabaseIT, TimescaleDbDatabaseIT
-- what: geometry, vectors and hypertables
-- out: extensions that Debian's `postgresql-contrib` does not have; a type of any extension travels as its text (docs/FIDELITY.md), hypertables are not tried

-- == incremental-snapshots
-- from: IncrementalSnapshotIT, BlockingSnapshotIT, SignalsIT
-- what: a table is read again while its changes travel
-- elsewhere: fault/test_copy_again.py::test_a_table_is_copied_again_while_everything_runs

-- == alter-table-while-streaming
-- from: shouldReceiveUpdateSchemaAfterConnectionRestart, shouldMaintainPrimaryKeyOrderOnSchemaChange
-- what: columns are added, renamed, dropped and change their type while changes travel
-- elsewhere: fault/test_ddl.py::test_additive_ddl_under_load_is_run_at_its_place
