"""The source stops, crashes and comes back while the migration runs; the target is up, down, held or poisoned."""

import re
import threading

import pytest

from source_pair import APPLY, CAPTURE, lsn, pair  # noqa: F401
from sbtest import process
from sbtest.wait import wait_until

FULL = {"stream": {"retention_max_bytes": 1 << 21}}


# -- a stop never waits for us (A2)


def target_down(it):
    it.new.stop("immediate")
    it.insert(3)
    wait_until(lambda: it.status()["stages"]["apply"]["state"] == "backoff", 20, "apply to miss the target")
    return it.new.start


def apply_poisoned(it):
    it.new.sql("ALTER TABLE item ADD CONSTRAINT sane CHECK (note <> 'bad')")
    it.insert(1, "bad")
    it.insert(3)
    assert it.wait_state(APPLY, "halted")["error"] in ("SB-POISON", "SB-CONFLICT")

    def mend():
        it.new.sql("ALTER TABLE item DROP CONSTRAINT sane")
        it.product.ok("resume")

    return mend


def apply_paused(it):
    it.product.ok("pause")
    it.wait_state(APPLY, "waiting")
    it.insert(3)
    return lambda: it.product.ok("resume")


def stream_full(it):
    mend = apply_paused(it)
    with it.old.connect() as session:
        for first in range(1, 10000, 50):
            session.execute(
                "INSERT INTO item SELECT -g, repeat(md5(g::text), 20) FROM generate_series(%s::int, %s) g",
                [first, first + 49])
    report = it.wait_state(CAPTURE, "waiting")
    assert report["error"] == "SB-STREAM-FULL", report
    return mend


STATES = [target_down, apply_poisoned, apply_paused, stream_full]


@pytest.mark.parametrize("mode", ["fast", "smart"])
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_a_stop_of_the_source_does_not_wait_for_us(pair, state, mode):  # noqa: F811
    it = pair(config=FULL if state is stream_full else None).run()
    held = state(it)
    confirmed = it.confirmed()
    insert = it.old.value("SELECT pg_current_wal_insert_lsn()::text")
    assert lsn(confirmed) < lsn(insert) and it.walsender()  # something is not confirmed: what would hold up the stop
    it.stop_source(mode)
    it.wait_error(CAPTURE, "SB-SOURCE-UNAVAILABLE")
    it.old.start()
    held()
    it.wait_running()
    it.insert(3)
    it.assert_equal()


def test_a_transaction_larger_than_the_stream_says_so(pair):  # noqa: F811
    """Nothing that is applied can make room for it, so waiting would be for ever: an operator must know."""
    it = pair(config=FULL).run()
    it.insert()
    it.catch_up()
    it.old.sql("INSERT INTO item SELECT -g, repeat(md5(g::text), 20) FROM generate_series(1, 20000) g")
    report = wait_until(
        lambda: (now := it.stage(CAPTURE))["error"] == "SB-STREAM-FULL" and now, 40, "capture to say what it waits for")
    assert report["state"] == "waiting" and "retention_max_bytes" in report["hint"]
    # At first it only says that there is no room; that nothing will make any is known a moment later.
    wait_until(lambda: "larger than the stream may get" in it.status()["why"], 40, "capture to say that it waits in vain")
    assert it.new.value("SELECT count(*) FROM item") == 1
    it.product.stop()
    it.product.configure(stream={"retention_max_bytes": 1 << 28})
    it.run()
    it.assert_equal()


# -- crashes (A1, A5)


def began(it):
    """The confirmed position with which the source last began to send, by its own log."""
    return re.findall(r"Streaming transactions committing after (\S+),", it.old.log.read_text())[-1]


@pytest.mark.parametrize("commit", ["on", "off"], ids=["synchronous", "asynchronous"])
def test_crashes_under_load_lose_and_repeat_nothing(pair, commit):  # noqa: F811
    it = pair(old={"fsync": True}).run()
    threading.excepthook = lambda args: None  # the crash ends the writer
    went_back = lost = 0
    for _ in range(4):
        it.insert(20)
        it.catch_up()
        writing = threading.Thread(target=it.insert, args=(100000, "x", commit), daemon=True)
        rows = it.items
        writing.start()
        wait_until(lambda: it.items > rows + 30, 20, "some load")
        before = it.wait_confirmed(began(it))
        it.old.kill9()
        writing.join(20)
        assert not writing.is_alive()
        it.wait_error(CAPTURE, "SB-SOURCE-UNAVAILABLE")
        it.old.start()
        there = it.old.value("SELECT max(id) FROM item")
        lost += it.items - 1 - there  # the newest may not have been answered
        it.items = there
        it.wait_running()
        went_back += lsn(began(it)) < lsn(before)
        it.assert_equal()
    assert went_back, "the confirmed position never went back: this test did not show what it is for"
    assert (lost > 0) == (commit == "off"), f"{lost} answered commits were lost"
    it.product.ok("stream", "verify")


def test_an_asynchronous_commit_that_a_crash_loses_was_never_sent(pair):  # noqa: F811
    """The walsender reads WAL only up to where it is flushed. A commit that is visible and not flushed does not leave the
    server, so losing it, and giving its xid to another transaction, takes nothing back (A32)."""
    it = pair(
        old={"fsync": True, "settings": {"autovacuum": "off"}}, config={"capture": {"heartbeat_interval_ms": 3600000}})
    it.run()
    it.insert()
    it.catch_up()
    process.freeze_tree(it.old.value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'"))
    with it.old.connect() as session:
        session.execute("SET synchronous_commit = off")
        ((xid,),) = session.execute("INSERT INTO item VALUES (1000, 'lost') RETURNING pg_current_xact_id()::text").fetchall()
    end = lsn(it.old.value("SELECT pg_current_wal_insert_lsn()::text"))
    assert it.old.value("SELECT note FROM item WHERE id = 1000") == "lost"

    def flushed():
        return lsn(it.old.value("SELECT pg_current_wal_flush_lsn()::text"))

    # Capture has been at work since (its pulse says where the source writes), and has got everything there was to get.
    wait_until(lambda: lsn(it.status()["positions"]["source_lsn"]) >= end, 20, "a pulse after the commit")
    sent = lsn(it.old.value("SELECT sent_lsn::text FROM pg_stat_replication"))
    assert sent <= flushed() < end and it.new.value("SELECT count(*) FROM item WHERE id = 1000") == 0
    it.old.kill9()
    it.wait_error(CAPTURE, "SB-SOURCE-UNAVAILABLE")
    it.old.start()
    assert it.old.value("SELECT count(*) FROM item WHERE id = 1000") == 0, "the commit was not lost"
    it.wait_running()
    it.insert()
    again = it.old.sql("SELECT xmin::text FROM switchback.capture UNION SELECT xmin::text FROM item")
    assert (xid,) in again, f"nobody got xid {xid} again: {again}"
    it.assert_equal()


@pytest.mark.parametrize("how", ["frozen", "terminated"])
def test_a_walsender_that_is_ended_or_frozen_for_a_while(pair, how):  # noqa: F811
    it = pair().run()
    it.insert()
    it.catch_up()
    pid = it.walsender()
    if how == "terminated":
        assert it.old.value("SELECT pg_terminate_backend(%s)", pid)
        wait_until(lambda: it.walsender() not in (pid, None), 20, "capture to connect again")
    else:
        process.freeze_tree(pid)
        before = it.progress()
        it.insert(5)
        stored = it.status()["positions"]["stored_lsn"]
        assert lsn(stored) < lsn(it.old.value("SELECT pg_current_wal_insert_lsn()::text")) and it.progress() == before
        process.thaw_tree(pid)
    it.insert(5)
    it.assert_equal()


# -- who holds the slot (A4)


def test_a_walsender_left_behind_frozen_keeps_the_slot_busy_until_it_goes(pair):  # noqa: F811
    """Our own old backend does not answer and cannot even be ended: said, retried, and over when it is thawed."""
    it = pair().run()
    it.insert()
    it.catch_up()
    old = it.walsender()
    process.freeze_tree(old)
    try:
        it.kill_capture()
        assert str(old) in it.wait_error(CAPTURE, "SB-SLOT-BUSY")["error_text"]
        assert it.product.log_contains(r"its session is ended.*pid=%d" % old)  # asked to go, as soon as it can
        assert it.walsender() == old
    finally:
        process.thaw_tree(old)
    it.wait_running()
    assert it.walsender() != old
    it.insert()
    it.assert_equal()


def test_a_stranger_on_the_slot_is_waited_for_and_never_ended(pair, place):  # noqa: F811
    it = pair().run()
    it.insert()
    it.catch_up()
    it.product.stop()
    stranger = process.Process(
        [
            it.old.programs.bin / "pg_recvlogical", "--start", "--slot", it.slot, "--dbname", it.old.dsn(), "--no-loop",
            "--file", place / "taken", "--status-interval", "0", "--option", "proto_version=1", "--option",
            "publication_names=switchback_shop_forward_keyed",
        ],
        place / "recvlogical.log", env=it.old.programs.env,
    )
    wait_until(it.walsender, 20, "the stranger to hold the slot")
    stranger.freeze()  # it confirms nothing
    held = it.walsender()
    it.product.run()
    for _ in range(2):
        busy = it.said("SB-SLOT-BUSY")
        wait_until(lambda: it.said("SB-SLOT-BUSY") > busy, 30, "capture to try")
        assert "pg_recvlogical" in it.wait_error(CAPTURE, "SB-SLOT-BUSY")["error_text"]
        assert it.walsender() == held
        it.product.stop()
        it.product.run()
    stranger.kill9()
    it.wait_running()
    it.insert()
    it.assert_equal()


# -- a commit waits for a dead standby (A17)


def test_a_commit_that_waits_for_a_dead_standby_arrives_and_nothing_of_ours_waits(pair):  # noqa: F811
    it = pair().run()
    it.insert()
    it.catch_up()
    it.old.reload(synchronous_standby_names="nope")
    wait_until(
        lambda: it.old.value("SHOW synchronous_standby_names") == "nope", 10, "the source to miss its standby")
    client = threading.Thread(target=it.insert, daemon=True)
    client.start()
    wait_until(
        lambda: it.old.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == 1, 20,
        "the commit to wait")
    wait_until(lambda: it.new.value("SELECT count(*) FROM item") == 2, 20, "what is in the WAL to arrive")
    assert it.old.value("SELECT count(*) FROM item") == 1 and client.is_alive()  # not even visible on the source
    it.wait_confirmed(it.wait_confirmed(it.confirmed()))  # heartbeats are committed
    it.kill_capture()  # and so is the claim of the next one
    it.wait_running()
    it.wait_confirmed(it.wait_confirmed(it.confirmed()))
    waiting = it.old.sql("SELECT application_name FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
    assert len(waiting) == 1 and "switchback" not in waiting[0][0] and client.is_alive()
    it.old.reload(synchronous_standby_names="")
    client.join(20)
    assert not client.is_alive()
    it.assert_equal()


def test_a_source_whose_commits_would_wait_for_us_is_let_go(pair):  # noqa: F811
    """With `*` in synchronous_standby_names any walsender is a standby, ours too: it would hold up the application."""
    it = pair().run()
    it.insert()
    it.catch_up()
    it.product.ok("pause")
    it.wait_state(APPLY, "waiting")
    it.old.reload(synchronous_standby_names="*")
    held = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND application_name LIKE 'switchback%%'"
    wait_until(lambda: it.old.value(held) == 1 or it.stage(CAPTURE)["state"] == "halted", 20, "us to be a standby")
    report = it.wait_state(CAPTURE, "halted")
    assert report["error"] == "SB-SOURCE-CONFIG" and "synchronous_standby_names" in report["error_text"]
    assert it.old.value("SELECT count(*) FROM pg_stat_replication") == 0
    it.old.reload(synchronous_standby_names="")
    it.product.ok("resume")
    it.wait_running()
    it.insert()
    it.assert_equal()
