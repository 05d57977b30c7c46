"""A populated old database and an empty new one: the initial copy brings structure and rows, under load, and in the end
the two are the same to pg_dump and row by row."""

import stat

import pytest

from sbtest import compare, richdb, servers
from sbtest.wait import wait_until
from sbtest.writers import Load

ROWS = 1000
COPY = "SELECT state || ' ' || structure FROM switchback.copy WHERE migration = 'shop' AND direction = 'forward'"
ITEMS = "CREATE TABLE item (id int PRIMARY KEY, name text UNIQUE); INSERT INTO item SELECT g, 'n' || g FROM generate_series(1, 300) g"


def make(clusters, switchback, majors=(15, 15), **copy):
    old, new = (clusters(major, name) for major, name in zip(majors, ("old", "new")))
    copy = {"initial": True, "chunk_rows": 100, "pg_bin": str(servers.clients(majors[0])), **copy}
    return old, new, switchback(old, new, config={"copy": copy})


def wait_whole(new, product, timeout=120):
    def whole():
        assert not product.log_contains("level=error"), "a stage failed"
        return new.value(COPY) == "complete complete"

    wait_until(whole, timeout, "the structure to be whole")


def assert_exact(old, new, product):
    product.wait_caught_up(120)
    compare.assert_equal(old, new)
    richdb.assert_same_structure(old, new)
    assert new.sql("SELECT kind, relation, key FROM switchback.conflict LIMIT 5") == []


@pytest.mark.parametrize("majors", [(15, 15), (14, 18), (15, 18), (18, 15)])
def test_everything_arrives_under_load(clusters, switchback, majors):
    old, new, product = make(clusters, switchback, majors)
    rows = ROWS if majors == (15, 15) else 400
    richdb.fill(old, rows)
    assert "initial copy makes them" in product.ok("check").out
    product.ok("prepare")
    assert new.value(COPY) == "pending pending"
    with Load(old, richdb.step(rows), writers=3, pause=0.02) as load:
        product.run()
        wait_whole(new, product)
        wait_until(lambda: load.failure or load.done > 200, 60, "some load")
    assert_exact(old, new, product)
    assert not product.log_contains("was altered while changes were written"), "apply did not wait for the structure"
    chunks = dict(new.sql("SELECT relation, count(*) FROM switchback.chunk GROUP BY 1"))
    assert chunks['"public"."seat"'] >= 4, "a table with a second unique constraint was not cut"
    assert new.value("SELECT count(*) FROM spent") > 0 and new.value("SELECT count(*) FROM spent_much") > 0
    ahead = "SELECT last_value FROM tickets"
    wait_until(lambda: new.value(ahead) > old.value(ahead), 30, "the sequence to be ahead")
    assert new.value("SELECT last_analyze IS NOT NULL FROM pg_stat_user_tables WHERE relname = 'person'")
    assert product.status()["standing"]


# -- which tables


def test_patterns_choose_what_travels(clusters, switchback):
    """The chosen table, the type, function and schema that it needs, and nothing of the rest."""
    old, new, product = make(clusters, switchback)
    richdb.fill(old, 200)
    product.configure(tables={"include": ["public.person", "public.seat", 'Odd*.or*']})
    product.ok("prepare")
    product.run()
    wait_whole(new, product)
    product.wait_caught_up()
    compare.assert_equal(old, new, tables=[("public", "person"), ("public", "seat"), ('Odd "Shop', "or; Type: der")])
    there = {name for (name,) in new.sql("SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname !~ '^pg_|info|switch' AND relkind IN ('r', 'v', 'm', 'p', 'S')")}
    assert there == {"person", "seat", "or; Type: der", "person_id_seq", "whole_people"}
    functions = {name for (name,) in new.sql("SELECT proname FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = 'public'")}
    assert "shout" in functions and "stamp" in functions and "twice" not in functions
    assert new.value("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgrelid = 'person'::regclass") == 1
    assert new.value("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND connamespace <> 'switchback'::regnamespace") == 1


def test_an_excluded_table_keeps_what_depends_on_it(clusters, switchback):
    old, new, product = make(clusters, switchback)
    richdb.fill(old, 200)
    product.configure(tables={"exclude": ["public.purchase"]})
    product.ok("prepare")
    product.run()
    wait_whole(new, product)
    product.wait_caught_up()
    assert new.value("SELECT to_regclass('purchase') IS NULL AND to_regclass('spent') IS NULL AND to_regclass('buyers') IS NULL")
    assert new.value("SELECT to_regclass('person') IS NOT NULL AND to_regproc('twice') IS NOT NULL")


# -- what is refused, and what is not


def test_tables_made_by_hand_are_left_as_they_are(clusters, switchback):
    old, new, product = make(clusters, switchback, pg_bin="/nowhere")
    old.sql(ITEMS)
    new.sql("CREATE TABLE item (id int PRIMARY KEY, name text)")
    product.ok("prepare")
    assert new.value(COPY) == "pending none"
    product.run()
    wait_until(lambda: new.value(COPY) == "complete none", 60, "the rows to be copied")
    product.wait_caught_up()
    assert new.sql("SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'item'::regclass") == [("item_pkey",)]


def test_a_target_that_has_some_of_the_tables_is_refused(clusters, switchback):
    old, new, product = make(clusters, switchback)
    old.sql("CREATE TABLE item (id int PRIMARY KEY)")
    old.sql("CREATE TABLE visit (id int PRIMARY KEY)")
    new.sql("CREATE TABLE visit (id int PRIMARY KEY)")
    done = product.refuses("SB-TARGET-STRUCTURE", "check", code=1)
    assert '"public"."item" does not exist' in done.out and "has 1 of the 2 tables" in done.out
    assert product.verb("prepare").code == 1
    new.sql("DROP TABLE visit")
    product.configure(copy={"schema": "off"})
    assert '"public"."item" does not exist' in product.refuses("SB-TARGET-STRUCTURE", "check", code=1).out


def test_names_that_are_taken_are_told_before_anything_is_written(clusters, switchback):
    old, new, product = make(clusters, switchback)
    richdb.make(old)
    new.sql("CREATE TYPE mood AS ENUM ('mine'); CREATE TABLE buyers (id int); CREATE SCHEMA \"Odd \"\"Shop\"")
    new.sql("CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 3'")
    done = product.refuses("SB-TARGET-STRUCTURE", "check", code=1)
    for name in ("type public.mood", "public.buyers", "function public.twice(n integer)"):
        assert f"{name} exists on the target already" in done.out, done.out
    assert product.verb("prepare").code == 1 and new.sql("SELECT FROM pg_namespace WHERE nspname = 'switchback'") == []
    new.sql("DROP TYPE mood; DROP TABLE buyers; DROP FUNCTION twice")
    product.ok("prepare")


def test_a_name_taken_after_prepare_leaves_nothing_made(clusters, switchback):
    old, new, product = make(clusters, switchback)
    old.sql(ITEMS)
    old.sql("CREATE FUNCTION zeta() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    product.ok("prepare")
    new.sql("CREATE TABLE item (id int)")
    product.run()
    report = product.wait_halted("copy-forward", "SB-TARGET-STRUCTURE", 60)
    assert "TABLE public.item" in report["error_text"] and "already exists" in report["error_text"]
    assert new.sql("SELECT FROM pg_proc WHERE proname = 'zeta'") == []
    new.sql("DROP TABLE item")
    product.ok("resume")
    wait_until(lambda: new.value(COPY) == "complete complete", 60, "the structure to be whole")
    assert_exact(old, new, product)


def test_what_the_target_refuses_is_named_and_can_be_mended_or_left_out(clusters, switchback):
    """A policy for a role that is not there; nothing else waits for it."""
    old, new, product = make(clusters, switchback)
    old.sql(ITEMS)
    old.sql("CREATE ROLE teller")
    old.sql("CREATE POLICY mine ON item TO teller USING (true)")
    old.sql("CREATE POLICY yours ON item TO teller USING (false)")
    product.ok("prepare")
    product.run()
    report = product.wait_halted("copy-forward", "SB-TARGET-STRUCTURE", 60)
    assert "POLICY public.item mine" in report["error_text"] and "teller" in report["error_text"], report
    assert "schema: constraints" in product._stage("apply-forward")["why"]
    statement = report["hint"].split("on the target: ")[1]
    new.sql(statement)
    new.sql("CREATE ROLE teller")
    product.ok("resume")
    wait_until(lambda: new.value(COPY) == "complete complete", 60, "the structure to be whole")
    product.wait_caught_up()
    assert new.sql("SELECT polname FROM pg_policy") == [("yours",)]


def fake_pg_dump(folder, words):
    folder.mkdir()
    for name in ("pg_dump", "pg_restore"):
        (folder / name).write_text(f"#!/bin/sh\n{words}\n")
        (folder / name).chmod(stat.S_IRWXU)
    return str(folder)


def test_a_pg_dump_that_is_missing_or_too_old_is_named(clusters, switchback, place):
    old, new, product = make(clusters, switchback, pg_bin="/nowhere")
    old.sql(ITEMS)
    done = product.refuses("SB-PG-DUMP", "check", code=1)
    assert "no pg_dump with its pg_restore was found (/nowhere)" in done.out and "apt install postgresql-client-15" in done.out
    product.configure(copy={"pg_bin": fake_pg_dump(place / "older", "echo 'pg_dump (PostgreSQL) 9.6.24'")})
    done = product.refuses("SB-PG-DUMP", "check", code=1)
    assert "PostgreSQL 15" in done.out and "older/pg_dump" in done.out and "PostgreSQL 9" in done.out
    assert product.verb("prepare").code == 1
    product.configure(copy={"pg_bin": None})
    assert "schema.pg_dump" in product.ok("check").out  # the distribution's
    product.ok("prepare")


def test_a_pg_dump_that_fails_says_why(clusters, switchback, place):
    old, new, product = make(clusters, switchback)
    old.sql(ITEMS)
    product.ok("prepare")
    product.configure(copy={"pg_bin": fake_pg_dump(
        place / "failing", "[ \"$1\" = --version ] && echo 'pg_dump (PostgreSQL) 99.1' && exit\necho 'first words' >&2; echo 'no such luck' >&2; exit 3")})
    product.run()
    report = product.wait_halted("copy-forward", "SB-PG-DUMP", 60)
    assert "pg_dump ended with 3: first words no such luck" in report["error_text"], report
    assert new.sql("SELECT FROM switchback.copy_step") == [] and new.value("SELECT to_regclass('item') IS NULL")


def test_the_password_is_in_no_argument(clusters, switchback, place):
    old, new, product = make(clusters, switchback)
    old.sql(ITEMS)
    old.sql("CREATE ROLE mover SUPERUSER LOGIN PASSWORD 'open sesame'")
    old.hba("local all postgres trust", "local all mover scram-sha-256", "local replication all trust")
    old.reload()
    real = servers.clients(15)
    seen = place / "seen"
    secret = place / "secret"
    secret.write_text("open sesame\n")
    secret.chmod(stat.S_IRUSR)
    product.configure(
        source={"dsn": old.dsn(user="mover"), "password_file": str(secret)},
        copy={"pg_bin": fake_pg_dump(place / "spy", f'echo "$0 $*" >>{seen}; exec {real}/$(basename $0) "$@"')})
    product.ok("prepare")
    product.run()
    wait_whole(new, product)
    words = seen.read_text()
    assert "--schema-only" in words and "user='mover'" in words and "sesame" not in words
    assert_exact(old, new, product)


# -- when


def test_an_idle_source_gets_there_too(clusters, switchback):
    """No rows and no writes: apply reaches the point all the same."""
    old, new, product = make(clusters, switchback)
    old.sql("CREATE TABLE item (id int PRIMARY KEY, name text UNIQUE)")
    product.ok("prepare")
    product.run()
    wait_whole(new, product, 60)
    assert new.value("SELECT count(*) FROM pg_index WHERE indrelid = 'item'::regclass AND indisunique") == 2


def test_the_copy_alone_waits_for_apply(clusters, switchback):
    old, new, product = make(clusters, switchback)
    old.sql(ITEMS)
    product.ok("prepare")
    stage = product.start("copy")
    report = product.wait_state("copy-forward", "waiting", 60)
    assert "waits for apply to pass the copied rows" in report["why"]
    assert new.value(COPY) == "complete pending"
    assert new.value("SELECT count(*) FROM pg_index WHERE indrelid = 'item'::regclass") == 1, "the unique constraint came too early"
    product.start("capture")
    product.start("apply")
    assert stage.wait(60) == 0
    assert "schema: " in product.log.read_text(errors="replace")
    assert_exact(old, new, product)
