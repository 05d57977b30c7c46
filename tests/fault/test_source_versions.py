"""Old -> new from every server version as source: what pgoutput can send, end to end; and what must not hold the slot."""

import pytest

from source_pair import APPLY, CAPTURE, lsn, pair  # noqa: F401
from sbtest.wait import wait_until

MAJORS = [14, 15, 16, 17, 18]
TABLES = [
    "CREATE TABLE item (id int PRIMARY KEY, note text)",
    "CREATE TABLE log (at int, what text)",
    "CREATE TABLE by_index (a int NOT NULL, b text, c text)",
    "CREATE UNIQUE INDEX by_index_a ON by_index (a)",
    "ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_a",
    "CREATE TABLE by_row (a int, b text)",
    "ALTER TABLE by_row REPLICA IDENTITY FULL",
    "CREATE TABLE nothing (id int PRIMARY KEY, b text)",
    "ALTER TABLE nothing REPLICA IDENTITY NOTHING",
    "CREATE TABLE wide (id int PRIMARY KEY, big text, n int)",
    "ALTER TABLE wide ALTER big SET STORAGE EXTERNAL",
    "CREATE TABLE part (id int, region text, note text, PRIMARY KEY (id, region)) PARTITION BY LIST (region)",
    "CREATE TABLE part_a PARTITION OF part FOR VALUES IN ('a')",
    "CREATE TABLE part_b PARTITION OF part FOR VALUES IN ('b')",
    "CREATE TABLE first (id int PRIMARY KEY)",
    "CREATE TABLE second (id int PRIMARY KEY REFERENCES first)",
]


def identities(run):
    run("INSERT INTO log SELECT g, 'same' FROM generate_series(1, 3) g, generate_series(1, 2)")
    run("INSERT INTO by_index SELECT g, 'b', NULL FROM generate_series(1, 5) g")
    run("UPDATE by_index SET c = '' WHERE a = 1")
    run("UPDATE by_index SET a = 50 WHERE a = 2")
    run("DELETE FROM by_index WHERE a = 3")
    run("INSERT INTO by_row SELECT 1, 'twice' FROM generate_series(1, 2)")
    run("UPDATE by_row SET b = NULL WHERE ctid = (SELECT min(ctid) FROM by_row)")
    run("INSERT INTO by_row VALUES (NULL, 'no a'), (2, 'gone')")
    run("DELETE FROM by_row WHERE a = 2")
    run("INSERT INTO nothing VALUES (1, 'inserts only')")


def keys(run):
    run("INSERT INTO wide VALUES (1, repeat('x', 9000), 1), (2, repeat('y', 9000), 1)")
    run("UPDATE wide SET n = 2 WHERE id = 1")
    run("UPDATE wide SET id = 3 WHERE id = 2")  # what is out of line does not travel
    run("UPDATE wide SET id = id + 10")
    run("INSERT INTO item VALUES (1, 'one'), (2, NULL), (3, '')")
    run("UPDATE item SET id = CASE id WHEN 1 THEN -1 ELSE 4 END WHERE id IN (1, 2)")
    run("DELETE FROM item WHERE id = 3")


def partitions(run):
    run("INSERT INTO part SELECT g, CASE g % 2 WHEN 0 THEN 'a' ELSE 'b' END, 'n' FROM generate_series(1, 6) g")
    run("UPDATE part SET note = 'm' WHERE id < 3")
    run("UPDATE part SET region = 'b' WHERE id = 2")  # into another partition
    run("DELETE FROM part WHERE id = 5")


def truncates(run):
    run("INSERT INTO first SELECT generate_series(1, 3)")
    run("INSERT INTO second SELECT generate_series(1, 2)")
    run("TRUNCATE first, second, item")
    run("INSERT INTO first VALUES (7)")
    run("INSERT INTO second VALUES (7)")
    run("TRUNCATE first CASCADE")
    run("INSERT INTO first VALUES (8)")


def savepoints(run):
    run("BEGIN")
    run("INSERT INTO item VALUES (100, 'kept')")
    run("SAVEPOINT s")
    run("INSERT INTO item VALUES (101, 'rolled back')")
    run("ROLLBACK TO s")
    run("SAVEPOINT t")
    run("INSERT INTO item VALUES (102, 'kept')")
    run("RELEASE t")
    run("COMMIT")
    run("BEGIN")
    run("INSERT INTO item VALUES (103, 'never')")
    run("ROLLBACK")


def messages(run):
    run("SELECT pg_logical_emit_message(true, 'app', 'in order')")
    run("SELECT pg_logical_emit_message(false, 'app', 'out of order')")


STEPS = [identities, keys, partitions, truncates, savepoints, messages]


@pytest.mark.parametrize("major", MAJORS)
def test_all_that_a_source_sends_arrives(pair, major):  # noqa: F811
    it = pair(major, tables=TABLES, old={"settings": {"max_prepared_transactions": 5}}).run()
    with it.old.connect() as session:
        for step in STEPS:
            step(session.execute)
        it.assert_equal()

        # By leaf instead of via root.
        session.execute(
            f"ALTER PUBLICATION {it.slot}_keyed SET (publish_via_partition_root = false)")
        session.execute("DELETE FROM part")
        partitions(session.execute)
        session.execute("TRUNCATE part_a")
        it.assert_equal()

        # Two phases: nothing before the second, and nothing at all of what was rolled back.
        for gid in ("done", "undone"):
            session.execute("BEGIN")
            session.execute("INSERT INTO item VALUES (%s, %s)", [200 + len(gid), gid])
            session.execute(f"PREPARE TRANSACTION '{gid}'")
        session.execute("INSERT INTO item VALUES (300, 'beside')")
        it.catch_up()
        assert it.new.sql("SELECT note FROM item WHERE id >= 200") == [("beside",)]
        session.execute("COMMIT PREPARED 'done'")
        session.execute("ROLLBACK PREPARED 'undone'")
        it.assert_equal()
        assert it.new.sql("SELECT note FROM item WHERE id >= 200 ORDER BY id") == [("done",), ("beside",)]

        # A table gets another shape in the middle of the stream: a column more, then another name for one.
        it.new.sql("ALTER TABLE item ADD COLUMN more int")
        session.execute("ALTER TABLE item ADD COLUMN more int")
        session.execute("INSERT INTO item VALUES (400, 'more', 7)")
        it.assert_equal()
        session.execute("INSERT INTO item VALUES (401, 'old name', 8)")
        session.execute("ALTER TABLE item RENAME COLUMN note TO remark")
        session.execute("INSERT INTO item VALUES (402, 'new name', 9)")
    report = it.wait_state(APPLY, "halted")
    assert report["error"] == "SB-DDL-HELD" and "remark" in report["error_text"], report
    assert it.new.sql("SELECT note FROM item WHERE id > 400") == [("old name",)]
    it.new.sql("ALTER TABLE item RENAME COLUMN note TO remark")
    it.product.ok("ddl", "skip", it.new.value("SELECT id FROM switchback.ddl WHERE state = 'held'"), "--reason", "by hand")
    it.assert_equal()

    # And all of it again after a restart, from a slot that was confirmed in the middle.
    it.product.stop()
    it.old.sql("INSERT INTO item VALUES (500, 'last', 1)")
    it.run()
    it.assert_equal()
    kinds = [line.split('"kind":')[1].split(",")[0].strip(' "}') for line in it.product.ok("stream", "show").out.splitlines()]
    assert {"change", "commit", "schema", "message", "open"} <= set(kinds)
    it.product.ok("stream", "verify")


# -- what is not captured must not hold the slot (A27)


@pytest.mark.parametrize("major", [14, 15, 18])
def test_noise_does_not_hold_the_slot(pair, major):  # noqa: F811
    """Unpublished tables, transactions without changes, floods of messages: the slot follows, and so does the WAL."""
    it = pair(major, config={"tables": {"exclude": ["public.noise"]}}).run()
    it.old.sql("CREATE TABLE noise (id int, pad text)")
    before = it.old.value("SELECT restart_lsn::text FROM pg_replication_slots")
    with it.old.connect() as session:
        for _ in range(200):
            session.execute("BEGIN")
            session.execute("CREATE TEMP TABLE t (a int) ON COMMIT DROP")  # an xid, and nothing to send
            session.execute("COMMIT")
        session.execute("INSERT INTO noise SELECT g, repeat('x', 1000) FROM generate_series(1, 30000) g")
        session.execute(
            "SELECT count(pg_logical_emit_message(false, 'flood', repeat('y', 1000))) FROM generate_series(1, 10000)")
        session.execute(
            "SELECT count(pg_logical_emit_message(true, 'flood', repeat('z', 1000))) FROM generate_series(1, 5000)")
    end = it.old.value("SELECT pg_current_wal_insert_lsn()::text")
    assert lsn(end) - lsn(before) > 40 << 20

    def follows():
        it.old.sql("CHECKPOINT")  # the server moves restart_lsn where it has logged what runs
        return lsn(it.old.value("SELECT restart_lsn::text FROM pg_replication_slots")) > lsn(end)

    it.wait_confirmed(end)
    wait_until(follows, 60, "restart_lsn to follow", every=0.3)
    assert it.stage(CAPTURE)["state"] == "running"
    it.old.sql("DROP TABLE noise")
    it.insert(3)
    it.assert_equal()
    # Of all that only the messages that have a place in the order are in the stream, and our own heartbeats.
    assert it.product.ok("stream", "show").out.count('"flood"') == 5000
