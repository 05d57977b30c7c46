"""What must hold on the target at every moment of the load (sbtest.load), whatever is killed. Judged from pictures of the
target, each taken in one snapshot, and from the client's journal. Shares no code with the product; of its tables only
the progress row is read, to know which acknowledged commits must be there already.

The names of the invariants:

    I1 sum         the bank's sum is constant
    I2 version     a row's version never goes down
    I3 lost        an acknowledged commit that lies behind the progress row is there
    I4 aborted     nothing of a transaction that was rolled back, or that nobody ran, is there
    I5 doubled     a keyless insert is there exactly once
    I6 torn        a transaction's rows are all there or none, over several tables
    I7 prefix      what is there is a beginning of the source's history
    I8 equal       after the load both sides are equal
    I9 log         the log is well formed
    I10 slot       the slot is never ahead of what the target has on disk
    I11 stuck      slot and target move again after the last fault
    I13 halted     no stage stops by itself: none of these faults is a reason to
"""

import collections
import threading
import traceback

import psycopg

from sbtest import load

TORN = """
SELECT tx, t.k, a.n, b.n FROM (SELECT id AS tx, k FROM tx) t
FULL JOIN (SELECT tx, count(*) AS n FROM part_a GROUP BY 1) a USING (tx)
FULL JOIN (SELECT tx, count(*) AS n FROM part_b GROUP BY 1) b USING (tx)
WHERE (t.k = a.n AND t.k = b.n) IS NOT TRUE LIMIT 20
"""
DOUBLED = """
SELECT tx, t.k, p.n FROM (SELECT id AS tx, k FROM tx) t
FULL JOIN (SELECT tx, count(*) AS n FROM pulse GROUP BY 1) p USING (tx)
WHERE (t.k = p.n) IS NOT TRUE LIMIT 20
"""
NUMBER = "(commit_lsn - '0/0')::bigint"


class Findings:
    """What was found broken: (invariant, sentence). Filled by many threads."""

    def __init__(self):
        self._lock, self._found = threading.Lock(), []

    def add(self, invariant, sentence):
        with self._lock:
            self._found.append((invariant, sentence))

    def all(self):
        with self._lock:
            return list(self._found)

    def names(self):
        return {invariant for invariant, sentence in self.all()}

    def check(self):
        found = self.all()
        assert not found, "invariants are broken:\n" + "\n".join(f"{name}: {what}" for name, what in found[:20])


Picture = collections.namedtuple("Picture", "server progress bank ks torn doubled list_count list_last list_head decreases")


def take_picture(session):
    """One snapshot of the target. session: autocommit."""
    with session.transaction():
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")

        def rows(statement):
            return session.execute(statement, binary=True).fetchall()

        server, progress = rows(f"SELECT pg_postmaster_start_time()::text, {NUMBER} FROM switchback.progress")[0]
        count, last = rows("SELECT count(*), coalesce(max(n), 0) FROM list")[0]
        return Picture(
            server=server, progress=progress,
            bank={row[0]: row[1:] for row in rows("SELECT id, balance, version FROM bank")},
            ks=dict(rows("SELECT id, k FROM tx")), torn=rows(TORN), doubled=rows(DOUBLED), list_count=count,
            list_last=last, list_head=rows("SELECT n FROM list_head")[0][0],
            decreases=rows("SELECT id, was, became FROM watch.decrease LIMIT 20"),
        )


class Judge:
    """Judges pictures, one after the other, and remembers what may not go back."""

    def __init__(self, findings):
        self.findings, self.before, self.judged = findings, None, 0

    def see(self, now, told):
        """told: the journals, read after the picture was taken."""
        self._sum(now)
        self._versions(now)
        self._acknowledged(now, told)
        self._aborted(now, told)
        self._whole(now)
        self._prefix(now, told)
        self.before = now
        self.judged += 1

    def _sum(self, now):
        total = sum(balance for balance, version in now.bank.values())
        if total != load.BANK_ROWS * load.BANK_EACH:
            self.findings.add("I1", f"the bank's sum is {total} at progress {now.progress:X}")

    def _versions(self, now):
        for ident, was, became in now.decreases:
            self.findings.add("I2", f"guarded {ident} went from version {was} to {became}")
        # Apply commits asynchronously: a crash of the target takes back what was not on its disk.
        if self.before is None or self.before.server != now.server:
            return
        for ident, (balance, version) in self.before.bank.items():
            later = now.bank.get(ident, (None, -1))[1]
            if later < version:
                self.findings.add("I2", f"bank {ident} went from version {version} to {later}")
        if now.progress < self.before.progress:
            self.findings.add("I2", f"progress went from {self.before.progress:X} to {now.progress:X}")

    def _acknowledged(self, now, told):
        missing = [ident for ident, past in told.past.items() if past <= now.progress and ident not in now.ks]
        if missing:
            self.findings.add("I3", f"acknowledged, before progress {now.progress:X}, but not there: {sorted(missing)[:20]}")

    def _aborted(self, now, told):
        wrong = [ident for ident in now.ks if ident in told.failed or told.begun.get(ident) != now.ks[ident]]
        if wrong:
            self.findings.add("I4", f"rolled back, or never run so, but there: {sorted(wrong)[:20]}")

    def _whole(self, now):
        for tx, k, in_a, in_b in now.torn:
            self.findings.add("I6", f"transaction {tx}: {k} rows each, but {in_a} in part_a, {in_b} in part_b")
        for tx, k, found in now.doubled:
            name = "I5" if (found or 0) > (k or 0) else "I6"
            self.findings.add(name, f"transaction {tx}: {k} rows, but {found} in the keyless pulse")

    def _prefix(self, now, told):
        if not now.list_count == now.list_last == now.list_head:
            self.findings.add("I7", f"the list has {now.list_count} rows, the last is {now.list_last}, head {now.list_head}")
        for client, ran in told.clients.items():
            last = max((at for at, ident in enumerate(ran) if ident in now.ks), default=0)
            holes = [ident for ident in ran[:last] if ident in told.ok and ident not in now.ks]
            if holes:
                self.findings.add("I7", f"{client}: {ran[last]} is there, but these before it are not: {holes[:20]}")


def unknown_agree(old_ids, new_ids, told):
    """At the end: what the client does not know is the same on both sides. Sentences."""
    return [
        f"unknown transaction {ident} is {'there' if ident in new_ids else 'not there'} on the target only"
        for ident in sorted(told.unknown) if (ident in old_ids) != (ident in new_ids)
    ]


def lost_at_source(old_ids, told):
    """The load's own premise: the source has what it acknowledged. Sentences."""
    return [f"the source itself has lost {ident}" for ident in sorted(told.ok - old_ids)]


class Watcher(threading.Thread):
    """Looks again and again until stopped. look() makes one pass; a server that is away is no finding."""

    pause_s = 0.1

    def __init__(self, findings):
        super().__init__(daemon=True)
        self.findings, self.passes = findings, 0
        self._stop_asked = threading.Event()

    def look(self):
        raise NotImplementedError

    def forget(self):
        """Connections are gone."""

    def run(self):
        while not self._stop_asked.wait(self.pause_s):
            try:
                self.look()
                self.passes += 1
            except psycopg.OperationalError:
                self.forget()
            except Exception:
                self.findings.add("checker", f"{type(self).__name__} failed:\n{traceback.format_exc()}")
                return

    def stop(self):
        self._stop_asked.set()
        self.join(60)
        self.forget()


class TargetWatcher(Watcher):
    """I1 to I7."""

    def __init__(self, findings, new, told, db="postgres"):
        super().__init__(findings)
        self.new, self.told, self.db, self.judge, self._session = new, told, db, Judge(findings), None

    def look(self):
        if self._session is None:
            self._session = self.new.connect(self.db, application_name="watch")
        picture = take_picture(self._session)
        self.judge.see(picture, self.told.read())

    def forget(self):
        if self._session is not None:
            self._session.close()
            self._session = None


def slot_ahead(confirmed, progress, first):
    """I10 from two readings, the slot's first: the sentence, or None. first: where the slot began."""
    if confirmed <= max(progress, first):
        return None
    return f"the slot is confirmed up to {confirmed:X}, the target is at {progress:X}"


class SlotWatcher(Watcher):
    """I10 while everything runs. What the target shows may not be on its disk yet, so the sharp test is the crash of the
    target (tests/fault/torture.py); this one sees a slot that runs away."""

    def __init__(self, findings, old, new):
        super().__init__(findings)
        self.old, self.new, self.first, self._sessions = old, new, confirmed(old), []

    def look(self):
        if not self._sessions:
            self._sessions = [cluster.connect(application_name="watch") for cluster in (self.old, self.new)]
        old, new = self._sessions
        slot = old.execute(CONFIRMED).fetchone()[0]
        found = slot_ahead(slot, new.execute(f"SELECT {NUMBER} FROM switchback.progress").fetchone()[0], self.first)
        if found:
            self.findings.add("I10", found)

    def forget(self):
        for session in self._sessions:
            session.close()
        self._sessions = []


CONFIRMED = "SELECT (confirmed_flush_lsn - '0/0')::bigint FROM pg_replication_slots WHERE slot_type = 'logical'"


def confirmed(old):
    return old.value(CONFIRMED)


def progress(new):
    return new.value(f"SELECT {NUMBER} FROM switchback.progress")


class LogWatcher(Watcher):
    """I9: follows the stream, see sbtest.logproof."""

    pause_s = 0.2

    def __init__(self, findings, source, proof):
        super().__init__(findings)
        self.source, self.proof = source, proof

    def look(self):
        for offset, frame, body in self.source.more():
            for sentence in self.proof.take(offset, frame, body):
                self.findings.add("I9", sentence)

    def forget(self):
        self.source.close()


class WordsWatcher(Watcher):
    """I13: the product's own log. An error line means that a stage has halted or ended by itself; rightly so only where
    a newer one has taken over."""

    def __init__(self, findings, path):
        super().__init__(findings)
        self._file = open(path, errors="replace")

    def look(self):
        while True:
            at, line = self._file.tell(), self._file.readline()
            if not line.endswith("\n"):
                self._file.seek(at)
                return
            stopped = " level=error" in line and "error=SB-EPOCH-STALE" not in line
            if stopped or "Sanitizer" in line or "Assertion" in line:
                self.findings.add("I13", line.strip())

    def forget(self):
        """The file stays."""
