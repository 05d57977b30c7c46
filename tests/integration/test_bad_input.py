"""What goes wrong with tables while everything runs: each case is named with table, column and what to do; nothing is half
written; and once it is mended and resumed, the migration goes on and ends equal."""

import re

import psycopg
import pytest

from flow import flow, server  # noqa: F401 (fixtures)
from sbtest.wait import wait_until

NARROWER = [  # type on the source, narrower on the target, a value both hold, one that only the source holds
    ("numeric(10,2)", "numeric(6,2)", "1.25", "12345678.90"),
    ("numeric(10,2)", "numeric(10,1)", "1.25", "1.27"),
    ("numeric", "numeric(10,2)", "1.25", "1.257"),
    ("varchar(10)", "varchar(3)", "'abc'", "'abcdef'"),
    ("varchar(10)", "varchar(3)", "'abc'", "'abc   '"),
    ("text", "varchar(3)", "'äöü'", "'äöü '"),
    ("text", "char(5)", "'abc  '", "'abc'"),
    ("char(10)", "char(3)", "'abc'", "'abcdef'"),
    ("char(3)", "char(10)", "'abc'", "'ab'"),
    ("bit(8)", "bit(4)", "B'00001111'", "B'11110000'"),
    ("bit varying(8)", "bit varying(4)", "B'1111'", "B'11111111'"),
    ("bigint", "integer", "1", "3000000000"),
    ("integer", "smallint", "1", "40000"),
    ("double precision", "real", "0.5", "0.1234567890123"),
    ("timestamp", "timestamp(0)", "'2026-01-01 10:00:00'", "'2026-01-01 10:00:00.5'"),
    ("timestamptz", "timestamp", "'2026-01-01 10:00:00+00'", "'2026-01-01 10:00:00+02'"),
    ("time(6)", "time(1)", "'10:00:00.5'", "'10:00:00.55'"),
    ("timestamp", "date", "'2026-01-01'", "'2026-01-01 10:00:00'"),
    ("interval", "interval day", "'1 day'", "'1 day 2 hours'"),
    ("json", "jsonb", "'1'", """'{"a":  1, "a": 2}'"""),
    ("text", "uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"),
    ("text", "integer", "'7'", "'007'"),
]


def halted(it, ident, *names):
    """A stage stops for good, and says at what: the id, these names, and what to do."""
    line = it.halts(ident, timeout=30)
    assert all(name in line.replace('\\"', '"') for name in names), line
    assert re.search(r'hint="[^"]+', line), f"it does not say what to do: {line}"
    return line


# One migration for all of them: a table each.


@pytest.mark.parametrize("mode", ["auto", "exact"])
def test_columns_that_become_narrower_on_the_target(flow, mode):  # noqa: F811
    """Whatever the value: it arrives as it is, or it is named and nothing is written."""
    tables = [f"t{number}" for number in range(len(NARROWER))]
    it = flow(
        ";".join(f"CREATE TABLE {table} (id int PRIMARY KEY, v {case[0]})" for table, case in zip(tables, NARROWER)),
        apply={"mode": mode})
    for table in tables:
        it.sql(f"INSERT INTO {table} VALUES (0, NULL)")
    it.settle()
    for table, (wide, narrow, both, only) in zip(tables, NARROWER):
        it.new_sql(f"ALTER TABLE {table} ALTER v TYPE {narrow} USING NULL")
        it.transaction(f"INSERT INTO {table} VALUES (1, {both})", f"INSERT INTO {table} VALUES (2, {only})")
        halted(it, "(?:SB-TARGET-STRUCTURE|SB-POISON)", f'public.{table}"', 'column "v"')
        assert it.new_sql(f"SELECT id FROM {table}") == [(0,)], f"{wide} to {narrow}: half of a transaction"
        it.new_sql(f"ALTER TABLE {table} ALTER v TYPE {wide} USING NULL")
        it.resume()
        it.settle()
    it.equal()


# What breaks the table item(id, v) on the target, what the source does then, what is said, and what mends it.
BROKEN = [
    ("column_dropped", ["ALTER TABLE item DROP v"], "INSERT INTO item VALUES (1, 'fine')", "SB-TARGET-STRUCTURE",
     ['"public.item"', 'column "v"', 'ADD COLUMN "v"'], ["ALTER TABLE item ADD v mood"]),
    ("column_renamed", ["ALTER TABLE item RENAME v TO w"], "INSERT INTO item VALUES (1, 'fine')", "SB-TARGET-STRUCTURE",
     ['"public.item"', 'column "v"'], ["ALTER TABLE item RENAME w TO v"]),
    ("table_dropped", ["DROP TABLE item"], "INSERT INTO item VALUES (1, 'fine')", "SB-TARGET-STRUCTURE",
     ['"public.item"'], ["CREATE TABLE item (id int PRIMARY KEY, v mood)"]),
    ("view_instead", ["ALTER TABLE item RENAME TO item_", "CREATE VIEW item AS SELECT * FROM item_"], "INSERT INTO item VALUES (1, 'fine')",
     "SB-TARGET-STRUCTURE", ['"public.item"', "view"], ["DROP VIEW item", "ALTER TABLE item_ RENAME TO item"]),
    ("unlogged", ["ALTER TABLE item SET UNLOGGED"], "INSERT INTO item VALUES (1, 'fine')", "SB-TARGET-STRUCTURE",
     ['"public.item"', "unlogged", "SET LOGGED"], ["ALTER TABLE item SET LOGGED"]),
    ("another_table_instead", ["ALTER TABLE item RENAME TO item_", "CREATE TABLE item (id int PRIMARY KEY)"], "INSERT INTO item VALUES (1, 'fine')",
     "SB-TARGET-STRUCTURE", ['"public.item"', 'column "v"'], ["DROP TABLE item", "ALTER TABLE item_ RENAME TO item"]),
    ("not_null_extra", ["ALTER TABLE item ADD extra int NOT NULL"], "INSERT INTO item VALUES (1, 'fine')", "SB-(?:POISON|TARGET-STRUCTURE)",
     ["public.item", '"extra"'], ["ALTER TABLE item DROP extra"]),
    ("not_null_here", ["ALTER TABLE item ALTER v SET NOT NULL"], "INSERT INTO item VALUES (1, NULL)", "SB-(?:POISON|TARGET-STRUCTURE)",
     ["public.item", '"v"'], ["ALTER TABLE item ALTER v DROP NOT NULL"]),
    ("check", ["ALTER TABLE item ADD CONSTRAINT small CHECK (id < 1)"], "INSERT INTO item VALUES (1, 'fine')", "SB-POISON",
     ["public.item", '"small"'], ["ALTER TABLE item DROP CONSTRAINT small"]),
    ("label", [], "ALTER TYPE mood ADD VALUE 'new'; INSERT INTO item VALUES (1, 'new')", "SB-(?:POISON|TARGET-STRUCTURE)",
     ["public.item", "mood"], ["ALTER TYPE mood ADD VALUE 'new'"]),
    ("generated", ["ALTER TABLE item DROP v", "ALTER TABLE item ADD v mood GENERATED ALWAYS AS ('fine'::mood) STORED"], "INSERT INTO item VALUES (1, 'bad')",
     "SB-TARGET-STRUCTURE", ['"public.item"', '"v"'], ["ALTER TABLE item ALTER v DROP EXPRESSION"]),
]


@pytest.mark.parametrize("mode", ["auto", "exact"])
def test_a_table_that_is_broken_on_the_target(flow, mode):  # noqa: F811
    it = flow("CREATE TYPE mood AS ENUM ('fine', 'bad'); CREATE TABLE item (id int PRIMARY KEY, v mood)", apply={"mode": mode},
              ddl={"policy": "ignore"})  # or it would bring the label along
    it.settle()
    for name, broken, change, ident, names, mend in BROKEN:
        for statement in broken:
            it.new_sql(statement)
        for statement in change.split(";"):
            it.sql(statement)
        halted(it, ident, *names)
        for statement in mend:
            it.new_sql(statement)
        it.resume()
        it.equal()
        it.sql("TRUNCATE item")
        it.settle()


def test_row_level_security_that_comes_later(flow):  # noqa: F811
    """Our role is no superuser: a policy would hide rows from it, so it stops rather than to take them for missing."""
    it = flow("CREATE TABLE item (id int PRIMARY KEY, v text)", start=False)
    role = f"{it.db}_applier"
    it.new.sql(f"CREATE ROLE {role} LOGIN")
    it.product.ok("prepare")
    for statement in (
        f"GRANT ALL ON item TO {role}", f"GRANT USAGE ON SCHEMA switchback TO {role}",
        f"GRANT ALL ON ALL TABLES IN SCHEMA switchback TO {role}", f"GRANT ALL ON ALL SEQUENCES IN SCHEMA switchback TO {role}",
        f"GRANT SET ON PARAMETER session_replication_role TO {role}",
        *(f"GRANT EXECUTE ON FUNCTION {one} TO {role}" for one in (
            "pg_replication_origin_session_setup(text)", "pg_replication_origin_session_reset()", "pg_replication_origin_xact_setup(pg_lsn, timestamptz)",
            "pg_replication_origin_oid(text)", "pg_replication_origin_progress(text, boolean)",
            "pg_replication_origin_session_progress(boolean)", "pg_replication_origin_session_is_setup()")),
    ):
        it.new_sql(statement)
    it.product.configure(target={"dsn": it.new.dsn(it.db, user=role)})
    it.stages = [it.product.start("capture"), it.product.start("apply")]
    it.sql("INSERT INTO item VALUES (1, 'seen')")
    it.settle()
    it.new_sql("ALTER TABLE item ENABLE ROW LEVEL SECURITY")
    it.sql("UPDATE item SET v = 'again'")
    halted(it, "SB-RLS", "item")
    assert it.new_sql("SELECT v FROM item") == [("seen",)]
    it.new_sql("ALTER TABLE item DISABLE ROW LEVEL SECURITY")
    it.resume()
    it.equal()
    it.product.configure(target={"dsn": it.new.dsn(it.db)})


def test_a_character_that_the_target_cannot_hold(flow):  # noqa: F811
    """`check` refuses such a target; who made it so later is stopped at the character."""
    it = flow("CREATE TABLE item (id int PRIMARY KEY, v text)", encodings=("UTF8", "UTF8"))
    it.sql("INSERT INTO item VALUES (1, 'é')")
    it.settle()
    for stage in it.stages:
        stage.stop()
    # The same data in LATIN1, as after a restore into the wrong database.
    it.new.sql(f"UPDATE pg_database SET encoding = pg_char_to_encoding('LATIN1') WHERE datname = '{it.db}'")
    it.new_sql("UPDATE item SET v = NULL")
    it.stages = [it.product.start("capture"), it.product.start("apply")]
    it.sql("INSERT INTO item VALUES (2, '\u20ac')")
    halted(it, "SB-ENCODING", "item")
    assert it.new_sql("SELECT count(*) FROM item") == [(1,)]
    it.new.sql(f"UPDATE pg_database SET encoding = pg_char_to_encoding('UTF8') WHERE datname = '{it.db}'")
    it.new_sql("UPDATE item SET v = 'é'")
    it.resume()
    it.equal()


@pytest.mark.parametrize("policy", ["apply", "ignore"])
def test_a_replica_identity_set_to_nothing(flow, policy):  # noqa: F811
    """PostgreSQL refuses updates and deletes to the application from then on. Held and named, unless DDL is to be ignored:
    then inserts still arrive, and nothing that was written is missing."""
    it = flow("CREATE TABLE item (id int PRIMARY KEY, v text)", ddl={"policy": policy})
    it.sql("INSERT INTO item VALUES (1, 'before')")
    it.settle()
    it.sql("ALTER TABLE item REPLICA IDENTITY NOTHING")
    with pytest.raises(psycopg.Error, match="does not have a replica identity"):
        it.sql("UPDATE item SET v = 'refused'")
    it.sql("INSERT INTO item VALUES (2, 'meanwhile')")
    if policy == "apply":
        line = halted(it, "SB-DDL-HELD", "REPLICA IDENTITY NOTHING")
        assert it.new_sql("SELECT id FROM item") == [(1,)]
        skipped(it, line)
    it.settle()
    it.equal()
    it.sql("ALTER TABLE item REPLICA IDENTITY DEFAULT")
    it.sql("UPDATE item SET v = 'after'")
    if policy == "apply":
        skipped(it, halted(it, "SB-DDL-HELD", "REPLICA IDENTITY DEFAULT"))
    it.settle()
    it.equal()


def skipped(it, line):
    """As the line's hint says."""
    it.product.ok("ddl", "skip", re.search(r"switchback ddl skip (\d+)", line)[1], "--reason", "the target keeps its own")
    it.resume()
