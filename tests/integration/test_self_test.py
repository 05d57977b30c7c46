"""`verify --self-test`: the compare proves that it can find before its verdict counts, and leaves nothing behind."""

import signal

import pytest

from sbtest import process
from sbtest.verifying import DIFFERENT, EQUAL, verify
from sbtest.wait import wait_until

LEFT = """
SELECT c.relname::text FROM pg_class c WHERE c.relname LIKE 'switchback\\_%' AND c.relnamespace <> 'switchback'::regnamespace
UNION ALL SELECT t.typname::text FROM pg_type t WHERE t.typname IN ('switchback_mood', 'switchback_share')
"""
# As software would that meddles with every table: whatever the function does to new rows of one column, or to all updates.
MEDDLER = """
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN {body} RETURN NEW; END';
CREATE FUNCTION meddling() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE made record;
BEGIN
    FOR made IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE command_tag = 'CREATE TABLE' AND object_identity LIKE '%{table}' LOOP
        EXECUTE 'CREATE TRIGGER meddle BEFORE {op} ON ' || made.object_identity || ' FOR EACH ROW EXECUTE FUNCTION public.meddle()';
    END LOOP;
END $$;
CREATE EVENT TRIGGER meddling ON ddl_command_end EXECUTE FUNCTION meddling()
"""


def left(*servers):
    return [row for server in servers for row in server.sql(LEFT)]


def migration(clusters, switchback, majors=(15, 15), **config):
    old, new = clusters(majors[0], "old"), clusters(majors[1], "new")
    for server in (old, new):
        server.sql("CREATE TABLE item (id int PRIMARY KEY, note text)")
        server.sql("INSERT INTO item SELECT g, 'note ' || g FROM generate_series(1, 100) g")
    product = switchback(old, new, config=config)
    product.ok("prepare")
    product.run()
    for stage in ("capture-forward", "apply-forward"):
        product.wait_state(stage, "running", 60)
    return old, new, product


@pytest.mark.parametrize("majors", [(15, 15), (14, 18)], ids=str)
def test_all_that_is_planted_is_found(clusters, switchback, majors):
    old, new, product = migration(clusters, switchback, majors)
    answer = verify(product, "--self-test", code=EQUAL)
    assert answer["self_test"]["planted_and_found"] > answer["self_test"]["columns"] > 45, answer["self_test"]
    assert answer["keys_compared"] == 100, "the self-test's rows count as the user's"
    assert new.sql("SELECT * FROM switchback.difference") == [] and left(old, new) == []
    new.sql("DELETE FROM item WHERE id = 7")
    done = product.verb("verify", "--self-test", timeout=120)
    assert done.code == DIFFERENT and "planted differences in" in done.out and "missing {\"id\": \"7\"}" in done.out, done
    assert new.value("SELECT count(*) FROM switchback.difference") == 1
    assert verify(product, code=DIFFERENT)["self_test"] is None
    assert new.sql("SELECT * FROM switchback.ddl") == [], "the stream has the self-test's tables"
    old.sql("INSERT INTO item VALUES (1000, 'goes on')")
    product.wait_caught_up(60)


@pytest.mark.parametrize("config", [{"sums": True}, {"memory_max_bytes": 262144}], ids=str)
def test_it_takes_the_way_that_the_compare_takes(clusters, switchback, config):
    _, _, product = migration(clusters, switchback, verify=config)
    assert verify(product, "--self-test", code=EQUAL)["self_test"]["planted_and_found"] > 45


@pytest.mark.parametrize(
    "side, table, op, body, words",
    [
        ("new", "switchback_keyed", "UPDATE", "NEW.c5 := OLD.c5;", 'not find what was planted: "changed" in switchback_keyed, key "15", type real'),
        ("new", "switchback_keyed", "INSERT", "IF NEW.id = 150 THEN NEW.c10 := 'odd'; END IF;", 'found a row that is "changed" in switchback_keyed'),
        ("old", "switchback_counted", "INSERT", "IF NEW.n = 9 THEN NEW.n := 8; END IF;", 'found a row that is "missing" in switchback_counted'),
        ("new", "switchback_spelled", "UPDATE", "NEW.k := initcap(NEW.k);", 'not find what was planted: "missing" in switchback_spelled, key "Key 8"'),
    ],
)
def test_a_compare_that_misses_something_says_nothing(clusters, switchback, side, table, op, body, words):
    old, new, product = migration(clusters, switchback)
    {"old": old, "new": new}[side].sql(MEDDLER.format(table=table, op=op, body=body.replace("'", "''")))
    done = product.refuses("SB-SELF-TEST", "verify", "--self-test", timeout=120)
    assert words in done.err, done
    assert new.sql("SELECT state, verdict, why FROM switchback.verify_run") == [("failed", None, "SB-SELF-TEST")]
    assert left(old, new) == []
    verify(product, code=EQUAL)


def test_it_leaves_nothing_behind_when_it_is_killed(clusters, switchback):
    old, new, product = migration(clusters, switchback)
    frozen = product.start("verify", "--self-test", fault="reconcile-between-stamps:freeze:1")
    wait_until(lambda: process.stat(frozen.pid)[1] == "T", 60, "verify to stand in its self-test")
    assert {name for (name,) in left(old, new)} >= {"switchback_keyed", "switchback_spelled", "switchback_counted"}
    frozen.signal(signal.SIGKILL)
    frozen.wait(30)
    wait_until(lambda: left(old, new) == [], 60, "the servers to notice")
    verify(product, "--self-test", code=EQUAL)
