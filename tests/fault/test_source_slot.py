"""The slot, the publication or the whole server is not what the migration was prepared on. A halt, by name, and nothing
written or confirmed after it; never a start from somewhere."""

import shutil

import pytest

from source_pair import APPLY, CAPTURE, lsn, pair  # noqa: F401
from sbtest import control
from sbtest.wait import wait_until

KEYED = "switchback_shop_forward_keyed"


def settled(pair, major=15, **options):  # noqa: F811
    """Running, everything applied and confirmed, nothing on its way."""
    it = pair(major, config={"capture": {"heartbeat_interval_ms": 3600000}}, **options).run()
    it.insert(3)
    it.assert_equal()
    wait_until(lambda: it.confirmed() == it.progress(), 20, "all to be confirmed")
    return it


# -- the slot (A9, A10)


def drop(it):
    it.old.sql("SELECT pg_drop_replication_slot(%s)", it.slot)
    it.insert()


def recreate(it):
    drop(it)
    it.old.sql("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", it.slot)


def advance(it):
    before = it.confirmed()
    it.insert(3)
    it.old.sql("SELECT pg_replication_slot_advance(%s, pg_current_wal_insert_lsn())", it.slot)
    assert lsn(it.confirmed()) > lsn(before), "the slot did not move"


def replace(it):
    """By a slot of another plugin."""
    drop(it)
    it.old.sql("SELECT pg_create_logical_replication_slot(%s, 'test_decoding')", it.slot)


@pytest.mark.parametrize("how, ident, major", [
    (drop, "SB-SLOT-LOST", 14), (recreate, "SB-SLOT-MOVED", 14), (advance, "SB-SLOT-MOVED", 15),
    (replace, "SB-SLOT-MOVED", 15), (drop, "SB-SLOT-LOST", 18), (recreate, "SB-SLOT-MOVED", 18),
], ids=lambda value: getattr(value, "__name__", None))
def test_a_slot_that_somebody_touched(pair, how, ident, major):  # noqa: F811
    it = settled(pair, major)
    it.product.stop()
    how(it)
    before = it.effects()
    it.product.run()
    report = it.assert_halted(ident, before)
    assert it.slot in report["error_text"] and "switchback remove" in report["hint"]
    assert it.new.value("SELECT count(*) FROM item") == 3


def test_a_slot_dropped_under_a_running_capture(pair):  # noqa: F811
    """Its backend is ended and the slot is gone before capture is back."""
    it = settled(pair)
    rows = it.items
    wait_until(lambda: drop_running(it), 20, "the slot to be dropped in time")
    before = {**it.effects(), "slots": []}
    it.insert()
    it.assert_halted("SB-SLOT-LOST", before)
    assert it.new.value("SELECT count(*) FROM item") == rows


def drop_running(it):
    """In one session, so that nobody comes between; False if capture was faster."""
    pid = it.walsender()
    with it.old.connect() as session:
        if pid is not None:
            session.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        try:
            session.execute("SELECT pg_drop_replication_slot(%s)", [it.slot])
        except Exception as busy:  # noqa: BLE001
            assert "is active" in str(busy), busy
            return False
    return True


# -- its WAL (A8)


def test_a_slot_that_loses_its_wal_was_called_at_risk_before(pair):  # noqa: F811
    limits = {"max_slot_wal_keep_size": "96MB", "max_wal_size": "32MB", "min_wal_size": "32MB", "wal_keep_size": 0}
    it = settled(pair, old={"settings": limits})
    assert it.status()["slot"]["safe_bytes"] > 64 << 20 and not it.said("SB-SLOT-AT-RISK")
    it.product.ok("pause")
    it.wait_state(APPLY, "waiting")

    def fill():
        it.insert()
        it.old.sql("SELECT pg_switch_wal()")
        it.old.sql("CHECKPOINT")

    def alarmed():
        """One segment of WAL between two looks of the guard."""
        fill()
        keeps = int(it.old.value("SELECT pg_current_wal_insert_lsn() - restart_lsn FROM pg_replication_slots"))
        wait_until(lambda: it.status()["slot"]["retained_bytes"] >= keeps, 20, "the guard to look")
        return it.said("SB-SLOT-AT-RISK")

    wait_until(alarmed, 60, "the alarm")
    status = it.old.value("SELECT wal_status FROM pg_replication_slots")
    assert status != "lost" and it.stage(CAPTURE)["state"] == "running"
    slot = it.status()["slot"]
    assert 0 <= slot["safe_bytes"] < slot["retained_bytes"] and slot["time_to_loss_s"] >= 0, slot
    before = it.effects()
    wait_until(
        lambda: (fill(), it.old.value("SELECT wal_status FROM pg_replication_slots"))[1] == "lost", 60,
        "the server to take the slot's WAL")
    before["slots"] = it.effects()["slots"]
    it.wait_state(CAPTURE, "halted", 60)
    assert it.effects() == before
    it.product.ok("resume")
    wait_until(lambda: applied_all(it), 30, "apply, no longer paused, to apply what the stream holds")
    it.assert_halted("SB-SLOT-LOST", it.effects())


def applied_all(it):
    positions = it.status()["positions"]
    return positions["stored_commit_time"] == positions["applied_commit_time"] is not None


def test_a_slot_that_was_idle_too_long_is_lost(pair):  # noqa: F811
    """PostgreSQL 18 takes slots away that nobody has used."""
    it = settled(pair, 18, old={"settings": {"idle_replication_slot_timeout": "1s"}})
    it.product.stop()
    it.insert()

    def invalidated():
        it.old.sql("CHECKPOINT")
        return it.old.value("SELECT invalidation_reason FROM pg_replication_slots") == "idle_timeout"

    wait_until(invalidated, 30, "the slot to be invalidated", every=0.3)
    before = it.effects()
    it.product.run()
    it.assert_halted("SB-SLOT-LOST", before)


# -- the publication (A34)


@pytest.mark.parametrize("how, major", [("dropped", 14), ("dropped", 18), ("recreated", 15), ("recreated", 18)])
def test_a_publication_dropped_while_capture_runs(pair, how, major):  # noqa: F811
    """The server goes on sending what is left, or nothing: it must not be taken for a source that is quiet."""
    it = settled(pair, major)
    tables = it.old.sql("SELECT tablename FROM pg_publication_tables WHERE pubname = %s", KEYED)
    assert ("item",) in tables
    with it.old.connect() as session:
        session.execute(f"DROP PUBLICATION {KEYED}")
        if how == "recreated":
            session.execute(
                f"CREATE PUBLICATION {KEYED} FOR TABLE item, pair WITH (publish_via_partition_root = true)")
    report = it.wait_state(CAPTURE, "halted", 30)
    before = it.effects()
    it.insert()
    assert it.assert_halted("SB-PUBLICATION", before)["error"] == report["error"] == "SB-PUBLICATION"


def test_a_publication_altered_while_capture_runs(pair):  # noqa: F811
    it = settled(pair)
    it.old.sql(f"ALTER PUBLICATION {KEYED} SET (publish = 'insert, update')")
    it.wait_state(CAPTURE, "halted", 30)
    before = it.effects()
    assert KEYED in it.assert_halted("SB-PUBLICATION", before)["error_text"]


# -- another server or database at the address (A15)


def moved_in(it, other):
    """The other cluster stands at the source's address from now on."""
    it.old.stop()
    other.configure(unix_socket_directories=str(it.old.folder))
    other.start(wait=False)


def twin(it, clusters):
    """The same data, down to our control rows, under another system identifier."""
    it.old.stop()
    other = clusters(15, "other", start=False)
    shutil.rmtree(other.data)
    shutil.copytree(it.old.data, other.data, symlinks=True)
    control.renew_system_identifier(other.data)
    it.old.start()
    it.wait_running()
    return other


def bare(it, clusters):
    """A cluster that never heard of us."""
    return clusters(15, "other", start=False)


@pytest.mark.parametrize("other", [twin, bare], ids=["twin", "bare"])
def test_another_cluster_at_the_address(pair, clusters, other):  # noqa: F811
    it = settled(pair)
    stranger = other(it, clusters)
    it.insert()
    it.assert_equal()
    moved_in(it, stranger)
    wait_until(lambda: it.stage(CAPTURE)["state"] == "halted", 60, "capture to halt", errors=(OSError,))
    before = it.effects()
    it.assert_halted("SB-SOURCE-IDENTITY", before)
    assert it.old.value("SELECT system_identifier FROM pg_control_system()") != it.new.value(
        "SELECT system_identifier FROM pg_control_system()")
    if other is twin:
        assert it.old.value("SELECT epoch FROM switchback.capture") > 0
        assert it.old.value("SELECT active_pid IS NULL FROM pg_replication_slots")


def test_the_two_ports_swapped(pair):  # noqa: F811
    it = settled(pair)
    it.product.stop()
    before = it.effects()
    config = it.product.config
    it.product.configure(source=config["target"], target=config["source"])
    it.product.run()
    report = it.wait_state(CAPTURE, "halted", 30)
    assert report["error"] == "SB-SOURCE-IDENTITY", report
    assert it.effects() == before


def test_another_database_at_the_address(pair):  # noqa: F811
    """A copy of the database under its name: control rows, publications and all."""
    it = settled(pair)
    it.product.stop()
    it.old.sql("ALTER DATABASE postgres RENAME TO gone", db="template1")
    it.old.sql("CREATE DATABASE postgres TEMPLATE gone", db="template1")
    before = it.effects()
    it.product.run()
    assert "oid" in it.assert_halted("SB-SOURCE-IDENTITY", before)["error_text"]
