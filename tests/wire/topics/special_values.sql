-- Values that a careless reader loses.
CREATE TYPE mood AS ENUM ('sad', 'o''k', 'very "happy"');
CREATE DOMAIN posint AS int CHECK (VALUE > 0);
CREATE TYPE point3 AS (x float8, y float8, label text);
CREATE TABLE v (id int PRIMARY KEY, b bool, f4 float4, f8 float8, n numeric, d date, ts timestamp, tz timestamptz,
    tt time, i interval, by bytea, u uuid, j json, jb jsonb, a int[], ta text[], r int4range, ip inet, bi bit(3),
    mo mood, po posint, co point3, ca point3[], m money, x xml, tsv tsvector, c char(5), vc varchar(7), nm name, o oid);
CREATE PUBLICATION wire FOR TABLE v;
-- slot
INSERT INTO v (id) VALUES (1);
INSERT INTO v VALUES (2, true, 'NaN', '-Infinity', 'NaN', 'infinity', '-infinity', '0044-03-15 12:00:00+00 BC', '24:00',
    '1 mon -2 days 00:00:00.000001', '', '00000000-0000-0000-0000-000000000000', '{"a" : 1 }', '{"b":[1,null]}',
    '[0:1]={1,NULL}', '{"a b",NULL,"NULL",""}', 'empty', '::1/128', B'101', 'o''k', 7, '(1,-0,"a,b")',
    ARRAY['(1,2,)'::point3, NULL], '-1.50', '<a>&amp;</a>', 'fat:2 cat:1', 'x', '', 'Namé', 4294967295);
INSERT INTO v (id, f4, f8, n, d, ts, by, a, r) VALUES (3, 0.1, 1e-310, 1.50000, '20000-01-01', '9999-12-31 23:59:59.999999',
    '\x00ff27', '{{1,2},{3,4}}', '[1,5)');
INSERT INTO v (id, f8, n) VALUES (4, '-0', 123456789012345678901234567890.1234567890);
