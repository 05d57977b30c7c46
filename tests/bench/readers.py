"""Who reads the old side's WAL: the bare reader, the native subscription, and switchback. Each has its own slot and its
own new cluster, and what it took is in seconds until it had everything."""

import contextlib
import os
import sqlite3
import subprocess
import time

from sbtest.product import Switchback
from sbtest.servers import Cluster
from sbtest.wait import wait_until

from workloads import MAJOR

SETTINGS = {
    "shared_buffers": "1GB", "max_wal_size": "8GB", "synchronous_commit": "off", "autovacuum": "off",
    "logical_decoding_work_mem": "256MB",
}
WAIT_S = 600
LOOK_S = 0.01
TICK = os.sysconf("SC_CLK_TCK")


def timed(action):
    began = time.monotonic()
    action()
    return time.monotonic() - began


class Ground:
    """One old cluster, and a new one for each reader. Stopped and left to the caller's directory at the end."""

    def __init__(self, folder, workload):
        self.folder, self.workload, self.count = folder, workload, 0
        self._made = contextlib.ExitStack()
        self.old = self._cluster("old")
        tables = ", ".join([*workload.tables, "marker"])
        self.old.sql(f"CREATE PUBLICATION bench FOR TABLE {tables}")

    def _cluster(self, name):
        cluster = Cluster(self.folder, MAJOR, name, settings=SETTINGS)
        self._made.callback(cluster.close)
        cluster.start()
        self.workload.prepare(cluster)
        cluster.sql("CREATE TABLE marker (id int PRIMARY KEY)")
        return cluster

    def new(self):
        self.count += 1
        return self._cluster(f"new{self.count}")

    def slot(self, name):
        self.old.sql("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", name)

    def drop_slot(self, name):
        free = "SELECT NOT active FROM pg_replication_slots WHERE slot_name = %s"
        wait_until(lambda: self.old.value(free, name), 30, f"slot {name} to be free")
        self.old.sql("SELECT pg_drop_replication_slot(%s)", name)

    def close(self):
        self._made.close()


def wait_marked(cluster, marker, who):
    """Until the row that the old side wrote last is there; one session asks, so that asking costs little."""
    with cluster.connect() as session:
        asked = "SELECT EXISTS (SELECT FROM marker WHERE id = %s)"
        wait_until(lambda: session.execute(asked, (marker,)).fetchone()[0], WAIT_S, f"{who} to catch up", every=LOOK_S, longest=LOOK_S)


class Bare:
    """A libpq program that throws everything away: what one walsender can deliver."""

    def __init__(self, ground):
        self.ground, self.changes = ground, 0
        ground.slot("bare")

    def read(self, end):
        words = [os.environ["SB_BENCH_READER"], self.ground.old.dsn(), "bare", "bench", end]
        done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=WAIT_S)
        changes, _commits, _bytes, seconds = done.stdout.split()
        self.ground.drop_slot("bare")
        self.changes = int(changes)
        return float(seconds)


class Native:
    """PostgreSQL's own subscription."""

    def __init__(self, ground):
        self.ground, self.new, self.costs = ground, ground.new(), {}
        ground.slot("native")

    def subscribe(self):
        self.new.sql(
            f"CREATE SUBSCRIPTION native CONNECTION '{self.ground.old.dsn()}' PUBLICATION bench "
            "WITH (create_slot = false, slot_name = 'native', copy_data = false, synchronous_commit = off)"
        )

    def drop(self):
        self.new.sql("ALTER SUBSCRIPTION native DISABLE")
        self.new.sql("ALTER SUBSCRIPTION native SET (slot_name = NONE)")
        self.new.sql("DROP SUBSCRIPTION native")
        self.ground.drop_slot("native")

    def follow(self, marker):
        def caught_up():
            self.subscribe()
            wait_marked(self.new, marker, "the native subscription")

        seconds = timed(caught_up)
        worker = self.new.value("SELECT pid FROM pg_stat_subscription")
        self.costs["subscription's worker"] = (None, _processor_s(worker))
        self.drop()
        return seconds


class Ours:
    """switchback, of a migration of its own. Its stages' peak memory and processor seconds are in `costs`, and what the
    target's server spent for it."""

    def __init__(self, ground, migration, broker=None):
        self.ground, self.new, self.costs = ground, ground.new(), {}
        tables = [f"public.{name}" for name in [*ground.workload.tables, "marker"]]
        self.product = Switchback(
            ground.folder, ground.old, self.new, migration=migration, broker=broker,
            config={"tables": {"include": tables}, "log": {"level": "info"}},
        )
        self.product.ok("prepare")

    def capture(self, marker_lsn):
        """Until the commit at or behind marker_lsn is durable in the (embedded) stream."""

        def caught_up():
            self.product.start("capture")
            wait_until(lambda: self._stored() >= marker_lsn, WAIT_S, "capture to catch up", every=LOOK_S, longest=LOOK_S)

        return timed(caught_up)

    def _stored(self):
        """The newest commit that another process can see in the stream's file, which is flushed before it can."""
        path = self.product.folder / "state" / "forward.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as stream:
            row = stream.execute("SELECT commit_lsn FROM records ORDER BY position DESC LIMIT 1").fetchone()
        return int(row[0], 16) if row else 0

    def apply(self, marker):
        def caught_up():
            self.product.start("apply")
            wait_marked(self.new, marker, "apply")

        return timed(caught_up)

    def follow(self, marker):
        """Both stages at once, as they run in production."""

        def caught_up():
            self.product.start("capture")
            self.product.start("apply")
            wait_marked(self.new, marker, "switchback")

        return timed(caught_up)

    def stop(self):
        backends = "SELECT pid FROM pg_stat_activity WHERE application_name ~ '^switchback .* apply-'"
        for stage in self.product.stages:
            self.costs[stage.title] = (_peak_mib(stage.pid), _processor_s(stage.pid))
            if stage.title == "apply":
                self.costs["apply's session on the target"] = (None, _processor_s(self.new.value(backends)))
        self.product.stop()

    def close(self):
        self.product.ok("remove", "--yes")
        self.product.close()


def _peak_mib(pid):
    """Resident, of a process that runs."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


def _processor_s(pid, own=True):
    """Seconds of processor time that a process has used so far, or its children that have ended."""
    with open(f"/proc/{pid}/stat") as line:
        fields = line.read().rpartition(")")[2].split()
    return sum(map(int, fields[11:13] if own else fields[13:15])) / TICK


def ended_children_s(pid):
    return _processor_s(pid, own=False)
