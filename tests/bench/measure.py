"""The benchmarks behind tests/bench/run. Every figure stands beside its peer's from the same run, and what counts is the
ratio: the old cluster keeps one backlog of WAL, and each reader takes it through its own slot into its own new cluster."""

import argparse
import contextlib
import os
import pathlib
import shutil
import tempfile

from sbtest import compare, places, process
from sbtest.broker import Broker

import exact
import initial
import latency
import page
import readers
import workloads

LOADS = ["initial", "tpcb", "insert", "update", "delete", "kafka", "latency", "exact"]
BROKER = {"log.segment.bytes": 1 << 28, "log.retention.check.interval.ms": 300000}


def lsn_number(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def make_backlog(ground):
    """Do the work; returns an LSN behind all of it and before the commit of marker 2."""
    old = ground.old
    ground.workload.work(old)
    old.sql("SELECT pg_switch_wal()")
    end = old.value("SELECT pg_current_wal_insert_lsn()::text")
    old.sql("INSERT INTO marker VALUES (2)")
    return end


def equal(ground, new):
    compare.assert_equal(ground.old, new, tables=[("public", name) for name in [*ground.workload.tables, "marker"]])


def catch_up(folder, workload):
    """One run of all readers. Returns (seconds by reader, costs by reader and stage, number of changes)."""
    ground = readers.Ground(folder, workload)
    try:
        bare, native = readers.Bare(ground), readers.Native(ground)
        split, whole = readers.Ours(ground, "split"), readers.Ours(ground, "whole")
        end = make_backlog(ground)
        for cluster in (ground.old, native.new, split.new, whole.new):
            cluster.sql("CHECKPOINT")
        seconds = {"bare": bare.read(end), "capture": split.capture(lsn_number(end))}
        split.stop()
        seconds["apply"] = split.apply(2)
        split.stop()
        seconds["native"] = native.follow(2)
        seconds["whole"] = whole.follow(2)
        whole.stop()
        for reader in (split, native, whole):
            equal(ground, reader.new)
        costs = {"split": split.costs, "native": native.costs, "whole": whole.costs}
        split.close()
        whole.close()
        return seconds, costs, bare.changes
    finally:
        ground.close()


def catch_up_by_kafka(folder, workload):
    """As catch_up, for the whole way through a broker beside the native subscription."""
    with contextlib.ExitStack() as made:
        broker = Broker(folder, settings=BROKER)
        made.callback(broker.close)
        broker.start()
        ground = readers.Ground(folder, workload)
        made.callback(ground.close)
        bare, native, whole = readers.Bare(ground), readers.Native(ground), readers.Ours(ground, "whole", broker)
        end = make_backlog(ground)
        seconds = {"bare": bare.read(end), "native": native.follow(2), "whole": whole.follow(2)}
        whole.stop()
        equal(ground, whole.new)
        costs = {"native": native.costs, "whole": whole.costs}
        whole.close()
        return seconds, costs, bare.changes


def run_once(folder, name, transactions):
    alone = {"exact": exact.measure, "initial": initial.measure, "latency": latency.measure}
    if name in alone:
        return alone[name](folder)
    workload = workloads.catching_up(transactions)[name]
    return (catch_up_by_kafka if name == "kafka" else catch_up)(folder, workload)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--transactions", type=int, default=200000, help="of the TPC-B mix")
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--only", action="append", choices=LOADS)
    options.add_argument("--page-fd", type=int, default=1, help="descriptor the page is written to")
    chosen = options.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sbb-", dir=places.parent()))
    process.leash().add_dir(folder)
    results = {}
    try:
        for run in range(chosen.runs):
            for name in chosen.only or LOADS:
                place = folder / f"{name}{run}"
                place.mkdir(mode=0o700)
                results.setdefault(name, []).append(run_once(place, name, chosen.transactions))
                print(page.brief(name, run, results[name][-1]), flush=True)
                shutil.rmtree(place, ignore_errors=True)
    finally:
        process.close_leash()
    with os.fdopen(chosen.page_fd, "w") as out:
        out.write(page.write(results, chosen.transactions, chosen.runs))


if __name__ == "__main__":
    main()
