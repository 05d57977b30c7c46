"""`switchback run` and a stage alone, with stages that pretend: who dies, who is started again, who waits."""

import os
import signal
import subprocess
import time

import ops_fake
from ops_fake import gone
from sbtest.wait import wait_until

STOP_MAX_S = 10


def test_a_killed_stage_is_started_again_and_counted(place):
    with ops_fake.run(place) as fake:
        pids = fake.wait_running()
        for restarts in (1, 2):
            killed = fake.wait_state("apply", "running")["pid"]
            os.kill(killed, signal.SIGKILL)
            wait_until(
                lambda: fake.restarts() == restarts and fake.stage("apply")["pid"] not in (None, killed), 10, "apply to run again")
        assert fake.stage("capture")["pid"] == pids["capture"], "the other stage was not left alone"
        assert fake.stage("capture")["restarts"] == 0
        assert 'how="was killed by SIGKILL"' in fake.text()


def test_counters_survive_a_killed_stage(place):
    with ops_fake.run(place) as fake:
        pid = fake.wait_running()["apply"]
        wait_until(lambda: fake.status()["directions"][0]["positions"]["applied_lsn"] not in (None, "0/100000"), 10, "work")
        os.kill(pid, signal.SIGKILL)
        assert fake.status()["directions"][0]["positions"]["applied_lsn"] is not None


def test_children_die_with_their_supervisor(place):
    with ops_fake.run(place) as fake:
        pids = fake.wait_running()
        fake.signal(signal.SIGKILL)
        fake.process.wait(5)
        wait_until(lambda: all(gone(pid) for pid in pids.values()), 5, "the children to die")
        status = fake.status()
        assert status["running"] is False and status["standing"] is False
        assert all(stage["gone"] for stage in status["directions"][0]["stages"].values())


def test_a_new_supervisor_recovers_after_a_kill(place):
    with ops_fake.run(place) as fake:
        fake.wait_running()
        fake.signal(signal.SIGKILL)
        with ops_fake.run(place) as heir:
            heir.wait_running()
            assert heir.stop() == 0


def test_sigterm_stops_everything(place):
    for signo in (signal.SIGTERM, signal.SIGINT):
        with ops_fake.run(place) as fake:
            pids = fake.wait_running()
            fake.signal(signo)
            assert fake.process.wait(STOP_MAX_S) == 0
            assert all(gone(pid) for pid in pids.values())
            assert {fake.stage(name)["state"] for name in pids} == {"stopped"}
            assert "killing them" not in fake.text()


def test_sigterm_is_obeyed_within_ten_seconds_by_stages_that_hang(place):
    with ops_fake.run(place, "stuck", "deaf") as fake:
        pids = fake.wait_running()
        began = time.monotonic()
        assert fake.stop(STOP_MAX_S + 1) == 0
        assert time.monotonic() - began < STOP_MAX_S
        assert all(gone(pid) for pid in pids.values())


def test_http_answers_while_stages_drain(place):
    with ops_fake.run(place, "stuck") as fake:
        fake.wait_running()
        fake.signal(signal.SIGTERM)
        wait_until(lambda: fake.stage("apply")["state"] == "stopped", 5, "apply to stop")
        url = f"http://127.0.0.1:{fake.port()}/livez"
        assert subprocess.run(["curl", "-sf", "-m", "2", url], capture_output=True).returncode == 0
        assert fake.process.wait(STOP_MAX_S) == 0


def test_a_stage_that_fails_while_it_drains_does_not_start_again(place):
    with ops_fake.run(place, apply="sour") as fake:
        fake.wait_running()
        assert fake.stop() == 0
        assert fake.text().count("the broker went away while draining") == 1
        assert "told to stop: the next start recovers" in fake.text()


def test_a_halted_stage_stays_halted_until_resumed(place):
    with ops_fake.run(place, apply="halt") as fake:
        halted = fake.wait_state("apply", "halted")
        assert halted["error"] == "SB-POISON" and "poison show" in halted["hint"]
        assert fake.status()["standing"] is False
        fake.signal(signal.SIGHUP)  # means nothing
        wait_until(lambda: "SIGHUP ignored" in fake.text(), 5, "the log line")
        assert fake.stage("apply")["state"] == "halted" and fake.stage("apply")["pid"] == halted["pid"]
        fake.signal(signal.SIGUSR1)
        resumed = fake.wait_state("apply", "running")
        assert resumed["pid"] == halted["pid"] and resumed["restarts"] == 0 and resumed["error"] is None
        assert fake.text().count("a row will not go in") == 1, "an error is logged exactly once"


def test_a_halted_stage_stops_when_told(place):
    with ops_fake.run(place, apply="halt") as fake:
        fake.wait_state("apply", "halted")
        assert fake.stop(5) == 0


def test_a_resume_before_the_halt_means_nothing(place):
    """The stage runs, gets SIGUSR1, and is killed: its successor halts, and must stay so."""
    with ops_fake.run(place, capture="follow", apply="halt") as fake:
        fake.wait_state("apply", "halted")
        fake.signal(signal.SIGUSR1)
        pid = fake.wait_state("apply", "running")["pid"]
        os.kill(pid, signal.SIGUSR1)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: fake.restarts() == 1, 5, "the restart")
        fake.wait_state("apply", "halted")


def test_an_outage_is_retried_in_the_same_process_and_is_no_flood(place):
    with ops_fake.run(place, apply="retry") as fake:
        stage = fake.wait_state("apply", "backoff")
        assert stage["error"] == "SB-TARGET-UNAVAILABLE" and stage["pid"]
        for sent in range(1, 6):
            fake.signal(signal.SIGUSR1)  # cuts the wait short: a new attempt each time
            wait_until(lambda: fake.text().count("resume: halted stages try again") == sent, 5, "the signal to arrive")
        assert fake.restarts() == 0
        assert fake.text().count("could not connect to the target") == 1
        assert fake.stop(5) == 0, "a stage in back-off stops when told"


def test_a_fatal_error_ends_the_process_and_the_supervisor_backs_off(place):
    with ops_fake.run(place, apply="fatal") as fake:
        began = time.monotonic()
        wait_until(lambda: fake.restarts() >= 4, 20, "four restarts")
        assert time.monotonic() - began > 0.2 + 0.4 + 0.8, "restarts did not slow down"
        stage = fake.stage("apply")
        assert stage["error"] == "SB-IO", "the stage's own words are kept while it waits"
        assert 'how="ended with exit code 74"' in fake.text()
        assert fake.stop(5) == 0, "a supervisor with a child in back-off stops when told"


def test_a_stage_that_ends_unasked_is_started_again(place):
    with ops_fake.run(place, apply="quit") as fake:
        wait_until(lambda: fake.restarts() >= 2, 10, "restarts")


def test_sighup_storm_changes_nothing(place):
    with ops_fake.run(place) as fake:
        pids = fake.wait_running()
        for _ in range(200):
            fake.signal(signal.SIGHUP)
        wait_until(lambda: "SIGHUP ignored" in fake.text(), 5, "the log line")
        assert fake.wait_running() == pids


def test_a_second_supervisor_is_refused(place):
    with ops_fake.run(place) as first:
        pids = first.wait_running()
        with ops_fake.run(place) as second:
            assert second.process.wait(10) == 75
            assert "SB-STATE-LOCKED" in second.text() and str(first.pid) in second.text()
        with ops_fake.alone(place) as single:
            assert single.process.wait(10) == 75
            assert "SB-STATE-LOCKED" in single.text()
        assert first.wait_running() == pids, "the first one noticed"


def test_a_stage_runs_alone_once(place):
    with ops_fake.alone(place) as single:
        single.wait_state("apply", "running")
        assert single.status()["running"] is True and single.status()["standing"] is False, "capture is not there"
        with ops_fake.alone(place) as second:
            assert second.process.wait(10) == 75
        with ops_fake.run(place) as supervisor:
            assert supervisor.process.wait(10) == 75
        assert single.stop(5) == 0
        assert single.stage("apply")["state"] == "stopped"


def test_a_stage_alone_that_hangs_kills_itself(place):
    for manner in ("deaf", "stuck"):
        with ops_fake.alone(place, manner) as single:
            single.wait_state("apply", "running")
            began = time.monotonic()
            assert single.stop(STOP_MAX_S + 1) == -signal.SIGKILL
            assert time.monotonic() - began < STOP_MAX_S + 0.5
            assert "kills itself" in single.text()


def test_a_stage_alone_ends_with_the_exit_code_of_its_error(place):
    with ops_fake.alone(place, "fatal") as single:
        assert single.process.wait(10) == 74
        assert single.text().count("the disk under the fake is gone") == 1


def test_a_full_log_pipe_blocks_nobody(place):
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writing, True)
    with ops_fake.run(place, apply="halt", stderr=writing) as fake:
        fake.wait_state("apply", "halted", timeout=20)
        fake.signal(signal.SIGTERM)
        assert fake.process.wait(STOP_MAX_S) == 0
    os.close(reading)
    os.close(writing)


def test_a_log_pipe_without_a_reader_kills_nobody(place):
    reading, writing = os.pipe()
    with ops_fake.run(place, stderr=writing) as fake:
        os.close(reading)
        os.close(writing)
        pids = fake.wait_running()
        os.kill(pids["apply"], signal.SIGKILL)
        wait_until(lambda: fake.restarts() == 1 and fake.stage("apply")["pid"], 10, "the restart")
        fake.signal(signal.SIGTERM)
        assert fake.process.wait(STOP_MAX_S) == 0


def test_a_state_directory_of_others_is_refused(place):
    (place / "state").mkdir()
    (place / "state").chmod(0o777)
    with ops_fake.run(place) as fake:
        assert fake.process.wait(5) == 77 and "SB-INSECURE" in fake.text() and "chmod 700" not in fake.text()
    (place / "state").rmdir()
    (place / "state").write_text("a file")
    with ops_fake.run(place) as fake:
        assert fake.process.wait(5) == 74 and "is not a directory" in fake.text()


def test_the_state_directory_is_private(place):
    old = os.umask(0)
    try:
        with ops_fake.run(place) as fake:
            fake.wait_running()
            assert fake.state.stat().st_mode & 0o777 == 0o700
            assert all(one.stat().st_mode & 0o077 == 0 for one in fake.state.iterdir())
    finally:
        os.umask(old)


def test_an_address_in_use_is_a_clear_error(place):
    with ops_fake.run(place / "a") as first:
        port = first.port()
        with ops_fake.run(place / "b", listen=f"127.0.0.1:{port}") as second:
            assert second.process.wait(5) == 74
            assert "SB-IO" in second.text() and "http.listen" in second.text() and "in use" in second.text()
    for nonsense in ("9187", "127.0.0.1", "127.0.0.1:99999", "::1:9187", "no.such.host.invalid:1"):
        with ops_fake.run(place / "b", listen=nonsense) as third:
            assert third.process.wait(15) == 78 and "SB-CONFIG" in third.text(), nonsense


def test_no_listen_address_means_no_http(place):
    with ops_fake.run(place, listen="") as fake:
        fake.wait_running()
        assert "HTTP listens" not in fake.text()
        assert fake.stop() == 0
