"""The initial copy on a failover pair: what was read counts once the standby has it, and after a failover nothing is believed
that the new primary may not have."""

import signal

import pytest

from copy_pair import STATE, finish, frozen, ledger, make_pair
from sbtest.standby import replayed, standby_of, take_over, written
from sbtest.wait import wait_until

ITEMS = ["CREATE TABLE item (id int PRIMARY KEY, v int)", "CREATE TABLE calm (id int PRIMARY KEY)"]
ROWS = ["INSERT INTO item SELECT g, g FROM generate_series(1, 1000) g", "INSERT INTO calm SELECT g FROM generate_series(1, 50) g", "ANALYZE"]
WISHES = "SELECT relation, reason FROM switchback.copy_wish ORDER BY 1"


def with_standby(clusters, switchback, **copy):
    old, new, product = make_pair(clusters, switchback, ITEMS, ROWS, chunk_rows=200, jobs=1, **copy)
    old.stop("fast")
    return old, new, product, standby_of(old, clusters)


def fail_over(old, standby, product):
    """The standby has everything the primary had, and stands in its place."""
    wait_until(lambda: replayed(standby) >= written(old), 30, "the standby to follow")
    old.stop("fast")
    product.old = take_over(old, standby)
    return product.old


def test_a_chunk_counts_once_the_synchronous_standby_has_flushed(clusters, switchback):
    old, new, product, standby = with_standby(clusters, switchback)
    old.reload(synchronous_standby_names="standby")
    wait_until(lambda: old.sql("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"), 30, "the standby to be synchronous")
    copy = product.start("copy", fault="copy-after-plan:freeze:1,copy-after-rows:freeze:1")
    frozen(copy)
    standby.freeze()
    with old.connect() as session:  # what the chunk will show, the standby has not
        session.execute("SET synchronous_commit = local")
        session.execute("UPDATE item SET v = 7 WHERE id = 1")
    copy.signal(signal.SIGCONT)
    frozen(copy)
    copy.signal(signal.SIGCONT)
    report = product.wait_state("copy-forward", "waiting", 60)
    assert "standbys must flush" in report["why"], report
    assert ledger(new) == {}, "a chunk counts before the standby has what it shows"
    standby.thaw()
    assert copy.wait(60) == 0
    old.reload(synchronous_standby_names="")
    product.run()
    finish(old, new, product)


def test_a_slot_of_the_failover_pair_is_waited_for(clusters, switchback):
    """PostgreSQL 17 and later name the standbys' slots."""
    old, new, product = make_pair(clusters, switchback, ITEMS, ROWS, chunk_rows=200, jobs=1, major=18)
    old.sql("SELECT pg_create_physical_replication_slot('other', true)")
    old.reload(synchronized_standby_slots="other")
    copy = product.start("copy")
    report = product.wait_state("copy-forward", "waiting", 60)
    assert "standbys must flush" in report["why"] and ledger(new) == {}, report
    old.reload(synchronized_standby_slots="")
    assert copy.wait(60) == 0
    product.run()
    finish(old, new, product)


def test_chunks_from_before_a_failover_are_void(clusters, switchback):
    old, new, product, standby = with_standby(clusters, switchback)
    copy = product.start("copy", fault="copy-after-commit:freeze:1")
    frozen(copy)
    before = ledger(new)
    assert len(before) == 1
    copy.kill9()
    old.sql("UPDATE item SET v = -1 WHERE id % 3 = 0")
    old = fail_over(old, standby, product)
    old.sql("UPDATE item SET v = -2 WHERE id % 5 = 0")
    product.run()
    finish(old, new, product)
    assert product.log_contains("table is copied anew")
    assert new.value("SELECT min(timeline) FROM switchback.chunk") == 2


def test_what_was_not_passed_is_copied_again_after_a_failover(clusters, switchback):
    """The copy is complete and the stream not beyond it: also tables that nobody changes are read from the new primary."""
    old, new, product, standby = with_standby(clusters, switchback)
    assert product.start("copy").wait(60) == 0
    new.sql("DELETE FROM calm WHERE id = 7")  # as if the new primary had another row than the image
    old = fail_over(old, standby, product)
    old.sql("UPDATE item SET v = -2 WHERE id % 5 = 0")
    product.run()
    wait_until(lambda: len(new.sql(WISHES)) == 2 and new.value(STATE) == "complete", 60, "all to be copied again")
    finish(old, new, product)
    assert all("failed over" in reason for _, reason in new.sql(WISHES))


@pytest.mark.parametrize("restart", [False, True])
def test_what_was_passed_before_a_failover_is_not_copied_again(clusters, switchback, restart):
    old, new, product, standby = with_standby(clusters, switchback)
    product.run()
    finish(old, new, product)
    wait_until(lambda: new.value("SELECT bool_and(passed) FROM switchback.chunk"), 30, "the chunks to be passed")
    if restart:
        product.stop()
    old = fail_over(old, standby, product)
    if restart:
        product.run()
    old.sql("UPDATE item SET v = -2 WHERE id % 5 = 0")
    finish(old, new, product)
    product.kill_stage("apply-forward")
    old.sql("UPDATE item SET v = -3 WHERE id % 7 = 0")
    finish(old, new, product)
    assert new.sql(WISHES) == []
    assert not product.log_contains("SB-COPY-INCOMPLETE")
