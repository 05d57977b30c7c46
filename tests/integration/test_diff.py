"""The ledger of differences: what verify finds is written down, goes on when it is found again, and is gone when it is equal."""

import signal
import time

import pytest

from sbtest import process
from sbtest.wait import wait_until

EQUAL, DIFFERENT, INCOMPLETE = 0, 4, 8
ROWS = 3000
COLUMNS = "id, kind, state, times, found_by, key_shown, columns, source_row, target_row, rows, closed_at, fault, evidence"


def verify(product, *words, code):
    done = product.verb("verify", "--json", *words, timeout=240)
    assert done.code == code, done
    return done.json()


def ledger(server, relation='"public"."item"'):
    """Key as it is shown (of a table without a key: the digest) -> the row."""
    rows = server.sql(f"SELECT coalesce(key_shown, encode(key_digest, 'hex')), {COLUMNS} FROM switchback.difference WHERE relation = '{relation}'")
    return {row[0]: dict(zip(COLUMNS.split(", "), row[1:])) for row in rows}


def key(number):
    return f'{{"id": "{number}"}}'


@pytest.fixture
def pair(clusters, switchback):
    """A migration at work between two servers that hold the same rows."""
    old, new = clusters(15, "old"), clusters(15, "new")
    for server in (old, new):
        server.sql("CREATE TABLE item (id int PRIMARY KEY, note text, amount numeric)")
        server.sql(f"INSERT INTO item SELECT g, 'note ' || g, g FROM generate_series(1, {ROWS}) g")
        server.sql("CREATE TABLE other (id int PRIMARY KEY, note text)")
        server.sql("INSERT INTO other VALUES (1, 'one')")
        server.sql("CREATE TABLE journal (line text)")
        server.sql("INSERT INTO journal SELECT 'line ' || g % 10 FROM generate_series(1, 100) g")
    product = switchback(old, new, config={"verify": {"chunk_rows": 500}})
    product.ok("prepare")
    product.run()
    for stage in ("capture-forward", "apply-forward"):
        product.wait_state(stage, "running", 60)
    return old, new, product


def test_a_difference_has_a_life(pair):
    old, new, product = pair
    verify(product, code=EQUAL)
    assert ledger(new) == {}
    new.sql("DELETE FROM item WHERE id = 1")
    new.sql("INSERT INTO item VALUES (77777, 'extra', 1)")
    new.sql("UPDATE item SET note = NULL, amount = 3.0 WHERE id = 3")
    new.sql("UPDATE item SET note = 'held' WHERE id = 4")
    new.sql("UPDATE item SET note = 'repairing' WHERE id = 5")
    first = verify(product, code=DIFFERENT)
    found = ledger(new)
    assert set(found) == {key(number) for number in (1, 3, 4, 5, 77777)}
    assert {row["state"] for row in found.values()} == {"open"} and {row["times"] for row in found.values()} == {1}
    assert {row["found_by"] for row in found.values()} == {first["run"]}
    assert [found[key(number)]["kind"] for number in (1, 77777, 3)] == ["missing", "extra", "changed"]
    assert [found[key(number)]["source_row"] is None for number in (1, 77777, 3)] == [False, True, False]
    assert [found[key(number)]["target_row"] is None for number in (1, 77777, 3)] == [True, False, False]
    assert found[key(3)]["columns"] == ["note", "amount"] and found[key(1)]["columns"] is None
    assert found[key(3)]["source_row"] != found[key(3)]["target_row"]

    new.sql("UPDATE switchback.difference SET state = 'held' WHERE key_shown = %s", key(4))
    new.sql("UPDATE switchback.difference SET state = 'repairing' WHERE key_shown = %s", key(5))
    new.sql("DELETE FROM item WHERE id = 77777")
    verify(product, "--table", "public.other", code=EQUAL)
    assert ledger(new)[key(77777)]["state"] == "open", "closed by a run that did not look at it"
    verify(product, code=DIFFERENT)
    again = ledger(new)
    states = {number: again[key(number)]["state"] for number in (1, 3, 4, 5, 77777)}
    assert states == {1: "open", 3: "open", 4: "held", 5: "repairing", 77777: "gone"}
    assert {again[key(number)]["times"] for number in (1, 3, 4, 5)} == {2} and again[key(77777)]["times"] == 1
    assert again[key(77777)]["closed_at"] is not None and again[key(1)]["found_by"] == first["run"]
    assert {row["id"] for row in again.values()} == {row["id"] for row in found.values()}
    assert again[key(1)]["source_row"] == found[key(1)]["source_row"]

    new.sql("INSERT INTO item VALUES (77777, 'extra', 2)")
    new.sql("UPDATE switchback.difference SET state = 'repaired', closed_at = now() WHERE key_shown = %s", key(3))
    verify(product, code=DIFFERENT)
    last = ledger(new)
    assert [last[key(number)]["state"] for number in (3, 77777)] == ["open", "open"]
    assert last[key(77777)]["closed_at"] is None and last[key(77777)]["times"] == 2
    assert last[key(77777)]["target_row"] != again[key(77777)]["target_row"]
    assert "note" not in str(new.sql("SELECT evidence FROM switchback.difference")), "a value in the evidence"


def test_rows_without_a_key_are_counted(pair):
    _, new, product = pair
    new.sql("DELETE FROM journal WHERE ctid IN (SELECT ctid FROM journal WHERE line = 'line 3' LIMIT 4)")
    new.sql("INSERT INTO journal VALUES ('new'), ('new')")
    verify(product, code=DIFFERENT)
    found = ledger(new, '"public"."journal"').values()
    assert sorted((row["kind"], row["rows"], row["key_shown"]) for row in found) == [("extra", 2, None), ("missing", 4, None)]
    assert all((row["source_row"] is None) == (row["kind"] == "extra") for row in found)


def test_a_run_that_died_is_seen_as_such(pair):
    _, new, product = pair
    new.sql("DELETE FROM item WHERE id = 1")
    killed = product.start("verify", "--json", fault="reconcile-between-stamps:kill:2")
    assert killed.wait(60) == -signal.SIGKILL
    assert new.sql("SELECT state, verdict, ended_at FROM switchback.verify_run") == [("running", None, None)]
    frozen = product.start("verify", "--json", fault="reconcile-between-stamps:freeze:2")
    wait_until(lambda: process.stat(frozen.pid)[1] == "T", 60, "verify to stand between its stamps")
    states = "SELECT state, verdict FROM switchback.verify_run ORDER BY id"
    assert new.sql(states) == [("died", None), ("running", None)]
    verify(product, code=DIFFERENT)
    assert new.sql(states) == [("died", None), ("running", None), ("complete", "different")], "one that lives was called dead"
    frozen.signal(signal.SIGCONT)
    assert frozen.wait(60) == DIFFERENT
    assert new.sql(states) == [("died", None), ("complete", "different"), ("complete", "different")]
    assert ledger(new)[key(1)]["times"] == 2, "two runs found it, and one that died before it did"


def test_a_run_that_fails_says_why(pair):
    old, new, product = pair
    new.sql("UPDATE switchback.progress SET source_uuid = gen_random_uuid()")
    done = product.verb("verify", timeout=120)
    assert "SB-SOURCE-IDENTITY" in done.err, done
    assert new.sql("SELECT state, verdict, why FROM switchback.verify_run") == [("failed", None, "SB-SOURCE-IDENTITY")]


def test_many_differences_in_little_memory(clusters, switchback):
    missing = 300_000
    old, new = clusters(15, "old"), clusters(15, "new")
    for server, rows in ((old, missing), (new, 0)):
        server.sql("CREATE TABLE item (id int PRIMARY KEY, note text)")
        server.sql(f"INSERT INTO item SELECT g, 'note ' || g FROM generate_series(1, {rows}) g")
    product = switchback(old, new)
    product.ok("prepare")
    product.run()
    product.wait_state("apply-forward", "running", 60)
    began = time.monotonic()
    running = product.start("verify", "--json")
    peaks = [0]

    def ended():
        peaks.append(running.memory_peak_kb())
        return not running.running()

    wait_until(ended, 240, "the end of verify")
    assert running.exit_code == DIFFERENT
    took, peak = time.monotonic() - began, max(peaks)
    print(f"{missing} differences in {took:.1f} s, memory peak {peak / 1024:.0f} MB")
    assert new.value("SELECT count(*) FROM switchback.difference WHERE state = 'open' AND kind = 'missing'") == missing
    assert 0 < peak < 200 * 1024
