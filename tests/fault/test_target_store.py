"""The embedded store has no room, or its disk fails: capture waits and says so, or ends and recovers; the source keeps
what is not stored, and nothing is lost or doubled."""

import shutil

import pytest
from target_pair import Pair

from sbtest import need, process
from sbtest.wait import wait_until


@pytest.fixture
def pair(clusters, switchback):
    def make(**options):
        return Pair(clusters, switchback, **options)

    return make


class Failing:
    """System calls of one process on the store fail, for as long as the block lasts."""

    def __init__(self, it, pid, call, error):
        tool = shutil.which("strace") or need.missing("strace is not installed")
        self.log = it.product.folder / "strace.log"
        path = f"{it.product.config['state_dir']}/forward.db"
        self.process = process.Process(
            [tool, "-f", "-o", self.log, "-P", path, "-P", f"{path}-wal", "-e", f"trace={call}", "-e", f"inject={call}:error={error}", "-p", pid],
            it.product.folder / "strace.out",
        )
        traced = f"/proc/{pid}/status"
        wait_until(lambda: "TracerPid:\t0\n" not in open(traced).read(), 10, "strace to attach")

    def happened(self):
        return self.log.exists() and "(INJECTED)" in self.log.read_text()

    def end(self):
        self.process.kill9()


def test_a_store_at_its_limit_holds_capture_back_until_apply_has_made_room(pair):
    it = pair(config={"stream": {"retention_max_bytes": 1 << 24}})
    run = it.product.run()
    it.write(3)
    it.wait_caught_up()
    it.product.ok("pause")
    it.product.wait_state("apply-forward", "waiting")
    # Many transactions: those that are applied can be released, those behind them take their room.
    with it.old.connect() as session:
        for part in range(16):
            session.execute(
                "INSERT INTO part SELECT g, repeat(md5(g::text), 20) FROM generate_series(%s::int * 2000 + 100, %s::int * 2000 + 2099) g", (part, part))
    report = it.product.wait_state("capture-forward", "waiting", 40)
    assert report["error"] == "SB-STREAM-FULL" and report["hint"], report
    assert "stream.retention_max_bytes" in it.product.verb("status").out, "what to do is not said"
    stored = it.product.status()["directions"][0]["positions"]["stored_lsn"]
    kept = it.old.value("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn) FROM pg_replication_slots")
    assert kept > 1 << 24, "the source does not keep its WAL"
    size = sum(file.stat().st_size for file in it.product.folder.glob("state/forward.db*"))
    assert size < 3 << 24, f"the limit is 16 MiB, the store takes {size}"
    it.product.ok("resume")
    it.wait_caught_up(120)
    it.assert_equal()
    assert it.product.status()["directions"][0]["positions"]["stored_lsn"] != stored
    assert it.product.wait_state("capture-forward", "running")["error"] is None
    assert run.stop() == 0


def test_a_disk_without_room_is_full_and_then_goes_on(pair):
    it = pair()
    it.product.run()
    it.write(3)
    it.wait_caught_up()
    failing = Failing(it, it.product.pid("capture-forward"), "pwrite64", "ENOSPC")
    it.write(3)
    report = it.product.wait_state("capture-forward", "backoff", 30)
    assert failing.happened() and report["error"] == "SB-STREAM-FULL", report
    before = it.content()
    failing.end()
    it.wait_caught_up()
    assert it.content() != before
    it.assert_equal()


@pytest.mark.parametrize("call, error", [("pwrite64", "EIO"), ("pwrite64", "EROFS"), ("fdatasync", "EIO")])
def test_a_disk_that_fails_ends_capture_which_recovers(pair, call, error):
    """Above all: a flush that failed is never repeated and then believed."""
    it = pair()
    it.product.run()
    it.write(3)
    it.wait_caught_up()
    pid = it.product.pid("capture-forward")
    failing = Failing(it, pid, call, error)
    confirmed = it.old.value("SELECT confirmed_flush_lsn::text FROM pg_replication_slots")
    it.write(3)
    wait_until(lambda: not process.alive(pid), 30, "capture to end")
    assert failing.happened() and it.product.log_contains("SB-STREAM-IO")
    assert it.old.value("SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots", confirmed)
    failing.end()
    it.wait_caught_up()
    it.assert_equal()
    assert it.product.verb("stream", "verify").code == 0
