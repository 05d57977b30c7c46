"""The arrows point down: who may include whom, and behind which door each library of others stands."""

import re

import pytest

from sbtest import tree

# Lowest first. A folder may include itself and those before it, unless APART says otherwise.
LAYERS = [
    "core", "pg", "schemas", "stream", "config", "capture", "apply", "copy", "reconcile", "setup", "cutover", "ops", "cli",
]
# These share records in schemas/ and rows in the control schema, never a header.
STAGES = ("capture", "apply", "copy", "reconcile")
APART = {(a, b) for a in STAGES for b in STAGES if a != b}

# Headers of others: who may include them, as folders ("pg/") or files without suffix ("capture/walsender").
DOORS = {
    "libpq-fe.h": ["pg/", "capture/walsender", "apply/writer", "copy/pipe", "reconcile/sides"],
    "libpq-events.h": ["pg/"],
    "pg_config.h": ["pg/"],
    "pg_config_manual.h": ["pg/"],
    "postgres_ext.h": ["pg/", "capture/walsender", "apply/writer"],
    "librdkafka/rdkafka.h": ["stream/"],
    "librdkafka/rdkafka_mock.h": [],  # a fault tool: tests only
    "sqlite3.h": ["stream/"],
    "avro.h": ["schemas/"],
    "xxhash.h": ["schemas/digest"],
    "openssl/evp.h": ["schemas/sha256"],
    "yaml.h": ["config/"],
    "microhttpd.h": ["ops/http"],
    "jansson.h": ["apply/", "config/", "stream/", "schemas/", "setup/", "ops/", "cli/"],
    "check.h": [],  # tests only
}

# The C library and the system's calls: everybody's.
SYSTEM = re.compile(
    r"^(assert|ctype|errno|fcntl|float|getopt|grp|inttypes|limits|locale|math|netdb|poll|pwd|sched|setjmp|signal"
    r"|spawn|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|strings|termios|time"
    r"|unistd|wchar|sys/\w+|linux/\w+|netinet/\w+|arpa/inet|endian|byteswap|fnmatch|dirent)\.h$"
)

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.M)


def violations(path, text):
    """What a file includes against the rules, as sentences. path: "capture/ledger.c"."""
    folder, found = path.split("/")[0], []
    allowed = LAYERS[: LAYERS.index(folder) + 1]
    for quote, name in INCLUDE.findall(text):
        if quote == '"':
            other = name.split("/")[0]
            if "/" not in name:
                found.append(f'{path} includes "{name}": write it from the root, "folder/{name}"')
            elif other not in LAYERS:
                found.append(f'{path} includes "{name}": {other}/ is no folder of the house')
            elif other not in allowed:
                found.append(f'{path} includes "{name}": {other} is above {folder}')
            elif (folder, other) in APART:
                found.append(f'{path} includes "{name}": {folder} and {other} share records and rows, not headers')
        elif name in DOORS:
            stem = path.rsplit(".", 1)[0]
            if not any(stem.startswith(door) if door.endswith("/") else stem == door for door in DOORS[name]):
                found.append(f"{path} includes <{name}>: its door is {', '.join(DOORS[name]) or 'tests/ alone'}")
        elif not SYSTEM.match(name):
            found.append(f"{path} includes <{name}>: neither the C library's nor behind a door of tests/unit/test_layers.py")
    return found


def sources():
    return [path for path in tree.files(".c", ".h") if path.parts[0] in LAYERS]


def test_every_source_folder_is_a_layer():
    """A C file outside the layers and tests/ would escape every rule of this file."""
    strays = [str(path) for path in tree.files(".c", ".h") if path.parts[0] not in LAYERS + ["tests"]]
    assert strays == []


def test_includes_go_down_and_libraries_stay_behind_their_doors():
    assert len(sources()) > 15, "the tree was not found"
    found = [one for path in sources() for one in violations(str(path), tree.read(path))]
    assert found == [], "\n".join(found)


def test_libraries_link_down_only():
    found = []
    for folder in LAYERS:
        text = tree.read(f"{folder}/CMakeLists.txt")
        linked = " ".join(re.findall(r"target_link_libraries\(sb_\w+(.*?)\)", text, re.S))
        for other in re.findall(r"\bsb_(\w+)", linked):
            if other in LAYERS and (LAYERS.index(other) > LAYERS.index(folder) or (folder, other) in APART):
                found.append(f"{folder}/CMakeLists.txt links sb_{other}")
    assert found == []


@pytest.mark.parametrize(
    "path, text",
    [
        ("core/err.c", '#include "pg/conn.h"'),
        ("capture/ledger.c", '#include "apply/plans.h"'),
        ("apply/plans.c", '#include "capture/ledger.h"'),
        ("copy/plan.c", '#include "apply/stamps.h"'),
        ("reconcile/verify.c", '#include "copy/plan.h"'),
        ("pg/conn.c", '#include "stream/stream.h"'),
        ("pg/conn.c", '#include "conn.h"'),
        ("apply/plans.c", "#include <libpq-fe.h>"),
        ("capture/walsender_more.c", "#include <libpq-fe.h>"),
        ("capture/pgoutput.c", "  #  include <sqlite3.h>"),
        ("schemas/codec.c", "#include <xxhash.h>"),
        ("ops/status.c", "#include <microhttpd.h>"),
        ("core/log.c", "#include <curl/curl.h>"),
        ("core/log.c", '#include "tests/helper.h"'),
    ],
)
def test_a_wrong_include_is_noticed(path, text):
    assert len(violations(path, text)) == 1


@pytest.mark.parametrize(
    "path, text",
    [
        ("capture/walsender.c", '#include "pg/conn.h"\n#include <libpq-fe.h>\n#include <sys/uio.h>'),
        ("config/wiring.h", '#include "pg/conn.h"\n#include "stream/stream.h"'),
        ("cli/main.c", '#include "capture/capture.h"\n#include "apply/apply.h"'),
    ],
)
def test_a_right_include_passes(path, text):
    assert violations(path, text) == []
