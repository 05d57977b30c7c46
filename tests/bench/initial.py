"""A populated old database and an empty new one, and how long until the new one holds all of it: schema, rows, indexes,
constraints. `pgcopydb clone` beside switchback, with the same number of jobs."""

import itertools
import os
import subprocess

from sbtest import compare
from sbtest.product import Switchback
from sbtest.servers import Cluster, server
from sbtest.wait import wait_until

import readers
from workloads import FRESH, MAJOR, pgbench

SCALE, BULK_ROWS = 10, 2000000
JOBS = 4
_turns = itertools.count()
TABLES = ["pgbench_accounts", "pgbench_branches", "pgbench_history", "pgbench_tellers", "bulk"]
ROWS = 100000 * SCALE + BULK_ROWS + 11 * SCALE
BULK = [
    "CREATE TABLE bulk (id int PRIMARY KEY, a int, b text, c timestamptz, d numeric, e bool)",
    "INSERT INTO bulk SELECT g, g, " + FRESH.format(rows=BULK_ROWS),
    "CREATE INDEX ON bulk (a)",
    "CREATE INDEX ON bulk (c)",
]
WHOLE = (
    "SELECT EXISTS (SELECT FROM switchback.copy WHERE state = 'complete' AND structure = 'complete')"
    " AND to_regclass('bulk') IS NOT NULL"
)


def _cluster(folder, name):
    cluster = Cluster(folder, MAJOR, name, settings=readers.SETTINGS)
    cluster.start()
    return cluster


def _populate(old):
    pgbench(old, "-i", "-I", "dtgpf", "-q", "-s", str(SCALE))
    for statement in BULK:
        old.sql(statement)
    old.sql("VACUUM ANALYZE")
    old.sql("CHECKPOINT")


def _pgcopydb(folder, old, new):
    words = ["pgcopydb", "clone", "--source", old.dsn(), "--target", new.dsn(), "--dir", folder / "pgcopydb",
             "--table-jobs", str(JOBS), "--index-jobs", str(JOBS)]
    env = {**os.environ, "PATH": f"{server(MAJOR).bin}:{os.environ['PATH']}"}
    subprocess.run(list(map(str, words)), check=True, capture_output=True, env=env, timeout=readers.WAIT_S)


def _switchback(folder, old, new):
    """From `run` on until the new side is whole. `prepare` comes before: what it makes is for following, not for copying."""
    product = Switchback(
        folder, old, new, migration="initial",
        config={"copy": {"initial": True, "jobs": JOBS}, "reverse": {"enabled": False}, "log": {"level": "info"}},
    )

    product.ok("prepare")

    def whole():
        product.run()
        with new.connect() as session:
            wait_until(lambda: session.execute(WHOLE).fetchone()[0], readers.WAIT_S, "the copy", every=0.05, longest=0.05)

    seconds = readers.timed(whole)
    product.stop()
    product.ok("remove", "--yes")
    product.close()
    return seconds


def measure(folder):
    """Seconds by who copied."""
    clusters = []
    try:
        for name in ("old", "theirs", "ours"):
            clusters.append(_cluster(folder, name))
        old, theirs, ours = clusters
        _populate(old)
        copies = {
            "pgcopydb": lambda: readers.timed(lambda: _pgcopydb(folder, old, theirs)), "ours": lambda: _switchback(folder, old, ours)}
        # Memory that the machine has not given out lately is slower: each goes first in turn.
        names = sorted(copies, reverse=next(_turns) % 2 == 0)
        seconds = {name: copies[name]() for name in names}
        for new in (theirs, ours):
            compare.assert_equal(old, new, tables=[("public", name) for name in TABLES])
        return seconds
    finally:
        for cluster in clusters:
            cluster.close()
