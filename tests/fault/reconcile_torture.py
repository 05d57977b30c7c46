"""The compare's torture: divergences of every kind are planted on the target by the hundred, under a load that may or may not
touch the same rows, and `switchback verify` must find each that is still there and invent none, while replication goes on. Then
`switchback repair` must make both sides equal under the load, and write to no other row.

What is there is known from this side alone: what was planted, and, once the load has stopped, what two plain reads of both
sides say. A planted row that differs then has differed all the time, so the pass under load must have found it.
"""

import collections
import json
import random
import threading
import time

import psycopg

from sbtest import verifying
from sbtest.wait import wait_until
from sbtest.writers import Load

MAJORS = [(15, 15), (14, 18), (16, 17), (18, 14)]  # old and new server, by seed
PATIENCE_S = 240
REPAIRS_MAX, REPAIR_MAX_S = 5, 600
REPAIR = ["--include", "foreign,capture", "--despite-pattern", "--reason", "the torture"]
SLOW_WITHIN = 40  # pairs of snapshots, of about 50 in a pass
STALL_MAX_S = 20  # replication that stands still for so long under a load has been paused; a busy machine is slow
# name: (type, its value in row g, another value)
TYPES = {
    "b": ("bool", "g % 2 = 0", "NOT b"), "i2": ("int2", "g % 1000", "i2 + 1"), "i4": ("int4", "g", "i4 + 1"),
    "i8": ("int8", "g * 5000000000", "i8 + 1"), "f4": ("float4", "g / 3.0", "f4 * 1.000001"), "f8": ("float8", "g / 7.0", "f8 * 1.0000000000000002"),
    "t": ("text", "'text ' || g", "t || '!'"), "vc": ("varchar(40)", "'varchar ' || g", "upper(vc)"), "c": ("char(6)", "'c'", "'d'"),
    "by": ("bytea", "decode(md5(g::text), 'hex')", "by || '\\x00'"), "d": ("date", "date '2000-01-01' + g % 9000", "d + 1"),
    "ti": ("time", "time '01:00' + g * interval '1 us'", "ti + interval '1 us'"), "tz": ("timetz", "'12:00:00+02'", "'11:00:00+01'"),
    "ts": ("timestamp", "timestamp '2000-01-01' + g * interval '1 s'", "ts + interval '1 us'"),
    "tstz": ("timestamptz", "timestamptz '2000-01-01 00:00+00' + g * interval '1 s'", "tstz - interval '1 us'"),
    "iv": ("interval", "interval '1 mon'", "interval '30 days'"), "u": ("uuid", "md5(g::text)::uuid", "md5('u' || g)::uuid"),
    "js": ("json", "'{\"a\":1}'", "'{\"a\": 1}'"), "jb": ("jsonb", "'{\"a\": 1.0}'", "'{\"a\": 1.00}'"), "ip": ("inet", "'10.0.0.1'", "'10.0.0.1/31'"),
    "ci": ("cidr", "'10.0.0.0/8'", "'10.0.0.0/9'"), "mac": ("macaddr", "'08:00:2b:01:02:03'", "'08:00:2b:01:02:04'"),
    "bi": ("bit(4)", "B'1010'", "B'1011'"), "vb": ("varbit", "B'101'", "B'1010'"), "ia": ("int[]", "ARRAY[g, 2]", "('[0:1]=' || ia::text)::int[]"),
    "ta": ("text[]", "ARRAY['a', NULL]", "ARRAY['a', 'NULL']"), "ra": ("int4range", "int4range(g, g + 5)", "'empty'"), "mo": ("mood", "'ok'", "'sad'"),
    "po": ("point", "point(g, 0)", "point(0, 1)"), "mn": ("money", "1.23", "1.24"), "tv": ("tsvector", "'a:1'", "'a:2'"),
}
TABLES = f"""
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE wide (id bigint PRIMARY KEY, g bigint, n numeric, e text, z float8, s text, {', '.join(f'{name} {kind}' for name, (kind, _, _) in TYPES.items())});
CREATE TABLE uniq (id int PRIMARY KEY, u int UNIQUE, v int);
CREATE TABLE heavy (id int PRIMARY KEY, v int, big text);
ALTER TABLE heavy ALTER big SET STORAGE EXTERNAL;
CREATE TABLE parts (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
CREATE TABLE long (id bigint PRIMARY KEY, v int);
CREATE TABLE spelled (k text COLLATE "und-x-icu", part int, v int, PRIMARY KEY (k, part));
CREATE TABLE journal (at int, what text);
"""
LEAVES = 8
FILL = f"""
INSERT INTO wide SELECT g, g, g * 1.10, '', 0, 's', {', '.join(value for _, value, _ in TYPES.values())} FROM generate_series(1, %ROWS%) g;
INSERT INTO uniq SELECT g, g, 0 FROM generate_series(1, %ROWS%) g;
INSERT INTO heavy SELECT g, 0, repeat(md5(g::text), 100) FROM generate_series(1, %ROWS% / 10) g;
INSERT INTO parts SELECT g, g FROM generate_series(0, %ROWS% - 1) g;
INSERT INTO long SELECT g, g FROM generate_series(1, %LONG%) g;
INSERT INTO spelled SELECT 'Key ' || g % 50, g, g FROM generate_series(1, %ROWS% / 4) g;
INSERT INTO journal SELECT g % 50, 'first' FROM generate_series(1, %ROWS% / 4) g;
ANALYZE
"""
KEYS = {"wide": ["id"], "uniq": ["id"], "heavy": ["id"], "parts": ["id"], "long": ["id"], "spelled": ["k", "part"]}
PINNED = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, MDY'; SET IntervalStyle = 'postgres'; SET extra_float_digits = 3"


def long_rows(rows):
    """Of the narrow table: where many comparisons are wanted, they come from here."""
    return rows * (2 if rows < 10000 else 20)


def fill(cluster, rows):
    leaf = "CREATE TABLE parts_{n} PARTITION OF parts FOR VALUES FROM ({low}) TO ({high})"
    for statement in TABLES.strip().split(";\n"):
        cluster.sql(statement.rstrip(";"))
    for n in range(LEAVES):
        low, high = (rows * edge // LEAVES if 0 < edge < LEAVES else "MINVALUE" if edge == 0 else "MAXVALUE" for edge in (n, n + 1))
        cluster.sql(leaf.format(n=n, low=low, high=high))
    for statement in FILL.replace("%ROWS%", str(rows)).replace("%LONG%", str(long_rows(rows))).strip().split(";\n"):
        cluster.sql(statement)


def load_step(rows):
    """One transaction: a few tables, rows of all of them, some again and again. Rows whose TOAST does not travel are never
    missing on the target, and unique values of planted rows are never touched: apply would rightly halt at both."""

    def one(session, rng):
        key, hot = rng.randrange(1, rows + rows // 4), rng.randrange(1, 40)
        act = rng.randrange(8)
        if act == 0:
            session.execute("INSERT INTO wide (id, g, t) VALUES (%s, %s, 'new') ON CONFLICT (id) DO UPDATE SET t = 'again', g = wide.g + 1", (key, key))
        elif act == 1:
            session.execute("UPDATE wide SET t = t || '.', n = 1.5 WHERE id IN (%s, %s)", (key, hot))
        elif act == 2:
            session.execute("DELETE FROM wide WHERE id = %s", (key,))
        elif act == 3:
            session.execute("UPDATE heavy SET v = v + 1 WHERE id = %s", (rng.randrange(1, rows // 10),))
            if rng.random() < 0.2:
                session.execute("UPDATE heavy SET big = repeat(%s, 3000) WHERE id = %s", (chr(97 + rng.randrange(26)), rng.randrange(1, rows // 10)))
        elif act == 4:
            session.execute("UPDATE parts SET v = v + 1 WHERE id IN (%s, %s)", (rng.randrange(rows), hot))
        elif act == 5:
            low = rng.randrange(1, long_rows(rows))
            session.execute("UPDATE long SET v = v + 1 WHERE id BETWEEN %s AND %s", (low, low + 20))
            session.execute("UPDATE uniq SET v = v + 1 WHERE id = %s", (rng.randrange(rows // 2, rows),))
        elif act == 6:
            session.execute("UPDATE spelled SET v = v + 1 WHERE part = %s", (rng.randrange(1, rows // 4),))
        else:
            session.execute("INSERT INTO journal VALUES (%s, 'new')", (hot,))

    return one


# -- what is planted


class Planter:
    """Writes to the target as nobody should. Each kind takes about `count` rows, and tells which keys it may have touched."""

    def __init__(self, session, rng, rows):
        self.session, self.rng, self.rows = session, rng, rows
        self.kinds = {
            "missing": self.missing, "extra": self.extra, "swapped-unique": self.swapped, "toast": self.toast, "chunk": self.chunk,
            "partition": self.partition, "key-spelled": self.spelled, "no-key": self.no_key,
            "changed": self.setting("t = t || ' other'"), "null-or-empty": self.setting("e = NULLIF(e, '')"), "minus-zero": self.setting("z = '-0'"),
            "trailing-space": self.setting("s = s || ' '"), "numeric-scale": self.setting("n = n * 1.0"),
            **{f"type-{kind}": self.setting(f"{name} = {other}") for name, (kind, _, other) in TYPES.items()},
        }

    def run(self, statement, *params):
        while True:
            try:
                return self.session.execute(statement, params or None)
            except psycopg.errors.DeadlockDetected:
                continue  # with apply, which tries again as well

    def some(self, count, low, high):
        return self.rng.sample(range(low, high), min(count, high - low))

    def setting(self, what):
        def plant(count):
            keys = self.some(count, 1, self.rows + 1)
            self.run(f"UPDATE wide SET {what} WHERE id = ANY(%s)", keys)
            return [("wide", (str(key),)) for key in keys]

        return plant

    def missing(self, count):
        keys = self.some(count, 1, self.rows + 1)
        self.run("DELETE FROM wide WHERE id = ANY(%s)", keys)
        return [("wide", (str(key),)) for key in keys]

    def extra(self, count):
        """Below the first key, among those that the load inserts, and far behind."""
        keys = [-key for key in self.some(count // 3 + 1, 1, self.rows)] + self.some(count // 3, self.rows + 1, self.rows + self.rows // 4)
        keys += self.some(count // 3, self.rows * 10, self.rows * 11)
        self.run("INSERT INTO wide (id, t) SELECT k, 'extra' FROM unnest(%s::bigint[]) k ON CONFLICT DO NOTHING", keys)
        return [("wide", (str(key),)) for key in keys]

    def swapped(self, count):
        keys = sorted(self.some(count // 2 * 2, 1, self.rows // 2))
        for one, other in zip(keys[::2], keys[1::2]):
            before = dict(self.run("SELECT id, u FROM uniq WHERE id IN (%s, %s)", one, other).fetchall())
            self.run("UPDATE uniq SET u = -u WHERE id IN (%s, %s)", one, other)
            self.run("UPDATE uniq SET u = %s WHERE id = %s", before[other], one)
            self.run("UPDATE uniq SET u = %s WHERE id = %s", before[one], other)
        return [("uniq", (str(key),)) for key in keys]

    def toast(self, count):
        keys = self.some(count, 1, self.rows // 10)
        self.run("UPDATE heavy SET big = left(big, -1) || 'Z' WHERE id = ANY(%s)", keys)
        return [("heavy", (str(key),)) for key in keys]

    def chunk(self, count):
        low = self.rng.randrange(1, long_rows(self.rows) - count)
        self.run("DELETE FROM long WHERE id BETWEEN %s AND %s", low, low + count)
        return [("long", (str(key),)) for key in range(low, low + count + 1)]

    def partition(self, _count):
        leaf = self.rng.randrange(LEAVES)
        self.run(f"TRUNCATE parts_{leaf}")
        return [("parts", (str(key),)) for key in range(self.rows * leaf // LEAVES, self.rows * (leaf + 1) // LEAVES)]

    def spelled(self, count):
        keys = self.some(count, 1, self.rows // 4)
        self.run("UPDATE spelled SET k = 'key ' || part %% 50 WHERE part = ANY(%s)", keys)
        return [("spelled", (f"{letter}ey {key % 50}", str(key))) for key in keys for letter in "Kk"]

    def no_key(self, count):
        self.run("INSERT INTO journal SELECT g, 'planted' FROM generate_series(1, %s) g", count)
        return [("journal", (str(n), "planted")) for n in range(1, count + 1)]


# -- what is there


def key_of(relation, shown):
    """As the ledger and the audit name a row."""
    return relation.split(".")[1].strip('"'), tuple(json.loads(shown).values())


def read(session, table, key):
    """{key: row text}, all as the server spells it."""
    with session.cursor() as cursor:
        rows = cursor.execute(f"SELECT {', '.join(f'{column}::text' for column in key)}, whole::text FROM {table} whole").fetchall()
    return {row[:-1]: row[-1] for row in rows}


def differing(old, new):
    """{(table, key): kind} of two sides at rest, by plain reads; journal: {row: how many more on the target}."""
    found = {}
    for table, key in KEYS.items():
        truth, follower = read(old, table, key), read(new, table, key)
        for one in truth.keys() | follower.keys():
            if truth.get(one) != follower.get(one):
                found[table, one] = "extra" if one not in truth else "missing" if one not in follower else "changed"
    rows = [collections.Counter(session.execute("SELECT at::text, what FROM journal").fetchall()) for session in (old, new)]
    for one in rows[0].keys() | rows[1].keys():
        if rows[0][one] != rows[1][one]:
            found["journal", one] = "extra" if rows[1][one] > rows[0][one] else "missing"
    return found


class Pulse:
    """While it lasts: the longest time for which the target's progress stood still."""

    def __init__(self, new):
        self.new, self.longest_s, self.beats, self._stop = new, 0.0, 0, threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._stop.set()
        self._thread.join(30)

    def _look(self):
        with self.new.connect() as session:
            newest, since = None, time.monotonic()
            while not self._stop.wait(0.05):
                (applied,) = session.execute("SELECT commit_lsn::text FROM switchback.progress WHERE direction = 'forward'").fetchone()
                if applied != newest:
                    newest, since, self.beats = applied, time.monotonic(), self.beats + 1
                self.longest_s = max(self.longest_s, time.monotonic() - since)


class Torture:
    """Both servers are filled, the product is at work."""

    def __init__(self, old, new, product, seed, rows, kinds=None):
        self.old, self.new, self.product, self.seed, self.rows = old, new, product, seed, rows
        self.random, self.began = random.Random(f"reconcile-{seed}"), time.monotonic()
        self.kinds, self.planted, self.compared, self.dirty = kinds, collections.Counter(), 0, 0
        self.there, self.passes, self.stall_s, self.repairs, self.repaired, self.audited = 0, 0, 0.0, 0, 0, 0
        self.sessions = [server.connect() for server in (old, new)]
        for session in self.sessions:
            session.execute(PINNED)
        self.sessions[1].execute("SET session_replication_role = replica")
        self.planter = Planter(self.sessions[1], self.random, rows)
        assert not kinds or set(kinds) <= set(self.planter.kinds), f"kinds are {', '.join(self.planter.kinds)}"

    def close(self):
        for session in self.sessions:
            session.close()

    def report(self):
        return (
            f"compare, PostgreSQL {self.old.major} to {self.new.major}, seed {self.seed}: {self.planted.total()} divergences of {len(self.planted)} kinds "
            f"planted, {self.there} still there when the load stopped, {self.repaired} rows written by {self.repairs} repairs; {self.compared} key comparisons in "
            f"{self.passes} passes, {self.dirty} of keys under a write; replication never stood still for more than {self.stall_s:.1f} s; "
            f"{time.monotonic() - self.began:.0f} s"
        )

    def slowness(self):
        """Where a compare may be slow: between the two snapshots, between them and the rows, behind the rows. Most of what can
        go wrong needs a commit just there."""
        points = ["between-stamps"] * 4 + ["before-rows"] * 2 + ["after-rows"]
        return ",".join(f"reconcile-{point}:delay:{self.random.randrange(1, SLOW_WITHIN)}:{self.random.randrange(50, 300)}" for point in points)

    def verify(self, fault=None):
        """One pass; ({(table, key): kind} it found, its whole answer)."""
        answer = verifying.verify(self.product, fault=fault)
        self.passes += 1
        self.compared += answer["keys_compared"]
        self.dirty += sum(table["dirty"] for table in answer["tables"])
        rows = self.new.sql(
            "SELECT relation, key_shown, kind, rows FROM switchback.difference WHERE seen_by = %s AND state = 'open'", answer["run"])
        found = {key_of(relation, shown): kind for relation, shown, kind, _count in rows if shown is not None}
        counted = sum(table["difference_count"] for table in answer["tables"])
        assert counted == sum(count for _, _, _, count in rows), f"{counted} differences are counted, others are kept"
        return found, answer

    def _under_load(self, planted):
        with Pulse(self.new) as pulse:
            found, answer = self.verify(self.slowness())
        undecided = {table["table"]: table["why"] for table in answer["tables"] if table.get("state", "equal") not in ("equal", "differs")}
        assert undecided == {}, f"not decided although apply is at work: {undecided}"
        assert pulse.beats > 1 and pulse.longest_s < STALL_MAX_S, f"replication stood still for {pulse.longest_s:.1f} s"
        self.stall_s = max(self.stall_s, pulse.longest_s)
        invented = found.keys() - planted
        assert not invented, f"invented: {sorted(invented)[:10]} of {len(invented)}"
        return found, answer

    def _plant(self, count):
        names = list(self.kinds or self.planter.kinds)
        each, planted = max(2, count // len(names)), set()
        for name in self.random.sample(names, len(names)):
            keys = self.planter.kinds[name](each)
            self.planted[name] += len(keys)
            planted.update(keys)
        return planted

    def _load(self):
        return Load(self.old, load_step(self.rows), writers=3, seed=self.random.randrange(1 << 30), pause=0.005)

    def _at_rest(self):
        """What differs, by plain reads."""
        self.product.wait_caught_up(PATIENCE_S)
        return differing(*self.sessions)

    def _judge(self, planted, under_load, answer):
        """The load has stopped: was everything found that differs now, and is exactly that found now?"""
        there = self._at_rest()
        self.there += len(there)
        assert there.keys() <= planted, f"differs, and nobody planted it: {sorted(there.keys() - planted)[:10]}"
        keyed = {one: kind for one, kind in there.items() if one[0] != "journal"}
        missed = keyed.keys() - under_load.keys()
        assert not missed, f"missed under load: {sorted(missed)[:10]} of {len(missed)}"
        quiet, at_rest = self.verify()
        for said in (answer, at_rest):
            journal = sum(table["difference_count"] for table in said["tables"] if table["table"] == "public.journal")
            assert journal == sum(one[0] == "journal" for one in there), f"{journal} rows of journal"
        assert quiet == keyed, f"at rest, found and there: {sorted(quiet.items() - keyed.items())[:5]} {sorted(keyed.items() - quiet.items())[:5]}"

    def _repair(self, planted):
        """Under the load, until a pass finds nothing. A row that the load has changed after it was found is left to the next."""
        for _ in range(REPAIRS_MAX):
            done = self.product.verb("repair", "run", *REPAIR, "--json", timeout=REPAIR_MAX_S)
            assert done.code in (0, verifying.DIFFERENT), done
            self.repairs += 1
            found, _ = self._under_load(planted)
            if not found:
                break
        assert not found, f"not repaired by {REPAIRS_MAX} repairs: {sorted(found.items())[:10]}"
        written = self.new.sql("SELECT relation, key_shown FROM switchback.repair_audit WHERE outcome = 'applied' AND id > %s", self.audited)
        stray = {key_of(*row) for row in written} - planted
        assert not stray, f"repaired, and nobody planted it: {sorted(stray)[:10]}"
        self.repaired += len(written)
        self.audited = self.new.value("SELECT coalesce(max(id), 0) FROM switchback.repair_audit")

    def round(self, count, passes):
        """Plant, compare under the load, stop it, compare again, look; then repair under it, and look once more."""
        with self._load() as load:
            wait_until(lambda: load.done > 50, PATIENCE_S, "some load")
            for _ in range(passes):
                self._under_load(set())
            planted = self._plant(count)
            under_load, answer = self._under_load(planted)
        self._judge(planted, under_load, answer)
        with self._load() as load:
            wait_until(lambda: load.done > 50, PATIENCE_S, "some load")
            self._repair(planted)
        there = self._at_rest()
        assert {table for table, _ in there} <= {"journal"}, f"differs after the repair: {sorted(there.items())[:10]}"
        self.sessions[1].execute("DELETE FROM journal WHERE what = 'planted'")  # rows without a key are not repaired
        assert differing(*self.sessions) == {}
        quiet, said = self.verify()
        assert quiet == {} and said["verdict"] == "equal", said

    def go(self, count, comparisons):
        """Rounds until so much is planted and so many keys are compared."""
        share = max(100, min(count, self.rows // 4, 2000))
        while self.planted.total() < count or self.compared < comparisons:
            self.round(share, 1 if self.planted.total() < count else 8)
        assert self.dirty > 0 and self.there > 0 and self.repaired > 0


def make(clusters, switchback, seed, rows, kinds=None, majors=None):
    majors = majors or MAJORS[seed % len(MAJORS)]
    old, new = clusters(majors[0], "old"), clusters(majors[1], "new")
    for server in (old, new):
        fill(server, rows)
    budget = {"max_rows": 1000000, "max_deletes": 1000000, "table_share_max_percent": 100}
    product = verifying.running(switchback, old, new, verify={"chunk_rows": max(200, rows // 8)}, repair=budget, log={"level": "info"})
    return Torture(old, new, product, seed, rows, kinds)
