"""What the new side shows is what the old side shows, as text and to the last digit: every type of every server, in every
position of a row, written in sets and one by one. docs/FIDELITY.md is the page about it."""

import pytest
from psycopg import sql

from every_type import BUILT_IN, NO_COLUMN, REFUSED, TEXT, TWIN, USERS, classified, types
from flow import flow, server  # noqa: F401 (fixtures)
from sbtest.servers import MAJORS

# Everything that can be the type of a value or of a column, but true arrays and row types of the catalogs' own tables.
CATALOG_TYPES = """
SELECT t.typname, t.typtype::text FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
WHERE t.typnamespace = 'pg_catalog'::regnamespace AND c.oid IS NULL
  AND NOT (t.typcategory = 'A' AND EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = t.oid) AND t.typname <> '_record')
"""


@pytest.mark.parametrize("major", MAJORS)
def test_every_type_of_every_server_is_classified(server, major):
    known = classified()
    found = dict(server(major, "old").sql(CATALOG_TYPES))
    assert len(found) > 80, "the catalogs were not read"
    assert set(found) - set(known) == set(), "types that nobody has thought about: add them to every_type.py with values"
    assert set(known) - set(found) == set()
    assert {name for name, kind in found.items() if kind == "p"} <= {name for name, how in known.items() if how == NO_COLUMN}


@pytest.mark.parametrize("major", MAJORS)
def test_what_is_no_column_type_is_refused_by_the_server(server, major):
    cluster = server(major, "old")
    for name in REFUSED:
        quoted = sql.Identifier("pg_catalog", name)
        with cluster.connect() as session:
            with pytest.raises(Exception, match="pseudo-type|cannot accept a value|not implemented"):
                session.execute(sql.SQL("CREATE TEMP TABLE refused (v {})").format(quoted))
                session.execute("INSERT INTO refused SELECT (%s::cstring::text)::" + quoted.as_string(None), ["x"])


# -- every value


def create_types(session, major, schema):
    """Extensions live where they like, everything else is made on both sides alike."""
    for extension in sorted({one.extension for one in types(major) if one.extension}):
        session.execute(sql.SQL("CREATE EXTENSION {} SCHEMA {}").format(sql.Identifier(extension), sql.Identifier(schema)))
    for one in types(major):
        if one.setup:
            session.execute(one.setup)


def create_tables(session, major):
    """v: a column, an array and a composite of the type; k: the type as key; f: identity FULL, whole rows."""
    for one in types(major):
        name = one.label
        session.execute(f"CREATE TABLE v_{name} (id int PRIMARY KEY, v {one.name})")
        session.execute(f"CREATE TYPE c_{name} AS (v {one.name}, n int)")
        session.execute(f"ALTER TABLE v_{name} ADD a {one.name}[], ADD c c_{name}")
        session.execute(f"CREATE TABLE f_{name} (id int, v {one.name}); ALTER TABLE f_{name} REPLICA IDENTITY FULL")
        if one.key:
            session.execute(f"CREATE TABLE k_{name} (k {one.name} PRIMARY KEY, n int DEFAULT 0)")


def structure(cluster, db, major, schema):
    with cluster.connect(db) as session:
        session.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}; SET search_path = public, {schema}")
        create_types(session, major, schema)
        create_tables(session, major)


def insert_values(session, one):
    name, count = one.label, len(one.values)
    for number, value in enumerate(one.values):
        literal = sql.Literal(value)
        # As an unknown literal: the type's own input function reads it.
        session.execute(sql.SQL(f"INSERT INTO v_{name} (id, v) VALUES ({number}, {{}})").format(literal))
        if one.key:
            session.execute(sql.SQL(f"INSERT INTO k_{name} VALUES ({{}}) ON CONFLICT DO NOTHING").format(literal))
    session.execute(f"INSERT INTO v_{name} (id) VALUES ({count})")
    session.execute(f"UPDATE v_{name} SET c = ROW(v, id)")
    if one.in_arrays:
        session.execute(f"UPDATE v_{name} SET a = (SELECT array_agg(v ORDER BY id) FROM v_{name})")


def update_values(session, one):
    """Every row gets its neighbour's value; keys get another value, and move to one that was free."""
    name = one.label
    rows = len(one.values) + 1
    array = f"ARRAY[o.v, v_{name}.v]" if one.in_arrays else "o.a"
    session.execute(
        f"UPDATE v_{name} SET (v, a, c) = (SELECT o.v, {array}, ROW(o.v, 7)::c_{name} FROM v_{name} o"
        f" WHERE o.id = (v_{name}.id + 1) % {rows})"
    )
    session.execute(f"INSERT INTO v_{name} SELECT 1000 + g * 100 + id, v, a, c FROM v_{name}, generate_series(1, 40) g")
    if one.key:
        session.execute(f"UPDATE k_{name} SET n = n + 1")
        moved = session.execute(
            f"DELETE FROM k_{name} WHERE ctid = (SELECT max(ctid) FROM k_{name} HAVING count(*) > 1) RETURNING k::text"
        ).fetchall()
        for (text,) in moved:
            session.execute(
                sql.SQL(f"UPDATE k_{name} SET k = {{}} WHERE ctid = (SELECT min(ctid) FROM k_{name})").format(sql.Literal(text))
            )


def delete_values(session, one):
    session.execute(f"DELETE FROM v_{one.label} WHERE id % 2 = 0")
    if one.key:
        session.execute(f"DELETE FROM k_{one.label} WHERE ctid = (SELECT max(ctid) FROM k_{one.label})")


def whole_rows(session, one):
    """Rows that are found by all their values: twins of each other, too."""
    name = one.label
    session.execute(f"INSERT INTO f_{name} SELECT id % 100 % 3, v FROM v_{name} WHERE id < 1300")
    session.execute(f"UPDATE f_{name} SET id = id + 1 WHERE ctid IN (SELECT ctid FROM f_{name} ORDER BY ctid LIMIT 3)")
    session.execute(f"UPDATE f_{name} SET v = NULL WHERE ctid = (SELECT min(ctid) FROM f_{name})")
    session.execute(f"DELETE FROM f_{name} WHERE ctid IN (SELECT ctid FROM f_{name} ORDER BY ctid DESC LIMIT 4)")


def step(it, chosen, what):
    with it.old.connect(it.db, autocommit=False) as session:
        session.execute("SET search_path = public, ext")
        for one in chosen:
            what(session, one)
            session.commit()
    it.equal()


@pytest.mark.parametrize("major, mode", [(15, "auto"), (15, "exact"), (18, "auto"), (18, "exact")])
def test_every_value_arrives(flow, major, mode):
    it = flow("", majors=(major, major), start=False, apply={"mode": mode})
    structure(it.old, it.db, major, "ext")
    structure(it.new, it.db, major, "elsewhere")
    it.start()
    steps = (insert_values, update_values, delete_values)
    for what in steps:
        step(it, [one for one in types(major) if one.sets], what)
    assert mode == "exact" or it.exact() == [], "a value was refused by a set and only written one by one"
    for what in steps:
        step(it, [one for one in types(major) if not one.sets], what)
    assert mode == "exact" or it.exact() != []
    step(it, types(major), whole_rows)
