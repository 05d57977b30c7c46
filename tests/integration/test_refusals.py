"""What verbs and stages refuse to begin on, on real servers: an id, its exit code, and nothing written. What `check`
refuses is in test_check.py; what is wrong in a file, in test_cli_config.py."""

import contextlib
import fcntl
import signal

import pytest
from setup_pair import fingerprint, servers, shop, slot_reader  # noqa: F401

from sbtest import process
from sbtest.servers import free_port
from sbtest.wait import wait_until

PIECE_BITS, PIECES = 83886080, 13  # together more than 2^30 - 1, what the server allocates at once


def written(product):
    state = product.folder / "state"
    return (
        [fingerprint(cluster, product.db) for cluster in (product.old, product.new)],
        sorted(path.name for path in state.glob("*.db*")),
    )


@pytest.mark.parametrize("words", [("capture",), ("apply",), ("pause",), ("resume",), ("poison", "show"), ("conflicts", "list"), ("stream", "show")])
def test_what_is_not_prepared_is_refused(shop, words):
    before = written(shop)
    if words[0] in ("capture", "apply"):
        assert shop.start(*words).wait(20) == 78
        shop.wait_log("SB-NOT-PREPARED")
    else:
        shop.refuses("SB-NOT-PREPARED", *words, code=78)
    assert before == written(shop)


@contextlib.contextmanager
def store_locked(product):
    with open(product.folder / "state/forward.db.lock", "w") as lock:
        lock.write("4711\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def test_a_store_somebody_writes_to_is_not_prepared(shop):
    with store_locked(shop):
        done = shop.refuses("SB-STREAM-LOCKED", "prepare", code=75)
        assert "process 4711" in done.err
        assert not shop.old.sql("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", shop.slot)
    shop.ok("prepare")


def test_a_store_somebody_writes_to_is_waited_for(shop):
    shop.ok("prepare")
    with store_locked(shop):
        stage = shop.start("capture")
        shop.wait_log("SB-STREAM-LOCKED")
        assert stage.running(), "it passes by itself, so capture waits"
        shop.old.sql("INSERT INTO item VALUES (1, 'x')", db=shop.db)
    shop.wait_log('msg="capture follows"')
    stage.stop()


def test_a_store_that_vanished_ends_capture(shop):
    """What was acknowledged cannot be told any more; the file is not quietly made anew."""
    shop.configure(capture={"heartbeat_interval_ms": 300})
    shop.ok("prepare")
    stage = shop.start("capture")
    shop.wait_log('msg="capture follows"')
    confirmed = "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = %s"
    before = shop.old.value(confirmed, shop.slot)
    for path in (shop.folder / "state").glob("forward.db*"):
        path.unlink()
    shop.old.sql("INSERT INTO item VALUES (1, 'x')", db=shop.db)
    assert stage.wait(20) == 74
    assert shop.log_contains("SB-STREAM-IO")
    assert shop.old.value(confirmed, shop.slot) == before
    assert not list((shop.folder / "state").glob("forward.db"))
    assert shop.start("capture").wait(20) == 78


@pytest.mark.parametrize("kafka,ident,code", [
    ({"acks": "1"}, "SB-STREAM-CONFIG", 78), ({}, "SB-STREAM-UNAVAILABLE", 69)], ids=["unsafe", "away"])
def test_brokers_that_cannot_be_used_are_refused_before_there_is_a_slot(shop, kafka, ident, code):
    with free_port() as port:
        shop.configure(stream={"store": "kafka"}, kafka={"bootstrap.servers": f"127.0.0.1:{port}", **kafka})
        assert shop.refuses(ident, "prepare").code in (1, code), "1: the check saw it"
        assert not shop.old.sql("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", shop.slot)
        shop.configure(stream={"store": "embedded"}, kafka={name: None for name in ("bootstrap.servers", *kafka)})


def test_brokers_that_refuse_our_password_are_told_as_such(shop, brokers):
    """Not as brokers that are away, which would be retried for ever in silence. The password is not shown."""
    with free_port() as port:
        broker = brokers(start=False)
        listeners = f"PLAINTEXT://{broker.address},SASL://127.0.0.1:{port}"
        controller = broker.listeners().split(",")[-1]
        broker.configure(**{
            "listeners": f"{listeners},{controller}", "advertised.listeners": listeners,
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl.plain.sasl.jaas.config":
                'org.apache.kafka.common.security.plain.PlainLoginModule required user_shop="right-one";'})
        broker.start()
        secret = shop.folder / "kafka.password"
        kafka = {
            "bootstrap.servers": f"127.0.0.1:{port}", "security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN",
            "sasl.username": "shop", "sasl.password_file": str(secret)}
        shop.configure(stream={"store": "kafka"}, kafka=kafka)
        secret.touch(0o600)
        secret.write_text("canary-8\n")
        done = shop.refuses("SB-STREAM-AUTH", "prepare")
        assert done.code in (1, 77), "1: the check saw it"
        assert "canary-8" not in done.out + done.err
        assert not shop.old.sql("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", shop.slot)
        assert b"Authentication failed" in broker.log.read_bytes()
        shop.configure(stream={"store": "embedded"}, kafka={name: None for name in kafka})


def test_a_stage_told_to_stop_while_it_waits_for_the_slot_says_no_error(shop):
    """A predecessor of ours seems to hold it and is silent. The wait for it is cut short, which is SB-SHUTDOWN and nobody's
    trouble."""
    shop.ok("prepare")
    with slot_reader(shop, f"switchback {shop.migration} capture forward") as silent:
        process.send(silent.pid, signal.SIGSTOP)
        stage = shop.start("capture")
        looks = "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND query ~ 'a.application_name = .2' AND pid <> pg_backend_pid()"
        wait_until(lambda: shop.old.sql(looks, shop.db), 20, "capture to look who holds the slot")
        assert stage.stop() == 0
    log = shop.log.read_text()
    assert "SB-" not in log and "level=error" not in log, log


def test_a_value_the_server_cannot_send_stops_capture_there(shop):
    """A bit string has a letter a bit: longer than the server's largest allocation. Nothing before it is lost, nothing behind
    it is sent."""
    for cluster in (shop.old, shop.new):
        cluster.sql("ALTER TABLE item ADD bits bit varying", db=shop.db)
    shop.configure(capture={"heartbeat_interval_ms": 600_000})  # a commit of ours would be confirmed, rightly
    shop.ok("prepare")
    stage = shop.start("run")
    shop.old.sql("INSERT INTO item VALUES (1, 'before')", db=shop.db)
    shop.wait_caught_up()
    confirmed = "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = %s"
    at = shop.old.value("SELECT pg_current_wal_insert_lsn()")
    piece = f"SELECT 0::bit({PIECE_BITS}) AS x"
    shop.old.sql(f"INSERT INTO item SELECT 2, 'large', {' || '.join('x' * PIECES)} FROM ({piece}) p", db=shop.db)
    report = shop.wait_halted("capture", "SB-VALUE-TOO-LARGE", timeout=60)
    assert "invalid memory alloc request size" in report["error_text"] and report["hint"], report
    shop.old.sql("INSERT INTO item VALUES (3, 'behind')", db=shop.db)
    assert shop.new.sql("SELECT id FROM item", db=shop.db) == [(1,)]
    assert shop.old.sql(f"SELECT ({confirmed}) < %s::pg_lsn", shop.slot, at) == [(True,)]
    stage.stop()
