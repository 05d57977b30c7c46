"""Two captures, or two appliers, of one migration on one broker: one works, the other waits; and who was frozen while the
other took over does no harm when he wakes up."""

import json
import os
import signal

import pytest

from source_pair import TABLES
from sbtest import compare, process
from sbtest.wait import wait_until

FOLLOWS = 'msg="capture follows"'


class Two:
    """One migration, prepared once, with two installations of switchback."""

    def __init__(self, clusters, brokers, switchback, **capture):
        self.old, self.new, broker = clusters(15, "old"), clusters(15, "new"), brokers()
        for statement in TABLES:
            self.old.sql(statement)
            self.new.sql(statement)
        config = {"capture": {"heartbeat_interval_ms": 300, "feedback_interval_ms": 50, **capture}}
        self.first = switchback(self.old, self.new, broker=broker, config=config)
        self.second = switchback(self.old, self.new, broker=broker, config=config, migration="second")
        self.second.configure(migration="shop")
        self.second.migration = "shop"
        self.first.ok("prepare")
        self.items = 0

    def insert(self, count=1):
        with self.old.connect() as session:
            for _ in range(count):
                self.items += 1
                session.execute("INSERT INTO item VALUES (%s, 'x')", [self.items])
                session.execute("INSERT INTO log VALUES (%s, 'x')", [self.items])

    def assert_equal(self, by):
        by.wait_caught_up()
        compare.assert_equal(self.old, self.new)
        assert self.new.value("SELECT count(*) FROM switchback.conflict") == 0
        self.first.ok("stream", "verify")


@pytest.fixture
def two(clusters, brokers, switchback):
    return lambda **capture: Two(clusters, brokers, switchback, **capture)


def is_frozen(pid):
    return process.stat(pid)[1] in "Tt"


def epochs(it):
    """Of every record, in the order of the log, as the broker has it."""
    return [one["epoch"] for one in map(json.loads, it.first.ok("stream", "show").out.splitlines())]


def test_a_capture_frozen_in_an_append_wakes_up_too_late(two):
    it = two()
    zombie = it.first.start("capture", fault="capture-after-append:freeze:30")
    apply = it.second.start("apply")

    def frozen():
        it.insert()
        return is_frozen(zombie.pid)

    wait_until(frozen, 30, "the first capture to freeze")
    heir = it.second.start("capture")
    it.second.wait_log(FOLLOWS, 60)  # its session is ended once it has not answered for a while
    it.insert(5)
    it.assert_equal(it.second)
    os.kill(zombie.pid, signal.SIGCONT)
    assert zombie.wait(30) == 75
    assert it.first.log_contains("SB-EPOCH-STALE")
    late = epochs(it)
    first_of_heir = late.index(max(late))
    assert min(late[first_of_heir:]) < max(late), "nothing was appended late: this test does not show what it is for"
    it.insert(5)
    it.assert_equal(it.second)
    assert heir.running() and apply.running() and not it.second.log_contains("halted")


def test_an_applier_frozen_before_its_commit_wakes_up_too_late(two):
    it = two()
    it.second.start("capture")
    zombie = it.first.start("apply", fault="apply-before-commit:freeze:3")

    def frozen():
        it.insert()
        return is_frozen(zombie.pid)

    wait_until(frozen, 30, "the first applier to freeze")
    heir = it.second.start("apply")
    it.insert(5)
    it.assert_equal(it.second)
    os.kill(zombie.pid, signal.SIGCONT)
    assert zombie.wait(30) == 75
    assert it.first.log_contains("SB-EPOCH-STALE")
    it.insert(5)
    it.assert_equal(it.second)
    assert heir.running()


def test_a_capture_that_stands_by_takes_over_from_one_that_stops(two):
    """The one that waits looks at the slot again and again. What the other did while it looked must not be news to it."""
    it = two(ack="stream", feedback_interval_ms=20000)  # the holder answers every four seconds: a long look
    stage = it.first.start("capture")
    it.first.wait_log(FOLLOWS)
    apply = it.second.start("apply")
    it.second.start("capture")
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'switchback shop capture%%sql'"
    wait_until(lambda: it.old.value(sessions) == 2, 30, "the other to look at the slot")
    it.insert(5)
    it.second.wait_caught_up()  # by the first one, behind the back of the other
    assert stage.stop() == 0
    it.second.wait_log(FOLLOWS, 30)
    it.insert(5)
    it.assert_equal(it.second)
    assert not it.first.log_contains("halted") and not it.second.log_contains("halted") and apply.running()
