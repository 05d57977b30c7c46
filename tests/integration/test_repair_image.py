"""Images of rows, apply's side of a repair: what is written and what is not, and never over something newer."""

import hashlib

import pytest
from flow import flow, server  # noqa: F401
from image_flow import ITEM, ROWS, SLOT, begin, item, plant, slot

from sbtest import compare
from sbtest.image import APPLIED, Repairer, Table
from sbtest.standby import hang
from sbtest.wait import wait_until


@pytest.mark.parametrize("majors", [(14, 18), (18, 14)])
def test_what_differs_is_written_and_written_down(flow, majors):
    one = flow(ITEM, majors=majors)
    repairer = begin(one)
    plant(one, "UPDATE item SET note = NULL, n = 7 WHERE id = 1", "DELETE FROM item WHERE id = 2", "INSERT INTO item VALUES (77, 'extra')")
    items = repairer.repair(item, ("77",), ("1",), ("2",), ("3",), ("4711",))
    assert repairer.outcomes(items) == [APPLIED, APPLIED, APPLIED, "noop_equal", "noop_equal"]
    one.equal()
    extra, changed, missing, same, nowhere = repairer.audit()
    assert (extra["before"], extra["after"]) == ({"id": "77", "note": "extra", "n": None}, None)
    assert changed["before"] == {"id": "1", "note": None, "n": "7"} and changed["after"] == {"id": "1", "note": "note 1", "n": "1.10"}
    assert (missing["before"], missing["after"]["note"]) == (None, "note 2")
    assert same["before"]["note"] == "note 3" and same["after"] is None and nowhere["before"] is None
    assert changed["relation"] == '"public"."item"' and changed["key_shown"] == '{"id": "1"}' and changed["snapshot"] != ""


def test_an_item_of_a_repair_has_its_outcome(flow):
    one = flow(ITEM)
    repairer = begin(one)
    one.new_sql("INSERT INTO switchback.repair (migration, direction, ownership_epoch, state, rows_max, deletes_max, plan_digest, reason)"
                " VALUES (%s, 'forward', 1, 'running', 9, 9, '', 'a test')", one.product.migration)
    one.new_sql("INSERT INTO switchback.repair_item (repair, item, relation, key, key_shown) VALUES (1, 1, '\"public\".\"item\"', '', 'the first')")
    plant(one, "UPDATE item SET n = 0 WHERE id = 1")
    assert repairer.outcomes(repairer.repair(item, ("1",))) == [APPLIED]
    repairer.item = 0
    repairer.repair(item, ("1",))
    wait_until(lambda: one.new_sql("SELECT 1 FROM switchback.repair_item WHERE tries = 2"), 60, "the second image to be judged")
    assert one.new_sql("SELECT outcome, tries, sqlstate FROM switchback.repair_item") == [("noop_equal", 2, "")]
    assert [row["key_shown"] for row in repairer.audit()] == ["the first"] * 2


def test_a_row_that_is_no_longer_the_one_that_was_found_is_left_alone(flow):
    one = flow(ITEM)
    repairer = begin(one)
    plant(one, "UPDATE item SET note = 'found' WHERE id < 4", "DELETE FROM item WHERE id = 4")
    with repairer.stamp() as stamp:
        rows = [stamp.row(item, (str(key),)) for key in (1, 2, 3, 4)]
        plant(one, "UPDATE item SET note = 'a stranger''s' WHERE id = 1", "DELETE FROM item WHERE id = 2", "INSERT INTO item VALUES (4, 'came back')")
        stamp.send(item, rows)
    assert repairer.outcomes([row["item"] for row in rows]) == ["skipped_guard", "skipped_guard", APPLIED, "skipped_guard"]
    assert one.new_sql(ROWS) == [(1, "a stranger's"), (3, "note 3"), (4, "came back"), (5, "note 5")]
    assert [row["before"] and row["before"]["note"] for row in repairer.audit()] == ["a stranger's", None, "found", "came back"]


def test_a_commit_that_is_in_the_stream_and_not_visible_is_newer(flow):
    """R1: the transaction of key 10 waits for a standby. It is decoded and applied, and no snapshot shows it."""
    one = flow(ITEM)
    repairer = begin(one)
    floor = repairer.floor()
    release = hang(one.old, "INSERT INTO item VALUES (10, 'not visible yet')", one.db)
    try:
        wait_until(lambda: one.new_sql("SELECT 1 FROM item WHERE id = 10"), 60, "the commit to be applied")
        with repairer.stamp(floor) as stamp:
            row = stamp.row(item, ("10",))
            assert row["values"] is None and row["guard"] is not None, "the snapshot must not show what is applied"
            stamp.send(item, [row])
        assert repairer.outcomes([row["item"]]) == ["skipped_newer"]
        assert (10, "not visible yet") in one.new_sql(ROWS)
    finally:
        release()
    one.equal()
    assert repairer.outcomes(repairer.repair(item, ("10",))) == ["noop_equal"]


NEWER = [
    "UPDATE item SET note = 'newer' WHERE id = 1",  # R4: no lock of a reader keeps it away
    "DELETE FROM item WHERE id = 1",
    "UPDATE item SET id = 100 WHERE id = 1",
    "TRUNCATE item",
    "ALTER TABLE item ADD COLUMN more int",
]


@pytest.mark.parametrize("statement", NEWER)
def test_what_comes_between_snapshot_and_image_is_newer(flow, statement):
    one = flow(ITEM)
    repairer = begin(one)
    plant(one, "UPDATE item SET note = 'wrong' WHERE id = 1")
    with repairer.stamp() as stamp:
        values = {"id": "1", "note": "note 1", "n": "1.10"}  # what it would read; to read it would keep TRUNCATE and ALTER away
        guard = item.guard(repairer.follower(item, ("1",)))
        one.sql(statement)
        stamp.send(item, [{"item": 1, "key": ["1"], "values": values, "guard": guard}])
    assert repairer.outcomes([1]) == ["skipped_newer"]
    repairer.item = 1
    assert repairer.outcomes(repairer.repair(item, ("1",)))[0] in (APPLIED, "noop_equal")
    one.equal()


def test_a_key_that_becomes_another_touches_both(flow):
    one = flow(ITEM)
    repairer = begin(one)
    plant(one, "INSERT INTO item VALUES (50, 'extra')")
    with repairer.stamp() as stamp:
        extra = stamp.row(item, ("50",))
        plant(one, "DELETE FROM item WHERE id = 50")
        one.sql("UPDATE item SET id = 50 WHERE id = 2")
        one.settle()
        extra["guard"] = item.guard(repairer.follower(item, ("50",)))  # not even the guard would help
        stamp.send(item, [extra])
    assert repairer.outcomes([extra["item"]]) == ["skipped_newer"]
    one.equal()


def test_changes_of_the_same_transaction_are_newer(flow):
    one = flow(ITEM)
    repairer = begin(one)
    with repairer.stamp() as stamp:
        row = stamp.row(item, ("1",))
        stamp.session.execute("UPDATE public.item SET note = 'mine' WHERE id = 1")
        stamp.send(item, [row])
    assert repairer.outcomes([row["item"]]) == ["skipped_newer"]
    one.equal()


def test_what_the_ring_does_not_reach_is_not_judged(flow):
    one = flow(ITEM, apply={"repair_ring_max_bytes": 65536})
    repairer = begin(one)
    floor = repairer.floor()
    plant(one, "UPDATE item SET note = 'wrong' WHERE id = 1")
    before = repairer.whole_from()
    one.sql("INSERT INTO item SELECT g, 'many', 0 FROM generate_series(1000, 4000) g")
    one.settle()
    wait_until(lambda: repairer.whole_from() != before, 30, "apply to say that it has forgotten something")
    with repairer.stamp(floor) as stamp:
        row = stamp.row(item, ("1",))
        stamp.send(item, [row])
    assert repairer.outcomes([row["item"]]) == ["skipped_ring"]
    assert repairer.outcomes(repairer.repair(item, ("1",))) == [APPLIED]
    one.equal()


def test_without_somebody_who_repairs_nothing_is_remembered(flow):
    one = flow(ITEM)
    repairer = begin(one)
    plant(one, "UPDATE item SET note = 'wrong' WHERE id = 1")
    one.new.sql("UPDATE switchback.repair_ring SET wanted_until = now()", db=one.db)
    wait_until(lambda: repairer.whole_from() is None, 30, "apply to forget")
    assert repairer.outcomes(repairer.repair(item, ("1",))) == ["skipped_ring"]
    repairer.want()
    assert repairer.outcomes(repairer.repair(item, ("1",))) == [APPLIED]
    one.equal()


def test_an_undo_has_only_its_guard(flow):
    one = flow(ITEM)
    repairer = begin(one)
    plant(one, "UPDATE item SET note = 'before the repair' WHERE id = 1")
    (applied,) = repairer.repair(item, ("1",))
    assert repairer.outcomes([applied]) == [APPLIED]
    (row,) = repairer.audit()
    undo = {"item": 90, "key": ["1"], "values": row["before"], "guard": item.guard(row["after"])}
    with repairer.stamp() as stamp:
        stamp.send(item, [undo], snapshot="")
        stamp.send(item, [{**undo, "item": 91}], snapshot="")
    assert repairer.outcomes([90, 91]) == [APPLIED, "noop_equal"]
    assert (1, "before the repair") in one.new_sql(ROWS)


def test_another_owner_or_structure_is_told(flow):
    one = flow(ITEM)
    repairer = begin(one)
    plant(one, "UPDATE item SET note = 'wrong' WHERE id = 1")
    elsewhere, wider = Table("nowhere", ["id"], ["id"]), Table("item", ["id", "colour"], ["id"])
    with repairer.stamp() as stamp:
        row = stamp.row(item, ("1",))
        stamp.send(item, [row], epoch=2)
        stamp.send(elsewhere, [{"item": 50, "key": ["1"], "values": {"id": "1"}, "guard": None}])
        stamp.send(wider, [{"item": 51, "key": ["1"], "values": {"id": "1", "colour": "red"}, "guard": None}])
        stamp.send(item, [{**row, "item": 52}], migration="another")
        stamp.send(item, [{**row, "item": 53}], direction="reverse")
        stamp.send(item, [{**row, "item": 54}], timeline=2)
    assert repairer.outcomes([row["item"], 50, 51, 54]) == ["skipped_owner", "skipped_schema", "skipped_schema", "skipped_ring"]
    assert len(repairer.audit()) == 4, "what is for another migration or direction is none of ours"
    assert (1, "wrong") in one.new_sql(ROWS)


def test_what_is_not_signed_changes_nothing(flow):
    one = flow(ITEM)
    repairer = begin(one)
    plant(one, "UPDATE item SET note = 'wrong' WHERE id = 1")
    with repairer.stamp() as stamp:
        row = stamp.row(item, ("1",))
        stamp.send(item, [row], secret="guessed")
        stamp.send_bytes(b"")
        stamp.send_bytes(b"0" * 64 + b" rubbish")
        stamp.send_bytes(b"\0\xff" * 500)
        secret = stamp.session.execute("SELECT secret FROM switchback.signing_key").fetchone()[0]
        for record in (b"", b"\x02", bytes(range(256))):
            stamp.send_bytes(hashlib.sha256(secret.encode() + record).hexdigest().encode() + b" " + record)
        stamp.send(item, [row], snapshot="no snapshot")
    one.settle()
    assert repairer.audit() == [] and (1, "wrong") in one.new_sql(ROWS)
    log = one.product.log.read_text()
    assert log.count("it is not signed by the source") == 4 and log.count("an image of rows is left out") == 8, log


def test_another_role_can_neither_read_the_key_nor_forge_an_image(flow):
    one = flow(ITEM)
    repairer = begin(one)
    for cluster, table in ((one.old, "signing_key"), (one.new, "signature")):
        cluster.sql("CREATE ROLE forger LOGIN")
        try:
            cluster.sql("GRANT USAGE ON SCHEMA switchback TO forger", db=one.db)
            with pytest.raises(Exception, match="permission denied"):
                cluster.sql(f"SELECT secret FROM switchback.{table}", db=one.db, user="forger")
            if cluster is one.old:
                cluster.sql("SELECT pg_logical_emit_message(true, 'switchback.image', %s::bytea)", b"a" * 64 + b" x", db=one.db, user="forger")
                one.settle()
                assert one.product.log_contains("it is not signed by the source") and repairer.audit() == []
        finally:
            cluster.sql("DROP OWNED BY forger", db=one.db)
            cluster.sql("DROP ROLE forger")


# -- shapes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unique", ["UNIQUE", "UNIQUE DEFERRABLE INITIALLY DEFERRED"])
def test_values_of_a_unique_constraint_change_their_rows(flow, unique):
    one = flow(SLOT.format(unique=unique))
    one.sql("INSERT INTO slot SELECT g, g, 'x' FROM generate_series(1, 9) g")
    one.settle()
    repairer = Repairer(one.product)
    repairer.want()
    plant(one, "UPDATE slot SET place = -place WHERE id IN (1, 2, 3)", "UPDATE slot SET place = 2 WHERE id = 1",
          "UPDATE slot SET place = 3 WHERE id = 2", "UPDATE slot SET place = 1 WHERE id = 3",  # a circle
          "UPDATE slot SET place = 40 WHERE id = 4", "UPDATE slot SET place = 4 WHERE id = 5",  # a chain, worst order first
          "DELETE FROM slot WHERE id = 6", "INSERT INTO slot VALUES (60, 6, 'extra')")  # an extra row in the way
    items = repairer.repair(slot, ("60",), *((str(key),) for key in (1, 2, 3, 4, 5, 6, 7)))
    assert repairer.outcomes(items) == [APPLIED] * 7 + ["noop_equal"]
    one.equal()
    repairer.audit()


def test_what_the_target_refuses_does_not_stand_in_the_way(flow):
    one = flow(SLOT.format(unique="UNIQUE"), new_structure=SLOT.format(unique="UNIQUE") + "; ALTER TABLE slot ADD CHECK (note <> 'forbidden') NOT VALID")
    one.sql("INSERT INTO slot SELECT g, g, 'x' FROM generate_series(1, 5) g")
    one.settle()
    repairer = Repairer(one.product)
    repairer.want()
    plant(one, "UPDATE slot SET place = 100, note = 'wrong' WHERE id = 1", "DELETE FROM slot WHERE id = 2", "INSERT INTO slot VALUES (20, 2)",
          "DELETE FROM slot WHERE id = 3")
    with repairer.stamp() as stamp:
        rows = [stamp.row(slot, (str(key),)) for key in (1, 2, 3)]
        rows[0]["values"]["note"] = "forbidden"
        rows.append({"item": 70, "key": ["x"], "values": {"id": "x", "place": "1", "note": None}, "guard": None})
        stamp.send(slot, rows)
    assert repairer.outcomes([row["item"] for row in rows]) == ["skipped_refused", "skipped_refused", APPLIED, "skipped_refused"]
    assert [row["sqlstate"] for row in repairer.audit()] == ["23514", "23505", "", "22P02"]
    assert one.new_sql("SELECT id FROM slot ORDER BY id") == [(1,), (3,), (4,), (5,), (20,)]
    one.settle()


WIDE = """
CREATE TABLE wide (b text, a int, v int, note text, PRIMARY KEY (a, b)) PARTITION BY LIST (a);
CREATE TABLE wide_1 PARTITION OF wide FOR VALUES IN (1); CREATE TABLE wide_2 PARTITION OF wide DEFAULT"""
WIDE_THERE = """
CREATE TABLE wide (mine text DEFAULT 'kept', note text, a int, twice int GENERATED ALWAYS AS (v * 2) STORED, v int, b text, PRIMARY KEY (b, a));
CREATE TABLE counted (v text, id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)"""
COUNTED = "CREATE TABLE counted (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text)"
wide, counted = Table("wide", ["b", "a", "v", "note"], ["b", "a"]), Table("counted", ["id", "v"], ["id"])


def test_rows_are_written_as_apply_writes_them(flow):
    """Partitioned or not, columns in another order, of the target's own, generated, and an identity that is always generated."""
    one = flow(f"{WIDE}; {COUNTED}", new_structure=WIDE_THERE)
    one.sql("INSERT INTO wide SELECT 'k' || g, g % 3, g, 'é' FROM generate_series(1, 9) g")
    one.sql("INSERT INTO counted (v) SELECT g FROM generate_series(1, 5) g")
    one.settle()
    repairer = Repairer(one.product)
    repairer.want()
    plant(one, "UPDATE wide SET mine = 'own'", "UPDATE wide SET v = 0 WHERE v < 3", "DELETE FROM wide WHERE v = 4",
          "UPDATE counted SET v = 'wrong' WHERE id = 1", "DELETE FROM counted WHERE id = 2")
    items = repairer.repair(wide, ("k1", "1"), ("k2", "2"), ("k4", "1"), ("k5", "2"))
    more = repairer.repair(counted, ("1",), ("2",))
    assert repairer.outcomes(items + more) == [APPLIED, APPLIED, APPLIED, "noop_equal", APPLIED, APPLIED]
    one.equal()
    assert one.new_sql("SELECT v, twice, mine FROM wide WHERE v IN (1, 2, 4) ORDER BY v") == [(1, 2, "own"), (2, 4, "own"), (4, 8, "kept")]
    with repairer.stamp() as stamp:  # the key's order is another one in the stream than here
        row = stamp.row(wide, ("k1", "1"))
        one.sql("UPDATE wide SET v = 77 WHERE b = 'k1'")
        stamp.send(wide, [row])
    assert repairer.outcomes([row["item"]]) == ["skipped_newer"]
    one.equal()


def test_a_table_whose_old_rows_travel_whole_can_be_repaired(flow):
    one = flow(f"{ITEM}; ALTER TABLE item REPLICA IDENTITY FULL")
    repairer = begin(one)
    plant(one, "UPDATE item SET note = 'wrong' WHERE id = 1")
    assert repairer.outcomes(repairer.repair(item, ("1",))) == [APPLIED]
    with repairer.stamp() as stamp:
        row = stamp.row(item, ("2",))
        one.sql("UPDATE item SET note = 'newer' WHERE id = 3")
        stamp.send(item, [row])
    assert repairer.outcomes([row["item"]]) == ["skipped_newer"], "which key it touched is not known"
    one.equal()


def test_a_large_row_is_written_whole(flow):
    one = flow(ITEM)
    repairer = begin(one)
    one.sql("UPDATE item SET note = repeat('0123456789abcdef', 250000) WHERE id = 1")
    one.settle()
    plant(one, "UPDATE item SET note = note || '!' WHERE id = 1")
    assert repairer.outcomes(repairer.repair(item, ("1",))) == [APPLIED]
    one.equal()
    (row,) = repairer.audit()
    assert (len(row["before"]["note"]), len(row["after"]["note"])) == (4000001, 4000000)


def test_while_the_initial_copy_is_not_passed_no_image_is_judged(clusters, switchback):
    old, new = clusters(15, "old"), clusters(15, "new")
    for cluster in (old, new):
        cluster.sql(ITEM)
    old.sql("INSERT INTO item SELECT g, 'old', 0 FROM generate_series(1, 10) g")
    product = switchback(old, new, config={"copy": {"initial": True}})
    product.ok("prepare")
    repairer = Repairer(product)
    repairer.want(wait=False)
    product.start("capture")
    with repairer.stamp() as stamp:
        row = stamp.row(item, ("1",))
        stamp.send(item, [row])  # in the stream before the copy has read the row
    old.sql("UPDATE item SET note = 'copied' WHERE id = 1")
    product.start("copy")
    wait_until(lambda: new.sql("SELECT 1 FROM switchback.copy WHERE state = 'complete'"), 60, "the copy")
    assert new.value("SELECT note FROM item WHERE id = 1") == "copied"
    product.start("apply")
    assert repairer.outcomes([row["item"]]) == ["skipped_ring"]
    product.wait_caught_up()
    compare.assert_equal(old, new)
    new.sql("UPDATE item SET note = 'wrong' WHERE id = 2")
    assert repairer.outcomes(repairer.repair(item, ("2",))) == [APPLIED]
