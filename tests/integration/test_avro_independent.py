"""What we write is Avro, read by an implementation that shares nothing with ours.

The schemas come from the stream itself (`schema` records, read by schemas/avro/schema.avsc), values are turned back
into the server's text here, and must be what went in.
"""

import datetime
import io
import json
import math
import os
import pathlib
import struct
import subprocess
import uuid

import pytest

from sbtest import need, tree

try:
    import fastavro
    import fastavro.schema
except ImportError:
    fastavro = None

BUILD = pathlib.Path(os.environ.get("SB_BUILD_DIR", tree.ROOT / "build/dev"))
ABSENT, NULL, UNCHANGED = 0, 1, 3
HEADER = 5


def fixed_schema(kind):
    return fastavro.schema.load_schema(str(tree.ROOT / f"schemas/avro/{kind}.avsc"))


def read(schema, body):
    """One value, and nothing behind it. The header is the Confluent one."""
    data = io.BytesIO(body[HEADER:])
    value = fastavro.schemaless_reader(data, schema)
    assert data.read() == b"", "bytes are left over"
    return value


def schema_id(body):
    assert body[0] == 0
    return struct.unpack(">I", body[1:HEADER])[0]


def avro_name(name):
    """docs/STREAM-FORMAT.md, "Names"."""
    out = []
    for at, byte in enumerate(name):
        char = chr(byte)
        letter = byte < 128 and (char.isalpha() or (char.isdigit() and at > 0))
        plain = letter or (char == "_" and name[at + 1 : at + 2] != b"x")
        out.append(char if plain else f"_x{byte:02x}")
    return "".join(out) or "_x"


def fraction(value):
    return f".{value.microsecond:06}".rstrip("0") if value.microsecond else ""


def moment(value):
    return f"{value.year:04}-{value:%m-%d %H:%M:%S}{fraction(value)}"


def text_of(twin, value):
    """The server's text of a value; None where only its number can be compared."""
    if isinstance(value, dict):
        value = value["text"]
        return value.encode() if isinstance(value, str) else value
    if twin == "text":
        return value.encode() if isinstance(value, str) else value
    if twin == "bool":
        return b"t" if value else b"f"
    if twin in ("int2", "int4", "int8"):
        return str(value).encode()
    if twin == "bytea":
        return b"\\x" + value.hex().encode()
    if twin == "date":
        return value.isoformat().encode()
    if twin == "timestamp":
        assert value.tzinfo is None
        return moment(value).encode()
    if twin == "timestamptz":
        return (moment(value.astimezone(datetime.timezone.utc)) + "+00").encode()
    if twin == "uuid":
        return str(value).encode()
    assert twin in ("float4", "float8"), twin
    return None


def same_float(twin, expected, value):
    number = float(expected)
    if twin == "float4":
        number = struct.unpack("<f", struct.pack("<f", number))[0]
    if math.isnan(number):
        return math.isnan(value)
    return number == value and math.copysign(1, number) == math.copysign(1, value)


def assert_column(column, expected, value):
    if expected == NULL:
        assert value is None
    elif expected == UNCHANGED:
        assert value == "UNCHANGED"
    else:
        text = bytes.fromhex(expected)
        got = text_of(column["twin"], value)
        if got is None:
            assert same_float(column["twin"], text, value), (column["name"], text, value)
        else:
            assert got == text, column["name"]


def as_bytes(name):
    return name.encode() if isinstance(name, str) else name


def assert_row(columns, expected, row, key_only):
    if expected is None:
        assert row is None
        return
    names = [avro_name(as_bytes(column["name"])) for column in columns if column["key"] or not key_only]
    assert list(row) == names
    for column, state in zip(columns, expected):
        if key_only and not column["key"]:
            assert state == ABSENT
        else:
            assert_column(column, state, row[avro_name(as_bytes(column["name"]))])


@pytest.fixture(scope="module")
def records():
    if fastavro is None:
        need.missing("fastavro is not installed")
    tool = BUILD / "tests/samples/codec_samples"
    if not tool.exists():
        need.missing(f"{tool} is not built")
    lines = subprocess.run([tool, "records"], check=True, capture_output=True, timeout=60).stdout.splitlines()
    return [json.loads(line) for line in lines]


def body_of(records, kind):
    return next(bytes.fromhex(record["body"]) for record in records if record["kind"] == kind)


def test_changes_are_avro(records):
    schema_schema, schemas, seen = fixed_schema("schema"), {}, 0
    for record in records:
        body = bytes.fromhex(record["body"])
        if record["kind"] == "schema":
            assert schema_id(body) == 2
            described = read(schema_schema, body)
            envelope = fastavro.parse_schema(json.loads(described["envelope"]))
            key = fastavro.parse_schema(json.loads(described["key"])) if described["key"] else None
            schemas[described["schema_id"]] = (described, envelope, key)
        if record["kind"] != "change":
            continue
        described, envelope, key_schema = schemas[schema_id(body)]
        value = read(envelope, body)
        columns = described["columns"]
        assert value["op"] == record["op"]
        assert value["ts_ms"] == record["ts_ms"]
        assert value["source"] == {
            "schema": described["schema"], "table": described["name"], "lsn": record["lsn"], "txId": record["xid"]
        }
        assert_row(columns, record["before"], value["before"], record["old_is_key"])
        assert_row(columns, record["after"], value["after"], False)
        key = bytes.fromhex(record["key"])
        assert bool(key) == (key_schema is not None) == (described["identity"] in ("DEFAULT", "INDEX"))
        if key:
            assert schema_id(key) == described["schema_id"] + 1
            row = record["after"] if record["before"] is None else record["before"]
            key_row = [state if column["key"] else ABSENT for column, state in zip(columns, row)]
            assert_row(columns, key_row, read(key_schema, key), True)
        seen += 1
    assert len(schemas) == 4 and seen == 800


def test_schemas_name_the_types_of_postgres(records):
    described = read(fixed_schema("schema"), body_of(records, "schema"))
    value = json.loads(described["envelope"])["fields"][0]["type"][1]
    for field, column in zip(value["fields"], described["columns"]):
        assert field["pg_name"] == column["name"]
        assert field["pg_type"] == column["type_name"]
        assert field["pg_typmod"] == column["typmod"]
        assert field["type"][0] == "null" and len(field["type"]) == 4


def test_commit_is_avro(records):
    body = body_of(records, "commit")
    assert schema_id(body) == 4
    value = read(fixed_schema("commit"), body)
    assert [value[name] for name in ("commit_lsn", "end_lsn", "xid", "count")] == [1, 2, 3, 5]
    assert value["commit_us"] == datetime.datetime(1970, 1, 1, 0, 0, 0, 4, tzinfo=datetime.timezone.utc)
    assert (value["digest"], value["chain"]) == (b"\6" + bytes(15), b"\7" + bytes(15))


def test_message_is_avro(records):
    body = body_of(records, "message")
    assert schema_id(body) == 3
    assert read(fixed_schema("message"), body) == {"prefix": "switchback.marker", "content": b"\0\xff", "lsn": 9}


def test_open_is_avro(records):
    body = body_of(records, "open")
    assert schema_id(body) == 1
    value = read(fixed_schema("open"), body)
    names = ["epoch", "start_lsn", "base_commit_lsn", "base_sequence", "hole_from_lsn", "system_identifier", "timeline",
             "database_oid", "server_version_num"]
    assert [value[name] for name in names] == [1, 2, 3, 4, 5, 6, 7, 8, 150020]
    assert value["program"] == "switchback" and value["incarnation"] == bytes(16)


def test_truncate_is_avro(records):
    body = body_of(records, "truncate")
    assert schema_id(body) == 5
    value = read(fixed_schema("truncate"), body)
    assert [(table["schema"], table["table"]) for table in value["tables"]] == [("public", "samples")]
    assert (value["cascade"], value["restart_identity"], value["op"]) == (True, False, "t")


def test_a_wrong_row_is_noticed(records):
    """The comparison above can fail."""
    column = {"name": "a", "key": True, "twin": "int4"}
    assert_column(column, b"7".hex(), 7)
    for expected, value in [(b"7".hex(), 8), (NULL, 7), (b"7".hex(), None), (UNCHANGED, "x")]:
        with pytest.raises((AssertionError, TypeError)):
            assert_column(column, expected, value)


def test_names_are_mangled_as_the_page_says():
    assert [avro_name(name) for name in (b"", b"1st", b"a b", b"a_x", b"__x", "ü".encode())] == [
        "_x", "_x31st", "a_x20b", "a_x5fx", "__x5fx", "_xc3_xbc"
    ]


def test_uuid_is_a_uuid():
    assert text_of("uuid", uuid.UUID(int=0)) == b"00000000-0000-0000-0000-000000000000"
