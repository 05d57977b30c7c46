"""The way back, armed: what runs, what comes back, and who wrote where only we may."""

import time

from sbtest import compare
from sbtest.wait import wait_until
from sbtest.wayback import WayBack


def test_the_way_back_is_armed_once_the_copy_is_complete(armed):
    it = armed()
    slot = it.new.sql("SELECT plugin, active FROM pg_replication_slots WHERE slot_name = 'switchback_shop_reverse'")
    assert slot == [("pgoutput", True)]
    assert it.old.sql("SELECT migration, owner, epoch FROM switchback.ownership") == [("shop", "old", 1)]
    assert it.new.sql("SELECT migration, owner, epoch FROM switchback.ownership") == [("shop", "old", 1)]
    it.settle()
    assert it.changes("reverse") == [], "rows of ours travelled back"
    compare.assert_equal(it.old, it.new)


def test_status_says_who_owns_and_how_the_way_back_is(armed):
    it = armed()
    status = it.product.status()
    assert (status["owner"], status["ownership_epoch"], status["way_back"]) == ("old", 1, {"armed": True, "why": None})
    for name in ("forward", "reverse"):
        direction = it.direction(name)
        assert direction["observes"] == (name == "reverse")
        assert 0 < direction["canary"]["round_trip_seconds"] < 10 and direction["canary"]["last_success"]
        assert direction["rogue"] == {"writes": 0, "transactions": 0}
    text = it.product.verb("status").out
    assert "owner            the old side, ownership epoch 1; way back armed" in text
    assert text.count("canary           there and back in ") == 2 and "rogue writes     0 in 0 transactions" in text
    # What arrived is in the control schema of the side where it did.
    for cluster, name in ((it.new, "forward"), (it.old, "reverse")):
        rows = cluster.sql("SELECT direction, number > 0, applied_at - sent_at < '10 s' FROM switchback.canary")
        assert rows == [(name, True, True)]


def test_what_we_write_does_not_travel_back(armed):
    it = armed()
    for _ in range(3):
        it.old.sql("UPDATE account SET amount = amount + 1")
        it.old.sql("INSERT INTO journal SELECT g, 'x' FROM generate_series(1, 500) g")
        it.old.sql("INSERT INTO whole SELECT g, 'y' FROM generate_series(1, 100) g")
    it.old.sql("DELETE FROM account WHERE id > 50")
    it.old.sql("TRUNCATE whole")
    it.settle()
    compare.assert_equal(it.old, it.new)
    assert len(it.changes("forward")) > 1900
    assert it.changes("reverse") == [], "rows of ours travelled back"
    assert it.recorded() == [] and it.totals() == (0, 0)
    assert it.direction("reverse")["canary"]["sent"] > 0


ROGUES = [
    ("insert", "INSERT INTO account VALUES (1000, 1, 'rogue')", "account"),
    ("update", "UPDATE account SET note = 'rogue' WHERE id = 7", "account"),
    ("delete", "DELETE FROM account WHERE id = 8", "account"),
    ("insert", "INSERT INTO journal VALUES (1, 'rogue')", "journal"),
    ("insert", "INSERT INTO whole VALUES (1, 'rogue')", "whole"),
    ("truncate", "TRUNCATE journal", "journal"),
]
EXPECTED = [  # key, the new side's row, the old side's row
    ({"id": "1000"}, {"id": "1000", "amount": "1", "note": "rogue"}, None),
    ({"id": "7"}, {"id": "7", "amount": "1000", "note": "rogue"}, {"id": 7, "amount": 1000, "note": "opened"}),
    ({"id": "8"}, None, {"id": 8, "amount": 1000, "note": "opened"}),
    (None, {"at": "1", "what": "rogue"}, None),
    ({"a": "1", "b": "rogue"}, {"a": "1", "b": "rogue"}, None),
    (None, None, None),
]


def test_rogue_writes_are_seen_recorded_and_never_applied(armed):
    it = armed()
    before = {name: it.old.sql(f"SELECT * FROM {name} ORDER BY 1, 2") for name in ("account", "journal", "whole")}
    slowest = 0
    for (op, statement, table), (key, new, old) in zip(ROGUES, EXPECTED):
        xid = it.rogue(statement)
        committed = time.monotonic()
        (row,) = it.wait_recorded(xid)
        slowest = max(slowest, time.monotonic() - committed)
        assert (row["op"], row["relation"], row["resolution"]) == (op, f"public.{table}", "open"), row
        assert (row["key"], row["new"], row["old"]) == (key, new, old), row
    assert slowest < 2, f"seen only after {slowest:.2f} s"
    print(f"the slowest rogue write was recorded {slowest:.2f} s after its commit")
    assert it.totals() == (len(ROGUES), len(ROGUES))
    for name, rows in before.items():
        assert it.old.sql(f"SELECT * FROM {name} ORDER BY 1, 2") == rows, "a rogue write was applied to the owner"
    # Forward has gone on meanwhile, over rows that nobody else touched.
    it.old.sql("UPDATE account SET amount = 5 WHERE id = 9")
    it.settle()
    assert it.new.value("SELECT amount FROM account WHERE id = 9") == 5
    log = it.product.log.read_text()
    assert log.count("error=SB-ROGUE-WRITE") == len(ROGUES) and "public.account" in log
    assert "'rogue'" not in log and "=rogue" not in log, "a value is in the log"
    done = it.product.ok("conflicts", "list", "--direction", "reverse", "--json")
    assert [row["kind"] for row in done.json()] == ["rogue_write"] * len(ROGUES)
    assert it.direction("reverse")["rogue"] == {"writes": len(ROGUES), "transactions": len(ROGUES)}


def test_a_transaction_is_one_and_has_all_its_tables(armed):
    it = armed()
    xid = it.rogue(
        "UPDATE account SET amount = 0 WHERE id <= 3", "INSERT INTO journal VALUES (5, 'rogue')", "TRUNCATE whole, journal"
    )
    rows = it.wait_recorded(xid, 6)
    assert [row["op"] for row in rows] == ["update"] * 3 + ["insert", "truncate", "truncate"]
    assert it.totals() == (5, 1)
    assert it.product.log.read_text().count("error=SB-ROGUE-WRITE") == 1
    # What was undone never was.
    with it.new.connect(autocommit=False) as session:
        session.execute("DELETE FROM account")
        session.rollback()
    it.settle()
    assert it.totals() == (5, 1)


def test_an_observer_needs_no_rights_on_the_owners_tables(clusters, switchback):
    it = WayBack(clusters, switchback).prepare()
    it.product.configure(source={"dsn": it.old.dsn(user="clerk")})
    it.old.sql("CREATE ROLE clerk LOGIN REPLICATION")
    it.old.sql("GRANT ALL ON SCHEMA switchback TO clerk")
    it.old.sql("GRANT ALL ON ALL TABLES IN SCHEMA switchback TO clerk")
    it.old.sql("GRANT CREATE ON DATABASE postgres TO clerk")
    it.old.sql("GRANT SELECT ON account TO clerk")  # so that there is a difference to see
    for function in (
        "create(text)", "drop(text)", "oid(text)", "session_setup(text)", "session_reset()", "session_is_setup()",
        "xact_setup(pg_lsn, timestamptz)", "xact_reset()",
    ):
        it.old.sql(f"GRANT EXECUTE ON FUNCTION pg_replication_origin_{function} TO clerk")
    it.old.sql("ALTER SCHEMA switchback OWNER TO clerk")
    for (name,) in it.old.sql("SELECT relname FROM pg_class WHERE relnamespace = 'switchback'::regnamespace AND relkind = 'r'"):
        it.old.sql(f"ALTER TABLE switchback.{name} OWNER TO clerk")
    it.old.sql("GRANT SELECT ON whole, journal TO clerk")  # what the copy reads
    it.run()
    it.wait_armed()
    assert it.wait_recorded(it.rogue("UPDATE account SET amount = 3 WHERE id = 4"))[0]["old"]["amount"] == 1000
    it.old.sql("REVOKE SELECT ON account FROM clerk")
    row = it.wait_recorded(it.rogue("UPDATE account SET amount = 3 WHERE id = 5"))[0]
    assert row["old"] is None and row["new"]["amount"] == "3" and row["key"] == {"id": "5"}


def test_pause_resume_and_the_verbs_know_both_directions(armed):
    it = armed()
    it.product.ok("pause", "--direction", "reverse")
    it.product.wait_state("apply-reverse", "waiting")
    xid = it.rogue("DELETE FROM account WHERE id = 1")
    it.old.sql("UPDATE account SET amount = 2 WHERE id = 2")
    it.product.wait_caught_up()
    assert it.recorded_of(xid) == []
    it.product.ok("resume", "--direction", "reverse")
    it.wait_recorded(xid)
    assert '"change"' in it.product.ok("stream", "show", "--direction", "reverse").out
    assert it.product.ok("stream", "verify", "--direction", "reverse", "--json").json()
    assert "rogue_write" in it.product.ok("conflicts", "list").out
    assert it.product.ok("conflicts", "list", "--direction", "forward", "--json").json() == []
    it.product.ok("poison", "show", "--direction", "reverse")


def test_an_echo_in_a_transaction_that_is_not_ours_halts(armed):
    """The loop filter is broken: here somebody sends the echo without our origin."""
    it = armed()
    it.new.sql("SELECT pg_logical_emit_message(true, 'switchback.echo', 'shop forward 1 1 1')")
    report = it.product.wait_halted("capture-reverse", "SB-LOOP")
    assert "canary 1.1" in report["error_text"] and "no replication origin of ours" in report["error_text"]
    # Those of others, and of a direction that does not end here, mean nothing; forward goes on.
    it.old.sql("SELECT pg_logical_emit_message(true, 'switchback.echo', 'shop forward 1 1 1')")
    it.old.sql("SELECT pg_logical_emit_message(true, 'switchback.echo', 'store reverse 1 1 1')")
    it.old.sql("UPDATE account SET amount = 2 WHERE id = 2")
    it.product.wait_caught_up()
    assert not it.product.status()["way_back"]["armed"] and "SB-LOOP" in it.product.status()["way_back"]["why"]


def test_another_migrations_origin_is_not_ours(armed):
    it = armed()
    it.new.sql("SELECT pg_replication_origin_create('switchback_store_forward')")
    with it.new.connect() as session:
        session.execute("SELECT pg_replication_origin_session_setup('switchback_store_forward')")
        session.execute("UPDATE account SET amount = 4 WHERE id = 4")
    wait_until(lambda: it.recorded(), 20, "the other migration's write to be recorded")


HANDED_OVER = """
UPDATE switchback.ownership SET owner = 'new', epoch = 2 WHERE migration = 'shop';
UPDATE switchback.progress SET ownership_epoch = 2 WHERE migration = 'shop'
"""


def test_ownership_decides_which_way_rows_go(armed):
    """What a hand-off will decide, done by hand: whoever does not know of it yet writes nothing any more."""
    it = armed()
    it.settle()
    for cluster in (it.new, it.old):  # the one that takes over first
        with cluster.connect(autocommit=False) as session:
            session.execute(HANDED_OVER)
            session.commit()
    wait_until(lambda: it.product.status()["owner"] == "new", 40, "the appliers to know the new owner")
    assert it.product.log_contains("stage=apply-forward .*error=SB-EPOCH-STALE"), "moved progress under an old epoch"
    for name in ("apply-forward", "apply-reverse"):
        it.product.wait_state(name, "running", 40)
    it.new.sql("UPDATE account SET amount = 5, note = 'by the new owner' WHERE id <= 5")
    it.product.wait_caught_up(60, "reverse")
    compare.assert_equal(it.old, it.new)
    it.old.sql("UPDATE account SET note = 'rogue' WHERE id = 6")
    wait_until(lambda: it.direction("forward")["rogue"]["writes"] == 1, 30, "the old side's rogue write to be seen")
    assert it.new.value("SELECT note FROM account WHERE id = 6") == "opened"
    assert it.new.sql("SELECT kind, op, direction FROM switchback.conflict") == [("rogue_write", "update", "forward")]
    assert it.recorded() == []


def test_rows_of_two_ownership_epochs_do_not_fit(armed):
    it = armed()
    it.old.sql("UPDATE switchback.ownership SET epoch = 7")
    it.product.kill_stage("apply-reverse")
    report = it.product.wait_halted("apply-reverse", "SB-PROGRESS-LOST")
    assert "ownership epoch" in report["error_text"]


def test_a_new_side_that_cannot_be_followed_is_said_and_forward_goes_on(clusters, switchback):
    it = WayBack(clusters, switchback, new={"settings": {"wal_level": "replica"}})
    checks = {row["id"]: row for row in it.product.ok("check", "--json").json()["checks"]}
    assert checks["way_back.wal_level"]["result"] == "warn"
    assert "restart the target" in checks["way_back.wal_level"]["statement"]
    assert checks["way_back.origins"]["result"] == "pass"
    dry = it.product.ok("prepare", "--dry-run").out
    assert "way back" in dry and "switchback_shop_reverse" in dry
    it.prepare().run()
    report = it.product.wait_halted("capture-reverse", "SB-SOURCE-CONFIG", 40)
    assert "way_back.wal_level" in report["error_text"] and "wal_level" in report["hint"]
    assert it.product.wait_state("apply-reverse", "waiting")["why"] == "for capture-reverse, which arms the way back"
    it.old.sql("UPDATE account SET amount = 2 WHERE id = 2")
    it.product.wait_caught_up()
    compare.assert_equal(it.old, it.new)
    status = it.product.verb("status")
    assert status.code == 1 and "way back not armed" in status.out
    it.new.restart(wal_level="logical")
    it.product.ok("resume")
    it.wait_armed()
    it.wait_recorded(it.rogue("UPDATE account SET amount = 3 WHERE id = 2"))


def test_it_waits_for_the_initial_copy(clusters, switchback):
    it = WayBack(clusters, switchback).prepare()
    it.run(fault="copy-before-complete:freeze")
    wait_until(lambda: it.product.log_contains("table copied"), 60, "the copy to be under way")
    for name, why in (("capture-reverse", "for the initial copy"), ("apply-reverse", "for capture-reverse")):
        assert it.product.wait_state(name, "waiting")["why"].startswith(why)
    assert it.new.sql("SELECT slot_name FROM pg_replication_slots") == []
    assert it.product.status()["way_back"]["armed"] is False


def test_a_table_that_comes_later_is_published_both_ways(armed):
    it = armed()
    it.old.sql("CREATE TABLE late (id int PRIMARY KEY)")
    wait_until(lambda: it.new.value("SELECT to_regclass('public.late')") is not None, 30, "the command to be applied")
    it.product.ok("prepare")  # where there are event triggers, they have done it already
    assert "nothing was changed" in it.product.ok("prepare").out
    it.wait_recorded(it.rogue("INSERT INTO late VALUES (1)"))


def test_it_goes_on_without_the_old_side(armed):
    """What was armed begins again while the other side is away."""
    it = armed()
    it.old.stop()
    it.product.kill_stage("capture-reverse")
    it.product.wait_state("capture-reverse", "running", 40)
    xid = it.rogue("UPDATE account SET amount = 1 WHERE id = 1")
    it.old.start()
    it.wait_recorded(xid, timeout=60)


def test_remove_takes_both_directions_away(armed):
    it = armed()
    it.product.stop()
    it.product.ok("remove", "--yes")
    for cluster in (it.old, it.new):
        assert cluster.sql("SELECT slot_name FROM pg_replication_slots") == []
        assert cluster.sql("SELECT pubname FROM pg_publication") == []
        assert cluster.sql("SELECT roname FROM pg_replication_origin") == []
        assert cluster.sql("SELECT nspname FROM pg_namespace WHERE nspname = 'switchback'") == []
    assert [path.name for path in (it.product.folder / "state").glob("*.db*")] == []
