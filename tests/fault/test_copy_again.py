"""What of the copy goes on while everything runs: its origins, rows and tables that are copied again."""

import struct

import pytest

from copy_pair import ASIDE, STATE, finish, ledger, make_pair, wait_again
from sbtest.wait import wait_until
from sbtest.writers import Load

ITEMS = ["CREATE TABLE item (id int PRIMARY KEY, v int)", "CREATE TABLE log (at int, what text)"]
ITEM_ROWS = ["INSERT INTO item SELECT g, g FROM generate_series(1, 2000) g", "INSERT INTO log SELECT g, 'x' FROM generate_series(1, 50) g", "ANALYZE"]
PEEK = "SELECT data FROM pg_logical_slot_get_binary_changes('witness', NULL, NULL, 'proto_version', '1', 'publication_names', 'witness')"


def changes(session, rng):
    """A transaction of the load."""
    session.execute("UPDATE item SET v = v + 1 WHERE id = %s", (rng.randrange(1, 2000),))
    if rng.random() < 0.3:
        session.execute("UPDATE item SET id = %s WHERE id = %s", (rng.randrange(3000, 9000), rng.randrange(1, 2000)))
    if rng.random() < 0.2:
        session.execute("DELETE FROM item WHERE id = %s", (rng.randrange(1, 2000),))
    session.execute("INSERT INTO log VALUES (1, 'new')")


# -- origins


def watch(new):
    """A slot on the target that sees every transaction from here on, as the way back would."""
    new.sql("CREATE PUBLICATION witness FOR ALL TABLES")
    new.sql("SELECT pg_create_logical_replication_slot('witness', 'pgoutput')")


def transactions(new):
    """[(origin or None, commit time in microseconds since 2000, rows it wrote)] that the slot has seen."""
    found = []
    new.sql("SELECT pg_logical_emit_message(true, 'test.flush', '')")  # a slot tells what is flushed
    for (data,) in new.sql(PEEK):
        kind = data[:1]
        if kind == b"B":
            found.append([None, struct.unpack_from(">q", data, 9)[0], 0])
        elif kind == b"O":
            found[-1][0] = data[9:].rstrip(b"\0").decode()
        elif kind in b"IUDT":
            found[-1][2] += 1
    return [one for one in found if one[2] > 0]


def assert_all_ours(found, name):
    assert found and all((origin or "").startswith(name) for origin, _, _ in found), found
    assert min(when for _, when, _ in found) > 0, "a commit is dated 2000-01-01"


def test_every_transaction_of_a_copy_bears_our_origin(clusters, switchback):
    old, new, product = make_pair(clusters, switchback, ITEMS, ITEM_ROWS, chunk_rows=100, jobs=3)
    watch(new)
    copy = product.start("copy")
    assert copy.wait(60) == 0 and new.value(STATE) == "complete"
    found = transactions(new)
    assert sum(rows for _, _, rows in found) > 2050, "the slot has not seen the rows"
    assert_all_ours(found, "switchback_shop_forward_copy_")
    assert len({origin for origin, _, _ in found}) == 4, "not one for each session"
    # A slot may have yet to tell transactions of theirs.
    assert new.value("SELECT count(*) FROM pg_replication_origin WHERE roname LIKE 'switchback_shop_forward_copy%%'") == 4
    old.sql("UPDATE item SET v = 0 WHERE id = 7")
    product.run()
    finish(old, new, product)
    assert_all_ours(transactions(new), "switchback_shop_forward")


def test_origins_are_dropped_when_they_are_needed_no_more(clusters, switchback):
    old, new, product = make_pair(clusters, switchback, ITEMS, ITEM_ROWS, chunk_rows=500, jobs=2)
    origins = "SELECT roname FROM pg_replication_origin ORDER BY 1"
    killed = product.start("copy", fault="copy-before-commit:kill:1")
    assert killed.wait(60) == -9
    assert new.sql(origins) == [(f"switchback_shop_forward{end}",) for end in ("", "_copy_0", "_copy_1", "_copy_2")]
    product.ok("check")
    product.run()
    finish(old, new, product)
    assert new.sql(origins) == [("switchback_shop_forward",)]
    product.stop()
    new.sql("SELECT pg_replication_origin_create('switchback_shop_forward_copy_7')")
    product.ok("remove", "--yes")
    assert new.sql(origins) == [], "remove left an origin"


# -- tables that are copied again


def test_a_table_is_copied_again_while_everything_runs(clusters, switchback):
    old, new, product = make_pair(clusters, switchback, ITEMS, ITEM_ROWS, chunk_rows=200, jobs=2)
    product.run()
    finish(old, new, product)
    watch(new)
    new.sql("UPDATE item SET v = -1 WHERE id % 3 = 0")  # somebody's mistake
    new.sql("INSERT INTO item SELECT g, g FROM generate_series(20001, 20100) g")
    new.sql("SELECT pg_logical_slot_get_binary_changes('witness', NULL, NULL, 'proto_version', '1', 'publication_names', 'witness')")
    stamps = ledger(new)
    with Load(old, changes, writers=2, pause=0.002) as load:
        wait_until(lambda: load.done > 50, 30, "some load")
        said = product.ok("copy", "--again", "public.item").err
        assert "copied again as soon as apply runs" in said
        wait_again(new, '"public"."item"')
        done = load.done
        wait_until(lambda: load.done > done + 50, 30, "some more load")
    finish(old, new, product)
    now = ledger(new)
    assert all(now[key] == row for key, row in stamps.items() if "log" in key[0]), "another table was copied, too"
    assert all(stamps.get(key) != row for key, row in now.items() if "item" in key[0]), "a chunk has its old stamp"
    assert_all_ours(transactions(new), "switchback_shop_forward")
    product.refuses("SB-USAGE", "copy", "--again", "public.no_such")
    assert product._stage("copy-forward")["state"] == "done"


def test_wishes_of_others_are_taken_also_by_an_apply_that_starts(clusters, switchback):
    """A row that anybody may write; twice the same one; and stages that run alone."""
    old, new, product = make_pair(clusters, switchback, ITEMS, ITEM_ROWS, chunk_rows=200, jobs=2)
    product.run()
    finish(old, new, product)
    product.stop()
    new.sql("DELETE FROM log")
    for _ in range(2):
        new.sql("INSERT INTO switchback.copy_wish (migration, direction, relation, reason) VALUES ('shop', 'forward', '\"public\".\"log\"', 'a test')")
    product.start("capture")
    product.start("apply")
    wait_until(lambda: new.value(STATE) == "pending", 30, "the wish to be taken")
    assert new.value(ASIDE) == 1
    assert product.start("copy").wait(60) == 0
    finish(old, new, product)


@pytest.mark.parametrize("point", ["apply-before-recopy", "apply-after-recopy"])
def test_a_kill_while_a_wish_is_taken(clusters, switchback, point):
    old, new, product = make_pair(clusters, switchback, ITEMS, ITEM_ROWS, chunk_rows=200, jobs=2)
    product.run()
    finish(old, new, product)
    product.stop()
    new.sql("UPDATE item SET v = 0")
    product.ok("copy", "--again", "public.item")
    old.sql("UPDATE item SET v = v + 1 WHERE id < 300")
    assert product.start("apply", fault=f"{point}:kill:1").wait(30) == -9
    assert new.value(ASIDE) == (0 if point == "apply-before-recopy" else 1)
    assert new.value("SELECT count(*) FROM item WHERE v = 0") == 2000, "the copy deletes the rows, not apply"
    product.run()
    wait_again(new, '"public"."item"')
    finish(old, new, product)


# -- pause


def test_pause_holds_the_copy_up(clusters, switchback):
    old, new, product = make_pair(clusters, switchback, ITEMS, ITEM_ROWS, chunk_rows=50, jobs=2, max_rate_bytes_s=20000)
    product.run()
    wait_until(lambda: len(ledger(new)) > 3, 30, "some chunks")
    product.ok("pause")
    report = product.wait_state("copy-forward", "waiting")
    assert "paused" in report["why"], report
    open_ones = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%% copy-forward' AND xact_start IS NOT NULL"
    wait_until(lambda: old.value(open_ones) == 0, 30, "the chunks at work to end")
    chunks = len(ledger(new))
    old.sql("INSERT INTO item SELECT g, g FROM generate_series(3000, 3100) g")
    product.kill_stage("copy-forward")  # paused is paused, whoever runs
    product.wait_state("copy-forward", "waiting", 30)
    assert 3 < chunks < 42 and len(ledger(new)) == chunks and new.value(STATE) == "pending"
    product.ok("resume")
    finish(old, new, product)


# -- tables that are published later


def publish_later(old, new, product, rows):
    """Where DDL does not travel: then nobody knows the table until `prepare` is run again."""
    for server in (old, new):
        server.sql("CREATE TABLE late (id int PRIMARY KEY, v int)")
    old.sql(f"INSERT INTO late SELECT g, 0 FROM generate_series(1, {rows}) g")
    product.ok("prepare")


def test_a_table_published_later_is_copied_before_its_first_change(clusters, switchback):
    old, new, product = make_pair(clusters, switchback, ITEMS, ITEM_ROWS, ddl="ignore", chunk_rows=200, jobs=2)
    product.run()
    finish(old, new, product)
    with Load(old, changes, writers=1, pause=0.01):
        publish_later(old, new, product, 500)
        with old.connect(autocommit=False) as session:  # one transaction has known tables and the new one
            session.execute("UPDATE item SET v = 5 WHERE id < 10")
            session.execute("UPDATE late SET v = 1 WHERE id % 3 = 0")
            session.execute("DELETE FROM late WHERE id % 10 = 0")
            session.commit()
        wait_again(new, '"public"."late"')
        old.sql("UPDATE late SET v = 2 WHERE id % 7 = 0")
    finish(old, new, product)
    assert new.value("SELECT sum(rows) FROM switchback.chunk WHERE relation LIKE '%%late%%'") <= 500
    assert new.value("SELECT reason FROM switchback.copy_wish") == "published when the copy was complete"


def test_a_calm_table_published_later_is_added_by_hand(clusters, switchback):
    old, new, product = make_pair(clusters, switchback, ITEMS, ITEM_ROWS, ddl="ignore", chunk_rows=200, jobs=2)
    product.run()
    finish(old, new, product)
    product.refuses("SB-USAGE", "copy", "--add", "public.item")
    publish_later(old, new, product, 500)
    product.ok("copy", "--add", "public.late")
    wait_until(lambda: new.value("SELECT count(*) FROM late") == 500, 60, "the table to be copied")
    finish(old, new, product)


def test_a_table_published_later_with_rows_of_others_is_left_alone(clusters, switchback):
    old, new, product = make_pair(clusters, switchback, ITEMS, ITEM_ROWS, ddl="ignore", chunk_rows=200, jobs=2)
    product.run()
    finish(old, new, product)
    for server in (old, new):
        server.sql("ALTER TABLE log RENAME TO journal")
    old.sql("INSERT INTO journal VALUES (3, 'renamed')")
    finish(old, new, product)
    assert new.sql("SELECT * FROM switchback.copy_wish") == []
    publish_later(old, new, product, 10)
    new.sql("INSERT INTO late VALUES (1, 0)")
    product.ok("copy", "--add", "public.late")
    report = product.wait_halted("copy-forward", "SB-TARGET-NOT-EMPTY", 60)
    assert new.value("SELECT count(*) FROM late") == 1 and "late" in report["error_text"]
    new.sql("TRUNCATE late")
    product.ok("resume")
    finish(old, new, product)
