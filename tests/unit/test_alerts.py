"""ops/prometheus: the rules are valid, each alert is shown to fire and not to fire, has a runbook, and asks for metrics that
exist."""

import re
import shutil
import subprocess

import pytest

from sbtest import need, tree

FOLDER = tree.ROOT / "ops/prometheus"
RULES, TESTS = FOLDER / "switchback.rules.yml", FOLDER / "switchback.test.yml"
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Escalation", "How to see that it worked"]


def rules():
    """[(name, text)] of each alert; promtool sees to the form."""
    parts = re.split(r"^      - (?=alert:|record:)", RULES.read_text(), flags=re.M)[1:]
    return [(part.split()[1], part) for part in parts if part.startswith("alert:")]


def alerts():
    return sorted({name for name, _ in rules()})


@pytest.mark.parametrize("words", [["check", "rules", RULES], ["test", "rules", TESTS]], ids=["valid", "fire"])
def test_promtool(words):
    if shutil.which("promtool") is None:
        need.missing("promtool (package prometheus) is not there")
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_shown_to_fire_and_not_to_fire():
    shown = re.split(r"^      - alertname: ", TESTS.read_text(), flags=re.M)[1:]
    fires = {one.split()[0] for one in shown if "exp_alerts:" in one}
    not_always = {one.split()[0] for one in shown if "exp_alerts:" not in one}
    assert sorted(fires) == alerts() and not_always == fires


def test_every_alert_has_a_runbook():
    books = sorted(path.stem for path in (tree.ROOT / "ops/runbooks").glob("*.md"))
    assert books == alerts()
    for name, text in rules():
        assert f"runbook: ops/runbooks/{name}.md\n" in text + "\n"
        book = tree.read(f"ops/runbooks/{name}.md")
        assert re.findall(r"^## (.*)$", book, re.M) == SECTIONS and book.startswith(f"# {name}\n")


def test_the_metrics_exist():
    known = set(re.findall(r"^\| `(switchback_\w+)` \|", tree.read("docs/OPERATING.md"), re.M))
    asked = set(re.findall(r"\bswitchback_\w+", RULES.read_text()))
    assert len(known) > 20 and asked <= known, asked - known
