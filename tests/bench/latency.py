"""How long a commit takes to be seen on the other side under a steady rate: one poller looks at both new clusters in turn,
while both readers follow the same old one."""

import time

from sbtest.wait import wait_until

import readers
import workloads

RATE, WARM_S, SECONDS = 1000, 2, 10
LOOK_S = 0.001
NEWEST = "SELECT coalesce(max(id), 0) FROM beat"


class _View:
    """What one new cluster has shown, and when: a list of (newest id, time)."""

    def __init__(self, session):
        self.session, self.newest, self.seen = session, 0, []

    def look(self):
        newest = self.session.execute(NEWEST, prepare=True).fetchone()[0]
        if newest > self.newest:
            self.newest = newest
            self.seen.append((newest, time.time()))

    def latencies(self, written):
        """Milliseconds of each row in written, [(id, time written)] by id; the rows of the first seconds do not count."""
        begin, found, at = written[0][1] + WARM_S, [], 0
        for row, wrote in written:
            while self.seen[at][0] < row:
                at += 1
            if wrote >= begin:
                found.append((self.seen[at][1] - wrote) * 1000)
        return found


def measure(folder):
    """{"native": [ms ...], "ours": [ms ...]}, and the cost of our stages."""
    ground = readers.Ground(folder, workloads.Workload(workloads.prepare_beat, None, ["beat"]))
    try:
        # A walsender sends what is flushed, and what is committed asynchronously may wait 200 ms for that.
        ground.old.reload(synchronous_commit="on")
        ours, native = readers.Ours(ground, "beat"), readers.Native(ground)
        ours.product.start("capture")
        ours.product.start("apply")
        native.subscribe()
        ground.old.sql("INSERT INTO marker VALUES (1)")
        for who, cluster in (("ours", ours.new), ("native", native.new)):
            readers.wait_marked(cluster, 1, who)
        with ours.new.connect() as to_ours, native.new.connect() as to_native:
            views = {"ours": _View(to_ours), "native": _View(to_native)}
            source = workloads.beat(ground.old, folder, RATE, WARM_S + SECONDS)
            while source.poll() is None:
                for view in views.values():
                    view.look()
                time.sleep(LOOK_S)
            assert source.returncode == 0, "pgbench failed"
            written = ground.old.sql("SELECT id, extract(epoch FROM at)::float8 FROM beat ORDER BY id")

            def all_seen():
                for view in views.values():
                    view.look()
                return all(view.newest == written[-1][0] for view in views.values())

            wait_until(all_seen, readers.WAIT_S, "the last row to be seen on both sides", every=LOOK_S, longest=LOOK_S)
        native.drop()
        ours.stop()
        ours.close()
        return {who: view.latencies(written) for who, view in views.items()}, ours.costs
    finally:
        ground.close()
