"""The target dies, hangs, locks, refuses and is edited: every transaction of the source is in effect exactly once, or
nothing is written and the reason is said."""

import pathlib
import re
import signal

import pytest
from target_pair import LostAnswer, Pair

from sbtest import process
from sbtest.wait import wait_until


@pytest.fixture
def pair(clusters, switchback):
    def make(**options):
        return Pair(clusters, switchback, **options)

    return make


# -- E1: the server or the connection dies around COMMIT

POINTS = [
    "apply-before-read", "apply-after-read", "apply-before-write", "apply-after-write", "apply-before-progress",
    "apply-after-progress", "apply-before-commit", "apply-after-commit",
]


def test_apply_killed_at_every_point_is_exactly_once(pair):
    it = pair()
    it.product.start("capture")
    for mode, points in (("auto", POINTS), ("exact", ["apply-exact-change", "apply-before-commit", "apply-after-commit"])):
        it.product.configure(apply={"mode": mode})
        for point in points:
            for passage in (1, 3):
                stage = it.product.start("apply", fault=f"{point}:kill:{passage}")

                def died():
                    it.write()
                    return not stage.running()

                wait_until(died, 30, f"apply to die at {point}")
                assert stage.exit_code == -signal.SIGKILL
    it.product.start("apply")
    it.wait_caught_up()
    it.assert_equal()
    assert it.new.value("SELECT count(*) - count(DISTINCT n) FROM entry") == 0


def test_an_answer_to_commit_that_is_lost_is_settled_by_the_progress_row(pair):
    """The server has committed, the client does not know: the one case that cannot be told from its opposite."""
    it = pair()
    between = LostAnswer(it.new)
    it.product.configure(target={"dsn": f"host=127.0.0.1 port={between.port} dbname=postgres user=postgres sslmode=disable"})
    it.product.start("capture")
    it.product.start("apply")
    it.write()
    it.wait_caught_up()
    for _ in range(3):
        before = it.progress()
        between.lost.clear()
        between.armed.set()
        it.write()
        assert between.lost.wait(30), "no COMMIT was cut"
        wait_until(lambda: it.progress() != before, 10, "the commit whose answer was lost to be there")
    it.wait_caught_up()
    it.assert_equal()
    assert it.product.log_contains("SB-TARGET-UNAVAILABLE")
    between.close()


APPLIER = "SELECT pid FROM pg_stat_activity WHERE application_name = 'switchback shop apply-forward'"


def test_a_session_that_is_terminated_before_its_commit_arrives(pair):
    """COMMIT is sent into a connection that is gone: it did not happen."""
    it = pair()
    it.product.start("capture")
    stage = it.product.start("apply", fault="apply-before-commit:freeze")
    it.write()
    wait_until(lambda: pathlib.Path(f"/proc/{stage.pid}/stat").read_text().split()[2] == "T", 20, "apply to freeze")
    before = it.progress()
    it.new.sql(f"SELECT pg_terminate_backend(({APPLIER}), 5000)")
    assert it.progress() == before
    stage.signal(signal.SIGCONT)
    it.wait_caught_up()
    it.assert_equal()


def test_sessions_that_are_terminated_all_the_time(pair):
    it = pair()
    it.product.start("capture")
    it.product.start("apply")
    for _ in range(4):
        it.write(3)
        wait_until(lambda: it.new.sql(f"SELECT pg_terminate_backend(pid) FROM ({APPLIER}) AS a"), 20, "apply to be connected again")
    it.wait_caught_up()
    it.assert_equal()


def test_a_crash_of_the_target_takes_data_and_progress_back_together(pair):
    """Commits are asynchronous there: what the crash loses is in the stream still."""
    it = pair(fsync=True, settings={"wal_writer_delay": "10s", "wal_writer_flush_after": 0})
    it.product.start("capture")
    it.product.start("apply")
    lost = 0
    for _ in range(3):
        it.write(5)
        it.wait_caught_up()
        reached = it.new.value("SELECT commit_lsn FROM switchback.progress")
        it.new.crash_and_recover()
        lost += it.new.value("SELECT commit_lsn < %s::pg_lsn FROM switchback.progress", reached)
        it.write(5)
        it.wait_caught_up()
        it.assert_equal()
    assert lost > 0, "no crash lost a commit: the test does not test"


# -- E2: locks


def test_a_lock_of_the_application_is_waited_for_and_its_holder_named(pair):
    it = pair(config={"apply": {"lock_timeout_ms": 300}})
    it.product.run()
    it.write(3)
    it.wait_caught_up()
    with it.new.connect(autocommit=False, application_name="nightly_report") as application:
        application.execute("SELECT FROM other WHERE n = 2 FOR UPDATE")
        before = it.progress()
        with it.old.connect() as session:
            session.execute("BEGIN; UPDATE part SET what = 'y' WHERE n = 2; UPDATE other SET what = 'y' WHERE n = 2; COMMIT")
        report = it.product.wait_state("apply-forward", "backoff", 30)
        assert report["error"] == "SB-TARGET-UNAVAILABLE"
        assert "lock timeout" in report["error_text"] and "nightly_report" in report["error_text"], report
        assert str(application.info.backend_pid) in report["error_text"]
        assert it.progress() == before
        assert it.new.sql("SELECT what FROM part WHERE n = 2") == [("x",)], "half of a transaction is visible"
        application.rollback()
    it.wait_caught_up()
    it.assert_equal()
    assert it.new.sql("SELECT 1 FROM switchback.poison") == []


@pytest.mark.parametrize("mode", ["auto", "exact"])
def test_a_deadlock_with_the_application_repeats_the_whole_transaction(pair, mode):
    it = pair(config={"apply": {"mode": mode, "lock_timeout_ms": 60000}}, settings={"deadlock_timeout": "200ms"})
    it.product.start("capture")
    it.product.start("apply")
    it.write(2)
    it.wait_caught_up()
    waits = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'switchback%' AND wait_event_type = 'Lock'"
    with it.new.connect(autocommit=False) as application:
        application.execute("SET deadlock_timeout = '1min'")  # so that apply is the one that is cancelled
        application.execute("UPDATE other SET what = 'z' WHERE n = 1")
        with it.old.connect() as session:
            session.execute("BEGIN; UPDATE part SET what = 'y' WHERE n = 1; UPDATE other SET what = 'y' WHERE n = 1; COMMIT")
        wait_until(lambda: it.new.sql(waits), 20, "apply to wait for the application")
        application.execute("UPDATE part SET what = 'z' WHERE n = 1")
        application.rollback()
    it.wait_caught_up()
    it.assert_equal()
    assert it.new.log_contains("deadlock detected")


@pytest.mark.parametrize("sqlstate", ["40001", "57014", "53100"])
def test_errors_that_pass_are_tried_again_and_never_poison(pair, sqlstate):
    """An ALWAYS trigger raises them a few times; the whole transaction is repeated until it goes through."""
    it = pair()
    it.new.sql(
        f"""CREATE SEQUENCE tries;
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF nextval('public.tries') < 4 THEN RAISE EXCEPTION 'not now' USING ERRCODE = '{sqlstate}'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER fail BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION fail();
        ALTER TABLE other ENABLE ALWAYS TRIGGER fail"""
    )
    it.product.start("capture")
    it.product.start("apply")
    it.write(3)
    it.wait_caught_up()
    it.assert_equal()
    assert it.new.sql("SELECT 1 FROM switchback.poison") == []
    assert it.product.log_contains("SB-TARGET-FULL" if sqlstate == "53100" else "SB-TARGET-UNAVAILABLE")


# -- E7: the progress row

EDITS = {
    "deleted": ("DELETE FROM switchback.progress", "SB-PROGRESS-LOST"),
    "of another stream": ("UPDATE switchback.progress SET stream_uuid = gen_random_uuid()", "SB-LOG-FOREIGN"),
    "of another migration": ("UPDATE switchback.progress SET migration = 'other'", "SB-PROGRESS-LOST"),
    "another chain": (r"UPDATE switchback.progress SET chain = '\x00112233445566778899aabbccddeeff'", "SB-PROGRESS-LOST"),
    "ahead": ("UPDATE switchback.progress SET sequence = sequence + 1000, commit_lsn = '7/0'", "SB-STREAM-UNAVAILABLE"),  # it waits for the rest
    "back": ("UPDATE switchback.progress SET sequence = sequence - 1", "SB-LOG-CORRUPT"),
    "not ours": (r"UPDATE switchback.progress SET chain = '\x00'", "SB-STATE-FORMAT"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_progress_row_that_is_not_ours_writes_nothing(pair, edit):
    statement, ident = EDITS[edit]
    it = pair()
    capture, stage = it.product.start("capture"), it.product.start("apply")
    it.write(5)
    it.wait_caught_up()
    assert stage.stop() == 0
    it.write(3)
    content = it.content()
    it.new.sql(statement)
    left = it.progress()
    capture.kill9()
    stage = it.product.start("apply")
    wait_until(lambda: it.product.log_contains(rf"{ident}\b") or not stage.running(), 20, f"apply to say {ident}")
    assert it.product.log_contains(rf"stage=apply-forward.*error={ident}\b"), it.product.evidence()
    assert it.content() == content and it.progress() == left


@pytest.mark.parametrize("where", ["far behind the end of the WAL", "a little behind it"])
def test_a_progress_row_edited_ahead_lets_nothing_be_confirmed(pair, where):
    """Capture runs all the time, and applies stands still: what the row claims was never applied, and the slot keeps it."""
    it = pair()
    capture, stage = it.product.start("capture"), it.product.start("apply")
    it.write(5)
    it.wait_caught_up()
    assert stage.stop() == 0
    end = it.old.value("SELECT pg_current_wal_insert_lsn()::text")
    ahead = "7/0" if where.startswith("far") else it.old.value("SELECT (%s::pg_lsn + 100000000)::text", end)
    it.new.sql("UPDATE switchback.progress SET sequence = sequence + 1000, commit_lsn = %s", ahead)
    it.write(3)
    report = it.product.wait_halted("capture-forward", "SB-SOURCE-REWOUND", 30)
    assert ahead in report["error_text"] and "edited" in report["error_text"], report
    confirmed = "SELECT confirmed_flush_lsn <= %s::pg_lsn FROM pg_replication_slots"
    assert it.old.value(confirmed, end), "the slot has let go of what was not applied"
    assert capture.running()


def test_a_progress_row_that_vanishes_while_apply_runs(pair):
    it = pair()
    it.product.run()
    it.write(3)
    it.wait_caught_up()
    it.new.sql("DELETE FROM switchback.progress")
    content = it.content()
    it.write(3)
    it.product.wait_halted("apply-forward", "SB-PROGRESS-LOST", 30)
    assert it.content() == content


# -- E8: what the target's tables have of their own


def test_triggers_that_are_always_on_see_every_change_in_order(pair):
    it = pair()
    it.new.sql(
        """CREATE TABLE seen (at bigint GENERATED ALWAYS AS IDENTITY, op text, n int, what text);
        CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.seen (op, n, what) VALUES (TG_OP, coalesce(NEW.n, OLD.n), NEW.what); RETURN NULL; END $$;
        CREATE TRIGGER see AFTER INSERT OR UPDATE OR DELETE ON part FOR EACH ROW EXECUTE FUNCTION see();
        ALTER TABLE part ENABLE ALWAYS TRIGGER see"""
    )
    capture = it.product.start("capture")
    with it.old.connect() as session:
        session.execute("INSERT INTO part VALUES (1, 'a'), (2, 'b')")
        session.execute("UPDATE part SET what = 'c' WHERE n = 1; UPDATE part SET what = 'd' WHERE n = 1; DELETE FROM part WHERE n = 2")
    it.product.start("apply")  # with everything there, so that it would be one batch
    it.wait_caught_up()
    assert it.new.sql("SELECT op, n, what FROM seen ORDER BY at") == [
        ("INSERT", 1, "a"), ("INSERT", 2, "b"), ("UPDATE", 1, "c"), ("UPDATE", 1, "d"), ("DELETE", 2, None),
    ]
    assert capture.running()
    it.assert_equal()


def test_row_level_security_on_the_target_halts_instead_of_hiding(pair):
    """A role that policies bind would write less than it was told: the server refuses, and apply says so."""
    it = pair()
    it.new.sql(
        """CREATE ROLE app LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO app; GRANT USAGE ON SCHEMA switchback TO app;
        GRANT ALL ON ALL TABLES IN SCHEMA switchback TO app; GRANT ALL ON ALL SEQUENCES IN SCHEMA switchback TO app;
        GRANT SET ON PARAMETER session_replication_role TO app;
        GRANT EXECUTE ON FUNCTION pg_replication_origin_session_setup(text), pg_replication_origin_xact_setup(pg_lsn, timestamptz) TO app;
        ALTER TABLE part ENABLE ROW LEVEL SECURITY; CREATE POLICY nobody ON part USING (false)"""
    )
    it.product.start("capture")
    it.product.configure(target={"dsn": it.new.dsn(user="app")})
    it.product.start("apply")
    it.write()
    it.product.wait_log("error=SB-RLS")
    assert it.content() == [[], [], []]
    shown = it.product.verb("poison", "show", "--json").json()
    assert shown[0]["error"] == "SB-RLS"


# -- the target's catalog changes under a running lane


def test_a_table_that_is_altered_under_a_running_lane_is_read_anew(pair):
    """A constraint that the server will not check, and a column that replacing rows would lose: both must be seen."""
    it = pair(config={"apply": {"conflict": "owner"}})
    it.product.run()
    it.write(3)
    it.wait_caught_up()
    it.new.sql("ALTER TABLE part ADD mine text DEFAULT 'mine', ADD u text UNIQUE DEFERRABLE INITIALLY DEFERRED")
    it.new.sql("UPDATE part SET mine = 'kept'")
    it.old.sql("UPDATE part SET n = n + 100")
    it.wait_caught_up()
    assert it.new.sql("SELECT n, mine FROM part ORDER BY n") == [(101, "kept"), (102, "kept"), (103, "kept")]
    assert it.product.log_contains("was altered while changes were written to it")
    it.new.sql("ALTER TABLE other ADD CONSTRAINT never EXCLUDE USING btree (what WITH =) WHERE (n > 50) DEFERRABLE INITIALLY DEFERRED")
    it.old.sql("INSERT INTO other VALUES (60, 'same'), (61, 'same')")
    it.product.wait_halted("apply-forward", "SB-CONFLICT", 30)
    assert it.new.sql("SELECT n FROM other WHERE n > 50") == []
    it.new.sql("ALTER TABLE other DROP CONSTRAINT never")
    it.product.ok("resume")
    it.wait_caught_up()
    it.assert_equal()


@pytest.mark.parametrize("mode", ["auto", "exact"])
def test_a_change_of_type_under_a_running_lane_needs_nobody(pair, mode):
    """What was prepared for an integer cannot take what is written now; that is no reason to halt. (Where DDL travels the
    command itself is held: fault/ddl.)"""
    it = pair(config={"apply": {"mode": mode}, "ddl": {"policy": "ignore"}})
    it.product.run()
    it.write(3)
    it.wait_caught_up()
    for cluster in (it.new, it.old):
        cluster.sql("ALTER TABLE part ALTER n TYPE bigint")
    it.old.sql("INSERT INTO part VALUES (5000000000, 'x')")
    it.wait_caught_up()
    it.assert_equal()
    assert it.new.sql("SELECT 1 FROM switchback.poison") == []


# -- a large transaction is open on the target, and its rest does not come


OPEN = "SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.relation = 'part'::regclass AND a.application_name LIKE 'switchback%'"


def half_of_a_large_transaction(it):
    """Capture is frozen while apply has a part of the transaction written."""
    it.product.run()
    it.write()
    it.wait_caught_up()
    pid = it.product.pid("capture-forward")
    it.old.sql("INSERT INTO part SELECT g, 'x' FROM generate_series(1000, 150000) g")
    wait_until(lambda: it.new.sql(OPEN), 60, "apply to write a part of it", every=0.005)
    process.freeze_tree(pid)
    assert it.product.status()["directions"][0]["positions"]["stored_lsn"] and it.new.sql("SELECT 1 FROM part WHERE n = 1000") == []
    return pid


def test_a_large_transaction_whose_rest_does_not_come_lets_go_of_its_locks(pair):
    it = pair(config={"apply": {"batch_max_rows": 1000, "open_transaction_idle_max_s": 2}})
    pid = half_of_a_large_transaction(it)
    it.product.wait_log("the rest of a large transaction did not come")
    process.thaw_tree(pid)
    it.wait_caught_up()
    it.assert_equal()


def test_pause_in_the_middle_of_a_large_transaction_lets_go_of_its_locks(pair):
    it = pair(config={"apply": {"batch_max_rows": 1000, "open_transaction_idle_max_s": 3600}})
    pid = half_of_a_large_transaction(it)
    it.product.ok("pause")
    wait_until(lambda: not it.new.sql(OPEN), 20, "the locks to be gone")
    it.product.wait_state("apply-forward", "waiting")
    process.thaw_tree(pid)
    it.product.ok("resume")
    it.wait_caught_up()
    it.assert_equal()


# -- E9: slow and frozen


def resident_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


def test_a_frozen_target_costs_no_memory_and_its_lag_shows(pair):
    it = pair()
    it.product.run()
    it.write()
    it.wait_caught_up()
    pids = {name: it.product.pid(name) for name in ("capture-forward", "apply-forward")}
    before = {name: resident_kib(pid) for name, pid in pids.items()}
    it.new.freeze()
    try:
        it.old.sql("INSERT INTO part SELECT g, repeat('x', 200) FROM generate_series(1000, 100000) g")
        wait_until(lambda: (it.product.status()["directions"][0]["lag"]["apply_bytes"] or 0) > 10 << 20, 60, "the lag to show")
        grown = {name: resident_kib(pid) - before[name] for name, pid in pids.items()}
        assert all(kib < 96 << 10 for kib in grown.values()), grown
    finally:
        it.new.thaw()
    it.wait_caught_up()
    it.assert_equal()
