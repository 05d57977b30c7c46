"""A process a test started: on the leash, with its output in a file, killed, frozen and awaited by pid."""

import os
import pathlib
import signal
import subprocess

from sbtest.leash import Leash, descendants, stat
from sbtest.wait import wait_until

_leash = None


def leash():
    """The one of this test process."""
    global _leash
    if _leash is None:
        _leash = Leash()
    return _leash


def close_leash():
    global _leash
    if _leash is not None:
        _leash.close()
        _leash = None


def alive(pid):
    """Is there such a process, and not only its unread exit status?"""
    found = stat(pid)
    return found is not None and found[1] not in "ZX"


def send(pid, signo):
    """True if there was somebody to signal."""
    try:
        os.kill(pid, signo)
        return True
    except ProcessLookupError:
        return False


def freeze_tree(pid):
    """SIGSTOP pid and all its descendants. The parent first, so that it starts no more of them."""
    send(pid, signal.SIGSTOP)
    for child in descendants(pid):
        send(child, signal.SIGSTOP)


def thaw_tree(pid):
    for child in descendants(pid):
        send(child, signal.SIGCONT)
    send(pid, signal.SIGCONT)


def kill_tree(pid):
    """SIGKILL pid and all its descendants as of one moment; returns when none of them is left."""
    freeze_tree(pid)
    everybody = [*descendants(pid), pid]
    for one in everybody:
        send(one, signal.SIGKILL)
    return everybody


class Process:
    """One running program. Its output goes to log, which is appended to."""

    def __init__(self, command, log, env=None, cwd=None, last_signal=signal.SIGKILL):
        self.command, self.log = [str(word) for word in command], pathlib.Path(log)
        with open(self.log, "ab") as out:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, cwd=cwd,
                start_new_session=True,
            )
        leash().add(self.pid, last_signal)

    @property
    def pid(self):
        return self._process.pid

    @property
    def exit_code(self):
        """None while it runs; negative: ended by that signal."""
        code = self._process.poll()
        if code is not None:
            leash().drop(self.pid)
        return code

    def running(self):
        return self.exit_code is None

    def wait(self, timeout=30):
        """Its exit code, once it has ended."""
        return wait_until(
            lambda: None if self.exit_code is None else (self.exit_code,), timeout,
            f"the end of {self.command[0]} (pid {self.pid})",
        )[0]

    def signal(self, signo):
        if self.running():
            send(self.pid, signo)

    def memory_peak_kb(self):
        """The most that it has had in memory so far; 0 once it has ended."""
        try:
            words = pathlib.Path(f"/proc/{self.pid}/status").read_text().split()
        except OSError:
            return 0
        return int(words[words.index("VmHWM:") + 1]) if "VmHWM:" in words else 0

    def freeze(self):
        freeze_tree(self.pid)

    def thaw(self):
        thaw_tree(self.pid)

    def kill9(self):
        """SIGKILL, with all its descendants. Returns once all of them are gone."""
        if self.running():
            everybody = kill_tree(self.pid)
            self.wait(10)
            wait_until(lambda: not any(map(alive, everybody)), 10, f"the end of the children of pid {self.pid}")


def tail(path, lines=40):
    """The last lines of a text file; "" if there is none."""
    try:
        return "\n".join(pathlib.Path(path).read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
