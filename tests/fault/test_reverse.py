"""The way back under faults: killed while it is armed, killed at work, and a loop filter that is broken."""

import collections
import itertools
import random
import re
import threading
import time

import psycopg
import pytest

from sbtest import compare, tree
from sbtest.wait import wait_until
from sbtest.wayback import STAGES, WayBack

ARMING = [name for name in re.findall(r'"(setup-[\w-]+)"', tree.read("core/fault_table.h"))]
KILLS = 12
FIRST_ROGUE = 1000000


def test_killed_at_every_point_of_arming(clusters, switchback):
    """Each run begins where the one before was killed, so every half of an armed way back is met."""
    it = WayBack(clusters, switchback).prepare()
    order = ["target", "source", "ownership", "publications", "origin", "progress", "stream", "slot"]
    assert {f"setup-after-{name}" for name in order} == set(ARMING)
    for name in order:
        stage = it.run(fault=f"setup-after-{name}:kill")
        killed = re.compile(r"child=capture-reverse .*SIGKILL")
        wait_until(
            lambda: len(killed.findall(it.product.log.read_text())) >= 1 and stage.running(), 30, f"the kill after {name}"
        )
        assert stage.stop() == 0
        it.product.log.write_text("")
        assert it.new.sql("SELECT slot_name FROM pg_replication_slots WHERE active") == []
    it.run()
    it.wait_armed()
    for cluster, name in ((it.new, "switchback_shop_reverse"), (it.old, "switchback_shop_forward")):
        assert cluster.sql("SELECT slot_name FROM pg_replication_slots") == [(name,)]
    it.old.sql("UPDATE account SET amount = 5")
    it.wait_recorded(it.rogue(f"INSERT INTO account VALUES ({FIRST_ROGUE}, 1, 'rogue')"))
    it.settle()
    assert [record["after"]["note"] for record in it.changes("reverse")] == ["rogue"]


class Strangers:
    """Somebody who writes on the new side, now and then, beside the rows that the application touches."""

    def __init__(self, it):
        self.it, self.xids, self.failed = it, [], []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(60)

    def work(self):
        chance = random.Random(5)
        try:
            for row in itertools.count(FIRST_ROGUE, 10):
                if self.stop.wait(0.05):
                    return
                rows = chance.choice([1, 1, 2, 9])
                self.xids.append((self.it.rogue(
                    f"INSERT INTO account SELECT g, 0, 'rogue' FROM generate_series({row}, {row + rows - 1}) g",
                    f"UPDATE account SET amount = 1 WHERE id = {row}",
                ), rows + 1))
        except psycopg.Error as error:
            self.failed.append(error)


class Application:
    """Who may write: on the old side, all the time."""

    def __init__(self, it):
        self.it, self.done, self.failed = it, 0, []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)

    __enter__, __exit__ = Strangers.__enter__, Strangers.__exit__

    def work(self):
        try:
            with self.it.old.connect(autocommit=False) as session:
                for number in itertools.count(1):
                    if self.stop.wait(0.005):
                        return
                    session.execute("UPDATE account SET amount = amount + 1 WHERE id = %s", (number % 100 + 1,))
                    session.execute("INSERT INTO journal VALUES (%s, 'ours')", (number,))
                    session.commit()
                    self.done += 1
        except psycopg.Error as error:
            self.failed.append(error)


def test_every_rogue_transaction_is_recorded_once_whatever_is_killed(armed):
    it = armed()
    chance, killed = random.Random(11), collections.Counter()
    victims = [*STAGES] * (KILLS // len(STAGES))
    chance.shuffle(victims)
    with Strangers(it) as strangers, Application(it) as application:
        for name in victims:
            it.product.kill_stage(name)
            killed[name] += 1
            time.sleep(chance.random() * 0.6)  # the moment is the fault's, nothing is waited for
    assert not strangers.failed and not application.failed, strangers.failed + application.failed
    assert set(killed) == set(STAGES) and len(strangers.xids) > 50 and application.done > 200
    it.wait_armed(90)
    it.settle(120)
    recorded = collections.Counter(row["xid"] for row in it.recorded())
    assert recorded == dict(strangers.xids), "a rogue transaction is missing, torn or recorded twice"
    assert it.totals() == (sum(dict(strangers.xids).values()), len(strangers.xids))
    assert it.old.value("SELECT count(*) FROM account WHERE note = 'rogue' OR id > 100") == 0, "applied to the owner"
    ours = [record for record in it.changes("reverse") if record["after"]["note"] != "rogue"]
    assert ours == [], "rows of ours travelled back"
    it.new.sql("DELETE FROM account WHERE id >= %s", FIRST_ROGUE)  # the strangers' mess
    compare.assert_equal(it.old, it.new)
    assert it.product.ok("stream", "verify", "--direction", "reverse")
    assert it.new.sql("SELECT * FROM switchback.conflict") == []


def test_a_broken_loop_filter_stops_the_way_back(armed):
    """The origin that apply writes under has another name: what it writes is not known for ours any more."""
    it = armed()
    renamed = it.new.sql(
        "UPDATE pg_replication_origin SET roname = 'stranger' WHERE roname = 'switchback_shop_forward' RETURNING roname"
    )
    assert renamed == [("stranger",)]
    report = it.product.wait_halted("capture-reverse", "SB-LOOP")
    assert "forward canary" in report["error_text"]
    it.old.sql("UPDATE account SET amount = 9 WHERE id = 9")
    it.product.wait_caught_up()
    assert it.new.value("SELECT amount FROM account WHERE id = 9") == 9, "forward does not go on"
    assert it.old.value("SELECT count(*) FROM account WHERE amount = 9") == 1


@pytest.mark.parametrize("point", ["apply-rogue-recorded", "apply-before-progress", "apply-after-progress", "apply-after-commit"])
def test_killed_while_a_rogue_write_is_recorded(armed, point):
    it = armed(rows=10)
    it.product.ok("pause", "--direction", "reverse")
    it.product.wait_state("apply-reverse", "waiting")
    xids = [it.rogue(f"UPDATE account SET amount = 3 WHERE id <= {row}") for row in (2, 3)]
    it.product.stop()
    it.product.ok("resume", "--direction", "reverse")
    it.product.log.write_text("")
    stage = it.product.start("apply", "--direction", "reverse", fault=f"{point}:kill")
    assert stage.wait(60) == -9, "the fault did not take place"
    it.run()
    for count, xid in zip((2, 3), xids):
        it.wait_recorded(xid, count)
    it.settle()
    assert it.totals() == (5, 2) and len(it.recorded()) == 5
