"""Exact mode is the oracle: random histories through sets and through exact mode give the same tables, the same conflicts,
the same progress — and, where nobody interfered, the source's tables."""

import os
import pathlib

import psycopg
import pytest

from sbtest import compare
from sbtest.history import SCHEMA, TABLES, History
from sbtest.wait import wait_until

SQL = pathlib.Path(__file__).parents[2] / "schemas/sql"
SEED = int(os.environ.get("SB_SEED", "20261124"))


def second_target(first, new, other, migration):
    """A second database that follows the same stream: its control schema and progress row are copied from the first's."""
    other.sql((SQL / "both.sql").read_text())
    other.sql((SQL / "target.sql").read_text())
    stream, source = new.sql("SELECT stream_uuid, source_uuid FROM switchback.progress")[0]
    other.sql(
        "INSERT INTO switchback.progress (migration, direction, stream_uuid, source_uuid) VALUES (%s, 'forward', %s, %s)",
        migration, stream, source,
    )
    other.sql("SELECT pg_replication_origin_create(%s)", f"switchback_{migration}_forward")


@pytest.fixture
def pair(clusters, switchback):
    """Old, two news (sets, exact), prepared, capture running, nothing applied yet."""
    old, sets, exact = (clusters(15, name, settings={"wal_level": "logical"}) for name in ("old", "sets", "exact"))
    for cluster in (old, sets, exact):
        cluster.sql(SCHEMA)
    product = switchback(old, sets)
    product.ok("prepare")
    oracle = switchback(old, exact, migration="shop2", config={"apply": {"mode": "exact"}})
    stream = pathlib.Path(product.config["state_dir"]) / "forward.db"
    oracle.configure(migration="shop", stream={"path": str(stream)})
    second_target(product, sets, exact, "shop")
    product.start("capture")
    return old, sets, exact, product, oracle


def run_history(old, seed, count):
    history = History(seed)
    with psycopg.connect(old.dsn()) as connection:
        for _ in range(count):
            history.transaction(connection)


def caught_up(cluster, lsn):
    return cluster.value("SELECT count(*) FROM switchback.progress WHERE commit_lsn >= %s::pg_lsn", lsn) == 1


def follow(old, sets, exact, product, oracle):
    lsn = old.value("SELECT pg_current_wal_insert_lsn()")
    old.sql("SELECT pg_logical_emit_message(true, 'switchback.test', 'end')")
    stages = [product.start("apply"), oracle.start("apply")]
    for cluster, stage in zip((sets, exact), stages):
        wait_until(lambda: caught_up(cluster, lsn) or not stage.running(), 60, f"{cluster} follows up to {lsn}")
    for stage in stages:
        assert stage.stop() == 0


def conflicts(cluster):
    return cluster.sql("SELECT kind, relation, key, commit_lsn, ordinal FROM switchback.conflict ORDER BY commit_lsn, ordinal, kind")


def progress(cluster):
    return cluster.sql("SELECT epoch, sequence, commit_lsn, chain, transactions, changes, conflicts FROM switchback.progress")


@pytest.mark.parametrize("seed", [SEED, SEED + 1, SEED + 2])
def test_sets_and_exact_mode_give_the_source(pair, seed):
    old, sets, exact, product, oracle = pair
    run_history(old, seed, 400)
    follow(*pair)
    compare.assert_equal(old, sets, tables=TABLES)
    compare.assert_equal(old, exact, tables=TABLES)
    assert progress(sets) == progress(exact)
    assert conflicts(sets) == conflicts(exact) == []


def test_sets_and_exact_mode_find_the_same_conflicts(pair):
    """Rows are taken away and put in the way on both targets alike: same conflicts, same outcome."""
    old, sets, exact, product, oracle = pair
    for one in (product, oracle):
        one.configure(apply={"conflict": "owner"})
    run_history(old, SEED + 10, 60)
    follow(*pair)
    for cluster in (sets, exact):
        cluster.sql("DELETE FROM account WHERE id % 3 = 0; DELETE FROM wide WHERE id % 4 = 0; UPDATE pair SET data = '{}'")
        cluster.sql("INSERT INTO left_one SELECT g, -1 FROM generate_series(0, 24) g ON CONFLICT DO NOTHING")
        cluster.sql("INSERT INTO full_keyed SELECT g, 'stray' FROM generate_series(0, 24, 5) g ON CONFLICT DO NOTHING")
    run_history(old, SEED + 11, 120)
    follow(*pair)
    assert conflicts(sets), "nothing was in conflict: the test does not test"
    assert conflicts(sets) == conflicts(exact)
    assert progress(sets) == progress(exact)
    compare.assert_equal(sets, exact, tables=TABLES)
