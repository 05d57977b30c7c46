"""A second opinion: the same WAL decoded by us, by PostgreSQL's test_decoding and by wal2json gives the same transactions with
the same rows in the same order."""

import json
import random
import re

import psycopg
import pytest
from psycopg import sql

from every_type import BUILT_IN
from flow import flow, server  # noqa: F401 (fixtures)
from sbtest import history, need
from sbtest.servers import installed

PINNED = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; SET extra_float_digits = 3; SET bytea_output = 'hex'"
# Not numbers to JSON, so wal2json says null.
NO_NUMBER = {"NaN", "Infinity", "-Infinity"}
NUMBERS = {"smallint", "integer", "bigint", "real", "double precision", "numeric", "oid"}
KINDS = [one for one in BUILT_IN if one.on(15)]
KINDS_TABLE = "CREATE TABLE kinds (id int PRIMARY KEY, {}); ALTER TABLE kinds REPLICA IDENTITY {}"


def kinds_table(identity):
    return KINDS_TABLE.format(", ".join(f"c{n} {one.name}" for n, one in enumerate(KINDS)), identity)


def change_kinds(session, seed):
    """Rows of values of every type, drawn at random."""
    draw = random.Random(seed)
    for number in range(150):
        n, key = draw.randrange(len(KINDS)), draw.randrange(12)
        value = sql.Literal(draw.choice([None, *KINDS[n].values]))
        column = sql.Identifier(f"c{n}")
        session.execute(sql.SQL("INSERT INTO kinds (id, {}) VALUES ({}, {}) ON CONFLICT (id) DO UPDATE SET {} = excluded.{}").format(
            column, key, value, column, column))
        if number % 10 == 0:
            session.execute("DELETE FROM kinds WHERE id = %s", (draw.randrange(12),))
        if number % 7 == 0:
            session.execute("UPDATE kinds SET id = id + 100 WHERE id = %s AND NOT EXISTS (SELECT FROM kinds WHERE id = %s)", (key, key + 100))
        if number % 3 == 0:
            session.commit()
    session.commit()


# -- each decoder's words in one form: [(xid, [(op, table, old, new)])], rows as {column: text}; NULLs are left out of old rows, and
# columns that did not travel out of new ones, because not every decoder shows them. An old key that was not sent is the new one's.


def old_row(given, new, key):
    row = given if given is not None else {name: new[name] for name in key}
    return {name: value for name, value in row.items() if value is not None}


def by_us(it, keys):
    found = {}
    for line in it.product.ok("stream", "show").out.splitlines():
        record = json.loads(line)
        if record["kind"] == "schema":
            keys[record["table"]] = [column["name"] for column in record["columns"] if column["key"]]
        if record["kind"] != "change":
            continue
        changes = found.setdefault((record["commit_lsn"], record["xid"]), [])
        if record["op"] == "t":
            changes += [("t", table, None, None) for table in record["tables"]]
            continue
        new = record.get("after")
        new = new and {name: value for name, value in new.items() if value != {"unchanged": True}}
        old = record.get("before", record.get("before_key"))
        table = record["table"]
        changes.append((record["op"], table, None if record["op"] == "c" else old_row(old, new, keys[table]), new))
    return [(xid, changes) for (_, xid), changes in found.items()]


class Tables:
    """What must be known of the tables: keys, as our stream tells them, and columns that other decoders show and pgoutput
    does not."""

    def __init__(self, session):
        self.keys = {}
        self.generated = set(session.execute(
            "SELECT attrelid::regclass::text, attname FROM pg_attribute WHERE attgenerated <> '' AND attnum > 0").fetchall())

    def sent(self, table, row):
        return row and {name: value for name, value in row.items() if (table.removeprefix("public."), name) not in self.generated}


def by_wal2json(session, tables):
    found = []
    rows = session.execute(
        "SELECT data FROM pg_logical_slot_get_changes('json', NULL, NULL, 'format-version', '2', 'include-xids', '1')"
    ).fetchall()

    def text(column):
        value = column["value"]
        if isinstance(value, bool):
            return "t" if value else "f"
        if column["type"] == "bytea" and value is not None:
            return "\\x" + value
        return value

    for (line,) in rows:
        one = json.loads(line, parse_float=str, parse_int=str)
        if one["action"] == "B":
            found.append((int(one["xid"]), []))
        if one["action"] not in "IUDT" or one["schema"] == "switchback":
            continue
        op, table = {"I": "c", "U": "u", "D": "d", "T": "t"}[one["action"]], f"{one['schema']}.{one['table']}"
        new = tables.sent(table, {column["name"]: text(column) for column in one["columns"]} if "columns" in one else None)
        old = tables.sent(table, {column["name"]: text(column) for column in one["identity"]} if "identity" in one else None)
        found[-1][1].append((op, table, None if op in "ct" else old_row(old, new, tables.keys[table]), new))
    return [(xid, changes) for xid, changes in found if changes]


COLUMN = re.compile(r"(\w+)\[((?:[^\[\]]|\[\])+)\]:(?:B?'((?:[^']|'')*)'|(\S+))", re.S)


def columns_of(words):
    """What test_decoding prints of a row."""
    row = {}
    for name, kind, quoted, bare in COLUMN.findall(words):
        if bare == "unchanged-toast-datum":
            continue
        value = None if bare == "null" else bare or quoted.replace("''", "'")
        row[name] = {"true": "t", "false": "f"}.get(value, value) if kind == "boolean" else value
    return row


def by_test_decoding(session, tables):
    found = []
    rows = session.execute("SELECT data FROM pg_logical_slot_get_changes('text', NULL, NULL, 'skip-empty-xacts', '1')").fetchall()
    for (line,) in rows:
        if line.startswith("BEGIN"):
            found.append((int(line.split()[1]), []))
        match = re.match(r"table (.*?): (INSERT|UPDATE|DELETE|TRUNCATE):(.*)", line, re.S)
        if not match or match.group(1).startswith("switchback."):
            continue
        table, verb, words = match.groups()
        if verb == "TRUNCATE":
            found[-1][1].extend(("t", one, None, None) for one in table.split(", "))
            continue
        old, _, new = words.partition(" new-tuple:") if words.startswith(" old-key:") else ("", "", words)
        old, new = tables.sent(table, columns_of(old) if old else None), tables.sent(table, columns_of(new))
        if verb == "DELETE":
            found[-1][1].append(("d", table, new, None))
        elif verb == "INSERT":
            found[-1][1].append(("c", table, None, new))
        else:
            found[-1][1].append(("u", table, old_row(old, new, tables.keys[table]), new))
    return [(xid, changes) for xid, changes in found if changes]


def as_json_has_it(changes, numbers):
    """NaN and infinities are null there."""

    def row(table, given):
        return given and {
            name: None if value in NO_NUMBER and (table, name) in numbers else value for name, value in given.items()
        }

    def old(table, given):
        given = row(table, given)
        return given and {name: value for name, value in given.items() if value is not None}

    return [(xid, [(op, table, old(table, before), row(table, after)) for op, table, before, after in all]) for xid, all in changes]


def first_difference(ours, theirs):
    for ours_one, theirs_one in zip(ours, theirs):
        if ours_one != theirs_one:
            return f"transaction {ours_one[0]}, {theirs_one[0]}:\n" + "\n".join(
                f"  ours   {one}\n  theirs {other}" for one, other in zip(ours_one[1], theirs_one[1]) if one != other)
    return f"{len(ours)} transactions and {len(theirs)}" if len(ours) != len(theirs) else None


@pytest.mark.parametrize("identity", ["DEFAULT", "FULL"])
@pytest.mark.parametrize("major", [15, 18])
def test_three_decoders_read_the_same(flow, major, identity):
    with_json = major == 15
    if with_json and not (installed()[15].bin.parent / "lib/wal2json.so").exists():
        need.missing("wal2json of PostgreSQL 15")
    it = flow(history.source_schema() + ";" + kinds_table(identity), majors=(major, major))
    with it.old.connect(it.db) as session:
        session.execute("SELECT pg_create_logical_replication_slot('text', 'test_decoding')")
        if with_json:
            session.execute("SELECT pg_create_logical_replication_slot('json', 'wal2json')")
        try:
            story = history.History(20261124 + major)
            with psycopg.connect(it.old.dsn(it.db)) as writer:
                for _ in range(150):
                    story.transaction(writer)
                change_kinds(writer, major)
                # Values that are stored out of line and do not change.
                writer.execute("INSERT INTO document (id, body) VALUES (9999, repeat('z', 9000))")
                writer.execute("UPDATE document SET n = n + 1 WHERE id = 9999")
                writer.execute("TRUNCATE left_one, right_one, tree CASCADE")
            it.settle()
            session.execute(PINNED)
            tables = Tables(session)
            ours = by_us(it, tables.keys)
            assert len(ours) > 100 and {change[0] for _, changes in ours for change in changes} == set("cudt")
            assert any("unchanged" in line for line in it.product.ok("stream", "show").out.splitlines())
            assert first_difference(ours, by_test_decoding(session, tables)) is None
            if with_json:
                numbers = set(session.execute(
                    "SELECT 'public.' || c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
                    " WHERE a.attnum > 0 AND format_type(a.atttypid, NULL) = ANY (%s)", (list(NUMBERS),)).fetchall())
                assert first_difference(as_json_has_it(ours, numbers), by_wal2json(session, tables)) is None
        finally:
            session.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name IN ('text', 'json')")


def test_a_difference_is_noticed():
    """What is compared above can differ: a value, an order, a change and a transaction too many."""
    one = [(1, [("c", "t", None, {"a": "1"}), ("d", "t", {"a": "1"}, None)]), (2, [("t", "t", None, None)])]
    others = [
        [(1, [("c", "t", None, {"a": "1.0"}), one[0][1][1]]), one[1]], [(1, one[0][1][::-1]), one[1]], [(1, one[0][1][:1]), one[1]], one[:1],
        [(3, one[0][1]), one[1]],
    ]
    assert first_difference(one, one) is None
    assert all(first_difference(one, other) is not None for other in others)
