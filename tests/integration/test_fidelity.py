"""What the new side shows is what the old side shows, as text and to the last digit: every type of every server, in every
position of a row, written in sets and one by one. docs/FIDELITY.md is the page about it."""

import re

import pytest
from psycopg import sql

from every_type import NO_COLUMN, REFUSED, TEXT, TWIN, classified, types
from flow import flow, server  # noqa: F401 (fixtures)
from sbtest import tree
from sbtest.servers import MAJORS

NO_DDL = {"policy": "ignore"}  # or what the target lacks on purpose would travel
MODES = ["auto", "exact"]
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


def test_the_page_names_every_type_and_only_tests_that_exist():
    page = (tree.ROOT / "docs/FIDELITY.md").read_text()
    rows = re.findall(r"^\| (twin|text) \| ([^|]*) \|$", page, re.M)
    shown = {how: {name for one, names in rows for name in names.split(", ") if one == how} for how in (TWIN, TEXT)}
    for how in (TWIN, TEXT):
        assert {name for name, one in classified().items() if one == how} <= shown[how]
    assert shown[TWIN] == {name for name, one in classified().items() if one == TWIN}
    tests = "".join(path.read_text() for path in (tree.ROOT / "tests/integration").glob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) > 20
    assert {name for name in named if f"def {name}(" not in tests} == set()


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


# -- what does not fit


NARROW = {
    "v": ("varchar(3)", "varchar(8)", "abcdef"),
    "c": ("char(3)", "char(6)", "abcdef"),
    "b": ("bit(3)", "bit(6)", "101010"),
    "vb": ("varbit(3)", "varbit(6)", "101010"),
    "a": ("varchar(3)[]", "varchar(8)[]", "{abcdef}"),
    "d": ("tag", "varchar(8)", "abcdef"),
    "n": ("numeric(6,2)", "numeric(8,4)", "1.2345"),
    "f": ("float4", "float8", "0.1234567890123"),
    "t": ("timestamp(0)", "timestamp", "2026-11-24 10:00:00.5"),
    "z": ("timestamp", "timestamptz", "2026-11-24 10:00:00+00"),
    "i": ("interval(0)", "interval", "0.5 s"),
    "x": ("time(0)", "time", "10:00:00.5"),
}


@pytest.mark.parametrize("mode", MODES)
def test_a_value_that_the_target_would_cut_or_round_stops_apply(flow, mode):
    """The source's column is widened while changes travel, as people do, and the target's is not."""
    cases = [(f"{verb}_{name}", verb, *case) for name, case in NARROW.items() for verb in ("insert", "update")]
    tables = [f"CREATE TABLE {name} (id int PRIMARY KEY, v {narrow})" for name, _, narrow, _, _ in cases]
    it = flow("CREATE DOMAIN tag AS varchar(3);" + ";".join(tables), apply={"mode": mode}, ddl=NO_DDL)
    for name, *_ in cases:
        it.sql(f"INSERT INTO {name} VALUES (1, NULL)")
    it.equal()
    for name, verb, _, wide, value in cases:
        it.sql(f"ALTER TABLE {name} ALTER v TYPE {wide}")
        it.sql(f"INSERT INTO {name} VALUES (2, %s)" if verb == "insert" else f"UPDATE {name} SET v = %s", value)
        it.halts("SB-(TARGET-STRUCTURE|POISON)")
        assert it.new_sql(f"SELECT v::text FROM {name} WHERE v IS NOT NULL") == [], f"{name} was changed on its way"
        it.new_sql(f"ALTER TABLE {name} ALTER v TYPE {wide}")
        it.resume()
        it.equal([("public", name)])


@pytest.mark.parametrize("mode", MODES)
def test_a_label_added_later(flow, mode):
    it = flow("CREATE TYPE mood AS ENUM ('a'); CREATE TABLE item (id int PRIMARY KEY, m mood, ms mood[])", apply={"mode": mode}, ddl=NO_DDL)
    it.sql("INSERT INTO item VALUES (1, 'a', '{a}')")
    it.sql("ALTER TYPE mood ADD VALUE 'b' BEFORE 'a'")
    it.sql("INSERT INTO item VALUES (2, 'b', '{b,a}')")
    it.halts("SB-POISON")
    assert it.new_sql("SELECT id FROM item") == [(1,)]
    it.new_sql("ALTER TYPE mood ADD VALUE 'b' BEFORE 'a'")
    it.resume()
    it.equal()


@pytest.mark.parametrize("mode", MODES)
def test_a_name_that_the_target_does_not_have_stops_apply(flow, mode):
    it = flow("CREATE TABLE item (id int PRIMARY KEY, r regclass)", apply={"mode": mode}, ddl=NO_DDL)
    it.sql("INSERT INTO item VALUES (1, 'item')")
    it.equal()
    it.sql("CREATE TABLE only_here (id int)")
    it.sql("INSERT INTO item VALUES (2, 'only_here')")
    it.halts("SB-(POISON|TARGET-STRUCTURE)")
    assert it.new_sql("SELECT id, r::text FROM item") == [(1, "item")]


def test_domains_of_one_name_over_different_types_are_refused(flow):
    table = "CREATE DOMAIN {0} AS numeric(10,{1}); CREATE DOMAIN {0}_too AS {0}; CREATE TABLE item (id int PRIMARY KEY, v {0}_too)"
    it = flow(table.format("cents", 4), new_structure=table.format("cents", 2), start=False)
    assert "over numeric(10,4) on the source and over numeric(10,2)" in it.product.refuses("SB-TARGET-STRUCTURE", "check").out


@pytest.mark.parametrize("mode", MODES)
def test_blanks_beyond_the_length_are_not_cut(flow, mode):
    """The server would cut them without a word (the SQL standard says so); the two sides would differ."""
    it = flow("CREATE TABLE item (id int PRIMARY KEY, v varchar(3))", apply={"mode": mode}, ddl=NO_DDL)
    it.sql("ALTER TABLE item ALTER v TYPE varchar(8)")
    it.product.refuses("SB-TARGET-STRUCTURE", "check")
    it.sql("INSERT INTO item VALUES (1, 'ab    ')")
    it.halts("SB-POISON")
    assert it.new_sql("SELECT v FROM item") == []
    it.new_sql("ALTER TABLE item ALTER v TYPE varchar(8)")
    it.resume()
    it.equal()


def test_an_xml_declaration_is_not_shown_by_the_server(flow):
    """PostgreSQL's own output leaves out what says no more than the default; what it shows arrives."""
    it = flow("CREATE TABLE doc (id int PRIMARY KEY, x xml)")
    it.sql("""INSERT INTO doc VALUES (1, '<?xml version="1.0"?><r/>'), (2, '<?xml version="1.0" encoding="UTF-8"?><r>ü</r>')""")
    it.settle()
    shown = "SELECT id, format('%s', x) FROM doc ORDER BY 1"
    assert it.sql(shown) == it.new_sql(shown) == [(1, "<r/>"), (2, "<r>ü</r>")]
    assert it.sql("SELECT x::text FROM doc WHERE id = 1") != it.new_sql("SELECT x::text FROM doc WHERE id = 1")


# -- large values


MIB = 1 << 20
# What one row of this size may need: it is held as frame, record, decoded and as statement, and libpq holds it twice.
COPIES_MAX = 5


def peak_bytes(stage):
    """The most memory that a process has had so far."""
    (line,) = [line for line in open(f"/proc/{stage.pid}/status") if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("mode, mib", [("auto", 100), ("exact", 20)])
def test_values_of_100_megabytes(flow, mode, mib):
    it = flow(
        "CREATE TABLE big (id int PRIMARY KEY, b bytea, t text, n int); ALTER TABLE big ALTER b SET STORAGE EXTERNAL, ALTER t SET STORAGE EXTERNAL",
        apply={"mode": mode},
    )
    it.sql("INSERT INTO big SELECT 1, decode(repeat('00ff5c27', %s), 'hex'), NULL, 0", mib * MIB // 4)
    it.sql("INSERT INTO big SELECT 2, NULL, repeat('\u00e9\\\\x', %s), 0", mib * MIB // 4)
    it.sql("UPDATE big SET n = 1")
    it.settle(timeout=120)
    sums = "SELECT id, length(b), length(t), md5(b), md5(t), n FROM big ORDER BY id"
    assert it.sql(sums) == it.new_sql(sums)
    assert it.new_sql("SELECT length(b) FROM big WHERE id = 1") == [(mib * MIB,)]
    for stage in it.stages:
        peak = peak_bytes(stage)
        # bytea doubles in the server's text.
        assert 2 * mib * MIB < peak < COPIES_MAX * 2 * mib * MIB, f"{stage.title} needed {peak // MIB} MiB for a value of {mib}"
