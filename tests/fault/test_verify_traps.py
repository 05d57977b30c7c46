"""What a server's own truth can do to a compare: commits that nobody sees yet, that a crash takes back, and tables
emptied under a snapshot. Each test shows first that its trap is real on this server."""

import re
import threading

import pytest

from copy_pair import frozen
from sbtest import tree
from sbtest.standby import HANGS, hang, replayed, standby_of, written
from sbtest.verifying import DIFFERENT, EQUAL, in_background, of_table, running, verify
from sbtest.wait import wait_until

SNAPSHOT = "SELECT pg_current_snapshot()::text"
WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'item'::regclass"


def make(clusters, switchback, rows=200, old=None, **config):
    """A migration of two tables at work, the old server crashable."""
    servers = clusters(15, "old", fsync=True, settings=old or {}), clusters(15, "new")
    for server in servers:
        for table in ("item", "other"):
            server.sql(f"CREATE TABLE {table} (id int PRIMARY KEY, note text)")
            server.sql(f"INSERT INTO {table} SELECT g, 'row ' || g FROM generate_series(1, {rows}) g")
    return *servers, running(switchback, *servers, verify={"stream_wait_s": 20}, **config)


def found(answer):
    return {(table["table"], one["kind"], one["key"]["id"]) for table in answer["tables"] for one in table["differences"]}


def plant(new, keys):
    """These rows of `other` are wrong; what a compare must say of them."""
    with new.connect() as session:
        session.execute("SET session_replication_role = replica")
        for key in keys:
            session.execute("UPDATE other SET note = 'planted' WHERE id = %s", (key,))
    return {("public.other", "changed", str(key)) for key in keys}


# -- R1: in the stream and on the target, and in no snapshot of the source


def test_what_no_snapshot_shows_hides_nothing_and_is_no_difference(clusters, switchback):
    """A17: an insert, an update and a delete whose commit waits for a standby without end."""
    old, new, product = make(clusters, switchback)
    product.wait_caught_up()
    release = hang(old, "DO $$BEGIN INSERT INTO item VALUES (900, 'held'); UPDATE item SET note = 'held' WHERE id = 7; "
                        "DELETE FROM item WHERE id = 8; UPDATE other SET note = 'held' WHERE id IN (1, 200); END$$")
    held = "SELECT array_agg(id ORDER BY id) FROM (SELECT id FROM item WHERE note = 'held' UNION ALL SELECT id FROM other WHERE note = 'held') _"
    wait_until(lambda: new.value(held) == [1, 7, 200, 900], 30, "the invisible commit to be applied")
    assert old.value(held) is None and old.sql(HANGS), "it is visible: the fault did not take place"
    answer = verify(product, code=EQUAL)
    assert answer["held_back_by"] > 0 and of_table(answer, "public.item")["by_stream"] == 3, answer
    wanted = plant(new, [2, 199])
    assert found(verify(product, code=DIFFERENT)) == wanted
    wanted |= plant(new, [1])  # a key that the invisible commit wrote is judged, too
    assert found(verify(product, code=DIFFERENT)) == wanted
    assert old.value(held) is None and old.sql(HANGS), "it became visible meanwhile"
    release()
    assert found(verify(product, code=DIFFERENT)) == wanted


# -- R3: a standby's snapshots do not say who is running


def test_a_standby_is_no_source(clusters, switchback):
    old, new = clusters(15, "old"), clusters(15, "new")
    for server in (old, new):
        server.sql("CREATE TABLE item (id int PRIMARY KEY, note text)")
        server.sql("INSERT INTO item VALUES (1, 'one')")
    old.stop()
    standby = standby_of(old, clusters)
    product = running(switchback, old, new)
    product.wait_caught_up()
    with old.connect(autocommit=False) as session:
        session.execute("INSERT INTO item VALUES (2, 'open')")
        (xid,) = session.execute("SELECT pg_current_xact_id()::text").fetchone()
        old.sql("INSERT INTO item VALUES (3, 'later')")
        wait_until(lambda: replayed(standby) >= written(old), 30, "the standby to follow")
        running_there = [server.value(SNAPSHOT).split(":")[2].split(",") for server in (old, standby)]
        assert xid in running_there[0] and running_there[1] == [""], f"{running_there}: the trap is not there"
        assert standby.sql("SELECT id FROM item ORDER BY id") == [(1,), (3,)]
        besides = switchback(standby, new, migration="shop2")
        besides.configure(migration="shop", stream={"path": f"{product.config['state_dir']}/forward.db"})
        besides.refuses("SB-STAMP-FROM-STANDBY", "verify", "--json")
    product.wait_caught_up()
    verify(product, code=EQUAL)


# -- TRUNCATE between a snapshot and the first read under it


def test_a_truncate_between_snapshot_and_first_read_is_real(clusters):
    old = clusters(15, "old")
    old.sql("CREATE TABLE item AS SELECT 1 AS id")
    with old.connect(autocommit=False) as session:
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        session.execute(SNAPSHOT)
        old.sql("TRUNCATE item")
        assert session.execute("SELECT count(*) FROM item").fetchone() == (0,), "snapshots survive a TRUNCATE here"


@pytest.mark.parametrize("point", ["reconcile-between-stamps", "reconcile-before-rows"])
def test_a_truncate_of_the_source_waits_for_the_rows(clusters, switchback, point):
    """A33: whoever has a snapshot has the lock."""
    old, new, product = make(clusters, switchback)
    compare = product.start("verify", "--table", "public.item", fault=f"{point}:freeze:1")
    frozen(compare)
    thread = threading.Thread(target=old.sql, args=("TRUNCATE item",))
    thread.start()
    wait_until(lambda: old.value(WAITS) == 1, 30, "the TRUNCATE to wait for the compare")
    compare.thaw()
    assert compare.wait(90) == EQUAL
    thread.join(30)
    assert old.value("SELECT count(*) FROM item") == 0 and not thread.is_alive()


def test_a_truncate_that_one_side_has_is_read_again(clusters, switchback):
    """The source was emptied before the snapshots, the target is emptied behind them."""
    old, new, product = make(clusters, switchback)
    product.wait_caught_up()
    product.ok("pause")
    product.wait_state("apply-forward", "waiting", 30)
    old.sql("TRUNCATE item")
    compare = product.start("verify", "--json", "--table", "public.item", fault="reconcile-before-rows:freeze:1")
    frozen(compare)
    product.ok("resume")
    wait_until(lambda: new.value(WAITS) == 1, 60, "apply's TRUNCATE to wait for the compare")
    assert new.value("SELECT count(*) FROM other") == 200 and old.value("SELECT count(*) FROM item") == 0
    old.sql("INSERT INTO item VALUES (5, 'after')")
    compare.thaw()
    assert compare.wait(90) == EQUAL
    assert product.log_contains(r'table compared.*public\.item.*state=equal rows=1 '), product.evidence()


# -- commits that a crash takes back


def lose_what_was_read(old, product, point):
    """A compare, frozen behind a snapshot that shows an asynchronous commit; the source crashed then, and the commit's
    xid, if the crash took it."""
    with old.connect() as session:
        session.execute("SET synchronous_commit = off")
        session.execute("UPDATE item SET note = 'lost' WHERE id <= 10")
        (gone,) = session.execute("SELECT max(xmin::text::bigint) FROM item WHERE note = 'lost'").fetchone()
    compare = product.start("verify", "--json", "--table", "public.item", fault=f"{point}:freeze:1")
    frozen(compare)
    old.crash_and_recover()
    taken = old.value("SELECT count(*) FROM item WHERE note = 'lost'") == 0
    free = old.value("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint") <= gone
    return compare, gone if taken and free else None


@pytest.mark.parametrize("point", ["reconcile-between-stamps", "reconcile-after-rows"])
def test_a_commit_lost_in_a_crash_is_in_no_verdict(clusters, switchback, point):
    """A32: the snapshot showed it, the crash took it, and its xid is that of another transaction now."""
    quiet = {"wal_writer_delay": "10s", "autovacuum": "off", "full_page_writes": "off"}
    old, new, product = make(clusters, switchback, old=quiet)
    product.wait_caught_up()
    product.stop()
    for _ in range(6):  # the server may flush by itself just then
        compare, gone = lose_what_was_read(old, product, point)
        if gone is not None:
            break
        compare.kill9()
        old.sql("UPDATE item SET note = 'row ' || id WHERE id <= 10")
    assert gone is not None, "no crash has lost the commit"
    xid = 0
    with old.connect() as session:
        while xid < gone:
            (xid,) = session.execute("UPDATE item SET note = 'again' WHERE id = 20 RETURNING xmin::text::bigint").fetchone()
    assert xid == gone, "the xid was not given away again"
    product.run()
    product.wait_caught_up(90)
    compare.thaw()
    assert compare.wait(90) not in (EQUAL, DIFFERENT, 8), "it gave a verdict"
    assert product.log_contains("SB-SOURCE-UNAVAILABLE"), product.evidence()
    assert new.value("SELECT count(*) FROM switchback.verify_run WHERE verdict IS NOT NULL") == 0
    assert new.value("SELECT count(*) FROM switchback.verify_run WHERE state = 'failed' AND why = 'SB-SOURCE-UNAVAILABLE'") == 1
    assert new.value("SELECT count(*) FROM switchback.difference") == 0
    verify(product, code=EQUAL)


# -- R4: a row lock orders nothing


def test_for_key_share_lets_a_stale_image_pass_behind_a_newer_commit(clusters):
    """Why images are stamped, and no row is locked."""
    old = clusters(15, "old")
    old.sql("CREATE TABLE item (id int PRIMARY KEY, note text)")
    old.sql("INSERT INTO item VALUES (1, 'old')")
    old.sql("SELECT pg_create_logical_replication_slot('seen', 'test_decoding')")
    with old.connect(autocommit=False) as session:
        (image,) = session.execute("SELECT note FROM item WHERE id = 1 FOR KEY SHARE").fetchone()
        old.sql("UPDATE item SET note = 'newer' WHERE id = 1")  # it does not wait
        session.execute("SELECT pg_logical_emit_message(true, 'image', %s)", (image,))
        session.commit()
    lines = [line for (line,) in old.sql("SELECT data FROM pg_logical_slot_get_changes('seen', NULL, NULL)")]
    (newer,) = [n for n, line in enumerate(lines) if "UPDATE" in line and "'newer'" in line]
    (stale,) = [n for n, line in enumerate(lines) if line.startswith("message") and line.endswith("old")]
    assert newer < stale, lines


def test_no_statement_of_ours_locks_rows_to_order_them():
    """FOR KEY SHARE is nowhere; what compares and repairs locks no row of a table at all."""
    files = [path for path in tree.files(".c", ".h", ".sql") if path.parts[0] != "tests"]
    assert len(files) > 100
    assert [str(path) for path in files if re.search(r"FOR\s+(NO\s+)?KEY", tree.read(path))] == []
    locks = re.compile(r"\bFOR\s+(SHARE|UPDATE)\b")
    assert [str(path) for path in files if path.parts[0] == "reconcile" and locks.search(tree.read(path))] == []
