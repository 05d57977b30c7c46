"""Two servers for the initial copy, and what every test of it ends with."""

from sbtest import compare, process
from sbtest.wait import wait_until

STATE = "SELECT state FROM switchback.copy WHERE migration = 'shop' AND direction = 'forward'"
ASIDE = "SELECT count(*) FROM switchback.aside"
LEDGER = "SELECT relation, lower_bound, upper_bound, snapshot, flushed_past::text, rows, digest FROM switchback.chunk"


def make_pair(clusters, switchback, tables, rows=(), old=None, major=15, ddl="apply", broker=None, prepare=True, more=None, **copy):
    """Two crashable clusters with these tables, the old one's filled; prepared (if told so), nothing running."""
    servers = clusters(major, "old", fsync=True, settings=old or {}), clusters(15, "new", fsync=True)
    for server in servers:
        for statement in tables:
            server.sql(statement)
    for statement in rows:
        servers[0].sql(statement)
    capture = {"heartbeat_interval_ms": 300, "feedback_interval_ms": 50}
    product = switchback(*servers, broker=broker, config={"copy": {"initial": True, **copy}, "capture": capture, "ddl": {"policy": ddl}, **(more or {})})
    if prepare:
        product.ok("prepare")
    return *servers, product


def ledger(new):
    return {tuple(row[:3]): row for row in new.sql(LEDGER)}


def finish(old, new, product, timeout=120):
    """The rest of the copy and of the stream; everything must be equal, and nothing have been in conflict."""
    wait_until(lambda: new.value(STATE) == "complete", timeout, "the initial copy to be complete")
    wait_until(lambda: new.value(ASIDE) == 0, timeout, "the tables set aside to be given back")
    product.wait_caught_up(timeout)
    compare.assert_equal(old, new)
    assert new.sql("SELECT kind, relation, key, resolution FROM switchback.conflict LIMIT 5") == []


def frozen(stage):
    """Until the stage has stopped itself at its fault point."""
    wait_until(lambda: process.stat(stage.pid)[1] == "T", 60, f"{stage} to freeze")


def wait_again(new, table, timeout=60):
    """Until a wish for the table has been taken, its rows are copied, and it is given back."""
    asked = "SELECT count(*) FROM switchback.copy_wish WHERE relation = %s AND done_at IS NULL"
    wait_until(lambda: new.value(asked, table) == 0, timeout, f"the wish for {table} to be taken")
    wait_until(lambda: new.value(STATE) == "complete", timeout, f"{table} to be copied again")
    wait_until(lambda: new.value(ASIDE) == 0, timeout, f"{table} to be given back")
