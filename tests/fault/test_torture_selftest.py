"""The torture's checkers can fail: each invariant is violated on purpose, and the checker that looks live must see it.

The load runs on one database; copies of it play the target. A copy is what a target without a fault would be."""

import signal
import sqlite3
import subprocess
import sys

import pytest

import torture
from sbtest import invariants, load, logproof, need, process, product
from sbtest.journal import Told
from sbtest.wait import wait_until

UUID = "0f3c5a52-9f6e-4a35-8d83-6a3a4b6f2d10"
PROGRESS = """
CREATE SCHEMA switchback;
CREATE TABLE switchback.progress AS SELECT pg_current_wal_insert_lsn() AS commit_lsn;
"""
GONE = "".join(f"DELETE FROM {table} WHERE {column} = {{}};" for table, column in [
    ("tx", "id"), ("part_a", "tx"), ("part_b", "tx"), ("pulse", "tx")])
THERE = (
    "INSERT INTO tx VALUES ({0}, 1, 1); INSERT INTO part_a VALUES ({0}, 0); INSERT INTO part_b VALUES (0, {0}, 'b');"
    "INSERT INTO pulse VALUES ({0})"
)
# What is planted, and who must see it. {newest}, {first}: acknowledged; {aborted}: rolled back.
PLANTS = {
    "a wrong sum": ("I1", "UPDATE bank SET balance = balance + 1 WHERE id = 1"),
    "a lost transfer": ("I1", "UPDATE bank SET balance = balance - 7, version = version + 1 WHERE id = 2"),
    "a version goes down": ("I2", "UPDATE bank SET version = version - 1 WHERE id = 3"),
    "a row with a version is lost": ("I2", "DELETE FROM bank WHERE id = 3"),
    "a guarded version goes down": (
        "I2", "SET session_replication_role = replica; UPDATE guarded SET version = -1 WHERE id = 1"),
    "progress goes back": ("I2", "UPDATE switchback.progress SET commit_lsn = commit_lsn - 1"),
    "the newest transaction is lost": ("I3", GONE.replace("{}", "{newest}")),
    "an aborted transaction is there": ("I4", THERE.replace("{0}", "{aborted}")),
    "a transaction that nobody ran": ("I4", THERE.replace("{0}", "77")),
    "a keyless row is doubled": ("I5", "INSERT INTO pulse VALUES ({first})"),
    "a keyless row is lost": ("I6", "DELETE FROM pulse WHERE ctid IN (SELECT ctid FROM pulse LIMIT 1)"),
    "a transaction is torn": ("I6", "DELETE FROM part_b WHERE (tx, n) IN (SELECT tx, n FROM part_b LIMIT 1)"),
    "a row of a savepoint that was rolled back": (
        "I6", f"INSERT INTO part_a VALUES ({{first}}, {load.ABORTED_PART})"),
    "only the first row of a transaction": ("I6", "INSERT INTO tx VALUES (77, 1, 1)"),
    "a hole in the history": ("I7", GONE.replace("{}", "{first}")),
    "a hole in the list": ("I7", "DELETE FROM list WHERE n = 2"),
    "the list without its head": ("I7", "UPDATE list_head SET n = n + 1"),
}


def played(cluster, folder):
    """Run the load for a while: a database `replica` with what a target would have, and the journals."""
    cluster.create_db("replica")
    cluster.sql(load.TABLES, db="replica")
    told = Told(folder)
    words = [sys.executable, "-m", "sbtest.load", cluster.dsn("replica"), folder, 5, 3, 5]
    running = process.Process(words, folder / "load.log")
    enough = {"acknowledged": 150, "rolled back": 3}

    def played_enough():
        assert running.running(), process.tail(folder / "load.log")
        told.read()
        return len(told.ok) >= enough["acknowledged"] and len(told.failed) >= enough["rolled back"]

    wait_until(played_enough, 60, f"the load to have {enough}")
    running.signal(signal.SIGTERM)
    assert running.wait(30) == 0, process.tail(folder / "load.log")
    cluster.sql(load.WATCH + PROGRESS, db="replica")
    return told.read()


@pytest.fixture(scope="module")
def stage(workspace):
    """A cluster with the database `replica`, and the folder of the journals."""
    from sbtest.servers import Cluster

    folder = workspace / "selftest"
    folder.mkdir()
    cluster = Cluster(folder, 15, "pg", settings=torture.OLD).start()
    try:
        yield cluster, played(cluster, folder), folder
    finally:
        cluster.close()


class Live:
    """A copy of the replica, watched."""

    def __init__(self, stage, name):
        self.cluster, told, folder = stage
        self.db = name
        self.cluster.sql(f'CREATE DATABASE "{name}" TEMPLATE replica')
        self.findings = invariants.Findings()
        self.watcher = invariants.TargetWatcher(self.findings, self.cluster, Told(folder), db=name)

    def __enter__(self):
        self.watcher.start()
        self.passes(2)
        self.findings.check()
        return self

    def passes(self, count):
        before = self.watcher.passes
        wait_until(lambda: self.watcher.passes >= before + count or self.findings.all(), 30, "the checker to look")

    def __exit__(self, *_):
        self.watcher.stop()
        self.cluster.sql(f'DROP DATABASE "{self.db}"')


def test_nothing_is_found_where_nothing_is_wrong(stage):
    with Live(stage, "control") as live:
        live.passes(5)
        live.findings.check()
        assert live.watcher.judge.judged >= 5


@pytest.mark.parametrize("what", PLANTS)
def test_a_planted_violation_is_seen_live(stage, what):
    invariant, statement = PLANTS[what]
    told = stage[1]
    ran = told.clients["client-1"]
    acknowledged = [ident for ident in ran if ident in told.ok]
    with Live(stage, "planted") as live:
        live.cluster.sql(
            statement.format(first=acknowledged[0], newest=acknowledged[-1], aborted=min(told.failed)), db="planted")
        wait_until(lambda: invariant in live.findings.names(), 30, f"{invariant} to be found for {what}")


def test_a_crash_of_the_target_may_take_back_what_was_not_on_disk(stage):
    cluster, told, folder = stage
    with cluster.connect("replica") as session:
        later = invariants.take_picture(session)
    (ident, (balance, version)), *_ = later.bank.items()
    earlier = later._replace(bank={**later.bank, ident: (balance, version + 1)})
    for server, expected in ((later.server, {"I2"}), ("another start", set())):
        judge = invariants.Judge(invariants.Findings())
        judge.see(earlier._replace(server=server), told)
        judge.see(later, told)
        assert judge.findings.names() == expected


def test_unknown_transactions_must_agree(stage):
    told = Told(stage[2])
    told.ok, told.unknown = {1, 2}, {3, 4}
    assert invariants.unknown_agree({1, 2, 3}, {1, 2, 3}, told) == []
    assert len(invariants.unknown_agree({1, 2, 3}, {1, 2, 4}, told)) == 2
    assert invariants.lost_at_source({1, 2}, told) == [] != invariants.lost_at_source({1}, told)


def test_a_slot_that_runs_ahead_is_seen(stage):
    cluster = stage[0]
    cluster.sql(PROGRESS)
    cluster.sql("SELECT pg_create_logical_replication_slot('ahead', 'pgoutput')")
    findings = invariants.Findings()
    watcher = invariants.SlotWatcher(findings, cluster, cluster)
    watcher.start()
    try:
        wait_until(lambda: watcher.passes > 3, 30, "the sampler to look")
        findings.check()
        cluster.sql("SELECT pg_logical_emit_message(true, 'test', 'x')")
        cluster.sql("SELECT pg_replication_slot_advance('ahead', pg_current_wal_insert_lsn())")
        wait_until(lambda: findings.names() == {"I10"}, 30, "the sampler to see the slot ahead")
    finally:
        watcher.stop()
        cluster.sql("SELECT pg_drop_replication_slot('ahead')")
        cluster.sql("DROP SCHEMA switchback CASCADE")


def test_the_slot_may_stand_where_it_began_before_anything_is_applied():
    assert invariants.slot_ahead(confirmed=100, progress=0, first=100) is None
    assert invariants.slot_ahead(confirmed=101, progress=0, first=100)
    assert invariants.slot_ahead(confirmed=200, progress=200, first=100) is None


@pytest.mark.parametrize("line", ['ts=1 level=error msg="x" error=SB-CONFLICT', "ERROR: AddressSanitizer: heap-use-after-free"])
def test_a_stage_that_halts_is_seen(place, line):
    log, findings = place / "log", invariants.Findings()
    log.write_text('ts=1 level=warning msg="no finding"\nts=1 level=error error=SB-EPOCH-STALE\n')
    watcher = invariants.WordsWatcher(findings, log)
    watcher.look()
    findings.check()
    with open(log, "a") as file:
        file.write(line)
        file.flush()
        watcher.look()
        assert not findings.all(), "half a line was judged"
        file.write("\n")
    watcher.look()
    assert findings.names() == {"I13"}


def test_a_checker_that_fails_is_itself_a_finding():
    class Broken(invariants.Watcher):
        def look(self):
            raise KeyError("x")

    findings = invariants.Findings()
    broken = Broken(findings)
    broken.start()
    wait_until(findings.all, 10, "the failure to be reported")
    broken.stop()
    assert findings.names() == {"checker"}


# -- the log


@pytest.fixture
def log(place):
    writer = product.BUILD / "tests/integration/log_writer"
    if not writer.exists():
        need.missing(f"{writer} is not built")
    path = place / "forward.db"
    subprocess.run([writer, path, UUID, "small"], check=True, timeout=60)
    return path


def sentences(path):
    proof, source = logproof.Proof(), logproof.File(path)
    found = [sentence for offset, frame, body in source.more() for sentence in proof.take(offset, frame, body)]
    source.close()
    return found, proof


def test_a_whole_log_is_whole(log):
    found, proof = sentences(log)
    assert found == []
    assert len(proof.commits) == 10 and proof.epochs == 2 and proof.again == 1 and proof.dropped == 1


def rewrite(frame, **fields):
    """A frame with other fields, and with the checksum that belongs to it."""
    changed = logproof.Frame(*logproof.FRAME.unpack(frame))._replace(**fields)
    raw = logproof.FRAME.pack(*changed)[:104]
    return raw + logproof.Hashes().h64(raw).to_bytes(8, "big")


def of_kind(db, kind, which):
    rows = [row for row in db.execute("SELECT position, frame, body FROM record ORDER BY position") if row[1][4] == kind]
    return rows[which]


def damage_gap(db):
    db.execute("DELETE FROM record WHERE position = ?", of_kind(db, logproof.CHANGE, 2)[:1])


def damage_lost_commit(db):
    db.execute("DELETE FROM record WHERE position = ?", of_kind(db, logproof.COMMIT, 1)[:1])


def damage_swapped(db):
    one, other = of_kind(db, logproof.CHANGE, 0), of_kind(db, logproof.CHANGE, 1)
    for (position, _, _), (_, frame, body) in ((one, other), (other, one)):
        db.execute("UPDATE record SET frame = ?, body = ? WHERE position = ?", (frame, body, position))


def damage_body(db):
    position, _, body = of_kind(db, logproof.CHANGE, 1)
    db.execute("UPDATE record SET body = ? WHERE position = ?", (body[:-1] + bytes([body[-1] ^ 1]), position))


def damage_frame(db):
    position, frame, _ = of_kind(db, logproof.CHANGE, 1)
    db.execute("UPDATE record SET frame = ? WHERE position = ?", (frame[:70] + b"\1" + frame[71:], position))


def damage_commit(db):
    """A commit that says something else, with checksums that fit: only the chain can tell."""
    position, frame, body = of_kind(db, logproof.COMMIT, 2)
    body = body[:-20] + bytes([body[-20] ^ 1]) + body[-19:]
    frame = rewrite(frame, body_hash=logproof.Hashes().h64(body))
    db.execute("UPDATE record SET frame = ?, body = ? WHERE position = ?", (frame, body, position))


def damage_order(db):
    """One change left out, and the sequence made gapless again: only ordinals and counts can tell."""
    gone = of_kind(db, logproof.CHANGE, 2)[0]
    db.execute("DELETE FROM record WHERE position = ?", (gone,))
    for position, frame, _ in db.execute("SELECT position, frame, body FROM record WHERE position > ?", (gone,)).fetchall():
        fields = logproof.Frame(*logproof.FRAME.unpack(frame))
        db.execute("UPDATE record SET frame = ? WHERE position = ?", (rewrite(frame, sequence=fields.sequence - 1), position))


def damage_foreign(db):
    position, frame, _ = of_kind(db, logproof.CHANGE, 3)
    db.execute("UPDATE record SET frame = ? WHERE position = ?", (rewrite(frame, stream=bytes(16)), position))


def damage_open(db):
    db.execute("DELETE FROM record WHERE position = ?", of_kind(db, logproof.OPEN, 1)[:1])


@pytest.mark.parametrize("damage", [
    damage_gap, damage_lost_commit, damage_swapped, damage_body, damage_frame, damage_commit, damage_order, damage_foreign,
    damage_open,
])
def test_a_damaged_log_is_seen(log, damage):
    with sqlite3.connect(log) as db:
        damage(db)
    found, _ = sentences(log)
    assert found != [], f"{damage.__name__} was not noticed"


# -- the torture itself


@pytest.mark.parametrize("store", ["embedded", "kafka"])
def test_points_are_found(store):
    """A renamed folder must not leave the torture without points; nor may it try those of other verbs."""
    found = torture.points(store)
    assert {"capture-after-append", "capture-before-claim", "apply-after-commit", "apply-exact-change"} <= set(found)
    assert not any(name.startswith("setup-") or "rogue" in name for name in found)
    assert ("stream-before-commit" in found) == (store == "embedded")
