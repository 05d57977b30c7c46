"""The load of the torture test: bank transfers and a multi-table workload against the source, as a program of its own.

    python -m sbtest.load DSN FOLDER SEED CLIENTS PAUSE_MS      until SIGTERM; journals go to FOLDER

It knows nothing of the product: it is the application. Each transaction has an id and a number k; it writes one row
into `tx` first and, at its end, k rows into `part_a`, `part_b` and the keyless `pulse`. In between it does what an
application does: transfers, appends to a list, unique swaps, key moves, unchanged TOAST, savepoints that are rolled
back, TRUNCATE, now and then a large transaction, now and then a ROLLBACK. The journal says what it was told.
"""

import pathlib
import random
import signal
import sys
import threading
import time
import traceback

import psycopg

from sbtest import history
from sbtest.journal import Journal

BANK_ROWS, BANK_EACH, GUARDED_ROWS, LARGE_ROWS = 40, 1000, 5, 1000
IDS_A_CLIENT = 10**9
ABORTED_PART = 1000  # number of a row that is written under a savepoint and rolled back

TABLES = f"""
{history.source_schema()}
CREATE TABLE tx (id bigint PRIMARY KEY, client int NOT NULL, k int NOT NULL);
CREATE TABLE part_a (tx bigint, n int, PRIMARY KEY (tx, n));
CREATE TABLE part_b (n int, tx bigint, what text, PRIMARY KEY (tx, n));
CREATE TABLE pulse (tx bigint NOT NULL);
CREATE TABLE bank (id int PRIMARY KEY, balance bigint NOT NULL, version bigint NOT NULL, note text NOT NULL);
ALTER TABLE bank ALTER note SET STORAGE EXTERNAL;
CREATE TABLE list_head (only_row int PRIMARY KEY, n bigint NOT NULL);
CREATE TABLE list (n bigint PRIMARY KEY, tx bigint NOT NULL);
CREATE TABLE guarded (id int PRIMARY KEY, version bigint NOT NULL);
CREATE TABLE heap (id bigint PRIMARY KEY, tx bigint NOT NULL, version int NOT NULL, what text);
INSERT INTO bank SELECT g, {BANK_EACH}, 0, repeat('n', 4000) FROM generate_series(1, {BANK_ROWS}) g;
INSERT INTO list_head VALUES (1, 0);
INSERT INTO guarded SELECT g, 0 FROM generate_series(1, {GUARDED_ROWS}) g;
"""
# On the target only: who goes back in version is written down, also when it is replication that does it. Only
# `guarded` has it, because apply does such tables change by change.
WATCH = """
CREATE SCHEMA watch;
CREATE TABLE watch.decrease (id int, was bigint, became bigint);
CREATE FUNCTION watch.note_decrease() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.version < OLD.version THEN
        INSERT INTO watch.decrease VALUES (OLD.id, OLD.version, NEW.version);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER note_decrease AFTER UPDATE ON public.guarded FOR EACH ROW EXECUTE FUNCTION watch.note_decrease();
ALTER TABLE public.guarded ENABLE ALWAYS TRIGGER note_decrease;
"""


class Client:
    """One connection and one journal; runs transactions one after the other."""

    def __init__(self, dsn, folder, seed, number):
        self.dsn, self.number = dsn, number
        self.random = random.Random(f"{seed}-{number}")
        self.history = history.History(seed * 16 + number)
        self.journal = Journal(pathlib.Path(folder) / f"client-{number}.journal")
        self.connection, self.done, self.heaps = None, 0, []

    # -- what a transaction does

    def transfer(self, run, ident):
        """In the order of the ids, so that two transfers do not wait for one another in a circle."""
        one, other = sorted(self.random.sample(range(1, BANK_ROWS + 1), 2))
        amount = self.random.randrange(-50, 51)
        for row, change in ((one, amount), (other, -amount)):
            run("UPDATE bank SET balance = balance + %s, version = version + 1 WHERE id = %s", (change, row))
        if self.random.random() < 0.1:
            run("UPDATE bank SET note = %s, version = version + 1 WHERE id = %s",
                (self.random.choice("abc") * self.random.randrange(3000, 6000), other))

    def append(self, run, ident):
        """Appends wait for one another until the commit: the list is in commit order."""
        run("UPDATE list_head SET n = n + 1")
        run("INSERT INTO list SELECT n, %s FROM list_head", (ident,))

    def guard(self, run, ident):
        run("UPDATE guarded SET version = version + 1 WHERE id = %s", (self.random.randrange(1, GUARDED_ROWS + 1),))

    def histories(self, run, ident):
        for _ in range(self.random.randrange(1, 4)):
            self.history.one(run)

    def large(self, run, ident):
        run("INSERT INTO heap SELECT %s * 10000 + g, %s, 0, repeat('h', 50) FROM generate_series(1, %s) g",
            (ident, ident, LARGE_ROWS))
        self.heaps.append(ident)
        if len(self.heaps) > 1:
            run("UPDATE heap SET version = version + 1 WHERE tx = %s", (self.random.choice(self.heaps),))
        if len(self.heaps) > 2:
            run("DELETE FROM heap WHERE tx = %s", (self.heaps.pop(0),))

    def undone(self, run, ident):
        """Rows of a savepoint that is rolled back are of an aborted transaction as well."""
        run("SAVEPOINT undone")
        run("INSERT INTO part_a VALUES (%s, %s)", (ident, ABORTED_PART))
        run("INSERT INTO pulse VALUES (%s)", (ident,))
        run("UPDATE bank SET balance = balance - 1, version = version + 1 WHERE id = 1")
        run("ROLLBACK TO undone")

    ACTIONS = [(transfer, 6), (append, 2), (guard, 0.3), (histories, 5), (large, 0.05), (undone, 1)]

    def body(self, run, ident, k):
        run("INSERT INTO tx VALUES (%s, %s, %s)", (ident, self.number, k))
        actions, weights = zip(*self.ACTIONS)
        for action in self.random.choices(actions, weights, k=self.random.randrange(1, 4)):
            action(self, run, ident)
        for n in range(k):
            run("INSERT INTO part_a VALUES (%s, %s)", (ident, n))
            run("INSERT INTO part_b VALUES (%s, %s, 'b')", (n, ident))
            run("INSERT INTO pulse VALUES (%s)", (ident,))

    # -- what it is told

    def run(self, statement, parameters=None):
        return self.connection.execute(statement, parameters)

    def transaction(self):
        self.done += 1
        ident, k = self.number * IDS_A_CLIENT + self.done, self.random.randrange(1, 4)
        self.journal.begin(ident, k)
        try:
            self.run("BEGIN")
            self.body(self.run, ident, k)
            aborts = self.random.random() < 0.06
            if aborts:
                self.run("ROLLBACK")
        except psycopg.Error:
            self.journal.fail(ident)
            raise
        if aborts:
            self.journal.fail(ident)
        else:
            self.commit(ident)

    def commit(self, ident):
        try:
            answer = self.run("COMMIT").statusmessage
        except psycopg.Error:
            if self.connection.broken:
                self.journal.unknown(ident)
            else:
                self.journal.fail(ident)
            raise
        assert answer == "COMMIT", answer
        self.journal.ok(ident)
        self.journal.past(ident, self.run("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").fetchone()[0])

    def connect(self):
        self.connection = psycopg.connect(self.dsn, autocommit=True, connect_timeout=5, application_name="load")

    def one(self):
        """A transaction, or an attempt to get the connection back."""
        try:
            if self.connection is None:
                self.connect()
            self.transaction()
        except psycopg.Error:
            if self.connection is not None and not self.connection.broken:
                self.connection.execute("ROLLBACK")
            elif self.connection is not None:
                self.connection.close()
                self.connection = None

    def live(self, stop, pause_s):
        while not stop.wait(self.random.random() * 2 * pause_s):
            try:
                self.one()
            except psycopg.Error:  # lost while rolling back
                self.connection = None


def main(dsn, folder, seed, clients, pause_ms):
    stop, failed = threading.Event(), []
    signal.signal(signal.SIGTERM, lambda *_: stop.set())

    def live(number):
        try:
            Client(dsn, folder, int(seed), number).live(stop, int(pause_ms) / 1000)
        except BaseException:
            traceback.print_exc()
            failed.append(number)
            stop.set()

    threads = [threading.Thread(target=live, args=(number,), daemon=True) for number in range(1, int(clients) + 1)]
    for thread in threads:
        thread.start()
    while not stop.is_set():
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
