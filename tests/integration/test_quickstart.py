"""The quickstart as a newcomer types it: it ends with a verdict, the commands it prints work, and --stop leaves nothing."""

import os
import pathlib
import re
import subprocess

import pytest

from sbtest import places, tree

RUN_S = 420


@pytest.fixture
def quickstart(tmp_path_factory):
    """Call it with options; what it started is stopped at the end whatever happens."""
    folder = pathlib.Path(places.parent()) / f"sb-quickstart-{os.getpid()}"
    env = {**os.environ, "SB_QUICKSTART_DIR": str(folder)}

    def call(*options):
        return subprocess.run(
            [tree.ROOT / "ops/quickstart", *options], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=RUN_S,
        )

    call.folder = folder
    yield call
    if folder.exists():
        call("--stop")


def left_of(folder):
    """Command lines of running processes that name the folder."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


@pytest.mark.parametrize("store", ["embedded", "kafka"])
def test_it_ends_equal_and_leaves_nothing(quickstart, store):
    options = ["--kafka"] if store == "kafka" else []
    done = quickstart(*options)
    assert done.returncode == 0, done.stdout
    assert "500000 accounts, indexes and foreign keys after" in done.stdout, done.stdout
    assert "way back armed" in done.stdout, done.stdout
    assert re.search(r"transactions, 2000\d\d changes applied after", done.stdout), "the batch came through the stream"
    assert re.search(r"SIGKILL to apply", done.stdout), done.stdout
    assert all(f'{kind} {{"{key}": "' in done.stdout for kind, key in (("changed", "tid"), ("missing", "bid"), ("extra", "aid"))), done.stdout
    assert re.search(r"done: repair 1, 4 of 4 rows compare equal", done.stdout), done.stdout
    assert done.stdout.count("rows, equal") == 4 and "EQUAL" in done.stdout, done.stdout
    assert ("a real Kafka broker answers" in done.stdout) == (store == "kafka")
    assert left_of(quickstart.folder), "it says that it goes on running"

    again = quickstart(*options)
    assert again.returncode != 0 and "--stop" in again.stdout, again.stdout

    printed = [line.strip() for line in done.stdout.splitlines() if re.search(r"status --watch|stream verify$", line)]
    assert len(printed) == 2, done.stdout
    for command in printed:
        run = subprocess.run(command.replace(" --watch", ""), shell=True, capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, (command, run.stdout, run.stderr)

    stopped = quickstart("--stop")
    assert stopped.returncode == 0, stopped.stdout
    assert left_of(quickstart.folder) == []
    assert not quickstart.folder.exists()
    assert quickstart("--stop").returncode != 0
