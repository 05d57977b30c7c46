"""The exact live compare on real servers: every planted divergence is found, and none is invented, under load."""

import pytest

from sbtest import copyload
from sbtest.wait import wait_until
from sbtest.writers import Load

ROWS = 2000
EQUAL, DIFFERENT, INCOMPLETE = 0, 4, 8


def verify(product, *words, code=None):
    """One pass; what it said as JSON. It must end as it should."""
    done = product.verb("verify", "--json", *words, timeout=240)
    assert done.code in (EQUAL, DIFFERENT, INCOMPLETE), done
    answer = done.json()
    assert code is None or done.code == code, done
    return answer


def of_table(answer, name):
    (found,) = [table for table in answer["tables"] if table["table"] == name]
    return found


def running(switchback, old, new, **config):
    """A migration at work between two servers that hold the same rows."""
    apply = {"conflict": "owner", **config.pop("apply", {})}
    capture = {"heartbeat_interval_ms": 500, "feedback_interval_ms": 100}
    product = switchback(old, new, config={"apply": apply, "capture": capture, **config})
    product.ok("prepare")
    product.run()
    for stage in ("capture-forward", "apply-forward"):
        product.wait_state(stage, "running", 60)
    return product


@pytest.fixture
def pair(clusters, switchback):
    old, new = clusters(15, "old"), clusters(15, "new")
    for server in (old, new):
        copyload.fill(server, ROWS)
    return old, new, running(switchback, old, new, verify={"chunk_rows": 300})


def test_under_load_nothing_is_invented(pair):
    old, new, product = pair
    compared, dirty, by_stream = 0, 0, 0
    with Load(old, copyload.step(ROWS), writers=4, pause=0.02) as load:
        wait_until(lambda: load.done > 100, 60, "some load")
        for _ in range(5):
            answer = verify(product, code=EQUAL)
            compared += answer["keys_compared"]
            dirty += sum(table["dirty"] for table in answer["tables"])
            by_stream += sum(table["by_stream"] for table in answer["tables"])
        done = load.done
    print(f"{compared} key comparisons, {dirty} dirty, {by_stream} by the stream, {done} transactions: 0 false differences")
    assert dirty > 100
