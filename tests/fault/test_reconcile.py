"""The stage `reconcile` killed wherever it is, and in less memory than it wants: it goes on from what it has saved, and
nothing is called proven that is not."""

import random
import sqlite3

import pytest

from sbtest import copyload, verifying
from sbtest.reconciling import Reconciling, differences, foreign_write
from sbtest.wait import wait_until
from sbtest.writers import Load

ROWS = 1000
KILLED = -9
SMALL = 65536  # the least that may be configured
# Tables without a key are read as a whole each time.
CHUNKS = """SELECT relation, lower_bound, done_at FROM switchback.verified_chunk
    WHERE relation NOT IN ('"public"."fulls"', '"public"."journal"')"""
POINTS = ["reconcile-after-chunk:kill:20", "reconcile-after-save:kill:15", "reconcile-before-save:kill:25",
          "reconcile-between-stamps:kill:31", "reconcile-after-rows:kill:33", "reconcile-after-keys:kill:2"]
COLD = "CREATE TABLE cold (id int PRIMARY KEY, n int, body text); ALTER TABLE cold ALTER body SET STORAGE EXTERNAL"
FILL = "INSERT INTO cold SELECT g, 0, repeat('x', 4000) FROM generate_series(1, 20) g"


@pytest.fixture
def servers_filled(clusters):
    old, new = clusters(15, "old"), clusters(15, "new")
    for server in (old, new):
        copyload.fill(server, ROWS)
    return old, new


def proven(product):
    found = product.status()["reconcile"]
    return found.get("lag_seconds") is not None and found["tables_proven"] == found["tables"] and found["open_differences"] == 0


def test_chunks_that_were_compared_stay_compared_wherever_it_is_killed(servers_filled, switchback):
    old, new = servers_filled
    stages = {"verify": {"chunk_rows": 50}, "reconcile": {"pass_interval_s": 0}, "capture": {"heartbeat_interval_ms": 500}}
    product = switchback(old, new, config=stages)
    product.ok("prepare")
    for stage in ("capture", "apply"):
        product.start(stage)
    before = set()
    with Load(old, copyload.step(ROWS, empties=0), writers=1, pause=0.1):
        for point in POINTS:
            killed = product.start("reconcile", fault=point)
            assert killed.wait(90) == KILLED, f"{point} was not passed"
            after = set(new.sql(CHUNKS))
            assert before <= after, "what was compared was thrown away"
            before = after
        assert len(before) > 20
        product.start("reconcile")
        wait_until(lambda: proven(product), 90, "all tables to be proven")
    after = new.sql(CHUNKS)
    assert before <= set(after)
    assert len({row[:2] for row in after}) == len(after), "a chunk was compared twice in a pass"
    assert product.log_contains("a pass goes on") and not differences(new)


def test_killed_at_any_time_under_load_it_proves_what_is_equal_and_holds_what_is_not(servers_filled, switchback):
    old, new = servers_filled
    for server in (old, new):
        server.sql(COLD)
        server.sql(FILL)
    reconciling = Reconciling(switchback, old, new, verify={"chunk_rows": 100}, reconcile={"pass_interval_s": 0})
    rng = random.Random(7)
    with Load(old, copyload.step(ROWS, empties=0), writers=2, pause=0.05):
        for _ in range(4):
            judged = reconciling.metric("keys_judged_total")
            wait_until(lambda: reconciling.metric("keys_judged_total") != judged, 60, "it to be at work")
            wait_until(lambda: rng.random() < 0.2, 10, "any time")
            reconciling.kill()
        reconciling.wait_passes(90)
        foreign_write(new, "UPDATE cold SET body = 'somebody else' WHERE id = 9")
        old.sql("UPDATE cold SET n = n + 1 WHERE id = 9")  # the body does not travel
        wait_until(lambda: reconciling.metric("open_differences") == 1, 60, "the difference to be found")
        behind = old.value("SELECT pg_current_wal_insert_lsn() - '0/0'")
        reconciling.kill()
        judged = reconciling.metric("keys_judged_total")
        wait_until(lambda: reconciling.metric("keys_judged_total") > judged + 200, 60, "it to be at work again")
        wait_until(lambda: reconciling.metric("open_differences") == 1, 60, "the difference to be found again")
        reached = old.value("SELECT pg_current_wal_insert_lsn() - '0/0'")
        wait_until(lambda: new.value("SELECT commit_lsn - '0/0' FROM switchback.progress") > reached, 60, "apply to get on")
        assert reconciling.metric("frontier_lsn") < behind < reached
        assert reconciling.product.status()["reconcile"]["frontier_lsn"] is not None, "what was proven is forgotten"
        foreign_write(new, "UPDATE cold SET body = repeat('x', 4000) WHERE id = 9")
        reconciling.wait_passes(90)
    assert [row[:3] for row in differences(new)] == [('"public"."cold"', "changed", "gone")]


def test_what_does_not_fit_into_memory_is_compared_as_a_whole(servers_filled, switchback):
    old, new = servers_filled
    reconciling = Reconciling(
        switchback, old, new, verify={"chunk_rows": 300}, reconcile={"pass_interval_s": 0, "ledger_max_bytes": SMALL})
    reconciling.wait_proven()
    chunks = reconciling.metric("chunks_compared_total")
    reconciling.product.ok("pause")
    old.sql("UPDATE numbers SET v = v + 1")
    old.sql("DELETE FROM tagged WHERE part > 10")
    reconciling.product.ok("resume")
    wait_until(lambda: reconciling.metric("overflows_total") >= 2, 60, "the ledger to run full")
    reconciling.wait_passes(90)
    assert reconciling.metric("chunks_compared_total") > chunks
    assert reconciling.metric("differences_found_total") == 0 and reconciling.stage()["restarts"] == 0


def test_a_transaction_larger_than_the_window_is_waited_for(servers_filled, switchback):
    old, new = servers_filled
    reconciling = Reconciling(
        switchback, old, new, verify={"chunk_rows": 300, "window_max_bytes": SMALL}, reconcile={"pass_interval_s": 0})
    reconciling.wait_proven()
    lsn = reconciling.metric("frontier_lsn")
    old.sql("UPDATE numbers SET v = v + 1")
    wait_until(lambda: reconciling.metric("overflows_total") >= 1, 60, "the window to run full")
    assert reconciling.metric("frontier_lsn") >= lsn, "what was proven is forgotten"
    reconciling.wait_passes(90)
    assert reconciling.metric("differences_found_total") == 0 and reconciling.stage()["restarts"] == 0


def test_a_stream_that_does_not_go_back_far_enough_means_another_pass(servers_filled, switchback):
    old, new = servers_filled
    reconciling = Reconciling(switchback, old, new, reconcile={"pass_interval_s": 0})
    reconciling.wait_passes(90)
    lsn = reconciling.metric("frontier_lsn")
    reconciling.product.configure(reconcile={"enabled": False})
    reconciling.product.stop()
    reconciling.product.run()
    for n in range(20):
        old.sql("UPDATE numbers SET v = %s WHERE id = 3", n)
    reconciling.product.wait_caught_up()
    reconciling.product.stop()
    with sqlite3.connect(reconciling.product.folder / "state" / "forward.db") as log:  # as retention does
        applied = new.value("SELECT stream_offset FROM switchback.progress")
        assert log.execute("DELETE FROM record WHERE position < ?", (applied - 2,)).rowcount > 20
    reconciling.product.configure(reconcile={"enabled": True})
    reconciling.product.run()
    reconciling.product.wait_log("all rows are compared again", 60)
    assert reconciling.product.log_contains("stage=reconcile.*SB-LOG-GAP")
    wait_until(lambda: reconciling.metric("chunks_compared_total") > 0, 60, "a pass")
    assert reconciling.metric("frontier_lsn") >= lsn, "what was proven is forgotten"
    reconciling.wait_passes(90)
    assert reconciling.metric("differences_found_total") == 0


def test_verify_and_the_stage_do_not_disturb_one_another(servers_filled, switchback):
    old, new = servers_filled
    reconciling = Reconciling(switchback, old, new, reconcile={"pass_interval_s": 0})
    with Load(old, copyload.step(ROWS, empties=0), writers=1, pause=0.05):
        reconciling.wait_proven()
        verifying.verify(reconciling.product, code=verifying.EQUAL)
        reconciling.wait_passes(60)
