"""Scenarios: what other people's test suites and sample databases do, as SQL of our own. tests/scenarios/*.sql hold them, one
file a suite; docs/SCENARIOS.md is made from these files by `python3 -m sbtest.scenarios` (with tests/lib in PYTHONPATH).

A file begins with comment lines about the suite: the first is its title, the others say what was taken from where. Then

    -- == name-of-it            the name is also the schema it lives in, with _ for -
    -- from: 001_rep_changes    the case of the suite whose idea it is; several are separated by ", "
    -- what: one line: what happens and what is the trap
    -- [both]                   structure, made on both sides; [old] and [new]: on one of them
    -- [rows]                   rows of the old side before anything of ours is there
    -- [then]                   what the application does while switchback runs
    -- [holds]                  queries of the new side that must answer true, once everything is applied

Every table of the schema is compared in the end. Other headers:

    -- since: 18                only between servers of this version or later
    -- needs: hstore            extensions, made in public on both sides
    -- apart: t, u: reason      tables that are not to be equal, and why
    -- after: reason            its changes come when the copy is complete, never beside it
    -- stops: SB-POISON         the migration must end here: it runs alone, and nothing of it may be written
    -- refused: SB-ACCESS       `prepare` must refuse it, also alone
    -- elsewhere: test          not run here: this test of ours does it (file::function)
    -- out: reason              not run: why

A line `-- @name` in [then] goes on in another session of that name; `-- @new` in one of the new side. Without one the session is
that of [rows]. Statements end with a semicolon at the end of a line.
"""

import contextlib
import dataclasses
import re
import sys

from sbtest import tree

SECTIONS = ("both", "old", "new", "rows", "then", "holds")
HEADERS = ("from", "what", "since", "needs", "apart", "after", "stops", "refused", "elsewhere", "out")
FOLDER = tree.ROOT / "tests/scenarios"
PAGE = tree.ROOT / "docs/SCENARIOS.md"
NEW = "new"


@dataclasses.dataclass
class Scenario:
    suite: str
    name: str
    headers: dict
    sections: dict  # name -> [(session, statement)]

    @property
    def schema(self):
        return self.name.replace("-", "_")

    @property
    def since(self):
        return int(self.headers.get("since", 0))

    @property
    def needs(self):
        return _list(self.headers.get("needs", ""))

    @property
    def apart(self):
        """Tables that are not compared."""
        return _list(self.headers.get("apart", "").partition(":")[0])

    @property
    def runs(self):
        return not {"elsewhere", "out"} & set(self.headers)

    @property
    def alone(self):
        return self.runs and bool({"stops", "refused"} & set(self.headers))

    def result(self):
        """What the page says."""
        if "out" in self.headers:
            return f"out: {self.headers['out']}"
        if "elsewhere" in self.headers:
            return f"passes (`{self.headers['elsewhere']}`)"
        if "refused" in self.headers:
            return f"refused by `prepare`: {self.headers['refused']}"
        if self.alone:
            return f"stops with {self.headers['stops']}, nothing written"
        apart = f"; not compared: {self.headers['apart']}" if self.apart else ""
        return "passes" + (f", {self.since} and later" if self.since else "") + apart


@dataclasses.dataclass
class Suite:
    name: str
    title: str
    about: str
    scenarios: list


def _list(text):
    return [one for one in re.split(r",\s*", text.strip()) if one]


TOKEN = re.compile(r"(\$\w*\$)(?s:.*?)\1|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|;[ \t]*(?=\n|$)|(?s:.)")


def statements(text):
    """A script's statements, split where psql would, in files where each ends its line."""
    made, now = [], ""
    for token in TOKEN.finditer(text):
        if token.group().startswith(";"):
            made.append(now.strip())
            now = ""
        else:
            now += token.group()
    assert not now.strip(), f"a statement without its semicolon: {now.strip()[:80]}"
    return made


def _section(lines):
    """[(session, statement)] of one section."""
    found, session, part = [], "", []
    for line in [*lines, "-- @"]:
        switch = re.fullmatch(r"-- @(\w*)", line)
        if switch is None:
            part.append(line)
            continue
        found += [(session, one) for one in statements("\n".join(part))]
        session, part = switch.group(1), []
    return found


def _scenario(suite, text):
    name, _, rest = text.partition("\n")
    headers, sections, section = {}, {}, None
    for line in rest.splitlines():
        header, start = re.fullmatch(r"-- (\w+): (.*)", line), re.fullmatch(r"-- \[(\w+)\]", line)
        if start:
            section = start.group(1)
            assert section in SECTIONS and section not in sections, f"{suite}/{name}: [{section}]"
            sections[section] = []
        elif section is None and line.strip():
            assert header and header.group(1) in HEADERS, f"{suite}/{name}: {line}"
            headers[header.group(1)] = header.group(2)
        elif section is not None:
            sections[section].append(line)
    return Scenario(suite, name.strip(), headers, {one: _section(lines) for one, lines in sections.items()})


def read(path):
    head, *rest = re.split(r"^-- == ", path.read_text(), flags=re.M)
    title, *about = [line.removeprefix("--").strip() for line in head.strip().splitlines()]
    return Suite(path.stem, title, " ".join(about).strip(), [_scenario(path.stem, one) for one in rest])


def suites():
    return [read(path) for path in sorted(FOLDER.glob("*.sql"))]


class Play:
    """One scenario on the stage of a database on two clusters."""

    def __init__(self, scenario, old, new, db):
        self.scenario, self.old, self.new, self.db = scenario, old, new, db

    @contextlib.contextmanager
    def _sessions(self):
        with contextlib.ExitStack() as stack:
            made = {}

            def session(name):
                if name not in made:
                    cluster = self.new if name == NEW else self.old
                    made[name] = stack.enter_context(cluster.connect(self.db, application_name="scenario"))
                    # A scenario that waits for itself fails instead.
                    made[name].execute(f'SET search_path = "{self.scenario.schema}", public; SET lock_timeout = 20000')
                return made[name]

            yield session

    def _run(self, section, force=None):
        with self._sessions() as session:
            for name, statement in self.scenario.sections.get(section, []):
                try:
                    session(force or name).execute(statement)
                except Exception as error:
                    raise AssertionError(f"{self.scenario.name} [{section}]: {error}\n{statement}") from error

    def make(self):
        for cluster in (self.old, self.new):
            with cluster.connect(self.db) as session:
                session.execute(f'CREATE SCHEMA "{self.scenario.schema}"')
                for extension in self.scenario.needs:
                    session.execute(f'CREATE EXTENSION IF NOT EXISTS "{extension}" SCHEMA public')
        for name in ("old", NEW):
            self._run("both", "" if name == "old" else NEW)
            self._run(name, "" if name == "old" else NEW)
        self._run("rows")

    def then(self):
        self._run("then")

    def broken(self):
        """Queries of [holds] that do not hold, as sentences."""
        found = []
        with self._sessions() as session:
            for _, query in self.scenario.sections.get("holds", []):
                answer = session(NEW).execute(query).fetchall()
                if answer != [(True,)]:
                    found.append(f"{self.scenario.name}: {query} is {answer}")
        return found


def rows_of(suite):
    """Table rows of the page, in the order of the file."""
    for one in suite.scenarios:
        yield f"| {one.headers['from']} | {one.name} | {one.headers['what']} | {one.result()} |"


def page():
    found = suites()
    run = sum(one.runs for suite in found for one in suite.scenarios)
    whole = sum(len(suite.scenarios) for suite in found)
    parts = [INTRODUCTION.format(whole=whole, run=run)]
    for suite in found:
        parts.append(f"## {suite.title}\n\n{suite.about}\n\n| case | scenario | what | result |\n|---|---|---|---|")
        parts[-1] += "\n" + "\n".join(rows_of(suite)) + "\n"
    return "\n".join(parts)


INTRODUCTION = """# Scenarios

<!-- Made from tests/scenarios/*.sql by sbtest.scenarios; do not edit. -->

What other people test replication with, and the sample databases that everybody knows, done by switchback: the rows are
copied, what the application does then is followed, and both sides are compared row by row. Nothing of those suites is in this
tree: each scenario is restated, with structure and values of our own around the same trap, in
[tests/scenarios](../tests/scenarios). `tests/integration/test_scenarios.py` runs all of them: written in sets, one by one, and
with the changes made while the copy runs; this page is made from the same files (`house/scenarios` checks that), so a line that says
*passes* is a test that passed.

{whole} scenarios, {run} of them run there; the others name the test that does them, or why they are out.
"""

if __name__ == "__main__":
    sys.stdout.write(page())
