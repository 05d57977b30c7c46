"""The stage `reconcile` on real servers: the frontier moves while nothing differs, and is held by what does."""

import math

import pytest

from sbtest import copyload
from sbtest.reconciling import Reconciling, differences, foreign_write
from sbtest.wait import wait_until
from sbtest.writers import Load

ROWS = 1000
LAG_S = 20  # small, on a machine that does other things as well


@pytest.fixture
def pair(clusters, switchback):
    old, new = clusters(15, "old"), clusters(15, "new")
    for server in (old, new):
        copyload.fill(server, ROWS)
    return old, new, Reconciling(switchback, old, new, verify={"chunk_rows": 300}, reconcile={"pass_interval_s": 0})


def test_the_frontier_follows_a_load(pair):
    old, new, reconciling = pair
    hot = Load(old, lambda session, rng: session.execute("UPDATE slots SET slot = -slot WHERE id = 7"), writers=1, pause=0.01)
    with Load(old, copyload.step(ROWS, empties=0), writers=2, pause=0.05) as load, hot:
        reconciling.wait_proven()
        done = load.done
        wait_until(lambda: load.done > done + 50, 60, "some load")
        reconciling.wait_passes(60)
        assert reconciling.lag() < LAG_S
        judged = reconciling.metric("keys_judged_total")
        wait_until(lambda: reconciling.metric("keys_judged_total") > judged + 100, 60, "changed keys to be judged")
    reconciling.wait_passes(60)
    found = reconciling.metrics()
    print(found)
    assert found["differences_found_total"] == 0 and differences(new) == [], differences(new)
    assert found["tables_proven"] == found["tables"] > 15
    chunks = found["chunks_compared_total"]
    old.sql("TRUNCATE emptied")
    old.sql("INSERT INTO emptied VALUES (1, 1)")
    reconciling.wait_passes(60)
    found = reconciling.metrics()
    assert chunks < found["chunks_compared_total"], "what was emptied was not compared as a whole again"
    assert found["differences_found_total"] == 0, differences(new)


def test_an_idle_source_is_proven_again_and_again(pair):
    old, new, reconciling = pair
    reconciling.wait_proven()
    for _ in range(2):
        reconciling.wait_passes(30)
    wait_until(lambda: reconciling.lag() < 5, 30, "a small lag")
    chunks, rows = reconciling.metric("chunks_compared_total"), reconciling.metric("rows_compared_total")
    reconciling.wait_passes(30)
    assert (chunks, rows) == (reconciling.metric("chunks_compared_total"), reconciling.metric("rows_compared_total"))
    status = reconciling.product.status()["reconcile"]
    assert status["stage"]["state"] == "running" and status["lag_seconds"] < LAG_S, status
    by_table = {table["table"]: table for table in status["by_table"]}
    assert len(by_table) == status["tables"] + status["tables_not_compared"] and by_table["public.numbers"]["proven"]
    assert by_table["public.numbers"]["lag_seconds"] < LAG_S and by_table["public.numbers"]["passed_at"]


def test_a_difference_in_a_changed_row_holds_the_frontier_until_it_is_mended(pair):
    old, new, reconciling = pair
    reconciling.wait_proven()
    foreign_write(new, "UPDATE documents SET body = 'somebody else' WHERE id = 5")
    foreign_write(new, "UPDATE numbers SET note = 'somebody else' WHERE id = 33")
    reconciling.wait_passes(30)  # nobody has looked
    assert reconciling.metric("differences_found_total") == 0
    old.sql("UPDATE documents SET n = n + 1 WHERE id = 5")  # the body does not travel
    old.sql("UPDATE numbers SET v = v + 1 WHERE id = 36")
    wait_until(lambda: reconciling.metric("open_differences") == 1, 60, "the difference to be found")
    held = reconciling.metric("frontier_lsn")
    ((relation, kind, state, key),) = wait_until(lambda: differences(new), 20, "it to be written down")
    assert (relation, kind, state, key) == ('"public"."documents"', "changed", "open", '{"id": "5"}')
    old.sql("UPDATE numbers SET v = v + 1 WHERE id = 39")
    wait_until(lambda: reconciling.lag() > 3, 60, "the lag to grow")
    assert reconciling.metric("frontier_lsn") == held
    said = reconciling.product.verb("status").out
    assert "public.documents: proven up to" in said and "1 keys differ" in said and "1 differences are open" in said, said
    foreign_write(new, "UPDATE documents SET body = %s WHERE id = 5", old.value("SELECT body FROM documents WHERE id = 5"))
    reconciling.wait_passes(60)
    assert reconciling.metric("open_differences") == 0 and reconciling.metric("differences_found_total") == 1
    wait_until(lambda: [row[2] for row in differences(new)] == ["gone"], 20, "the difference to be gone")


def test_a_difference_in_a_row_that_nobody_changes_is_found_by_the_next_pass(pair):
    old, new, reconciling = pair
    reconciling.wait_proven()
    foreign_write(new, "DELETE FROM numbers WHERE id = 300")
    foreign_write(new, "INSERT INTO journal VALUES (0, 'somebody else')")
    reconciling.wait_passes(30)
    assert reconciling.metric("differences_found_total") == 0
    reconciling.product.configure(reconcile={"pass_interval_s": 1})
    reconciling.product.stop()
    reconciling.product.run()
    wait_until(lambda: reconciling.metric("differences_found_total") >= 2, 90, "the differences to be found")
    found = wait_until(lambda: differences(new) if len(differences(new)) == 2 else None, 20, "them to be written down")
    assert [row[:3] for row in found] == [('"public"."journal"', "extra", "open"), ('"public"."numbers"', "missing", "open")]
    foreign_write(new, "INSERT INTO numbers VALUES (300, 100, 'row 100')")
    foreign_write(new, "DELETE FROM journal WHERE what = 'somebody else'")
    wait_until(lambda: reconciling.metric("tables_proven") == reconciling.metric("tables"), 120, "all to be proven again")
    reconciling.wait_passes(60)
    wait_until(lambda: [row[2] for row in differences(new)] == ["gone", "gone"], 30, "the differences to be gone")


def test_a_paused_target_is_late_and_not_different(pair):
    old, new, reconciling = pair
    reconciling.wait_proven()
    reconciling.product.ok("pause")
    with Load(old, copyload.step(ROWS, empties=0), writers=2, pause=0.05) as load:
        wait_until(lambda: load.done > 100, 60, "some load")
        wait_until(lambda: reconciling.lag() > 4, 60, "the lag to grow")
        assert reconciling.lag() < math.inf
        reconciling.product.ok("resume")
        reconciling.wait_passes(60)
    reconciling.wait_passes(60)
    assert reconciling.metric("differences_found_total") == 0, differences(new)


def test_tables_that_appear_or_are_altered_are_planned_again(pair):
    old, new, reconciling = pair
    reconciling.wait_proven()
    for server in (new, old):
        server.sql("CREATE TABLE IF NOT EXISTS late (id int PRIMARY KEY, v int)")
    tables = reconciling.metric("tables")
    for server in (new, old):
        server.sql("ALTER TABLE numbers ADD COLUMN IF NOT EXISTS later int DEFAULT 7")
    old.sql("UPDATE numbers SET later = 8 WHERE id = 3")
    reconciling.product.ok("prepare")
    wait_until(lambda: reconciling.metric("tables") == tables + 1, 60, "the new table to be planned")
    old.sql("INSERT INTO late VALUES (1, 1)")
    reconciling.wait_passes(60)
    assert reconciling.metric("differences_found_total") == 0, differences(new)
    assert new.value("SELECT later FROM numbers WHERE id = 3") == 8


def test_a_target_that_was_prepared_by_an_older_program_is_waited_for(pair):
    old, new, reconciling = pair
    reconciling.product.stop()
    new.sql("DROP TABLE switchback.verified_place, switchback.verified_chunk, switchback.verified")
    reconciling.product.run()
    wait_until(lambda: "switchback prepare" in reconciling.stage()["why"], 30, "it to say what it waits for", errors=(TypeError,))
    assert reconciling.stage()["state"] == "waiting" and reconciling.lag() == math.inf
    reconciling.product.ok("prepare")
    reconciling.wait_passes(60)


def test_the_stage_waits_while_the_new_side_owns(pair):
    old, new, reconciling = pair
    reconciling.wait_proven()
    new.sql("UPDATE switchback.ownership SET owner = 'new', epoch = epoch + 1")  # as a hand-off does, as far as it asks
    foreign_write(new, "UPDATE numbers SET note = 'its owner' WHERE id = 33")
    old.sql("UPDATE numbers SET v = v + 1 WHERE id = 36")
    wait_until(lambda: "the new side owns" in (reconciling.stage()["why"] or ""), 60, "it to wait")
    assert reconciling.metric("differences_found_total") == 0 and differences(new) == []


def test_rows_that_a_tolerance_accepts_are_proven_and_no_others(clusters, switchback):
    old, new = clusters(15, "old"), clusters(15, "new")
    for server in (old, new):
        server.sql("CREATE TABLE rates (id int PRIMARY KEY, rate float8)")
        server.sql("CREATE TABLE others (id int PRIMARY KEY, v int)")
        server.sql("INSERT INTO rates SELECT g, g / 3.0 FROM generate_series(1, 500) g")
        server.sql("INSERT INTO others SELECT g, g FROM generate_series(1, 500) g")
    foreign_write(new, "UPDATE rates SET rate = rate * (1 + 1e-12) WHERE id <= 40")
    foreign_write(new, "UPDATE rates SET rate = rate * 1.01 WHERE id = 300")
    verify = {"chunk_rows": 100, "accept": ["public.rates rate: float-tolerance 1e-9"]}
    reconciling = Reconciling(switchback, old, new, verify=verify, reconcile={"pass_interval_s": 0})
    wait_until(lambda: reconciling.metric("open_differences") == 1, 60, "the difference to be found")
    wait_until(lambda: [row[:2] + row[3:] for row in differences(new)] == [('"public"."rates"', "changed", '{"id": "300"}')], 20, "it to be written down")
    old.sql("UPDATE others SET v = -v WHERE id <= 50")
    old.sql("UPDATE rates SET rate = 7 WHERE id = 300")  # mends it
    reconciling.wait_passes(60)
    assert reconciling.metric("open_differences") == 0 and reconciling.metric("differences_found_total") == 1


def test_a_table_that_is_copied_again_is_proven_anew_and_the_others_go_on(clusters, switchback):
    old, new = clusters(15, "old"), clusters(15, "new")
    old.sql("CREATE TABLE big (id int PRIMARY KEY, pad text)")
    old.sql("CREATE TABLE other (id int PRIMARY KEY, v int)")
    old.sql("INSERT INTO big SELECT g, repeat('x', 100) FROM generate_series(1, 2000) g")
    old.sql("INSERT INTO other SELECT g, g FROM generate_series(1, 100) g")
    slow = {"initial": True, "schema": "auto", "chunk_rows": 100, "jobs": 1, "max_rate_bytes_s": 60000}
    reconciling = Reconciling(switchback, old, new, copy=slow, ddl={"policy": "ignore"}, verify={"chunk_rows": 500}, reconcile={"pass_interval_s": 0})
    reconciling.wait_passes(90)
    passes = new.value("SELECT passed_at FROM switchback.verified WHERE relation LIKE '%big%'")
    reconciling.product.ok("copy", "--again", "public.big")
    aside = "SELECT count(*) FROM switchback.aside"
    wait_until(lambda: new.value(aside) == 1, 30, "the table to be set aside")
    ((held,),) = wait_until(lambda: new.sql("SELECT frontier_lsn FROM switchback.verified WHERE relation LIKE '%big%' AND needs_pass"), 30, "its proof to be void")
    old.sql("UPDATE other SET v = -v")
    lsn = old.value("SELECT pg_current_wal_insert_lsn()")
    old.sql("SELECT pg_logical_emit_message(true, 'test', '')")
    wait_until(lambda: frontier_of(reconciling, "public.other") >= number_of(lsn), 40, "the other table to be proven on")
    assert new.value(aside) == 1, "the copy was over before"
    assert frontier_of(reconciling, "public.big") == number_of(held) and reconciling.metric("differences_found_total") == 0
    wait_until(lambda: new.value(aside) == 0, 90, "the table to be given back")
    reconciling.wait_passes(60)
    assert new.value("SELECT passed_at > %s FROM switchback.verified WHERE relation LIKE %s", passes, "%big%")
    assert reconciling.metric("differences_found_total") == 0, differences(new)



def frontier_of(reconciling, name):
    """As a number, of what status says of the table; -1 while it says nothing of it."""
    lsns = [table["frontier_lsn"] for table in reconciling.product.status()["reconcile"]["by_table"] if table["table"] == name]
    return number_of(lsns[0]) if lsns and lsns[0] else -1


def number_of(lsn):
    high, low = lsn.split("/")
    return (int(high, 16) << 32) + int(low, 16)
