"""For the tests of check, prepare and remove: two clusters that live for a whole file, a pair of databases and a
migration for each test, and what is asked of them."""

import contextlib
import itertools
import re
import socket
import struct
import subprocess
import tempfile
import threading

import pytest

from sbtest.process import Process
from sbtest.product import Switchback
from sbtest.servers import Cluster
from sbtest.wait import wait_until

_numbers = itertools.count(1)
BASE = "CREATE TABLE item (id integer PRIMARY KEY, name text)"


@pytest.fixture(scope="module")
def servers(workspace):
    folder = tempfile.mkdtemp(prefix="", dir=workspace)
    with contextlib.ExitStack() as made:
        pair = [Cluster(folder, 15, name) for name in ("old", "new")]
        for cluster in pair:
            made.callback(cluster.close)
            cluster.start()
        yield pair


@pytest.fixture
def shop(servers, place):
    """A migration of its own name between two databases that hold the table `item`."""
    with contextlib.ExitStack() as made:
        old, new = servers
        name = f"shop{next(_numbers)}"
        for cluster in servers:
            cluster.create_db(name)
            cluster.sql(BASE, db=name)
        product = Switchback(place, old, new, db=name, migration=name)
        made.callback(product.close)
        product.slot = f"switchback_{name}_forward"
        yield product
        # Slots and origins are the server's, not the database's: the next test shall find none of them.
        for cluster in servers:
            cluster.sql("SELECT gid FROM pg_prepared_xacts")
            for (gid,) in cluster.sql("SELECT gid FROM pg_prepared_xacts WHERE database = %s", name):
                cluster.sql(f"ROLLBACK PREPARED '{gid}'", db=name)
        product.verb("remove", "--yes")


def findings(product, ident=None, result=None):
    """Rows of `check --json`."""
    rows = product.verb("check", "--json").json()["checks"]
    return [row for row in rows if ident in (None, row["id"]) and result in (None, row["result"])]


def failures(product):
    return {row["id"]: row for row in findings(product, result="fail")}


def run_statement(cluster, db, text):
    """What `check` says to run, as a person would: statement by statement, comments left out."""
    for one in re.split(r";\s+(?=[A-Z-])|;\s*$", text):
        one = re.sub(r"--.*", "", one).strip()
        if one:
            cluster.sql(one, db=db)


@contextlib.contextmanager
def slot_reader(product, name="pg_recvlogical"):
    """Somebody who reads the migration's slot, under this application name; gone with the block."""
    dsn = f"{product.old.dsn(product.db)} application_name='{name}'"
    reader = Process(
        [product.old.programs.bin / "pg_recvlogical", "-d", dsn, "-S", product.slot, "--start", "-f", "/dev/null",
         "-o", "proto_version=1", "-o", f"publication_names={product.slot}_keyed"],
        product.folder / "reader.log", env=product.old.programs.env)
    try:
        active = "SELECT 1 FROM pg_replication_slots WHERE slot_name = %s AND active"
        wait_until(lambda: product.old.sql(active, product.slot), 20, "the reader to hold the slot")
        yield reader
    finally:
        reader.kill9()


def fingerprint(cluster, db):
    """Everything in a database and of the server that prepare could have touched."""
    dump = subprocess.run(
        [cluster.programs.bin / "pg_dump", "--schema-only", cluster.dsn(db)], env=cluster.programs.env,
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout
    # Newer minor versions of pg_dump put a random word there.
    dump = re.sub(r"^\\(un)?restrict .*$", "", dump, flags=re.M)
    return {
        "dump": dump,
        "slots": cluster.sql("SELECT slot_name FROM pg_replication_slots ORDER BY 1"),
        "origins": cluster.sql("SELECT roname FROM pg_replication_origin ORDER BY 1"),
        "settings": cluster.sql("SELECT name, setting FROM pg_file_settings ORDER BY 1, 2"),
        "roles": cluster.sql("SELECT rolname, rolsuper, rolreplication FROM pg_roles ORDER BY 1"),
    }


class Between:
    """A proxy that speaks enough of the protocol to change what a server says of itself when a session begins."""

    def __init__(self, cluster, pid=None, version=None):
        self.server, self.pid, self.version = f"{cluster.folder}/.s.PGSQL.{cluster.port}", pid, version
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def dsn(self, db):
        return f"host=127.0.0.1 port={self.port} dbname={db} user=postgres sslmode=disable"

    def close(self):
        self.listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self.server)
                threading.Thread(target=self._forward, args=(client, server), daemon=True).start()
                threading.Thread(target=self._backward, args=(server, client), daemon=True).start()

    def _forward(self, client, server):
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_WR)

    def _backward(self, server, client):
        with contextlib.suppress(OSError, struct.error):
            reader = server.makefile("rb")
            while head := reader.read(5):
                kind, length = struct.unpack("!cI", head)
                body = self._change(kind, reader.read(length - 4))
                client.sendall(struct.pack("!cI", kind, len(body) + 4) + body)
        client.close()

    def _change(self, kind, body):
        if kind == b"K" and self.pid is not None:
            return struct.pack("!I", self.pid) + body[4:]
        if kind == b"S" and self.version is not None and body.startswith(b"server_version\0"):
            return b"server_version\0" + self.version.encode() + b"\0"
        return body
