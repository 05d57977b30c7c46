"""`switchback stream show` and `verify` on a log whose every record is known (log_writer.c), whole and damaged."""

import json
import os
import shutil
import sqlite3
import subprocess

import pytest

from sbtest import need, product, process
from sbtest.wait import wait_until

UUID = "0f3c5a52-9f6e-4a35-8d83-6a3a4b6f2d10"
# The frame (docs/STREAM-FORMAT.md), read here without the product's help.
EPOCH, SEQUENCE, COMMIT_LSN = slice(24, 32), slice(32, 40), slice(40, 48)
KINDS = {1: "open", 2: "schema", 3: "change", 4: "message", 6: "commit", 7: "part"}


def number(frame, field):
    return int.from_bytes(frame[field], "big")


class Log:
    """A store and a configuration that points at it; no server is behind it."""

    def __init__(self, folder, made=None, words=()):
        self.folder = folder
        (folder / "state").mkdir(mode=0o700)
        self.path = folder / "state/forward.db"
        self.config = folder / "switchback.yaml"
        self.config.write_text(json.dumps({
            "migration": "shop", "state_dir": str(folder / "state"),
            "source": {"dsn": "host=/nowhere dbname=shop"}, "target": {"dsn": "host=/nowhere dbname=shop"},
        }))
        self.config.chmod(0o600)
        if made is None:
            writer = product.BUILD / "tests/integration/log_writer"
            if not writer.exists():
                need.missing(f"{writer} is not built")
            subprocess.run([writer, self.path, UUID, *words], check=True, timeout=60)
            with self.sql() as db:
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            shutil.copy(made.path, self.path)

    def command(self, *words):
        return [product.program(), "-c", self.config, "stream", *map(str, words)]

    def run(self, *words, code=0):
        done = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=60)
        assert code is None or done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def show(self, *words):
        return [json.loads(line) for line in self.run("show", *words).stdout.splitlines()]

    def verify(self, *words, whole):
        report = json.loads(self.run("verify", "--json", *words, code=0 if whole else 1).stdout)
        assert report["whole"] == whole
        assert all(one["mended"] for one in report["breaks"]) == whole
        return report

    def sql(self):
        return sqlite3.connect(self.path)

    def records(self):
        """[(offset, kind, epoch, sequence)] as the file has them."""
        with self.sql() as db:
            rows = db.execute("SELECT position, frame FROM record ORDER BY position").fetchall()
        return [(at, KINDS[frame[4]], number(frame, EPOCH), number(frame, SEQUENCE)) for at, frame in rows]


@pytest.fixture(scope="module")
def made(workspace):
    if os.geteuid() == 0:
        need.missing("switchback does not run as root; start this test with tests/run")
    (workspace / "made").mkdir()
    return Log(workspace / "made")


@pytest.fixture
def log(made, place):
    """One to be damaged. Without the row in parts, which is 16 MiB long."""
    return Log(place, words=["small"])


# -- show


def test_show_tells_every_record(made):
    shown = made.show()
    kept = [record for record in made.records() if record[1] != "part"]
    whole = [(one["offset"], one["kind"], one["epoch"], one["sequence"]) for one in shown if one["ordinal" if "ordinal" in one else "kind"] != 3]
    assert whole == kept
    parts = [one for one in shown if one.get("ordinal") == 3]
    assert len(parts) == 1 and parts[0]["kind"] == "change"
    assert set(parts[0]["after"]["body"]) == {"x"} and len(parts[0]["after"]["body"]) > 1 << 20


def test_show_writes_rows_as_the_server_did(made):
    change = made.show("--key", "id=11")[0]
    assert change["op"] == "c" and change["table"] == "public.account"
    assert change["after"] == {"id": "11", "body": "one"}
    assert change["commit_lsn"] == "0/1100" and change["xid"] == 701 and change["ordinal"] == 1
    assert change["commit_time"].startswith("2023-11-14T22:13:20")


def test_show_tells_bytes_that_are_no_text(made):
    (message,) = [one for one in made.show() if one["kind"] == "message"]
    assert message["content"] == {"hex": "ff01"}
    assert message["prefix"] == "switchback.heartbeat"


def test_show_marks_what_a_reader_would_drop(made):
    stale = [one for one in made.show() if one.get("stale")]
    assert [(one["kind"], one["epoch"], one["xid"]) for one in stale] == [("commit", 1, 706)]


@pytest.mark.parametrize("words", [["--from", "0/1700", "--to", "0/1700"], ["--from", "0/16f0", "--to", "0/1710"]])
def test_show_selects_by_lsn(made, words):
    shown = made.show(*words)
    assert {one["commit_lsn"] for one in shown if one["kind"] in ("change", "commit")} == {"0/1700"}
    assert [one["kind"] for one in shown] == ["change", "change", "commit"]


def test_show_selects_by_offset(made):
    offsets = [at for at, *_ in made.records()]
    shown = made.show("--from", f"@{offsets[3]}", "--to", f"@{offsets[5]}")
    assert [one["offset"] for one in shown] == offsets[3:6]
    assert made.show("--from", f"@{offsets[-1] + 100}") == []


def test_show_selects_by_time(made):
    shown = made.show()
    assert made.show("--from", "2000-01-01 00:00:00") == shown
    assert made.show("--from", "2999-01-01 00:00:00") == []
    first = shown[0]["appended"]
    assert made.show("--to", "2000-01-01 00:00:00") == []
    assert made.show("--from", first)[0] == shown[0]


def test_show_selects_by_table_and_key(made):
    account = made.show("--table", "public.acc*")
    assert {one["kind"] for one in account} == {"schema", "change"}
    assert [one["op"] for one in made.show("--table", "public.account", "--key", "id=72")] == ["t", "c"]
    assert made.show("--table", "other.*") == []
    assert [one["op"] for one in made.show("--key", "id=nothing")] == ["t"]  # a TRUNCATE touches every key


def test_show_stops_at_its_limit(made):
    assert len(made.show("--limit", 4)) == 4
    assert made.show("--limit", 0) == []


def test_show_begins_in_the_middle_of_parts(made):
    parts = [at for at, kind, *_ in made.records() if kind == "part"]
    assert len(parts) == 2
    shown = made.show("--from", f"@{parts[1]}")
    assert shown[0]["offset"] == parts[1] + 1 and shown[0]["kind"] == "commit"


def test_show_follows(log, place):
    offset = log.records()[-1][0]
    with open(place / "out", "wb") as out:
        running = subprocess.Popen(log.command("show", "--follow", "--from", f"@{offset + 1}"), stdout=out)
    process.leash().add(running.pid)
    try:
        with log.sql() as db:
            row = db.execute("SELECT frame, key, body FROM record WHERE position = ?", (offset,)).fetchone()
            db.execute("INSERT INTO record VALUES (?, 0, ?, ?, ?)", (offset + 1, *row))
        line = wait_until(lambda: (place / "out").read_text(), 15, "the record to be shown")
        assert json.loads(line)["offset"] == offset + 1 and process.alive(running.pid)
    finally:
        running.kill()
        running.wait(10)
        process.leash().drop(running.pid)


@pytest.mark.parametrize("words", [
    ["show", "--from", "yesterday"], ["show", "--from", "@x"], ["show", "--limit", "-1"], ["show", "--key", "id"],
    ["show", "--table", "a.b.c.d"], ["show", "--sideways"], ["verify", "--from", "0/"], ["verify", "more"], ["dance"], [],
])
def test_a_wrong_command_line_is_refused(made, words):
    done = made.run(*words, code=64)
    assert "SB-USAGE" in done.stderr and done.stdout == ""


# -- verify


def test_a_whole_log_is_proven(made):
    report = made.verify(whole=True)
    assert report["from_beginning"] and report["transactions"] == 10 and report["changes"] == 2 * 9 + 1 + 1
    assert report["messages"] == 1 and report["epochs"] == 2 and (report["first_epoch"], report["last_epoch"]) == (1, 2)
    assert (report["first_commit_lsn"], report["last_commit_lsn"]) == ("0/1100", "0/1A00")
    assert report["in_flight"] == 1 and report["abandoned"] == 1 and report["repeated"] == 1 and report["dropped"] == 1
    commits = [one for one in made.show() if one["kind"] == "commit" and not one.get("stale")]
    assert report["chain"] == commits[-1]["chain"]
    words = made.run("verify").stdout
    assert words.rstrip().endswith("\nWHOLE") and report["chain"] in words


def counted(log):
    """Records that a reader counts: of their epoch the first with that sequence, and before no higher epoch."""
    highest, seen, counted = 0, set(), []
    for record in log.records():
        at, kind, epoch, sequence = record
        if epoch >= highest and (epoch, sequence) not in seen:
            counted.append(record)
        highest = max(highest, epoch)
        seen.add((epoch, sequence))
    return counted


def test_any_deleted_record_is_named(log):
    """But the newest: a shorter log is a log, too; that it lost its end shows against the target's progress. A
    file that lost a row is damaged, whatever a later epoch wrote anew."""
    records = counted(log)
    for i, (at, kind, epoch, sequence) in enumerate(records):
        with log.sql() as db:
            (row,) = db.execute("SELECT * FROM record WHERE position = ?", (at,)).fetchall()
            db.execute("DELETE FROM record WHERE position = ?", (at,))
        later = [record for record in records[i + 1:] if record[2] == epoch]
        if i == 0:
            assert not log.verify(whole=True)["from_beginning"]
        elif later or at < log.records()[-1][0]:
            first = log.verify(whole=False)["breaks"][0]
            assert first["error"] in ("SB-LOG-GAP", "SB-LOG-CORRUPT"), first
            assert first["after"] == at - 1 and first["at"] == -1, (at, kind, first)
            assert f"offset {at} " in first["text"], first
        else:
            log.verify(whole=True)
        with log.sql() as db:
            db.execute("INSERT INTO record VALUES (?, ?, ?, ?, ?)", row)
    log.verify(whole=True)


def test_a_record_in_parts_without_one_of_them_is_named(made, place):
    log = Log(place, made)
    parts = [at for at, kind, *_ in log.records() if kind == "part"]
    for at in parts:
        with log.sql() as db:
            (row,) = db.execute("SELECT * FROM record WHERE position = ?", (at,)).fetchall()
            db.execute("DELETE FROM record WHERE position = ?", (at,))
        first = log.verify(whole=False)["breaks"][0]
        assert first["after"] == parts[0] - 1 and f"offset {at} " in first["text"], first
        with log.sql() as db:
            db.execute("INSERT INTO record VALUES (?, ?, ?, ?, ?)", row)
    log.verify(whole=True)


def swap(log, a, b):
    with log.sql() as db:
        for new, old in ((-1, a), (a, b), (b, -1)):
            db.execute("UPDATE record SET position = ? WHERE position = ?", (new, old))


def mended_range(log):
    """The commit that the second epoch goes back to, and its open: what lies between is written anew."""
    commits = [at for at, kind, epoch, _ in log.records() if kind == "commit" and epoch == 1]
    return commits[3], next(at for at, kind, epoch, _ in log.records() if kind == "open" and epoch == 2)


def test_any_two_neighbours_swapped_are_named(log):
    """What the second epoch wrote anew mends a hole in the first, which is named all the same."""
    records = counted(log)
    base, mending = mended_range(log)
    for (a, _, epoch, _), (b, _, next_epoch, _) in zip(records[1:], records[2:]):
        swap(log, a, b)
        if epoch < next_epoch:  # the last change of what the open cuts off: it has no effect before or behind it
            log.verify(whole=True)
        else:
            mended = base < a < mending
            first = log.verify(whole=mended)["breaks"][0]
            assert first["after"] == a - 1 and first["at"] == a, (a, b, first)
            assert not mended or first["resume"] == mending, first
        swap(log, a, b)
    log.verify(whole=True)


def test_any_far_records_swapped_are_named(log):
    records = counted(log)
    for i in range(1, len(records) - 7, 3):
        a, b = records[i][0], records[i + 7][0]
        swap(log, a, b)
        first = log.verify(whole=False)["breaks"][0]
        assert first["after"] < a and first["at"] >= a, (a, b, first)
        swap(log, a, b)
    log.verify(whole=True)


@pytest.mark.parametrize("column", ["frame", "body"])
def test_any_flipped_bit_is_named(log, column):
    for at, kind, *_ in log.records():
        with log.sql() as db:
            (old,) = db.execute(f"SELECT {column} FROM record WHERE position = ?", (at,)).fetchone()
            where = (at * 131) % len(old)
            new = bytearray(old)
            new[where] ^= 1 << (at % 8)
            db.execute(f"UPDATE record SET {column} = ? WHERE position = ?", (bytes(new), at))
        first = log.verify(whole=False)["breaks"][0]
        assert first["error"] in ("SB-LOG-CORRUPT", "SB-LOG-FORMAT"), (at, first)
        assert f"{at}" in first["text"] and first["after"] < at, (at, first)
        with log.sql() as db:
            db.execute(f"UPDATE record SET {column} = ? WHERE position = ?", (old, at))
    log.verify(whole=True)


def test_the_extent_of_a_damage_is_told(log):
    """Ten records gone from the middle: good up to before, and again behind the next commit."""
    records = counted(log)
    gone = [at for at, *_ in records[6:16]]
    with log.sql() as db:
        db.execute(f"DELETE FROM record WHERE position BETWEEN {gone[0]} AND {gone[-1]}")
    report = log.verify(whole=False)
    (one,) = report["breaks"]
    assert one["after"] == gone[0] - 1 and gone[-1] < one["resume"] <= gone[-1] + 4
    assert report["last_commit_lsn"] == "0/1A00"


def test_a_log_without_its_beginning_is_proven_from_a_commit_taken_as_given(log):
    first_commit = next(at for at, kind, *_ in log.records() if kind == "commit")
    with log.sql() as db:
        db.execute("DELETE FROM record WHERE position < ?", (first_commit - 1,))
    report = log.verify(whole=True)
    assert not report["from_beginning"] and report["anchor"] == first_commit and report["transactions"] == 9
    assert "taken as given" in log.run("verify").stdout


def test_a_range_is_verified(made):
    report = made.verify("--from", "0/1600", "--to", "0/1800", whole=True)
    assert not report["from_beginning"] and report["last_commit_lsn"] == "0/1800"


def test_a_record_of_another_stream_is_foreign(log):
    with log.sql() as db:
        db.execute("UPDATE meta SET value = ? WHERE name = 'uuid'", (UUID.replace("0f3c", "0f3d"),))
    report = json.loads(log.run("verify", "--json", code=1).stdout)
    assert report["breaks"][0]["error"] == "SB-LOG-FOREIGN"


def test_a_store_that_is_not_there_is_said(place):
    log = Log.__new__(Log)
    log.folder = place
    log.config = place / "switchback.yaml"
    log.config.write_text(json.dumps({
        "migration": "shop", "state_dir": str(place),
        "source": {"dsn": "host=/nowhere"}, "target": {"dsn": "host=/nowhere"},
    }))
    log.config.chmod(0o600)
    assert "SB-NOT-PREPARED" in log.run("verify", code=78).stderr
