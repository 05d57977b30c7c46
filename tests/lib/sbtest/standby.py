"""Streaming standbys of a cluster, what follows when one takes its place, and a commit that waits for one in vain."""

import shutil
import threading

from sbtest.wait import wait_until

HANGS = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


def lsn(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def written(cluster):
    return lsn(cluster.value("SELECT pg_current_wal_flush_lsn()::text"))


def replayed(standby):
    return lsn(standby.value("SELECT pg_last_wal_replay_lsn()::text"))


def standby_of(cluster, clusters, slots=True, started=lambda: None, **settings):
    """A standby from a cold copy of a stopped cluster, which is started again: with its slots, or without them, as
    pg_basebackup leaves it. started is called in between."""
    assert not cluster.running()
    other = clusters(cluster.major, "standby", start=False, fsync=cluster.fsync)
    shutil.rmtree(other.data)
    shutil.copytree(cluster.data, other.data, symlinks=True)
    cluster.start()
    started()
    if not slots:
        shutil.rmtree(other.data / "pg_replslot")
        (other.data / "pg_replslot").mkdir(mode=0o700)
    (other.data / "standby.signal").touch()
    other.configure(primary_conninfo=cluster.dsn(application_name="standby"), hot_standby="on", **settings)
    other.start()
    wait_until(lambda: replayed(other) >= written(cluster), 30, "the standby to follow")
    return other


def take_over(cluster, standby):
    """Promote it, and let it stand at the address of the other one, which is stopped. Returns it."""
    assert not cluster.running()
    assert standby.value("SELECT pg_promote(true, 60)")
    timeline = standby.value("SELECT pg_walfile_name(pg_current_wal_insert_lsn())")[:8]
    assert int(timeline, 16) == 2, f"it was not promoted: timeline {timeline}"
    standby.stop("fast")
    standby.configure(unix_socket_directories=str(cluster.folder))
    standby.start(wait=False)
    standby.folder = cluster.folder
    standby.wait_up()
    return standby


def hang(cluster, statement, db="postgres"):
    """A session whose commit waits for a standby that does not exist: in the WAL, and invisible."""
    cluster.reload(synchronous_standby_names="nope")
    session = cluster.connect(db)
    thread = threading.Thread(target=session.execute, args=(statement,))
    thread.start()
    wait_until(lambda: cluster.sql(HANGS), 20, "the commit to wait for its standby")

    def release():
        cluster.reload(synchronous_standby_names="")
        thread.join(20)
        session.close()
        assert not thread.is_alive()

    return release
