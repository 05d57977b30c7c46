"""One transaction of ten million rows, from old to new: all of it or nothing, in bounded memory, also when apply is
killed in the middle. SB_LARGE_ROWS makes it smaller."""

import os
import pathlib
import re
import threading
import time
import urllib.request

from sbtest.servers import free_port
from sbtest.wait import wait_until

ROWS = int(os.environ.get("SB_LARGE_ROWS", str(10**7)))
RESIDENT_MAX_KIB = 256 << 10


class Peaks:
    """The most memory that an incarnation of each stage had, by the kernel's account, as of the last look at it."""

    def __init__(self, product):
        self.product, self.kib = product, {}

    def look(self):
        for name, stage in self.product.status()["directions"][0]["stages"].items():
            status = pathlib.Path(f"/proc/{stage['pid']}/status")
            found = re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else None
            if found:
                self.kib[name] = max(self.kib.get(name, 0), int(found[1]))


class Reader:
    """Counts the rows again and again: all the answers it got. (Not too often: it looks at every row, also at those
    that are not there yet.)"""

    def __init__(self, cluster):
        self.cluster, self.answers, self.error = cluster, [], None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def _read(self):
        try:
            with self.cluster.connect() as session:
                stopped = False
                while not stopped:
                    stopped = self._stop.wait(3)
                    self.answers += session.execute("SELECT count(*) FROM big").fetchone()
        except Exception as error:
            self.error = error

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        assert self.error is None, self.error


def open_rows(address):
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        found = re.search(r"^switchback_apply_open_transaction_rows\S* (\d+)", answer.read().decode(), re.M)
    return int(found[1]) if found else 0


def test_ten_million_rows_in_one_transaction(clusters, switchback):
    settings = {"max_wal_size": "8GB", "autovacuum": "off"}
    old, new = clusters(15, "old", settings=settings), clusters(15, "new", settings=settings)
    for cluster in (old, new):
        cluster.sql("CREATE TABLE big (n int)  -- no key: nothing but the transaction costs time, and what comes twice is there twice")
    with free_port() as port:
        address = f"127.0.0.1:{port}"
        shop = switchback(old, new, config={"http": {"listen": address}, "log": {"level": "info"}})
        shop.ok("prepare")
        shop.run()
        shop.wait_state("apply-forward", "running")
        began = time.monotonic()
        peaks = Peaks(shop)
        with Reader(new) as reader:
            old.sql(f"INSERT INTO big SELECT generate_series(1, {ROWS})")
            written = time.monotonic() - began
            wait_until(lambda: open_rows(address) > ROWS // 5, 300, "apply to be in the middle of it", every=0.2)
            peaks.look()
            killed = shop.kill_stage("apply-forward")
            assert new.sql("SELECT 1 FROM big LIMIT 1") == [], "a part of the transaction was kept"
            arrived = "SELECT 1 FROM switchback.progress WHERE changes >= %s"
            wait_until(lambda: new.sql(arrived, ROWS), 400, "the rows to arrive", every=0.2)
            assert shop.pid("apply-forward") != killed
            peaks.look()
    print(f"{ROWS} rows in {time.monotonic() - began:.1f} s, of which the source {written:.1f}; resident, KiB: {peaks.kib}")
    assert new.sql("SELECT count(*), sum(n), min(n), max(n) FROM big") == [(ROWS, ROWS * (ROWS + 1) // 2, 1, ROWS)]
    assert len(reader.answers) > 3 and set(reader.answers) == {0, ROWS}, f"a reader saw a part of it: {reader.answers}"
    assert set(peaks.kib) == {"capture", "apply"} and max(peaks.kib.values()) < RESIDENT_MAX_KIB, peaks.kib
