"""The initial copy when everything around it dies: images and stream must join exactly, and finished chunks stay."""

import os
import random
import signal
import threading
import time

import pytest

from copy_pair import STATE, finish, frozen, ledger, make_pair
from sbtest import copyload, process
from sbtest.standby import HANGS, hang
from sbtest.writers import Load
from sbtest.wait import wait_until

SEED = int(os.environ.get("SB_SEED", "20261124"))
POINTS = [
    "copy-after-claim", "copy-after-plan", "copy-after-stamp", "copy-after-rows", "copy-after-ledger",
    "copy-before-commit", "copy-after-commit", "copy-before-complete", "copy-after-complete",
]


def thaw(stage):
    """When this returns it runs, or has come to its next point: the kernel wakes a stopped process in kill()."""
    stage.signal(signal.SIGCONT)


# -- kills


def disturb(rng, old, new, product):
    """One of the four processes or one of the two servers ends without a word."""
    what = rng.choice(["copy-forward", "copy-forward", "apply-forward", "capture-forward", "old", "new"])
    if what in ("old", "new"):
        (old if what == "old" else new).crash_and_recover()
        return what
    pid = product._stage(what)["pid"]
    if pid is None or not process.send(pid, signal.SIGKILL):
        return None  # between two lives, or done
    return what


@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_random_kills_under_load_end_equal(clusters, switchback, seed):
    rows, rng = 1200, random.Random(seed)
    old, new = clusters(15, "old", fsync=True), clusters(15, "new", fsync=True)
    copyload.fill(old, rows)
    copyload.make_tables(new)
    product = switchback(old, new, config={
        "copy": {"initial": True, "chunk_rows": 100, "jobs": 3, "max_rate_bytes_s": 50000},
        "capture": {"heartbeat_interval_ms": 300, "feedback_interval_ms": 50},
        "apply": {"batch_max_rows": 200},
    })
    product.ok("prepare")
    done, during_copy = [], 0
    with Load(old, copyload.step(rows), writers=2, seed=seed, pause=0.005):
        product.run()
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and (during_copy < 8 or len(done) < 11):
            chunks = len(ledger(new))
            wait_until(lambda: len(ledger(new)) >= chunks + 3 or new.value(STATE) == "complete", 60, "some more chunks")
            before, pending = ledger(new), new.value(STATE) == "pending"
            what = disturb(rng, old, new, product)
            if what is None:
                continue
            done.append(what)
            during_copy += pending
            if what != "new":  # the target may lose what it had not flushed, chunk and stamp together
                assert all(ledger(new).get(key) == row for key, row in before.items()), f"{what} cost finished chunks"
            if not pending:
                break
        assert during_copy >= 3, f"the copy was over too soon: {done}"
    finish(old, new, product)
    assert "copy-forward" in done or product.log_contains("copy begins"), done


def test_a_kill_at_every_step_keeps_finished_chunks(clusters, switchback):
    tables = ["CREATE TABLE item (id int PRIMARY KEY, v int)", "CREATE TABLE log (at int, what text)"]
    rows = ["INSERT INTO item SELECT g, g FROM generate_series(1, 3000) g", "INSERT INTO log SELECT g, 'x' FROM generate_series(1, 300) g", "ANALYZE"]
    old, new, product = make_pair(clusters, switchback, tables, rows, chunk_rows=100, jobs=1)
    product.start("capture")
    kept = {}
    for point in POINTS:
        times = 1 if point in ("copy-after-claim", "copy-after-plan", "copy-before-complete", "copy-after-complete") else 3
        stage = product.start("copy", fault=f"{point}:kill:{times}")
        assert stage.wait(60) == -signal.SIGKILL, point
        old.sql("UPDATE item SET v = v + 1 WHERE id % 7 = 0")
        old.sql("INSERT INTO log VALUES (0, 'between')")
        now = ledger(new)
        assert all(now.get(key) == row for key, row in kept.items()), f"{point} cost finished chunks"
        kept = now
    assert len(kept) > 15 and new.value(STATE) == "complete"
    product.start("apply")
    finish(old, new, product)


def test_a_frozen_copy_that_wakes_up_adds_nothing(clusters, switchback):
    tables = ["CREATE TABLE item (id int PRIMARY KEY, v int)", "CREATE TABLE log (at int, what text)"]
    rows = ["INSERT INTO item SELECT g, g FROM generate_series(1, 1000) g", "INSERT INTO log SELECT g, 'x' FROM generate_series(1, 300) g", "ANALYZE"]
    old, new, product = make_pair(clusters, switchback, tables, rows, chunk_rows=100, jobs=4)
    heir = switchback(old, new, migration="shop2", config={"copy": {"initial": True, "chunk_rows": 100}})
    heir.configure(migration="shop", stream={"path": f"{product.config['state_dir']}/forward.db"})
    zombie = product.start("copy", fault="copy-before-commit:freeze:3")
    frozen(zombie)
    assert heir.start("copy").wait(90) == 0
    assert heir.log_contains("ended the sessions of an earlier copy"), "nothing of the frozen one was open"
    before = ledger(new)
    process.send(zombie.pid, signal.SIGCONT)
    assert zombie.wait(60) == 0, "the zombie did not find out that the copy is complete"
    assert ledger(new) == before
    product.start("capture")
    product.start("apply")
    finish(old, new, product)


# -- what a snapshot shows


def read_what_a_crash_will_take(old, product):
    """A copy, frozen when it has read rows of an asynchronous commit that is not flushed; the source, crashed then. The
    xid of that commit if the crash has really taken it."""
    copy = product.start("copy", fault="copy-after-plan:freeze:1,copy-after-ledger:freeze:1")
    frozen(copy)
    with old.connect() as session:
        session.execute("SET synchronous_commit = off")
        session.execute("UPDATE item SET v = 7 WHERE id <= 10")
        (gone,) = session.execute("SELECT max(xmin::text::bigint) FROM item WHERE v = 7").fetchone()
        thaw(copy)
        frozen(copy)
    old.crash_and_recover()
    taken = old.value("SELECT count(*) FROM item WHERE v = 7") == 0
    # What it wrote may have filled a page of WAL, which is on disk: then its xid is known.
    free = old.value("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint") <= gone
    return copy, gone if taken and free else None


def test_commits_lost_in_a_crash_are_not_taken_for_copied(clusters, switchback):
    """A32: the image shows an asynchronous commit, the source crashes before it is flushed, its xid is given away again."""
    tables = ["CREATE TABLE item (id int PRIMARY KEY, v int)"]
    rows = ["INSERT INTO item SELECT g, 0 FROM generate_series(1, 50) g"]
    old, new, product = make_pair(clusters, switchback, tables, rows, old={"wal_writer_delay": "10s", "autovacuum": "off", "full_page_writes": "off"})
    for _ in range(6):  # the server may flush by itself just then
        copy, gone = read_what_a_crash_will_take(old, product)
        if gone is not None:
            break
        copy.kill9()
        old.sql("UPDATE item SET v = 0")
    assert gone is not None, "no crash has lost the commit"
    with old.connect() as session:
        xid = 0
        while xid < gone:
            (xid,) = session.execute("UPDATE item SET v = 8 WHERE id BETWEEN 5 AND 15 RETURNING xmin::text::bigint").fetchone()
    assert xid == gone, "the xid was not given away again"
    copy.signal(signal.SIGCONT)
    assert copy.wait(90) == 0
    product.start("capture")
    product.start("apply")
    finish(old, new, product)


def test_the_copy_waits_for_a_commit_that_is_older_and_invisible(clusters, switchback):
    """A22, the barrier: what committed before the copy and is not visible yet could be in neither image nor stream."""
    tables = ["CREATE TABLE item (id int PRIMARY KEY, v int)"]
    rows = ["INSERT INTO item SELECT g, 0 FROM generate_series(1, 50) g"]
    old, new, product = make_pair(clusters, switchback, tables, rows)
    release = hang(old, "UPDATE item SET v = 1 WHERE id = 1")
    (pid,) = old.sql(HANGS)[0]
    product.run()
    report = product.wait_state("copy-forward", "waiting", 60)
    wait_until(lambda: f"process {pid} " in (product._stage("copy-forward")["why"] or ""), 30, "status to name the one in the way")
    assert "must end first" in report["why"] and ledger(new) == {}
    assert "initial copy: 0 of 1 tables" in product._stage("apply-forward")["why"]
    release()
    finish(old, new, product)


def test_a_commit_below_the_stamp_that_it_does_not_show(clusters, switchback):
    """A17: in the stream, with a position below the chunk's, and not in the image: only its xid tells that it is newer."""
    tables = ["CREATE TABLE item (id int PRIMARY KEY, v int)"]
    rows = ["INSERT INTO item SELECT g, 0 FROM generate_series(1, 50) g"]
    old, new, product = make_pair(clusters, switchback, tables, rows)
    copy = product.start("copy", fault="copy-after-plan:freeze:1")
    frozen(copy)
    release = hang(old, "UPDATE item SET v = 1 WHERE id = 1")
    committed = old.value("SELECT pg_current_wal_insert_lsn()::text")
    copy.signal(signal.SIGCONT)
    assert copy.wait(60) == 0, "the copy waited for a younger commit"
    assert new.value("SELECT v FROM item WHERE id = 1") == 0 == old.value("SELECT v FROM item WHERE id = 1")
    assert new.value("SELECT min(flushed_past) >= %s::pg_lsn FROM switchback.chunk", committed), "it is not below the stamp"
    product.start("capture")
    product.start("apply")
    wait_until(lambda: new.value("SELECT v FROM item WHERE id = 1") == 1, 60, "the invisible commit to be applied")
    assert old.value("SELECT v FROM item WHERE id = 1") == 0
    release()
    finish(old, new, product)


HELD = """
SELECT relation::regclass::text FROM pg_locks
WHERE mode = 'AccessShareLock' AND granted AND relation IN ('item'::regclass, 'other'::regclass)
"""


def test_a_truncate_waits_for_the_chunk_or_is_seen_by_it(clusters, switchback):
    """A33: no snapshot is older than the lock."""
    tables = ["CREATE TABLE item (id int PRIMARY KEY, v int)", "CREATE TABLE other (id int PRIMARY KEY, v int)"]
    rows = ["INSERT INTO item SELECT g, 0 FROM generate_series(1, 50) g", "INSERT INTO other SELECT g, 0 FROM generate_series(1, 40) g"]
    old, new, product = make_pair(clusters, switchback, tables, rows, jobs=1)
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = %s::regclass"
    copy = product.start("copy", fault="copy-after-plan:freeze:1,copy-after-stamp:freeze:1")
    frozen(copy)
    with old.connect(autocommit=False) as session:  # a TRUNCATE under way: the copy waits, and then sees it
        session.execute("TRUNCATE other")
        session.execute("INSERT INTO other SELECT g, 1 FROM generate_series(30, 60) g")
        thaw(copy)
        held = wait_until(lambda: old.sql(HELD), 30, "the copy to hold a table")
        assert held == [("item",)], "a chunk got its lock beside a TRUNCATE"
        frozen(copy)  # it has the stamp of that table
        thread = threading.Thread(target=old.sql, args=("TRUNCATE item",))
        thread.start()
        wait_until(lambda: old.value(waits, "item") == 1, 20, "the TRUNCATE to wait for the chunk")
        copy.signal(signal.SIGCONT)
        wait_until(lambda: old.value(waits, "other") == 1, 30, "the copy to wait for the other TRUNCATE")
        thread.join(30)
        session.commit()
    assert copy.wait(60) == 0
    old.sql("INSERT INTO item VALUES (7, 7)")
    assert new.value("SELECT count(*) FROM item") == 50 and new.value("SELECT count(*) FROM other") == 31
    product.start("capture")
    product.start("apply")
    finish(old, new, product)


# -- between two chunks


def between_chunks(clusters, switchback, tables, rows, statements):
    """One chunk is copied, then these statements run, then the others are copied."""
    old, new, product = make_pair(clusters, switchback, tables, rows, chunk_rows=100, jobs=1)
    copy = product.start("copy", fault="copy-after-commit:freeze:1")
    frozen(copy)
    assert len(ledger(new)) == 1
    for statement in statements:
        old.sql(statement)
    copy.signal(signal.SIGCONT)
    assert copy.wait(60) == 0
    assert len(ledger(new)) > 2
    product.run()
    return old, new, product


ITEMS = ["CREATE TABLE item (id int PRIMARY KEY, v int)"]
ITEM_ROWS = ["INSERT INTO item SELECT g, g FROM generate_series(1, 1000) g", "ANALYZE item"]


def test_a_truncate_between_chunks_empties_those_before_it(clusters, switchback):
    old, new, product = between_chunks(
        clusters, switchback, ITEMS, ITEM_ROWS,
        ["UPDATE item SET v = 0 WHERE id = 3", "TRUNCATE item", "INSERT INTO item SELECT g, -g FROM generate_series(3, 900, 7) g", "DELETE FROM item WHERE id = 10"],
    )
    finish(old, new, product)


def test_keys_that_move_between_chunks(clusters, switchback):
    """Up and down, alone and in chains, in one transaction and in several."""
    old, new, product = between_chunks(
        clusters, switchback, ITEMS, ITEM_ROWS,
        [
            "UPDATE item SET id = id + 2000 WHERE id BETWEEN 5 AND 15",
            "UPDATE item SET id = id - 2000 WHERE id BETWEEN 2008 AND 2010",
            "UPDATE item SET id = 5 WHERE id = 990",
            "UPDATE item SET id = 991000 WHERE id = 5",
            "DELETE FROM item WHERE id = 20",
            "UPDATE item SET id = 20 WHERE id = 995",
        ],
    )
    finish(old, new, product)


BODIES = ["CREATE TABLE item (id int PRIMARY KEY, n int, body text)", "ALTER TABLE item ALTER body SET STORAGE EXTERNAL", "CREATE TABLE calm (id int PRIMARY KEY)"]
BODY_ROWS = ["INSERT INTO item SELECT g, 0, repeat('x', 3000) || g FROM generate_series(1, 500) g", "ANALYZE item"]
WISHES = "SELECT count(*) FROM switchback.copy_wish WHERE key IS NOT NULL AND done_at IS NOT NULL"


def test_a_row_whose_toast_is_in_no_chunk_is_read_again(clusters, switchback):
    """P2: it moved from a chunk not copied yet to one that was, and its unchanged value did not travel. Chains, moves
    back, and what happens to the row at its new key, are in the stream behind it."""
    old, new, product = between_chunks(
        clusters, switchback, BODIES, BODY_ROWS,
        [
            "INSERT INTO calm VALUES (1)", "UPDATE item SET id = 0 WHERE id = 490", "INSERT INTO calm VALUES (2)",
            "UPDATE item SET n = 1 WHERE id = 0", "UPDATE item SET id = -1 WHERE id = 0", "UPDATE item SET id = -2 WHERE id = 489",
            "DELETE FROM item WHERE id = -2", "UPDATE item SET id = -3 WHERE id = 488", "UPDATE item SET id = 488 WHERE id = -3",
            "UPDATE item SET id = -5 - (490 - id) WHERE id BETWEEN 470 AND 480", "UPDATE item SET body = 'short' WHERE id = -20",
        ],
    )
    finish(old, new, product)
    assert 0 < new.value(WISHES) < 30, "no row was read again, or far too many"
    assert new.value("SELECT count(*) FROM item WHERE id < 0") == 12
    assert not product.log_contains("level=error")


def test_a_table_altered_while_it_is_copied_begins_anew(clusters, switchback):
    old, new, product = make_pair(clusters, switchback, ITEMS, ITEM_ROWS, chunk_rows=100, jobs=1)
    copy = product.start("copy", fault="copy-after-commit:freeze:2")
    frozen(copy)
    for server in (old, new):
        server.sql("ALTER TABLE item ADD COLUMN more text DEFAULT 'more'")
    old.sql("UPDATE item SET more = 'changed' WHERE id % 50 = 0")
    copy.signal(signal.SIGCONT)
    assert copy.wait(90) == 0
    assert product.log_contains("begins anew") and product.log_contains("table is copied anew")
    product.run()
    finish(old, new, product)


PARTED = [
    "CREATE TABLE item (id int PRIMARY KEY, v int) PARTITION BY RANGE (id)",
    "CREATE TABLE item_low PARTITION OF item FOR VALUES FROM (100) TO (500)",
    "CREATE TABLE item_high PARTITION OF item FOR VALUES FROM (500) TO (2000)",
]


@pytest.mark.parametrize("statement", [
    "ALTER TABLE item ATTACH PARTITION strange FOR VALUES FROM (0) TO (100)", "ALTER TABLE item DETACH PARTITION item_low",
])
def test_partitions_that_come_and_go_while_their_table_is_copied(clusters, switchback, statement):
    """Rows that an ATTACH brings or a DETACH takes are in no change. (That the command itself travels is fault/ddl's.)"""
    rows = ["INSERT INTO item SELECT g, g FROM generate_series(100, 1100) g", "ANALYZE"]
    old, new, product = make_pair(clusters, switchback, PARTED, rows, ddl="ignore", chunk_rows=100, jobs=1)
    new.sql("CREATE TABLE item_lowest PARTITION OF item FOR VALUES FROM (0) TO (100)")
    copy = product.start("copy", fault="copy-after-commit:freeze:9")
    frozen(copy)
    old.sql("CREATE TABLE strange (id int PRIMARY KEY, v int)")
    old.sql("INSERT INTO strange SELECT g, -g FROM generate_series(1, 99) g")
    old.sql(statement)
    copy.signal(signal.SIGCONT)
    assert copy.wait(90) == 0
    assert product.log_contains("table is copied anew")
    product.run()
    wait_until(lambda: new.value(STATE) == "complete", 60, "the copy to be complete")
    product.wait_caught_up()
    assert new.sql("SELECT * FROM item ORDER BY 1") == old.sql("SELECT * FROM item ORDER BY 1")


def test_a_table_published_while_rows_are_copied_is_copied_too(clusters, switchback):
    old, new, product = make_pair(clusters, switchback, ITEMS, ITEM_ROWS, chunk_rows=100, jobs=1)
    copy = product.start("copy", fault="copy-after-commit:freeze:2")
    frozen(copy)
    for server in (old, new):
        server.sql("CREATE TABLE late (id int PRIMARY KEY, v int)")
    old.sql("INSERT INTO late SELECT g, 0 FROM generate_series(1, 100) g")
    product.ok("prepare")
    old.sql("UPDATE late SET v = 1 WHERE id % 3 = 0")
    copy.signal(signal.SIGCONT)
    assert copy.wait(60) == 0
    old.sql("UPDATE late SET v = 2 WHERE id % 5 = 0")
    assert new.value("SELECT rows FROM switchback.chunk WHERE relation LIKE '%%late%%'") == 100
    product.run()
    finish(old, new, product)


def test_a_table_made_while_rows_are_copied_is_left_to_its_ddl(clusters, switchback):
    """The target does not have it yet, and will have when apply begins; all its rows are in the stream."""
    old, new, product = make_pair(clusters, switchback, ITEMS, ITEM_ROWS, chunk_rows=100, jobs=1)
    copy = product.start("copy", fault="copy-after-commit:freeze:2")
    frozen(copy)
    old.sql("CREATE TABLE late (id int PRIMARY KEY, v int)")
    old.sql("INSERT INTO late SELECT g, 0 FROM generate_series(1, 100) g")
    old.sql("UPDATE late SET v = 1 WHERE id % 3 = 0")
    copy.signal(signal.SIGCONT)
    assert copy.wait(60) == 0
    assert product.log_contains("left to apply") and new.value("SELECT to_regclass('late')") is None
    old.sql("UPDATE late SET v = 2 WHERE id % 5 = 0")
    product.run()
    finish(old, new, product)
    assert new.value("SELECT count(*) FROM late") == 100
    product.ok("copy", "--again", "public.late")
    old.sql("UPDATE late SET v = 3 WHERE id = 100")
    finish(old, new, product)


# -- what is refused


def test_a_target_that_is_not_empty_is_refused_before_anything_is_written(clusters, switchback):
    old, new, product = make_pair(clusters, switchback, [*ITEMS, "CREATE TABLE other (id int PRIMARY KEY)"], ITEM_ROWS)
    new.sql("INSERT INTO other VALUES (1)")
    product.run()
    report = product.wait_halted("copy-forward", "SB-TARGET-NOT-EMPTY", 60)
    assert '"public"."other"' in report["error_text"] and "TRUNCATE" in report["hint"]
    assert ledger(new) == {} and new.value("SELECT count(*) FROM item") == 0
    assert not product.status()["standing"]
    assert "initial copy" in product._stage("apply-forward")["why"]
    new.sql("TRUNCATE other")
    product.ok("resume")
    finish(old, new, product)


def test_a_standby_is_refused(clusters, switchback):
    old, new, product = make_pair(clusters, switchback, ITEMS, ITEM_ROWS)
    old.stop()
    (old.data / "standby.signal").touch()
    old.start()
    product.start("copy")
    product.wait_state("copy-forward", "halted", 60)
    assert product._stage("copy-forward")["error"] == "SB-STAMP-FROM-STANDBY"


def test_row_level_security_that_would_hide_rows_is_refused(clusters, switchback):
    old, new, product = make_pair(clusters, switchback, ITEMS, ITEM_ROWS)
    old.sql("CREATE ROLE mover LOGIN REPLICATION IN ROLE pg_monitor")
    old.sql("GRANT USAGE ON SCHEMA switchback TO mover")
    old.sql("GRANT SELECT ON item, switchback.identity, switchback.capture TO mover")
    old.sql("ALTER TABLE item ENABLE ROW LEVEL SECURITY")
    product.configure(source={"dsn": old.dsn(user="mover")})
    product.start("copy")
    product.wait_halted("copy-forward", "SB-RLS", 60)
    assert ledger(new) == {}


def test_capture_does_not_hold_wal_while_rows_are_copied(clusters, switchback):
    """The slot follows what the stream has until the copy is complete, and what the target has from then on."""
    old, new, product = make_pair(clusters, switchback, ITEMS, ITEM_ROWS, chunk_rows=100, jobs=1, max_rate_bytes_s=1)
    product.run()
    product.wait_state("capture-forward", "running", 60)
    old.sql("INSERT INTO item VALUES (5000, 1)")
    lsn = old.value("SELECT pg_current_wal_insert_lsn()::text")
    confirmed = "SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots WHERE slot_name = 'switchback_shop_forward'"
    wait_until(lambda: old.value(confirmed, lsn), 60, "the slot to follow the stream")
    assert new.value(STATE) == "pending"
    product.stop()
    product.configure(copy={"max_rate_bytes_s": 0})
    product.run()
    finish(old, new, product)
