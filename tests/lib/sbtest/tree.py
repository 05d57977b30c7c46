"""The source tree as the house tests see it: every file of ours, with or without git."""

import os
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[3]
NOT_OURS = {"build", ".git", ".cache", "__pycache__", "node_modules"}


def files(*suffixes):
    """Every file of ours with one of these suffixes (all, if none), as paths relative to the root, sorted."""
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(name for name in folders if name not in NOT_OURS)
        for name in names:
            path = pathlib.Path(folder, name).relative_to(ROOT)
            if not suffixes or path.suffix in suffixes:
                found.append(path)
    return sorted(found)


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


_NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text, keep_strings=False):
    """C text with comments (and strings, unless kept) blanked out; offsets and lines stay."""

    def blank(match):
        found = match.group()
        if keep_strings and found[0] in "\"'":
            return found
        return re.sub(r"[^\n]", " ", found)

    return _NOISE.sub(blank, text)
