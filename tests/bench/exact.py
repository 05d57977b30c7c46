"""One table, equal on both sides, and how long it takes to find that out: `switchback verify` beside what cannot be beaten (two
COPY scans to nowhere), hash sums on the servers, and reladiff; then again while the table is written."""

import itertools
import json
import os
import pathlib
import re
import resource
import subprocess
import time

from sbtest import verifying
from sbtest.product import Switchback, program
from sbtest.servers import Cluster, server

import readers
from workloads import MAJOR, pgbench_words

ROWS = 2000000
RATE = 500  # updates a second, of rows of the whole table
SETTLE_S = 0.3  # until the sessions have ended, so that their server knows what they used
REPEATS = 2  # of each in a run; the faster one counts
_turns = itertools.count()
COLUMNS = {
    "id": "bigint PRIMARY KEY", "a": "int", "b": "text", "c": "timestamptz", "d": "numeric", "e": "bool", "f": "uuid", "g": "float8",
    "h": "text",
}
FILL = (
    "INSERT INTO mixed SELECT g, g % 1000, 'row ' || g || repeat('x', g % 30), 'epoch'::timestamptz + g * interval '1.001 s', g / 7.0, "
    f"g % 2 = 0, md5(g::text)::uuid, g / 3.0, NULLIF(md5('h' || g), '0') FROM generate_series(1, {ROWS}) g"
)
COPY = "COPY mixed TO STDOUT (FORMAT binary)"
HASHES = "SELECT count(*), sum(hashtextextended(mixed::text, 0)) FROM mixed"
WRITE = f"\\set id random(1, {ROWS})\nUPDATE mixed SET a = a + 1 WHERE id = :id;\n"


def _cluster(folder, name):
    cluster = Cluster(folder, MAJOR, name, settings=readers.SETTINGS, tcp=True)
    cluster.start()
    cluster.sql(f"CREATE TABLE mixed ({', '.join(f'{name} {kind}' for name, kind in COLUMNS.items())})")
    cluster.sql(FILL)
    cluster.sql("VACUUM ANALYZE mixed")
    cluster.sql("CHECKPOINT")
    return cluster


def _on_both(clusters, statement):
    """The statement on both servers at once, what it gives to nowhere."""
    running = [
        subprocess.Popen([server(MAJOR).bin / "psql", "-XqAt", cluster.dsn(), "-c", statement], stdout=subprocess.DEVNULL)
        for cluster in clusters
    ]
    assert [one.wait(readers.WAIT_S) for one in running] == [0, 0]


def _reladiff(clusters):
    """How many rows it takes for different: with equal sides each of them is an error of its."""
    path = pathlib.Path(os.environ["SB_CACHE"]) / "bench/bin/reladiff"
    words = [path]
    for cluster in clusters:
        words += [f"postgresql://postgres@127.0.0.1:{cluster.port}/postgres", "mixed"]
    for name in list(COLUMNS)[1:]:
        words += ["-c", name]
    done = subprocess.run([*words, "-j", "2", "--json"], check=True, capture_output=True, text=True, timeout=readers.WAIT_S)
    return len(re.findall(r'^\["[+-]"', done.stdout, re.M))


def _verify(product, costs):
    """Its own processor time and memory go to costs."""
    words = [program(), "-c", product.config_file, "verify", "--json"]
    child = subprocess.Popen(words, cwd=product.folder, env=product.environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    answer = json.loads(child.stdout.read())
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    (table,) = answer["tables"]
    assert child.returncode == verifying.EQUAL and table["source_rows"] == ROWS, answer
    costs.append((used.ru_maxrss / 1024, used.ru_utime + used.ru_stime))
    return 0


def _used_s(clusters):
    """Processor seconds of the clients that have ended, and of the sessions that they had."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime + sum(readers.ended_children_s(cluster.pid) for cluster in clusters)


def _measured(clusters, way):
    """(seconds, processor seconds of client and servers together, rows called different)."""
    used, began = _used_s(clusters), time.monotonic()
    wrong = way() or 0
    seconds = time.monotonic() - began
    time.sleep(SETTLE_S)
    return seconds, _used_s(clusters) - used, wrong


def _all(clusters, product, costs, loaded):
    """What it took, by who; whoever goes first has the disadvantage, so all take turns."""
    ways = {
        "scans": lambda: _on_both(clusters, COPY), "hashes": lambda: _on_both(clusters, HASHES), "reladiff": lambda: _reladiff(clusters),
        "ours": lambda: _verify(product, costs),
    }
    found = {}
    for _ in range(REPEATS):
        for who in sorted(ways, reverse=next(_turns) % 2 == 0):
            if loaded and who == "hashes":
                continue
            took = _measured(clusters, ways[who])
            found[who] = min(found.get(who, took), took)
    return found


def _written(cluster, folder):
    script = folder / "write.sql"
    script.write_text(WRITE)
    words = pgbench_words("-n", "-c", "2", "-f", script, "-R", RATE, "-T", readers.WAIT_S, cluster.dsn())
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def measure(folder):
    """{"idle": ..., "written": ...}, each (seconds, processor seconds, rows called different) by who, and [(MiB, processor seconds)] of verify."""
    clusters, costs = [], []
    try:
        for name in ("old", "new"):
            clusters.append(_cluster(folder, name))
        product = Switchback(folder, *clusters, migration="exact", config={"log": {"level": "info"}})
        product.ok("prepare")
        product.run()
        product.wait_caught_up(readers.WAIT_S)
        found = {"idle": _all(clusters, product, costs, False)}
        load = _written(clusters[0], folder)
        try:
            found["written"] = _all(clusters, product, costs, True)
            assert load.poll() is None, "the load ended"
        finally:
            load.kill()
            load.wait()
        product.wait_caught_up(readers.WAIT_S)
        _verify(product, costs)
        product.stop()
        product.ok("remove", "--yes")
        product.close()
        return found, costs
    finally:
        for cluster in clusters:
            cluster.close()
