"""The ledger of differences: what verify finds is written down, goes on when it is found again, and is gone when it is equal."""

import csv
import io
import json
import signal
import time

import pytest

from sbtest import process
from sbtest.verifying import DIFFERENT, EQUAL, in_background, verify
from sbtest.wait import wait_until

ROWS = 3000
COLUMNS = "id, kind, state, times, found_by, key_shown, columns, source_row, target_row, rows, closed_at, fault, evidence"


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


# -- showing them


def diff(product, *words, code=DIFFERENT):
    done = product.verb("diff", *words, timeout=120)
    assert done.code == code, done
    return done


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_differences_are_shown_by_what_they_have_in_common(pair):
    _, new, product = pair
    assert diff(product, "list", code=0).out == "no difference is open; --state all shows those that were\n"
    new.sql("UPDATE item SET note = note || '  ' WHERE id BETWEEN 11 AND 20")
    new.sql("UPDATE item SET amount = 1000, note = NULL WHERE id = 21")
    new.sql("DELETE FROM other")
    verify(product, code=DIFFERENT)
    clusters = {(one["table"], one["kind"], tuple(one["columns"] or ())): one for one in diff(product, "list", "--json").json()}
    assert {name: one["count"] for name, one in clusters.items()} == {
        ("public.item", "changed", ("note",)): 10, ("public.item", "changed", ("note", "amount")): 1, ("public.other", "missing", ()): 1,
    }
    assert "the target lacks rows" in clusters["public.other", "missing", ()]["cause"]
    text = diff(product, "list").out
    assert 'public.item  10 changed in ["note"], fault unknown' in text and "12 differences, 12 not closed" in text, text
    assert len(diff(product, "list", "--table", "public.oth*", "--json").json()) == 1
    assert diff(product, "list", "--state", "gone", "--json", code=0).json() == []
    example = str(clusters["public.item", "changed", ("note",)]["example"])
    plain = diff(product, "show", example, "--json").json()
    assert plain["key"]["id"].startswith("1") and plain["now"]["source_row"] == plain["source_row"]
    assert plain["now"]["target_row"] == plain["target_row"] and plain["now"]["differing"] == [{"column": "note", "how": ""}]
    assert "note 1" not in json.dumps(plain) and "note 1" not in diff(product, "show", example).out, "values, though nobody asked"
    values = diff(product, "show", example, "--values", "--json").json()["now"]
    assert values["target"]["note"] == values["source"]["note"] + "  " and values["differing"][0]["how"] == "trailing blanks"
    text = diff(product, "show", example, "--values").out
    assert "* note: trailing blanks\n" in text and 'target  "note 1' in text, text
    product.refuses("SB-USAGE", "diff", "show", "999999")
    product.refuses("SB-USAGE", "diff", "list", "--state", "odd")
    product.refuses("SB-USAGE", "diff", "export", "--format", "xml")
    product.refuses("SB-USAGE", "diff", "export", "--table", "no pattern")
    new.sql("DROP TABLE other")
    other = str(clusters["public.other", "missing", ()]["example"])
    assert diff(product, "show", other, "--json").json()["now"] == {"why": "the target has no such table"}
    new.sql("UPDATE switchback.difference SET state = 'gone', closed_at = now()")
    diff(product, "list", code=0)
    diff(product, "show", other, code=0)


def test_differences_are_exported_whole(pair):
    old, new, product = pair
    name = 'Odd "name", with\nall'
    old.sql("CREATE TABLE odd (\"the, \"\"key\"\"\" text PRIMARY KEY, v int)")
    old.sql("INSERT INTO odd VALUES (%s, 1)", name)
    product.wait_caught_up(60)
    new.sql("UPDATE odd SET v = 2")
    new.sql("DELETE FROM item WHERE id <= 2500")
    verify(product, code=DIFFERENT)
    rows = lines(diff(product, "export").out)
    assert len(rows) == 2501 and [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    assert {row["table"] for row in rows} == {"public.item", "public.odd"}
    assert {int(row["key"]["id"]) for row in rows if row["table"] == "public.item"} == set(range(1, 2501))
    (odd,) = lines(diff(product, "export", "--table", "public.odd").out)
    assert odd["key"] == {'the, "key"': name} and odd["columns"] == ["v"] and odd["by_stream"] is False
    assert diff(product, "show", str(odd["id"]), "--values", "--json").json()["now"]["target"] == {'the, "key"': name, "v": "2"}
    table = list(csv.DictReader(io.StringIO(diff(product, "export", "--format", "csv").out, newline="")))
    assert [int(row["id"]) for row in table] == [row["id"] for row in rows]
    (csv_odd,) = [row for row in table if row["table"] == "public.odd"]
    assert json.loads(csv_odd["key"]) == odd["key"] and csv_odd["state"] == "open"
    assert len(diff(product, "export", "--format", "text").out.splitlines()) == 2501
    assert diff(product, "export", "--state", "repaired", code=0).out == ""


# -- who is at fault

STRANGE = "switchback_shop_reverse_copy_7"  # looks like ours on the old side: capture passes over what bears it


def under_origin(server, name, statement):
    with server.connect(autocommit=False) as session:
        session.execute("SELECT pg_replication_origin_create(%s)", (name,))
        session.commit()
        session.execute("SELECT pg_replication_origin_session_setup(%s)", (name,))
        session.execute(statement)
        xid = session.execute("SELECT pg_current_xact_id()::text").fetchone()[0]
        session.commit()
    return xid


def faults(product, new):
    verify(product, code=DIFFERENT)
    return {key: (row["fault"], row["evidence"]) for key, row in ledger(new).items() if row["state"] == "open"}


def test_the_servers_say_who_is_at_fault(clusters, switchback):
    old, new = clusters(15, "old"), clusters(16, "new", settings={"track_commit_timestamp": "on"})
    for server in (old, new):
        server.sql("CREATE TABLE item (id int PRIMARY KEY, note text)")
    old.sql("INSERT INTO item SELECT g, 'note ' || g FROM generate_series(1, 100) g")
    product = switchback(old, new, config={"copy": {"initial": True}})
    product.ok("prepare")
    product.run()
    product.wait_caught_up(90)
    verify(product, code=EQUAL)
    # By a session of the target's own, and by another replication.
    new.sql("UPDATE item SET note = 'x' WHERE id = 1")
    under_origin(new, "somebody else", "UPDATE item SET note = 'x' WHERE id = 2")
    # Past the stream, on the source: a row as the copy brought it, and one that apply wrote since.
    old.sql("UPDATE item SET note = 'travels' WHERE id = 4")
    product.wait_caught_up()
    under_origin(old, STRANGE, "UPDATE item SET note = 'does not travel' WHERE id IN (3, 4)")
    # As if the copy had brought it.
    xid = under_origin(new, "copy again", "UPDATE item SET note = 'x' WHERE id = 5")
    new.sql("INSERT INTO switchback.chunk SELECT (c).* FROM (SELECT c FROM switchback.chunk c LIMIT 1) c")
    new.sql("UPDATE switchback.chunk SET written_by = %s WHERE ctid = (SELECT max(ctid) FROM switchback.chunk)", int(xid))
    # Skipped; and removed by nobody knows whom.
    new.sql("DELETE FROM item WHERE id IN (6, 7)")
    new.sql(
        "INSERT INTO switchback.debt (migration, direction, relation, key, op, commit_lsn, xid, ordinal, skipped_by, reason)"
        " VALUES ('shop', 'forward', 'public.item', '{\"id\": \"6\"}', 'insert', '0/42', 1, 1, 'me', 'x')"
    )
    found = faults(product, new)
    expected = {
        1: ("foreign", "without a replication origin"), 2: ("foreign", '"somebody else"'), 3: ("unknown", "apply lost it"),
        4: ("apply", "apply wrote the target's row last"), 5: ("copy", "the source's row is older"), 6: ("apply", "0/42"),
        7: ("unknown", "no such row"),
    }
    assert set(found) == {key(number) for number in expected}
    for number, (fault, words) in expected.items():
        assert found[key(number)][0] == fault and words in found[key(number)][1], (number, found[key(number)])
    done = product.verb("verify", timeout=120)
    assert 'changed {"id": "1"} in "note"; fault foreign: the target\'s row was written at ' in done.out, done.out
    assert faults(product, new) == found


def test_a_table_that_is_locked_is_not_asked_about(pair):
    _, new, product = pair
    new.sql("DELETE FROM other")
    frozen = product.start("verify", "--table", "public.other", fault="reconcile-after-rows:freeze:1")
    wait_until(lambda: process.stat(frozen.pid)[1] == "T", 60, "verify to have read its rows")
    with new.connect(autocommit=False) as session:
        session.execute("LOCK TABLE other")
        frozen.signal(signal.SIGCONT)
        assert frozen.wait(60) == DIFFERENT
    assert ledger(new, '"public"."other"')[key(1)]["evidence"] == ""
    assert product.log_contains("could not ask who is at fault")
    verify(product, code=DIFFERENT)
    assert "no such row" in ledger(new, '"public"."other"')[key(1)]["evidence"]


def test_the_newest_change_of_a_key_is_named(pair):
    """Which transaction of the source wrote it last, and when: known of keys that are written while they are compared."""
    old, new, product = pair
    frozen = product.start("verify", "--json", fault="reconcile-between-stamps:freeze:1")
    wait_until(lambda: process.stat(frozen.pid)[1] == "T", 60, "verify to stand between its stamps")
    ((xid,),) = old.sql("UPDATE item SET note = 'later' WHERE id = 3 RETURNING pg_current_xact_id()::text::bigint")
    wait_until(lambda: new.value("SELECT note FROM item WHERE id = 3") == "later", 30, "the change to be applied")
    new.sql("UPDATE item SET note = 'odd' WHERE id = 3")
    frozen.signal(signal.SIGCONT)
    assert frozen.wait(60) == DIFFERENT
    found = new.sql("SELECT xid, commit_lsn IS NOT NULL, abs(extract(epoch FROM now()) - commit_us / 1e6) < 600 FROM switchback.difference")
    assert found == [(xid, True, True)]
    assert "committed" in diff(product, "show", new.value("SELECT id FROM switchback.difference")).out


def test_a_way_back_that_is_not_armed_yet_is_no_witness(clusters, switchback):
    old, new = clusters(15, "old"), clusters(16, "new", settings={"track_commit_timestamp": "on"})
    for server in (old, new):
        server.sql("CREATE TABLE item (id int PRIMARY KEY, note text)")
        server.sql("INSERT INTO item VALUES (1, 'one')")
    product = switchback(old, new, config={"reverse": {"enabled": True}})
    product.ok("prepare")
    for stage in ("capture", "apply"):
        product.start(stage)
    assert old.value("SELECT to_regclass('switchback.conflict')") is None, "the way back is armed"
    product.wait_caught_up(60)
    new.sql("UPDATE item SET note = 'x'")
    found = faults(product, new)
    assert found[key(1)][0] == "foreign", found


def test_what_the_way_back_saw_is_evidence(armed):
    it = armed()
    it.settle()
    verify(it.product, code=EQUAL)
    # It records them a moment later. Until then nobody knows who wrote, and a repair would take such rows on.
    watching = it.product.pid("apply-reverse")
    process.send(watching, signal.SIGSTOP)
    it.rogue("UPDATE account SET note = 'rogue' WHERE id = 7", "DELETE FROM account WHERE id = 8")
    verifying, answers = in_background(lambda: verify(it.product, code=DIFFERENT))
    asks = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'switchback%verify' AND query LIKE '%switchback.progress%'"
    wait_until(lambda: it.old.sql(asks), 60, "verify to wait for the way back")
    process.send(watching, signal.SIGCONT)
    verifying.join(60)
    assert answers, "verify did not end"
    found = ledger(it.new, '"public"."account"')
    assert {name: row["fault"] for name, row in found.items()} == {key(7): "foreign", key(8): "foreign"}
    assert "a foreign update on the target" in found[key(7)]["evidence"]
    assert "a foreign delete on the target" in found[key(8)]["evidence"]
