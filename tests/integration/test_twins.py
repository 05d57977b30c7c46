"""Every server prints values in the form that has a twin: nothing falls back to text unseen."""

import os
import pathlib
import subprocess

import pytest

from sbtest import need, servers, tree

BUILD = pathlib.Path(os.environ.get("SB_BUILD_DIR", tree.ROOT / "build/dev"))

# oid, values by expression, and how many in a thousand may have no twin: powers of two lie unevenly between their
# neighbours, where PostgreSQL takes a digit more than is needed now and then.
VALUES = [
    (16, "SELECT (g % 2 = 0)::text::bool FROM generate_series(1, 10) g", 0),
    (21, "SELECT g::int2 FROM generate_series(-32768, 32767, 97) g", 0),
    (23, "SELECT (random() * 4e9 - 2e9)::int4 FROM generate_series(1, 2000)", 0),
    (20, "SELECT (random() * 1.8e19 - 9e18)::int8 FROM generate_series(1, 2000)", 0),
    (700, "SELECT ((random() - 0.5) * 10::float8 ^ ((random() * 60 - 30)::int))::float4 FROM generate_series(1, 5000)", 1),
    (700, "SELECT g::float4 FROM generate_series(999900, 1000100) g", 0),
    (700, "SELECT (2::float8 ^ g)::float4 FROM generate_series(-148, 127) g", 30),
    (701, "SELECT (random() - 0.5) * 10::float8 ^ ((random() * 600 - 300)::int) FROM generate_series(1, 5000)", 2),
    (701, "SELECT round((random() * 1e6)::numeric, 2)::float8 FROM generate_series(1, 5000)", 0),
    (701, "SELECT 10::float8 ^ g FROM generate_series(-307, 307) g", 10),
    (701, "SELECT 2::float8 ^ g FROM generate_series(-1073, 1023) g", 60),
    (701, "SELECT unnest(ARRAY['NaN', 'Infinity', '-Infinity', '-0', '0', '5e-324', '1e-300']::float8[])", 0),
    (17, "SELECT decode(md5(g::text), 'hex') FROM generate_series(1, 100) g", 0),
    (17, "SELECT ''::bytea", 0),
    (1082, "SELECT '0001-01-01'::date + g * 31 FROM generate_series(0, 117000) g", 0),
    (1114, "SELECT '0001-01-01'::timestamp + random() * '9998 years'::interval FROM generate_series(1, 5000)", 0),
    (1114, "SELECT '2026-11-24'::timestamp + g * '100 ms'::interval FROM generate_series(1, 100) g", 0),
    (1184, "SELECT '0001-01-02 00:00+00'::timestamptz + random() * '9998 years'::interval FROM generate_series(1, 5000)", 0),
    (2950, "SELECT md5(g::text)::uuid FROM generate_series(1, 1000) g", 0),
]
PINNED = "SET timezone = 'UTC'; SET datestyle = ISO; SET extra_float_digits = 3; SET bytea_output = hex"


@pytest.mark.parametrize("major", servers.MAJORS)
def test_values_of_every_server_have_their_twins(clusters, major):
    tool = BUILD / "tests/samples/codec_samples"
    if not tool.exists():
        need.missing(f"{tool} is not built")
    cluster = clusters(major)
    with cluster.connect() as session:
        session.execute(PINNED)
        for oid, query, tolerated in VALUES:
            texts = [row[0] for row in session.execute(f"SELECT v::text FROM ({query}) AS q(v)").fetchall()]
            if oid == 16:
                texts = [text[0] for text in texts]  # a cast says true, the output function says t
            lines = "".join(f"{oid} {text}\n" for text in texts)
            done = subprocess.run([tool, "twins"], input=lines, capture_output=True, text=True, check=True, timeout=60)
            without = done.stdout.splitlines()
            assert len(without) * 1000 <= tolerated * len(texts), f"{query}: {without[:5]}"
