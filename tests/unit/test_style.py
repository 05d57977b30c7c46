"""What the eye would have to check in every review, checked here."""

import re
import shutil
import subprocess
import warnings

import pytest

from sbtest import need, tree

# Each with what stands in for it.
BANNED = {
    "strcpy": "snprintf or struct sb_buf", "strcat": "struct sb_buf", "sprintf": "snprintf", "vsprintf": "vsnprintf",
    "gets": "getline", "atoi": "strtol with its error checked", "atol": "strtol with its error checked",
    "strtok": "strtok_r", "alloca": "an arena", "tmpnam": "mkstemp", "mktemp": "mkstemp",
}
BANNED_CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
CMAKE_GLOB = re.compile(r"\bfile\s*\(\s*GLOB|\baux_source_directory\s*\(", re.I)
LINES_MAX = 900
TEXT = [".c", ".h", ".py", ".md", ".txt", ".cmake", ".sql", ".yaml", ".json", ".toml", ".sh", ""]


def c_files():
    return tree.files(".c", ".h")


def test_c_is_formatted():
    if shutil.which("clang-format") is None:
        need.missing("clang-format is not installed")
    done = subprocess.run(
        ["clang-format", "--dry-run", "-Werror", "--ferror-limit=1", *map(str, c_files())],
        cwd=tree.ROOT, capture_output=True, text=True, timeout=100,
    )
    wrong = re.findall(r"^(\S+?):\d+:\d+: error", done.stderr, re.M)
    assert done.returncode == 0, "run clang-format -i " + " ".join(sorted(set(wrong)) or [done.stderr])


def banned_calls(text):
    code = tree.code_only(text)
    return [(tree.line_of(code, call.start()), call.group(1)) for call in BANNED_CALL.finditer(code)]


def test_no_banned_functions():
    found = [
        f"{path}:{line}: {name}: use {BANNED[name]}" for path in c_files() for line, name in banned_calls(tree.read(path))
    ]
    assert found == [], "\n".join(found)


def test_cmake_lists_its_sources():
    """A glob builds what somebody forgot to add, and forgets what somebody added."""
    lists = [path for path in tree.files(".txt", ".cmake") if path.name == "CMakeLists.txt" or path.suffix == ".cmake"]
    assert len(lists) > 5, "the tree was not found"
    assert [str(path) for path in lists if CMAKE_GLOB.search(tree.read(path))] == []


def test_every_c_file_is_built():
    """A source that no CMakeLists.txt names is dead, and one that a test does not compile rots."""
    unbuilt = []
    for path in tree.files(".c"):
        lists = [folder / "CMakeLists.txt" for folder in path.parents if (tree.ROOT / folder / "CMakeLists.txt").exists()]
        text = "\n".join(tree.read(one) for one in lists)
        # tests/unit/test_NAME.c is named as sb_unit_test(NAME ...).
        name = re.escape(path.name) + r"|sb_\w+_test\(" + re.escape(path.stem.removeprefix("test_")) + r"\b"
        if not re.search(name, text):
            unbuilt.append(str(path))
    assert unbuilt == []


def test_text_files_end_well():
    """No tabs in C, no blanks at line ends, a newline at the end, no carriage returns."""
    found = []
    for path in tree.files():
        if path.suffix not in TEXT or "corpus" in path.parts or "corpora" in path.parts:
            continue
        raw = (tree.ROOT / path).read_bytes()
        if b"\0" in raw:
            continue
        if raw and not raw.endswith(b"\n"):
            found.append(f"{path}: no newline at the end")
        if b"\r" in raw:
            found.append(f"{path}: carriage return")
        if re.search(rb"[ \t]+$", raw, re.M):
            line = raw[: re.search(rb"[ \t]+$", raw, re.M).start()].count(b"\n") + 1
            found.append(f"{path}:{line}: blanks at the end of the line")
        if path.suffix in (".c", ".h") and b"\t" in raw:
            found.append(f"{path}: tab")
    assert found == [], "\n".join(found)


def test_files_stay_one_noun():
    """Not a limit: a long file is named in the output, so that somebody asks whether it is still one thing."""
    for path in tree.files(".c", ".h", ".py"):
        lines = tree.read(path).count("\n")
        if lines > LINES_MAX:
            warnings.warn(f"{path} has {lines} lines; is it still one noun?")


@pytest.mark.parametrize("text", ["strcpy(a, b);", "x = atoi (s);", "if (gets(s))", "\tsprintf(s, \"%d\", 1);"])
def test_a_banned_call_is_noticed(text):
    assert len(banned_calls(text)) == 1


@pytest.mark.parametrize(
    "text", ["/* strcpy(a, b) */", 'puts("strcpy(a)");', "strtok_r(a, b, &c);", "snprintf(a, 1, b);", "my_gets(x);"]
)
def test_a_harmless_line_passes(text):
    assert banned_calls(text) == []
