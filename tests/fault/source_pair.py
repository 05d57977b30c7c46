"""For the fault tests of the source: two clusters, a prepared migration that runs between them, what it has done to
either side, and what a halt must look like."""

import contextlib
import json
import signal
import subprocess
import time
import urllib.request

import pytest

from sbtest import compare, process
from sbtest.servers import free_port
from sbtest.standby import lsn  # noqa: F401
from sbtest.wait import wait_until

CAPTURE, APPLY = "capture-forward", "apply-forward"
TABLES = [
    "CREATE TABLE item (id int PRIMARY KEY, note text)",
    "CREATE TABLE log (at int, what text)",  # no key: inserts only, and a repeat would be seen
    "CREATE TABLE pair (a int, b text)",
    "ALTER TABLE pair REPLICA IDENTITY FULL",
]
STOP_MAX_S = 10  # "within a few seconds", on a busy machine


class Pair:
    def __init__(self, clusters, switchback, major=15, new_major=15, old=None, tables=TABLES, config=None, **options):
        self.old, self.new = clusters(major, "old", **(old or {})), clusters(new_major, "new")
        for statement in tables:
            self.old.sql(statement)
            self.new.sql(statement)
        capture = {"heartbeat_interval_ms": 300, "feedback_interval_ms": 50}
        self.product = switchback(self.old, self.new, config={"capture": capture}, **options)
        self._exit = contextlib.ExitStack()
        self.port = self._exit.enter_context(free_port())
        self.product.configure(http={"listen": f"127.0.0.1:{self.port}"})
        self.product.configure(**(config or {}))
        self.product.ok("prepare")
        self.slot = f"switchback_{self.product.migration}_forward"
        self.items = 0

    # -- the migration

    def run(self):
        self.product.run()
        return self.wait_running()

    def wait_running(self, timeout=40):
        self.wait_state(CAPTURE, "running", timeout)
        self.wait_state(APPLY, "running", timeout)
        return self

    def catch_up(self, timeout=60):
        self.product.wait_caught_up(timeout)

    def assert_equal(self, timeout=60):
        """Everything has arrived, once, and nothing was found other than expected."""
        self.catch_up(timeout)
        compare.assert_equal(self.old, self.new)
        assert self.new.value("SELECT count(*) FROM switchback.conflict") == 0

    def status(self):
        """Of the direction, by HTTP: without the second that `switchback status` takes for its two readings."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/status", timeout=10) as answer:
            (forward,) = json.load(answer)["directions"]
        return forward

    def stage(self, name):
        return self.status()["stages"][name.partition("-")[0]]

    def wait_state(self, name, state, timeout=40):
        """Until a stage reports this state; returns its report."""

        def reached():
            report = self.stage(name)
            return report if report["state"] == state else None

        return wait_until(reached, timeout, f"{name} to be {state}", errors=(OSError,))

    def wait_error(self, name, ident, timeout=60):
        """Until a stage has failed with this error and tries again; returns its report."""

        def failed():
            report = self.stage(name)
            return report if (report["state"], report["error"]) == ("backoff", ident) else None

        report = wait_until(failed, timeout, f"{name} to say {ident}")
        assert ident in self.status()["why"] or self.stage(name)["state"] != "backoff"
        return report

    def kill_capture(self):
        """SIGKILL; its supervisor starts it again."""
        pid = self.stage(CAPTURE)["pid"]
        process.send(pid, signal.SIGKILL)
        wait_until(lambda: not process.alive(pid), 10, "the capture to be gone")

    def said(self, text):
        """How often the log has said it."""
        return self.product.log.read_text(errors="replace").count(text)

    # -- the source

    def insert(self, count=1, note="x", commit="on"):
        """A transaction each, over a table with a key and one without. commit: synchronous_commit."""
        with self.old.connect(autocommit=False, options=f"-csynchronous_commit={commit}") as session:
            for _ in range(count):
                self.items += 1
                session.execute("INSERT INTO item VALUES (%s, %s)", [self.items, note])
                session.execute("INSERT INTO log VALUES (%s, %s)", [self.items, note])
                session.commit()

    def confirmed(self):
        return self.old.value("SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = %s", self.slot)

    def wait_confirmed(self, past, timeout=30):
        return wait_until(
            lambda: (now := self.confirmed()) and lsn(now) > lsn(past) and now, timeout, f"the slot to pass {past}")

    def progress(self):
        return self.new.value("SELECT commit_lsn::text FROM switchback.progress")

    def walsender(self):
        """Pid of the backend that serves our slot; None if there is none."""
        found = self.old.sql("SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s", self.slot)
        return found[0][0] if found else None

    def stop_source(self, mode):
        """As an operator does. Must not wait for us."""
        began = time.monotonic()
        done = subprocess.run(
            [self.old.programs.bin / "pg_ctl", "stop", "-D", self.old.data, "-m", mode, "-w", "-t", str(STOP_MAX_S)],
            env=self.old.programs.env, capture_output=True, text=True, timeout=STOP_MAX_S + 20,
        )
        took = time.monotonic() - began
        assert done.returncode == 0 and took < STOP_MAX_S, f"{mode} stop: {took:.1f} s\n{done.stdout}{done.stderr}"
        wait_until(lambda: not self.old.running(), 5, "the postmaster to be gone")

    # -- halts

    def effects(self):
        """All that a stage may have written or confirmed. xmin and ctid tell even a rewrite to the same values."""
        return {
            "progress": self.new.sql("SELECT xmin::text, p::text FROM switchback.progress p"),
            **{
                table: self.new.sql(f"SELECT xmin::text, ctid::text, t::text FROM {table} t ORDER BY ctid")
                for table in ("item", "log", "pair")
            },
            "slots": self.old.sql(
                "SELECT slot_name, confirmed_flush_lsn::text, restart_lsn::text FROM pg_replication_slots ORDER BY 1"),
        }

    def assert_halted(self, ident, before, stage=CAPTURE, timeout=60):
        """The stage is halted by ident, says so, and stays so when told to try again; nothing of `before` (effects)
        has changed or changes meanwhile."""

        def unchanged():
            now = self.effects()
            assert now == before, "\n".join(f"{key}: {before[key]} -> {now[key]}" for key in now if now[key] != before[key])
            return True

        report = self.wait_state(stage, "halted", timeout)
        assert report["error"] == ident, report
        assert report["error_text"] and report["hint"] and report["pid"]
        done = self.product.verb("status", "--json")
        (forward,) = done.json()["directions"]
        assert done.code == 1 and not forward["healthy"] and f"{stage} is halted by {ident}" in forward["why"]
        halts = self.said("halted until")
        self.product.ok("resume")
        wait_until(lambda: unchanged() and self.said("halted until") > halts, 60, f"{stage} to halt again")
        again = self.wait_state(stage, "halted")
        assert (again["error"], again["pid"]) == (ident, report["pid"])
        unchanged()
        return report


    def close(self):
        self._exit.close()


@pytest.fixture
def pair(clusters, switchback):
    """pair(major=15, old={"fsync": True}, config={...}): prepared, not running."""
    with contextlib.ExitStack() as made:

        def make(*args, **options):
            one = Pair(clusters, switchback, *args, **options)
            made.callback(one.close)
            return one

        yield make
