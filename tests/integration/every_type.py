"""Every type that PostgreSQL has, with values that are hard to carry, and how each travels. docs/FIDELITY.md shows the same
table; test_fidelity.py holds both against the catalogs of every server version and sends every value."""

import re

TWIN, TEXT, NO_COLUMN = "twin", "text", "no column"


class Type:
    """One type: SQL literals (without quotes) of its values, and what has to be there first. key: it can be a primary key;
    sets: its values can be written in sets."""

    def __init__(self, name, *values, how=TEXT, key=True, sets=True, setup="", extension=None, since=14, until=99, label=None):
        self.name, self.values, self.how, self.key, self.sets = name, values, how, key, sets
        self.setup, self.extension, self.since, self.until = setup, extension, since, until
        self.label = label or re.sub(r"\W+", "_", name.replace("[]", "_array")).strip("_")

    @property
    def in_arrays(self):
        """Can values be gathered into an array of them? Arrays only nest with equal dimensions."""
        return not self.name.endswith("[]") and self.name not in ("some_ints", "int2vector", "oidvector")

    def on(self, major):
        return self.since <= major <= self.until


STRINGS = (
    "", " ", "NULL", "null", "\\N", "\\.", "\\", "a\tb\nc\rd", "\b\f\v\x01\x7f", "'", '"', "{}", '{"a"}', "$1", "%s", "(,)", "t",
    "\u00fc\u4e2d\U0001f600", "e\u0301", "x" * 3000, "trailing  ",
)
JSON = ('{"b": 1, "a": [1.0, 1.00, null], "a": "\\u00e9\\n"}', "null", '""', "[ 1 ,2 ]", "1e3")
RANGES = ("empty", "(,)")

BUILT_IN = [
    Type("bool", "t", "f", how=TWIN),
    Type("int2", "-32768", "0", "32767", how=TWIN),
    Type("int4", "-2147483648", "0", "2147483647", how=TWIN),
    Type("int8", "-9223372036854775808", "0", "9223372036854775807", how=TWIN),
    Type("float4", "NaN", "Infinity", "-Infinity", "-0", "0.1", "1e-45", "3.4028235e+38", "16777216", how=TWIN),
    Type("float8", "NaN", "Infinity", "-Infinity", "-0", "0.1", "5e-324", "1.7976931348623157e+308", "1e15", "0.30000000000000004",
         how=TWIN),
    Type("numeric", "NaN", "Infinity", "-Infinity", "0", "0.00", "-1.10", "1e1000", "1e-1000", "9" * 200 + "." + "9" * 200,
         "1" + "0" * 130000),
    Type("numeric(10,2)", "NaN", "-0.01", "99999999.99", "1.10"),
    Type("numeric(3,-2)", "12300", "-99900", "0", since=15),
    Type("numeric(2,5)", "0.00012", "-0.00099", since=15),
    Type("money", "-92233720368547758.08", "92233720368547758.07", "0.00"),
    Type("text", *STRINGS),
    Type("varchar", *STRINGS),
    Type("varchar(5)", "", "     ", "a  ", "\u00fc\u4e2d\U0001f600\\'"),
    Type("bpchar", "", "a  ", "a b"),
    Type("char(5)", "", "a", "a\\b", "\u00fc\u4e2d\U0001f600"),
    Type("name", "", "n" * 63, 'q"\\'),
    Type('"char"', "", "a", "\\", "'", label="char1"),
    Type("bytea", "", "\\x00ff27225c0a", "\\x", "\\x" + "00" * 3000, how=TWIN),
    Type("uuid", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-4fff-bfff-ffffffffffff", how=TWIN),
    Type("date", "infinity", "-infinity", "4713-11-24 BC", "0001-01-01", "0001-12-31 BC", "2000-02-29", "5874897-12-31", how=TWIN),
    Type("time", "00:00:00", "24:00:00", "23:59:59.999999", "12:00:00.1"),
    Type("time(0)", "23:59:60", "00:00:01"),
    Type("timetz", "00:00:00+15:59:59", "24:00:00-15:59:59", "12:34:56.789+05:30"),
    Type("timestamp", "infinity", "-infinity", "4713-11-24 00:00:00 BC", "294276-12-31 23:59:59.999999", "2000-01-01 24:00:00",
         "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "10000-01-01", "1969-12-31 23:59:59.5", how=TWIN),
    Type("timestamptz", "infinity", "-infinity", "4713-11-24 00:00:00+00 BC", "294276-12-31 23:59:59.999999+00",
         "2026-03-29 01:30:00+01", "10000-01-01 00:00:00+00", how=TWIN),
    Type("timestamptz(3)", "2026-03-29 01:30:00.123+01", how=TWIN),
    Type("interval", "0", "1 month", "30 days", "720 hours", "-1 month +1 day -00:00:00.000001", "178000000 years",
         "-178000000 years", "00:00:00.1"),
    Type("interval", "infinity", "-infinity", since=17, label="interval_infinite"),
    Type("interval day to second(3)", "3 days 04:05:06.789"),
    Type("json", *JSON, key=False),
    Type("jsonb", *JSON, '{"n": 1.10}', '{"n": 1.1}'),
    Type("jsonpath", "$", 'strict $."a b"[*]?(@ > 1.10)', key=False),
    Type("xml", "", "<a b='&lt;'> x<!-- c --></a>", "text only", "<?xml version=\"1.1\" standalone=\"yes\"?><r/>", key=False),
    Type("bit", "0", "1"),
    Type("bit(8)", "00000000", "10101010"),
    Type("varbit", "", "1", "0" * 100),
    Type("varbit(4)", "", "1010"),
    Type("inet", "0.0.0.0/0", "10.1.2.3", "10.1.2.3/8", "::ffff:1.2.3.4/128", "fe80::1/64"),
    Type("cidr", "10.0.0.0/8", "::/0", "1.2.3.4/32"),
    Type("macaddr", "08:00:2b:01:02:03"),
    Type("macaddr8", "08:00:2b:ff:fe:01:02:03"),
    Type("point", "(0,-0)", "(NaN,Infinity)", "(0.1,1e-300)", key=False),
    Type("line", "{1,-1,0.1}", key=False),
    Type("lseg", "[(0,0),(1,0.1)]", key=False),
    Type("box", "(1,1),(0,-0)", key=False),
    Type("path", "[(0,0),(1,1)]", "((0,0),(1,1),(2,0))", key=False),
    Type("polygon", "((0,0),(1,1),(2,0.1))", key=False),
    Type("circle", "<(0,0),0.1>", key=False),
    Type("tsvector", "", "'a':1A,2 'b c':3", "'it''s' '\\\\'"),
    Type("tsquery", "", "'a' & !'b':*A | ( 'c d' <2> 'e' )", "'it''s'"),
    Type("pg_lsn", "0/0", "FFFFFFFF/FFFFFFFF"),
    Type("oid", "0", "4294967295"),
    Type("xid", "0", "4294967295", key=False),
    Type("xid8", "0", "18446744073709551615"),
    Type("cid", "0", "4294967295", key=False),
    Type("tid", "(0,0)", "(4294967295,65535)"),
    Type("txid_snapshot", "10:20:10,14,15", "1:1:", key=False),
    Type("pg_snapshot", "10:20:10,14,15", "1:1:", key=False),
    Type("int2vector", "", "1 -2 3"),
    Type("oidvector", "", "1 2 4294967295"),
    Type("refcursor", "", "c'\"", key=False),
    Type("aclitem", "postgres=r*w/postgres", "=X/postgres", key=False),
    # A cast of text to regclass, unlike its input function, takes names only.
    Type("regclass", "pg_catalog.pg_class", "0", "4294967295", sets=False),
    Type("regtype", "integer", "pg_catalog.bpchar", "0", "character varying[]"),
    Type("regproc", "pg_catalog.now", "0"),
    Type("regprocedure", "pg_catalog.abs(integer)", "0"),
    Type("regoper", "pg_catalog.||/", "0"),
    Type("regoperator", "pg_catalog.+(integer,integer)", "0"),
    Type("regrole", "postgres", "0"),
    Type("regnamespace", "pg_catalog", "0"),
    Type("regconfig", "pg_catalog.simple", "0"),
    Type("regdictionary", "pg_catalog.simple", "0"),
    Type("regcollation", 'pg_catalog."C"', "0"),
    Type("int4range", *RANGES, "[1,2147483647)", "(,5)"),
    Type("int8range", *RANGES, "[-9223372036854775808,5)"),
    Type("numrange", *RANGES, "(0.00,1.10]", "[NaN,NaN]", "(,Infinity)"),
    Type("daterange", *RANGES, "[-infinity,infinity]", "[0044-03-15 BC,)"),
    Type("tsrange", *RANGES, '["2000-01-01 00:00:00",infinity)'),
    Type("tstzrange", *RANGES, '["2000-01-01 00:00:00+00","10000-01-01 00:00:00+00")'),
    Type("int4multirange", "{}", "{(,1),[3,5)}"),
    Type("int8multirange", "{}", "{(,)}"),
    Type("nummultirange", "{}", "{(0.00,1.10],[NaN,NaN]}"),
    Type("datemultirange", "{}", "{[-infinity,infinity]}"),
    Type("tsmultirange", "{}", '{["2000-01-01 00:00:00",infinity)}'),
    Type("tstzmultirange", "{}", '{["2000-01-01 00:00:00+00",)}'),
    Type("int4[]", "{}", "{1,NULL}", "{{1,2},{3,NULL}}", "[-1:0][3:3]={{1},{2}}", "{{{1}}}"),
    Type("text[]", "{}", '{"","NULL",NULL,"a\\"b","c\\\\d","{x}","a,b"," ",\'}'),
    Type("varchar(5)[]", "{abcde,NULL}"),
    Type("timestamptz[]", '{infinity,"2000-01-01 00:00:00+00"}'),
    Type("box[]", "{(1,1),(0,0);(2,2),(0,0)}", key=False),
    Type("information_schema.sql_identifier", "n", "", label="catalog_domain"),
]

USERS = [
    Type("mood", "sad", "it''s", "a b", "", "\u00fc", setup="CREATE TYPE mood AS ENUM ('sad', 'it''s', 'it''''s', 'a b', '', '\u00fc')"),
    Type('"Mood, Ring"', "UP", label="quoted_enum", setup='CREATE TYPE "Mood, Ring" AS ENUM (\'UP\', \'DOWN\')'),
    Type("short", "abc", "", setup="CREATE DOMAIN short AS varchar(5) CHECK (value <> 'bad')"),
    Type("shorter", "ab", setup="CREATE DOMAIN shorter AS short CHECK (length(value) < 4)"),
    Type("bits", "101", setup="CREATE DOMAIN bits AS bit(3)"),
    Type("cents", "1.10", "-0.01", setup="CREATE DOMAIN cents AS numeric(10,2)"),
    Type("some_ints", "{1,NULL}", "{{1},{2}}", setup="CREATE DOMAIN some_ints AS int[]"),
    Type("shorter[]", "{ab,NULL}", label="array_of_domain"),
    Type("pair", "(1,a)", "(,)", '(,"")', '(2,"it\'s ""q"" \\\\ (x),{y}")', setup="CREATE TYPE pair AS (a int, b text)"),
    Type("nest", '("(1,""a b"")","{""(1,x)"",NULL}",1.10)', "(,,)", setup="CREATE TYPE nest AS (p pair, ps pair[], d cents)"),
    Type("floatrange", "empty", "[NaN,NaN]", "(-0,0.1]", setup="CREATE TYPE floatrange AS RANGE (subtype = float8)"),
    Type("floatmultirange", "{}", "{(-0,0.1],[1,2)}"),
    Type("textrange", '["","a b")', '["a,b","q""\\\\"]', setup="CREATE TYPE textrange AS RANGE (subtype = text, collation = \"C\")"),
    Type("item", '(1,"a")', label="row_of_a_table", setup="CREATE TABLE item (id int PRIMARY KEY, name text)"),
    Type("citext", "ABC", "abd", "", "\u00dc", extension="citext"),
    Type("hstore", "", '"a"=>NULL, "b\\"\\\\"=>"x"', '"NULL"=>"NULL"', extension="hstore"),
    Type("ltree", "", "a.b_1.c", extension="ltree"),
    Type("lquery", "a.*{1,2}.!b", extension="ltree", key=False),
    Type("ltxtquery", "a & b*@", extension="ltree", key=False),
    Type("cube", "(0.1, -0)", "(1, 2),(3, 4)", extension="cube"),
    Type("seg", "~1.10", "1 .. 2.50", extension="seg"),
    Type("isbn13", "978-0-393-04002-9", extension="isn"),
    Type("ean13", "220-035630510-3", extension="isn"),
    Type("folded", "AbC", label="domain_of_citext", setup="CREATE DOMAIN folded AS citext"),
    Type("citext[]", "{A,NULL}", label="array_of_citext"),
    # Somebody's cast from text that is not what the type's input function does.
    Type("tone", "low", "high", sets=False, setup="""
        CREATE TYPE tone AS ENUM ('low', 'high');
        CREATE FUNCTION to_tone(text) RETURNS tone LANGUAGE sql IMMUTABLE AS $$SELECT enum_last(NULL::tone)$$;
        CREATE CAST (text AS tone) WITH FUNCTION to_tone(text)
    """),
    Type("high_tone", "low", sets=False, label="domain_with_cast", setup="CREATE DOMAIN high_tone AS tone"),
]

_REASON = "kept by the server for itself: its input function refuses every value"
_PSEUDO = "a pseudo-type: what functions take and return, never the type of a stored column"
# What no column of a user can hold.
REFUSED = {
    **dict.fromkeys(
        ["gtsvector", "pg_brin_bloom_summary", "pg_brin_minmax_multi_summary", "pg_dependencies", "pg_mcv_list", "pg_ndistinct",
         "pg_node_tree"], _REASON,
    ),
    **dict.fromkeys(
        ["_record", "any", "anyarray", "anycompatible", "anycompatiblearray", "anycompatiblemultirange", "anycompatiblenonarray",
         "anycompatiblerange", "anyelement", "anyenum", "anymultirange", "anynonarray", "anyrange", "cstring", "event_trigger",
         "fdw_handler", "index_am_handler", "internal", "language_handler", "pg_ddl_command", "record", "table_am_handler",
         "trigger", "tsm_handler", "unknown", "void"], _PSEUDO,
    ),
}
# Names the catalogs use, where the table above writes them as people do.
_CATALOG_NAMES = {"char1": "char", "char_5": "bpchar"}


def classified():
    """{pg_type.typname: how} of everything built in."""
    found = dict.fromkeys(REFUSED, NO_COLUMN)
    for one in BUILT_IN:
        if one.label == "catalog_domain" or one.name.endswith("]"):
            continue
        name = _CATALOG_NAMES.get(one.label, re.sub(r"[ (].*", "", one.name))
        assert found.setdefault(name, one.how) == one.how, f"{name} is classified twice"
    return found


def types(major):
    return [one for one in [*BUILT_IN, *USERS] if one.on(major)]
