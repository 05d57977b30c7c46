"""`switchback run`, `status`, `pause` and `resume` as an operator types them, on two real servers."""

import json
import os
import signal
import subprocess

import pytest

from sbtest import process
from sbtest.product import program
from sbtest.wait import wait_until

TABLE = "CREATE TABLE item (id int PRIMARY KEY, note text)"


@pytest.fixture
def shop(clusters, switchback):
    old, new = clusters(15, "old", settings={"wal_level": "logical"}), clusters(15, "new")
    old.sql(TABLE)
    new.sql(TABLE)
    shop = switchback(old, new, config={"insecure": True})
    shop.ok("prepare")
    return shop


def notes(cluster):
    return cluster.sql("SELECT id, note FROM item ORDER BY id")


def test_status_before_anything_ran(switchback, clusters):
    one = clusters(15, "one")
    shop = switchback(one, one)
    done = shop.verb("status")
    assert done.code == 1 and "nothing runs" in done.err and "switchback run" in done.err
    done = shop.verb("status", "--json")
    assert done.code == 1 and done.json()["running"] is False


def test_run_status_pause_resume(shop):
    run = shop.run()
    shop.wait_state("capture-forward", "running")
    shop.wait_state("apply-forward", "running")
    shop.old.sql("INSERT INTO item VALUES (1, 'one')")
    shop.wait_caught_up()
    assert notes(shop.new) == [(1, "one")]
    done = shop.ok("status")
    assert "in step with the source" in done.out and "insecure" in done.out

    shop.ok("pause")
    shop.wait_state("apply-forward", "waiting")
    done = shop.ok("status")
    assert "paused" in done.out
    shop.old.sql("INSERT INTO item VALUES (2, 'two')")
    wait_until(lambda: shop.status()["directions"][0]["lag"]["apply_bytes"], 10, "the stream to be ahead of the target")
    assert notes(shop.new) == [(1, "one")]
    assert "already" in (again := shop.ok("pause")).out + again.err

    shop.ok("resume")
    shop.wait_caught_up()
    assert notes(shop.new) == [(1, "one"), (2, "two")]
    assert run.stop() == 0
    assert shop.verb("status").code == 1


def test_resume_wakes_a_halted_stage(shop):
    shop.run()
    shop.new.sql("ALTER TABLE item RENAME COLUMN note TO remark")
    shop.old.sql("INSERT INTO item VALUES (1, 'one')")
    halted = shop.wait_state("apply-forward", "halted")
    assert halted["error"] and halted["hint"]
    assert shop.verb("status").code == 1
    shop.new.sql("ALTER TABLE item RENAME COLUMN remark TO note")
    done = shop.ok("resume")
    assert "1 halted stage" in done.out + done.err
    shop.wait_caught_up()
    assert notes(shop.new) == [(1, "one")]
    assert shop._stage("apply-forward")["pid"] == halted["pid"]


def test_pause_on_a_target_that_is_not_prepared(clusters, switchback):
    one = clusters(15, "one")
    switchback(one, one, config={"insecure": True}).refuses("SB-NOT-PREPARED", "pause")


def test_a_second_run_and_a_single_stage_are_refused(shop):
    shop.run()
    shop.wait_state("apply-forward", "running")
    shop.refuses("SB-STATE-LOCKED", "run", code=75)
    shop.refuses("SB-STATE-LOCKED", "apply", code=75)


def test_single_stages_do_the_same_work(shop):
    capture, apply = shop.start("capture"), shop.start("apply")
    shop.old.sql("INSERT INTO item VALUES (1, 'one')")
    shop.wait_caught_up()
    status = shop.verb("status")
    assert status.code == 0, status
    assert capture.stop() == 0 and apply.stop() == 0


def test_watch_redraws_until_interrupted_and_follows_a_new_supervisor(shop):
    run = shop.run()
    shop.wait_state("apply-forward", "running")
    watch = subprocess.Popen(
        [program(), "-c", shop.config_file, "status", "--watch", "--json"], stdout=subprocess.PIPE, text=True,
        env=shop.environment())
    try:
        def next_object():
            text = ""
            for line in watch.stdout:
                text += line
                if line == "}\n":
                    return json.loads(text)
            raise AssertionError("it ended")

        first = next_object()["supervisor"]["pid"]
        assert first == run.pid
        assert run.stop() == 0
        heir = shop.run()
        wait_until(lambda: next_object()["supervisor"]["pid"] == heir.pid, 15, "the new supervisor to be seen")
        watch.send_signal(signal.SIGINT)
        assert watch.wait(5) in (0, 1)
    finally:
        watch.kill()
        watch.wait()


def test_a_frozen_target_does_not_keep_a_stage_from_stopping(shop):
    run = shop.run()
    shop.wait_state("apply-forward", "running")
    shop.new.freeze()
    try:
        shop.old.sql("INSERT INTO item VALUES (1, 'one')")
        wait_until(lambda: shop.status()["directions"][0]["positions"]["stored_lsn"], 10, "the stream to have it")
        assert run.stop(10) == 0
    finally:
        shop.new.thaw()
    shop.run()
    shop.wait_caught_up()
    assert notes(shop.new) == [(1, "one")]


def test_no_process_is_left(shop):
    run = shop.run()
    pids = [shop.pid("capture-forward"), shop.pid("apply-forward")]
    os.kill(run.pid, signal.SIGKILL)
    wait_until(lambda: not any(process.alive(pid) for pid in pids), 5, "the stages to die with their supervisor")
