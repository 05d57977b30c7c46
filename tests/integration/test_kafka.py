"""The product on a real broker: prepared, run under load while the broker dies and freezes, looked at, removed."""

import json
import re
import urllib.request

import pytest

from sbtest.pipeline import CONTROL, GROUP, LOG, Pipeline
from sbtest.servers import free_port
from sbtest.wait import wait_until


@pytest.fixture
def pipeline(clusters, brokers, switchback):
    return lambda **options: Pipeline(clusters, brokers, switchback, **options)


def findings(product):
    return [row for row in product.verb("check", "--json").json()["checks"] if row["id"] == "stream.store"]


def test_what_prepare_makes_is_what_check_wants(pipeline):
    """Also where the broker makes topics by itself for whoever asks: nothing is made by asking."""
    pipe = pipeline(broker={"auto.create.topics.enable": "true"})
    said = pipe.product.ok("prepare", "--dry-run").out
    assert all(f"--create --topic {topic} " in said for topic in (LOG, CONTROL)) and pipe.broker.address in said
    assert [row["result"] for row in findings(pipe.product)] == ["info"]
    assert pipe.broker.topics() == {}
    pipe.prepare()
    assert pipe.broker.topics() == {LOG: 1, CONTROL: 1}
    log, control = pipe.broker.topic_config(LOG), pipe.broker.topic_config(CONTROL)
    assert (log["cleanup.policy"], log["message.timestamp.type"]) == ("delete", "LogAppendTime")
    assert control["cleanup.policy"] == "compact"
    assert log["unclean.leader.election.enable"] == control["unclean.leader.election.enable"] == "false"
    assert [row["result"] for row in findings(pipe.product)] == ["pass"]
    pipe.product.ok("prepare")

    # Everything wrong at once: each is named, with the command that mends it.
    pipe.broker.alter_topic(
        LOG, **{"cleanup.policy": "compact", "message.timestamp.type": "CreateTime", "max.message.bytes": "1000"}
    )
    pipe.broker.alter_topic(CONTROL, **{"cleanup.policy": "delete", "unclean.leader.election.enable": "true"})
    wrong = {
        (LOG, "cleanup.policy=delete"), (LOG, "message.timestamp.type=LogAppendTime"),
        (LOG, "max.message.bytes=1048588"), (CONTROL, "cleanup.policy=compact"),
        (CONTROL, "unclean.leader.election.enable=false"),
    }
    commands = []
    for row in findings(pipe.product):
        assert row["result"] == "fail" and row["error"] == "SB-STREAM-CONFIG", row
        commands.append(re.fullmatch(
            rf"kafka-configs.sh --bootstrap-server {pipe.broker.address} --alter --entity-type topics"
            r" --entity-name (\S+) --add-config (\S+)", row["statement"],
        ).groups())
    assert set(commands) == wrong and len(commands) == len(wrong)
    pipe.product.run()
    pipe.product.wait_halted("capture-forward", "SB-STREAM-CONFIG")
    pipe.product.wait_halted("apply-forward", "SB-STREAM-CONFIG")
    for topic, setting in commands:
        pipe.broker.alter_topic(topic, **dict([setting.split("=")]))
    pipe.product.ok("resume")
    pipe.insert(3)
    pipe.assert_equal()
    pipe.product.stop()
    pipe.broker.add_partitions(LOG, 3)
    (row,) = findings(pipe.product)
    assert "has 3 partitions and must have one" in row["evidence"] and f"--delete --topic {LOG}" in row["statement"]
    pipe.product.ok("remove", "--yes")
    assert pipe.broker.topics() == {}


@pytest.mark.parametrize(
    "name, value, said",
    [
        ("acks", "1", "acks must be all"),
        ("request.required.acks", "1", "acks must be all"),
        ("delivery.timeout.ms", "1000", "message.timeout.ms must be 0"),
        ("enable.idempotence", "false", "enable.idempotence must be true"),
        ("auto.offset.reset", "latest", "auto.offset.reset must be error"),
        ("check.crcs", "false", "check.crcs must be true"),
        ("transactional.id", "mine", "transactional.id must be left out"),
        ("group.id", "mine", "group.id is switchback's own"),
        ("queue.buffering.max.kbytes", "1", "stream.queue_max_bytes"),
        ("no.such.setting", "1", "No such configuration property"),
        ("linger.ms", "soon", "linger.ms"),
    ],
)
def test_a_setting_that_conflicts_is_refused(tmp_path, name, value, said):
    from sbtest import product

    config = tmp_path / "switchback.yaml"
    config.write_text(json.dumps({
        "migration": "shop", "state_dir": str(tmp_path), "source": {"dsn": "host=/nowhere dbname=a"},
        "target": {"dsn": "host=/nowhere dbname=a"}, "stream": {"store": "kafka"},
        "kafka": {"bootstrap.servers": "127.0.0.1:1", name: value},
    }))
    config.chmod(0o600)
    done = product.run_program("-c", config, "stream", "verify")
    assert done.code == 78 and "SB-STREAM-CONFIG" in done.err and said in done.err, done


def test_a_protocol_must_be_named_for_brokers_elsewhere(tmp_path):
    from sbtest import product

    config = tmp_path / "switchback.yaml"
    for servers, protocol, ident in (
        ("127.0.0.1:1,kafka.example.invalid:9092", None, "SB-STREAM-CONFIG"),
        ("127.0.0.2:1", "plaintext", "SB-STREAM-UNAVAILABLE"),
    ):
        kafka = {"bootstrap.servers": servers, **({"security.protocol": protocol} if protocol else {})}
        config.write_text(json.dumps({
            "migration": "shop", "state_dir": str(tmp_path), "source": {"dsn": "host=/nowhere dbname=a"},
            "target": {"dsn": "host=/nowhere dbname=a"}, "stream": {"store": "kafka"}, "kafka": kafka,
        }))
        config.chmod(0o600)
        done = product.run_program("-c", config, "stream", "verify")
        assert ident in done.err, done


def test_run_under_load_while_the_broker_dies_and_freezes(pipeline):
    with free_port() as port:
        pipe = pipeline(http={"listen": f"127.0.0.1:{port}"}).prepare()
        pipe.run()
        with pipe.load() as done:

            def more(count, seen):
                wait_until(lambda: done.total() >= seen + count, 60, f"{count} more transfers")

            def applied_more(than):
                wait_until(lambda: pipe.new.value("SELECT count(*) FROM journal") > than, 60, "the new side to go on")

            more(300, 0)
            applied_more(0)
            pipe.broker.kill9()
            more(200, done.total())
            pipe.broker.start()
            applied_more(pipe.new.value("SELECT count(*) FROM journal"))
            pipe.broker.freeze()
            more(200, done.total())
            pipe.broker.thaw()
            applied_more(pipe.new.value("SELECT count(*) FROM journal"))
        pipe.assert_equal()
        assert pipe.new.value("SELECT count(*) FROM journal") == done.total()
        assert pipe.new.value("SELECT sum(amount) FROM account") == 100 * 1000

        # What others see of it.
        end = pipe.broker.bounds(LOG)[1]
        wait_until(lambda: end - 50 <= (pipe.broker.committed(GROUP, LOG) or 0), 30, "the group to follow")
        report = pipe.product.ok("stream", "verify", "--json").json()
        assert report["whole"] and report["transactions"] >= done.total()
        shown = [json.loads(line) for line in pipe.product.ok("stream", "show").out.splitlines()]
        assert {record["kind"] for record in shown} >= {"open", "schema", "change", "commit"}
        assert sum(one["kind"] == "change" and one.get("table") == "public.journal" for one in shown) >= done.total()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            page = answer.read().decode()
        assert re.search(r"^switchback_stream_next_offset\S* [1-9]", page, re.M)
        pipe.product.stop()
        pipe.product.ok("remove", "--yes")
        assert pipe.broker.topics() == {}
