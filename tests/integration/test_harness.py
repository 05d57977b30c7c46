"""The ground other tests stand on: real servers of every major start, crash, recover, freeze, and are strangers."""

import os
import signal
import subprocess
import sys

import psycopg
import pytest

from sbtest import compare, process, servers
from sbtest.wait import wait_until

MAJORS = servers.MAJORS


@pytest.mark.parametrize("major", MAJORS)
def test_acknowledged_commits_survive_a_crash(clusters, major):
    cluster = clusters(major, fsync=True)
    assert int(cluster.value("SHOW server_version_num")) // 10000 == major
    assert cluster.value("SHOW wal_level") == "logical"
    cluster.sql("CREATE TABLE t (id int PRIMARY KEY)")
    cluster.sql("INSERT INTO t SELECT generate_series(1, 1000)")
    open_session = cluster.connect()
    open_session.execute("BEGIN; INSERT INTO t VALUES (0)")
    backends = process.descendants(cluster.pid)
    assert len(backends) > 3
    cluster.kill9()
    open_session.close()
    assert not any(map(process.alive, backends))
    cluster.start()
    assert cluster.log_contains("database system was not properly shut down")
    assert cluster.value("SELECT count(*) FROM t") == 1000


@pytest.mark.parametrize("major", MAJORS)
def test_a_logical_slot_survives_a_restart(clusters, major):
    cluster = clusters(major)
    cluster.sql("SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
    cluster.restart()
    assert cluster.sql("SELECT slot_name, plugin FROM pg_replication_slots") == [("s", "pgoutput")]


def test_a_cluster_without_fsync_may_not_be_crashed(clusters):
    cluster = clusters(15)
    with pytest.raises(AssertionError, match="fsync=True"):
        cluster.kill9()


def test_two_clusters_are_strangers(clusters):
    """Copied from one template they would have one system identifier, and every identity check would be blind."""
    old, new = clusters(15, "old"), clusters(15, "new")
    query = "SELECT system_identifier FROM pg_control_system()"
    assert old.value(query) != new.value(query)


def test_a_frozen_server_says_nothing_and_forgets_nothing(clusters):
    cluster = clusters(15)
    with cluster.connect() as session:
        cluster.freeze()
        try:
            with pytest.raises(psycopg.OperationalError, match="timeout"):
                cluster.connect(connect_timeout=2)
        finally:
            cluster.thaw()
        assert session.execute("SELECT 7").fetchone() == (7,)


def test_stop_that_hangs_names_who_is_connected(clusters):
    cluster = clusters(15)
    with cluster.connect(application_name="hanger"):
        with pytest.raises(AssertionError, match="postgres postgres"):
            cluster.stop("smart", timeout=0.5)
    cluster._process.wait(20)


def test_reload_waits_until_the_server_has_taken_it(clusters):
    cluster = clusters(15)
    cluster.reload(log_min_duration_statement="7ms")
    assert cluster.value("SHOW log_min_duration_statement") == "7ms"


def test_an_older_copy_can_be_put_back(clusters):
    cluster = clusters(15)
    cluster.sql("CREATE TABLE t (id int)")
    cluster.stop()
    cluster.save("early")
    cluster.start().sql("INSERT INTO t VALUES (1)")
    cluster.stop()
    cluster.put_back("early")
    assert cluster.start().value("SELECT count(*) FROM t") == 0


def test_tcp_clusters_get_ports_of_their_own(clusters):
    one, two = clusters(15, "one", tcp=True), clusters(15, "two", tcp=True)
    assert one.port != two.port
    with psycopg.connect(one.tcp_dsn()) as session:
        assert session.execute("SELECT inet_server_port()").fetchone() == (one.port,)


def test_what_a_killed_test_started_is_ended(place):
    """A test process that a time-out SIGKILLs leaves no server and no directory behind, frozen or not."""
    servers.server(15)
    script = place / "victim.py"
    script.write_text(
        "import os, pathlib, signal, sys\n"
        "from sbtest import process, servers\n"
        "folder = pathlib.Path(sys.argv[1]); folder.mkdir(); process.leash().add_dir(folder)\n"
        "one = servers.Cluster(folder, 15, 'one').start()\n"
        "two = servers.Cluster(folder, 15, 'two').start()\n"
        "two.freeze()\n"
        "print(*[x for c in (one, two) for x in [c.pid, *process.descendants(c.pid)]], flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, script, place / "left"], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    pids = list(map(int, done.stdout.split()))
    assert len(pids) > 8
    wait_until(lambda: not any(map(process.alive, pids)), 20, "the servers of the killed test to end")
    wait_until(lambda: not (place / "left").exists(), 20, "its directory to be removed")


def test_every_major_is_there():
    """Without this, a machine that has only one server would test one server and look green."""
    if os.geteuid() == 0:
        pytest.skip("PostgreSQL does not run as root; start this test with tests/run")
    missing = [major for major in MAJORS if major not in servers.installed()]
    if missing and os.environ.get("CI") != "true":
        pytest.skip(f"PostgreSQL {missing}: run tests/fetch-parts")
    assert missing == []


def test_acknowledged_messages_survive_a_killed_broker(brokers):
    broker = brokers()
    broker.create_topic("t")
    broker.produce("t", [b"%d" % number for number in range(1000)])
    broker.kill9()
    assert not broker.running()
    broker.start()
    broker.produce("t", [b"after"])
    messages = broker.read("t")
    assert [message.value() for message in messages] == [*(b"%d" % number for number in range(1000)), b"after"]
    assert [message.offset() for message in messages] == list(range(1001))


def test_a_frozen_broker_comes_back_and_a_saved_one_forgets(brokers):
    broker = brokers()
    broker.create_topic("t")
    broker.produce("t", [b"early"])
    broker.freeze()
    broker.save("early")
    with pytest.raises(AssertionError):
        broker.produce("t", [b"late"], timeout=1, **{"message.timeout.ms": 900})
    broker.thaw()
    broker.produce("t", [b"later"])
    broker.stop()
    broker.put_back("early")
    broker.start()
    assert [message.value() for message in broker.read("t")] == [b"early"]


SAME = """
CREATE TABLE v (id int, t text, n numeric, f float8, b bytea, ts timestamptz);
INSERT INTO v VALUES (1, NULL, 1.50, '-0', '', 'infinity'), (2, '', 'NaN', 0, NULL, NULL), (3, 'NULL', 7, 'NaN', '\\x00', NULL);
CREATE TABLE twice (a int); INSERT INTO twice VALUES (1), (1), (2);
CREATE TABLE parted (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE part1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
INSERT INTO parted VALUES (1, 'one');
CREATE TABLE "Odd ""name" ("a,b" text); INSERT INTO "Odd ""name" VALUES (E'tab\\there\\nand there');
CREATE TABLE no_columns ()
"""


@pytest.fixture(scope="module")
def pair(workspace):
    """Two clusters of which each test below empties the schema public."""
    folder = workspace / "pair"
    folder.mkdir()
    old, new = servers.Cluster(folder, 14, "old").start(), servers.Cluster(folder, 18, "new").start()
    yield old, new
    old.close()
    new.close()


def fill(pair):
    for side in pair:
        side.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public;" + SAME)


def test_the_comparison_finds_equal_what_is_equal(pair):
    fill(pair)
    pair[1].sql("ALTER TABLE v ADD mine int DEFAULT 5")
    compare.assert_equal(*pair)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE v SET t = '' WHERE id = 1",
        "UPDATE v SET t = NULL WHERE id = 2",
        "UPDATE v SET t = NULL WHERE id = 3",
        "UPDATE v SET n = 1.5 WHERE id = 1",
        "UPDATE v SET f = 0 WHERE id = 1",
        "UPDATE v SET b = NULL WHERE id = 1",
        "DELETE FROM twice WHERE ctid = (SELECT min(ctid) FROM twice)",
        "INSERT INTO twice VALUES (2)",
        "UPDATE parted SET v = 'One'",
        "DROP TABLE \"Odd \"\"name\"",
        "ALTER TABLE v DROP b",
        "INSERT INTO no_columns DEFAULT VALUES",
    ],
)
def test_the_comparison_finds_one_difference(pair, change):
    fill(pair)
    pair[1].sql(change)
    with pytest.raises(AssertionError, match="the two sides differ"):
        compare.assert_equal(*pair)
