"""The stage `reconcile` of a migration at work, as tests of it want to have it."""

import math
import re
import signal
import urllib.request

from sbtest import process, servers, verifying
from sbtest.wait import wait_until

PREFIX = "switchback_reconcile_"


class Reconciling:
    """A product with the stage at work; what it says of itself comes from /metrics."""

    def __init__(self, switchback, old, new, **config):
        stage = {"enabled": True, **config.pop("reconcile", {})}
        self.old, self.new = old, new
        with servers.free_port() as port:
            self.url = f"http://127.0.0.1:{port}/metrics"
            http = {"listen": f"127.0.0.1:{port}"}
            self.product = verifying.running(switchback, old, new, http=http, reconcile=stage, **config)

    def metrics(self):
        """name -> value, of those the stage keeps: short names, without `switchback_reconcile_`."""
        return wait_until(self._metrics, 30, "/metrics to answer", errors=(OSError,))

    def _metrics(self):
        with urllib.request.urlopen(self.url, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        ours = [line for line in lines if line.startswith(PREFIX)]
        return {re.split("[{ ]", line)[0].removeprefix(PREFIX): float(line.rsplit(" ", 1)[1]) for line in ours} or {"lag_seconds": math.inf}

    def metric(self, name):
        return self.metrics().get(name, 0)

    def lag(self):
        return self.metrics().get("lag_seconds", math.inf)

    def stage(self):
        return self.product.status()["reconcile"]["stage"]

    def wait_proven(self, timeout=90):
        """Until there is a frontier, and nothing open holds it."""
        wait_until(lambda: self.lag() < math.inf and self.metric("open_differences") == 0, timeout, "a frontier")

    def wait_passes(self, timeout=90):
        """Until what is committed on the source now is proven."""
        lsn = self.old.value("SELECT pg_current_wal_insert_lsn() - '0/0'")
        wait_until(lambda: self.metric("frontier_lsn") >= lsn, timeout, f"the frontier to pass {lsn}")

    def kill(self):
        """SIGKILL the stage; its supervisor starts it again. Returns the pid that is gone."""
        pid = wait_until(lambda: self.stage()["pid"], 30, "the stage to run")
        process.send(pid, signal.SIGKILL)
        wait_until(lambda: not process.alive(pid), 10, f"reconcile (pid {pid}) to end")
        return pid


def differences(new):
    return new.sql("SELECT relation, kind, state, key_shown FROM switchback.difference ORDER BY relation")


def foreign_write(server, statement, *params):
    """What somebody else writes on the target, past every trigger."""
    with server.connect() as session:
        session.execute("SET session_replication_role = replica")
        session.execute(statement, params)
