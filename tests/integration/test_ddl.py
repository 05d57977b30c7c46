"""DDL of the source at its place in the stream: captured, judged, run or held, and never twice."""

import json
import random

import pytest
from flow import flow, server  # noqa: F401

from sbtest import compare
from sbtest.wait import wait_until

TABLE = "CREATE TABLE item (id int PRIMARY KEY, note text)"
DDL = "SELECT tag, statement, state, reason FROM switchback.ddl WHERE migration = %s ORDER BY id"


def book(one):
    return one.new_sql(DDL, one.product.migration)


def messages(one):
    """The DDL in the stream, as `stream show` has it."""
    lines = one.product.ok("stream", "show").out.splitlines()
    return [row["ddl"] for row in map(json.loads, lines) if "ddl" in row]


def held(one, words=""):
    """Apply stands at a command; its row."""
    line = one.halts("SB-DDL-HELD")
    (row,) = one.new_sql("SELECT id, tag, statement, reason, breaks_way_back FROM switchback.ddl WHERE state = 'held'")
    assert words in row[3] and row[3] in line.replace('\\"', '"'), (row, line)
    return row


def decide(one, verb, ident):
    one.forgiven = len(one.errors())
    one.product.ok("ddl", verb, ident, "--reason", "a test wants it")
    for stage in one.stages:
        stage.resume()


def test_additive_ddl_is_run_at_its_place(flow):
    one = flow(TABLE)
    one.transaction(
        "INSERT INTO item VALUES (1, 'before')",
        "ALTER TABLE item ADD COLUMN size int",
        "UPDATE item SET size = 7",
        "ALTER TABLE item ADD COLUMN kind text DEFAULT 'it''s' NOT NULL",
        "INSERT INTO item VALUES (2, 'behind', 8, 'é; \"x\"')",
    )
    one.sql("CREATE INDEX by_size ON item (size)")
    one.sql("COMMENT ON COLUMN item.size IS 'how large'")
    one.equal()
    assert [row[2] for row in book(one)] == ["applied"] * 4
    assert one.new_sql("SELECT count(*) FROM pg_indexes WHERE indexname = 'by_size'") == [(1,)]
    assert one.new_sql("SELECT col_description('item'::regclass, 3)") == [("how large",)]
    assert [row["statement"] for row in messages(one)][0] == "ALTER TABLE item ADD COLUMN size int"


QUOTES = [("'", "'"), ("'a''", "''b;'"), ('"', '"'), ('"x""', ';"'), ("$$;", "$$"), ("$q$' ", ";$q$"), ("E'\\';", "\\''';'"), ("/*;", "*/"), ("/* /* ' */", "*/"),
          ("--;", "\n"), ("(a;", ")"), ("w", "")]


def test_a_text_is_taken_apart_whatever_is_in_it_and_however_long(flow):
    one, rng = flow(TABLE), random.Random(3)

    def word():
        begin, end = rng.choice(QUOTES)
        long = rng.choice([390, 395, *range(396, 403), 1590, 1599, 1600, 1601, 3195, 3200, 3201]) - rng.randrange(8)
        return begin + "p" * (long if rng.random() < 0.2 else rng.randrange(6)) + end

    for _ in range(120):
        statements = ["create table " + " ".join(word() for _ in range(rng.randrange(1, 12))) for _ in range(rng.randrange(1, 6))]
        text = "; ".join(statements)
        (found,) = one.sql("SELECT switchback.ddl_statements(%s)", text)[0]
        assert found == statements, text


def test_a_long_text_of_many_commands_is_taken_apart_in_time(flow):
    """Each command looks for itself in the whole text: what a look costs must not grow with the square of its length."""
    one = flow(TABLE)
    filler = "".join(f"-- line {n} of a script as people write them, with 'quotes', $tags$ and (brackets\n" for n in range(20))
    script = "".join(f"{filler}/* {'x' * 500} */ CREATE TABLE made_{n} (id int PRIMARY KEY, note text DEFAULT 'a;b'); SELECT $q${'y' * 500};$q$;\n"
                     for n in range(25))
    assert 50000 < len(script) < 100000
    one.sql(f"SET statement_timeout = '40s'; {script}")
    one.settle(90)
    assert [row[1] for row in book(one)] == [f"CREATE TABLE made_{n} (id int PRIMARY KEY, note text DEFAULT 'a;b')" for n in range(25)]


def test_what_is_not_harmless_is_held_and_approved(flow):
    one = flow(TABLE)
    one.sql("INSERT INTO item VALUES (1, 'x')")
    one.transaction("INSERT INTO item VALUES (2, 'y')", "ALTER TABLE item DROP COLUMN note", "INSERT INTO item VALUES (3)")
    ident, tag, statement, _, _ = held(one, "drops a column")
    assert (tag, statement) == ("ALTER TABLE", "ALTER TABLE item DROP COLUMN note")
    assert one.new_sql("SELECT * FROM item") == [(1, "x")], "what came before is applied, its own transaction is not"
    decide(one, "approve", ident)
    one.equal()
    assert [row[2] for row in book(one)] == ["applied"]


def test_what_is_held_is_skipped(flow):
    one = flow(TABLE)
    one.sql("ALTER TABLE item RENAME COLUMN note TO remark")
    one.sql("INSERT INTO item VALUES (1, 'x')")
    ident = held(one, "renames")[0]
    one.new_sql("ALTER TABLE item RENAME COLUMN note TO remark")
    decide(one, "skip", ident)
    one.equal()
    assert [row[2] for row in book(one)] == ["skipped"]


def test_new_tables_travel_from_their_first_row_on(flow):
    one = flow(TABLE + "; CREATE TABLE cut (id int, PRIMARY KEY (id)) PARTITION BY RANGE (id); CREATE TABLE cut_high PARTITION OF cut FOR VALUES FROM (10) TO (20)", tables={"exclude": ["*.secret*", "apart.*"]})
    one.transaction("CREATE TYPE mood AS ENUM ('fine')", "CREATE TABLE fresh (id serial PRIMARY KEY, m mood)", "INSERT INTO fresh (m) VALUES ('fine')")
    one.sql("ALTER TYPE mood ADD VALUE 'odd'")
    one.sql("UPDATE fresh SET m = 'odd'")
    one.transaction("CREATE TABLE bare (a int)", "INSERT INTO bare VALUES (1)")
    one.sql("CREATE SCHEMA app CREATE TABLE inner_one (id int PRIMARY KEY)")
    one.sql("INSERT INTO app.inner_one VALUES (1)")
    one.sql("CREATE TABLE cut_low PARTITION OF cut FOR VALUES FROM (0) TO (10)")
    one.sql("INSERT INTO cut VALUES (1)")
    for statement in ("CREATE TABLE secret_one (id int PRIMARY KEY)", "CREATE TEMP TABLE passing (id int)", "CREATE SCHEMA apart", "CREATE TABLE apart.t (a int)",
                      "CREATE INDEX CONCURRENTLY slow ON item (note)", "REINDEX TABLE item", "CREATE VIEW seen AS SELECT * FROM item"):
        one.sql(statement)
    one.settle()
    compare.assert_equal(one.old, one.new, one.db, [("public", "fresh"), ("public", "bare"), ("app", "inner_one"), ("public", "cut"), ("public", "item")])
    assert {row[1].split("(")[0] for row in book(one)} == {
        "CREATE TYPE mood AS ENUM ", "CREATE TABLE fresh ", "ALTER TYPE mood ADD VALUE 'odd'", "CREATE TABLE bare ",
        "CREATE SCHEMA app CREATE TABLE inner_one ", "CREATE TABLE cut_low PARTITION OF cut FOR VALUES FROM "}
    assert {row["tag"] for row in messages(one)} == {"CREATE TYPE", "CREATE TABLE", "ALTER TYPE", "CREATE SCHEMA"}
    assert one.new_sql("SELECT to_regclass('public.secret_one'), to_regclass('apart.t'), to_regclass('public.seen')") == [(None, None, None)]


def test_what_the_target_has_already_is_passed_over(flow):
    one = flow(TABLE)
    both = ["CREATE TYPE mood AS ENUM ('fine')", "ALTER TABLE item ADD COLUMN m mood", "CREATE INDEX by_m ON item (m)",
            "CREATE TABLE fresh (id int PRIMARY KEY)", "ALTER TABLE item DROP COLUMN note"]
    for statement in both:
        one.new_sql(statement)
    for statement in both:
        one.sql(statement)
    one.sql("INSERT INTO item VALUES (1, 'fine')")
    one.equal()


def test_policies_hold_everything_or_nothing(flow):
    one = flow(TABLE, ddl={"policy": "hold"})
    one.sql("ALTER TABLE item ADD COLUMN a int")
    decide(one, "approve", held(one, "ddl.policy is hold")[0])
    one.equal()
    other = flow(TABLE, ddl={"policy": "ignore"})
    other.sql("ALTER TABLE item ADD COLUMN a int")
    other.sql("ALTER TABLE item DROP COLUMN note")
    other.settle()
    assert messages(other) == [] and book(other) == []
    other.sql("INSERT INTO item VALUES (1, 2)")
    assert 'no column \\"a\\"' in other.halts("SB-TARGET-STRUCTURE")


# -- a table that changed without a message

QUIET = ["SET session_replication_role = replica"]  # event triggers do not fire


def quietly(one, statement):
    """DDL on the old side that no event trigger sees."""
    one.transaction(*QUIET, statement)


def changed(one, words):
    line = one.halts("SB-RELATION-CHANGED")
    ident, kind, reason = one.new_sql("SELECT id, kind, reason FROM switchback.ddl WHERE state = 'held'")[0]
    assert kind == "relation" and words in reason, (reason, line)
    return ident


@pytest.mark.parametrize(("statement", "words"), [
    ("ALTER TABLE item ADD COLUMN size int", 'column "size" is not on the target'),
    ("ALTER TABLE item RENAME COLUMN note TO remark", 'column "remark" is not on the target'),
    ("ALTER TABLE item ALTER COLUMN note TYPE varchar(30)", 'column "note" has another type'),
    ("ALTER TABLE item DROP COLUMN note", 'column "note" is only on the target'),
    ("ALTER TABLE item DROP CONSTRAINT item_pkey, ADD PRIMARY KEY (n)", "another key"),
])
def test_a_changed_table_without_a_message_is_held_until_the_target_fits(flow, statement, words):
    one = flow("CREATE TABLE item (id int PRIMARY KEY, n int NOT NULL, note text)")
    one.sql("INSERT INTO item VALUES (1, 10, 'x')")
    one.settle()
    quietly(one, statement)
    assert messages(one) == []
    one.transaction("INSERT INTO item VALUES (2, 20)", "UPDATE item SET n = 30 WHERE id = 2")
    changed(one, words)
    assert one.new_sql("SELECT * FROM item") == [(1, 10, "x")]
    one.resume()
    changed(one, words)  # nobody has done anything
    one.new_sql(statement)
    one.resume()
    one.equal()
    assert [row[2] for row in book(one)] == ["applied"]


def test_a_table_that_the_operator_altered_before_goes_on(flow):
    one = flow(TABLE)
    one.sql("INSERT INTO item VALUES (1, 'x')")
    one.settle()
    one.new_sql("ALTER TABLE item ADD COLUMN size int")
    quietly(one, "ALTER TABLE item ADD COLUMN size int")
    one.sql("INSERT INTO item VALUES (2, 'y', 3)")
    one.equal()
    assert book(one) == []


def test_a_changed_table_is_taken_as_it_is(flow):
    one = flow(TABLE)
    one.sql("INSERT INTO item VALUES (1, 'x')")
    one.settle()
    quietly(one, "ALTER TABLE item DROP COLUMN note")
    one.sql("INSERT INTO item VALUES (2)")
    decide(one, "skip", changed(one, "only on the target"))
    one.sql("INSERT INTO item VALUES (3)")
    one.settle()
    assert one.new_sql("SELECT * FROM item ORDER BY id") == [(1, "x"), (2, None), (3, None)]
    assert [row[2] for row in book(one)] == ["skipped"]
