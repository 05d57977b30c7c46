"""The copy's torture: whole initial copies under a load that moves rows between chunks in every way there is, while stages,
the whole service, both servers and the broker are killed, frozen and cut off at random. Each run is one copy, from nothing
to the end, with its own servers; at the end both sides hold exactly the same rows, and nothing was in conflict.

Or tables that are copied again: the copy is complete first, and then there are always some tables aside while everybody is
killed. The others have to follow all the time.

A seed decides what is done and in which order (not what the machine makes of it). Each act is a line in events.log of the
test's directory.
"""

import contextlib
import pathlib
import random
import shutil
import signal
import time

import psycopg

from sbtest import compare, copyload, process
from sbtest.wait import wait_until
from sbtest.writers import Load

MAJORS = [(15, 15), (14, 18), (16, 17), (18, 14), (17, 16)]  # old and new server, by seed
ROWS, CHUNK_ROWS, JOBS = 240, 20, 3
RATE_BYTES_S = 250000  # so that the copy takes some seconds
PATIENCE_S = 120  # for whatever must happen by itself: generous, the machine may be busy
STATE = "SELECT state FROM switchback.copy WHERE migration = 'shop' AND direction = 'forward'"
# Enough rows with large values for some chunks.
MORE = "INSERT INTO documents SELECT g, 0, repeat(chr(65 + g % 26), 2100) FROM generate_series(25, 120) g"
ENDED = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'switchback%'"
PROGRESS = "SELECT (commit_lsn - '0/0')::bigint FROM switchback.progress WHERE migration = 'shop' AND lane = 0"
ASIDE = "SELECT (SELECT count(*) FROM switchback.aside) + (SELECT count(*) FROM switchback.copy_wish WHERE done_at IS NULL)"
WISH = """INSERT INTO switchback.copy_wish (migration, direction, relation, reason)
SELECT 'shop', 'forward', format('"public"."%%s"', name), 'the torture' FROM unnest(%s::text[]) name"""
TABLES = [
    "numbers", "moved", "documents", "tagged", "ids", "blobs", "moments", "days", "counted", "spelled", "slots", "fulls", "journal",
    "emptied", "parts", "moods",
]
AGAIN = "SELECT count(*), count(DISTINCT done_at) FROM switchback.copy_wish WHERE done_at IS NOT NULL"
ACTS = {
    "copy": 4, "apply": 3, "capture": 2, "source": 2, "target": 2, "service": 1.5, "cut": 1.5, "freeze": 1, "point": 1.5,
}
BROKER_ACTS = {"broker": 1.5}
POINTS = [
    "copy-after-claim", "copy-after-plan", "copy-after-stamp", "copy-after-rows", "copy-after-ledger", "copy-before-commit",
    "copy-after-commit", "copy-before-complete", "copy-after-complete", "apply-before-recopy", "apply-after-recopy",
]
AGAIN_POINTS = ["apply-side-read", "apply-before-merge", "apply-after-merge"]
AGAIN_RATE_BYTES_S = 100000


class Run:
    """One copy. The product is prepared and not started."""

    def __init__(self, place, old, new, product, store, seed, kills, broker=None, again=False):
        self.again, self.wishes = again, 0
        self.place, self.old, self.new, self.product, self.broker = pathlib.Path(place), old, new, product, broker
        self.store, self.seed, self.wanted = store, seed, kills
        self.random, self.kills, self.began = random.Random(f"copy-{store}-{seed}"), {}, time.monotonic()
        self.events = open(self.place / "events.log", "w", buffering=1)
        self.run, self.load, self.pending_kills = None, None, 0

    def say(self, words):
        self.events.write(f"{time.monotonic() - self.began:8.3f} {words}\n")

    def total(self):
        return sum(self.kills.values())

    def report(self):
        kinds = ", ".join(f"{count} {what}" for what, count in sorted(self.kills.items()))
        return (
            f"{'tables again' if self.again else 'copy'}, {self.store}, PostgreSQL {self.old.major} to {self.new.major}, seed {self.seed}: {self.total()} kills"
            f" ({kinds}), {self.pending_kills} while rows were copied{f' or aside, {self.wishes} tables wished for' if self.again else ''}; {self.result()}; {time.monotonic() - self.began:.0f} s"
        )

    def result(self):
        with contextlib.suppress(psycopg.Error, AssertionError):
            rows, chunks = self.new.sql("SELECT sum(rows), count(*) FROM switchback.chunk")[0]
            keys, rounds = self.new.sql(AGAIN)[0]
            return f"{rows} rows in {chunks} chunks, {keys} keys read again in {rounds} rounds, {self.load.done} transactions"
        return "no result"

    # -- acts

    def moment(self, longest=0.4):
        time.sleep(self.random.uniform(0, longest))

    def state(self):
        return wait_until(lambda: self.new.value(STATE), PATIENCE_S, "the target to answer", errors=(psycopg.OperationalError,))

    def killed(self, what):
        self.kills[what] = self.kills.get(what, 0) + 1

    def children(self):
        """{stage: pid} of what runs under `run`."""
        found = {}
        for pid in process.descendants(self.run.pid):
            with contextlib.suppress(OSError):
                found[pathlib.Path(f"/proc/{pid}/comm").read_text().strip()] = pid
        return found

    def act_stage(self, name):
        pid = self.children().get(f"{name}-forward")
        if pid is not None and process.send(pid, signal.SIGKILL):
            self.killed(name)

    def act_copy(self):
        self.act_stage("copy")

    def act_apply(self):
        self.act_stage("apply")

    def act_capture(self):
        self.act_stage("capture")

    def crash(self, thing, name):
        thing.kill9()
        self.killed(name)
        self.moment(0.3)
        thing.start()

    def act_source(self):
        self.crash(self.old, "source")

    def act_target(self):
        self.crash(self.new, "target")

    def act_broker(self):
        self.crash(self.broker, "broker")

    def act_service(self, fault=None):
        """All of it at once; the next one begins where it stood."""
        self.run.kill9()
        self.killed("service")
        self.run = self.product.run(fault=fault)

    def act_point(self):
        """A service whose copy or apply dies of itself at a step of its work, again and again, until it is replaced."""
        point = self.random.choice(POINTS + (AGAIN_POINTS * 2 if self.again else []))
        fault = f"{point}:kill:{1 if 'complete' in point or 'apply' in point and 'read' not in point else self.random.randint(1, 6)}"
        self.say(f"with {fault}")
        self.act_service(fault)
        self.moment(1.5)
        self.act_service()

    def act_cut(self):
        server = self.random.choice([self.old, self.new])
        if server.sql(ENDED):
            self.killed("connections")

    def act_freeze(self):
        """A stage stands still for a while; whoever takes over from it must be told by nobody."""
        pid = self.children().get(f"{self.random.choice(['copy', 'apply', 'capture'])}-forward")
        if pid is not None and process.send(pid, signal.SIGSTOP):
            self.moment(1)
            process.send(pid, signal.SIGCONT)

    # -- the run

    def check(self):
        assert self.run.running(), f"the service ended by itself with {self.run.exit_code}"
        assert not self.product.log_contains("then=\"halted"), "a stage has halted"
        assert not self.product.log_contains("SB-INTERNAL"), "the product has found a mistake of its own"
        return True

    def wait(self, condition, what):
        return wait_until(lambda: self.check() and condition(), PATIENCE_S, what, errors=(psycopg.OperationalError,))

    def wish(self):
        """If no table is aside, for one to three of them."""
        if self.aside() > 0:
            return
        names = self.random.sample(TABLES, self.random.randint(1, 3))
        self.say(f"again: {', '.join(names)}")
        wait_until(lambda: self.new.sql(WISH, names) is not None, PATIENCE_S, "the target to take a wish", errors=(psycopg.OperationalError,))
        self.wishes += len(names)
        self.wait(lambda: self.aside() > 0, "the tables to be asked for")

    def aside(self):
        return wait_until(
            lambda: self.new.sql(ASIDE), PATIENCE_S, "the target to answer", errors=(psycopg.OperationalError,)
        )[0][0]

    def torture(self):
        acts = {**ACTS, **(BROKER_ACTS if self.broker else {})}
        while self.total() < self.wanted:
            if self.again:
                self.wish()
            self.moment(1 if self.again else 0.4)
            pending = self.aside() > 0 if self.again else self.state() == "pending"
            before = self.total()
            (act,) = self.random.choices(list(acts), list(acts.values()))
            self.say(act)
            getattr(self, f"act_{act}")()
            self.pending_kills += (self.total() - before) if pending else 0
            self.check()

    def follows(self):
        """Progress, while the load goes on: what was committed before this call gets to the target."""
        position = self.old.value("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
        self.wait(lambda: self.new.value(PROGRESS) >= position, f"the target to follow up to {position:X}")

    def go(self):
        self.run = self.product.run()
        self.load = Load(self.old, copyload.wild_step(ROWS), writers=2, seed=self.seed, pause=0.004)
        with self.load:
            if self.again:
                self.wait(lambda: self.new.value(STATE) == "complete", "the initial copy to be complete")
            self.torture()
            self.say("no more kills")
            self.wait(lambda: self.new.value(STATE) == "complete", "the initial copy to be complete")
            self.follows()
            done = self.load.done
            self.wait(lambda: self.load.done > done, "the load to go on")
        self.end()

    def end(self):
        self.say("the load has ended")
        self.product.wait_caught_up(PATIENCE_S)
        self.wait(lambda: self.new.value(STATE) == "complete", "the copy to be complete, still")
        compare.assert_equal(self.old, self.new)
        assert self.new.sql("SELECT kind, relation, key, resolution FROM switchback.conflict LIMIT 5") == []
        self.check()
        assert self.run.stop() == 0
        self.product.ok("stream", "verify")
        assert self.load.done > 50, f"hardly any load: {self.report()}"

    def keep(self, folder):
        """What is needed to understand a failure."""
        self.product.close()
        for cluster in (self.old, self.new):
            cluster.close()
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.place, folder, ignore=shutil.ignore_patterns(".s.PGSQL*"))


def make(place, clusters, switchback, brokers, store, seed, kills, pair=None, again=False):
    majors = pair or MAJORS[seed % len(MAJORS)]
    old = clusters(majors[0], "old", fsync=True)
    new = clusters(majors[1], "new", fsync=True, settings={"wal_writer_delay": "2s"} if seed % 2 else None)
    copyload.fill(old, ROWS)
    old.sql(MORE)
    old.sql("ANALYZE documents")
    copyload.make_tables(new)
    broker = brokers() if store == "kafka" else None
    product = switchback(old, new, broker=broker, config={
        "copy": {"initial": True, "chunk_rows": CHUNK_ROWS, "jobs": JOBS, "max_rate_bytes_s": AGAIN_RATE_BYTES_S if again else RATE_BYTES_S},
        "capture": {"heartbeat_interval_ms": 300, "feedback_interval_ms": 50},
        "apply": {"batch_max_rows": 200, "batch_max_ms": 100},
    })
    product.ok("prepare")
    return Run(place, old, new, product, store, seed, kills, broker, again)
