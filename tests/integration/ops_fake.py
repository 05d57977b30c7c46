"""Starting tests/integration/ops_fake.c, and looking at it from outside."""

import json
import os
import pathlib
import re
import signal
import subprocess

from sbtest import need, tree
from sbtest.wait import wait_until

BUILD = pathlib.Path(os.environ.get("SB_BUILD_DIR", tree.ROOT / "build/dev"))
PROGRAM = BUILD / "tests/integration/ops_fake"
STAGES = ("capture", "apply")


class Fake:
    """One ops_fake process. Its log is a file, so that nothing has to be read for it to go on."""

    def __init__(self, folder, *args, stderr=None):
        if not PROGRAM.exists():
            need.missing(f"{PROGRAM} is not built")
        folder.mkdir(exist_ok=True)
        self.state = folder / "state"
        self.log = folder / f"log-{len(list(folder.glob('log-*')))}"
        self.process = subprocess.Popen(
            [PROGRAM, args[0], self.state, *args[1:]], stderr=stderr or self.log.open("wb"), start_new_session=True)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def status(self):
        done = subprocess.run([PROGRAM, "status", self.state], capture_output=True, text=True, timeout=10)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def stage(self, name):
        status = self.status()
        return status and status["directions"][0]["stages"][name]

    def restarts(self):
        stage = self.stage("apply")
        return stage["restarts"] if stage else 0

    def wait_state(self, name, state, timeout=10):
        """Until the stage is in that state, as a living process where the state has one; its report."""

        def look():
            stage = self.stage(name)
            return stage if stage and stage["state"] == state and (stage["pid"] or state in ("backoff", "stopped")) else None

        return wait_until(look, timeout, f"{name} to be {state}")

    def wait_running(self):
        return {name: self.wait_state(name, "running")["pid"] for name in STAGES}

    def port(self):
        found = wait_until(
            lambda: re.search(rb'msg="HTTP listens" host=\S+ port=(\d+)', self.log.read_bytes()), 10, "the HTTP port")
        return int(found.group(1))

    def text(self):
        return self.log.read_text()

    def signal(self, signo):
        os.kill(self.pid, signo)

    def stop(self, timeout=10):
        self.signal(signal.SIGTERM)
        return self.process.wait(timeout)


def run(folder, capture="follow", apply="follow", listen="127.0.0.1:0", **more):
    return Fake(folder, "run", listen, capture, apply, **more)


def alone(folder, apply="follow"):
    return Fake(folder, "alone", apply)


def gone(pid):
    """No such process, or one that only waits to be reaped."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True
