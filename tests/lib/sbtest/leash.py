"""Whatever a test starts stops with it, also when the test is SIGKILLed by a time-out.

A leash is a small process of its own session. It reads orders from a pipe whose other end only the test process
holds:  "+PID START SIGNAL\\n" (watch a process),  "-PID\\n" (it has ended),  "dir PATH\\n" (remove at the end).
When the pipe ends, the test process is gone: every process still watched gets its signal (SIGQUIT for a PostgreSQL
server, so that it cleans up), it and all its descendants get SIGCONT in case they were frozen, and who is left three
seconds later gets SIGKILL. START, the process's start time, keeps it from signalling a stranger that got the same pid.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time


def start_time(pid):
    """Clock ticks since boot at which pid started; None if there is no such process. Field 22 of /proc/PID/stat."""
    try:
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError):
        return None


def stat(pid):
    """(parent, state) of a process; None if it is gone."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), fields[0]


def descendants(pid):
    """Pids of all living children, grandchildren ... of pid."""
    parents = {}
    for entry in os.listdir("/proc"):
        found = stat(entry) if entry.isdigit() else None
        if found is not None and found[1] not in "ZX":
            parents[int(entry)] = found[0]
    everybody, level = [], {pid}
    while level:
        level = {child for child, parent in parents.items() if parent in level}
        everybody += sorted(level)
    return everybody


class Leash:
    """One a test process."""

    def __init__(self):
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-S", __file__], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True, text=True,
        )

    def _say(self, line):
        with self._lock:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def add(self, pid, signo=signal.SIGKILL):
        self._say(f"+{pid} {start_time(pid) or 0} {int(signo)}")

    def drop(self, pid):
        self._say(f"-{pid}")

    def add_dir(self, path):
        self._say(f"dir {path}")

    def close(self):
        """The regular end: what is still watched is ended, the directories are removed."""
        self._process.stdin.close()
        self._process.wait(timeout=15)


def _signal(pid, started, signo):
    """False if that process is not there any more."""
    if start_time(pid) != started:
        return False
    try:
        os.kill(pid, signo)
    except ProcessLookupError:
        return False
    return True


def main():
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    watched, dirs = {}, []
    for line in sys.stdin:
        if line.startswith("+"):
            pid, started, signo = map(int, line[1:].split())
            watched[pid] = (started, signo)
        elif line.startswith("-"):
            watched.pop(int(line[1:]), None)
        elif line.startswith("dir "):
            dirs.append(line[4:].rstrip("\n"))
    left = []
    for pid, (started, signo) in watched.items():
        everybody = [(one, start_time(one)) for one in descendants(pid)] if start_time(pid) == started else []
        left += [(pid, started), *everybody]
        _signal(pid, started, signo)
        for one, since in [*everybody, (pid, started)]:
            _signal(one, since, signal.SIGCONT)
    deadline = time.monotonic() + 3
    while left and time.monotonic() < deadline:
        left = [(pid, started) for pid, started in left if start_time(pid) == started]
        time.sleep(0.05)
    for pid, started in left:
        _signal(pid, started, signal.SIGKILL)
    for path in dirs:
        shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    main()
