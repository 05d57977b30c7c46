"""What the older or narrower side cannot hold is named by `check` before anybody depends on it."""

import pytest

from flow import flow, server  # noqa: F401 (fixtures)

# id, since which version, the table on a server that has it, and on one that does not; what is named.
LIMITS = [
    ("numeric_scale", 15, "id int PRIMARY KEY, v numeric(3, -2)", "id int PRIMARY KEY, v numeric", "v"),
    ("nulls_not_distinct", 15, "id int PRIMARY KEY, v int UNIQUE NULLS NOT DISTINCT", "id int PRIMARY KEY, v int UNIQUE", "_v_key of"),
    ("set_null_columns", 15,
     "id int PRIMARY KEY, a int, b int, UNIQUE (a, b), FOREIGN KEY (a, b) REFERENCES {} (a, b) ON DELETE SET NULL (b)",
     "id int PRIMARY KEY, a int, b int, UNIQUE (a, b), FOREIGN KEY (a, b) REFERENCES {} (a, b) ON DELETE SET NULL", "_a_b_fkey of"),
    ("interval_infinity", 17, "id int PRIMARY KEY, v interval", "id int PRIMARY KEY, v interval", "v"),
    ("builtin_collation", 17, 'id int PRIMARY KEY, v text COLLATE pg_catalog.pg_c_utf8', "id int PRIMARY KEY, v text", "v"),
    ("identity_of_partitioned", 17, "id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY) PARTITION BY RANGE (id", "id serial PRIMARY KEY) PARTITION BY RANGE (id", "id"),
    ("exclusion_of_partitioned", 17, "id int PRIMARY KEY, EXCLUDE USING btree (id WITH =)) PARTITION BY RANGE (id", "id int PRIMARY KEY) PARTITION BY RANGE (id", "_id_excl of"),
    ("virtual_generated", 18, "id int PRIMARY KEY, v int GENERATED ALWAYS AS (id + 1) VIRTUAL", "id int PRIMARY KEY, v int GENERATED ALWAYS AS (id + 1) STORED", "v"),
    ("without_overlaps", 18, "id int4range, v tsrange, PRIMARY KEY (id, v WITHOUT OVERLAPS)", "id int4range, v tsrange, PRIMARY KEY (id, v)", "_pkey of"),
    ("not_enforced", 18, "id int PRIMARY KEY, v int CONSTRAINT {}_loose CHECK (v > 0) NOT ENFORCED", "id int PRIMARY KEY, v int", "_loose of"),
    ("not_null_not_valid", 18, "id int PRIMARY KEY, v int", "id int PRIMARY KEY, v int", "_nn of"),
    ("new_functions", 18, "id uuid PRIMARY KEY DEFAULT uuidv7()", "id uuid PRIMARY KEY DEFAULT gen_random_uuid()", "id"),
]
# A new table has no row that could break it, so there it is valid at once.
NOT_VALID = "ALTER TABLE t_not_null_not_valid ADD CONSTRAINT t_nn NOT NULL v NOT VALID"


def structure(major):
    made = []
    for ident, since, with_it, without, _ in LIMITS:
        name = f"t_{ident}"
        made.append(f"CREATE TABLE {name} ({(with_it if major >= since else without).format(name)})")
        if "PARTITION BY" in with_it:
            made.append(f"CREATE TABLE {name}_all PARTITION OF {name} FOR VALUES FROM (MINVALUE) TO (MAXVALUE)")
    return ";\n".join([*made, *([NOT_VALID] if major >= 18 else [])])


def found(it, ident):
    rows = it.product.verb("check", "--json").json()["checks"]
    return [row for row in rows if row["id"] == ident and row["result"] in ("warn", "info", "fail")]


@pytest.mark.parametrize("old, new", [(14, 15), (14, 18), (16, 17), (17, 18), (18, 14), (18, 18)])
def test_what_an_older_version_cannot_hold_is_named(flow, old, new):  # noqa: F811
    it = flow(structure(old), majors=(old, new), new_structure=structure(new), start=False)
    newer, lacking = max(old, new), min(old, new)
    told = found(it, "way_back.holds" if new >= old else "tables.holds")
    expected = {ident: name for ident, since, _, _, name in LIMITS if lacking < since <= newer}
    for ident, name in expected.items():
        (row,) = [row for row in told if f"({ident};" in row["evidence"]]
        assert f"t_{ident}" in row["evidence"] and name in row["evidence"], row
        assert f"PostgreSQL {lacking}, " in row["evidence"]
        assert row["result"] == ("info" if ident == "interval_infinity" else "warn")
    assert len(told) == len(expected), told
    assert not found(it, "tables.holds" if new >= old else "way_back.holds")


# What differs on the new side, what is said, and whether the statement for the old side mends it.
DIFFERENCES = [
    ("way_back.structure", "ALTER TABLE item ADD more text", 'column "more" is on the target only'),
    ("way_back.structure", "ALTER TABLE item ALTER id TYPE bigint", 'column "id" is bigint on the target and integer on the source'),
    ("way_back.structure", "ALTER TABLE item ALTER word TYPE text", 'column "word" is text on the target and character varying(10) on the source'),
    ("way_back.structure", "ALTER TABLE item ALTER price TYPE numeric", 'column "price" is numeric on the target and numeric(10,2)'),
    ("way_back.structure", "ALTER TABLE item ALTER must DROP NOT NULL", 'column "must" may be NULL on the target'),
    ("way_back.enum", "ALTER TYPE mood ADD VALUE 'it''s new'", 'enum "mood" lacks the label "it\'s new" on the source'),
]


def test_what_is_on_the_new_side_only_is_named_and_mended_by_its_statement(flow):  # noqa: F811
    it = flow(
        "CREATE TYPE mood AS ENUM ('fine'); CREATE TABLE item (id int PRIMARY KEY, word varchar(10), price numeric(10, 2),"
        " must int NOT NULL, feels mood)", start=False)
    assert not found(it, "way_back.structure") and not found(it, "way_back.enum")
    for _, statement, _ in DIFFERENCES:
        it.new_sql(statement)
    told = found(it, "way_back.structure") + found(it, "way_back.enum")
    assert len(told) == len(DIFFERENCES), told
    for ident, _, words in DIFFERENCES:
        (row,) = [row for row in told if words in row["evidence"]]
        assert (row["id"], row["result"], row["error"]) == (ident, "warn", "SB-TARGET-STRUCTURE"), row
        it.sql(row["statement"])
    assert not found(it, "way_back.structure") and not found(it, "way_back.enum")
    assert it.product.verb("check").code == 0
