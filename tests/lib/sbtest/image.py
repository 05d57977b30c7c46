"""Images of rows as a repair sends them (schemas/image.h), made by hand: read on the truth side under a snapshot, compared with
what the follower holds, signed, and sent in the transaction that read them. And the audit of what became of them, walked."""

import contextlib
import hashlib
import struct

from psycopg import sql

from sbtest.compare import PINNED
from sbtest.logproof import Hashes
from sbtest.wait import wait_until

NULL_FIELD = b"\xff" * 16
APPLIED = "applied"
_hashes = []


def _h128(data):
    if not _hashes:
        _hashes.append(Hashes())
    return _hashes[0].h128(data)


def digest(texts):
    """Of a row, as schemas/rowform has it: texts of its columns, None for NULL."""
    return _h128(b"".join(NULL_FIELD if text is None else _h128(text.encode()) for text in texts))


# -- Avro


def _long(value):
    value = (value << 1) ^ (value >> 63)
    value &= (1 << 64) - 1
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _bytes(data):
    data = data.encode() if isinstance(data, str) else data
    return _long(len(data)) + data


def _array(items):
    return (_long(len(items)) + b"".join(items) if items else b"") + _long(0)


def _row(row, columns, key):
    shown = row["values"] if row["values"] is not None else dict(zip(key, row["key"]))
    values = [shown[name] for name in (columns if row["values"] is not None else key)]
    return b"".join([
        _long(row["item"]), _long(0) if row["guard"] is None else _long(1) + row["guard"],
        b"\0" if row["values"] is None else b"\1",
        _array([_long(0) if value is None else _long(1) + _bytes(value) for value in values]),
    ])


def encode(rows, *, migration, table, columns, key, repair=1, epoch=1, direction="forward", snapshot, floor, timeline=1, schema="public"):
    """The record. A row: item, key (texts), values ({column: text} or None: it is not there), guard (digest or None)."""
    return b"".join([
        _long(repair), _long(epoch), _bytes(direction), _bytes(migration), _bytes(snapshot), _long(struct.unpack(">q", struct.pack(">Q", floor))[0]),
        _long(timeline), _bytes(schema), _bytes(table), _array([_bytes(name) for name in columns]),
        _array([_long(columns.index(name)) for name in key]), _array([_row(row, columns, key) for row in rows]),
    ])


def lsn(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


class Table:
    """What is compared of a table: its columns in their order, and its key."""

    def __init__(self, name, columns, key, schema="public"):
        self.name, self.columns, self.key, self.schema = name, list(columns), list(key), schema

    def read(self, session, key):
        """{column: text} of the row with this key (texts), or None."""
        fields = sql.SQL(", ").join(
            sql.SQL("CASE WHEN {0} IS DISTINCT FROM NULL THEN pg_catalog.format('%%s', {0}) END").format(sql.Identifier(name))
            for name in self.columns)
        match = sql.SQL(" AND ").join(sql.SQL("pg_catalog.format('%%s', {}) = %s").format(sql.Identifier(name)) for name in self.key)
        statement = sql.SQL("SELECT {} FROM {} WHERE {}").format(fields, sql.Identifier(self.schema, self.name), match)
        found = session.execute(statement, list(key)).fetchone()
        return None if found is None else dict(zip(self.columns, found))

    def guard(self, values):
        return None if values is None else digest([values[name] for name in self.columns])


class Repairer:
    """Sends images from the truth side of a direction to the follower, and looks what became of them."""

    def __init__(self, product, direction="forward"):
        self.product, self.db, self.item, self.direction = product, product.db, 0, direction
        sides = (product.old, product.new)
        self.truth, self.behind = sides if direction == "forward" else sides[::-1]
        self.migration, self._follower = product.migration, None

    # -- the ring

    def want(self, seconds=600, wait=True):
        """Ask apply to remember keys; returns once it does."""
        self.behind.sql(
            "INSERT INTO switchback.repair_ring (migration, direction, wanted_until) VALUES (%s, %s, now() + %s * interval '1 s')"
            " ON CONFLICT (migration, direction) DO UPDATE SET wanted_until = excluded.wanted_until",
            self.migration, self.direction, seconds, db=self.db)
        if wait:
            wait_until(self.whole_from, 30, "apply to remember keys")

    def whole_from(self):
        rows = self.behind.sql("SELECT whole_from::text FROM switchback.repair_ring WHERE migration = %s AND direction = %s",
                               self.migration, self.direction, db=self.db)
        return rows[0][0] if rows else None

    def floor(self):
        """A position: every commit at or before it is visible in every snapshot from now on. What had an id when the position
        was read has ended since."""
        at, last = self.truth.sql("SELECT pg_current_wal_insert_lsn()::text, pg_snapshot_xmax(pg_current_snapshot())::text::bigint", db=self.db)[0]
        ended = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint >= %s"
        wait_until(lambda: self.truth.value(ended, last, db=self.db), 30, "older transactions to end")
        return lsn(at)

    # -- images

    @contextlib.contextmanager
    def stamp(self, floor=None):
        """A transaction that has taken its snapshot. What is sent in it goes with its commit."""
        floor = self.floor() if floor is None else floor
        with self.truth.connect(self.db, autocommit=False) as session:
            session.execute("SET synchronous_commit = local")
            for statement in PINNED.split(";"):
                session.execute(statement)
            session.commit()
            session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield Stamp(self, session, session.execute("SELECT pg_current_snapshot()::text").fetchone()[0], floor)

    def follower(self, table, key):
        if self._follower is None or self._follower.closed:
            self._follower = self.behind.connect(self.db)
            for statement in PINNED.split(";"):
                self._follower.execute(statement)
        return table.read(self._follower, key)

    def repair(self, table, *keys, **more):
        """One image of these keys, each a tuple of texts, read and sent at once. Returns the items."""
        with self.stamp() as stamp:
            rows = [stamp.row(table, key) for key in keys]
            stamp.send(table, rows, **more)
        return [row["item"] for row in rows]

    # -- what became of it

    def outcomes(self, items, timeout=60):
        """Of these items, in their order; waits until each was judged."""
        judged = "SELECT item, outcome FROM switchback.repair_audit WHERE migration = %s AND direction = %s AND item = ANY (%s) ORDER BY id"

        def all_judged():
            found = dict(self.behind.sql(judged, self.migration, self.direction, list(items), db=self.db))
            return [found[item] for item in items] if len(found) == len(set(items)) else None

        return wait_until(all_judged, timeout, f"items {items} of the repair to be judged")

    def audit(self):
        """Every row of the audit, once its chain was walked."""
        fields = ("id", "migration", "direction", "repair", "item", "relation", "key_shown", "outcome", "sqlstate", "before", "after",
                  "snapshot", "commit_lsn", "applied_at", "previous", "digest")
        said = """
        SELECT id, migration, direction, repair, item, relation, key_shown, outcome, sqlstate, before, after, snapshot, commit_lsn::text,
            applied_at, previous, digest, jsonb_build_array(migration, direction, repair, item, relation, key_shown, outcome, sqlstate,
            before, after, snapshot, commit_lsn::text, (extract(epoch FROM applied_at) * 1000000)::bigint)::text
        FROM switchback.repair_audit WHERE migration = %s AND direction = %s ORDER BY id"""
        rows, previous = [], bytes(32)
        for *row, text in self.behind.sql(said, self.migration, self.direction, db=self.db):
            row = dict(zip(fields, row))
            assert row["previous"] == previous, f"row {row['id']} of the audit does not continue the one before"
            previous = row["digest"]
            assert previous == hashlib.sha256(row["previous"] + text.encode()).digest(), f"row {row['id']} of the audit was altered"
            rows.append(row)
        return rows


class Stamp:
    def __init__(self, repairer, session, snapshot, floor):
        self.repairer, self.session, self.snapshot, self.floor = repairer, session, snapshot, floor

    def row(self, table, key):
        """As this snapshot shows it, guarded by what the follower holds now."""
        self.repairer.item += 1
        return {"item": self.repairer.item, "key": list(key), "values": table.read(self.session, key),
                "guard": table.guard(self.repairer.follower(table, key))}

    def send(self, table, rows, secret=None, **more):
        """Signed with the old side's key, or another secret."""
        given = {"migration": self.repairer.migration, "direction": self.repairer.direction, "table": table.name, "schema": table.schema, "columns": table.columns, "key": table.key,
                 "snapshot": self.snapshot, "floor": self.floor, **more}
        record = encode(rows, **given)
        if secret is None:
            secret = self.session.execute("SELECT secret FROM switchback.signing_key").fetchone()[0]
        self.send_bytes(hashlib.sha256(secret.encode() + record).hexdigest().encode() + b" " + record)

    def send_bytes(self, content):
        self.session.execute("SELECT pg_logical_emit_message(true, 'switchback.image', %s::bytea)", (content,))
