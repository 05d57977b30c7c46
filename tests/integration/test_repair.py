"""Repairs on real servers: what is planted is made equal through the stream, under load, and nothing else is touched."""

import signal

import pytest

from sbtest import copyload, process
from sbtest.repairing import INCOMPLETE, REFUSED, WORDS, repair, script
from sbtest.verifying import DIFFERENT, EQUAL, of_table, running, verify
from sbtest.wait import wait_until
from sbtest.writers import Load

ROWS = 400

TABLES = f"""
CREATE TABLE item (id int PRIMARY KEY, note text, amount numeric, u int UNIQUE);
INSERT INTO item SELECT g, 'note ' || g, g, g FROM generate_series(1, {ROWS}) g;
CREATE TABLE journal (line text);
INSERT INTO journal SELECT 'line ' || g % 10 FROM generate_series(1, 100) g;
ANALYZE
"""


def states(server):
    return dict(server.sql("SELECT key_shown, state FROM switchback.difference"))


def outcomes(server, ident):
    return dict(server.sql("SELECT key_shown, outcome FROM switchback.repair_item WHERE repair = %s", ident))


def key(number):
    return f'{{"id": "{number}"}}'


@pytest.fixture
def small(clusters, switchback):
    old, new = clusters(15, "old"), clusters(15, "new")
    for server in (old, new):
        script(server, TABLES)
    return old, new, running(switchback, old, new)


# -- repaired, and put back


def test_a_row_is_repaired_and_an_undo_puts_it_back(small):
    _, new, product = small
    assert repair(product, "run")["end"] == "nothing"
    script(new, "DELETE FROM item WHERE id = 1;\nINSERT INTO item VALUES (7777, 'extra');\nUPDATE item SET note = NULL, u = -4 WHERE id = 4")
    verify(product, code=DIFFERENT)
    answer = repair(product, "run", *WORDS)
    assert (answer["end"], answer["rows"], answer["verified"]) == ("done", 3, 3), answer
    assert set(states(new).values()) == {"repaired"}
    verify(product, code=EQUAL)
    ident = answer["repair"]
    shown = repair(product, "show", ident)
    assert shown["repair"]["state"] == "done" and {item["outcome"] for item in shown["items"]} == {"applied"}
    assert {item["before"] for item in shown["items"]} == {None}, "values that nobody asked for"
    before = {item["key"]["id"]: item["before"] for item in repair(product, "show", ident, "--values")["items"]}
    assert before["1"] is None and before["7777"]["note"] == "extra" and before["4"] == {"id": "4", "note": None, "amount": "4", "u": "-4"}

    product.refuses("SB-USAGE", "repair", "undo", ident, code=64)
    product.refuses("SB-REPAIR-VOID", "repair", "run", ident, code=65)
    new.sql("UPDATE switchback.repair SET ownership_epoch = ownership_epoch + 1")
    product.refuses("SB-REPAIR-VOID", "repair", "undo", ident, "--reason", "too late")
    new.sql("UPDATE switchback.repair SET ownership_epoch = ownership_epoch - 1")
    script(new, "UPDATE item SET note = 'by another' WHERE id = 1")
    undone = repair(product, "undo", ident, "--reason", "it was meant to be so", code=INCOMPLETE)
    assert (undone["rows"], undone["verified"], undone["not_verified"]) == (3, 2, {"skipped_guard": 1}), undone
    script(new, "UPDATE item SET note = 'note 1' WHERE id = 1")
    undone = repair(product, "run", undone["repair"])
    assert (undone["end"], undone["rows"], undone["verified"]) == ("done", 3, 3), undone
    assert new.sql("SELECT id, note, u FROM item WHERE id IN (1, 4, 7777) ORDER BY id") == [(4, None, -4), (7777, "extra", None)]
    assert set(states(new).values()) == {"held"}
    product.refuses("SB-REPAIR-VOID", "repair", "undo", undone["repair"], "--reason", "an undo")

    verify(product, code=DIFFERENT)
    assert repair(product, "run", *WORDS)["end"] == "nothing"
    again = repair(product, "run", "--include", "held,foreign,capture", "--reason", "no, it was not")
    assert (again["end"], again["verified"]) == ("done", 3)
    verify(product, code=EQUAL)


def test_an_audit_that_was_altered_is_found(small):
    _, new, product = small
    script(new, "UPDATE item SET note = 'other' WHERE id <= 5")
    verify(product, code=DIFFERENT)
    repair(product, "run", *WORDS)
    assert repair(product, "audit") == {"whole": True, "rows": 5, "broken": 0, "why": ""}
    for statement, broken in (
        ("UPDATE switchback.repair_audit SET after = '{{}}' WHERE id = {}", 3), ("DELETE FROM switchback.repair_audit WHERE id = {}", 4),
        ("DELETE FROM switchback.repair_audit WHERE id = {}", None),
    ):
        ids = [row[0] for row in new.sql("SELECT id FROM switchback.repair_audit ORDER BY id")]
        new.sql("CREATE TABLE kept AS SELECT * FROM switchback.repair_audit")
        new.sql(statement.format(ids[broken - 2 if "DELETE" in statement else broken - 1] if broken else ids[-1]))
        answer = repair(product, "audit", code=1)
        assert not answer["whole"] and answer["broken"] == (ids[broken - 1] if broken else 0) and answer["why"], answer
        new.sql("DELETE FROM switchback.repair_audit")
        new.sql("INSERT INTO switchback.repair_audit OVERRIDING SYSTEM VALUE SELECT * FROM kept")
        new.sql("DROP TABLE kept")
    assert repair(product, "audit")["whole"]


# -- what is planned, and what is not


def test_a_plan_says_what_it_leaves_out(small):
    _, new, product = small
    script(new, "UPDATE item SET note = 'secret' WHERE id <= 4;\nDELETE FROM item WHERE id = 5;\nINSERT INTO journal VALUES ('secret')")
    verify(product, code=DIFFERENT)
    new.sql("UPDATE switchback.difference SET fault = 'unknown'")
    for number, fault in ((1, "foreign"), (2, "capture"), (3, "capture")):
        new.sql("UPDATE switchback.difference SET fault = %s WHERE key_shown = %s", fault, key(number))
    answer = repair(product, "plan")
    assert (answer["end"], answer["rows"]) == ("planned", 2), answer
    item, journal = of_table(answer, "public.item"), of_table(answer, "public.journal")
    assert (item["writes"], item["deletes"], item["left_out"]) == (2, 0, {"foreign": 1, "capture": 2}), item
    assert journal["left_out"] == {"no_key": 1}
    words = product.ok("repair", "plan").out
    assert "switchback copy --again" in words and "--include foreign" in words and "secret" not in words, words
    product.refuses("SB-USAGE", "repair", "plan", "--include", "foreign", code=64)
    product.refuses("SB-USAGE", "repair", "plan", "--include", "everything", "--reason", "x", code=64)
    product.refuses("SB-USAGE", "repair", "run", 4711, code=64)
    assert repair(product, "plan", "--table", "public.nothing*")["end"] == "nothing"
    assert repair(product, "run", answer["repair"])["verified"] == 2
    assert repair(product, "plan", *WORDS)["rows"] == 3
    assert [row["state"] for row in repair(product, "list")] == ["planned", "planned", "done"]
    new.sql("UPDATE switchback.difference SET ownership_epoch = ownership_epoch + 1")
    assert repair(product, "plan", *WORDS)["end"] == "nothing", "of another ownership"


def test_a_budget_and_a_common_cause_stop_it(small):
    old, new, product = small
    script(new, "UPDATE item SET amount = amount * 1.00 WHERE id <= 120;\nINSERT INTO item SELECT g FROM generate_series(5001, 5003) g")
    verify(product, code=DIFFERENT)
    refused = repair(product, "plan", *WORDS, code=REFUSED)
    assert refused["end"] == "refused" and "amount" in refused["why"] and "120 of 123" in refused["why"], refused
    assert repair(product, "run", refused["repair"], code=REFUSED)["why"] == refused["why"]
    assert repair(product, "run", *WORDS, code=REFUSED)["rows_sent"] == 0
    product.refuses("SB-USAGE", "repair", "run", "--despite-pattern", code=64)
    for budget, value, enough in (("max_rows", 122, 123), ("max_deletes", 2, 3), ("table_share_max_percent", 20, 50)):
        product.configure(repair={budget: value})
        refused = repair(product, "run", "--despite-pattern", *WORDS, code=REFUSED)
        assert budget in refused["why"], refused
        product.configure(repair={budget: enough})
    assert new.value("SELECT count(*) FROM switchback.repair_audit") == 0
    product.configure(repair={"batch_max_rows": 50, "max_rate_rows_s": 1000})
    answer = repair(product, "run", "--despite-pattern", *WORDS)
    assert (answer["verified"], answer["images"]) == (123, 3), answer
    reason = new.value("SELECT reason FROM switchback.repair WHERE id = %s", answer["repair"])
    assert "despite" in reason and "planted by the test" in reason, reason
    verify(product, code=EQUAL)


# -- against writes


def test_a_row_that_changes_under_the_image_is_asked_for_again(small):
    """Replication goes on while a repair stands anywhere; an image that a change overtook is not written."""
    old, new, product = small
    script(new, "UPDATE item SET amount = -1 WHERE id IN (1, 2)")
    verify(product, code=DIFFERENT)
    frozen = product.start("repair", "run", *WORDS, fault="reconcile-before-send:freeze:1")
    wait_until(lambda: process.stat(frozen.pid)[1] == "T", 60, "the repair to stand before its image")
    old.sql("UPDATE item SET note = 'newer' WHERE id = 1")
    old.sql("UPDATE item SET note = 'beside it' WHERE id = 3")
    for number in (1, 3):
        wait_until(lambda: new.value("SELECT note FROM item WHERE id = %s", number) != f"note {number}", 30, "the change to be applied")
    frozen.signal(signal.SIGCONT)
    assert frozen.wait(60) == 0
    (ident,) = [row[0] for row in new.sql("SELECT id FROM switchback.repair")]
    tried = dict(new.sql("SELECT key_shown, tries FROM switchback.repair_item"))
    first = new.value("SELECT outcome FROM switchback.repair_audit WHERE key_shown = %s ORDER BY id LIMIT 1", key(1))
    assert first == "skipped_newer" and tried[key(1)] == 2 and tried[key(2)] == 1, (first, tried, outcomes(new, ident))
    verify(product, code=EQUAL)
    assert new.value("SELECT note FROM item WHERE id = 1") == "newer"


def test_a_row_that_somebody_else_has_changed_is_left_alone(small):
    _, new, product = small
    script(new, "UPDATE item SET note = 'found' WHERE id IN (1, 2)")
    verify(product, code=DIFFERENT)
    script(new, "UPDATE item SET note = 'since then' WHERE id = 1")
    answer = repair(product, "run", *WORDS, code=INCOMPLETE)
    assert (answer["verified"], answer["not_verified"]) == (1, {"skipped_guard": 1}), answer
    assert new.value("SELECT note FROM item WHERE id = 1") == "since then"
    assert states(new) == {key(1): "open", key(2): "repaired"}
    verify(product, code=DIFFERENT)
    assert repair(product, "run", *WORDS)["verified"] == 1
    verify(product, code=EQUAL)


def test_a_table_with_accepted_differences_is_repaired_by_its_bytes(small):
    """What verify found was digested under a rule; what apply asks for are the bytes."""
    _, new, product = small
    product.configure(verify={"accept": ["public.item amount: numeric-scale"]})
    script(new, "UPDATE item SET amount = amount * 1.000 WHERE id IN (1, 2);\nUPDATE item SET note = 'other' WHERE id IN (2, 3)")
    verify(product, code=DIFFERENT)
    answer = repair(product, "run", *WORDS)
    assert (answer["rows"], answer["verified"]) == (2, 2), answer
    assert new.sql("SELECT id, amount::text, note FROM item WHERE id <= 3 ORDER BY id") == [
        (1, "1.000", "note 1"), (2, "2", "note 2"), (3, "3", "note 3")
    ]
    verify(product, code=EQUAL)


def test_large_rows_go_in_images_of_their_own(small):
    old, new, product = small
    old.sql("UPDATE item SET note = repeat(id::text, 400000) WHERE id <= 6")
    product.wait_caught_up()
    script(new, "UPDATE item SET note = note || 'Z' WHERE id <= 6;\nUPDATE item SET amount = 0 WHERE id BETWEEN 7 AND 60")
    verify(product, code=DIFFERENT)
    answer = repair(product, "run", *WORDS)
    assert answer["verified"] == 60 and 2 <= answer["images"] <= 4, answer
    assert new.value("SELECT count(*) FROM item WHERE length(note) = 400000") == 6
    verify(product, code=EQUAL)


def test_rows_in_each_others_way_are_written_together_at_last(small):
    """Two rows that swap a unique value, in batches of one row: neither can be written alone."""
    _, new, product = small
    script(new, "UPDATE item SET u = -1 WHERE id = 8;\nUPDATE item SET u = 8 WHERE id = 9;\nUPDATE item SET u = 9 WHERE id = 8")
    verify(product, code=DIFFERENT)
    product.configure(repair={"batch_max_rows": 1})
    answer = repair(product, "run", *WORDS)
    assert (answer["verified"], answer["images"]) == (2, 3), answer
    assert new.value("SELECT count(*) FROM switchback.repair_audit WHERE outcome = 'skipped_refused' AND sqlstate = '23505'") == 2
    verify(product, code=EQUAL)


def test_one_at_a_time_and_only_while_apply_is_at_work(small):
    _, new, product = small
    script(new, "UPDATE item SET note = 'other' WHERE id IN (1, 2)")
    verify(product, code=DIFFERENT)
    frozen = product.start("repair", "run", *WORDS, fault="reconcile-before-send:freeze:1")
    wait_until(lambda: process.stat(frozen.pid)[1] == "T", 60, "the repair to stand before its image")
    product.refuses("SB-REPAIR-BUSY", "repair", "run", code=75)
    frozen.signal(signal.SIGCONT)
    assert frozen.wait(60) == 0
    script(new, "UPDATE item SET note = 'again' WHERE id IN (1, 2)")
    verify(product, code=DIFFERENT)
    product.ok("pause")
    product.configure(repair={"apply_wait_s": 2})
    answer = repair(product, "run", *WORDS, code=INCOMPLETE)
    assert answer["verified"] == 0 and "apply" in answer["why"], answer
    assert repair(product, "list")[0]["state"] == "stopped"
    product.ok("resume")
    product.configure(repair={"apply_wait_s": 60})
    assert repair(product, "run", answer["repair"])["verified"] == 2
    verify(product, code=EQUAL)


# -- every kind of row

COLD = """
CREATE TABLE cold (id int PRIMARY KEY, t text, u int UNIQUE, big text, at timestamptz, j jsonb, raw bytea, f float8);
ALTER TABLE cold ALTER big SET STORAGE EXTERNAL;
INSERT INTO cold SELECT g, 'text ' || g, g, repeat(md5(g::text), 400), '2026-01-01 00:00:00.5+00', '{"a": 1.0}', '\\x00ff', 0
    FROM generate_series(1, 500) g;
UPDATE cold SET t = '' WHERE id = 4;
CREATE TABLE parent (id int PRIMARY KEY, name text);
CREATE TABLE child (id int PRIMARY KEY, parent int NOT NULL REFERENCES parent);
INSERT INTO parent SELECT g, 'p' FROM generate_series(1, 20) g;
INSERT INTO child SELECT g, g FROM generate_series(1, 20) g;
CREATE TABLE halves (a text COLLATE "C", b text, v int, PRIMARY KEY (a, b));
INSERT INTO halves SELECT 'a' || g, 'b', g FROM generate_series(1, 50) g;
INSERT INTO halves VALUES ('12', '3', 0);
CREATE TABLE spelled_cold (k text COLLATE "und-x-icu", part text, v int, PRIMARY KEY (k, part));
INSERT INTO spelled_cold SELECT 'Key ' || g, g::text, g FROM generate_series(1, 50) g;
CREATE TABLE parts_cold (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
CREATE TABLE parts_cold_low PARTITION OF parts_cold FOR VALUES FROM (MINVALUE) TO (100);
CREATE TABLE parts_cold_high PARTITION OF parts_cold FOR VALUES FROM (100) TO (MAXVALUE);
INSERT INTO parts_cold SELECT g, g FROM generate_series(1, 200) g;
INSERT INTO numbers SELECT 1000000 + g, g, 'cold row in a hot table' FROM generate_series(1, 50) g
"""
PLANTED = {  # table -> how many of its rows differ, and by what
    "cold": (16, """
DELETE FROM cold WHERE id IN (1, 2);
INSERT INTO cold (id, u, t) VALUES (77777, 1, 'has the unique value of a missing row'), (-5, -5, 'below the first key');
UPDATE cold SET t = 'other' WHERE id = 3;
UPDATE cold SET t = NULL WHERE id = 4;
UPDATE cold SET f = '-0' WHERE id = 5;
UPDATE cold SET u = -1 WHERE id = 8;
UPDATE cold SET u = 8 WHERE id = 9;
UPDATE cold SET u = 10 + 1000 WHERE id = 10;
UPDATE cold SET u = 9 WHERE id = 8;
UPDATE cold SET u = 10 WHERE id = 11;
UPDATE cold SET u = 11 WHERE id = 12;
UPDATE cold SET u = 12 WHERE id = 10;
UPDATE cold SET big = left(big, -1) || 'Z' WHERE id = 13;
UPDATE cold SET at = at + interval '1 us' WHERE id = 14;
UPDATE cold SET j = '{"a": 1.00}' WHERE id = 15;
UPDATE cold SET raw = NULL WHERE id = 16"""),
    "parent": (2, "DELETE FROM parent WHERE id = 3;\nINSERT INTO parent VALUES (1000, 'extra')"),
    "child": (2, "DELETE FROM child WHERE id = 3;\nINSERT INTO child VALUES (1000, 1000)"),
    "halves": (2, "UPDATE halves SET a = '1', b = '23' WHERE a = '12'"),
    "spelled_cold": (3, "UPDATE spelled_cold SET v = -1 WHERE part = '7';\nUPDATE spelled_cold SET k = 'key 8' WHERE part = '8'"),
    "parts_cold": (52, "DELETE FROM parts_cold WHERE id BETWEEN 76 AND 125;\nUPDATE parts_cold SET v = 0 WHERE id IN (150, 151)"),
    "numbers": (2, "UPDATE numbers SET v = -1 WHERE id IN (1000007, 1000008)"),
}


def versions(server):
    """Row by row: whatever writes a row makes a new version of it."""
    return {
        name: dict(server.sql(f"SELECT md5(t::text), t.xmin::text FROM {name} t WHERE true{' AND id > 1000000' if name == 'numbers' else ''}"))
        for name in PLANTED
    }


def test_what_is_planted_is_repaired_under_load_and_nothing_else_is_touched(clusters, switchback):
    old, new = clusters(14, "old"), clusters(18, "new")
    for server in (old, new):
        copyload.fill(server, 500)
        script(server, COLD)
    product = running(switchback, old, new, verify={"chunk_rows": 500}, repair={"batch_max_rows": 20})
    with Load(old, copyload.step(500, empties=0), writers=3, pause=0.05) as load:
        wait_until(lambda: load.done > 50, 60, "some load")
        before = versions(new)
        for _, planted in PLANTED.values():
            script(new, planted)
        verify(product, code=DIFFERENT)
        done = load.done
        answer = repair(product, "run", *WORDS)
        assert load.done > done, "the load stood still"
        verify(product, code=EQUAL)
        assert answer["end"] == "done"
        assert {table["table"].removeprefix("public."): table["writes"] + table["deletes"] for table in answer["tables"]
                if table["writes"] + table["deletes"] > 0} == {name: count for name, (count, _) in PLANTED.items()}
        after = versions(new)
    total = sum(count for count, _ in PLANTED.values())
    assert new.value("SELECT count(*) FROM switchback.repair_audit WHERE outcome = 'applied'") == total == answer["verified"]
    for name, (count, _) in PLANTED.items():
        assert set(before[name]) == set(after[name]), name
        written = [row for row in after[name] if after[name][row] != before[name][row]]
        assert len(written) <= count, (name, "rows were written that nobody had planted anything in")
    assert repair(product, "audit")["whole"]
    log = product.log.read_text()
    assert "has the unique value" not in log and "1000007" not in log, "values or keys in the log"
    product.wait_caught_up(60)
    verify(product, code=EQUAL)
