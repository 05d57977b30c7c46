"""The contract of stream/stream.h, the same cases on both stores (contract.c). The Kafka store stands on a real broker."""

import os
import subprocess
import tempfile

from sbtest import need, product

CASES_MAX_S = 280


def check(*store):
    """Run every case; a failure shows what Check said."""
    if os.geteuid() == 0:
        need.missing("the stores are not tested as root; start this test with tests/run")
    program = product.BUILD / "tests/contract/contract"
    assert program.exists(), f"{program} is not built"
    done = subprocess.run([program, *map(str, store)], capture_output=True, text=True, timeout=CASES_MAX_S)
    assert done.returncode == 0 and "100%: Checks" in done.stdout, done.stdout + done.stderr[-4000:]


def test_embedded():
    """On a disk: in memory an fsync takes no time, and what goes wrong during one does not show."""
    with tempfile.TemporaryDirectory(dir=product.BUILD) as folder:
        check("embedded", folder)


def test_kafka(brokers):
    broker = brokers()
    check("kafka", broker.address, broker.pid)
