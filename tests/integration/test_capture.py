"""The capture stage alone, on real servers: what docs/CAPTURE.md promises, tried to break. Apply is played by the
test, which moves the progress row as apply would."""

import json
import os
import shutil
import signal
import sqlite3
import time

import pytest

from sbtest.wait import wait_until

MAJORS = [14, 15, 16, 17, 18]
FOLLOWS = 'msg="capture follows"'
TABLES = [
    "CREATE TABLE item (id int PRIMARY KEY, note text)",
    "CREATE TABLE log (at int, what text)",
    "CREATE TABLE pair (a int, b text)",
    "ALTER TABLE pair REPLICA IDENTITY FULL",
]


def lsn(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


class Rig:
    """Two prepared servers and a capture between them."""

    def __init__(self, clusters, switchback, major=15, settings=None, fsync=False, stream=None, **capture):
        self.old = clusters(major, "old", settings=settings, fsync=fsync)
        self.new = clusters(major, "new")
        for cluster in (self.old, self.new):
            for statement in TABLES:
                cluster.sql(statement)
        capture = {"heartbeat_interval_ms": 300, "feedback_interval_ms": 50, **capture}
        self.product = switchback(self.old, self.new, config={"capture": capture, "stream": stream or {}})
        self.product.ok("prepare")
        self.started = 0
        self.items = 0

    # -- capture

    def start(self, fault=None):
        """A capture process; does not wait."""
        self.started = self.follows()
        return self.product.start("capture", fault=fault)

    def follows(self):
        return self.product.log.read_text().count(FOLLOWS)

    def wait_follows(self, timeout=30):
        wait_until(lambda: self.follows() > self.started, timeout, "capture to follow")

    def follow(self, fault=None):
        stage = self.start(fault)
        self.wait_follows()
        return stage

    def halts(self, ident, timeout=30):
        """Start capture; it must halt with this error (or retry with it)."""
        seen = self.product.log.read_text().count(ident)
        stage = self.start()
        wait_until(lambda: self.product.log.read_text().count(ident) > seen, timeout, f"capture to say {ident}")
        return stage

    # -- source

    def insert(self, count=1):
        for _ in range(count):
            self.items += 1
            self.old.sql("INSERT INTO item VALUES (%s, 'x')", self.items)

    def confirmed(self):
        return self.old.value("SELECT confirmed_flush_lsn::text FROM pg_replication_slots")

    def wait_confirmed(self, past, timeout=20):
        return wait_until(
            lambda: (now := self.confirmed()) and lsn(now) > lsn(past) and now, timeout, f"the slot to pass {past}")

    def catch_up(self, timeout=30):
        """Until everything committed before this call is durable in the stream."""
        before = self.old.value("SELECT pg_current_wal_insert_lsn()::text")
        self.old.sql("SELECT pg_logical_emit_message(true, 'test', '')")
        wait_until(lambda: any(lsn(one["commit_lsn"]) >= lsn(before) for one in self.commits()), timeout, "the stream")

    # -- stream

    def records(self):
        """What `stream show` shows; retention may take its beginning away meanwhile."""

        def show():
            done = self.product.verb("stream", "show")
            return done if done.code == 0 else None

        return [json.loads(line) for line in wait_until(show, 20, "stream show").out.splitlines()]

    def kinds(self):
        return [record["kind"] for record in self.records()]

    def commits(self):
        return [record for record in self.records() if record["kind"] == "commit"]

    def changes(self, table="public.item"):
        return [one for one in self.records() if one["kind"] == "change" and one.get("table") == table]

    def whole_changes(self):
        """Of transactions that have their commit record: a crash may leave the beginning of one, which is sent again."""
        whole = {(one["epoch"], one["commit_lsn"]) for one in self.commits()}
        return [one for one in self.changes() if (one["epoch"], one["commit_lsn"]) in whole]

    def verify(self):
        return self.product.ok("stream", "verify", "--json").json()

    def cut(self, where, control=False):
        """Damage the store: records are lost, and the control table if asked for."""
        with sqlite3.connect(self.product.folder / "state/forward.db") as store:
            store.execute(f"DELETE FROM record WHERE {where}")
            if control:
                store.execute("DELETE FROM control")

    # -- target

    def applied(self, commit):
        """The target has applied everything up to this commit."""
        self.new.sql(
            "UPDATE switchback.progress SET epoch = %s, sequence = %s, timeline = %s, commit_lsn = %s,"
            " chain = decode(%s, 'hex'), stream_offset = %s",
            commit["epoch"], commit["sequence"], commit["timeline"], commit["commit_lsn"], commit["chain"],
            commit["offset"] + 1,
        )


@pytest.fixture
def rig(clusters, switchback):
    return lambda *args, **options: Rig(clusters, switchback, *args, **options)


# -- what is recorded


@pytest.mark.parametrize("major", MAJORS)
def test_everything_is_recorded_once_over_a_restart(rig, major):
    it = rig(major)
    stage = it.follow()
    it.insert(5)
    it.old.sql("UPDATE item SET note = 'y' WHERE id = 3")
    it.old.sql("INSERT INTO log VALUES (1, 'a'), (1, 'a')")
    it.old.sql("INSERT INTO pair VALUES (1, 'a')")
    it.old.sql("UPDATE pair SET b = 'b'")
    it.old.sql("TRUNCATE item, pair")
    it.catch_up()
    assert stage.stop() == 0
    before = it.commits()
    assert it.kinds().count("schema") == 3 and it.kinds().count("change") == 11
    it.follow()
    it.insert()
    it.catch_up()
    after = it.commits()
    assert after[: len(before)] == before
    positions = [lsn(one["commit_lsn"]) for one in after]
    assert positions == sorted(set(positions))
    assert it.verify()["epochs"] == 2


def test_our_own_transactions_are_dropped_and_strangers_are_not(rig):
    it = rig()
    it.follow()
    for number, name in enumerate(["switchback_shop_reverse", "elsewhere"]):
        it.old.sql("SELECT pg_replication_origin_create(%s)", name)
        with it.old.connect() as session:
            session.execute("SELECT pg_replication_origin_session_setup(%s)", [name])
            session.execute("INSERT INTO item VALUES (%s, %s)", [number, name])
    it.catch_up()
    assert [one["after"]["note"] for one in it.changes()] == ["elsewhere"]


def test_a_row_larger_than_the_store_takes_travels_in_parts(rig):
    it = rig()
    stage = it.follow()
    it.old.sql("INSERT INTO item VALUES (1, repeat('0123456789', 4000000))")
    it.catch_up()
    assert it.changes()[0]["after"]["note"] == "0123456789" * 4000000
    stage.stop()
    it.follow()


# -- what is confirmed


def test_ack_target_confirms_nothing_that_is_not_applied(rig):
    it = rig()
    it.follow()
    start = it.confirmed()
    it.insert(3)
    it.catch_up()
    commits = it.commits()
    assert it.confirmed() == start
    it.applied(commits[1])
    assert it.wait_confirmed(start) == commits[1]["commit_lsn"]
    it.catch_up()
    assert it.confirmed() == commits[1]["commit_lsn"]


def test_the_heartbeat_moves_the_slot_of_an_idle_source(rig):
    it = rig(ack="stream")
    it.follow()
    first = it.wait_confirmed(it.confirmed())
    second = it.wait_confirmed(first)
    assert {first, second} <= {one["commit_lsn"] for one in it.commits()}  # starts of commits, never ends


def test_the_heartbeat_does_not_wait_for_a_dead_standby(rig):
    it = rig(ack="stream")
    it.old.reload(synchronous_standby_names="nobody")
    it.follow()
    it.wait_confirmed(it.wait_confirmed(it.confirmed()))


def test_capture_goes_on_without_the_target(rig):
    it = rig()
    it.new.stop("immediate")
    it.follow()
    it.insert()
    it.catch_up()
    it.new.start()
    it.product.wait_log("the target is back")
    it.applied(it.commits()[0])
    it.wait_confirmed("0/1")


def test_a_target_with_another_history_is_never_confirmed(rig):
    it = rig()
    it.follow()
    it.insert()
    it.catch_up()
    start = it.confirmed()
    it.applied({**it.commits()[0], "chain": "00" * 16})
    it.product.wait_log("SB-SOURCE-REWOUND")
    assert it.confirmed() == start


def test_the_progress_row_of_another_stream_halts(rig):
    it = rig()
    it.new.sql("UPDATE switchback.progress SET stream_uuid = gen_random_uuid()")
    it.halts("SB-PROGRESS-LOST")


# -- the source goes away


@pytest.mark.parametrize("target", ["up", "down"])
@pytest.mark.parametrize("mode", ["smart", "fast"])
def test_a_stop_of_the_source_never_waits_for_us(rig, mode, target):
    it = rig()
    it.follow()
    it.insert()
    it.catch_up()
    if target == "down":
        it.new.stop("immediate")
    it.started = it.follows()
    it.old.stop(mode, timeout=15)
    it.old.start()
    it.wait_follows()
    it.insert()
    it.catch_up()


def test_a_smart_stop_of_the_target_never_waits_for_us(rig):
    it = rig()
    it.follow()
    it.new.stop("smart", timeout=15)


def test_crashes_of_the_source_lose_and_repeat_nothing(rig):
    it = rig(fsync=True, ack="stream")
    it.follow()
    for _ in range(3):
        it.insert(10)
        it.started = it.follows()
        it.old.crash_and_recover()
        it.wait_follows()
    it.catch_up()
    assert sorted(int(one["after"]["id"]) for one in it.whole_changes()) == list(range(1, 31))
    it.verify()


def test_sigterm_flushes_and_confirms(rig):
    it = rig(ack="stream", heartbeat_interval_ms=3600000, feedback_interval_ms=20000)
    stage = it.follow()
    it.insert(3)
    it.catch_up()
    began = time.monotonic()
    assert stage.stop() == 0
    assert time.monotonic() - began < 10
    assert it.confirmed() == it.commits()[-1]["commit_lsn"]


# -- the source is not what it was


@pytest.mark.parametrize("grown", [False, True], ids=["shorter", "grown past ours"])
def test_a_restored_source_does_not_pass(rig, grown):
    it = rig(ack="stream")
    stage = it.follow()
    it.insert()
    it.wait_confirmed(it.confirmed())
    stage.stop()
    it.old.stop()
    it.old.save("backup")
    it.old.start()
    stage = it.follow()
    it.insert(5)
    it.catch_up()
    stage.stop()
    it.old.stop()
    it.old.put_back("backup")
    it.old.start()
    if grown:
        it.items = 100
        it.insert(30)
    it.halts("SB-SOURCE-REWOUND")


def test_another_cluster_behind_the_address_does_not_pass(rig, clusters):
    it = rig()
    other = clusters(15, "other")
    columns = (
        "migration, direction, lane, stream_uuid, target_uuid, system_identifier, database_oid, slot, start_lsn,"
        " publication_oid, publication_keyless_oid"
    )
    it.product.configure(source={"dsn": other.dsn()})
    it.halts("SB-NOT-PREPARED")
    row = it.old.sql(f"SELECT {columns} FROM switchback.capture")[0]
    other.sql("CREATE SCHEMA switchback")
    other.sql("CREATE TABLE switchback.identity AS SELECT gen_random_uuid() AS uuid, 1 AS format")
    other.sql(
        "CREATE TABLE switchback.capture (migration text, direction text, lane int, stream_uuid uuid, target_uuid uuid,"
        " system_identifier numeric, database_oid oid, slot text, start_lsn pg_lsn, publication_oid oid,"
        " publication_keyless_oid oid, epoch bigint DEFAULT 0, incarnation uuid, claimed_at timestamptz)"
    )
    other.sql(f"INSERT INTO switchback.capture ({columns}) VALUES ({', '.join(['%s'] * 11)})", *row)
    it.halts("SB-SOURCE-IDENTITY")


def test_a_publication_made_anew_does_not_pass(rig):
    it = rig()
    name = it.old.value("SELECT pubname FROM pg_publication WHERE pubname LIKE '%keyed'")
    it.old.sql(f'DROP PUBLICATION "{name}"')
    it.old.sql(f'CREATE PUBLICATION "{name}" FOR TABLE item')
    it.halts("SB-PUBLICATION")


# -- the slot is not what it was


def moved_slot(rig, how):
    it = rig(ack="stream")
    stage = it.follow()
    it.wait_confirmed(it.confirmed())
    stage.stop()
    name = it.old.value("SELECT slot_name FROM pg_replication_slots")
    if how == "advanced":
        it.insert()
        it.old.sql("SELECT pg_replication_slot_advance(%s, pg_current_wal_insert_lsn())", name)
        return it
    it.old.sql("SELECT pg_drop_replication_slot(%s)", name)
    it.insert()
    if how == "recreated":
        it.old.sql("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", name)
    return it


@pytest.mark.parametrize("how, ident", [
    ("dropped", "SB-SLOT-LOST"), ("recreated", "SB-SLOT-MOVED"), ("advanced", "SB-SLOT-MOVED")])
def test_a_slot_that_somebody_touched_does_not_pass(rig, how, ident):
    moved_slot(rig, how).halts(ident)


def test_a_slot_advanced_inside_what_was_captured_does_not_pass(rig):
    it = rig()  # ack: target, so that the slot stays behind
    stage = it.follow()
    it.insert(3)
    middle = it.old.value("SELECT pg_current_wal_insert_lsn()::text")
    it.insert(3)
    it.catch_up()
    stage.stop()
    name = it.old.value("SELECT slot_name FROM pg_replication_slots")
    it.old.sql("SELECT pg_replication_slot_advance(%s, %s)", name, middle)
    it.halts("SB-SLOT-MOVED")


def test_a_slot_that_lost_its_wal_does_not_pass(rig):
    it = rig(settings={"max_slot_wal_keep_size": "16MB", "max_wal_size": "32MB", "wal_keep_size": 0})
    it.follow().stop()
    for _ in range(6):
        it.old.sql("SELECT pg_switch_wal()")
        it.insert()
        it.old.sql("CHECKPOINT")
    assert it.old.value("SELECT wal_status FROM pg_replication_slots") == "lost"
    it.halts("SB-SLOT-LOST")


def test_the_slot_guard_warns_before_the_slot_is_lost(rig):
    it = rig(settings={"max_slot_wal_keep_size": "128MB", "max_wal_size": "64MB", "wal_keep_size": 0})
    it.follow()  # ack: target, and nothing is applied
    while it.old.value("SELECT safe_wal_size FROM pg_replication_slots") > 48 << 20:
        it.insert()
        it.old.sql("SELECT pg_switch_wal()")
    it.product.wait_log("SB-SLOT-AT-RISK")
    assert it.old.value("SELECT wal_status FROM pg_replication_slots") != "lost"


# -- the stream lost something


def captured(rig, count=6, **options):
    it = rig(**options)
    stage = it.follow()
    it.insert(count)
    it.catch_up()
    return it, stage


def test_what_was_lost_and_not_confirmed_is_captured_again(rig):
    it, stage = captured(rig)
    before = [(one["commit_lsn"], one["chain"]) for one in it.commits()]
    stage.kill9()
    it.cut(f"position > {it.commits()[1]['offset']}")
    it.follow()
    it.catch_up()
    assert [(one["commit_lsn"], one["chain"]) for one in it.commits()][: len(before)] == before
    it.verify()


@pytest.mark.parametrize("control", [False, True], ids=["control kept", "control lost"])
@pytest.mark.parametrize("lost", ["end", "all"])
def test_what_the_target_has_may_be_lost_and_is_declared(rig, lost, control):
    it, stage = captured(rig)
    commits = it.commits()
    it.applied(commits[2])
    it.wait_confirmed(it.old.value("SELECT start_lsn::text FROM switchback.capture"))
    stage.kill9()
    last = it.commits()[-1]
    it.applied(last)
    it.cut("true" if lost == "all" else f"position > {commits[0]['offset']}", control)
    it.follow()
    opened = [one for one in it.records() if one["kind"] == "open"][-1]
    assert opened["base_commit_lsn"] == last["commit_lsn"] and opened["base_chain"] == last["chain"]
    it.insert()
    it.catch_up()
    it.product.stop()
    it.follow()  # over the declared hole


def test_a_hole_waits_for_the_target_to_say_so(rig):
    it, stage = captured(rig, ack="stream")
    it.wait_confirmed(it.commits()[2]["commit_lsn"])
    stage.stop()
    it.applied(it.commits()[-1])
    it.new.stop()
    it.cut("true")
    it.halts("SB-TARGET-UNAVAILABLE")
    it.new.start()
    it.wait_follows()


def test_what_was_acknowledged_and_nobody_has_halts(rig):
    it, stage = captured(rig, ack="stream")
    it.wait_confirmed(it.commits()[2]["commit_lsn"])
    stage.kill9()
    it.cut("true")
    it.halts("SB-LOG-TRUNCATED")


# -- full, frozen, killed


def test_a_full_stream_holds_the_source_back_and_nothing_else(rig):
    it = rig(stream={"retention_max_bytes": 1 << 24})
    stage = it.follow()
    it.old.sql("INSERT INTO item SELECT g, repeat(md5(g::text), 20) FROM generate_series(1, 60000) g")
    it.product.wait_log("the stream takes no more")
    answered = "SELECT reply_time::text FROM pg_stat_replication"
    first = it.old.value(answered)
    wait_until(lambda: it.old.value(answered) != first, 10, "a status although nothing is read")
    it.started = it.follows()
    it.old.stop("fast", timeout=15)
    it.old.start()
    it.wait_follows()
    assert stage.running()


def test_applied_records_make_room(rig):
    it = rig(stream={"retention_max_bytes": 1 << 24})
    it.follow()
    for part in range(4):
        it.old.sql(
            "INSERT INTO item SELECT g, repeat(md5(g::text), 20)"
            " FROM generate_series(%s * 5000 + 1, %s * 5000 + 5000) g", part, part)
        it.catch_up()
        it.applied(it.commits()[-1])
    wait_until(lambda: it.records()[0]["offset"] > 0, 20, "the oldest records to be released")
    it.product.stop()
    it.follow()


def test_a_frozen_capture_is_replaced_and_stops_when_it_wakes(rig):
    it = rig()
    frozen = it.follow()
    it.insert()
    it.catch_up()
    os.kill(frozen.pid, signal.SIGSTOP)
    # The embedded store is locked by its writer, so the second works on a copy.
    copy = it.product.folder / "copy"
    copy.mkdir(mode=0o700)
    for file in (it.product.folder / "state").glob("forward.db*"):
        shutil.copy(file, copy)
    it.product.configure(state_dir=str(copy))
    second = it.start()
    it.wait_follows(60)
    it.insert()
    it.catch_up()
    os.kill(frozen.pid, signal.SIGCONT)
    assert frozen.wait(20) == 75
    assert it.product.log_contains("SB-EPOCH-STALE")
    assert second.running()


def test_a_capture_that_works_is_never_pushed_aside(rig):
    it = rig()
    first = it.follow()
    pid = it.old.value("SELECT active_pid FROM pg_replication_slots")
    copy = it.product.folder / "copy"
    copy.mkdir(mode=0o700)
    for file in (it.product.folder / "state").glob("forward.db*"):
        shutil.copy(file, copy)
    it.product.configure(state_dir=str(copy))
    it.start()
    it.product.wait_log("SB-SLOT-BUSY", 40)
    assert it.old.value("SELECT active_pid FROM pg_replication_slots") == pid
    assert first.running()


POINTS = [
    "capture-after-append", "capture-after-claim", "capture-after-feedback", "capture-after-open", "capture-after-read",
    "capture-before-append", "capture-before-claim", "capture-before-commit-record", "capture-before-feedback",
    "capture-before-open", "stream-after-commit", "stream-before-commit",
]


@pytest.mark.parametrize("ack", ["stream", "target"])
def test_killed_at_every_point_loses_and_repeats_nothing(rig, ack):
    it = rig(ack=ack, heartbeat_interval_ms=100)
    for point in POINTS:
        for passage in (1,) if "claim" in point or "open" in point else (1, 4):
            stage = it.start(fault=f"{point}:kill:{passage}")

            def died():
                it.insert()
                return not stage.running()

            wait_until(died, 30, f"the death at {point}")
    it.follow()
    it.catch_up()
    assert [int(one["after"]["id"]) for one in it.whole_changes()] == list(range(1, it.items + 1))
    it.verify()


def test_an_idle_target_is_made_to_flush(rig):
    """WAL that is in no commit stays unflushed on an idle server; capture must not wait for it to move by itself."""
    it = rig()
    stage = it.follow()
    it.insert(3)
    it.catch_up()
    last = it.commits()[-1]
    assert stage.stop() == 0
    it.applied(last)
    it.new.reload(wal_writer_delay="10s")
    it.new.sql("SELECT pg_logical_emit_message(false, 'test', 'in no commit')")
    assert it.new.value("SELECT pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn()"), "it was flushed by itself"
    it.follow()
    assert it.product.log_contains(rf'msg="capture holds the slot".* progress={last["commit_lsn"]} ')
