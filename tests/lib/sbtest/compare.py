"""Are two databases equal? The independent answer: every row of every table as the server's own text, compared as
multisets. Shares nothing with the product: no digest, no key, no catalogue query of its.

Each side is read in one REPEATABLE READ snapshot under settings that give a value one text. Rows travel by COPY, so
that NULL, '' and 'NULL' stay three things; numeric scale, -0, NaN and infinities are in the text. Generated columns
count: they must come out the same. What is compared: the columns of the old side; what exists on the new side only
is the new side's own.
"""

import collections

from psycopg import sql

PINNED = """
SET client_encoding = 'UTF8'; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, MDY'; SET IntervalStyle = 'postgres';
SET extra_float_digits = 3; SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET search_path = '';
SET row_security = off; SET statement_timeout = 0
"""
# Ordinary tables and the roots of partitioned ones; rows of a partition are read through its root.
TABLES = """
SELECT n.nspname, c.relname, array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE a.attname IS NOT NULL)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('information_schema', 'switchback') AND n.nspname !~ '^pg_'
GROUP BY 1, 2 ORDER BY 1, 2
"""
SHOWN_MAX = 10


def tables(session):
    """{(schema, name): columns} of everything that is compared unless somebody chooses."""
    return {(schema, name): columns or [] for schema, name, columns in session.execute(TABLES).fetchall()}


def _open(session):
    for statement in PINNED.split(";"):
        session.execute(statement)
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    return tables(session)


def _rows(session, table, columns):
    """Every row as COPY text, in the order of these texts."""
    fields = sql.SQL(", ").join(sql.SQL('{}::text COLLATE "C"').format(sql.Identifier(column)) for column in columns)
    order = sql.SQL(", ").join(map(sql.Literal, range(1, len(columns) + 1)))
    statement = sql.SQL("COPY (SELECT {} FROM {}{}) TO STDOUT").format(
        fields, sql.Identifier(*table), sql.SQL(" ORDER BY {}").format(order) if columns else sql.SQL("")
    )
    with session.cursor() as cursor, cursor.copy(statement) as copy:
        rest = b""
        for block in copy:
            *lines, rest = (rest + bytes(block)).split(b"\n")
            yield from lines
        assert rest == b""


def row_differences(old_rows, new_rows):
    """(only old, only new): multisets of the rows that have no partner. Streams as long as both agree."""
    old_rows, new_rows = iter(old_rows), iter(new_rows)
    only_old, only_new = collections.Counter(), collections.Counter()
    while True:
        old, new = next(old_rows, None), next(new_rows, None)
        if old is None and new is None:
            return only_old, only_new
        if old == new:
            continue
        only_old.update([*([] if old is None else [old]), *old_rows])
        only_new.update([*([] if new is None else [new]), *new_rows])
        common = only_old & only_new
        return only_old - common, only_new - common


def differences(old_session, new_session, chosen=None):
    """A list of sentences, empty if equal. chosen: a list of (schema, name); default: every table of the old side."""
    found = []
    old_tables, new_tables = _open(old_session), _open(new_session)
    try:
        for table in chosen or old_tables:
            shown = ".".join(table)
            if table not in old_tables or table not in new_tables:
                found.append(f"{shown} is not there on {'the old' if table not in old_tables else 'the new'} side")
                continue
            columns = old_tables[table]
            missing = [column for column in columns if column not in new_tables[table]]
            if missing:
                found.append(f"{shown}: the new side has no column {', '.join(missing)}")
                continue
            only_old, only_new = row_differences(
                _rows(old_session, table, columns), _rows(new_session, table, columns)
            )
            for side, rows in (("old", only_old), ("new", only_new)):
                if rows:
                    some = [f"  {count} x {row.decode(errors='replace')}" for row, count in rows.most_common(SHOWN_MAX)]
                    found.append("\n".join([f"{shown}: {rows.total()} rows only on the {side} side", *some]))
    finally:
        old_session.execute("ROLLBACK")
        new_session.execute("ROLLBACK")
    return found


def assert_equal(old, new, db="postgres", tables=None):
    """old and new are clusters at rest; fails with every difference."""
    with old.connect(db) as old_session, new.connect(db) as new_session:
        found = differences(old_session, new_session, tables)
    assert found == [], "the two sides differ\n" + "\n".join(found)
