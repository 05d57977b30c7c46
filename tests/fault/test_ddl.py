"""A21: DDL among the changes, while writers write and while apply and capture die. Whatever becomes of it, it is run once, at its
place, and both sides end equal."""

import signal
import threading

import pytest

from sbtest import compare
from sbtest.wait import wait_until

ITEM = "CREATE TABLE item (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, note text)"
APPLIED = "SELECT tag, state FROM switchback.ddl WHERE state <> 'held' ORDER BY id"
HELD = "SELECT id, reason FROM switchback.ddl WHERE state = 'held'"
STATE = "SELECT state FROM switchback.copy WHERE migration = 'shop'"


def pair(clusters, switchback, majors=(15, 15), statements=(ITEM,), rows=(), initial=False, **config):
    """Two servers with these tables, prepared; the old one's filled."""
    old, new = clusters(majors[0], "old"), clusters(majors[1], "new")
    for server in (old, new):
        for statement in statements:
            server.sql(statement)
    for statement in rows:
        old.sql(statement)
    product = switchback(old, new, config={
        "copy": {"initial": initial, "chunk_rows": 200},
        "capture": {"heartbeat_interval_ms": 300, "feedback_interval_ms": 50}, **config,
    })
    product.ok("prepare")
    return old, new, product


class Writer:
    """One client that inserts, updates and deletes rows of item, each by its own transaction, with whatever columns it has."""

    def __init__(self, old, first=1000):
        self.old, self.at, self.failed, self.over = old, first, None, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            with self.old.connect() as session:
                while not self.over.wait(0.002):
                    self.at += 1
                    session.execute("INSERT INTO item (id, n) VALUES (%s, %s)", (self.at, self.at))
                    session.execute("UPDATE item SET n = n + 1 WHERE id IN (%s, %s)", (self.at, self.at % 50))
                    session.execute("DELETE FROM item WHERE id = %s", (self.at - 40,))
        except Exception as error:  # told where it is awaited
            self.failed = error

    def __enter__(self):
        self.thread.start()
        return self

    def wait(self, count):
        """Until it has written so many more rows."""
        goal = self.at + count
        wait_until(lambda: self.failed or self.at >= goal, 60, f"{count} rows to be written")

    def __exit__(self, *unused):
        self.over.set()
        self.thread.join(30)
        assert self.failed is None, self.failed


def held(product, new, words):
    """Apply stands at a command; its id."""
    product.wait_halted("apply-forward", "SB-DDL-HELD", 60)
    (row,) = new.sql(HELD)
    assert words in row[1], row
    return row[0]


def finish(old, new, product, timeout=90):
    product.wait_caught_up(timeout)
    compare.assert_equal(old, new)
    assert new.sql("SELECT kind, relation, key FROM switchback.conflict LIMIT 5") == []


@pytest.mark.parametrize(("majors", "mode"), [((14, 18), "auto"), ((18, 18), "exact")])
def test_additive_ddl_under_load_is_run_at_its_place(clusters, switchback, majors, mode):
    old, new, product = pair(clusters, switchback, majors, apply={"mode": mode})
    product.run()
    with Writer(old) as writer:
        writer.wait(30)
        old.sql("ALTER TABLE item ADD COLUMN size int")
        writer.wait(10)
        with old.connect(autocommit=False) as session:
            session.execute("INSERT INTO item (id, n, size) VALUES (1, 1, 1)")
            session.execute("ALTER TABLE item ADD COLUMN kind text NOT NULL DEFAULT 'plain'")
            session.execute("INSERT INTO item (id, n, kind) VALUES (2, 2, 'é''\"')")
            session.execute("SAVEPOINT a")
            session.execute("ALTER TABLE item ADD COLUMN gone int")
            session.execute("ROLLBACK TO a")
            session.execute("SAVEPOINT b")
            session.execute("ALTER TABLE item ADD COLUMN more int")
            session.execute("RELEASE b")
            session.execute("UPDATE item SET more = 5 WHERE id = 2")
            session.execute("DO $$ BEGIN EXECUTE 'ALTER TABLE item ADD COLUMN \"x;y\" text; COMMENT ON TABLE item IS ''a;b'''; END $$")
            session.execute("UPDATE item SET \"x;y\" = 'z' WHERE id = 2")
        with old.connect() as session:
            session.execute("BEGIN; ALTER TABLE item ADD COLUMN never int; ROLLBACK")
        writer.wait(30)
    finish(old, new, product)
    assert new.sql(APPLIED) == [("ALTER TABLE", "applied")] * 4 + [("COMMENT", "applied")]
    assert new.sql("SELECT id, kind, more, \"x;y\" FROM item WHERE id < 3 ORDER BY id") == [(1, "plain", None, None), (2, "é'\"", 5, "z")]


def test_what_is_sent_with_a_command_stays_out_of_the_stream(clusters, switchback):
    old, new, product = pair(clusters, switchback)
    product.run()
    with old.connect() as session:
        session.execute("CREATE ROLE bob PASSWORD 'geheim'; ALTER TABLE item ADD COLUMN a int; ALTER TABLE item ADD COLUMN b int")
    finish(old, new, product)
    assert [row[0] for row in new.sql("SELECT statement FROM switchback.ddl ORDER BY id")] == [
        "ALTER TABLE item ADD COLUMN a int", "ALTER TABLE item ADD COLUMN b int"]
    assert "geheim" not in product.ok("stream", "show").out


def test_a_message_that_our_triggers_did_not_sign_is_no_ddl(clusters, switchback):
    old, new, product = pair(clusters, switchback)
    product.run()
    old.sql("ALTER TABLE item ADD COLUMN a int")
    product.wait_caught_up()
    forged = """{"format": 1, "tag": "CREATE TABLE", "statement": "CREATE TABLE forged (id int)", "server": 150000,
        "path": ["public"], "objects": [], "tables": [{"schema": "public", "name": "forged", "kind": "r", "persistence": "p"}]}"""
    old.sql("CREATE ROLE anybody LOGIN")
    with old.connect(user="anybody") as session:
        session.execute("SELECT pg_logical_emit_message(true, 'switchback.ddl', %s)", ("0" * 64 + " " + forged,))
        session.execute("SELECT pg_logical_emit_message(true, 'switchback.ddl', 'nonsense')")
    finish(old, new, product)
    assert new.value("SELECT to_regclass('public.forged')") is None
    assert product.log_contains("is not signed by the source's event triggers")


@pytest.mark.parametrize(("statement", "words"), [
    ("ALTER TABLE item ALTER COLUMN n TYPE bigint USING n * 2", "rewrites rows"),
    ("ALTER TABLE item ADD COLUMN luck float DEFAULT random()", "rewrites rows"),
    ("ALTER TABLE item ADD COLUMN at timestamptz DEFAULT now()", "computed"),
])
def test_rewritten_rows_are_copied_again_under_load(clusters, switchback, statement, words):
    rows = ["INSERT INTO item SELECT g, g, 'note ' || g FROM generate_series(1, 900) g", "ANALYZE"]
    old, new, product = pair(clusters, switchback, rows=rows, initial=True)
    product.run()
    wait_until(lambda: new.value(STATE) == "complete", 60, "the initial copy to be complete")
    with Writer(old) as writer:
        writer.wait(20)
        old.sql(statement)
        writer.wait(20)
        ident = held(product, new, words)
        product.ok("ddl", "approve", ident, "--reason", "a test wants it")
        writer.wait(20)
    finish(old, new, product)
    assert new.sql(APPLIED) == [("ALTER TABLE", "applied")]
    assert new.value("SELECT count(*) FROM switchback.copy_wish WHERE done_at IS NOT NULL") == 1


def test_partitions_that_come_and_go_are_copied_again(clusters, switchback):
    tables = [
        "CREATE TABLE item (id int PRIMARY KEY, n int NOT NULL DEFAULT 0) PARTITION BY RANGE (id)",
        "CREATE TABLE low PARTITION OF item FOR VALUES FROM (0) TO (1000)",
    ]
    old, new, product = pair(clusters, switchback, statements=tables, initial=True,
                             rows=["INSERT INTO item SELECT g, g FROM generate_series(1, 500) g"])
    product.run()
    wait_until(lambda: new.value(STATE) == "complete", 60, "the initial copy to be complete")
    old.sql("CREATE TABLE high (id int PRIMARY KEY, n int NOT NULL DEFAULT 0)")
    old.sql("INSERT INTO high SELECT g, g FROM generate_series(1000, 1400) g")
    product.wait_caught_up()
    assert new.value("SELECT count(*) FROM high") == 401, "a new table's rows travel from the first one on"
    old.sql("ALTER TABLE item ATTACH PARTITION high FOR VALUES FROM (1000) TO (2000)")
    old.sql("UPDATE item SET n = n + 1 WHERE id BETWEEN 400 AND 1100")
    product.ok("ddl", "approve", held(product, new, "partition"), "--reason", "a test wants it")
    product.wait_caught_up(90)
    compare.assert_equal(old, new)
    old.sql("ALTER TABLE item DETACH PARTITION low")
    old.sql("UPDATE item SET n = n + 1")
    ident = held(product, new, "partition")
    new.sql("ALTER TABLE item DETACH PARTITION low")
    product.ok("ddl", "skip", ident, "--reason", "ran it by hand")
    finish(old, new, product)
    assert [state for _, state in new.sql(APPLIED)] == ["applied", "applied", "skipped"]


POINTS = ["apply-before-ddl", "apply-after-ddl", "apply-before-commit", "apply-after-commit"]


def test_killed_around_ddl_it_is_run_once(clusters, switchback):
    old, new, product = pair(clusters, switchback)
    product.start("capture")
    for number, point in enumerate(POINTS):
        old.sql(f"ALTER TABLE item ADD COLUMN c{number} int NOT NULL DEFAULT {number}")
        old.sql(f"INSERT INTO item (id) VALUES ({number})")
        assert product.start("apply", fault=f"{point}:kill:1").wait(60) == -signal.SIGKILL, point
    product.start("apply")
    finish(old, new, product)
    assert new.sql(APPLIED) == [("ALTER TABLE", "applied")] * len(POINTS)


def test_killed_around_a_held_command_it_stays_held_until_it_is_decided(clusters, switchback):
    old, new, product = pair(clusters, switchback)
    product.run()
    with Writer(old) as writer:
        writer.wait(20)
        old.sql("ALTER TABLE item DROP COLUMN note")
        writer.wait(10)
        ident = held(product, new, "drops a column")
        for stage in ("apply-forward", "capture-forward"):
            product.kill_stage(stage)
            writer.wait(10)
            assert held(product, new, "drops a column") == ident
        assert new.value("SELECT count(*) FROM pg_attribute WHERE attrelid = 'item'::regclass AND attname = 'note'") == 1
        product.ok("ddl", "approve", ident, "--reason", "a test wants it")
        product.refuses("SB-USAGE", "ddl", "skip", ident, "--reason", "too late")
        wait_until(lambda: ("ALTER TABLE", "applied") in new.sql(APPLIED), 60, "the command to be applied")
        product.kill_stage("apply-forward")
        writer.wait(10)
    finish(old, new, product)
    assert new.sql(APPLIED) == [("ALTER TABLE", "applied")]


def test_what_the_older_target_does_not_have_is_held_and_said_to_break_the_way_back(clusters, switchback):
    old, new, product = pair(clusters, switchback, (18, 14))
    product.run()
    old.sql("INSERT INTO item (id, note) VALUES (1, 'x')")
    old.sql("ALTER TABLE item ADD COLUMN twice int GENERATED ALWAYS AS (n * 2)")
    old.sql("INSERT INTO item (id, note) VALUES (2, 'y')")
    ident = held(product, new, "a virtual generated column")
    assert new.sql("SELECT breaks_way_back FROM switchback.ddl") == [(True,)]
    assert product.log_contains("is held and breaks the way back")
    assert "breaks_way_back yes" in " ".join(product.ok("ddl", "show", ident).out.split())
    product.ok("ddl", "skip", ident, "--reason", "computed where it is read")
    product.wait_caught_up()
    assert new.sql("SELECT id FROM item ORDER BY id") == [(1,), (2,)]


def test_a_target_that_refuses_a_command_holds_it(clusters, switchback):
    old, new, product = pair(clusters, switchback)
    product.run()
    new.sql("CREATE INDEX by_n ON item (note)")
    old.sql("CREATE INDEX by_n ON item (n)")
    old.sql("INSERT INTO item (id) VALUES (1)")
    ident = held(product, new, "the target refused it (42P07)")
    new.sql("DROP INDEX by_n")
    product.ok("resume")
    finish(old, new, product)
    assert new.sql("SELECT id, state FROM switchback.ddl") == [(ident, "applied")]
