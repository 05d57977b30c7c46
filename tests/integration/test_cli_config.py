"""The command line: exit codes, messages, who may run what, and the pages that the program itself prints."""

import json
import os
import pathlib
import pwd
import re
import shutil
import subprocess

import pytest

from sbtest import need, tree

BUILD = pathlib.Path(os.environ.get("SB_BUILD_DIR", tree.ROOT / "build/dev"))
PROGRAM = pathlib.Path(os.environ.get("SWITCHBACK_BIN", BUILD / "switchback"))
GOOD = "migration: shop\nsource:\n  dsn: host=/tmp dbname=a\ntarget:\n  dsn: host=/tmp dbname=b\n"
HARMLESS = ["config example", "explain --all", "version", "help", "completion bash"]
PAGES = {
    "docs/CONFIGURATION.md": "config docs",
    "config/switchback.yaml": "config example",
    "docs/ERRORS.md": "explain --all --markdown",
    "docs/CLI.md": "help --markdown",
    "docs/switchback.1": "help --man",
}


@pytest.fixture(autouse=True)
def program():
    if not PROGRAM.exists():
        need.missing(f"{PROGRAM} is not built")


def run(words, folder=None, env=None, **options):
    return subprocess.run(
        [PROGRAM, *words.split()], cwd=folder, text=True, timeout=60, env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL, **{"capture_output": True, **options},
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "switchback.yaml").write_text(GOOD)
    return tmp_path


# -- exit codes and messages


def refused(done, code, ident, *words):
    """Nothing on stdout, and on stderr exactly the two lines of an error."""
    assert done.returncode == code, done
    assert done.stdout == ""
    first, hint = done.stderr.splitlines()
    assert first.startswith(f"switchback: {ident}: ") and hint.startswith("  hint: ")
    for word in words:
        assert word in done.stderr


def test_a_good_file_is_in_order(folder):
    done = run("config check", folder)
    assert (done.returncode, done.stdout) == (0, "")
    assert "in order" in done.stderr


def test_an_error_names_file_line_key_and_way_out(folder):
    (folder / "switchback.yaml").write_text(GOOD + "capture:\n  heartbeat_interval_ms: 10s\n")
    done = run("config check", folder)
    refused(done, 78, "SB-CONFIG", "./switchback.yaml:7: capture.heartbeat_interval_ms: ", "write 10000")


@pytest.mark.parametrize(
    "text, ident, words",
    [
        ("capture:\n  akc: target\n", "SB-CONFIG", 'switchback.yaml:7: capture.akc: is not a known key; did you mean "capture.ack"?'),
        ("migration: b\n", "SB-CONFIG", "switchback.yaml:6: migration: is written twice"),
        ("log:\n  level: ${SB_TEST_NOT_SET}\n", "SB-CONFIG", "${SB_TEST_NOT_SET} is not set"),
        ("kafka:\n  sasl.password_file: none\n", "SB-CONFIG", "No such file"),
        ("kafka:\n  sasl.password_file: open\n", "SB-SECRET-MODE", "chmod 600"),
        ("kafka:\n  sasl.password: hunter2\n", "SB-CONFIG", "a secret does not belong in this file"),
    ],
)
def test_configuration_errors_have_their_id_and_exit_code(folder, text, ident, words):
    (folder / "open").write_text("x")
    (folder / "open").chmod(0o644)
    (folder / "switchback.yaml").write_text(GOOD + text)
    done = run("config show", folder)
    refused(done, 78, ident, words)
    assert "hunter2" not in done.stderr


def test_the_file_is_found_by_option_then_environment_then_name(folder):
    other = folder / "other.yaml"
    other.write_text(GOOD.replace("shop", "other"))
    env = {"SWITCHBACK_CONFIG": str(other)}
    shown = lambda words, env=None: json.loads(run(words, folder, env).stdout)["migration"]
    assert shown("config show --json") == "shop"
    assert shown("config show --json", env) == "other"
    assert shown("-c switchback.yaml config show --json", env) == "shop"
    assert shown("config show --json -c switchback.yaml", env) == "shop"
    refused(run("-c none.yaml config check", folder), 78, "SB-CONFIG", "none.yaml", "No such file")
    refused(run(f"-c {folder} config check", folder), 78, "SB-CONFIG", "is a directory")


@pytest.mark.parametrize(
    "words, message",
    [
        ("", "there is no verb to carry out"),
        ("confg check", 'there is no verb "confg"; did you mean "config"?'),
        ("config", "`config` does not say what to do"),
        ("config chck", '`config` has no "chck"'),
        ("config check extra", "nothing was expected"),
        ("config check --json", "--json belongs to show"),
        ("config show --jsn", "did you mean --json?"),
        ("config show --json=1", "--json takes no value"),
        ("-c", "--config needs a value: FILE"),
        ("--nonsense", "--nonsense is not an option"),
        ("explain", "either an id or --all"),
        ("explain SB-SLOT-LOST --all", "either an id or --all"),
        ("explain slot-loss", "did you mean SB-SLOT-LOST?"),
        ("explain abracadabra", 'there is no error "abracadabra"'),
        ("help abracadabra", "there is no verb"),
        ("completion fish", '`completion` has no "fish"'),
    ],
)
def test_wrong_words_are_usage_errors(folder, words, message):
    refused(run(words, folder), 64, "SB-USAGE", message)


def test_control_characters_do_not_reach_the_terminal(folder):
    done = run("-c \x1b]0;owned\x07 config check", folder)
    refused(done, 78, "SB-CONFIG")
    assert "\x1b" not in done.stderr and "\x07" not in done.stderr


def test_a_full_disk_behind_stdout_is_an_error():
    with open("/dev/full", "w") as full:
        done = run("config docs", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 74 and "SB-IO" in done.stderr


def test_closed_standard_files_do_not_matter(folder):
    """A file opened by a verb must never get the number of a closed stderr."""
    done = subprocess.run(
        ["bash", "-c", '"$0" config check 0<&- 1>&- 2>&-', PROGRAM], cwd=folder, timeout=60, capture_output=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# -- verbs


def test_secrets_are_not_shown(folder):
    (folder / "pw").write_text("parrot1\n")
    (folder / "pw").chmod(0o600)
    (folder / "switchback.yaml").write_text(
        "migration: shop\nsource:\n  dsn: postgresql://me:${SB_TEST_PW}@localhost/a\n"
        "target:\n  dsn: host=/tmp\n  password_file: pw\nkafka:\n  sasl.password: ${SB_TEST_PW}\n"
    )
    for words in ["config show", "config show --json", "config check"]:
        done = run(words, folder, {"SB_TEST_PW": "parrot2"})
        assert done.returncode == 0
        assert "parrot" not in done.stdout + done.stderr
    shown = json.loads(run("config show --json", folder, {"SB_TEST_PW": "parrot2"}).stdout)
    assert shown["source"] == {"dsn": "postgresql://me@localhost/a", "password": "***", "password_file": None}
    assert shown["kafka"] == {"sasl.password": "***"}


def test_every_error_is_explained():
    rows = json.loads(run("explain --all --json").stdout)
    assert len(rows) > 30
    for row in rows:
        one = run(f"explain {row['id']}")
        assert one.returncode == 0
        assert row["meaning"] in one.stdout and row["remedy"] in one.stdout and str(row["exit_code"]) in one.stdout
    assert json.loads(run("explain slot-lost --json").stdout)["id"] == "SB-SLOT-LOST"


def test_version_says_which():
    assert re.fullmatch(r"switchback \d+\.\d+\.\d+.*\n", run("version").stdout)
    assert run("--version").stdout == run("-V").stdout == run("version").stdout
    assert re.fullmatch(r"\d+\.\d+\.\d+", json.loads(run("version --json").stdout)["version"])


def verbs():
    return re.findall(r"^  (\w+) ", run("help").stdout.split("options:")[0], re.M)


def test_help_knows_every_verb_and_every_verb_knows_help():
    assert run("--help").stdout == run("-h").stdout == run("help").stdout
    assert {"config", "explain", "help"} <= set(verbs())
    for verb in verbs():
        done = run(f"help {verb}")
        assert done.returncode == 0 and done.stdout.startswith("usage: switchback [-c FILE] " + verb)
        assert run(f"{verb} --help").stdout == done.stdout


def completed(line):
    """What bash offers at the end of the line."""
    words = line.split(" ")
    script = (
        f'source <("$0" completion bash); COMP_WORDS=({" ".join(repr(word) for word in words)}); '
        f'COMP_CWORD={len(words) - 1}; _switchback; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run(["bash", "-euc", script, PROGRAM], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_completion_offers_what_may_follow():
    assert set(verbs()) <= set(completed("switchback "))
    assert sorted(completed("switchback conf")) == ["config", "conflicts"]
    assert completed("switchback config ch") == ["check"]
    assert "show" in completed("switchback -c /tmp/x config ")
    assert completed("switchback explain " + "SB-SLOT-LOST"[:-3]) == ["SB-SLOT-LOST"]
    assert completed("switchback config --js") == ["--json"]


# -- who may run it


def test_root_is_refused_where_something_would_be_touched(folder):
    if os.geteuid() != 0:
        need.missing("only root can see root refused", required=False)
    touching = [verb for verb in verbs() if verb not in {words.split()[0] for words in HARMLESS}]
    assert touching, "no verb needs a server"
    for verb in touching:
        sub = re.search(r"\] " + verb + r" (\w+)\b(?=\||$| \[)", run(f"help {verb}").stdout.splitlines()[0])
        done = run(f"{verb} {sub.group(1) if sub else ''}", folder)
        refused(done, 77, "SB-INSECURE", "does not run as root")
    for words in HARMLESS:
        assert run(words, folder).returncode == 0


def test_an_ordinary_user_may_run_it(folder):
    """As somebody who owns nothing of the tree."""
    if os.geteuid() != 0:
        need.missing("only root can become somebody else", required=False)
    copy = folder / "switchback"
    shutil.copy(PROGRAM, copy)
    for path in [folder, *folder.parents]:
        if path.stat().st_uid == os.geteuid() and path != pathlib.Path("/") and "pytest" in str(path):
            path.chmod(0o755)
    nobody = pwd.getpwnam("nobody")
    done = subprocess.run(
        [copy, "config", "check"], cwd=folder, capture_output=True, text=True, user=nobody.pw_uid, group=nobody.pw_gid,
        extra_groups=[], timeout=60,
    )
    assert done.returncode == 0, done.stderr


# -- pages


@pytest.mark.parametrize("page", PAGES)
def test_no_page_is_stale(page):
    done = run(PAGES[page])
    assert done.returncode == 0
    assert tree.read(page) == done.stdout, f"{page} is stale: run `cmake --build --preset dev --target pages`"


def test_the_example_file_is_in_order():
    done = run(f"-c {tree.ROOT / 'config/switchback.yaml'} config check")
    assert done.returncode == 0, done.stderr


def test_the_manual_page_is_formatted_without_complaint():
    if shutil.which("groff") is None:
        need.missing("groff is not installed", required=False)
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", tree.ROOT / "docs/switchback.1"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and done.stderr == ""
