"""A real Apache Kafka broker: one node, KRaft, its own directory; started, killed, frozen, edited and restarted."""

import contextlib
import fcntl
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess

from sbtest import need, places, process, things
from sbtest.servers import copy_dir, free_port
from sbtest.wait import wait_until

# Small: tests run several of these beside servers on two cores.
JAVA = ["-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Djava.awt.headless=true"]
LOGGING = """log4j.rootLogger=INFO, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=[%d] %p %m (%c)%n
"""
CLUSTER_ID = "c3dpdGNoYmFjay10ZXN0cw"  # any 16 bytes in base64
# Small segments and short checks, so that retention and compaction happen within a test.
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 1,
    "group.initial.rebalance.delay.ms": 0,
    # A killed broker may register again only when its session has expired: 9 s unless told otherwise.
    "broker.session.timeout.ms": 2000,
    "broker.heartbeat.interval.ms": 250,
    "log.segment.bytes": 1 << 20,
    "log.retention.check.interval.ms": 500,
    "log.segment.delete.delay.ms": 200,
    "log.cleaner.dedupe.buffer.size": 4 << 20,
    "num.network.threads": 1,
    "num.io.threads": 2,
    "background.threads": 2,
}


def libraries():
    """The directory of jars that tests/fetch-parts made from ops/kafka/pom.xml."""
    folder = pathlib.Path(os.environ.get("SB_CACHE", "/nowhere")) / "kafka"
    if not any(folder.glob("kafka_*.jar")):
        need.missing(f"no Kafka in {folder}: run tests/fetch-parts")
    if shutil.which("java") is None:
        need.missing("java is not installed")
    return folder


class Broker:
    """Made by the `brokers` fixture. Its port stays the same from start to start, so that clients come back."""

    def __init__(self, folder, name="kafka", settings=None):
        self.libraries, self.name = libraries(), name
        self.folder = pathlib.Path(folder) / name
        self.folder.mkdir(mode=0o700)
        self.data, self.log = self.folder / "data", self.folder / "broker.log"
        self.log.touch()
        self._exit, self._process = contextlib.ExitStack(), None
        self.port, self._controller = (self._exit.enter_context(free_port()) for _ in range(2))
        self.address = f"127.0.0.1:{self.port}"
        (self.folder / "log4j.properties").write_text(LOGGING)
        self._settings = {
            **SETTINGS,
            "log.dirs": self.data,
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{self._controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller}",
        }
        self.configure(**(settings or {}))
        self._format()
        things.add(self)

    def __repr__(self):
        return f"<Kafka {self.name} at {self.address} in {self.folder}>"

    def _file(self):
        return self.folder / "server.properties"

    def _java(self):
        return ["java", *JAVA, f"-Dlog4j.configuration=file:{self.folder}/log4j.properties", "-cp", f"{self.libraries}/*"]

    def _format(self):
        """An empty formatted data directory, made once a run and copied: a JVM less for every test."""
        folder = places.shared() / "templates"
        folder.mkdir(parents=True, exist_ok=True)
        made = folder / "kafka"
        with open(folder / "kafka.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                done = subprocess.run(
                    [*self._java(), "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", self._file()],
                    capture_output=True, text=True, timeout=60,
                )
                assert done.returncode == 0, done.stdout + done.stderr
                copy_dir(self.data, folder / "kafka.half")
                (folder / "kafka.half").rename(made)
                return
        copy_dir(made, self.data)

    def configure(self, **settings):
        """Settings by their own names, dots as they are (a dict with **). They hold from the next start."""
        self._settings.update(settings)
        lines = [f"{name}={value}\n" for name, value in self._settings.items() if value is not None]
        self._file().write_text("".join(lines))

    def listeners(self):
        """As they stand in its settings, the controller's last."""
        return self._settings["listeners"]

    # -- life

    def start(self, wait=True, timeout=60):
        assert not self.running(), f"{self} runs already"
        said = self.log.stat().st_size
        self._process = process.Process([*self._java(), "kafka.Kafka", self._file()], self.log, cwd=self.folder)
        if wait:
            self.wait_up(timeout, said)
        return self

    def wait_up(self, timeout=60, said=0):
        """Until it says that it has started, after byte `said` of its log, and takes connections."""

        def up():
            if not self.running():
                raise AssertionError(f"{self} ended with {self._process.exit_code}:\n{process.tail(self.log)}")
            with open(self.log, "rb") as log:
                log.seek(said)
                if b"Kafka Server started" not in log.read():
                    return False
            with socket.create_connection(("127.0.0.1", self.port), timeout=2):
                return True

        wait_until(up, timeout, f"{self} to start", errors=(OSError,))

    def running(self):
        return self._process is not None and self._process.running()

    @property
    def pid(self):
        return self._process.pid

    def stop(self, timeout=30):
        """SIGTERM: a controlled shutdown, which marks the log as clean."""
        if self.running():
            self._process.signal(signal.SIGTERM)
            self._process.wait(timeout)

    def restart(self, **settings):
        self.stop()
        self.configure(**settings)
        return self.start()

    def kill9(self):
        self._process.kill9()

    def freeze(self):
        self._process.freeze()

    def thaw(self):
        self._process.thaw()

    def close(self):
        if self.running():
            self._process.kill9()
        self._exit.close()
        things.remove(self)

    # -- files

    def partition(self, topic, number=0):
        """The directory of a partition: *.log, *.index, *.timeindex, *.snapshot."""
        return self.data / f"{topic}-{number}"

    def save(self, label):
        """A copy of the data as it is now, running or not: what a power loss would leave is such a copy."""
        shutil.rmtree(self.folder / f"saved-{label}", ignore_errors=True)
        copy_dir(self.data, self.folder / f"saved-{label}")

    def put_back(self, label):
        assert not self.running(), "only a stopped broker's data is replaced"
        shutil.rmtree(self.data)
        copy_dir(self.folder / f"saved-{label}", self.data)

    def segments(self, topic):
        """The .log files of a topic's only partition, oldest first."""
        return sorted(self.partition(topic).glob("*.log"))

    def batches(self, topic):
        """[(segment, where it begins in it, its length, its first offset)] of all record batches, in order."""
        found = []
        for segment in self.segments(topic):
            data, at = segment.read_bytes(), 0
            while at + 12 <= len(data):
                first, length = struct.unpack_from(">qi", data, at)
                if length <= 0 or at + 12 + length > len(data):
                    break
                found.append((segment, at, 12 + length, first))
                at += 12 + length
        return found

    def cut_tail(self, topic, offset):
        """Of a stopped broker: forget every record from the batch on that holds offset, as if it had never been written,
        and everything that could remember it. Returns the offset at which the topic ends now."""
        assert not self.running(), "only a stopped broker forgets"
        cut = next(batch for batch in reversed(self.batches(topic)) if batch[3] <= offset)
        for segment in self.segments(topic):
            if segment > cut[0]:
                segment.unlink()
        os.truncate(cut[0], cut[1])
        for pattern in ("*.index", "*.timeindex", "*.snapshot"):
            for file in self.partition(topic).glob(pattern):
                file.unlink()
        (self.data / ".kafka_cleanshutdown").unlink(missing_ok=True)
        return cut[3]

    def drop_segment(self, topic, number):
        """Of a stopped broker: lose one whole segment file. Returns its first offset."""
        assert not self.running(), "only a stopped broker loses a segment"
        lost = self.segments(topic)[number]
        for file in self.partition(topic).glob(lost.stem + ".*"):
            file.unlink()
        return int(lost.stem)

    def flip_bit(self, topic, offset):
        """Of a broker that was stopped cleanly: one bit in the batch that holds offset. It is served as it is."""
        assert not self.running() and (self.data / ".kafka_cleanshutdown").exists()
        segment, at, length, _ = next(batch for batch in reversed(self.batches(topic)) if batch[3] <= offset)
        with open(segment, "r+b") as file:
            file.seek(at + length - 5)
            byte = file.read(1)[0]
            file.seek(at + length - 5)
            file.write(bytes([byte ^ 4]))

    # -- clients (confluent-kafka: not the product's code)

    def admin(self):
        from confluent_kafka.admin import AdminClient

        return AdminClient({"bootstrap.servers": self.address})

    def ask(self, request, timeout=30):
        """The results of an admin request: a function that makes it. The client must live until they are there."""
        admin = self.admin()
        return [future.result(timeout) for future in request(admin).values()]

    def topics(self):
        """{name: number of partitions} of every topic but Kafka's own."""
        found = self.admin().list_topics(timeout=20).topics
        return {name: len(topic.partitions) for name, topic in found.items() if not name.startswith("__")}

    def bounds(self, topic, timeout=20):
        """(oldest offset, next offset) of partition 0."""
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer({"bootstrap.servers": self.address, "group.id": "sbtest-bounds"})
        try:
            return consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=timeout)
        finally:
            consumer.close()

    def committed(self, group, topic, timeout=20):
        """What a consumer group has committed for partition 0; None if nothing."""
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer({"bootstrap.servers": self.address, "group.id": group})
        try:
            offset = consumer.committed([TopicPartition(topic, 0)], timeout=timeout)[0].offset
            return offset if offset >= 0 else None
        finally:
            consumer.close()

    def delete_records(self, topic, below):
        from confluent_kafka import TopicPartition

        self.ask(lambda admin: admin.delete_records([TopicPartition(topic, 0, below)]))

    def delete_topic(self, *topics):
        self.ask(lambda admin: admin.delete_topics(list(topics), operation_timeout=20))
        wait_until(lambda: not set(topics) & set(self.topics()), 20, f"{topics} to be gone")

    def add_partitions(self, topic, total):
        from confluent_kafka.admin import NewPartitions

        self.ask(lambda admin: admin.create_partitions([NewPartitions(topic, total)]))
        wait_until(lambda: self.topics()[topic] == total, 20, f"{topic} to have {total} partitions")

    def topic_config(self, topic):
        from confluent_kafka.admin import ConfigResource, ResourceType

        found = self.ask(lambda admin: admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]))[0]
        return {name: entry.value for name, entry in found.items()}

    def alter_topic(self, topic, **settings):
        """Settings by their own names (a dict with **), live."""
        from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

        entries = [
            ConfigEntry(name, str(value), incremental_operation=AlterConfigOpType.SET)
            for name, value in settings.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        self.ask(lambda admin: admin.incremental_alter_configs([resource]))

        def taken():
            now = self.topic_config(topic)
            return all(now[name] == str(value) for name, value in settings.items())

        wait_until(taken, 20, f"{topic} to take {settings}")

    def create_topic(self, topic, partitions=1, timeout=20, **settings):
        from confluent_kafka.admin import NewTopic

        new = NewTopic(topic, num_partitions=partitions, replication_factor=1, config=settings)
        self.ask(lambda admin: admin.create_topics([new], operation_timeout=timeout), timeout)

    def produce(self, topic, values, timeout=20, **settings):
        """Append values (bytes) in order; returns once all are acknowledged by all."""
        from confluent_kafka import Producer

        failed, producer = [], Producer({"bootstrap.servers": self.address, "enable.idempotence": True, **settings})
        for value in values:
            producer.produce(topic, value, on_delivery=lambda error, message: error and failed.append(error))
        assert producer.flush(timeout) == 0 and not failed, failed

    def produce_messages(self, topic, messages, timeout=20):
        """Append whole messages: [(key, value, headers)], all to partition 0."""
        from confluent_kafka import Producer

        failed, producer = [], Producer({"bootstrap.servers": self.address, "enable.idempotence": True})
        for key, value, headers in messages:
            producer.produce(
                topic, value, key, 0, headers=headers, on_delivery=lambda error, _: error and failed.append(error)
            )
        assert producer.flush(timeout) == 0 and not failed, failed

    def produce_in_transactions(self, topic, values, timeout=20):
        """A Kafka transaction for each value; the last is aborted. They leave markers, which have offsets and are nothing."""
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self.address, "transactional.id": "a-stranger"})
        producer.init_transactions(timeout)
        for number, value in enumerate(values, 1):
            producer.begin_transaction()
            producer.produce(topic, value, partition=0)
            assert producer.flush(timeout) == 0
            if number < len(values):
                producer.commit_transaction(timeout)
            else:
                producer.abort_transaction(timeout)

    def read(self, topic, partition=0, start=None, timeout=20):
        """Every message from start (the oldest) to the end as of now: a list of confluent_kafka.Message."""
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer({
            "bootstrap.servers": self.address, "group.id": "sbtest-reader", "enable.auto.commit": False,
            "auto.offset.reset": "error", "enable.partition.eof": True, "check.crcs": True,
        })
        try:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=timeout)
            consumer.assign([TopicPartition(topic, partition, low if start is None else start)])
            found, position = [], low if start is None else start

            def more():
                nonlocal position
                message = consumer.poll(0.5)
                if message is not None and message.error() is None:
                    found.append(message)
                    position = message.offset() + 1
                elif message is not None and message.error().name() == "_PARTITION_EOF":
                    position = max(position, message.offset())
                elif message is not None:
                    raise AssertionError(str(message.error()))
                return position >= high

            if position < high:
                wait_until(more, timeout, f"{topic} to be read to {high}", every=0)
            return found
        finally:
            consumer.close()

    def evidence(self):
        return process.tail(self.log, 30)
