"""Tables of every kind the initial copy knows, filled, and a load that changes all of them in every way there is."""

import uuid

TABLES = """
CREATE TABLE numbers (id int PRIMARY KEY, v int NOT NULL, note text);
CREATE TABLE moved (id bigint PRIMARY KEY, v int NOT NULL);
CREATE TABLE documents (id int PRIMARY KEY, n int NOT NULL, body text NOT NULL);
ALTER TABLE documents ALTER body SET STORAGE EXTERNAL;
CREATE TABLE tagged (tag text COLLATE "C", part int, v int, PRIMARY KEY (tag, part));
CREATE TABLE ids (id uuid PRIMARY KEY, v int);
CREATE TABLE blobs (k bytea PRIMARY KEY, v int);
CREATE TABLE moments (at timestamptz PRIMARY KEY, v int);
CREATE TABLE days (d date PRIMARY KEY, v int);
CREATE TABLE counted (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int, twice int GENERATED ALWAYS AS (v * 2) STORED);
CREATE TABLE spelled (k numeric PRIMARY KEY, v int);
CREATE TABLE slots (id int PRIMARY KEY, slot int NOT NULL UNIQUE);
CREATE TABLE fulls (a int, b text);
ALTER TABLE fulls REPLICA IDENTITY FULL;
CREATE TABLE journal (at int, what text);
CREATE TABLE emptied (id int PRIMARY KEY, v int);
CREATE TABLE parts (id int, v int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (MINVALUE) TO (1000);
CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (1000) TO (MAXVALUE);
CREATE TABLE nothing (id int PRIMARY KEY);
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE moods (id int PRIMARY KEY, m mood, all_of_them mood[], span int4range);
"""

FILL = """
INSERT INTO numbers SELECT g * 3, g, 'row ' || g FROM generate_series(1, {n}) g;
INSERT INTO moved SELECT g * 10, g FROM generate_series(1, {n}) g;
INSERT INTO documents SELECT g, 0, repeat(chr(97 + g % 26), 4000) FROM generate_series(1, {n} / 10) g;
INSERT INTO tagged SELECT 'tag ' || g % 97, g, g FROM generate_series(1, {n}) g;
INSERT INTO ids SELECT md5(g::text)::uuid, g FROM generate_series(1, {n}) g;
INSERT INTO blobs SELECT decode(md5(g::text), 'hex'), g FROM generate_series(1, {n}) g;
INSERT INTO moments SELECT timestamptz '2020-01-01 00:00+00' + g * interval '1.25 seconds', g FROM generate_series(1, {n}) g;
INSERT INTO moments VALUES ('-infinity', 0), ('infinity', 0), ('0044-03-15 12:00:00+00 BC', 0);
INSERT INTO days SELECT date '1999-01-01' + g, g FROM generate_series(1, {n}) g;
INSERT INTO counted (v) SELECT g FROM generate_series(1, {n}) g;
INSERT INTO spelled SELECT g * 1.50, g FROM generate_series(1, {n} / 4) g;
INSERT INTO slots SELECT g, g FROM generate_series(1, {n} / 4) g;
INSERT INTO fulls SELECT g % 50, 'x' || g % 7 FROM generate_series(1, {n} / 4) g;
INSERT INTO journal SELECT g, 'old' FROM generate_series(1, {n} / 4) g;
INSERT INTO emptied SELECT g, g FROM generate_series(1, {n}) g;
INSERT INTO parts SELECT g, g FROM generate_series(1, {n}) g;
INSERT INTO moods SELECT g, 'ok', '{{sad,ok}}', int4range(g, g + 5) FROM generate_series(1, {n}) g;
ANALYZE;
"""


def fill(cluster, rows):
    for statement in TABLES.split(";\n"):
        if statement.strip():
            cluster.sql(statement)
    for statement in FILL.format(n=rows).split(";\n"):
        if statement.strip():
            cluster.sql(statement)


def make_tables(cluster):
    for statement in TABLES.split(";\n"):
        if statement.strip():
            cluster.sql(statement)


def _numbers(run, rng, rows):
    key = rng.randrange(rows * 3)
    run("INSERT INTO numbers VALUES (%s, %s, 'new') ON CONFLICT (id) DO UPDATE SET v = numbers.v + 1", (key, rng.randrange(1000)))
    run("DELETE FROM numbers WHERE id = %s", (rng.randrange(rows * 3),))


def _moved(run, rng, rows):
    """The key moves far: to another chunk."""
    run("UPDATE moved SET id = %s, v = v + 1 WHERE id = %s", (rng.randrange(rows * 10), rng.randrange(1, rows) * 10))


def _documents(run, rng, rows):
    """Unchanged TOAST, and now and then a changed one."""
    run("UPDATE documents SET n = n + 1 WHERE id = %s", (rng.randrange(rows // 10),))
    if rng.random() < 0.1:
        run("UPDATE documents SET body = %s WHERE id = %s", (chr(97 + rng.randrange(26)) * 5000, rng.randrange(rows // 10)))


def _others(run, rng, rows):
    key = rng.randrange(1, rows)
    run("UPDATE tagged SET v = v + 1 WHERE part = %s", (key,))
    run("UPDATE ids SET v = v + 1 WHERE id = md5(%s::int::text)::uuid", (key,))
    run("INSERT INTO ids VALUES (%s, 0)", (uuid.UUID(int=rng.getrandbits(128)),))
    run("DELETE FROM blobs WHERE k = decode(md5(%s::int::text), 'hex')", (key,))
    run("UPDATE moments SET v = v + 1 WHERE at = timestamptz '2020-01-01 00:00+00' + %s * interval '1.25 seconds'", (key,))
    run("UPDATE days SET v = v - 1 WHERE d = date '1999-01-01' + %s::int", (key,))


def _more(run, rng, rows):
    key = rng.randrange(1, rows)
    run("INSERT INTO counted (v) VALUES (%s)", (key,))
    run("UPDATE spelled SET v = v + 1 WHERE k = %s * 1.5", (rng.randrange(1, rows // 4),))
    run("UPDATE slots SET slot = slot + %s WHERE id = %s", (rng.randrange(1, 5) * 1000000, rng.randrange(1, rows // 4)))
    run("INSERT INTO fulls VALUES (%s, 'new')", (rng.randrange(50),))
    run("DELETE FROM fulls WHERE ctid = (SELECT min(ctid) FROM fulls WHERE a = %s)", (rng.randrange(50),))
    run("INSERT INTO journal VALUES (%s, 'new')", (key,))
    run("UPDATE parts SET id = id + 1000 WHERE id = %s AND NOT EXISTS (SELECT FROM parts p WHERE p.id = %s)", (key, key + 1000))
    run("DELETE FROM moods WHERE id = %s", (key,))


def _wild(run, rng, rows):
    """Rows that move between chunks with values that do not travel, in chains, and away again; whole ranges deleted."""
    few = rows // 4
    key, other = rng.randrange(-few, few * 2), rng.randrange(-few, few * 2)
    free = "AND NOT EXISTS (SELECT FROM documents d WHERE d.id = %s)"
    run(f"UPDATE documents SET id = %s WHERE id = %s {free}", (other, key, other))
    if rng.random() < 0.3:
        run(f"UPDATE documents SET id = %s, n = n + 1 WHERE id = %s {free}", (key, other, key))
    if rng.random() < 0.1:
        run("DELETE FROM documents WHERE id = %s", (key,))
        run("INSERT INTO documents VALUES (%s, 0, %s) ON CONFLICT DO NOTHING", (other, chr(65 + rng.randrange(26)) * 4500))
    if rng.random() < 0.1:
        low = rng.randrange(rows * 3)
        run("DELETE FROM numbers WHERE id BETWEEN %s AND %s", (low, low + 20))
        run("INSERT INTO numbers SELECT g, 0, 'again' FROM generate_series(%s::int, %s::int, 3) g ON CONFLICT DO NOTHING", (low, low + 60))


def _moves(run, rng, rows):
    """Keys of every kind that has an order."""
    key, more = rng.randrange(1, rows), rng.getrandbits(64)
    run("UPDATE tagged SET tag = 'tag ' || %s WHERE part = %s", (rng.randrange(300), key))
    run("UPDATE ids SET id = %s WHERE id = md5(%s::int::text)::uuid", (uuid.UUID(int=rng.getrandbits(128)), key))
    run("UPDATE blobs SET k = decode(md5(%s::bigint::text), 'hex') WHERE k = decode(md5(%s::int::text), 'hex')", (more >> 1, key))
    run("UPDATE moments SET at = timestamptz '2020-06-01 00:00+00' + %s * interval '1 microsecond' WHERE at = timestamptz '2020-01-01 00:00+00' + %s * interval '1.25 seconds'", (more >> 28, key))
    run("DELETE FROM days WHERE d = date '1999-01-01' + %s::int", (key,))


def wild_step(rows):
    """As step, and more: what makes a copy hard."""
    return step(rows, [_numbers, _moved, _documents, _others, _more, _wild, _wild, _moves])


def step(rows, kinds=(_numbers, _moved, _documents, _others, _more), empties=0.02):
    """A step for sbtest.writers.Load: one transaction, of one kind or of several; a share of them empties a table."""

    def one(session, rng):
        for kind in rng.sample(kinds, rng.choice([1, 1, 2])):
            kind(session.execute, rng, rows)
        if rng.random() < empties:
            session.execute("TRUNCATE emptied")
            session.execute("INSERT INTO emptied SELECT g, -g FROM generate_series(1, 40) g")
        else:
            session.execute("INSERT INTO emptied VALUES (%s, 0) ON CONFLICT (id) DO UPDATE SET v = emptied.v + 1", (rng.randrange(rows),))
        if rng.random() < 0.1:
            session.rollback()

    return one
