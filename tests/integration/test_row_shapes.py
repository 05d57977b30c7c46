"""Rows of every shape arrive: names, numbers of columns, encodings, generated and identity columns, partitions, and tables that
are not alike on the two sides. docs/FIDELITY.md is the page about it."""

import psycopg
import pytest
from psycopg import sql

from flow import flow, server  # noqa: F401 (fixtures)

MODES = ["auto", "exact"]


# -- names and shapes


LONG = "\u00fc" * 31 + "x"  # 63 bytes
NAMES = ["plain", "Plain", "PLAIN", 'quo"ted', "with space", "dot.ted", "semi;colon'", "\u8868", LONG, "select", "$1", "back\\slash", "%s", "tab\tname"]


@pytest.mark.parametrize("mode", MODES)
def test_names_that_need_care(flow, mode):
    """Schemas, tables and columns of every name, two of them equal after case folding."""
    made = []
    for name in NAMES:
        one = sql.Identifier(name)
        made.append(sql.SQL("CREATE SCHEMA {0}; CREATE TABLE {0}.{0} ({0} int PRIMARY KEY").format(one).as_string(None))
        made += [sql.SQL(", {} text").format(sql.Identifier(other + "x" if len(other) < 20 else other[:-2])).as_string(None) for other in NAMES]
        made.append(");")
        made.append(sql.SQL("CREATE TABLE public.{0} ({0} text); ALTER TABLE public.{0} REPLICA IDENTITY FULL;").format(one).as_string(None))
    it = flow("".join(made), apply={"mode": mode})
    for name in NAMES:
        one = sql.Identifier(name)
        for text in (
            "INSERT INTO {0}.{0} SELECT g, 'a' FROM generate_series(1, 3) g", "UPDATE {0}.{0} SET {1} = 'b' WHERE {0} < 3",
            "UPDATE {0}.{0} SET {0} = 9 WHERE {0} = 2", "DELETE FROM {0}.{0} WHERE {0} = 1",
            "INSERT INTO public.{0} VALUES ('x'), ('x'), ('y')", "UPDATE public.{0} SET {0} = 'z' WHERE {0} = 'y'",
            "DELETE FROM public.{0} WHERE ctid = (SELECT min(ctid) FROM public.{0})",
        ):
            it.sql(sql.SQL(text).format(one, sql.Identifier("Plainx")).as_string(None))
    it.equal()
    assert it.new_sql("SELECT count(*) FROM public.plain, public.\"Plain\"") != [(0,)]


@pytest.mark.parametrize("mode", MODES)
def test_tables_without_columns(flow, mode):
    it = flow("CREATE TABLE empty (); CREATE TABLE full_empty (); ALTER TABLE full_empty REPLICA IDENTITY FULL", apply={"mode": mode})
    it.sql("INSERT INTO empty SELECT FROM generate_series(1, 50)")
    it.sql("INSERT INTO empty DEFAULT VALUES")
    it.sql("INSERT INTO full_empty SELECT FROM generate_series(1, 5)")
    it.equal()
    it.sql("DELETE FROM full_empty WHERE ctid IN (SELECT ctid FROM full_empty LIMIT 2)")
    it.equal()
    assert it.new_sql("SELECT (SELECT count(*) FROM empty), (SELECT count(*) FROM full_empty)") == [(51, 3)]
    it.sql("TRUNCATE empty")
    it.equal()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("identity", ["DEFAULT", "FULL"])
def test_rows_of_1600_columns(flow, identity, mode):
    """With the longest names there are, all in need of quotes."""
    names = [sql.Identifier('"' * 59 + f"{n:04}").as_string(None) for n in range(1600)]
    types = ["int", "bool", "text", "int2"]
    columns = ", ".join(f"{name} {types[n % 4]}" for n, name in enumerate(names))
    key = f"ALTER TABLE wide ADD PRIMARY KEY ({names[0]})" if identity == "DEFAULT" else "ALTER TABLE wide REPLICA IDENTITY FULL"
    it = flow(f"CREATE TABLE wide ({columns}); {key}", apply={"mode": mode})
    values = ["g", "true", "'t'", "1"]
    it.sql("INSERT INTO wide SELECT " + ", ".join(values[n % 4] for n in range(1600)) + " FROM generate_series(1, 3) g")
    it.sql(f"INSERT INTO wide ({names[0]}) VALUES (4)")
    it.equal()
    it.sql(f"UPDATE wide SET {names[1599]} = 2 WHERE {names[0]} = 1")
    others = ["7", "NULL", "'u'", "NULL"]
    it.sql("UPDATE wide SET " + ", ".join(f"{name} = {others[n % 4]}" for n, name in enumerate(names) if n) + f" WHERE {names[0]} = 2")
    it.sql(f"UPDATE wide SET {names[0]} = 5 WHERE {names[0]} = 3")
    it.sql(f"DELETE FROM wide WHERE {names[0]} = 4")
    it.equal()
    assert it.new_sql("SELECT count(*) FROM wide") == [(3,)]


# -- encodings


def test_text_of_another_encoding_is_converted(flow):
    it = flow("CREATE TABLE item (id int PRIMARY KEY, t text, ts text[])", encodings=("LATIN1", "UTF8"))
    it.sql("INSERT INTO item SELECT g, chr(g), ARRAY[chr(g), '\"' || chr(g)] FROM generate_series(1, 255) g")
    it.equal()
    assert it.new_sql("SELECT convert_to(t, 'UTF8') FROM item WHERE id = 252") == [("ü".encode(),)]


def test_a_target_that_cannot_hold_every_character_is_refused(flow):
    it = flow("CREATE TABLE item (id int PRIMARY KEY, t text)", encodings=("UTF8", "LATIN1"), start=False)
    it.product.refuses("SB-ENCODING", "prepare")


def test_text_that_utf8_does_not_have_stops_capture(flow):
    """A byte that WIN1252 leaves without a meaning, but the server stores."""
    it = flow("CREATE TABLE item (id int PRIMARY KEY, t text)", encodings=("WIN1252", "UTF8"))
    it.sql("INSERT INTO item VALUES (1, 'good')")
    it.equal()
    it.sql("INSERT INTO item VALUES (2, convert_from('\\x81', 'WIN1252'))")
    it.halts("SB-ENCODING")
    assert it.new_sql("SELECT id FROM item") == [(1,)]


BYTES = "SELECT id, encode(textsend(t), 'hex') FROM item ORDER BY id"


@pytest.mark.parametrize("mode", MODES)
def test_bytes_of_an_sql_ascii_source(flow, mode):
    """They are what they are: a target that takes them gets them, another stops with nothing written."""
    it = flow(
        "CREATE TABLE item (id int PRIMARY KEY, t text); CREATE TABLE k (t text PRIMARY KEY)", encodings=("SQL_ASCII", "SQL_ASCII"), apply={"mode": mode}
    )
    it.sql("INSERT INTO item VALUES (1, E'\\xc3\\xbc'), (2, E'\\xff\\x80\\xfe')")
    it.sql("INSERT INTO k VALUES (E'\\xff\\x80')")
    it.settle()
    it.sql("UPDATE item SET t = E'\\x81' WHERE id = 1")
    it.sql("UPDATE k SET t = E'\\xff\\x81'")
    it.settle()
    assert it.sql(BYTES) == it.new_sql(BYTES) == [(1, b"81"), (2, b"ff80fe")]
    assert it.new_sql("SELECT encode(textsend(t), 'hex') FROM k") == [(b"ff81",)]
    it.sql("DELETE FROM k")
    it.settle()
    assert it.new_sql("SELECT 1 FROM k") == []


@pytest.mark.parametrize("target, refused", [("UTF8", "\\xff"), ("LATIN1", "\\xe4\\xb8\\xad")])
@pytest.mark.parametrize("mode", MODES)
def test_bytes_that_the_target_refuses_stop_apply(flow, target, refused, mode):
    """Not UTF-8; or a character that LATIN1 does not have."""
    it = flow("CREATE TABLE item (id int PRIMARY KEY, t text)", encodings=("SQL_ASCII", target), apply={"mode": mode})
    it.sql("INSERT INTO item VALUES (1, E'\\xc3\\xbc')")
    it.settle()
    it.transaction("INSERT INTO item VALUES (2, 'good')", f"INSERT INTO item VALUES (3, E'{refused}')")
    it.halts("SB-ENCODING")
    assert it.new_sql("SELECT id, t FROM item") == [(1, "ü")]


# -- columns that are not alike


COLUMNS = """
CREATE TABLE {0} (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    n int GENERATED BY DEFAULT AS IDENTITY (START 100),
    a int DEFAULT 7, b text DEFAULT 'x',
    twice int GENERATED ALWAYS AS (a * 2) STORED
)"""
# Another order, other widths, columns of its own; what is generated there is not here, and the other way round.
COLUMNS_THERE = """
CREATE TABLE {0} (
    mine timestamptz DEFAULT '2000-01-01', b text DEFAULT 'y', twice int GENERATED ALWAYS AS (a * 2) STORED,
    a bigint, thrice bigint GENERATED ALWAYS AS (a * 3) STORED, n int,
    own int GENERATED BY DEFAULT AS IDENTITY, id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY
)"""


def change_columns(it, table):
    it.sql(f"INSERT INTO {table} (a, b) SELECT g, 'v' || g FROM generate_series(1, 50) g")
    it.sql(f"INSERT INTO {table} (id, n, a) OVERRIDING SYSTEM VALUE VALUES (1000, -1, NULL)")
    it.sql(f"INSERT INTO {table} DEFAULT VALUES")
    it.equal()
    it.sql(f"UPDATE {table} SET a = a + 1, b = NULL WHERE a % 3 = 0")
    it.sql(f"UPDATE {table} SET id = DEFAULT WHERE a < 5")
    it.sql(f"DELETE FROM {table} WHERE a > 40")
    it.equal()
    it.sql(f"TRUNCATE {table} RESTART IDENTITY")
    it.sql(f"INSERT INTO {table} (a) VALUES (1)")
    it.equal()


@pytest.mark.parametrize("mode", MODES)
def test_generated_and_identity_columns(flow, mode):
    it = flow(COLUMNS.format("item"), apply={"mode": mode})
    change_columns(it, "item")
    assert it.new_sql("SELECT id, twice FROM item") == [(1, 2)]


@pytest.mark.parametrize("mode", MODES)
def test_columns_match_by_name_and_the_target_may_have_more(flow, mode):
    it = flow(COLUMNS.format("item"), new_structure=COLUMNS_THERE.format("item"), apply={"mode": mode})
    change_columns(it, "item")
    assert it.new_sql("SELECT id, twice, thrice, mine IS NOT NULL, own IS NOT NULL FROM item") == [(1, 2, 3, True, True)]


@pytest.mark.parametrize("mode", MODES)
def test_generated_on_one_side_only(flow, mode):
    """What the source generates does not travel; where the target generates, it is not written."""
    it = flow(
        "CREATE TABLE item (id int PRIMARY KEY, a int, g int GENERATED ALWAYS AS (a * 2) STORED)",
        new_structure="CREATE TABLE item (id int PRIMARY KEY, a int, g int)", apply={"mode": mode},
    )
    warned = [one for one in it.product.verb("check", "--json").json()["checks"] if one["result"] == "warn"]
    assert any("stays at its default" in one["evidence"] for one in warned)
    it.sql("INSERT INTO item VALUES (1, 5), (2, 6)")
    it.sql("UPDATE item SET a = 7 WHERE id = 2")
    it.settle()
    assert it.new_sql("SELECT id, a, g FROM item ORDER BY id") == [(1, 5, None), (2, 7, None)]


def test_a_column_generated_only_on_the_target_is_refused(flow):
    it = flow(
        "CREATE TABLE item (id int PRIMARY KEY, a int, g int)", start=False,
        new_structure="CREATE TABLE item (id int PRIMARY KEY, a int, g int GENERATED ALWAYS AS (a * 2) STORED)",
    )
    it.product.refuses("SB-TARGET-STRUCTURE", "prepare")


def test_virtual_columns_of_18(flow):
    it = flow(
        "CREATE TABLE item (id int PRIMARY KEY, a int, v int GENERATED ALWAYS AS (a + 1) VIRTUAL, s int GENERATED ALWAYS AS (a + 2))",
        majors=(18, 18),
    )
    it.sql("INSERT INTO item VALUES (1, 5)")
    it.sql("UPDATE item SET a = 6, id = 2")
    it.equal()
    assert it.new_sql("SELECT * FROM item") == [(2, 6, 7, 8)]
    it.sql("DELETE FROM item")
    it.equal()


GENERATED_KEYS = {
    "stored_key": "(a int, k int GENERATED ALWAYS AS (a * 2) STORED PRIMARY KEY)",
    "stored_part": "(a int, b int, k int GENERATED ALWAYS AS (b * 2) STORED, PRIMARY KEY (a, k))",
}


@pytest.mark.parametrize("major", [14, 15, 17, 18])
def test_an_identity_with_generated_columns_is_none(flow, major):
    """PostgreSQL does not send them. The application's own updates must go on, whatever the version, and are told not to travel."""
    full = "CREATE TABLE full_row (id int, g int GENERATED ALWAYS AS (id + 1) STORED); ALTER TABLE full_row REPLICA IDENTITY FULL"
    it = flow(";".join([f"CREATE TABLE {name} {columns}" for name, columns in GENERATED_KEYS.items()] + [full]), majors=(major, major))
    checks = it.product.verb("check", "--json").json()["checks"]
    told = " ".join(one["evidence"] for one in checks if one["id"] == "tables.identity")
    assert all(name in told for name in GENERATED_KEYS), told
    assert ("full_row" in told) == (major >= 18), told
    it.sql("INSERT INTO stored_key (a) VALUES (1), (2)")
    it.sql("INSERT INTO stored_part (a, b) VALUES (1, 1), (1, 2)")
    it.sql("INSERT INTO full_row VALUES (1), (2)")
    it.equal()
    if major >= 18:
        # What would happen to the application if its updates were published.
        it.sql("CREATE PUBLICATION theirs FOR TABLE full_row")
        with pytest.raises(psycopg.errors.Error, match="cannot update table"):
            it.sql("UPDATE full_row SET id = 3 WHERE id = 2")
        it.sql("DROP PUBLICATION theirs")
    for table in GENERATED_KEYS:
        it.sql(f"UPDATE {table} SET a = a + 10")
        it.sql(f"DELETE FROM {table} WHERE a = 11")
    it.sql("UPDATE full_row SET id = 3 WHERE id = 2")
    it.sql("DELETE FROM full_row WHERE id = 1")
    it.settle()
    if major < 18:
        it.equal([("public", "full_row")])
    assert it.new_sql("SELECT a FROM stored_key ORDER BY 1") == [(1,), (2,)]


# -- partitions


FLAT = "CREATE TABLE part (id int, kind text, v text, PRIMARY KEY (id, kind))"
LISTED = f"""
{FLAT} PARTITION BY LIST (kind);
CREATE TABLE part_a PARTITION OF part FOR VALUES IN ('a');
CREATE TABLE part_b (v text, junk int, kind text NOT NULL, id int NOT NULL);
ALTER TABLE part_b DROP COLUMN junk;
ALTER TABLE part ATTACH PARTITION part_b FOR VALUES IN ('b');
CREATE TABLE part_rest PARTITION OF part DEFAULT PARTITION BY RANGE (id);
CREATE TABLE part_low PARTITION OF part_rest FOR VALUES FROM (MINVALUE) TO (10);
CREATE TABLE part_high PARTITION OF part_rest FOR VALUES FROM (10) TO (MAXVALUE)
"""
HASHED = f"{FLAT} PARTITION BY HASH (id);" + ";".join(
    f"CREATE TABLE hashed_{n} PARTITION OF part FOR VALUES WITH (MODULUS 3, REMAINDER {n})" for n in range(3)
)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("old, new", [("LISTED", "FLAT"), ("FLAT", "LISTED"), ("LISTED", "HASHED"), ("HASHED", "LISTED")])
def test_partitions(flow, old, new, mode):
    """Cut in different ways or not at all, with rows that move from partition to partition."""
    cuts = {"LISTED": LISTED, "FLAT": FLAT, "HASHED": HASHED}
    it = flow(cuts[old], new_structure=cuts[new], apply={"mode": mode})
    it.sql("INSERT INTO part SELECT g, (ARRAY['a', 'b', 'c', 'd'])[1 + g % 4], repeat('x', g) FROM generate_series(1, 60) g")
    it.equal([("public", "part")])
    it.sql("UPDATE part SET v = 'new' WHERE id % 3 = 0")
    it.sql("UPDATE part SET kind = 'b', v = 'moved' WHERE kind = 'a' AND id < 30")
    it.sql("UPDATE part SET id = id + 100 WHERE kind = 'c'")
    it.sql("DELETE FROM part WHERE id % 5 = 0")
    it.equal([("public", "part")])
    it.sql("TRUNCATE part")
    it.sql("INSERT INTO part VALUES (1, 'a', 'again')")
    it.equal([("public", "part")])


@pytest.mark.parametrize("mode", MODES)
def test_partitions_found_by_whole_rows(flow, mode):
    """Without a key, under identity FULL: a row is one of several alike, in whatever partition."""
    bare = LISTED.replace(", PRIMARY KEY (id, kind)", "")
    full = "".join(f"; ALTER TABLE {name} REPLICA IDENTITY FULL" for name in ("part", "part_a", "part_b", "part_rest", "part_low", "part_high"))
    it = flow(bare + full, new_structure=HASHED.replace(", PRIMARY KEY (id, kind)", ""), apply={"mode": mode})
    it.sql("INSERT INTO part SELECT g % 7, (ARRAY['a', 'b', 'c'])[1 + g % 3], 'v' FROM generate_series(1, 60) g")
    it.sql("UPDATE part SET kind = 'a' WHERE ctid = (SELECT min(ctid) FROM part WHERE kind = 'b') AND kind = 'b'")
    it.sql("DELETE FROM part WHERE tableoid = 'part_a'::regclass AND ctid IN (SELECT ctid FROM part_a LIMIT 3)")
    it.equal([("public", "part")])


INHERITING = """
CREATE TABLE parent (id int PRIMARY KEY, note text);
CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent);
CREATE TABLE loose (id int, note text); ALTER TABLE loose REPLICA IDENTITY FULL;
CREATE TABLE loose_child () INHERITS (loose); ALTER TABLE loose_child REPLICA IDENTITY FULL;
"""


@pytest.mark.parametrize("mode", MODES)
def test_tables_that_inherit_keep_their_own_rows(flow, mode):
    """The same keys and the same rows in parent and child: what happens to one does not happen to the other."""
    it = flow(INHERITING, apply={"mode": mode})
    for table in ("parent", "child", "loose", "loose_child"):
        it.sql(f"INSERT INTO {table} SELECT g, 'same' FROM generate_series(1, 60) g")
    it.equal()
    for table in ("parent", "loose"):
        it.sql(f"UPDATE ONLY {table} SET note = 'changed' WHERE id <= 40")
        it.sql(f"DELETE FROM ONLY {table} WHERE id > 50")
    it.equal()
    it.sql("UPDATE parent SET note = 'both' WHERE id = 7")
    it.sql("TRUNCATE ONLY parent, ONLY loose")
    it.equal()
    assert it.new_sql("SELECT count(*) FROM ONLY child") == [(60,)]
    it.sql("TRUNCATE parent, loose")
    it.equal()
    assert it.new_sql("SELECT count(*) FROM parent") == [(0,)]
