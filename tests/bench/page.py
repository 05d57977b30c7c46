"""The page docs/BENCHMARKS.md: tables of what was measured, and tests/bench/notes.md behind them."""

import os
import pathlib
import platform
import statistics

from sbtest.servers import server

import exact
import initial
import latency
from workloads import BULK_ROWS, MAJOR, SCALE

NOTES = pathlib.Path(__file__).with_name("notes.md")
MEMORY_MAX_MIB = 64
INITIAL_LEAST = 1.0
SCANS_MOST, RELADIFF_LEAST = 1.25, 3.0
LATENCY_MAX_MS, LATENCY_MAX_RATIO = 50, 1.5
READERS = ["bare", "capture", "apply", "native", "whole"]
RATIOS = [  # what, load, ours, peer, goal: how many times the peer's speed, and as words
    ("capture, TPC-B", "tpcb", "capture", "bare", 0.9),
    ("apply from the stream, TPC-B", "tpcb", "apply", "native", 3.0),
    ("apply from the stream, bulk insert", "insert", "apply", "native", 2.5),
    ("apply from the stream, bulk update", "update", "apply", "native", 2.0),
    ("apply from the stream, bulk delete", "delete", "apply", "native", 4.0),
    ("end to end, TPC-B", "tpcb", "whole", "bare", 1 / 1.2),
    ("end to end, TPC-B", "tpcb", "whole", "native", 1.4),
    ("end to end through Kafka, TPC-B", "kafka", "whole", "native", None),
]
PEERS = {"bare": "bare reader", "native": "native subscription"}


def spread(values, form):
    return f"{form % statistics.median(values)} ({form % min(values)} to {form % max(values)})"


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def verdict(met):
    return "met" if met else "not met"


def brief(name, run, result):
    """A line for who waits."""
    if name == "initial":
        return f"run {run + 1}, initial: seconds { {who: round(value, 2) for who, value in result.items()} }"
    if name == "exact":
        shown = {when: {who: tuple(round(one, 2) for one in took) for who, took in found.items()} for when, found in result[0].items()}
        return f"run {run + 1}, exact: (seconds, processor seconds, called different) {shown}, costs {result[1]}"
    if name == "latency":
        shown = {who: f"p50 {percentile(ms, 0.5):.1f} p99 {percentile(ms, 0.99):.1f} ms" for who, ms in result[0].items()}
        return f"run {run + 1}, latency: {shown} {result[1]}"
    shown = {reader: round(value, 2) for reader, value in result[0].items()}
    return f"run {run + 1}, {name}: seconds {shown}, (MiB, processor seconds) {result[1]}"


def ratio_lines(results):
    lines = ["| what | beside | times its speed | goal | |", "|---|---|---|---|---|"]
    for what, load, ours, peer, goal in RATIOS:
        if load not in results:
            continue
        ratios = [seconds[peer] / seconds[ours] for seconds, _costs, _changes in results[load]]
        shown = "|  |" if goal is None else f"{goal:.2f} | {verdict(statistics.median(ratios) >= goal)} |"
        lines.append(f"| {what} | {PEERS[peer]} | {spread(ratios, '%.2f')} | {shown}")
    return lines


def second_lines(results):
    lines = ["| load | changes | bare reader | capture | apply | native | end to end |", "|---|---|---|---|---|---|---|"]
    for load, measured in results.items():
        cells = []
        for reader in READERS:
            values = [seconds[reader] for seconds, _costs, _changes in measured if reader in seconds]
            cells.append(spread(values, "%.1f") if values else "")
        lines.append(f"| {load} | {measured[0][2]} | " + " | ".join(cells) + " |")
    return lines


def cost_lines(results):
    lines = ["| load | who | peak memory, MiB | goal | | processor seconds |", "|---|---|---|---|---|---|"]
    for load, measured in results.items():
        for reader in measured[0][1]:
            for stage in measured[0][1][reader]:
                found = [costs[reader][stage] for _seconds, costs, _changes in measured]
                peaks, cpu = [peak for peak, _ in found if peak is not None], [used for _, used in found]
                name = f"{stage}{', both stages at once' if reader == 'whole' else ''}"
                memory = "| |"
                if peaks:
                    memory = f"{spread(peaks, '%.0f')} | {MEMORY_MAX_MIB} | {verdict(max(peaks) <= MEMORY_MAX_MIB)}"
                lines.append(f"| {load} | {name} | {memory} | {spread(cpu, '%.2f')} |")
    return lines


def latency_lines(measured):
    p50, p99 = ({who: [percentile(run[who], share) for run, _ in measured] for who in ("ours", "native")} for share in (0.5, 0.99))
    ratio = [ours / native for ours, native in zip(p99["ours"], p99["native"])]
    met = statistics.median(p99["ours"]) <= LATENCY_MAX_MS and statistics.median(ratio) <= LATENCY_MAX_RATIO
    return [
        f"From commit to visible on the other side at {latency.RATE} transactions a second, both following the same server at "
        f"the same time, looked at every {latency.LOOK_S * 1000:g} ms:", "",
        "| | p50, ms | p99, ms |", "|---|---|---|",
        *(f"| {title} | {spread(p50[who], '%.1f')} | {spread(p99[who], '%.1f')} |"
          for who, title in (("ours", "switchback"), ("native", "native subscription"))), "",
        f"p99 beside native: {spread(ratio, '%.2f')}; goal: at most {LATENCY_MAX_MS} ms and {LATENCY_MAX_RATIO} times native: "
        f"{verdict(met)}.", "",
    ]


def initial_lines(measured):
    ratios = [seconds["pgcopydb"] / seconds["ours"] for seconds in measured]
    rows = [f"{initial.ROWS} rows in {len(initial.TABLES)} tables with their indexes and foreign keys, {initial.JOBS} jobs, from a "
            "populated database to an empty one, from the start of `switchback run` (which also captures) and of `pgcopydb clone` on:", "",
            "| | seconds | thousand rows a second |", "|---|---|---|"]
    for who, title in (("ours", "switchback"), ("pgcopydb", "pgcopydb clone")):
        seconds = [run[who] for run in measured]
        rows.append(f"| {title} | {spread(seconds, '%.1f')} | {spread([initial.ROWS / 1000 / one for one in seconds], '%.0f')} |")
    met = statistics.median(ratios) >= INITIAL_LEAST
    return [*rows, "", f"Beside pgcopydb: {spread(ratios, '%.2f')} times its rate; goal: {INITIAL_LEAST:.2f}: {verdict(met)}.", ""]


EXACT = {
    "ours": "switchback verify", "scans": "two COPY (binary) to nowhere", "hashes": "count and sum of hashtextextended(row::text)",
    "reladiff": "reladiff 0.6.0, 2 threads",
}


def exact_lines(measured):
    def of(when, who, what=0):
        return [found[when][who][what] for found, _costs in measured]

    lines = [f"{exact.ROWS} rows of {len(exact.COLUMNS)} columns, equal on both sides, each side by its own server at the same time. "
             "Processor seconds are those of the client and of its sessions on both servers. "
             f"Written: while {exact.RATE} rows a second are updated and replicated; whatever is called different then is an error.", "",
             "| | seconds | processor seconds | seconds, written | called different, written |", "|---|---|---|---|---|"]
    for who, title in EXACT.items():
        written = who in measured[0][0]["written"]
        wrong = of("written", who, 2) if who in ("ours", "reladiff") else []
        lines.append(f"| {title} | {spread(of('idle', who), '%.1f')} | {spread(of('idle', who, 1), '%.1f')} | "
                     f"{spread(of('written', who), '%.1f') if written else ''} | {spread(wrong, '%d') if wrong else ''} |")
    lines += ["", "| `switchback verify` beside | | times | goal | |", "|---|---|---|---|---|"]
    for when, what, title in (("idle", 0, "idle"), ("idle", 1, "idle, processor"), ("written", 0, "written")):
        slower = [ours / scans for ours, scans in zip(of(when, "ours", what), of(when, "scans", what))]
        faster = [theirs / ours for ours, theirs in zip(of(when, "ours", what), of(when, "reladiff", what))]
        lines.append(f"| the scans | {title} | {spread(slower, '%.2f')} their time | at most {SCANS_MOST:.2f} | "
                     f"{verdict(statistics.median(slower) <= SCANS_MOST)} |")
        lines.append(f"| reladiff | {title} | {spread(faster, '%.2f')} its speed | {RELADIFF_LEAST:.2f} | "
                     f"{verdict(statistics.median(faster) >= RELADIFF_LEAST)} |")
    peaks, cpu = zip(*(cost for _found, costs in measured for cost in costs))
    return [*lines, "", f"`verify` itself: {spread(peaks, '%.0f')} MiB at most (goal: {MEMORY_MAX_MIB}: "
            f"{verdict(max(peaks) <= MEMORY_MAX_MIB)}), {spread(cpu, '%.2f')} processor seconds.", ""]


def write(results, transactions, runs):
    backlogs = {load: measured for load, measured in results.items() if load not in ("exact", "initial", "latency")}
    lines = [
        "# Benchmarks", "",
        "Written by `tests/bench/run`; do not edit. Every ratio is of readers of the same WAL in the same run on one machine "
        "(source, target, stream and switchback share its cores): above 1 switchback is faster. Medians, with the lowest and "
        f"the highest, of {runs} runs.", "",
        f"- {os.cpu_count()} cores, {platform.system()} {platform.release()}, {server(MAJOR).version()}, 1 GB shared buffers, "
        "`synchronous_commit=off`, all files in memory if there is room; embedded store unless it says Kafka",
        f"- TPC-B: {transactions} transactions of pgbench, 4 changes each, scale {SCALE}; bulk: one transaction of {BULK_ROWS} "
        "inserts, updates or deletes",
        "- each run also compares old and new sides, row by row", "",
    ]
    if backlogs:
        lines += [*ratio_lines(backlogs), "", "Seconds to take the backlog:", "", *second_lines(backlogs), "",
                  "What it took:", "", *cost_lines(backlogs), ""]
    if "initial" in results:
        lines += ["## The initial copy", "", *initial_lines(results["initial"])]
    if "exact" in results:
        lines += ["## Comparing both sides", "", *exact_lines(results["exact"])]
    if "latency" in results:
        lines += latency_lines(results["latency"])
    return "\n".join(lines) + NOTES.read_text()
