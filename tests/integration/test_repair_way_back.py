"""Repairs where the way back is armed: they are no stranger's writes, and strangers are known."""

from sbtest.repairing import WORDS, repair
from sbtest.verifying import DIFFERENT, EQUAL, of_table, verify
from sbtest.wait import wait_until
from sbtest.wayback import WayBack


def test_a_repair_does_not_travel_back(clusters, switchback):
    """With the way back armed who wrote on the target is known, and asked first; what apply repairs is its own."""
    scene = WayBack(clusters, switchback, capture={"heartbeat_interval_ms": 500, "feedback_interval_ms": 100}).prepare()
    scene.run()
    scene.wait_armed()
    product, new = scene.product, scene.new
    new.sql("UPDATE account SET amount = -1 WHERE id IN (1, 2)")
    wait_until(lambda: scene.totals() == (2, 1), 60, "the stranger to be recorded")
    answer = verify(product, code=DIFFERENT)
    assert {one["fault"] for one in of_table(answer, "public.account")["differences"]} == {"foreign"}
    nothing = repair(product, "run")
    assert nothing["end"] == "nothing" and of_table(nothing, "public.account")["left_out"] == {"foreign": 2}, nothing
    assert repair(product, "run", *WORDS)["verified"] == 2
    scene.settle()
    assert scene.totals() == (2, 1), "a repair was taken for a stranger's write"
    verify(product, code=EQUAL)
    assert {row[0] for row in scene.old.sql("SELECT DISTINCT amount FROM account")} == {1000}
