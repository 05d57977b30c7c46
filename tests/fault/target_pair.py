"""For the faults of the target: a migration under load, whose every doubled, lost or torn transaction shows."""

import contextlib
import itertools
import select
import socket
import threading

from sbtest import compare
from sbtest.servers import free_port

# `entry` has no key: what is applied twice is there twice. `part` and `other` get one row each of every transaction.
TABLES = """
CREATE TABLE entry (n int, what text);
CREATE TABLE part (n int PRIMARY KEY, what text);
CREATE TABLE other (n int PRIMARY KEY, what text);
"""


class Pair:
    """Old and new, prepared; stages are the test's to start. Options go to the new cluster."""

    def __init__(self, clusters, switchback, major=15, tables="", config=None, **new):
        self.old, self.new = clusters(15, "old"), clusters(major, "new", **new)
        for cluster in (self.old, self.new):
            cluster.sql(TABLES + tables)
        # Heartbeats are out of the way: batches are the test's own transactions.
        config = {"capture": {"heartbeat_interval_ms": 20000}, **(config or {})}
        self.product = switchback(self.old, self.new, config=config)
        self.product.ok("prepare")
        self.numbers = itertools.count(1)

    def write(self, count=1):
        """Transactions over three tables."""
        with self.old.connect(autocommit=False) as session:
            for n in itertools.islice(self.numbers, count):
                session.execute("INSERT INTO entry VALUES (%s, 'x')", (n,))
                session.execute("INSERT INTO part VALUES (%s, 'x')", (n,))
                session.execute("INSERT INTO other VALUES (%s, 'x')", (n,))
                session.commit()

    def wait_caught_up(self, timeout=60):
        self.product.wait_caught_up(timeout)

    def assert_equal(self):
        compare.assert_equal(self.old, self.new)

    def progress(self):
        return self.new.sql("SELECT * FROM switchback.progress")

    def content(self):
        """What a halted applier must leave alone."""
        return [self.new.sql(f"SELECT * FROM {table} ORDER BY n") for table in ("entry", "part", "other")]


class LostAnswer:
    """Between a client and a server: hands everything on until the client's COMMIT has been answered; that answer it
    keeps, and cuts the connection. What comes after passes."""

    def __init__(self, cluster):
        self.target = str(cluster.folder / f".s.PGSQL.{cluster.port}")
        self.armed, self.lost = threading.Event(), threading.Event()
        self._exit = contextlib.ExitStack()
        self.port = self._exit.enter_context(free_port())
        self._listener = self._exit.enter_context(socket.create_server(("127.0.0.1", self.port)))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(self.target)
            committing = False
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    try:
                        data = ready.recv(65536)
                    except OSError:
                        return
                    if not data:
                        return
                    if ready is client:
                        # A simple query: 'Q', length, text, NUL. COMMIT is its last statement.
                        committing = self.armed.is_set() and data[:1] == b"Q" and data.endswith(b"COMMIT\0")
                    elif committing:
                        self.armed.clear()
                        self.lost.set()
                        return
                    (server if ready is client else client).sendall(data)

    def close(self):
        self._exit.close()
