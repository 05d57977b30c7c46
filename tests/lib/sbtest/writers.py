"""A write load: threads that change tables until they are told to stop, whatever happens to the server."""

import random
import threading

import psycopg


class Load:
    """`writers` threads call step(connection, random) again and again, each call a transaction. A server that goes away
    is connected to again; what a step raises beyond that fails the test at stop()."""

    def __init__(self, cluster, step, writers=2, seed=1, db="postgres", pause=0.0):
        self.cluster, self.step, self.db, self.pause = cluster, step, db, pause
        self.done, self.failure = 0, None
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(random.Random(seed + n),)) for n in range(writers)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception):
        self.stop()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a writer does not come to its end"
        if self.failure is not None:
            raise AssertionError("a writer failed") from self.failure

    def _run(self, rng):
        while not self._stop.is_set():
            try:
                with self.cluster.connect(self.db, autocommit=False, application_name="load") as session:
                    while not self._stop.is_set():
                        self._once(session, rng)
            except psycopg.OperationalError:
                self._stop.wait(0.1)  # it is down, or coming up

    def _once(self, session, rng):
        try:
            self.step(session, rng)
            session.commit()
            self.done += 1
        except (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected):
            session.rollback()
        except psycopg.OperationalError:
            raise
        except Exception as error:  # noqa: BLE001 - told by stop()
            self.failure = error
            self._stop.set()
        self._stop.wait(self.pause)
