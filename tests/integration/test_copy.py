"""The initial copy on real servers: exact under load, resumable, and what it refuses."""

import pytest

from sbtest import compare, copyload
from sbtest.writers import Load
from sbtest.wait import wait_until

ROWS = 2000
STATE = "SELECT state FROM switchback.copy WHERE migration = 'shop' AND direction = 'forward'"
CHUNKS = "SELECT relation, lower_bound, upper_bound, snapshot, digest, copied_at FROM switchback.chunk"


@pytest.fixture
def pair(clusters, switchback):
    """Two servers with the same tables, the old one's filled; a migration with an initial copy, not prepared yet."""
    old, new = clusters(15, "old"), clusters(15, "new")
    copyload.fill(old, ROWS)
    copyload.make_tables(new)
    return old, new, switchback(old, new, config={"copy": {"initial": True, "chunk_rows": 200}})


def wait_complete(new, product, timeout=120):
    def complete():
        assert not product.log_contains("level=error"), "a stage failed"
        return new.value(STATE) == "complete"

    wait_until(complete, timeout, "the initial copy to be complete")


def assert_exact(old, new, product):
    """Everything is there, and nothing of it had to be resolved."""
    product.wait_caught_up(120)
    compare.assert_equal(old, new)
    assert new.sql("SELECT kind, relation, key, resolution FROM switchback.conflict LIMIT 5") == []


def test_a_copy_under_load_ends_equal(pair):
    old, new, product = pair
    product.ok("prepare")
    with Load(old, copyload.step(ROWS), writers=3) as load:
        product.run()
        wait_complete(new, product)
        wait_until(lambda: load.done > 300, 60, "some load")
    assert_exact(old, new, product)
    chunks = dict(new.sql("SELECT relation, count(*) FROM switchback.chunk GROUP BY 1"))
    assert chunks['"public"."numbers"'] > 5 and chunks['"public"."moments"'] > 5 and chunks['"public"."parts"'] > 5
    assert all(chunks[f'"public"."{whole}"'] == 1 for whole in ("spelled", "slots", "fulls", "journal", "nothing"))
    assert new.value("SELECT count(DISTINCT snapshot) FROM switchback.chunk") > 10, "all chunks have one stamp"
    copied = new.value("SELECT sum(rows) FROM switchback.chunk")
    assert copied > ROWS * 8 and new.value("SELECT rows FROM switchback.copy") == copied
    status = product.status()
    assert status["directions"][0]["stages"]["copy"]["state"] == "done" and status["standing"], status
    assert status["directions"][0]["initial_copy"]["rows"] == copied
