"""A table is copied again, or added, while apply goes on with the others: set aside, followed by the side reader, and given
back. Nobody waits for it, and whoever dies, nothing is lost, twice or older than it should be."""

import contextlib
import random
import signal
import sqlite3
import time

import pytest

from copy_pair import ASIDE, STATE, finish, make_pair, wait_again
from sbtest import copyload, process
from sbtest.wait import wait_until
from sbtest.writers import Load

ROWS = 100000
RATE = 2500000  # the copy of the large table takes some seconds
TABLES = [
    "CREATE TABLE big (id int PRIMARY KEY, v int, pad text)",
    "CREATE TABLE other (id int PRIMARY KEY, v int)",
    "CREATE TABLE probe (id int PRIMARY KEY)",
]
FILL = [
    f"INSERT INTO big SELECT g, g, repeat('x', 60) FROM generate_series(1, {ROWS}) g",
    "INSERT INTO other SELECT g, g FROM generate_series(1, 1000) g", "ANALYZE",
]
CHUNKS = "SELECT count(*) FROM switchback.chunk WHERE relation LIKE '%%big%%'"
LANES = "SELECT lane, commit_lsn, changes FROM switchback.progress ORDER BY lane"


def changes(session, rng):
    """A transaction of the load: both tables in it, keys that move, rows that come and go."""
    key = rng.randrange(1, ROWS)
    session.execute("UPDATE big SET v = v + 1 WHERE id = %s", (key,))
    session.execute("UPDATE other SET v = v + 1 WHERE id = %s", (rng.randrange(1, 1000),))
    if rng.random() < 0.3:
        session.execute("UPDATE big SET id = %s WHERE id = %s", (rng.randrange(ROWS, ROWS * 2), key))
    if rng.random() < 0.3:
        session.execute("DELETE FROM big WHERE id = %s", (rng.randrange(1, ROWS),))
    if rng.random() < 0.3:
        session.execute("INSERT INTO big VALUES (%s, 0, 'new') ON CONFLICT DO NOTHING", (rng.randrange(ROWS * 2, ROWS * 3),))


def follow(old, new, number):
    """How long the other tables take to follow: a commit on the old side until it is on the new one."""
    began = time.monotonic()
    old.sql("INSERT INTO probe VALUES (%s)", number)
    wait_until(lambda: new.value("SELECT count(*) FROM probe WHERE id = %s", number) == 1, 30, "a commit on another table to follow")
    return time.monotonic() - began


def set_aside(new, timeout=60):
    wait_until(lambda: new.value(ASIDE) > 0, timeout, "the table to be set aside")


# -- the others


@pytest.mark.parametrize("added", [False, True], ids=["again", "added"])
def test_the_others_are_applied_while_a_large_table_is_copied(clusters, switchback, added):
    later, first = (TABLES[:1], TABLES[1:]) if added else ([], TABLES)
    rows = FILL[1:] if added else FILL
    old, new, product = make_pair(clusters, switchback, first, rows, ddl="ignore", chunk_rows=5000, jobs=1, max_rate_bytes_s=RATE)
    product.run()
    finish(old, new, product)
    for server in (old, new):
        for statement in later:
            server.sql(statement)
    if added:
        old.sql(FILL[0])
        old.sql("ANALYZE big")
        product.ok("prepare")
    before = 0 if added else old.value("SELECT count(*) FROM big")
    with Load(old, changes, writers=2, pause=0.01) as load:
        product.ok("copy", "--add" if added else "--again", "public.big")
        set_aside(new)
        wait_until(lambda: new.value(CHUNKS) > 0, 30, "the copy to begin")
        took = []
        for number in range(12):
            took.append(follow(old, new, number))
            assert new.value(STATE) == "pending", f"the copy was over before much could be seen: {took}"
        assert product.status()["directions"][0]["tables_aside"] == 1
        lanes = new.sql(LANES)
        assert [lane for lane, _, _ in lanes] == [0, 1] and lanes[0][1] > lanes[1][1], lanes
        assert new.value("SELECT count(*) FROM big") < max(before, ROWS), "it has all its rows already"
        wait_again(new, '"public"."big"', 120)
        done = load.done
        wait_until(lambda: load.done > done + 30, 30, "some more load")
    finish(old, new, product)
    assert max(took) < 5, took
    assert [lane for lane, _, _ in new.sql(LANES)] == [0]


# -- every kind of table


WISHES = [["numbers", "documents", "emptied"], ["moved", "fulls", "journal", "parts", "slots"], ["tagged", "documents", "counted", "moods"]]


def wild(clusters, switchback, broker=None):
    rows = 240
    old, new, product = make_pair(clusters, switchback, [], broker=broker, chunk_rows=20, jobs=2, max_rate_bytes_s=400000, prepare=False)
    copyload.fill(old, rows)
    copyload.make_tables(new)
    product.ok("prepare")
    product.run()
    return old, new, product, Load(old, copyload.wild_step(rows), writers=2, pause=0.01)


def test_every_kind_of_table_under_a_wild_load(clusters, switchback):
    old, new, product, load = wild(clusters, switchback)
    with load:
        wait_until(lambda: new.value(STATE) == "complete", 60, "the initial copy to be complete")
        for names in WISHES:
            for name in names:
                product.ok("copy", "--again", f"public.{name}")
            set_aside(new)
            for name in names:
                wait_again(new, f'"public"."{name}"', 120)
    finish(old, new, product)
    assert new.value("SELECT count(DISTINCT relation) FROM switchback.copy_wish WHERE key IS NULL AND done_at IS NOT NULL") == 11


def test_every_kind_of_table_over_kafka(clusters, switchback, brokers):
    old, new, product, load = wild(clusters, switchback, brokers())
    with load:
        wait_until(lambda: new.value(STATE) == "complete", 60, "the initial copy to be complete")
        for name in WISHES[0]:
            product.ok("copy", "--again", f"public.{name}")
        set_aside(new)
        product.kill_stage("apply-forward")
        for name in WISHES[0]:
            wait_again(new, f'"public"."{name}"', 120)
    finish(old, new, product)


# -- whoever dies


POINTS = {
    "apply-before-recopy": 1, "apply-after-recopy": 1, "apply-side-read": 40, "apply-before-merge": 1, "apply-after-merge": 1,
    "copy-after-plan": 1, "copy-before-commit": 2, "copy-after-commit": 2, "copy-before-complete": 1, "copy-after-complete": 1,
}
SMALL = [
    "CREATE TABLE big (id int PRIMARY KEY, v int, pad text)", "CREATE TABLE other (id int PRIMARY KEY, v int)",
    "CREATE TABLE log (at int, what text)",
]
SMALL_FILL = [
    "INSERT INTO big SELECT g, g, repeat('x', 100) FROM generate_series(1, 2000) g",
    "INSERT INTO other SELECT g, g FROM generate_series(1, 1000) g", "INSERT INTO log SELECT g, 'old' FROM generate_series(1, 100) g", "ANALYZE",
]


def small_changes(session, rng):
    key = rng.randrange(1, 2000)
    session.execute("UPDATE big SET v = v + 1 WHERE id = %s", (key,))
    session.execute("UPDATE other SET v = v + 1 WHERE id = %s", (rng.randrange(1, 1000),))
    session.execute("INSERT INTO log VALUES (%s, 'new')", (key,))
    if rng.random() < 0.3:
        session.execute("UPDATE big SET id = %s WHERE id = %s", (rng.randrange(2000, 9000), key))
    if rng.random() < 0.2:
        session.execute("DELETE FROM big WHERE id = %s", (rng.randrange(1, 2000),))


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_each_step(clusters, switchback, point):
    old, new, product = make_pair(clusters, switchback, SMALL, SMALL_FILL, chunk_rows=200, jobs=2)
    product.run()
    finish(old, new, product)
    product.stop()
    new.sql("UPDATE big SET v = 0")
    with Load(old, small_changes, writers=2, pause=0.005):
        product.ok("copy", "--again", "public.big")
        product.ok("copy", "--again", "public.log")
        faulty = product.run(fault=f"{point}:kill:{POINTS[point]}")
        product.wait_log("was killed by SIGKILL", 60)
        faulty.kill9()
        product.run()
        for name in ("big", "log"):
            wait_again(new, f'"public"."{name}"')
    finish(old, new, product)


def test_kills_at_random(clusters, switchback):
    old, new, product = make_pair(clusters, switchback, SMALL, SMALL_FILL, chunk_rows=100, jobs=2, max_rate_bytes_s=200000)
    rng, kills = random.Random(5), 0
    run = product.run()
    finish(old, new, product)
    with Load(old, small_changes, writers=2, pause=0.005):
        for _ in range(4):
            product.ok("copy", "--again", "public.big")
            set_aside(new)
            for _ in range(3):
                time.sleep(rng.uniform(0.05, 0.5))
                victim = rng.choice(["apply-forward", "copy-forward", "run"])
                aside = new.value(ASIDE) > 0
                if victim == "run":
                    run.kill9()
                    run = product.run()
                    kills += aside
                elif (pid := product._stage(victim)["pid"]) and process.send(pid, signal.SIGKILL):
                    kills += aside
            wait_again(new, '"public"."big"')
    finish(old, new, product)
    assert kills >= 6, "hardly anybody was killed while the table was aside"


# -- what is hard


def slow(clusters, switchback, rate=35000, **more):
    """The large table's first rows came through the stream, so that only its copy, from now on, takes some seconds."""
    old, new, product = make_pair(
        clusters, switchback, SMALL, SMALL_FILL[1:], chunk_rows=100, jobs=1, max_rate_bytes_s=rate, **more,
    )
    product.run()
    finish(old, new, product)
    old.sql(SMALL_FILL[0])
    old.sql("ANALYZE big")
    product.wait_caught_up()
    product.ok("copy", "--again", "public.big")
    set_aside(new)
    return old, new, product


FAMILY = [
    "CREATE TABLE parent (id int PRIMARY KEY, v int)", "CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent)",
    "CREATE TABLE loose (id int PRIMARY KEY)",
]
FAMILY_FILL = [
    "INSERT INTO parent SELECT g, g FROM generate_series(1, 2000) g", "INSERT INTO child SELECT g, g FROM generate_series(1, 2000) g",
    "INSERT INTO loose SELECT generate_series(1, 100)", "ANALYZE",
]


@pytest.mark.parametrize("name", ["parent", "child"])
def test_a_truncate_of_tables_of_which_some_are_aside(clusters, switchback, name):
    """Each lane empties its own, though they refer to one another."""
    old, new, product = make_pair(clusters, switchback, FAMILY, FAMILY_FILL, chunk_rows=100, jobs=1, max_rate_bytes_s=20000)
    product.run()
    finish(old, new, product)
    new.sql("DELETE FROM child WHERE id > 1990")
    product.ok("copy", "--again", f"public.{name}")
    set_aside(new)
    wait_until(lambda: new.value("SELECT count(*) FROM switchback.chunk WHERE relation LIKE %s", f"%{name}%") > 2, 30, "some chunks")
    old.sql("TRUNCATE parent, child, loose")
    old.sql("INSERT INTO parent SELECT g, -g FROM generate_series(1, 500) g")
    old.sql("INSERT INTO child SELECT g, g FROM generate_series(1, 500, 3) g")
    wait_until(lambda: new.value("SELECT count(*) FROM loose") == 0, 30, "the others to be emptied")
    assert new.value(ASIDE) == 1, "it came back before the TRUNCATE was applied"
    finish(old, new, product)


def test_ddl_of_a_table_aside_waits_for_it_and_is_run_once(clusters, switchback):
    """What concerns others does not wait."""
    old, new, product = slow(clusters, switchback)
    old.sql("CREATE TABLE unrelated (id int PRIMARY KEY)")
    old.sql("INSERT INTO unrelated VALUES (1)")
    wait_until(lambda: new.value("SELECT to_regclass('unrelated')") is not None, 30, "a table of no concern to be made")
    wait_until(lambda: new.value("SELECT count(*) FROM unrelated") == 1, 30, "its row")
    assert new.value("SELECT count(*) FROM switchback.copy_wish") == 1, "a table that was born in the stream is copied"
    assert new.value(STATE) == "pending", "the copy was over before"
    old.sql("UPDATE big SET v = -1 WHERE id < 50")
    old.sql("CREATE INDEX big_v ON big (v)")
    old.sql("UPDATE big SET v = v - 1 WHERE id BETWEEN 40 AND 60")
    product.wait_log("DDL waits until the tables set aside are given back")
    assert new.value(STATE) == "pending" and new.value("SELECT to_regclass('big_v')") is None
    finish(old, new, product)
    assert new.value("SELECT to_regclass('big_v')") == "big_v"
    assert new.value("SELECT count(*) FROM switchback.ddl WHERE state = 'applied' AND tag = 'CREATE INDEX'") == 1


def test_it_is_not_compared_while_it_is_aside(clusters, switchback):
    old, new, product = slow(clusters, switchback)
    done = product.verb("verify", "--json", timeout=120)
    assert new.value(ASIDE) == 1, "it was given back before it was looked at"
    states = {table["table"]: table["state"] for table in done.json()["tables"]}
    assert states["public.big"] == "not compared" and states["public.other"] == "equal", done.out
    assert done.code == 8
    finish(old, new, product)
    assert product.verb("verify", timeout=120).code == 0


def test_what_the_target_refuses_stops_apply_and_says_whose_lane_it_is(clusters, switchback):
    old, new, product = slow(clusters, switchback)
    wait_until(lambda: new.value(f"{CHUNKS} AND lower_bound IS NULL") == 1, 30, "the first chunk")
    new.sql("ALTER TABLE big ADD CONSTRAINT small CHECK (v < 1000000) NOT VALID")
    old.sql("UPDATE big SET v = 2000000 WHERE id = 5")
    old.sql("UPDATE other SET v = 2000000 WHERE id = 5")
    product.ok("pause")
    wait_until(lambda: product._stage("apply-forward")["state"] == "waiting", 30, "apply to pause")
    product.ok("resume")
    product.wait_halted("apply-forward", "SB-POISON", 60)
    assert new.sql("SELECT lane, relation, sqlstate FROM switchback.poison") == [(1, "public.big", "23514")]
    assert new.value("SELECT v FROM other WHERE id = 5") == 2000000, "the main lane was not ahead"
    new.sql("ALTER TABLE big DROP CONSTRAINT small")
    product.ok("resume")
    finish(old, new, product)
    assert new.sql("SELECT * FROM switchback.poison") == []


# -- the stream behind it


def positions(product):
    """Offsets of the oldest and the newest record that are kept."""
    with contextlib.closing(sqlite3.connect(f"file:{product.folder}/state/forward.db?mode=ro", uri=True, timeout=10)) as log:
        return log.execute("SELECT min(position), max(position) FROM record").fetchone()


def offset(new, lane):
    rows = new.sql("SELECT stream_offset FROM switchback.progress WHERE lane = %s", lane)
    assert rows, f"there is no lane {lane}"
    return rows[0][0]


def behind(clusters, switchback):
    """A table aside, and a stream that keeps nothing longer than it has to."""
    old, new, product = slow(clusters, switchback, more={"stream": {"retention_hours": 0}})
    with old.connect() as session:
        for number in range(150):
            session.execute("UPDATE big SET v = v + 1 WHERE id = %s", (number,))
            session.execute("UPDATE other SET v = v + 1 WHERE id = %s", (number,))
    wait_until(lambda: offset(new, 0) > offset(new, 1) + 500, 30, "the main lane to go ahead")
    return old, new, product


def test_the_stream_keeps_what_the_side_reader_needs(clusters, switchback):
    old, new, product = behind(clusters, switchback)
    needed = offset(new, 1) - 1

    def released():
        oldest = positions(product)[0]
        slowest = new.value("SELECT min(stream_offset) FROM switchback.progress")
        assert oldest < slowest, "what the slowest lane needs is gone"
        return oldest >= needed

    wait_until(released, 60, "what nobody needs to be released")
    finish(old, new, product)
    wait_until(lambda: positions(product)[0] > needed, 60, "the rest to be released")
    assert new.value("SELECT count(*) FROM switchback.copy_wish") == 1


def test_a_stream_that_lost_it_costs_one_more_copy(clusters, switchback):
    old, new, product = behind(clusters, switchback)
    product.stop()
    with contextlib.closing(sqlite3.connect(product.folder / "state/forward.db")) as log:
        log.execute("DELETE FROM record WHERE position < ?", (offset(new, 0) - 1,))
        log.commit()
    product.run()
    product.wait_log("copied once more", 90)
    finish(old, new, product)
    assert new.value("SELECT count(*) FROM switchback.copy_wish") == 2
