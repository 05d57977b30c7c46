"""For tests of what arrives: clusters that live for a whole file, and migrations between two databases of theirs, running."""

import contextlib
import itertools
import pathlib
import re
import tempfile

import pytest

from sbtest import compare
from sbtest.product import CAUGHT_UP, Switchback
from sbtest.servers import Cluster
from sbtest.wait import wait_until

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(workspace):
    """server(15, "old"): the cluster of this name, started when it is first asked for, gone with the file."""
    folder, made = pathlib.Path(tempfile.mkdtemp(prefix="", dir=workspace)), {}
    with contextlib.ExitStack() as stack:

        def get(major, name):
            if (major, name) not in made:
                cluster = made[major, name] = Cluster(folder, major, f"{name}{major}")
                stack.callback(cluster.close)
                cluster.start()
            return made[major, name]

        yield get


class Flow:
    """One migration between databases of the same name on two clusters. The structure goes into both, or new_structure
    into the new one."""

    def __init__(self, place, old, new, structure, new_structure=None, encodings=(None, None), **config):
        self.old, self.new, self.db = old, new, f"flow{next(_numbers)}"
        for cluster, text, encoding in ((old, structure, encodings[0]), (new, new_structure or structure, encodings[1])):
            as_given = f"TEMPLATE template0 ENCODING '{encoding}'" if encoding else ""
            cluster.sql(f'CREATE DATABASE "{self.db}" {as_given}')
            cluster.sql(text, db=self.db)
        self.product = Switchback(place, old, new, db=self.db, migration=self.db, config=config)

        self.forgiven = 0

    def start(self):
        self.product.ok("prepare")
        self.stages = [self.product.start("capture"), self.product.start("apply")]
        return self

    def sql(self, statement, *params):
        return self.old.sql(statement, *params, db=self.db)

    def new_sql(self, statement, *params):
        return self.new.sql(statement, *params, db=self.db)

    def transaction(self, *statements):
        """On the old side."""
        with self.old.connect(self.db, autocommit=False) as session:
            for statement in statements:
                session.execute(statement)

    def errors(self):
        """Lines of the log that name an error which does not pass by itself."""
        lines = self.product.log.read_text(errors="replace").splitlines()
        return [line for line in lines if "level=error" in line]

    def settle(self, timeout=60):
        """Until the new side has everything that the old side has committed; a stage that halts fails the test at once."""
        before = self.old.value("SELECT pg_current_wal_insert_lsn()::text")
        self.sql("SELECT pg_logical_emit_message(true, 'test.settle', '')")
        arrived = (self.product.migration, "forward", before)

        def done():
            assert self.errors()[self.forgiven :] == []
            return self.new_sql(CAUGHT_UP, *arrived)

        wait_until(done, timeout, f"{self.db} to be applied up to {before}")

    def equal(self, tables=None):
        self.settle()
        compare.assert_equal(self.old, self.new, self.db, tables)

    def halts(self, ident, timeout=60):
        """A stage says that it cannot go on because of this error; returns what it says."""

        def found():
            return [line for line in self.errors()[self.forgiven :] if re.search(rf"\berror={ident}\b", line)]

        return wait_until(found, timeout, f"the log of {self.db} to say {ident}")[0]

    def resume(self):
        """Somebody has mended what a stage halted at."""
        self.forgiven = len(self.errors())
        for stage in self.stages:
            stage.resume()

    def exact(self):
        """Reasons for which a batch was not written in sets."""
        return re.findall(r'batch goes exact.*? reason=("(?:\\.|[^"\\])*"|\S+)', self.product.log.read_text(errors="replace"))

    def close(self):
        self.product.stop()
        self.product.verb("remove", "--yes")
        self.product.close()
        for cluster in (self.old, self.new):
            cluster.sql(f'DROP DATABASE "{self.db}" WITH (FORCE)')


@pytest.fixture
def flow(server, place):
    """flow("CREATE TABLE ..."): a running migration from 15 to 15; flow(..., majors=(14, 18), apply={"mode": "exact"})."""
    with contextlib.ExitStack() as stack:

        def make(structure, majors=(15, 15), start=True, **options):
            one = Flow(place, server(majors[0], "old"), server(majors[1], "new"), structure, **options)
            stack.callback(one.close)
            return one.start() if start else one

        yield make
