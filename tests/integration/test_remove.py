"""`switchback remove`: everything of ours is gone and nothing else is; also after half a preparation, with one side
away, and beside other migrations."""

import os
import pty

import pytest
from setup_pair import BASE, fingerprint, servers, shop, slot_reader  # noqa: F401

from sbtest.product import program
from sbtest.wait import wait_until

STEPS = ["target", "source", "publications", "origin", "progress", "stream", "slot"]

# A difference, its repair, and the undo of that.
A_REPAIR = """
INSERT INTO switchback.difference (migration, direction, ownership_epoch, relation, key, key_shown, key_digest, kind, rows, column_set,
    fault, by_stream, horizon, applied_lsn, found_by)
VALUES ('{0}', 'forward', 1, '"public"."item"', '', '1', '', 'changed', 1, '', 'apply', false, '0/1', '0/1', 0);
INSERT INTO switchback.repair (migration, direction, ownership_epoch, state, rows_max, deletes_max, plan_digest, reason)
VALUES ('{0}', 'forward', 1, 'done', 1, 1, '', 'a test');
INSERT INTO switchback.repair (migration, direction, ownership_epoch, state, undoes, rows_max, deletes_max, plan_digest, reason)
SELECT migration, direction, 1, 'planned', id, 1, 1, '', 'an undo' FROM switchback.repair;
INSERT INTO switchback.repair_item (repair, item, difference, relation, key, key_shown)
SELECT r.id, 1, d.id, d.relation, d.key, '1' FROM switchback.repair r, switchback.difference d
"""


def both(product):
    return [fingerprint(cluster, product.db) for cluster in (product.old, product.new)]


def files(product):
    return sorted(path.name for path in (product.folder / "state").iterdir())


def test_both_servers_are_left_as_they_were(shop):
    for cluster in (shop.old, shop.new):
        cluster.sql("CREATE TABLE bare (a int)", db=shop.db)
        cluster.sql("CREATE PUBLICATION theirs FOR ALL TABLES", db=shop.db)
        cluster.sql("COMMENT ON TABLE bare IS 'kept'", db=shop.db)
    before = both(shop), files(shop)
    shop.ok("prepare")
    assert both(shop) != before[0] and files(shop) != before[1]
    shop.old.sql("INSERT INTO item VALUES (1, 'x')", db=shop.db)
    done = shop.ok("remove", "--yes")
    assert done.out.index("drop the slot") < done.out.index("drop the publications") < done.out.index("drop the control schema")
    assert before == (both(shop), files(shop))
    assert "nothing is there" in shop.ok("remove", "--yes").out


@pytest.mark.parametrize("step", STEPS)
def test_half_a_preparation_is_removed(shop, step):
    before = both(shop), files(shop)
    assert shop.verb("prepare", fault=f"setup-after-{step}:kill").code == -9
    shop.ok("remove", "--yes")
    assert before == (both(shop), files(shop))
    shop.ok("prepare")


def test_a_dry_run_removes_nothing(shop):
    shop.ok("prepare")
    before = both(shop), files(shop)
    assert "pg_drop_replication_slot" in shop.ok("remove", "--dry-run").out
    assert before == (both(shop), files(shop))


def test_without_yes_and_nobody_to_ask_nothing_is_removed(shop):
    shop.ok("prepare")
    before = both(shop)
    shop.refuses("SB-USAGE", "remove", code=64)
    assert before == both(shop)


@pytest.mark.parametrize("answer", ["yes", ""])
def test_only_the_typed_name_of_the_migration_is_a_yes(shop, answer):
    shop.ok("prepare")
    before = both(shop)
    assert ask(shop, answer) == 1
    assert before == both(shop)
    assert ask(shop, shop.migration) == 0
    assert before != both(shop)


def ask(product, answer):
    """`switchback remove` on a terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(program(), [program(), "-c", product.config_file, "remove"], product.environment())
    said = b""
    while b"Type the name" not in said:
        said += os.read(terminal, 4096)
    os.write(terminal, answer.encode() + b"\n")
    try:
        while os.read(terminal, 4096):
            pass
    except OSError:
        pass  # the terminal is closed with the process
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_the_slot_goes_even_when_the_target_is_away(clusters, switchback):
    old, new = clusters(15, "old"), clusters(15, "new")
    for cluster in (old, new):
        cluster.sql(BASE)
    product = switchback(old, new)
    before = both(product)
    product.ok("prepare")
    new.stop()
    product.refuses("SB-TARGET-UNAVAILABLE", "remove", "--yes", code=69)
    assert not old.sql("SELECT 1 FROM pg_replication_slots")
    new.start()
    product.ok("remove", "--yes")
    assert before == both(product)


def test_a_slot_in_use_is_not_taken_from_under_its_reader(shop):
    shop.ok("prepare")
    before = both(shop), files(shop)
    with slot_reader(shop):
        done = shop.refuses("SB-SLOT-BUSY", "remove", "--yes", code=75)
        assert "Stop" in done.err
        assert before == (both(shop), files(shop)), "something went although the slot stayed"
    shop.ok("remove", "--yes")


def test_another_migration_of_the_same_databases_is_left_alone(shop, place):
    from sbtest.product import Switchback

    other = Switchback(place, shop.old, shop.new, db=shop.db, migration=f"{shop.migration}other")
    try:
        before = both(shop)
        other.ok("prepare")
        alone = both(shop)
        shop.ok("prepare")
        shop.new.sql(A_REPAIR.format(shop.migration), db=shop.db)
        shop.ok("remove", "--yes")
        assert shop.new.value("SELECT count(*) FROM switchback.repair_item", db=shop.db) == 0
        assert alone == both(shop)
        assert "nothing was changed" in other.ok("prepare").out
        other.ok("remove", "--yes")
        assert before == both(shop)
    finally:
        other.close()


def test_the_metrics_page_goes_too(shop):
    shop.ok("prepare")
    stage = shop.run()
    wait_until(lambda: "metrics.page" in files(shop), 20, "the page")
    stage.stop()
    shop.ok("remove", "--yes")
    assert not [name for name in files(shop) if name.endswith((".page", ".db"))], files(shop)


def test_nothing_is_taken_from_a_running_migration(shop):
    shop.ok("prepare")
    stage = shop.run()
    shop.wait_caught_up()
    before = both(shop)
    done = shop.refuses("SB-STATE-LOCKED", "remove", "--yes", code=75)
    assert "Stop" in done.err
    assert before == both(shop)
    stage.stop()
    shop.ok("remove", "--yes")


def test_a_publication_that_is_not_ours_is_left(shop):
    shop.old.sql(f"CREATE PUBLICATION {shop.slot}_keyed FOR ALL TABLES", db=shop.db)
    before = both(shop)
    shop.ok("remove", "--yes")
    assert before == both(shop)
