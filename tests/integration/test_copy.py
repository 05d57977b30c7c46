"""The initial copy on real servers: exact under load, resumable, and what it refuses."""

import contextlib
import os
import pty
import subprocess

import pytest

from sbtest import compare, copyload
from sbtest.product import program
from sbtest.wait import wait_until
from sbtest.writers import Load

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


@pytest.mark.parametrize("majors", [(14, 18), (18, 15), (17, 14)])
def test_a_copy_between_versions(clusters, switchback, majors):
    old, new = (clusters(major, name) for major, name in zip(majors, ("old", "new")))
    copyload.fill(old, 300)
    copyload.make_tables(new)
    product = switchback(old, new, config={"copy": {"initial": True, "chunk_rows": 100}})
    product.ok("prepare")
    with Load(old, copyload.step(300), writers=2, pause=0.005) as load:
        product.run()
        wait_complete(new, product)
        wait_until(lambda: load.done > 50, 60, "some load")
    assert_exact(old, new, product)


def test_columns_that_differ_travel_by_name(clusters, switchback):
    """Other types, another order, columns of the target's own, generated on one side, names that need quotes."""
    old, new = clusters(15, "old"), clusters(15, "new")
    old.sql('CREATE TABLE "Odd "" one" (id int PRIMARY KEY, "sel ect" smallint, v int, doubled int GENERATED ALWAYS AS (v * 2) STORED, gone text)')
    old.sql('ALTER TABLE "Odd "" one" DROP COLUMN gone')
    new.sql('CREATE TABLE "Odd "" one" (own text DEFAULT \'own\', v bigint, "sel ect" int, doubled int, id bigint PRIMARY KEY)')
    new.sql('ALTER TABLE "Odd "" one" DROP COLUMN doubled')
    new.sql('ALTER TABLE "Odd "" one" ADD COLUMN doubled bigint GENERATED ALWAYS AS (v * 2) STORED')
    old.sql('INSERT INTO "Odd "" one" SELECT g, g % 7, g * 1000 FROM generate_series(1, 500) g')
    product = switchback(old, new, config={"copy": {"initial": True, "chunk_rows": 50}})
    product.ok("prepare")
    product.run()
    wait_complete(new, product)
    old.sql('UPDATE "Odd "" one" SET v = v + 1 WHERE id % 10 = 0')
    assert_exact(old, new, product)
    assert new.value('SELECT count(*) FROM "Odd "" one" WHERE own = \'own\'') == 500
    assert new.value("SELECT count(*) FROM switchback.chunk") > 2


def test_the_copy_alone_ends_by_itself_and_says_how_far_it_is(pair):
    old, new, product = pair
    product.ok("prepare")
    stage = product.start("copy")
    assert stage.wait(120) == 0
    assert new.value(STATE) == "complete"
    assert product.log_contains(r"of 17 tables, \d+ of about \d+ rows, ")
    again = product.start("copy")
    assert again.wait(30) == 0 and product.log_contains("complete already")
    product.run()
    assert_exact(old, new, product)


def test_a_terminal_gets_a_progress_bar(pair):
    old, new, product = pair
    product.ok("prepare")
    ours, theirs = pty.openpty()
    shown = []
    with subprocess.Popen(
        [program(), "-c", product.config_file, "copy"], env=product.environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=theirs,
    ) as copy:
        os.close(theirs)
        with contextlib.suppress(OSError):  # EIO: the last one who had the terminal is gone
            while more := os.read(ours, 65536):
                shown.append(more.decode(errors="replace"))
        assert copy.wait(60) == 0
    os.close(ours)
    assert "\r[" in "".join(shown) and " rows/s" in "".join(shown), shown


def test_without_an_initial_copy_nothing_is_copied(clusters, switchback):
    old, new = clusters(15, "old"), clusters(15, "new")
    for server in (old, new):
        server.sql("CREATE TABLE item (id int PRIMARY KEY)")
        server.sql("INSERT INTO item VALUES (1)")
    product = switchback(old, new)
    product.ok("prepare")
    assert new.value(STATE) == "none"
    product.run()
    product.wait_state("apply-forward", "running", 30)
    old.sql("INSERT INTO item VALUES (2)")
    assert_exact(old, new, product)


def test_a_server_in_smart_shutdown_is_left_at_once(pair):
    old, new, product = pair
    product.configure(copy={"max_rate_bytes_s": 2000})
    product.ok("prepare")
    product.start("copy")
    wait_until(lambda: new.sql(CHUNKS), 60, "a chunk")
    old.stop(mode="smart", timeout=20)
    old.start()
    product.configure(copy={"max_rate_bytes_s": 0})
    product.stop()
    product.run()
    wait_until(lambda: new.value(STATE) == "complete", 60, "the initial copy to be complete")
    assert_exact(old, new, product)


def test_check_says_that_a_target_is_not_empty(clusters, switchback):
    old, new = clusters(15, "old"), clusters(15, "new")
    for server in (old, new):
        server.sql("CREATE TABLE item (id int PRIMARY KEY)")
    new.sql("INSERT INTO item VALUES (1)")
    product = switchback(old, new, config={"copy": {"initial": True}})
    done = product.refuses("SB-TARGET-NOT-EMPTY", "check", code=1)
    assert 'TRUNCATE "public"."item";' in done.out
    assert product.verb("prepare").code == 1 and new.sql("SELECT FROM pg_namespace WHERE nspname = 'switchback'") == []
    new.sql("TRUNCATE item")
    product.ok("prepare")
    new.sql("INSERT INTO item VALUES (1)")
    product.ok("check")  # prepared: from here on the copy itself looks
