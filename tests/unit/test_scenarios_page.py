"""docs/SCENARIOS.md is what the scenarios say, and every scenario is named once, with its source, and one of: run, done elsewhere
by a test that exists, out with a reason."""

import re

from sbtest import scenarios, tree

EVERYTHING = [one for suite in scenarios.suites() for one in suite.scenarios]


def test_the_page_is_made_of_the_scenarios():
    assert scenarios.PAGE.read_text() == scenarios.page(), "run: PYTHONPATH=tests/lib python3 -m sbtest.scenarios > docs/SCENARIOS.md"


def test_every_scenario_is_whole():
    names = [one.schema for one in EVERYTHING]
    assert len(names) == len(set(names)) and len(names) >= 150
    for one in EVERYTHING:
        assert {"from", "what"} <= set(one.headers), one.name
        assert len(one.schema) < 64 and re.fullmatch(r"[a-z0-9-]+", one.name), one.name
        assert one.runs == bool(one.sections), one.name
        assert not {"elsewhere", "out"} <= set(one.headers), one.name
        assert not one.runs or "refused" in one.headers or one.sections.get("then"), f"{one.name} has no [then]"


def test_what_is_done_elsewhere_is_done():
    folder = tree.ROOT / "tests"
    tests = {str(path.relative_to(folder)): path.read_text() for path in folder.glob("*/test_*.py")}
    for one in EVERYTHING:
        if "elsewhere" in one.headers:
            file, _, function = one.headers["elsewhere"].rpartition("::")
            assert re.search(rf"^def {function}\(", tests[file], re.M), one.headers["elsewhere"]


def test_statements_are_split_where_psql_does():
    text = "SELECT ';\n';\nDO $$ BEGIN x;\n y;\nEND $$;\nSELECT \";\" -- ;\n, 1;\n"
    assert scenarios.statements(text) == ["SELECT ';\n'", "DO $$ BEGIN x;\n y;\nEND $$", 'SELECT ";" -- ;\n, 1']
