"""The source comes back with another past: an older backup, or a standby in its place. What was lost there is on the
target; it must be said, never papered over. And a standby that lost nothing is simply gone on with."""

import pytest

from source_pair import CAPTURE, lsn, pair  # noqa: F401
from sbtest import standby as standbys
from sbtest.standby import replayed, written
from sbtest.wait import wait_until


def settled(pair, **options):  # noqa: F811
    it = pair(config={"capture": {"heartbeat_interval_ms": 3600000}}, **options).run()
    it.insert(3)
    return rest(it)


def rest(it):
    """Everything applied and confirmed, nothing on its way."""
    it.assert_equal()
    wait_until(lambda: it.confirmed() == it.progress(), 20, "all to be confirmed")
    return it


# -- an older backup put back (A14)


def test_an_older_backup_put_back_under_a_running_migration(pair):  # noqa: F811
    it = settled(pair)
    it.stop_source("fast")
    it.old.save("backup")
    it.old.start()
    it.wait_running()
    it.insert(5)
    rest(it)
    it.stop_source("fast")
    it.old.put_back("backup")
    it.old.start()
    assert it.old.value("SELECT count(*) FROM item") == 3, "the backup was not put back"
    before = it.effects()
    it.items = 3
    report = it.assert_halted("SB-SOURCE-REWOUND", before)
    assert "new side holds what the old one lost" in report["hint"]
    it.insert()  # the application goes on; nothing of it may reach the target
    it.assert_halted("SB-SOURCE-REWOUND", before)
    assert it.new.value("SELECT count(*) FROM item") == 8


@pytest.mark.parametrize("how", ["other transactions", "the same places, other values"])
def test_an_older_backup_that_has_grown_past_us(pair, how):  # noqa: F811
    it = settled(pair)
    it.product.stop()
    it.stop_source("fast")
    it.old.save("backup")
    it.old.start()
    it.product.run()
    it.wait_running()
    it.insert(5, "one")
    rest(it)
    it.product.stop()
    it.stop_source("fast")
    it.old.put_back("backup")
    it.old.start()
    if how == "other transactions":
        it.items += 100
        it.insert(40)
    else:
        it.items = 3
        it.insert(5, "two")
        it.insert(40)
    assert lsn(it.old.value("SELECT pg_current_wal_insert_lsn()::text")) > lsn(it.progress()), "it has not grown past ours"
    before = it.effects()
    it.product.run()
    it.assert_halted("SB-SOURCE-REWOUND", before)
    assert it.new.value("SELECT count(*) FROM item") == 8


def test_a_backup_that_lost_nothing_is_gone_on_with(pair):  # noqa: F811
    """Restored to the very end: nothing was lost, so nothing is wrong."""
    it = settled(pair)
    it.stop_source("fast")
    it.old.save("backup")
    it.old.put_back("backup")
    it.old.start()
    it.wait_running()
    it.insert(3)
    it.assert_equal()


def test_a_backup_from_before_prepare(pair):  # noqa: F811
    """It knows nothing of us. To prepare it as if nothing had been would skip what lies between."""
    it = settled(pair)
    it.product.stop()
    it.old.sql("SELECT pg_drop_replication_slot(%s)", it.slot)
    it.old.sql("DROP SCHEMA switchback CASCADE")
    it.old.sql(f"DROP PUBLICATION {it.slot}_keyed, {it.slot}_keyless")
    before = it.effects()
    it.product.run()
    assert "restored" in it.assert_halted("SB-SOURCE-REWOUND", before)["error_text"]


# -- a standby in its place (A11 to A13)


def standby_of(it, clusters, slots, **settings):
    it.stop_source("fast")
    return standbys.standby_of(it.old, clusters, slots, it.wait_running, **settings)


def take_over(it, standby):
    it.old = it.product.old = standbys.take_over(it.old, standby)


def test_a_standby_without_the_slot_takes_over(pair, clusters):  # noqa: F811
    it = settled(pair)
    standby = standby_of(it, clusters, slots=False)
    it.insert(3)
    rest(it)
    wait_until(lambda: replayed(standby) >= written(it.old), 30, "the standby to follow")
    it.stop_source("fast")
    take_over(it, standby)
    assert it.old.sql("SELECT slot_name FROM pg_replication_slots") == []
    before = it.effects()
    report = it.assert_halted("SB-SLOT-LOST", before)
    assert "switchback remove" in report["hint"] and "switchback prepare" in report["hint"]


def test_a_standby_with_the_slot_that_lost_nothing_takes_over(pair, clusters):  # noqa: F811
    it = settled(pair)
    standby = standby_of(it, clusters, slots=True)
    it.insert(3)
    rest(it)
    it.stop_source("fast")  # a fast stop waits until the standby has everything
    behind = lsn(standby.value("SELECT confirmed_flush_lsn::text FROM pg_replication_slots"))
    assert behind < lsn(it.progress()), "its slot is not behind: this test does not show what it is for"
    take_over(it, standby)
    it.wait_running()
    it.insert(3)
    it.assert_equal()
    it.product.ok("stream", "verify")


def test_a_standby_with_a_failover_slot_takes_over(pair, clusters):  # noqa: F811
    """PostgreSQL 17 and later keep the slot on a standby themselves, a little behind."""
    it = settled(pair, major=18)
    assert it.old.value("SELECT failover FROM pg_replication_slots WHERE slot_name = %s", it.slot)
    it.old.sql("SELECT pg_create_physical_replication_slot('standby', true)")
    standby = standby_of(
        it, clusters, slots=False, primary_slot_name="standby", hot_standby_feedback="on", sync_replication_slots="on")

    def synced():
        it.insert()  # the slot must move for the standby to take it over
        it.old.sql("CHECKPOINT")
        return standby.sql("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s AND synced AND NOT temporary", it.slot)

    wait_until(synced, 60, "the standby to have the slot", every=0.2)
    it.insert(5)
    rest(it)
    it.stop_source("fast")
    take_over(it, standby)
    it.wait_running()
    it.insert(3)
    it.assert_equal()
    it.product.ok("stream", "verify")


@pytest.mark.parametrize("grown", [False, True], ids=["shorter", "grown past us"])
def test_a_standby_with_the_slot_that_lost_commits_takes_over(pair, clusters, grown):  # noqa: F811
    it = settled(pair)
    standby = standby_of(it, clusters, slots=True)
    standby.stop("fast")
    it.insert(5)
    rest(it)
    it.product.stop()
    it.stop_source("fast")
    standby.configure(primary_conninfo="")
    standby.start()
    take_over(it, standby)
    assert it.old.value("SELECT count(*) FROM item") == 3, "it has lost nothing"
    if grown:
        it.items = 100
        it.insert(60)
        assert written(it.old) > lsn(it.progress())
    before = it.effects()
    it.product.run()
    it.assert_halted("SB-SOURCE-REWOUND", before)
    assert it.new.value("SELECT count(*) FROM item") == 8


def test_a_standby_that_is_not_promoted_is_waited_for(pair, clusters):  # noqa: F811
    """The address moved before the promotion: nothing is wrong, it takes a moment."""
    it = settled(pair)
    standby = standby_of(it, clusters, slots=True)
    it.insert(3)
    rest(it)
    it.stop_source("fast")
    standby.stop("fast")
    standby.configure(unix_socket_directories=str(it.old.folder), primary_conninfo="")
    standby.folder = it.old.folder
    it.old = it.product.old = standby
    it.old.start()
    wait_until(lambda: "standby" in (it.stage(CAPTURE)["error_text"] or ""), 30, "capture to see a standby")
    assert it.old.value("SELECT pg_is_in_recovery()")
    assert it.wait_error(CAPTURE, "SB-SOURCE-UNAVAILABLE")
    assert it.old.value("SELECT pg_promote(true, 60)")
    it.wait_running()
    it.insert(3)
    it.assert_equal()
