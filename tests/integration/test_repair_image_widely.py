"""Images of rows whoever dies, on the way back, and under load."""

import collections
import random
import signal
import time

from flow import flow, server  # noqa: F401
from image_flow import ITEM, SLOT, begin, item, plant, slot

from sbtest import compare
from sbtest.image import APPLIED, Repairer, Table
from sbtest.wait import wait_until
from sbtest.wayback import WayBack
from sbtest.writers import Load

POINTS = ["apply-before-repair", "apply-repair-row", "apply-after-repair", "apply-before-progress", "apply-after-progress",
          "apply-before-commit", "apply-after-commit"]


def test_killed_around_a_repair_it_has_its_effect_once(flow):
    one = flow(ITEM, start=False)
    one.product.ok("prepare")
    one.product.start("capture")
    one.stages = [one.product.start("apply")]
    repairer = begin(one, 20)
    for number, point in enumerate(POINTS, 1):
        plant(one, f"UPDATE item SET note = 'wrong' WHERE id = {number}")
        floor = repairer.floor()
        one.stages[0].stop()
        with repairer.stamp(floor) as stamp:
            row = stamp.row(item, (str(number),))
            stamp.session.execute("INSERT INTO public.item VALUES (%s, 'of the same transaction')", (100 + number,))
            stamp.send(item, [row], snapshot="")
            stamp.session.execute("INSERT INTO public.item VALUES (%s, 'behind')", (200 + number,))
        killed = one.product.start("apply", fault=f"{point}:kill:1")
        assert killed.wait(60) == -signal.SIGKILL, point
        one.stages = [one.product.start("apply")]
        assert repairer.outcomes([row["item"]]) == [APPLIED], point
    one.equal()
    assert [row["outcome"] for row in repairer.audit()] == [APPLIED] * len(POINTS)


def test_a_repaired_row_does_not_travel_back(clusters, switchback):
    way = WayBack(clusters, switchback).prepare()
    way.run()
    way.wait_armed()
    way.product.wait_caught_up()
    account = Table("account", ["id", "amount", "note"], ["id"])
    repairer = Repairer(way.product)
    repairer.want()
    way.rogue("UPDATE account SET amount = 1 WHERE id = 1", "DELETE FROM account WHERE id = 2")
    wait_until(lambda: len(way.recorded()) == 2, 60, "the strange writes to be recorded")
    assert repairer.outcomes(repairer.repair(account, ("1",), ("2",))) == [APPLIED] * 2
    way.product.wait_caught_up()
    way.product.wait_caught_up(direction="reverse")
    assert len(way.recorded()) == 2, "the repair came back"
    compare.assert_equal(way.old, way.new)
    # And the other way round: who only watches writes nothing, whatever the new side's images say.
    way.rogue("UPDATE account SET amount = 2 WHERE id = 3")
    back = Repairer(way.product, "reverse")
    back.want()
    assert back.outcomes(back.repair(account, ("3",))) == ["skipped_owner"]
    assert way.old.value("SELECT amount FROM account WHERE id = 3") == 1000
    back.audit()


# -- under load ---------------------------------------------------------------------------------------------


def test_under_load_nothing_stale_is_written(flow):
    """Images of random keys with honest stamps while the keys change, and some rows that go wrong on the target by themselves.
    No other row is ever made wrong; and when the load is over, what was planted last is repaired."""
    keys, planted_max = 300, 100
    one = flow(f"{ITEM}; {SLOT.format(unique='UNIQUE')}", apply={"conflict": "owner"})
    one.sql("INSERT INTO slot SELECT g, g, 'x' FROM generate_series(1, %s) g", keys)
    repairer = begin(one, keys)

    def change(session, rng):
        key = rng.randrange(1, keys + 1)
        what = rng.randrange(6)
        if what == 0:
            session.execute("DELETE FROM item WHERE id = %s", (key,))
        elif what == 1:
            session.execute("UPDATE item SET id = %s WHERE id = %s", (rng.randrange(1, keys + 1), key))
        elif what == 2:
            session.execute("UPDATE slot SET place = -place WHERE id = %s", (key,))
        else:
            session.execute("INSERT INTO item VALUES (%s, %s, 1) ON CONFLICT (id) DO UPDATE SET note = excluded.note", (key, str(rng.random())))

    seen, rng, left_out = collections.Counter(), random.Random(7), 0
    with Load(one.old, change, writers=3, db=one.db, pause=0.01) as load:
        until = time.monotonic() + 90
        while time.monotonic() < until and (seen[APPLIED] <= 40 or left_out <= 15):
            round_ = sum(seen.values())
            planted = rng.randrange(1, planted_max + 1)
            plant(one, f"UPDATE item SET n = {round_} WHERE id = {planted}", f"UPDATE slot SET note = '{round_}' WHERE id = {planted}")
            with repairer.stamp() as stamp:
                chosen = {planted, *(rng.randrange(1, keys + 1) for _ in range(10))}
                rows = [stamp.row(item, (str(key),)) for key in chosen]
                stamp.send(item, sorted(rows, key=lambda row: row["values"] is not None))
                slots = [stamp.row(slot, (str(key),)) for key in chosen]
                stamp.send(slot, slots)
            seen.update(repairer.outcomes([row["item"] for row in rows + slots]))
            left_out = seen["skipped_newer"] + seen["skipped_guard"]
        done = load.done
    print(f"{sum(seen.values())} rows of images among {done} transactions: {seen}")
    assert seen[APPLIED] > 40 and left_out > 15, seen
    one.settle()
    for rows in ("SELECT * FROM item WHERE id > %s ORDER BY id", "SELECT * FROM slot WHERE id > %s ORDER BY id"):
        assert one.sql(rows, planted_max) == one.new_sql(rows, planted_max), "something stale was written"
    every = [(str(key),) for key in range(1, keys + 1)]
    last = repairer.outcomes(repairer.repair(item, *every) + repairer.repair(slot, *every))
    assert set(last) <= {APPLIED, "noop_equal"}, last
    one.equal()
    repairer.audit()
