"""What a broker can do to us (C1 to C19): each test proves first that its fault took place. Every one ends in one of two
ways: it goes on and both sides are equal, or a stage halts with its id; the new side never holds a wrong row."""

import os
import pathlib
import re
import sqlite3
import subprocess
import urllib.request

import pytest

from sbtest import product
from sbtest.pipeline import CONTROL, LOG, Pipeline
from sbtest.servers import free_port
from sbtest.wait import wait_until

# The frame of a record (docs/STREAM-FORMAT.md), read here without the product's help.
FRAME, UUID, EPOCH, SEQUENCE = "switchback", slice(8, 24), slice(24, 32), slice(32, 40)
OPEN = 1


@pytest.fixture
def pipeline(clusters, brokers, switchback):
    return lambda **options: Pipeline(clusters, brokers, switchback, **options).prepare()


def frames(broker):
    """[(offset, frame)] of every record of ours in the topic."""
    found = []
    for message in broker.read(LOG):
        for name, value in message.headers() or []:
            if name == FRAME:
                found.append((message.offset(), value))
    return found


def number(frame, field):
    return int.from_bytes(frame[field], "big")


def holes(broker):
    """[(epoch, sequence before, sequence behind)] within an epoch."""
    newest, found = {}, []
    for _, frame in frames(broker):
        epoch, sequence = number(frame, EPOCH), number(frame, SEQUENCE)
        if sequence > newest.get(epoch, sequence) + 1:
            found.append((epoch, newest[epoch], sequence))
        newest[epoch] = max(sequence, newest.get(epoch, 0))
    return found


def wait_stored(pipe, timeout=60):
    """Until the stream ends with everything committed so far: the marker's own commit is in it."""
    lsn = pipe.old.value("SELECT pg_current_wal_insert_lsn()::text")
    pipe.old.sql("SELECT pg_logical_emit_message(true, 'test.stored', '')")
    high, low = (int(part, 16) for part in lsn.split("/"))
    wait_until(
        lambda: any(number(frame, slice(40, 48)) >= high << 32 | low for _, frame in frames(pipe.broker)), timeout,
        f"the stream to hold {lsn}",
    )


def leave_capture_alone(pipe):
    """Apply is stopped, not paused: paused, it would have fetched ahead what the broker then loses."""
    pipe.product.stop()
    seen = pipe.epochs()
    pipe.product.start("capture")
    wait_until(lambda: pipe.epochs() > seen, 60, "capture to follow")
    return seen + 1


def lose_the_end(pipe, offset):
    """The broker forgets everything from offset on (or a little before); capture goes on and other records come to stand
    where they stood. Returns the offset from which on everything is another."""
    old_end = pipe.broker.bounds(LOG)[1]
    pipe.broker.stop()
    cut = pipe.broker.cut_tail(LOG, offset)
    assert cut < old_end
    pipe.insert(60)
    pipe.broker.start()
    wait_until(lambda: pipe.broker.bounds(LOG)[1] > old_end, 60, "other records where the lost ones were")
    return cut


# -- C7, C8: what was acknowledged is gone


@pytest.mark.parametrize("everything", [False, True], ids=["some of the incarnation", "all of the incarnation"])
def test_an_end_lost_before_it_was_applied_is_written_anew_from_the_slot(pipeline, everything):
    """The slot waits for the target (`ack: target`), so the source still has all of it. A broker that has nothing left
    of a producer takes its next records as they come; otherwise it refuses them."""
    pipe = pipeline()
    pipe.run()
    pipe.insert(30)
    pipe.product.wait_caught_up()
    seen = leave_capture_alone(pipe)
    pipe.insert(60)
    wait_stored(pipe)
    before = frames(pipe.broker)
    epoch = number(before[-1][1], EPOCH)
    opened = next(at for at, frame in before if number(frame, EPOCH) == epoch)
    cut = lose_the_end(pipe, opened if everything else before[-40][0])
    assert cut <= opened if everything else opened < cut
    wait_until(lambda: pipe.epochs() > seen, 60, "capture to begin anew")
    now, lost = frames(pipe.broker), dict(before)
    assert all(lost.get(at) == frame for at, frame in now if at < cut)
    assert all(lost.get(at) != frame for at, frame in now if at >= cut), "nothing was lost"
    first = next((frame for _, frame in now if number(frame, EPOCH) == epoch), None)
    if everything:
        assert first is not None and first[4] != OPEN, "the old incarnation appended nothing behind what was lost"
    pipe.product.start("apply")
    pipe.insert(5)
    pipe.assert_equal()
    assert len(pipe.applied()) == 155
    assert pipe.product.log_contains("a newer epoch wrote the missing records anew") == everything
    report = pipe.product.ok("stream", "verify", "--json").json()
    assert report["whole"] and [one["mended"] for one in report["breaks"]] == [True] * everything, report


def test_an_end_lost_after_it_was_applied_costs_nothing(pipeline):
    pipe = pipeline()
    pipe.run()
    pipe.insert(60)
    pipe.product.wait_caught_up()
    cut = lose_the_end(pipe, pipe.broker.bounds(LOG)[1] - 30)
    pipe.insert(5)
    pipe.assert_equal()
    assert len(pipe.applied()) == 125 and pipe.epochs() >= 2
    assert cut < pipe.broker.bounds(LOG)[1]


def test_an_end_lost_that_the_slot_has_passed_halts(pipeline):
    """`ack: stream` confirms what the broker acknowledged: then nobody has it any more."""
    pipe = pipeline(capture={"ack": "stream"})
    pipe.run()
    pipe.insert(30)
    pipe.product.wait_caught_up()
    leave_capture_alone(pipe)
    pipe.insert(60)
    wait_stored(pipe)
    stored = frames(pipe.broker)[-1][1]
    lost_lsn = number(stored, slice(40, 48))

    def confirmed():
        high, low = (
            int(part, 16)
            for part in pipe.old.value("SELECT confirmed_flush_lsn::text FROM pg_replication_slots").split("/")
        )
        return high << 32 | low

    wait_until(lambda: confirmed() >= lost_lsn, 60, "the slot to pass what will be lost")
    pipe.broker.stop()
    end = pipe.broker.batches(LOG)[-1][3]
    assert pipe.broker.cut_tail(LOG, end - 40) < end
    pipe.insert(20)
    pipe.broker.start()
    pipe.product.wait_halted("capture-forward", "SB-LOG-TRUNCATED", 90)
    pipe.product.ok("resume")
    pipe.product.wait_halted("capture-forward", "SB-LOG-TRUNCATED", 90)
    pipe.product.start("apply")
    wait_until(
        lambda: pipe.product._stage("apply-forward")["state"] in ("halted", "backoff", "running"), 60,
        "apply to meet what is left",
    )
    assert 30 <= pipe.assert_prefix() < 90


def test_a_topic_that_was_emptied_costs_nothing_that_was_applied(pipeline):
    """Deleted and made again by an admin: its control topic still says whose it is, the log has nothing."""
    pipe = pipeline()
    pipe.run()
    pipe.insert(40)
    pipe.product.wait_caught_up()
    config = {"cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime"}
    pipe.broker.delete_topic(LOG)
    pipe.broker.create_topic(LOG, **config)
    assert pipe.broker.bounds(LOG)[0] == 0
    pipe.insert(40)
    pipe.assert_equal(120)
    assert len(pipe.applied()) == 80
    wait_until(lambda: pipe.epochs() >= 2, 30, "the new incarnation to say that it follows")


# -- C9: the consumer is passed


def test_retention_that_passes_the_reader_is_a_gap(pipeline):
    pipe = pipeline()
    pipe.run()
    pipe.insert(20)
    pipe.product.wait_caught_up()
    leave_capture_alone(pipe)
    pipe.insert(60)
    wait_stored(pipe)
    end = pipe.broker.bounds(LOG)[1]
    pipe.broker.delete_records(LOG, end - 10)
    assert pipe.broker.bounds(LOG)[0] == end - 10
    pipe.product.start("apply")
    pipe.product.wait_halted("apply-forward", "SB-LOG-GAP", 60)
    pipe.insert(20)
    wait_stored(pipe)
    pipe.product.ok("resume")
    pipe.product.wait_halted("apply-forward", "SB-LOG-GAP", 60)
    assert pipe.assert_prefix() == 20


def test_a_missing_segment_in_the_middle_is_a_gap(pipeline):
    """The broker serves what follows as if nothing were missing."""
    pipe = pipeline(broker={"log.segment.bytes": 1 << 20})
    pipe.run()
    pipe.insert(20)
    pipe.product.wait_caught_up()
    leave_capture_alone(pipe)
    pipe.insert(80, size=60000)
    wait_stored(pipe)
    pipe.broker.stop()
    assert len(pipe.broker.segments(LOG)) >= 4
    lost = pipe.broker.drop_segment(LOG, 2)
    pipe.broker.start()
    assert any(behind > before + 1 for _, before, behind in holes(pipe.broker)), "nothing is missing"
    assert lost not in [at for at, _ in frames(pipe.broker)]
    pipe.product.start("apply")
    pipe.product.wait_halted("apply-forward", "SB-LOG-GAP", 90)
    assert 20 <= pipe.assert_prefix() < 100
    report = pipe.product.verb("stream", "verify", "--json")
    assert report.code == 1 and report.json()["breaks"][0]["error"] == "SB-LOG-GAP"


# -- C10: another topic


def test_topics_made_anew_are_foreign(pipeline):
    pipe = pipeline()
    pipe.run()
    pipe.insert(20)
    pipe.product.wait_caught_up()
    pipe.product.stop()
    pipe.broker.delete_topic(LOG, CONTROL)
    log = {"cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime"}
    pipe.broker.create_topic(LOG, **log)
    pipe.broker.create_topic(CONTROL, **{"cleanup.policy": "compact"})
    pipe.insert(5)
    pipe.product.run()
    for stage in ("capture-forward", "apply-forward"):
        pipe.product.wait_halted(stage, "SB-LOG-FOREIGN", 60)
    assert pipe.assert_prefix() == 20
    assert pipe.broker.read(LOG) == []
    pipe.product.stop()
    pipe.broker.add_partitions(LOG, 2)
    pipe.product.run()
    for stage in ("capture-forward", "apply-forward"):
        pipe.product.wait_halted(stage, "SB-STREAM-CONFIG", 60)


# -- C12: bits


def test_a_flipped_bit_is_found_where_it_is(pipeline):
    pipe = pipeline()
    pipe.run()
    pipe.insert(20)
    pipe.product.wait_caught_up()
    leave_capture_alone(pipe)
    applied_to = pipe.broker.bounds(LOG)[1]
    for _ in range(4):  # apart, so that they are several batches
        pipe.insert(15)
        wait_stored(pipe)
    pipe.broker.stop()
    later = [first for _, _, _, first in pipe.broker.batches(LOG) if first > applied_to]
    pipe.broker.flip_bit(LOG, later[len(later) // 2])
    pipe.broker.start()
    with pytest.raises(AssertionError):
        pipe.broker.read(LOG)  # somebody else's client sees it too
    pipe.product.start("apply")
    pipe.product.wait_halted("apply-forward", "SB-LOG-CORRUPT", 60)
    assert pipe.product.log_contains(rf'topic ."{LOG}.", offset \d+')
    assert 20 <= pipe.assert_prefix() < 80


# -- C16: strangers


def messages(broker):
    return [(one.key(), one.value(), one.headers() or []) for one in broker.read(LOG)]


def test_strangers_in_the_topic_are_refused_and_counted(pipeline):
    with free_port() as port:
        pipe = pipeline(http={"listen": f"127.0.0.1:{port}"})
        pipe.run()
        pipe.insert(20)
        pipe.product.wait_caught_up()
        ours = messages(pipe.broker)
        junk = [(None, b"", []), (b"k", None, []), (b"k", os.urandom(5000), [("other", b"x")]), (None, b"x" * 100, [])]
        pipe.broker.produce_messages(LOG, junk)
        pipe.broker.produce_messages(LOG, ours)  # our own records, replayed
        pipe.broker.produce_in_transactions(LOG, [b"committed", b"aborted"])
        pipe.insert(20)
        pipe.assert_equal()

        def refused():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
                page = answer.read().decode()
            found = re.findall(r'^switchback_stream_foreign_total\{[^}]*apply[^}]*\} (\d+)', page, re.M)
            return found and int(found[0]) == len(junk) + 1

        wait_until(refused, 20, "the strangers to be counted")
        assert len(pipe.applied()) == 40
        report = pipe.product.ok("stream", "verify", "--json").json()
        assert report["whole"] and report["dropped"] == len(ours)
        pipe.product.stop()
        pipe.run()  # a new tail is found behind all of it
        pipe.insert(5)
        pipe.assert_equal()


def another_stream(folder):
    """Frame and body of a sound record of another migration."""
    path = folder / "another.db"
    subprocess.run(
        [product.BUILD / "tests/integration/log_writer", path, "0f3c5a52-9f6e-4a35-8d83-6a3a4b6f2d10", "small"],
        check=True, timeout=60,
    )
    with sqlite3.connect(path) as log:
        return log.execute("SELECT frame, body FROM record ORDER BY position LIMIT 1").fetchone()


@pytest.mark.parametrize("what", ["another stream", "a changed body"])
def test_a_record_that_claims_to_be_ours_halts(pipeline, what):
    pipe = pipeline()
    pipe.run()
    pipe.insert(20)
    pipe.product.wait_caught_up()
    key, body, headers = messages(pipe.broker)[-1]
    frame = dict(headers)[FRAME]
    if what == "a changed body":
        body = bytes([body[0], *body[1:-1], body[-1] ^ 1])
    else:
        frame, body = another_stream(pipe.product.folder)
        assert frame[UUID] != dict(headers)[FRAME][UUID]
    pipe.broker.produce_messages(LOG, [(key, body, [(FRAME, frame)])])
    ident = "SB-LOG-FOREIGN" if what == "another stream" else "SB-LOG-CORRUPT"
    pipe.product.wait_halted("apply-forward", ident, 60)
    pipe.insert(5)
    pipe.product.ok("resume")
    pipe.product.wait_halted("apply-forward", ident, 60)
    assert pipe.assert_prefix() == 20


# -- C1, C2, C14: nobody answers


def resident_bytes(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024


def test_capture_waits_for_a_frozen_broker_and_answers_the_source(pipeline):
    """Longer than the source's own patience, and with more to store than capture may hold."""
    pipe = pipeline(
        old={"wal_sender_timeout": "8s"}, stream={"queue_max_bytes": 8 << 20}, capture={"ack": "target"},
    )
    pipe.run()
    pipe.insert(10)
    pipe.product.wait_caught_up()
    pid = pipe.product.pid("capture-forward")
    sender = "SELECT active_pid FROM pg_replication_slots"
    walsender = pipe.old.value(sender)
    began_bytes = resident_bytes(pid)
    pipe.broker.freeze()
    pipe.insert(60, size=500000)
    frozen_at = pipe.old.value("SELECT clock_timestamp()")
    pipe.product.wait_state("capture-forward", "waiting", 30)
    wait_until(
        lambda: pipe.old.value("SELECT clock_timestamp() > %s + interval '17 seconds'", frozen_at), 40,
        "more than twice the source's patience to pass", every=0.2,
    )
    held_bytes = resident_bytes(pid) - began_bytes
    assert pipe.old.value(sender) == walsender, "the source gave capture up"
    assert pipe.epochs() == 1 and pipe.product.pid("capture-forward") == pid
    assert held_bytes < 96 << 20, f"capture holds {held_bytes >> 20} MiB"
    pipe.broker.thaw()
    pipe.assert_equal(120)
    assert pipe.epochs() == 1


def test_a_broker_that_is_gone_for_long_is_waited_for(pipeline):
    pipe = pipeline()
    pipe.run()
    pipe.insert(10)
    pipe.product.wait_caught_up()
    pipe.broker.kill9()
    pipe.insert(50)
    began = pipe.old.value("SELECT clock_timestamp()")
    wait_until(
        lambda: pipe.old.value("SELECT clock_timestamp() > %s + interval '8 seconds'", began), 40, "a while", every=0.2
    )
    assert pipe.assert_prefix() == 10
    pipe.broker.start()
    pipe.assert_equal(90)


# -- C11: limits move


def test_a_limit_that_is_lowered_is_survived(pipeline):
    pipe = pipeline()
    pipe.run()
    pipe.insert(3, size=600000)
    pipe.product.wait_caught_up()
    largest = max(len(one.value()) for one in pipe.broker.read(LOG))
    assert largest > 500000
    pipe.broker.alter_topic(LOG, **{"max.message.bytes": 100000})
    pipe.insert(3, size=600000)
    pipe.insert(20)
    pipe.assert_equal()
    assert pipe.epochs() >= 2
    parts = [one.value() for one in pipe.broker.read(LOG)]
    assert max(map(len, parts[-40:])) < 100000


# -- C4: what is appended after the successor has read the tail


def test_a_frozen_writer_that_wakes_up_harms_nobody(pipeline):
    """It wakes with records in its queue, and sends them behind the `open` of its successor."""
    pipe = pipeline()
    zombie = pipe.product.start("capture")
    wait_until(lambda: pipe.epochs() == 1, 60, "capture to follow")
    pipe.insert(10)
    wait_stored(pipe)
    pipe.broker.freeze()
    pipe.insert(100)
    lsn = pipe.old.value("SELECT pg_current_wal_insert_lsn()::text")
    wait_until(
        lambda: pipe.old.value("SELECT sent_lsn >= %s::pg_lsn FROM pg_stat_replication", lsn), 30, "capture to have it all"
    )
    zombie.freeze()
    pipe.broker.thaw()
    (pipe.product.folder / "second").mkdir(mode=0o700)
    pipe.product.configure(state_dir=str(pipe.product.folder / "second"))
    pipe.run()
    pipe.product.wait_caught_up(90)
    opened = max(at for at, frame in frames(pipe.broker) if frame[4] == OPEN)
    zombie.thaw()
    wait_until(
        lambda: any(at > opened and number(frame, EPOCH) == 1 for at, frame in frames(pipe.broker)), 60,
        "the zombie to append behind its successor's open",
    )
    assert zombie.wait(60) == 75 and pipe.product.log_contains("SB-EPOCH-STALE")
    pipe.insert(10)
    pipe.assert_equal()
    assert len(pipe.applied()) == 120
    report = pipe.product.ok("stream", "verify", "--json").json()
    assert report["whole"] and report["dropped"] > 0
