"""The exact live compare on real servers: every planted divergence is found, and none is invented, under load."""

import signal
import time

import pytest

from sbtest import copyload, process
from sbtest.verifying import DIFFERENT, EQUAL, INCOMPLETE, in_background, of_table, running, verify, waits_for_lock
from sbtest.wait import wait_until
from sbtest.writers import Load

ROWS = 2000


@pytest.fixture
def pair(clusters, switchback):
    old, new = clusters(15, "old"), clusters(15, "new")
    for server in (old, new):
        copyload.fill(server, ROWS)
    return old, new, running(switchback, old, new, verify={"chunk_rows": 300})


def test_under_load_nothing_is_invented(pair):
    old, new, product = pair
    compared, dirty, by_stream = 0, 0, 0
    hot = Load(old, lambda session, rng: session.execute("UPDATE slots SET slot = -slot WHERE id = 7"), writers=1, pause=0.005)
    with Load(old, copyload.step(ROWS, empties=0), writers=3, pause=0.05) as load, hot:
        wait_until(lambda: load.done > 50, 60, "some load")
        until = time.monotonic() + 180
        while time.monotonic() < until and (dirty <= 50 or by_stream == 0 or compared < 10 * ROWS):
            answer = verify(product, code=EQUAL)
            compared += answer["keys_compared"]
            dirty += sum(table["dirty"] for table in answer["tables"])
            by_stream += sum(table["by_stream"] for table in answer["tables"])
        done = load.done
    print(f"{compared} key comparisons, {dirty} dirty, {by_stream} by the stream, {done} transactions: 0 false differences")
    assert dirty > 50 and by_stream > 0, "no key was hot"


def test_the_target_may_be_beyond_what_the_source_showed(pair):
    """Between the two snapshots a commit arrives and is applied. It is no difference: the stream is read past it."""
    old, new, product = pair
    frozen = product.start("verify", "--json", "--table", "public.numbers", fault="reconcile-between-stamps:freeze:1")
    wait_until(lambda: process.stat(frozen.pid)[1] == "T", 60, "verify to stand between its stamps")
    for _ in range(5):  # the first commit beyond H is read in any case
        old.sql("INSERT INTO journal VALUES (1, 'between')")
    old.sql("UPDATE numbers SET v = v + 1 WHERE id = 3")
    changed = "SELECT v FROM numbers WHERE id = 3"
    wait_until(lambda: new.value(changed) == old.value(changed), 30, "the change to be applied")
    frozen.signal(signal.SIGCONT)
    assert frozen.wait(60) == EQUAL


# Tables that no load touches, so that what is planted on the target stays what it is.
COLD = """
CREATE TABLE cold (
    id int PRIMARY KEY, n numeric, f float8, t text, c char(6), u int UNIQUE, big text, at timestamptz, j jsonb, raw bytea,
    list int[], span interval, flag bool, ip inet, range int4range, m mood, doc json, bits varbit, r real, id2 uuid
);
ALTER TABLE cold ALTER big SET STORAGE EXTERNAL;
CREATE TABLE spelled_cold (k text COLLATE "und-x-icu", part text, v int, PRIMARY KEY (k, part));
CREATE TABLE halves (a text COLLATE "C", b text, PRIMARY KEY (a, b));
CREATE TABLE counted_cold (a int, b text);
CREATE TABLE fulls_cold (a int, b text);
ALTER TABLE fulls_cold REPLICA IDENTITY FULL;
CREATE TABLE parts_cold (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
CREATE TABLE parts_cold_low PARTITION OF parts_cold FOR VALUES FROM (MINVALUE) TO (1000);
CREATE TABLE parts_cold_high PARTITION OF parts_cold FOR VALUES FROM (1000) TO (MAXVALUE);
CREATE TABLE long_cold (id bigint PRIMARY KEY, v int);
"""
FILL_COLD = """
INSERT INTO cold SELECT g, 1.0, 0, 'text ' || g, 'c', g, repeat(md5(g::text), 400), '2026-01-01 00:00:00.5+00', '{"a": 1.0}',
    '\\x00ff', '{1,2}', '1 mon', true, '10.0.0.1', '[1,5)', 'ok', '{"a":1}', B'101', 1.5, md5(g::text)::uuid
    FROM generate_series(1, 2000) g;
UPDATE cold SET t = '' WHERE id = 4;
INSERT INTO spelled_cold SELECT 'Key ' || g % 100, g::text, g FROM generate_series(1, 1000) g;
INSERT INTO halves SELECT 'a' || g, 'b' FROM generate_series(1, 500) g;
INSERT INTO halves VALUES ('12', '3');
INSERT INTO counted_cold SELECT g % 10, 'same' FROM generate_series(1, 500) g;
INSERT INTO fulls_cold SELECT g % 10, 'same' FROM generate_series(1, 500) g;
INSERT INTO parts_cold SELECT g, g FROM generate_series(1, 2000) g;
INSERT INTO long_cold SELECT g, g FROM generate_series(1, 5000) g;
INSERT INTO numbers SELECT 1000000 + g, g, 'cold row in a hot table' FROM generate_series(1, 50) g;
"""
# name -> (what is done to the target, the table, what must be found: kind, key, columns)
CHANGED, MISSING, EXTRA = "changed", "missing", "extra"


def changed(ident, column):
    return {(CHANGED, ident, f'"{column}"')}


PLANTED = {
    "missing": ("DELETE FROM cold WHERE id = 1", "cold", {(MISSING, 1, None)}),
    "extra": ("INSERT INTO cold (id, t) VALUES (77777, 'extra')", "cold", {(EXTRA, 77777, None)}),
    "below the first key": ("INSERT INTO cold (id) VALUES (-5)", "cold", {(EXTRA, -5, None)}),
    "changed": ("UPDATE cold SET t = 'other' WHERE id = 3", "cold", changed(3, "t")),
    "NULL against ''": ("UPDATE cold SET t = NULL WHERE id = 4", "cold", changed(4, "t")),
    "-0.0": ("UPDATE cold SET f = '-0' WHERE id = 5", "cold", changed(5, "f")),
    "trailing space": ("UPDATE cold SET t = t || ' ' WHERE id = 6", "cold", changed(6, "t")),
    "numeric scale": ("UPDATE cold SET n = 1.00 WHERE id = 7", "cold", changed(7, "n")),
    "swapped unique values": (
        "UPDATE cold SET u = -1 WHERE id = 8; UPDATE cold SET u = 8 WHERE id = 9; UPDATE cold SET u = 9 WHERE id = 8", "cold",
        changed(8, "u") | changed(9, "u"),
    ),
    "last byte of a TOASTed value": (
        "UPDATE cold SET big = left(big, -1) || 'Z' WHERE id = 10", "cold", changed(10, "big")
    ),
    "microsecond": ("UPDATE cold SET at = at + interval '1 us' WHERE id = 11", "cold", changed(11, "at")),
    "jsonb scale": ("UPDATE cold SET j = '{\"a\": 1.00}' WHERE id = 12", "cold", changed(12, "j")),
    "interval that SQL calls equal": ("UPDATE cold SET span = '30 days' WHERE id = 13", "cold", changed(13, "span")),
    "bytea": ("UPDATE cold SET raw = '\\x00fe' WHERE id = 14", "cold", changed(14, "raw")),
    "array": ("UPDATE cold SET list = '{1,NULL}' WHERE id = 15", "cold", changed(15, "list")),
    "array bounds": ("UPDATE cold SET list = '[0:1]={1,2}' WHERE id = 16", "cold", changed(16, "list")),
    "bool": ("UPDATE cold SET flag = false WHERE id = 17", "cold", changed(17, "flag")),
    "inet": ("UPDATE cold SET ip = '10.0.0.1/31' WHERE id = 18", "cold", changed(18, "ip")),
    "range": ("UPDATE cold SET range = 'empty' WHERE id = 19", "cold", changed(19, "range")),
    "enum": ("UPDATE cold SET m = 'sad' WHERE id = 20", "cold", changed(20, "m")),
    "json spelling": ("UPDATE cold SET doc = '{\"a\": 1}' WHERE id = 21", "cold", changed(21, "doc")),
    "bits": ("UPDATE cold SET bits = B'1010' WHERE id = 22", "cold", changed(22, "bits")),
    "float4": ("UPDATE cold SET r = 1.5000001 WHERE id = 23", "cold", changed(23, "r")),
    "uuid": ("UPDATE cold SET id2 = NULL WHERE id = 24", "cold", changed(24, "id2")),
    "two columns": (
        "UPDATE cold SET t = 'x', n = 2 WHERE id = 25", "cold", {(CHANGED, 25, '"n", "t"')}
    ),
    "a whole chunk": (
        "DELETE FROM long_cold WHERE id BETWEEN 1001 AND 1600", "long_cold",
        {(MISSING, g, None) for g in range(1001, 1601)},
    ),
    "a partition": ("TRUNCATE parts_cold_low", "parts_cold", {(MISSING, g, None) for g in range(1, 1000)}),
    "in another partition": ("UPDATE parts_cold SET v = 0 WHERE id = 1500", "parts_cold", changed(1500, "v")),
    "a column boundary": (
        "UPDATE halves SET a = '1', b = '23' WHERE a = '12'", "halves",
        {(MISSING, ("12", "3"), None), (EXTRA, ("1", "23"), None)},
    ),
    "a key in another collation": (
        "UPDATE spelled_cold SET v = -1 WHERE part = '7'", "spelled_cold", {(CHANGED, ("Key 7", "7"), '"v"')}
    ),
    "a key spelled otherwise": (
        "UPDATE spelled_cold SET k = 'key 8' WHERE part = '8'", "spelled_cold",
        {(MISSING, ("Key 8", "8"), None), (EXTRA, ("key 8", "8"), None)},
    ),
    "a cold row of a hot table": ("UPDATE numbers SET v = -1 WHERE id = 1000007", "numbers", changed(1000007, "v")),
}
COUNTED = {  # tables without a key: rows that one side has more of
    "counted_cold": ("INSERT INTO counted_cold VALUES (3, 'same'), (3, 'same'), (99, 'new')", 3),
    "fulls_cold": ("DELETE FROM fulls_cold WHERE ctid IN (SELECT ctid FROM fulls_cold WHERE a = 4 LIMIT 2)", 2),
}


def run_all(server, script):
    for statement in script.split(";\n"):
        if statement.strip():
            server.sql(statement)


def key_of(difference):
    values = [int(value) if value.lstrip("-").isdigit() else value for value in (difference["key"] or {}).values()]
    return values[0] if len(values) == 1 else tuple((difference["key"] or {}).values())


@pytest.fixture(params=[(15, 15, False), (14, 18, True)], ids=str)
def cold_pair(clusters, switchback, request):
    """With sums of the servers' own, and without: then all rows travel."""
    *majors, sums = request.param
    old, new = (clusters(major, name) for major, name in zip(majors, ("old", "new")))
    for server in (old, new):
        copyload.fill(server, 500)
        run_all(server, COLD)
        run_all(server, FILL_COLD)
    return old, new, running(switchback, old, new, verify={"chunk_rows": 500, "sums": sums}), sums


def test_all_that_is_planted_is_found_and_nothing_else(cold_pair):
    old, new, product, sums = cold_pair
    assert len(PLANTED) + len(COUNTED) >= 12
    with Load(old, copyload.step(500, empties=0), writers=3, pause=0.05) as load:
        wait_until(lambda: load.done > 50, 60, "some load")
        equal = verify(product, code=EQUAL)
        for table in (of_table(equal, f"public.{name}") for name in ("cold", "long_cold", "parts_cold")):
            # Nobody writes to them: their rows need not travel.
            assert table["sums_equal"] == (table["chunks"] if sums else 0), table
        for statement in [planted for planted, _, _ in PLANTED.values()] + [planted for planted, _ in COUNTED.values()]:
            run_all(new, statement.replace("; ", ";\n"))
        answer = verify(product, code=DIFFERENT)
    expected = {}
    for _, table, differences in PLANTED.values():
        expected.setdefault(table, set()).update(differences)
    for table in answer["tables"]:
        name = table["table"].removeprefix("public.")
        if name in COUNTED:
            assert table["difference_count"] == COUNTED[name][1] and table["state"] == "differs", table
            assert sum(one["rows"] for one in table["differences"]) == COUNTED[name][1], table
            continue
        wanted = expected.pop(name, set())
        assert table["difference_count"] == len(wanted), (name, table)
        assert table["state"] == ("differs" if wanted else "equal"), table
        found = {(one["kind"], key_of(one), one["columns"]) for one in table["differences"]}
        assert found <= wanted and len(found) == min(len(wanted), 100), (name, found ^ wanted)
    assert expected == {}
    verdict, differences = new.sql("SELECT verdict, differences FROM switchback.verify_run ORDER BY id DESC LIMIT 1")[0]
    assert verdict == "different" and differences == sum(table["difference_count"] for table in answer["tables"])
    assert "cold row" not in product.log.read_text() and "1000007" not in product.log.read_text(), "values in the log"


# -- traps


@pytest.fixture
def small(clusters, switchback):
    """One table of three rows, and the old server may be crashed."""
    old, new = clusters(15, "old", fsync=True), clusters(15, "new")
    for server in (old, new):
        server.sql("CREATE TABLE item (id int PRIMARY KEY, note text)")
        server.sql("INSERT INTO item VALUES (1, 'one'), (2, 'two'), (3, 'three')")
    return old, new, running(switchback, old, new, verify={"stream_wait_s": 5})


def test_a_commit_that_waits_for_a_standby_is_no_difference(small):
    """It is in the stream and on the target, and in no snapshot of the source: positions would call it a difference."""
    old, new, product = small
    old.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    old.sql("SELECT pg_reload_conf()")
    wait_until(lambda: old.value("SHOW synchronous_standby_names") == "nobody", 20, "the setting")
    thread, _ = in_background(lambda: old.sql("INSERT INTO item VALUES (10, 'held')"))
    try:
        wait_until(lambda: new.sql("SELECT 1 FROM item WHERE id = 10"), 30, "the row on the target")
        assert old.sql("SELECT 1 FROM item WHERE id = 10") == [] and thread.is_alive(), "the fault did not take place"
        answer = verify(product, code=EQUAL)
        assert answer["held_back_by"] > 0
        table = of_table(answer, "public.item")
        assert table["source_rows"] == 3 and table["target_rows"] == 4 and table["by_stream"] == 1, table
        new.sql("UPDATE item SET note = 'wrong' WHERE id = 10")
        (found,) = of_table(verify(product, code=DIFFERENT), "public.item")["differences"]
        assert (found["kind"], found["key"], found["columns"]) == ("changed", {"id": "10"}, '"note"'), found
        assert old.sql("SELECT 1 FROM item WHERE id = 10") == [] and thread.is_alive()
    finally:
        old.sql("ALTER SYSTEM RESET synchronous_standby_names")
        old.sql("SELECT pg_reload_conf()")
        thread.join(30)


def test_a_truncate_while_the_lock_is_waited_for(small):
    """The snapshot is taken behind the lock, so it is not older than the table."""
    old, _, product = small
    with old.connect(autocommit=False) as session:
        session.execute("TRUNCATE item")
        session.execute("INSERT INTO item VALUES (4, 'four')")
        thread, results = in_background(lambda: verify(product))
        wait_until(lambda: waits_for_lock(old), 30, "verify to wait for the lock")
        session.commit()
    thread.join(60)
    (answer,) = results
    assert answer["verdict"] == "equal", answer
    assert of_table(answer, "public.item")["source_rows"] == 1


def test_a_source_that_crashes_under_a_compare_ends_it(small):
    """What a snapshot showed may be lost: an asynchronous commit, whose xid is given away again."""
    old, new, product = small
    old.restart(wal_writer_delay="10s")
    for stage in ("capture-forward", "apply-forward"):
        product.wait_state(stage, "running", 60)
    product.wait_caught_up(60)
    with new.connect(autocommit=False) as session:
        session.execute("LOCK TABLE item IN ACCESS EXCLUSIVE MODE")
        with old.connect() as writer:
            writer.execute("SET synchronous_commit = off")
            writer.execute("INSERT INTO item VALUES (5, 'lost')")
        thread, results = in_background(lambda: product.verb("verify", timeout=60))
        wait_until(lambda: waits_for_lock(new), 30, "verify to have its snapshot of the source")
        old.kill9()
        session.rollback()
    thread.join(60)
    (done,) = results
    assert done.code not in (EQUAL, DIFFERENT) and "SB-SOURCE-UNAVAILABLE" in done.err, done
    old.start()
    product.wait_caught_up(90)
    verify(product, code=EQUAL)


# -- what is not compared is named


def test_without_capture_nothing_is_called_equal(small):
    _, _, product = small
    product.wait_caught_up(60)
    product.stop()
    table = of_table(verify(product, code=INCOMPLETE), "public.item")
    assert table["state"] == "not compared" and "capture" in table["why"], table


def test_keys_that_apply_has_not_reached_are_undecided(small):
    old, new, product = small
    product.ok("pause")
    product.wait_state("apply-forward", "waiting", 30)
    old.sql("UPDATE item SET note = 'later' WHERE id = 2")
    table = of_table(verify(product, code=INCOMPLETE), "public.item")
    assert table["state"] == "undecided" and table["undecided"] == 1 and table["difference_count"] == 0, table
    new.sql("DELETE FROM item WHERE id = 3")
    table = of_table(verify(product, code=DIFFERENT), "public.item")
    assert [one["key"] for one in table["differences"]] == [{"id": "3"}], table
    new.sql("INSERT INTO item VALUES (3, 'three')")
    product.ok("resume")
    product.wait_caught_up(60)
    verify(product, code=EQUAL)


def test_nothing_read_is_not_equal(small):
    old, new, product = small
    old.sql("TRUNCATE item")
    product.wait_caught_up(60)
    assert verify(product, code=INCOMPLETE)["why"] == "not one row was read"
    assert verify(product, "--table", "other.*", code=INCOMPLETE)["why"] == "no table was to be compared"
    old.sql("INSERT INTO item VALUES (1, 'one')")
    product.wait_caught_up(60)
    verify(product, code=EQUAL)
    new.sql("ALTER TABLE item RENAME TO gone")
    table = of_table(verify(product, code=INCOMPLETE), "public.item")
    assert (table["state"], table["why"]) == ("not compared", "the target has no such table")
    product.refuses("SB-USAGE", "verify", "--table", "no pattern")


def test_a_chunk_that_does_not_fit_is_halved(clusters, switchback):
    old, new = clusters(15, "old"), clusters(15, "new")
    for server, order in ((old, "g"), (new, "-g")):
        server.sql("CREATE TABLE wide (k numeric PRIMARY KEY, v text)")
        server.sql(f"INSERT INTO wide SELECT g, md5(g::text) FROM generate_series(1, 20000) g ORDER BY {order}")
    product = running(switchback, old, new, verify={"memory_max_bytes": 256 * 1024})
    explained = product.ok("verify", "--explain").out
    assert "public.wide  orderless, about" in explained and "an order that only a server knows" in explained
    answer = verify(product, code=EQUAL)
    table = of_table(answer, "public.wide")
    assert table["chunks"] > 4 and table["source_rows"] == table["target_rows"] == 20000, table
    assert answer["memory_peak_bytes"] <= 256 * 1024
    new.sql("UPDATE wide SET v = 'other' WHERE k IN (1, 9999)")
    table = of_table(verify(product, code=DIFFERENT), "public.wide")
    assert {one["key"]["k"] for one in table["differences"]} == {"1", "9999"}, table
