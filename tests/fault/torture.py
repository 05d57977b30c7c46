"""The torture: a load on two real servers, switchback between them, and SIGKILL for everybody — stages, supervisor, both
servers, the broker; at random moments and at every named fault point that lies in a running stage. The invariants of
sbtest.invariants are checked while it goes on, and full equality after it.

A seed decides what is done, in which order and how long (not what the machine makes of it). Each act is a line in
events.log of the test's directory.
"""

import pathlib
import random
import re
import shutil
import signal
import sys
import time

import psycopg

from sbtest import compare, invariants, load, logproof, process, tree
from sbtest.journal import Told
from sbtest.wait import wait_until

STAGES = ("capture", "apply")
CLIENTS, PAUSE_MS = 4, 25
MAJORS = [(14, 17), (16, 18), (17, 14), (18, 16), (15, 15)]  # old and new server, by seed
STALE = 75  # exit code of SB-EPOCH-STALE: somebody newer is at work
PATIENCE_S = 90  # for whatever must happen by itself: generous, the machine may be busy
CONFIG = {
    "capture": {"heartbeat_interval_ms": 300, "feedback_interval_ms": 50},
    # Small batches, so that a transaction of the load is often larger than one.
    "apply": {"batch_max_rows": 300, "batch_max_ms": 100},
}
# A COMMIT takes a while, so that crashes meet some: the client does not know then.
OLD = {"deadlock_timeout": "50ms", "commit_delay": 10000, "commit_siblings": 0}
# A long way from a target commit to the disk: who confirms what is only committed is caught by a crash.
NEW = {"wal_writer_delay": "2s"}
# At which passage a point strikes, at most; 1 for what an incarnation passes once.
PASSAGES = {
    "apply-after-read": 800, "apply-before-read": 800, "capture-after-read": 800, "capture-after-append": 800,
    "capture-before-append": 800, "apply-exact-change": 40, "apply-large-chunk": 3, "capture-after-claim": 1,
    "capture-before-claim": 1, "capture-after-open": 1, "capture-before-open": 1,
    # As often as the target's WAL writer moves.
    "capture-before-feedback": 4, "capture-after-feedback": 4,
}
PASSAGES_MOST = 30
# What is done besides the kills at points, and how often relative to one another.
ACTS = {
    "stage": 4, "both": 1, "storm": 2, "absence": 1.5, "point": 3, "source": 1.5, "target": 2, "run": 0.7, "pause": 1,
    "stall": 0.7, "restart": 0.6, "stop": 0.6, "cut": 1, "twin": 0.8,
}
BROKER_ACTS = {"broker": 4}
# So that a short run has each at least once.
ALWAYS = ["storm", "absence", "source", "target", "target", "run", "pause", "stall", "restart", "stop", "cut", "twin"]
OTHER_STORE = {"embedded": "kafka", "kafka": "embedded"}


def points(store):
    """The fault points that lie in a running stage, for this store: {name: stage}."""
    found = {}
    for folder, stage in (("capture", "capture"), ("apply", "apply"), ("stream", "capture")):
        for path in sorted((tree.ROOT / folder).glob("*.c")):
            # recopy: only where there is a wish; observer: only where the target owns (fault/reverse); ddl: only where
            # there is some (fault/ddl); repair: only where somebody repairs (integration/repair_image_widely); aside and
            # beside: only where a table is set aside (fault/side).
            if not path.name.startswith((OTHER_STORE[store], "recopy", "observer", "ddl", "repair", "aside", "beside")):
                for name in re.findall(r'\bSB_FAULT\("([a-z-]+)"\)', path.read_text()):
                    found[name] = stage
    return found


ENDED = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s"


def stream_file(product):
    return product.config["state_dir"] + "/forward.db"


class Torture:
    """One run. The product is prepared and neither it nor the load has been started."""

    def __init__(self, place, old, new, product, twin, store, seed, kills, broker=None):
        self.place, self.old, self.new, self.product, self.broker = pathlib.Path(place), old, new, product, broker
        self.homes = {name: [product, twin] for name in STAGES}  # machines; the first is where the stage runs
        self.store, self.seed, self.kills_wanted = store, seed, kills
        self.random = random.Random(f"{store}-{seed}")
        self.points = points(store)
        self.running, self.over, self.load = {}, None, None
        self.kills, self.struck, self.began = {}, set(), time.monotonic()
        self.journals = self.place / "journals"
        self.journals.mkdir()
        self.events = open(self.place / "events.log", "w", buffering=1)
        self.findings = invariants.Findings()
        self.proof = logproof.Proof()
        self.told = Told(self.journals)
        self.watchers = []

    # -- what is said

    def say(self, words):
        self.events.write(f"{time.monotonic() - self.began:8.3f} {words}\n")

    def killed(self, what):
        self.kills[what] = self.kills.get(what, 0) + 1

    def total(self):
        return sum(self.kills.values())

    def report(self):
        kinds = ", ".join(f"{count} {what}" for what, count in sorted(self.kills.items()))
        looks = ", ".join(f"{type(watcher).__name__} {watcher.passes}" for watcher in self.watchers)
        return (
            f"{self.store}, PostgreSQL {self.old.major} to {self.new.major}, seed {self.seed}: {self.total()} kills ({kinds}) at {len(self.struck)} of {len(self.points)} points and"
            f" between them in {time.monotonic() - self.began:.0f} s; transactions: {len(self.told.ok)} acknowledged,"
            f" {len(self.told.failed)} rolled back, {len(self.told.unknown)} unknown; log: {len(self.proof.commits)} commits in"
            f" {self.proof.epochs} epochs, {self.proof.again} told again; looks: {looks}"
        )

    # -- who runs

    def check(self):
        """Everything that can be known to be wrong at this moment."""
        self.findings.check()
        assert self.load is None or self.load.running(), f"the load ended:\n{process.tail(self.load.log)}"
        for name, stage in self.running.items():
            assert stage.running(), f"{name} ended by itself with {stage.exit_code}"

    def wait(self, condition, what, errors=(psycopg.OperationalError,)):
        def checked():
            self.check()
            return condition()

        return wait_until(checked, PATIENCE_S, what, errors=errors)

    def start(self, name):
        self.running[name] = self.homes[name][0].start(name)

    def start_all(self):
        for name in STAGES:
            self.start(name)

    def kill(self, name, what=None):
        """One stage that runs alone; it stays dead."""
        stage = self.running.pop(name)
        stage.signal(signal.SIGKILL)
        code = stage.wait()
        assert code == -signal.SIGKILL, f"{name} ended with {code} before it could be killed"
        self.killed(what or name)

    def position(self):
        return self.old.value("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")

    def follows(self):
        """Liveness: what was committed before this call gets to the target."""
        position = self.position()
        self.wait(lambda: invariants.progress(self.new) >= position, f"the target to follow up to {position:X}")

    # -- acts; each says what it does, and leaves both stages running alone

    def act_stage(self):
        name = self.random.choice(STAGES)
        self.say(f"kill {name}")
        self.kill(name)
        self.start(name)

    def act_both(self):
        self.say("kill capture and apply")
        for name in STAGES:
            self.kill(name)
        self.start_all()

    def act_storm(self):
        """Killed again and again while it starts."""
        name = self.random.choice(STAGES)
        self.say(f"kill {name} as often as it starts")
        for _ in range(4):
            self.kill(name)
            self.start(name)
            self._moment(0.25)

    def act_absence(self):
        """A stage is away for a while: who comes back has much to do at once."""
        name = self.random.choice(STAGES)
        self.say(f"kill {name}, which stays away")
        self.kill(name)
        self._moment(2)
        self.start(name)

    def act_stop(self):
        """Told to stop, it stops, and says so."""
        name = self.random.choice(STAGES)
        self.say(f"stop {name}")
        code = self.running.pop(name).stop()
        assert code == 0, f"{name}, told to stop, ended with {code}"
        self.start(name)

    def act_restart(self):
        """A server is stopped as an operator does it; we do not hold that up."""
        server, mode = self.random.choice([self.old, self.new]), self.random.choice(["fast", "immediate"])
        self.say(f"restart {server.name} ({mode})")
        server.restart(mode)

    def act_cut(self):
        """A session of ours is ended by somebody."""
        server = self.random.choice([self.old, self.new])
        self.say(f"end our sessions on {server.name}")
        server.sql(ENDED, "switchback%")

    def act_point(self, point=None):
        """The stage is started with the point armed, and must die of it and of nothing else."""
        point = point or self.random.choice(sorted(self.points))
        stage = self.points[point]
        fault = f"{point}:kill:{self.random.randint(1, PASSAGES.get(point, PASSAGES_MOST))}"
        self.say(f"kill {stage} at {fault}")
        self.kill(stage)
        armed = self.homes[stage][0].start(stage, fault=fault)
        other = next(name for name in STAGES if name != stage)
        if self.random.random() < 0.2:
            self.say(f"kill {other} meanwhile")
            self.kill(other)
            self.start(other)
        self.wait(lambda: not armed.running(), f"{stage} to die at {fault}")
        assert armed.exit_code == -signal.SIGKILL, f"{stage} with {fault} ended with {armed.exit_code}"
        self.killed("at a point")
        self.struck.add(point)
        self.start(stage)

    def act_source(self):
        self.say("crash the source")
        self.old.kill9()
        self.killed("source")
        self._moment(0.5)
        self.old.start()

    def act_target(self):
        """I10, sharp: what the slot was told is not needed any more must be there after the crash. WAL is written page by
        page under load, so that little is lost then; where the load stands still, the newest commits wait for the WAL
        writer, and whoever confirms them too early has the time to do it. A frozen apply cannot hide a loss by doing it
        again before we look."""
        quiet, frozen = self.random.random() < 0.7, self.random.random() < 0.6
        self.say(f"crash the target{', the load at rest' if quiet else ''}{', apply frozen' if frozen else ''}")
        if quiet:
            self.load.freeze()
            self.follows()
            self._moment(0.6)
        if frozen:
            self.running["apply"].freeze()
        self.new.freeze()
        confirmed = invariants.confirmed(self.old)
        self.new.kill9()
        self.killed("target")
        self._moment(0.5)
        self.new.start()
        if frozen:
            confirmed = max(confirmed, invariants.confirmed(self.old))
        ahead = invariants.slot_ahead(confirmed, invariants.progress(self.new), self.first)
        assert ahead is None, f"I10: after a crash of the target {ahead}"
        self.running["apply"].thaw()
        self.load.thaw()

    def act_broker(self):
        self.say("crash the broker")
        self.broker.kill9()
        self.killed("broker")
        self._moment(0.5)
        self.broker.start(timeout=PATIENCE_S)

    def act_pause(self):
        """A stage is frozen and thawed; now and then killed before."""
        name = self.random.choice(STAGES)
        self.say(f"freeze {name}")
        self.running[name].freeze()
        self._moment(1.5)
        if self.random.random() < 0.4:
            self.kill(name)
            self.start(name)
        else:
            self.running[name].thaw()

    def act_stall(self):
        thing = self.random.choice([self.old, self.new] + ([self.broker] if self.broker else []))
        self.say(f"freeze {thing.name}")
        thing.freeze()
        self._moment(1.5)
        thing.thaw()

    def act_twin(self):
        """A stage that cannot be reached any more is replaced on another machine; then it wakes up. Its sessions were
        ended, what it had queued was not. (The embedded store is of one machine: there capture has no twin.)"""
        name = self.random.choice(STAGES) if self.broker else "apply"
        server = self.old if name == "capture" else self.new
        self.follows()
        self.say(f"freeze {name}, and start another")
        zombie = self.running.pop(name)
        zombie.freeze()
        # Capture is cut off; apply now and then only silent, and the other has to take over.
        if name == "capture" or self.random.random() < 0.8:
            ended = server.sql(ENDED, f"switchback % {name}%")
            assert ended, f"{name} had no session on {server}"
        self.homes[name].reverse()
        self.start(name)
        self._settle()
        zombie.thaw()
        self._settle()
        if zombie.running():
            zombie.signal(signal.SIGKILL)
            self.killed("zombie")
        code = zombie.wait()
        assert code in (-signal.SIGKILL, STALE), f"the {name} that woke up ended with {code}"

    def act_run(self):
        """Under `switchback run`: its stages are killed and it starts them again; then it is killed itself."""
        for name in STAGES:
            self.kill(name)
        self.over = self.running["run"] = self.product.run()
        self._child("capture"), self._child("apply")
        for _ in range(3):
            name = self.random.choice(STAGES)
            pid = self._child(name)
            self._settle()
            self.say(f"kill {name} under run")
            process.send(pid, signal.SIGKILL)
            self.killed(f"{name} under run")
            self.wait(lambda: self._child_now(name) not in (None, pid), f"run to start {name} again")
        self._settle()
        self.say("kill run")
        children = [self._child_now(name) for name in STAGES]
        self.kill("run", "supervisor")
        wait_until(lambda: not any(pid and process.alive(pid) for pid in children), 10, "its stages to die with run")
        self.start_all()

    def _child_now(self, name):
        for pid in process.descendants(self.over.pid):
            try:
                if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == f"{name}-forward":
                    return pid
            except OSError:
                pass
        return None

    def _child(self, name):
        return self.wait(lambda: self._child_now(name), f"run to have {name}")

    def _moment(self, most_s):
        """The length of a fault, not a wait for something."""
        time.sleep(self.random.random() * most_s)

    def _settle(self):
        """Between two acts: until all is well, or only a moment, so that the next one meets a recovery."""
        if self.random.random() < 0.5:
            self.follows()
        else:
            self._moment(0.4)
            self.check()

    # -- the whole

    def plan(self):
        """Every point once, in any order, with the rest in between; then at random until enough are killed."""
        weighted = {**ACTS, **(BROKER_ACTS if self.broker else {})}
        always = ALWAYS + ["broker", "broker"] * bool(self.broker)
        acts = [("point", point) for point in sorted(self.points)] + [(name,) for name in always]
        self.random.shuffle(acts)
        yield from acts
        names, weights = zip(*weighted.items())
        while self.total() < self.kills_wanted:
            yield (self.random.choices(names, weights)[0],)

    def begin(self):
        self.first = invariants.confirmed(self.old)
        log = (logproof.Topic(self.broker.address, f"{self.product.migration}.forward") if self.broker
               else logproof.File(stream_file(self.product)))
        self.target_watcher = invariants.TargetWatcher(self.findings, self.new, self.told)
        self.log_watcher = invariants.LogWatcher(self.findings, log, self.proof)
        self.watchers = [
            self.target_watcher, invariants.SlotWatcher(self.findings, self.old, self.new), self.log_watcher,
            invariants.WordsWatcher(self.findings, self.product.log),
        ]
        for watcher in self.watchers:
            watcher.start()
        self.start_all()
        self.load = process.Process(
            [sys.executable, "-m", "sbtest.load", self.old.dsn(), self.journals, self.seed, CLIENTS, PAUSE_MS],
            self.place / "load.log",
        )
        self.follows()

    def run(self):
        self.begin()
        for name, *more in self.plan():
            getattr(self, f"act_{name}")(*more)
            self._settle()
        self.end()

    def end(self):
        """I8, I11, and everything once more at rest."""
        self.say("the end")
        position, restart = self.position(), self._restart()
        self.follows()
        self.load.signal(signal.SIGTERM)
        assert self.load.wait(PATIENCE_S) == 0, f"the load failed:\n{process.tail(self.load.log)}"
        self.load = None
        self.product.wait_caught_up(PATIENCE_S)
        self.wait(lambda: self._slot_moved(position, restart), "the slot to move again (I11)")
        self._rest()
        for watcher in self.watchers:
            watcher.stop()
        self.findings.check()
        self._equal()
        for name in STAGES:
            assert self.running.pop(name).stop() == 0, f"{name} did not stop as told"
        self.product.ok("stream", "verify")
        self._enough()

    def _restart(self):
        return self.old.value("SELECT (restart_lsn - '0/0')::bigint FROM pg_replication_slots")

    def _slot_moved(self, position, restart):
        """The server moves restart_lsn only at a snapshot of running transactions: CHECKPOINT writes one."""
        self.old.sql("CHECKPOINT")
        return invariants.confirmed(self.old) >= position and self._restart() > restart

    def _rest(self):
        """Each watcher looks once more after the load has ended and the target has all of it."""
        seen = [(watcher, watcher.passes) for watcher in self.watchers]
        self.wait(lambda: all(watcher.passes > passes + 1 for watcher, passes in seen), "the checkers to look once more")
        target = self.new.sql("SELECT (commit_lsn - '0/0')::bigint, chain FROM switchback.progress")[0]
        self.wait(lambda: self.proof.at[0] >= target[0], "the reader of the log to come to its end")
        assert self.proof.commits[target[0]].chain == bytes(target[1]), "I9: the target has another chain than the log"

    def _equal(self):
        compare.assert_equal(self.old, self.new)
        assert self.new.value("SELECT count(*) FROM switchback.conflict") == 0, "a row was not what the stream expects"
        old_ids, new_ids = ({row[0] for row in cluster.sql("SELECT id FROM tx")} for cluster in (self.old, self.new))
        self.told.read()
        found = invariants.lost_at_source(old_ids, self.told) + invariants.unknown_agree(old_ids, new_ids, self.told)
        assert found == [], "\n".join(found)

    def _enough(self):
        """That it was a torture at all."""
        assert self.total() >= self.kills_wanted and self.struck == set(self.points), self.report()
        assert len(self.told.ok) > 3 * self.total(), f"hardly any load: {self.report()}"
        assert len(self.proof.commits) >= len(self.told.ok) and self.proof.epochs > 10, self.report()
        assert all(watcher.passes > self.total() for watcher in self.watchers), self.report()
        assert self.told.failed and self.target_watcher.judge.judged > self.total(), self.report()

    def close(self):
        for watcher in self.watchers:
            watcher.stop()
        if self.load is not None:
            self.load.kill9()  # frozen or not
        for thing in [self.old, self.new] + ([self.broker] if self.broker else []):
            if thing.running():
                thing.thaw()
        self.events.close()

    def keep_logs(self, folder):
        """Of a run that passed: what was done, and what the product said to it."""
        folder.mkdir(parents=True, exist_ok=True)
        for log in (self.place / "events.log", self.product.log):
            shutil.copy(log, folder)

    def keep(self, folder):
        """What is needed to understand a failure: logs, journals, events, the stream, the servers' data."""
        for home in self.homes[STAGES[0]]:
            for stage in home.stages:
                stage.kill9()
        for cluster in (self.old, self.new):
            cluster.close()
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.place, folder, ignore=shutil.ignore_patterns(".s.PGSQL*", "saved-*"))


def make(place, clusters, switchback, brokers, store, seed, kills):
    """Servers, tables and a prepared migration."""
    majors = MAJORS[seed % len(MAJORS)]
    old = clusters(majors[0], "old", fsync=True, settings=OLD)
    new = clusters(majors[1], "new", fsync=True, settings=NEW)
    for cluster in (old, new):
        cluster.sql(load.TABLES)
    new.sql(load.WATCH)
    broker = brokers() if store == "kafka" else None
    product = switchback(old, new, config=CONFIG, broker=broker)
    product.ok("prepare")
    twin = switchback(old, new, config=CONFIG, broker=broker, migration="twin")
    twin.configure(migration=product.migration)
    twin.log = product.log
    if store == "embedded":
        twin.configure(stream={"path": stream_file(product)})
    return Torture(place, old, new, product, twin, store, seed, kills, broker)
