"""A populated old database and an empty new one: the initial copy brings structure and rows, under load, and in the end
the two are the same to pg_dump and row by row."""

from sbtest import compare, richdb
from sbtest.servers import installed
from sbtest.wait import wait_until
from sbtest.writers import Load

ROWS = 1500
COPY = "SELECT state || ' ' || structure FROM switchback.copy WHERE migration = 'shop' AND direction = 'forward'"


def wait_whole(new, product, timeout=120):
    def whole():
        assert not product.log_contains("level=error"), "a stage failed"
        return new.value(COPY) == "complete complete"

    wait_until(whole, timeout, "the structure to be whole")


def assert_exact(old, new, product, programs):
    product.wait_caught_up(120)
    compare.assert_equal(old, new)
    richdb.assert_same_structure(old, new, programs)
    assert new.sql("SELECT kind, relation, key FROM switchback.conflict LIMIT 5") == []


def test_everything_arrives_under_load(clusters, switchback):
    old, new = clusters(15, "old"), clusters(15, "new")
    richdb.fill(old, ROWS)
    product = switchback(old, new, config={"copy": {"initial": True, "chunk_rows": 100}})
    assert "initial copy makes them" in product.ok("check").out
    product.ok("prepare")
    assert new.value(COPY) == "pending pending"
    with Load(old, richdb.step(ROWS), writers=3) as load:
        product.run()
        wait_whole(new, product)
        wait_until(lambda: load.failure or load.done > 300, 60, "some load")
    assert_exact(old, new, product, installed()[15])
    chunks = dict(new.sql("SELECT relation, count(*) FROM switchback.chunk GROUP BY 1"))
    assert chunks['"public"."seat"'] > 5, "a table with a second unique constraint was not cut"
    assert new.value("SELECT count(*) FROM spent") > 0 and new.value("SELECT count(*) FROM spent_much") > 0
    ahead = "SELECT last_value FROM tickets"
    wait_until(lambda: new.value(ahead) > old.value(ahead), 30, "the sequence to be ahead")
    assert new.value("SELECT last_analyze IS NOT NULL FROM pg_stat_user_tables WHERE relname = 'person'")
    assert product.status()["standing"]
