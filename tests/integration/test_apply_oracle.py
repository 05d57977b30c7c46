"""Exact mode is the oracle: random histories through sets and through exact mode give the same tables, the same conflicts,
the same progress — and, where nobody interfered, the source's tables.

SB_SEED=N chooses the first seed, SB_SEEDS=N how many histories are run on PostgreSQL 15 (three).
"""

import os
import pathlib
import random

import psycopg
import pytest

from sbtest import compare, history
from sbtest.wait import wait_until

SQL = pathlib.Path(__file__).parents[2] / "schemas/sql"
SEED = int(os.environ.get("SB_SEED", "20261124"))
ROUNDS = [(15, SEED + n) for n in range(int(os.environ.get("SB_SEEDS", "3")))] + [(14, SEED + 14), (18, SEED + 18)]
TABLES = history.TABLES


def second_target(new, other, migration):
    """A second database that follows the same stream: its control schema and progress row are copied from the first's."""
    other.sql((SQL / "both.sql").read_text())
    other.sql((SQL / "target.sql").read_text())
    stream, source, epoch = new.sql("SELECT stream_uuid, source_uuid, ownership_epoch FROM switchback.progress")[0]
    other.sql(
        "INSERT INTO switchback.progress (migration, direction, stream_uuid, source_uuid, ownership_epoch)"
        " VALUES (%s, 'forward', %s, %s, %s)",
        migration, stream, source, epoch,
    )
    other.sql("INSERT INTO switchback.ownership (migration, owner, epoch) VALUES (%s, 'old', %s)", migration, epoch)
    other.sql("SELECT pg_replication_origin_create(%s)", f"switchback_{migration}_forward")


@pytest.fixture
def pair(clusters, switchback):
    """pair(15): old, two news (sets, exact), prepared, capture running, nothing applied yet."""

    def make(major=15, **apply):
        old = clusters(15, "old")
        sets, exact = (clusters(major, name) for name in ("sets", "exact"))
        old.sql(history.source_schema())
        for cluster in (sets, exact):
            cluster.sql(history.target_schema())
        product = switchback(old, sets, config={"apply": apply})
        product.ok("prepare")
        oracle = switchback(old, exact, migration="shop2", config={"apply": {**apply, "mode": "exact"}})
        stream = pathlib.Path(product.config["state_dir"]) / "forward.db"
        oracle.configure(migration="shop", stream={"path": str(stream)})
        oracle.migration = "shop"
        second_target(sets, exact, "shop")
        product.start("capture")
        return old, product, oracle

    return make


def run_history(old, seed, count):
    some = history.History(seed)
    with psycopg.connect(old.dsn()) as connection:
        for _ in range(count):
            some.transaction(connection)


def follow(products):
    """Both apply all there is, or halt; returns who halted, at what."""
    old = products[0].old
    lsn = old.value("SELECT pg_current_wal_insert_lsn()::text")
    old.sql("SELECT pg_logical_emit_message(true, 'switchback.test', 'end')")
    began = [product.new.value("SELECT clock_timestamp()") for product in products]
    stages = [product.start("apply") for product in products]
    halted = [
        wait_until(lambda: done(product, stage, lsn, since), 60, f"{product} to follow up to {lsn}")
        for product, stage, since in zip(products, stages, began)
    ]
    for stage in stages:
        assert stage.stop() == 0
    return [lsn for lsn in halted if lsn is not True]


def done(product, stage, lsn, since):
    """True, or the commit at which it halted."""
    assert stage.running(), product.evidence()
    if product.new.sql("SELECT 1 FROM switchback.progress WHERE commit_lsn >= %s::pg_lsn", lsn):
        return True
    poison = product.new.sql("SELECT commit_lsn::text FROM switchback.poison WHERE found_at >= %s", since)
    return poison[0][0] if poison else None


def conflicts(product):
    return product.new.sql(
        "SELECT kind, relation, key, source_row, target_row, resolution, commit_lsn, ordinal, xid FROM switchback.conflict "
        "ORDER BY commit_lsn, ordinal, kind, resolution"
    )


def progress(product):
    return product.new.sql("SELECT epoch, sequence, commit_lsn, chain, transactions, changes, conflicts FROM switchback.progress")


def debts(product):
    return product.new.sql("SELECT relation, key, op, commit_lsn, ordinal FROM switchback.debt ORDER BY commit_lsn, ordinal, key")


def assert_same(product, oracle):
    assert progress(product) == progress(oracle)
    assert conflicts(product) == conflicts(oracle)
    assert debts(product) == debts(oracle)
    compare.assert_equal(product.new, oracle.new, tables=TABLES)


def batches(product):
    """(written in sets, gone exact): how the product wrote."""
    log = product.log.read_text()
    return log.count("batch written in sets"), log.count("batch goes exact")


@pytest.mark.parametrize("major, seed", ROUNDS)
def test_sets_and_exact_mode_give_the_source(pair, major, seed):
    """Batches of any size: a history has something in it now and then that no set can say."""
    rows = random.Random(seed).choice([2, 5, 10, 25, 60])
    old, product, oracle = pair(major, batch_max_rows=rows)
    run_history(old, seed, 1000)
    assert follow([product, oracle]) == []
    in_sets, gone_exact = batches(product)
    assert in_sets + gone_exact > 5 and (in_sets > 20 or rows > 10), f"{in_sets} batches in sets, {gone_exact} exact: the test does not test"
    assert conflicts(product) == []
    assert_same(product, oracle)
    compare.assert_equal(old, product.new, tables=TABLES)


TAMPERED = [
    "DELETE FROM account WHERE id % 3 = 0",
    "DELETE FROM wide WHERE id % 4 = 0",
    "DELETE FROM document_full WHERE id % 2 = 0",
    "DELETE FROM counted WHERE id % 2 = 0",
    "DELETE FROM duplicates WHERE a = 1",
    "DELETE FROM queue WHERE id % 5 = 0",
    "UPDATE pair SET data = '{}'",
    "INSERT INTO left_one SELECT g, -1 FROM generate_series(0, 24) g ON CONFLICT DO NOTHING",
    "INSERT INTO full_keyed SELECT g, 'stray' FROM generate_series(0, 24, 5) g ON CONFLICT DO NOTHING",
    "INSERT INTO folded VALUES ('AB', 'stray'), ('B', 'stray') ON CONFLICT DO NOTHING",
    "INSERT INTO spelled VALUES (2.0, 'stray') ON CONFLICT DO NOTHING",
]


def tampered(pair, **apply):
    """Rows are taken away, changed and put in the way on both targets alike, and the source goes on."""
    old, product, oracle = pair(**apply)
    run_history(old, SEED + 10, 60)
    assert follow([product, oracle]) == []
    for cluster in (product.new, oracle.new):
        for statement in TAMPERED:
            cluster.sql(statement)
    run_history(old, SEED + 11, 120)
    return product, oracle


def skip_to_the_end(product, oracle, most):
    """As an operator who leaves out whatever halts; how often that was."""
    for skipped in range(most):
        halted = follow([product, oracle])
        if not halted:
            return skipped
        assert len(set(halted)) == 1 and len(halted) == 2, f"they halt at different transactions: {halted}"
        assert_same(product, oracle)
        for one in (product, oracle):
            one.ok("poison", "skip", "--lsn", halted[0], "--reason", "a test")
    raise AssertionError(f"still halting after {most} transactions")


def test_sets_and_exact_mode_find_the_same_conflicts(pair):
    product, oracle = tampered(pair, conflict="owner", batch_max_rows=10)
    skip_to_the_end(product, oracle, 60)
    kinds = {row[0] for row in conflicts(product)}
    assert kinds >= {"insert_exists", "update_missing", "delete_missing"}, f"only {kinds}: the test does not test"
    assert batches(product)[0] > 5
    assert_same(product, oracle)


def test_sets_and_exact_mode_hold_at_the_same_conflicts(pair):
    product, oracle = tampered(pair, conflict="hold", batch_max_rows=10)
    halted = follow([product, oracle])
    assert len(halted) == 2 and halted[0] == halted[1]
    held = conflicts(product)
    assert [row[5] for row in held] == ["hold"]
    assert follow([product, oracle]) == halted, "held once, held again"
    assert conflicts(product) == held, "the same conflict was recorded twice"
    assert_same(product, oracle)


BLOCKED = "CREATE TABLE blocked (id int PRIMARY KEY, u int UNIQUE, d int UNIQUE DEFERRABLE, r int4range, EXCLUDE USING gist (r WITH &&))"


def test_a_row_in_the_way_is_the_same_conflict_in_both_modes(pair, clusters, switchback):
    """Immediate and deferrable unique constraints and an exclusion constraint, each with a stranger's row before it."""
    old, product, oracle = pair(conflict="owner")
    rows = [(1, 1, 1, "[1,2)"), (2, 2, 2, "[2,3)"), (3, 3, 3, "[3,4)"), (4, 4, 4, "[4,5)")]
    for cluster in (old, product.new, oracle.new):
        cluster.sql(BLOCKED)
    product.stop()
    product.ok("prepare")
    product.start("capture")
    for cluster in (product.new, oracle.new):
        cluster.sql("INSERT INTO blocked VALUES (100, 1, 100, NULL), (101, 101, 2, NULL), (102, 102, 102, '[3,4)')")
    for row in rows:
        old.sql("INSERT INTO blocked VALUES (%s, %s, %s, %s)", *row)
    assert skip_to_the_end(product, oracle, 5) == 3
    found = conflicts(product)
    assert [(row[0], row[2], row[5]) for row in found] == [
        ("multiple_unique_conflicts", {"id": str(id)}, "hold") for id in (1, 2, 3)
    ]
    assert found[1][4]["id"] == 101, "the row in the way of the deferrable constraint is named"
    assert product.new.sql("SELECT id FROM blocked ORDER BY id") == [(4,), (100,), (101,), (102,)]
    assert [(row[0], row[1]) for row in debts(product)] == [("public.blocked", {"id": str(id)}) for id in (1, 2, 3)]
    assert_same(product, oracle)
