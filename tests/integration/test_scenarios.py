"""What other people test replication with, and the sample databases everybody knows: copied, followed, compared.
tests/scenarios/*.sql are the scenarios, docs/SCENARIOS.md is the page about them."""

import contextlib
import os
import pathlib
import tempfile

import pytest

from flow import Flow
from sbtest import compare, scenarios
from sbtest.servers import Cluster
from sbtest.wait import wait_until

SUITES = scenarios.suites()
EVERYTHING = [one for suite in SUITES for one in suite.scenarios]
CHOSEN = os.environ.get("SB_SCENARIOS", "")  # only these, separated by blanks; of a file: its name and a slash
# From, to, how it is written, and when the application's changes come: after the rows were copied, beside that, or after the
# product has moved the structure, too.
PASSES = [(15, 15, "auto", "after"), (15, 15, "exact", "after"), (15, 15, "auto", "beside"), (18, 18, "auto", "beside"), (15, 18, "auto", "moved")]
MORE = [(14, 18, "auto", "after"), (16, 17, "auto", "beside"), (17, 16, "exact", "after"), (18, 15, "auto", "after"), (18, 18, "exact", "after")]
if os.environ.get("SB_SCENARIO_PAIRS") == "all":
    PASSES = PASSES + MORE
# Scenarios make the same structure on both sides themselves.
NO_DDL = {"ddl": {"policy": "ignore"}}
SETTINGS = {"max_prepared_transactions": 20, "max_connections": 100}
COPIED = """
SELECT state IN ('complete', 'none') AND structure IN ('complete', 'none') FROM switchback.copy
WHERE migration = %s AND direction = 'forward'
"""


def chosen(scenario):
    names = CHOSEN.split()
    return not names or scenario.name in names or f"{scenario.suite}/" in names


def fitting(majors, when):
    """What runs between these versions, all in one migration."""
    together = [one for one in EVERYTHING if one.runs and not one.alone and chosen(one) and one.since <= min(majors)]
    return [one for one in together if when != "moved" or one.alike]


@pytest.fixture(scope="module")
def servers(workspace):
    folder, made = pathlib.Path(tempfile.mkdtemp(prefix="", dir=workspace)), {}
    with contextlib.ExitStack() as stack:

        def get(major, name):
            if (major, name) not in made:
                cluster = made[major, name] = Cluster(folder, major, f"{name}{major}", settings=SETTINGS)
                stack.callback(cluster.close)
                cluster.start()
            return made[major, name]

        yield get


@pytest.fixture
def stage(servers, place):
    """stage(majors, mode, scenarios): they are made, and their rows are there."""
    with contextlib.ExitStack() as stack:

        def make(majors, mode, played, moved=False):
            it = Flow(
                place, servers(majors[0], "old"), servers(majors[1], "new"), "SELECT 1", apply={"mode": mode},
                copy={"initial": True}, **NO_DDL,
            )
            stack.callback(it.close)
            plays = [scenarios.Play(one, it.old, it.new, it.db) for one in played]
            for one in plays:
                one.make(moved)
            return it, plays

        yield make


def start(it):
    it.product.ok("prepare")
    it.stages = [it.product.run()]


def wait_copied(it):
    def copied():
        assert it.errors()[it.forgiven :] == []
        return it.new_sql(COPIED, it.product.migration) == [(True,)]

    wait_until(copied, 120, f"{it.db} to be copied")


def unequal(it, scenario):
    """How the two sides of a scenario's schema differ, as sentences."""
    with it.old.connect(it.db) as old, it.new.connect(it.db) as new:
        tables = [table for table in compare.tables(old) if table[0].split(".")[0] == scenario.schema and table[1] not in scenario.apart]
        assert tables or "holds" in scenario.sections, f"{scenario.name} compares nothing"
        return [f"{scenario.name}: {one}" for one in compare.differences(old, new, tables)] if tables else []


@pytest.mark.parametrize("old, new, mode, when", PASSES, ids=["-".join(map(str, one)) for one in PASSES])
def test_what_others_do_arrives(stage, old, new, mode, when):
    it, plays = stage((old, new), mode, fitting((old, new), when), when == "moved")
    start(it)
    late = [one for one in plays if when != "beside" or "after" in one.scenario.headers]
    for one in plays:
        if one not in late:
            one.then()
    wait_copied(it)
    for one in late:
        one.then()
    it.settle(120)
    found = [sentence for one in plays for sentence in unequal(it, one.scenario) + one.broken()]
    assert found == [], "\n".join(found)
    assert it.new_sql("SELECT kind, relation, key FROM switchback.conflict LIMIT 5") == []
    assert it.new_sql("SELECT structure FROM switchback.copy") == [("complete" if when == "moved" else "none",)]


ALONE = [one for one in EVERYTHING if one.alone and chosen(one)]


@pytest.mark.parametrize("scenario", ALONE, ids=[one.name for one in ALONE])
def test_what_cannot_go_on_stops_with_its_name(stage, scenario):
    major = max(15, scenario.since)
    it, (play,) = stage((major, major), "auto", [scenario])
    if "refused" in scenario.headers:
        it.product.refuses(scenario.headers["refused"], "prepare")
        return
    start(it)
    wait_copied(it)
    play.then()
    it.halts(scenario.headers["stops"])
    assert play.broken() == []
