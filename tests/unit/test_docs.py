"""The pages tell the truth: links lead somewhere, and commands exist, or are run where the page says so.

A fenced block marked `sh` holds commands a reader types. Each word of them that is a path of this tree must exist,
and be executable where it is the command. A block below the comment `<!-- run -->` is run as it stands, in an empty
directory, with the built programs on the PATH, and must succeed.
"""

import os
import pathlib
import re
import subprocess

import pytest

from sbtest import need, tree

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^(<!-- run -->\n)?```(\w*)[^\n]*\n(.*?)^```$", re.M | re.S)
HEADING = re.compile(r"^#+ +(.*?) *#*$", re.M)
BUILD = pathlib.Path(os.environ.get("SB_BUILD_DIR", tree.ROOT / "build/dev"))


def without_fences(text):
    return FENCE.sub("", text)


def anchors(text):
    """GitHub's: lower case, blanks to hyphens, everything else that is no word character dropped."""
    return {
        re.sub(r"[^\w\- ]", "", re.sub(r"`|\*", "", heading)).strip().lower().replace(" ", "-")
        for heading in HEADING.findall(without_fences(text))
    }


def broken_links(path, text, exists, read):
    found = []
    for target in LINK.findall(without_fences(text)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        other = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
        if not exists(other):
            found.append(f"{path}: {target} leads nowhere")
        elif anchor and anchor not in anchors(read(other)):
            found.append(f"{path}: {target}: no such heading")
    return found


def test_links_between_pages_resolve():
    pages = tree.files(".md")
    assert len(pages) >= 4, "the pages were not found"
    found = [
        one for path in pages
        for one in broken_links(str(path), tree.read(path), lambda other: (tree.ROOT / other).exists(), tree.read)
    ]
    assert found == [], "\n".join(found)


def test_a_broken_link_is_noticed():
    pages = {"docs/a.md": "[x](b.md) [y](b.md#one-two) [z](#here)\n# Here", "docs/b.md": "## One, `two`"}
    good = broken_links("docs/a.md", pages["docs/a.md"], pages.__contains__, pages.__getitem__)
    bad = broken_links("docs/a.md", "[x](c.md) [y](b.md#three)", pages.__contains__, pages.__getitem__)
    assert good == [] and len(bad) == 2


def commands():
    """(page, run?, text) of every block marked sh."""
    return [
        (path, bool(run), text) for path in tree.files(".md")
        for run, language, text in FENCE.findall(tree.read(path)) if language == "sh"
    ]


def test_commands_in_pages_exist():
    found = []
    for path, _, text in commands():
        for line in text.splitlines():
            words = [] if line.lstrip().startswith("#") else line.split("#")[0].split()
            command = next((word for word in words if "=" not in word and word not in ("bash", "sudo")), None)
            if command is None or "/" not in command or command.startswith(("/", "~", "$")):
                continue
            program = tree.ROOT / command
            if not program.is_file():
                found.append(f"{path}: {command} does not exist")
            elif not os.access(program, os.X_OK):
                found.append(f"{path}: {command} is not executable")
    assert found == [], "\n".join(found)


@pytest.mark.parametrize(
    "page, text", [pytest.param(path, text, id=f"{path}-{at}") for at, (path, run, text) in enumerate(commands()) if run]
    or [pytest.param(None, "", id="none", marks=pytest.mark.skip("no page marks a block <!-- run --> yet"))],
)
def test_commands_marked_run_succeed(page, text, tmp_path):
    programs = [folder for folder in (BUILD / "cli", BUILD) if (folder / "switchback").exists()]
    if not programs:
        need.missing("the switchback program is not built")
    done = subprocess.run(
        ["bash", "-euc", text], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PATH": f"{programs[0]}:{os.environ['PATH']}"},
    )
    assert done.returncode == 0, f"{page}:\n{text}\n{done.stdout}{done.stderr}"


def test_every_check_is_on_its_page_and_no_other():
    """Ids of `switchback check` are API (setup/report.h)."""
    text = "".join(tree.code_only(tree.read(path), keep_strings=True) for path in tree.files(".c") if path.parts[0] == "setup")
    checks = set(re.findall(r'^ *\{"([a-z_]+\.[a-z_]+)", "', text, re.M))
    page = set(re.findall(r"`((?:source|target|tables|schema|way_back|stream|coverage)\.[a-z_]+)`", tree.read("docs/SETUP.md")))
    assert len(checks) > 40
    assert checks == page
