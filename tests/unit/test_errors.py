"""Error ids and fault points are tables. What the sources and the pages say must be in them, and the other way."""

import pathlib
import re

import pytest

from sbtest import tree

CODE = re.compile(r"\bSB_E_[A-Z0-9_]+\b")
ID = re.compile(r"(?<![\w-])SB-[A-Z]+(?:-[A-Z]+)*\b")
ROW = re.compile(r'^SB_ERR\((SB_E_\w+), "(SB-[A-Z-]+)", (SB_CLASS_\w+), (\d+),\s*"((?:[^"\\]|\\.)*)",\s*"((?:[^"\\]|\\.)*)"\)', re.M)
POINT = re.compile(r'^SB_FAULT_POINT\("([a-z-]+)"\)$', re.M)
PASSED = re.compile(r'\bSB_FAULT\("([^"]+)"\)')
EXITS = {64, 65, 69, 70, 74, 75, 77, 78}
CLASSES = {"SB_CLASS_RETRY", "SB_CLASS_DATA", "SB_CLASS_FATAL"}
# A code that is only asked for is not raised: `err.code == SB_E_X`, `case SB_E_X:`.
ASKED = re.compile(r"(?:[=!]=\s*|\bcase\s+)SB_E_\w+")
# Where tests are that provoke errors, and those among them whose errors nothing raised: they are made up to look at what is
# said of them. A stand-in's errors (ops_fake.c) are made up in the tests that run it too.
PROVOKING = {"unit", "contract", "integration", "fault"}
MADE_UP = {"tests/unit/test_core.c", "tests/unit/test_errors.py", "tests/unit/test_stage.c", "tests/unit/test_status.c"}
STAND_IN, RUN_IT = "tests/integration/ops_fake.c", {"tests/integration/test_http.py", "tests/integration/test_supervisor.py"}
# The prefix of a fault point names the folder that passes it.
STAGES = ["apply", "capture", "copy", "reconcile", "stream", "setup", "ops"]
# Written on purpose and no ids: what the code for "no error" prints, and what tests look up in vain.
NO_IDS = {"SB-OK", "SB-NO-SUCH"}


def table():
    rows = ROW.findall(tree.read("core/err_table.h"))
    assert len(rows) == tree.read("core/err_table.h").count("SB_ERR(SB_E_"), "a row of core/err_table.h is not as the others"
    return rows


def points():
    found = POINT.findall(tree.read("core/fault_table.h"))
    assert len(found) == tree.read("core/fault_table.h").count("SB_FAULT_POINT(\""), "a row of core/fault_table.h is not as the others"
    return found


def sources():
    return [path for path in tree.files(".c", ".h") if path.parts[0] != "tests"]


def test_rows_are_whole():
    rows = table()
    assert len(rows) > 30
    names, ids = [row[0] for row in rows], [row[1] for row in rows]
    assert len(set(names)) == len(names) and len(set(ids)) == len(ids)
    for name, ident, klass, code, meaning, remedy in rows:
        assert name == "SB_E_" + ident[3:].replace("-", "_"), f"{name} and {ident} differ"
        assert klass in CLASSES and int(code) in EXITS, name
        assert meaning and not meaning.endswith("."), f"{name}: the meaning is a phrase without full stop"
        assert remedy.endswith((".", "`")), f"{name}: the remedy is whole sentences"


def test_every_code_used_is_in_the_table():
    known = {row[0] for row in table()}
    found = [
        f"{path}: {code}" for path in tree.files(".c", ".h")
        for code in CODE.findall(tree.code_only(tree.read(path))) if code not in known
    ]
    assert found == []


def raised():
    found = set()
    for path in sources():
        if path.name != "err_table.h":
            found.update(CODE.findall(ASKED.sub("", tree.code_only(tree.read(path)))))
    return found


def test_every_code_in_the_table_is_raised():
    """A row that nothing raises is a promise nobody keeps."""
    assert sorted({row[0] for row in table()} - raised()) == []


def test_every_id_is_on_its_page_and_no_other():
    page = re.findall(r"^## (SB-[A-Z-]+)$", tree.read("docs/ERRORS.md"), re.M)
    assert page == [row[1] for row in table()], "run `cmake --build --preset dev --target pages`"


def named_in(path):
    """Ids and codes a test file names, as codes."""
    text = tree.read(path)
    if path.suffix == ".c":
        text = tree.code_only(text, keep_strings=True)
    return set(CODE.findall(text)) | {"SB_E_" + ident[3:].replace("-", "_") for ident in ID.findall(text)}


def test_every_id_has_a_test_that_provokes_it():
    """Which it is nobody can tell from outside; but one that no test names, no test provokes."""
    stand_in, provoked = named_in(pathlib.Path(STAND_IN)), set()
    for path in tree.files(".c", ".py"):
        if path.parts[0] == "tests" and path.parts[1] in PROVOKING and str(path) not in MADE_UP | {STAND_IN}:
            provoked |= named_in(path) - (stand_in if str(path) in RUN_IT else set())
    assert sorted({row[0] for row in table()} - provoked) == []


def test_every_id_written_anywhere_exists():
    """In sources, pages, scripts and tests. `SB-...` and `SB-<something>` are no ids."""
    known = {row[1] for row in table()} | NO_IDS
    found = []
    for path in tree.files(".c", ".h", ".md", ".py", ".yaml", ".sql", ".txt", ""):
        if path.name in ("test_errors.py",) or "corpus" in path.parts:
            continue
        try:
            text = tree.read(path)
        except UnicodeDecodeError:
            continue
        for match in ID.finditer(text):
            if match.group() not in known and text[match.end() : match.end() + 1] not in ("*", "<", "-"):
                found.append(f"{path}:{tree.line_of(text, match.start())}: {match.group()}")
    assert found == [], "\n".join(found)


def test_fault_points_are_sorted_and_once():
    assert points() == sorted(set(points()))


@pytest.mark.parametrize("stage", STAGES)
def test_every_fault_point_is_passed_in_the_sources(stage):
    rows = [name for name in points() if name.startswith(stage + "-")]
    files = [path for path in sources() if path.parts[0] == stage]
    passed = {name for path in files for name in PASSED.findall(tree.code_only(tree.read(path), keep_strings=True))}
    assert sorted(set(rows) - passed) == [], f"rows of core/fault_table.h that {stage}/ never passes"


def test_every_fault_point_passed_is_in_the_table():
    known, found = set(points()), []
    for path in sources():
        for name in PASSED.findall(tree.code_only(tree.read(path), keep_strings=True)):
            if name not in known:
                found.append(f"{path}: {name}")
    assert found == []


def test_every_fault_point_belongs_to_a_stage():
    assert [name for name in points() if name.split("-")[0] not in STAGES] == []
