"""The benchmarks behind tests/bench/run. Every figure stands beside its peer's from the same run, and what counts is the
ratio. One old cluster keeps the same WAL for every reader; each reader has its own slot and its own target."""

import argparse
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import tempfile
import time

from sbtest import compare, places, process
from sbtest.product import Switchback
from sbtest.servers import Cluster, server
from sbtest.wait import wait_until

MAJOR = 15
SCALE = 10
SETTINGS = {
    "wal_level": "logical", "shared_buffers": "1GB", "max_wal_size": "8GB", "synchronous_commit": "off",
    "max_replication_slots": 20, "max_wal_senders": 20, "autovacuum": "off", "logical_decoding_work_mem": "256MB",
}
PGBENCH = ["pgbench_accounts", "pgbench_branches", "pgbench_history", "pgbench_tellers"]
TREE = pathlib.Path(__file__).parents[2]
WAIT_S = 600


def timed(action):
    began = time.monotonic()
    action()
    return time.monotonic() - began


class Ground:
    """One old cluster with a workload's WAL behind several slots, and a fresh new cluster for each reader."""

    def __init__(self, folder, name):
        self.folder, self.name, self.count = folder, name, 0
        self.old = Cluster(folder, MAJOR, f"{name}-old", settings=SETTINGS).start()
        self.news = []

    def new(self):
        self.count += 1
        cluster = Cluster(self.folder, MAJOR, f"{self.name}-new{self.count}", settings=SETTINGS).start()
        self.news.append(cluster)
        return cluster

    def close(self):
        for cluster in [*self.news, self.old]:
            cluster.close()


def pgbench(cluster, *words):
    program = server(MAJOR).bin_dir / "pgbench"
    subprocess.run([program, *words, cluster.dsn()], check=True, capture_output=True)


def prepare_tpcb(cluster):
    pgbench(cluster, "-i", "-q", "-s", str(SCALE))


def tpcb(transactions):
    def work(old):
        clients = 4
        pgbench(old, "-n", "-c", str(clients), "-j", "2", "-t", str(transactions // clients))

    return prepare_tpcb, work, PGBENCH


def prepare_bulk(rows):
    def prepare(cluster):
        cluster.sql("CREATE TABLE bulk (id int PRIMARY KEY, a int, b text, c timestamptz, d numeric, e bool)")
        if rows:
            cluster.sql(
                "INSERT INTO bulk SELECT g, g, 'row ' || g, 'epoch'::timestamptz + g * interval '1 s', g / 7.0, g % 2 = 0 "
                "FROM generate_series(1, %s) g" % rows
            )
            cluster.sql("VACUUM ANALYZE bulk")

    return prepare


def bulk(kind):
    statements = {
        "insert": (0, "INSERT INTO bulk SELECT g, g, 'row ' || g, now(), g / 7.0, g % 2 = 0 FROM generate_series(1, 1000000) g"),
        "update": (300000, "UPDATE bulk SET a = a + 1"),
        "delete": (300000, "DELETE FROM bulk"),
    }
    rows, statement = statements[kind]
    return prepare_bulk(rows), lambda old: old.sql(statement), ["bulk"]


# -- readers -------------------------------------------------------------------------------------------------------


def publication(old, tables):
    old.sql("CREATE PUBLICATION bench FOR TABLE " + ", ".join(tables))


def slot(old, name):
    old.sql("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", name)


def bare_reader(old, name, end):
    words = [os.environ["SB_BENCH_READER"], old.dsn(), name, "bench", end]
    done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=WAIT_S)
    changes, commits, size, seconds = done.stdout.split()
    return float(seconds), int(changes)


def drop_slot(old, name):
    wait_until(lambda: not old.value("SELECT active FROM pg_replication_slots WHERE slot_name = %s", name), 30, f"slot {name} to be free")
    old.sql("SELECT pg_drop_replication_slot(%s)", name)


def native(old, new, name, marker):
    def follow():
        new.sql(
            f"CREATE SUBSCRIPTION {name} CONNECTION '{old.dsn()}' PUBLICATION bench "
            f"WITH (create_slot = false, slot_name = '{name}', copy_data = false, synchronous_commit = off)"
        )
        wait_until(lambda: marked(new, marker), WAIT_S, "the native subscription to catch up", every=0.01)

    seconds = timed(follow)
    new.sql(f"ALTER SUBSCRIPTION {name} DISABLE")
    new.sql(f"ALTER SUBSCRIPTION {name} SET (slot_name = NONE)")
    new.sql(f"DROP SUBSCRIPTION {name}")
    drop_slot(old, name)
    return seconds


def marked(new, marker):
    return new.value("SELECT count(*) FROM marker WHERE id = %s", marker) == 1


class Reader:
    """switchback between the ground's old cluster and a new one of its own."""

    def __init__(self, ground, migration, tables, broker=None):
        self.ground, self.migration, self.tables, self.broker = ground, migration, tables, broker

    def prepare(self, prepare):
        self.new = self.ground.new()
        prepare(self.new)
        self.new.sql("CREATE TABLE marker (id int PRIMARY KEY)")
        tables = {"include": [f"public.{name}" for name in [*self.tables, "marker"]]}
        self.product = Switchback(
            self.ground.folder, self.ground.old, self.new, migration=self.migration,
            config={"tables": tables, "log": {"level": "info"}}, broker=self.broker,
        )
        self.product.ok("prepare")

    def capture(self, end):
        """Seconds until everything up to end is durable in the stream."""
        def follow():
            self.stage = self.product.start("capture")
            wait_until(lambda: stored(self.product) >= lsn_number(end), WAIT_S, "capture to catch up", every=0.02)

        return timed(follow)

    def apply(self, marker):
        def follow():
            self.applier = self.product.start("apply")
            wait_until(lambda: marked(self.new, marker), WAIT_S, "apply to catch up", every=0.01)

        return timed(follow)

    def close(self):
        self.product.stop()
        self.product.verb("remove", "--yes")


def lsn_number(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def stored(product):
    for direction in product.status()["directions"]:
        if direction["direction"] == "forward":
            return lsn_number(direction["stored_lsn"] or "0/0")
    return 0


# -- one run ---------------------------------------------------------------------------------------------------------


def measure(folder, name, load, broker=None):
    """All readers over the same WAL; seconds by reader, and the number of changes."""
    prepare, work, tables = load
    ground = Ground(folder, name)
    try:
        old = ground.old
        prepare(old)
        old.sql("CREATE TABLE marker (id int PRIMARY KEY)")
        publication(old, [*tables, "marker"])
        split, whole = Reader(ground, "split", tables, broker), Reader(ground, "whole", tables, broker)
        split.prepare(prepare)
        whole.prepare(prepare)
        subscriber = ground.new()
        prepare(subscriber)
        subscriber.sql("CREATE TABLE marker (id int PRIMARY KEY)")
        for reader in ("bare", "native"):
            slot(old, reader)
        work(old)
        old.sql("INSERT INTO marker VALUES (1)")
        old.sql("SELECT pg_switch_wal()")
        end = old.value("SELECT pg_current_wal_lsn()::text")
        old.sql("INSERT INTO marker VALUES (2)")
        for cluster in (old, *ground.news):
            cluster.sql("CHECKPOINT")
        seconds = {}
        seconds["bare"], changes = bare_reader(old, "bare", end)
        drop_slot(old, "bare")
        seconds["capture"] = split.capture(end)
        split.stage.stop()
        seconds["apply"] = split.apply(2)
        split.applier.stop()
        seconds["native"] = native(old, subscriber, "native", 2)

        def both():
            whole.product.start("capture")
            whole.apply(2)

        seconds["whole"] = timed(both)
        compare.assert_equal(old, split.new, tables=[("public", table) for table in tables])
        compare.assert_equal(old, whole.new, tables=[("public", table) for table in tables])
        split.close()
        whole.close()
        return seconds, changes
    finally:
        ground.close()


# -- the page -----------------------------------------------------------------------------------------------------


def spread(values, form):
    return f"{form % statistics.median(values)} ({form % min(values)} to {form % max(values)})"


RATIOS = [ # what, load, mine, peer's, goal: how many times the peer's speed
    ("capture, TPC-B", "tpcb", "capture", "bare", "bare reader", 0.9),
    ("apply from the stream, TPC-B", "tpcb", "apply", "native", "native subscription", 3.0),
    ("apply, bulk insert", "insert", "apply", "native", "native subscription", 2.5),
    ("apply, bulk update", "update", "apply", "native", "native subscription", 2.0),
    ("apply, bulk delete", "delete", "apply", "native", "native subscription", 4.0),
    ("end to end, TPC-B", "tpcb", "whole", "bare", "bare reader", 1 / 1.2),
    ("end to end, TPC-B", "tpcb", "whole", "native", "native subscription", 1.4),
    ("end to end through Kafka, TPC-B", "kafka", "whole", "native", "native subscription", None),
]


def page(results, transactions, runs):
    lines = [
        "# Benchmarks", "",
        "Written by `tests/bench/run`. Ratios of speed, each from readers of the same WAL in the same run on one machine "
        "(source, target, stream and switchback share its cores): above 1 switchback is faster. Median (lowest to highest) "
        f"of {runs} runs.", "",
        f"- {os.cpu_count()} cores, {platform.system()} {platform.release()}, PostgreSQL {server(MAJOR).version()}, 1 GB shared "
        "buffers, `synchronous_commit=off`, embedded store unless it says Kafka",
        f"- TPC-B: {transactions} transactions of pgbench, 4 changes each, scale {SCALE}; bulk: one transaction of 1,000,000 "
        "inserts, 300,000 updates, 300,000 deletes", "",
        "| what | beside | ratio | goal | |", "|---|---|---|---|---|",
    ]
    for what, load, mine, peer, peer_name, goal in RATIOS:
        if load in results:
            ratios = [seconds[peer] / seconds[mine] for seconds, _ in results[load]]
            verdict = "" if goal is None else "met" if statistics.median(ratios) >= goal else "not met"
            lines.append(f"| {what} | {peer_name} | {spread(ratios, '%.2f')} | {'' if goal is None else f'{goal:.2f}'} | {verdict} |")
    lines += ["", "Seconds:", "", "| load | changes | bare reader | capture | apply | native | end to end |", "|---|---|---|---|---|---|---|"]
    for load, measured in results.items():
        cells = [spread([seconds[reader] for seconds, _ in measured], "%.1f") for reader in ("bare", "capture", "apply", "native", "whole")]
        lines.append(f"| {load} | {measured[0][1]} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--transactions", type=int, default=200000)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--only", action="append", choices=["tpcb", "insert", "update", "delete", "kafka"])
    options.add_argument("--docs", action="store_true", help="write docs/BENCHMARKS.md")
    chosen = options.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sbb-", dir=places.parent()))
    results = {}
    try:
        loads = {"tpcb": tpcb(chosen.transactions), "insert": bulk("insert"), "update": bulk("update"), "delete": bulk("delete")}
        for run in range(chosen.runs):
            for name, load in loads.items():
                if chosen.only and name not in chosen.only:
                    continue
                place = folder / f"{name}{run}"
                place.mkdir(mode=0o700)
                results.setdefault(name, []).append(measure(place, name, load))
                print(name, run, {reader: round(value, 2) for reader, value in results[name][-1][0].items()}, flush=True)
                shutil.rmtree(place, ignore_errors=True)
    finally:
        process.close_leash()
        shutil.rmtree(folder, ignore_errors=True)
    text = page(results, chosen.transactions, chosen.runs)
    print(text)
    if chosen.docs:
        (TREE / "docs/BENCHMARKS.md").write_text(text)


if __name__ == "__main__":
    main()
