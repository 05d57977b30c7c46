"""Commands that a page tells its reader to type, typed. A block of them stands below the comment `<!-- walk -->`."""

import os
import re
import subprocess

from sbtest.product import program

WALK = re.compile(r"^<!-- walk -->\n```sh\n(.*?)^```$", re.M | re.S)


def blocks(text):
    return WALK.findall(text)


def type_in(product, block):
    """One block, as the operator of a migration does, with OLD and NEW as its connection strings; what it printed."""
    old, new = product.old, product.new
    done = subprocess.run(
        ["bash", "-euc", "set -o pipefail\n" + block], cwd=product.folder, capture_output=True, text=True, timeout=60,
        env={**product.environment(), "OLD": old.dsn(), "NEW": new.dsn(),
             "PATH": f"{program().parent}:{old.programs.bin}:{os.environ['PATH']}"},
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
    return done.stdout
