"""Old, broker, new, and a prepared migration between them: what the Kafka tests stand on."""

import collections
import contextlib
import random
import re
import threading

import psycopg

from sbtest import compare

TABLES = [
    "CREATE TABLE item (id bigserial PRIMARY KEY, note text NOT NULL)",
    "CREATE TABLE account (id int PRIMARY KEY, amount bigint NOT NULL)",
    "CREATE TABLE journal (at bigserial, low int NOT NULL, high int NOT NULL, amount bigint NOT NULL)",
]
# In the order of their ids, so that nobody waits for somebody who waits for him.
MOVES = [
    "UPDATE account SET amount = amount - %(amount)s WHERE id = %(low)s",
    "UPDATE account SET amount = amount + %(amount)s WHERE id = %(high)s",
    "INSERT INTO journal (low, high, amount) VALUES (%(low)s, %(high)s, %(amount)s)",
]
ACCOUNTS = 100
LOG, CONTROL, GROUP = "shop.forward", "shop.control", "shop.forward.apply"


class Pipeline:
    """`run` is up to the test."""

    def __init__(self, clusters, brokers, switchback, broker=None, old=None, **config):
        self.old, self.new = clusters(15, "old", settings=old or {}), clusters(15, "new")
        self.broker = brokers(settings=broker or {})
        for cluster in (self.old, self.new):
            for statement in TABLES:
                cluster.sql(statement)
        capture = {"heartbeat_interval_ms": 500, "feedback_interval_ms": 100, **config.pop("capture", {})}
        self.product = switchback(self.old, self.new, broker=self.broker, config={"capture": capture, **config})

    def prepare(self):
        self.product.ok("prepare")
        return self

    def run(self):
        """Start everything; returns once both stages are at work."""
        stage = self.product.run()
        for name in ("capture-forward", "apply-forward"):
            self.product.wait_state(name, "running", 60)
        return stage

    def insert(self, count, size=10):
        """So many transactions, each with a row of incompressible text of so many characters (of 32)."""
        with self.old.connect() as session:
            for _ in range(count):
                session.execute(
                    "INSERT INTO item (note) SELECT string_agg(md5(random()::text), '') FROM generate_series(1, %s)",
                    (max(1, size // 32),),
                )
                session.commit()

    def applied(self):
        """Ids of the rows the new side has."""
        return [row for (row,) in self.new.sql("SELECT id FROM item ORDER BY id")]

    def assert_prefix(self):
        """Whatever else: the new side holds the old side's first transactions, and nothing that is not so there."""
        old, new = (
            dict(cluster.sql("SELECT id, note FROM item ORDER BY id")) for cluster in (self.old, self.new)
        )
        assert list(new) == list(old)[: len(new)] and all(old[row] == note for row, note in new.items())
        return len(new)

    def assert_equal(self, timeout=90):
        self.product.wait_caught_up(timeout)
        compare.assert_equal(self.old, self.new)

    def epochs(self):
        """How many incarnations of capture came to following."""
        return len(re.findall(r'msg="capture follows"', self.product.log.read_text()))

    @contextlib.contextmanager
    def load(self, clients=2):
        """Transfers between accounts, each noted in a journal, until the block ends; at least one a client went through."""
        self.old.sql(
            "INSERT INTO account SELECT g, 1000 FROM generate_series(1, %s) g ON CONFLICT DO NOTHING", ACCOUNTS
        )
        stop, done, failed = threading.Event(), collections.Counter(), []

        def transfer(client):
            chance = random.Random(client)
            try:
                with psycopg.connect(self.old.dsn()) as session:
                    while not stop.is_set():
                        low, high = sorted(chance.sample(range(1, ACCOUNTS + 1), 2))
                        amount = chance.randrange(-10, 11)
                        for statement in MOVES:
                            session.execute(statement, {"low": low, "high": high, "amount": amount})
                        session.commit()
                        done[client] += 1
                        stop.wait(0.002)
            except psycopg.Error as error:
                failed.append(error)

        threads = [threading.Thread(target=transfer, args=(client,), daemon=True) for client in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield done
        finally:
            stop.set()
            for thread in threads:
                thread.join(30)
        assert not failed and len(done) == clients, failed
