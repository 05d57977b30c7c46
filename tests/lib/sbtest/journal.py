"""What a client was told about its transactions, in files outside both databases, on disk before anything else happens.

One file a client, a line an event:

    begin ID K        is about to begin; it will leave K rows in each marked table, all or none
    ok ID             the server acknowledged its COMMIT
    past ID LSN       its commit record lies before this position (read after the acknowledgement)
    fail ID           it was rolled back, or ended before COMMIT was sent: no trace of it may ever be seen
    unknown ID        the connection was lost between COMMIT and its answer: either is right, on both sides the same

IDs of one client rise in the order in which it ran them, and it ran them one after the other.
"""

import os
import pathlib


class Journal:
    """One client's, being written."""

    def __init__(self, path):
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def _say(self, *words):
        os.write(self._file, (" ".join(map(str, words)) + "\n").encode())
        os.fsync(self._file)

    def begin(self, ident, k):
        self._say("begin", ident, k)

    def ok(self, ident):
        self._say("ok", ident)

    def past(self, ident, lsn):
        self._say("past", ident, lsn)

    def fail(self, ident):
        self._say("fail", ident)

    def unknown(self, ident):
        self._say("unknown", ident)


class Told:
    """Everything the journals of a folder say, followed while they grow. One reader, one thread."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self._files = {}
        self.begun = {}  # id -> k
        self.clients = {}  # file -> ids in the order in which they ran
        self.ok, self.failed, self.unknown = set(), set(), set()
        self.past = {}  # id -> a position behind its commit

    def _line(self, name, words):
        what, ident = words[0], int(words[1])
        if what == "begin":
            self.begun[ident] = int(words[2])
            self.clients.setdefault(name, []).append(ident)
        elif what == "past":
            self.past[ident] = int(words[2])
        else:
            {"ok": self.ok, "fail": self.failed, "unknown": self.unknown}[what].add(ident)

    def read(self):
        """Take in what was added; returns self."""
        for path in sorted(self.folder.glob("*.journal")):
            file = self._files.get(path)
            if file is None:
                file = self._files[path] = open(path, "rb")
            while True:
                at, line = file.tell(), file.readline()
                if not line.endswith(b"\n"):
                    file.seek(at)
                    break
                self._line(path.stem, line.decode().split())
        return self

    def close(self):
        for file in self._files.values():
            file.close()
        self._files.clear()
