"""Every header compiles alone, and twice, with gcc and with clang: whoever includes it needs nothing before it."""

import shutil
import subprocess

import pytest

from sbtest import need, tree

LIBRARIES = ["libpq", "rdkafka", "avro-c", "libxxhash", "sqlite3", "yaml-0.1", "libmicrohttpd", "jansson"]
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-DSB_FAULTS", '-DSB_VERSION="0"', "-Wall", "-Wextra", "-Werror", "-Wundef"]


def library_flags():
    return subprocess.run(
        ["pkg-config", "--cflags", *LIBRARIES], check=True, capture_output=True, text=True, timeout=30
    ).stdout.split()


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_every_header_compiles_alone(compiler):
    if shutil.which(compiler) is None:
        need.missing(f"{compiler} is not installed")
    # Tables (x-macros) are included for their rows, several times, and have no guard.
    headers = [path for path in tree.files(".h") if not path.name.endswith("_table.h")]
    assert len(headers) > 15, "the tree was not found"
    flags, found = library_flags(), []
    for header in headers:
        done = subprocess.run(
            [compiler, "-fsyntax-only", "-x", "c", *FLAGS, *flags, "-I", str(tree.ROOT), "-"],
            input=f'#include "{header}"\n#include "{header}"\n', capture_output=True, text=True, timeout=60,
        )
        if done.returncode != 0:
            found.append(f"{header}:\n{done.stderr}")
    assert found == [], "\n".join(found)
