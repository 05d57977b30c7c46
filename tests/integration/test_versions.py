"""Every pair of versions people move between: what an application does arrives whole, and `check` finds nothing to say.
docs/FIDELITY.md has the matrix."""

import psycopg
import pytest

from flow import flow, server  # noqa: F401 (fixtures)
from sbtest import compare, history

# From, to. Old to new is the way; new to old is the way back.
PAIRS = [(14, 18), (15, 15), (15, 18), (18, 15), (16, 17), (17, 16), (14, 14)]

SCHEMA = history.source_schema() + """
CREATE TABLE bank (bid int PRIMARY KEY, balance int, filler char(88));
CREATE TABLE teller (tid int PRIMARY KEY, bid int, balance int);
CREATE TABLE passbook (tid int, bid int, delta int, at timestamptz);
CREATE TABLE by_index (a int NOT NULL, b text, c text);
CREATE UNIQUE INDEX by_index_key ON by_index (a);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_key;
CREATE TABLE nothing (a int, b text); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
CREATE TABLE part (id int, at date, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE part_old PARTITION OF part FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
CREATE TABLE part_new PARTITION OF part FOR VALUES FROM ('2026-01-01') TO (MAXVALUE)
"""


def bank(session, rounds):
    """pgbench's transaction."""
    session.execute("INSERT INTO bank SELECT g, 0, 'f' FROM generate_series(1, 5) g; INSERT INTO teller SELECT g, g / 10, 0 FROM generate_series(1, 50) g")
    for number in range(rounds):
        session.execute("BEGIN")
        session.execute("UPDATE teller SET balance = balance + %s WHERE tid = %s", (number, number % 50 + 1))
        session.execute("UPDATE bank SET balance = balance + %s WHERE bid = %s", (number, number % 5 + 1))
        session.execute("INSERT INTO passbook VALUES (%s, %s, %s, now())", (number % 50 + 1, number % 5 + 1, number))
        session.execute("COMMIT")


def everything_else(session):
    session.execute("INSERT INTO by_index SELECT g, 'b', repeat('y', 9000) FROM generate_series(1, 9) g")
    session.execute("ALTER TABLE by_index ALTER c SET STORAGE EXTERNAL")
    session.execute("UPDATE by_index SET b = 'touched' WHERE a < 4")
    session.execute("UPDATE by_index SET a = a + 100 WHERE a > 6")
    session.execute("DELETE FROM by_index WHERE a = 5")
    session.execute("INSERT INTO nothing SELECT g, 'n' FROM generate_series(1, 9) g")
    session.execute("INSERT INTO part SELECT g, date '2025-12-20' + g, 'v' FROM generate_series(1, 30) g")
    session.execute("UPDATE part SET at = '2026-06-01' WHERE at < '2025-12-25'")
    session.execute("DELETE FROM part WHERE id % 7 = 0")
    session.execute("SELECT pg_logical_emit_message(true, 'application', 'with us'), pg_logical_emit_message(false, 'application', 'without')")
    # Larger than a batch, with a savepoint that is rolled back in the middle.
    session.execute("BEGIN; INSERT INTO left_one SELECT g, 1 FROM generate_series(1000, 4000) g; SAVEPOINT s")
    session.execute("DELETE FROM left_one WHERE id >= 1000; ROLLBACK TO s; UPDATE left_one SET v = 2 WHERE id > 3000; COMMIT")
    session.execute("TRUNCATE right_one, nothing")
    session.execute("INSERT INTO right_one VALUES (1, 1)")


@pytest.mark.parametrize("old, new", PAIRS, ids=[f"{old}-{new}" for old, new in PAIRS])
def test_what_an_application_does_arrives(flow, old, new):
    it = flow(SCHEMA, majors=(old, new), apply={"batch_max_rows": 500})
    checks = it.product.verb("check", "--json").json()["checks"]
    assert [one for one in checks if one["result"] == "fail"] == []
    story = history.History(old * 100 + new)
    with psycopg.connect(it.old.dsn(it.db)) as session:
        for _ in range(120):
            story.transaction(session)
    with it.old.connect(it.db) as session:
        bank(session, 100)
        everything_else(session)
    it.equal()
    assert it.new_sql("SELECT (SELECT sum(balance) FROM bank), (SELECT count(*) FROM left_one WHERE v = 2 AND id > 3000)") == [(4950, 1000)]
    shown = it.product.ok("stream", "show").out
    assert '"prefix":"application"' in shown and "with us" in shown and "without" not in shown
    assert it.product.ok("stream", "verify", "--json").json()["epochs"] == 1


# -- what one version has and another has not


FEATURES = {
    "NULLS NOT DISTINCT": (15, "CREATE TABLE item (id int PRIMARY KEY, u int UNIQUE NULLS NOT DISTINCT)"),
    "a negative scale": (15, "CREATE TABLE item (id int PRIMARY KEY, u numeric(3, -2))"),
    "virtual columns": (18, "CREATE TABLE item (id int PRIMARY KEY, u int, v int GENERATED ALWAYS AS (u + 1) VIRTUAL)"),
    "a key without overlaps": (18, "CREATE EXTENSION btree_gist; CREATE TABLE item (id int, u int, during daterange, PRIMARY KEY (id, during WITHOUT OVERLAPS))"),
    "an identity on a partitioned table": (
        17, "CREATE TABLE item (id int GENERATED ALWAYS AS IDENTITY, u int, PRIMARY KEY (id)) PARTITION BY RANGE (id);"
        "CREATE TABLE item_all PARTITION OF item DEFAULT",
    ),
}


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_is_carried_where_the_server_has_it(flow, feature):
    since, structure = FEATURES[feature]
    it = flow(structure, majors=(max(since, 15), 18))
    columns = "(id, u, during)" if "during" in structure else "(id, u)"
    values = "(1, 100, '[2026-01-01,2026-02-01)'), (2, 200, '[2026-01-01,2026-02-01)')" if "during" in structure else "(1, 100), (2, 200)"
    it.sql(f"INSERT INTO item {columns} OVERRIDING SYSTEM VALUE VALUES {values}")
    it.sql("UPDATE item SET u = 300 WHERE id = 1")
    it.sql("DELETE FROM item WHERE id = 2")
    it.equal([("public", "item")])
    assert it.new_sql("SELECT u::int FROM item") == [(300,)]


def test_an_infinite_interval_that_the_older_server_refuses_stops_apply(flow):
    it = flow("CREATE TABLE item (id int PRIMARY KEY, i interval)", majors=(18, 15))
    it.sql("INSERT INTO item VALUES (1, '1 day')")
    it.equal()
    it.sql("INSERT INTO item VALUES (2, 'infinity')")
    it.halts("SB-POISON")
    assert it.new_sql("SELECT id FROM item") == [(1,)]


def test_a_numeric_of_a_scale_that_the_older_server_lacks_is_told(flow):
    """The target's column is the nearest it can have; check says that it is another type."""
    it = flow("CREATE TABLE item (id int PRIMARY KEY, n numeric(3, -2))", majors=(18, 14), start=False,
              new_structure="CREATE TABLE item (id int PRIMARY KEY, n numeric(5, 0))")
    it.product.refuses("SB-TARGET-STRUCTURE", "check")
