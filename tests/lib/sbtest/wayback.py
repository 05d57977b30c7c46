"""A migration with the way back: two servers with a few tables, the strangers who write on the wrong side, and what is
recorded of them."""

import json

from sbtest.wait import wait_until

TABLES = [
    "CREATE TABLE account (id int PRIMARY KEY, amount bigint NOT NULL, note text)",
    "CREATE TABLE journal (at bigint, what text)",  # no key at all
    "CREATE TABLE whole (a int, b text)",
    "ALTER TABLE whole REPLICA IDENTITY FULL",
]
STAGES = ("capture-forward", "apply-forward", "capture-reverse", "apply-reverse")
ROGUE = """
SELECT op, relation, key, source_row, target_row, xid::text, commit_lsn::text, resolution FROM switchback.conflict
WHERE migration = 'shop' AND direction = 'reverse' AND kind = 'rogue_write' ORDER BY id
"""
TOTALS = """
SELECT rogue_writes::int, rogue_transactions::int FROM switchback.progress
WHERE migration = 'shop' AND direction = 'reverse'
"""
CANARY = {"interval_s": 1}


class WayBack:
    """`run` is up to the test."""

    def __init__(self, clusters, switchback, majors=(15, 15), broker=None, rows=100, old=None, new=None, **config):
        self.old, self.new = clusters(majors[0], "old", **(old or {})), clusters(majors[1], "new", **(new or {}))
        for cluster in (self.old, self.new):
            for statement in TABLES:
                cluster.sql(statement)
        self.old.sql("INSERT INTO account SELECT g, 1000, 'opened' FROM generate_series(1, %s) g", rows)
        self.product = switchback(
            self.old, self.new, broker=broker,
            config={
                "reverse": {"enabled": True}, "canary": CANARY, "copy": {"initial": True}, "capture": {"feedback_interval_ms": 100},
                **config,
            },
        )

    def prepare(self):
        self.product.ok("prepare")
        return self

    def run(self, **more):
        return self.product.run(**more)

    def wait_armed(self, timeout=60):
        """Every stage works and both canaries came back."""
        for name in STAGES:
            self.product.wait_state(name, "running", timeout)
        self.wait_canaries()
        return self

    def direction(self, name):
        return next(one for one in self.product.status()["directions"] if one["direction"] == name)

    def wait_canaries(self, timeout=30):
        """Until a canary has gone there and back both ways."""
        for name in ("forward", "reverse"):
            wait_until(lambda: self.direction(name)["canary"]["echoed"], timeout, f"a canary of {name} to come back")

    # -- strangers

    def rogue(self, *statements):
        """One transaction on the new side; its xid (as recorded: 64 bits)."""
        with self.new.connect(autocommit=False) as session:
            for statement in statements:
                session.execute(statement)
            xid = session.execute("SELECT pg_current_xact_id()::text").fetchone()[0]
            session.commit()
        return xid

    def recorded(self):
        names = ("op", "relation", "key", "new", "old", "xid", "lsn", "resolution")
        return [dict(zip(names, row)) for row in self.old.sql(ROGUE)]

    def recorded_of(self, xid):
        return [row for row in self.recorded() if row["xid"] == xid]

    def wait_recorded(self, xid, count=1, timeout=30):
        def there():
            rows = self.recorded_of(xid)
            return rows if len(rows) >= count else None

        rows = wait_until(there, timeout, f"rogue transaction {xid} to be recorded")
        assert len(rows) == count, rows
        return rows

    def totals(self):
        """(writes, transactions) by the observer's own count."""
        return self.old.sql(TOTALS)[0]

    # -- what travelled

    def stream(self, direction):
        """Records of a direction's stream, as `stream show` has them."""
        done = self.product.ok("stream", "show", "--direction", direction)
        return [json.loads(line) for line in done.out.splitlines() if line.strip()]

    def changes(self, direction):
        return [record for record in self.stream(direction) if record["kind"] == "change"]

    def settle(self, timeout=90):
        """Everything committed on either side is where it has to go."""
        self.product.wait_caught_up(timeout)
        self.product.wait_caught_up(timeout, "reverse")
