"""The stream read by somebody else: docs/STREAM-FORMAT.md, "How a reader proves the log", written down a second time. Works
on frames, and on the bodies of `open` and `commit`; that what lies between decodes to the digest is for `stream verify`.
"""

import collections
import ctypes
import ctypes.util
import io
import pathlib
import sqlite3
import struct

from sbtest import need, tree

try:
    import fastavro
except ImportError:
    fastavro = None

FRAME = struct.Struct(">3sBBBH16sQQQQQQIIIIQQQ")
Frame = collections.namedtuple(
    "Frame", "magic format kind part_kind lane stream epoch sequence commit_lsn end_lsn ordinal xid timeline part parts"
    " reserved body_hash whole_hash frame_hash")
OPEN, SCHEMA, CHANGE, MESSAGE, IMAGE, COMMIT, PART = range(1, 8)
ZERO = bytes(16)
BODY_AT = 5  # behind the Confluent header
READ_AT_ONCE = 5000


class _Canonical(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def _library():
    name = ctypes.util.find_library("xxhash") or need.missing("libxxhash is not installed")
    library = ctypes.CDLL(name)
    library.XXH3_64bits.restype = ctypes.c_uint64
    library.XXH3_128bits.restype = _Canonical
    for function in (library.XXH3_64bits, library.XXH3_128bits):
        function.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return library


class Hashes:
    def __init__(self):
        self._library = _library()

    def h64(self, data):
        return self._library.XXH3_64bits(data, len(data))

    def h128(self, data):
        """In canonical form."""
        found = self._library.XXH3_128bits(data, len(data))
        return struct.pack(">QQ", found.high, found.low)


def _schema(kind):
    if fastavro is None:
        need.missing("fastavro is not installed")
    return fastavro.schema.load_schema(str(tree.ROOT / f"schemas/avro/{kind}.avsc"))


Commit = collections.namedtuple("Commit", "sequence digest chain")


class Proof:
    """Takes the records in the order of the store; each call returns sentences on what is wrong, mostly none."""

    def __init__(self):
        self.hashes, self._open, self._commit = Hashes(), _schema("open"), _schema("commit")
        self.stream, self.epoch, self.sequence, self.last_offset = None, 0, 0, -1
        self.commits = {}  # LSN of its start -> Commit, of all epochs
        self.at = (0, ZERO)  # LSN and chain of the newest commit of this epoch's history
        self.epochs = self.records = self.dropped = self.again = 0
        self._forget_transaction()

    def _forget_transaction(self):
        self.flight, self.ordinal = None, 0

    def take(self, offset, raw, body):
        if len(raw) != FRAME.size:
            return [f"@{offset}: a frame of {len(raw)} bytes"]
        frame = Frame(*FRAME.unpack(raw))
        found = [f"@{offset}: {what}" for what in [*self._intact(frame, raw, body), *self._in_order(offset, frame)]]
        if found:
            return found
        self.records += 1
        return [f"@{offset}: {what}" for what in self._next(frame, body)]

    def _intact(self, frame, raw, body):
        if frame.magic != b"SBF" or frame.format != 1 or not OPEN <= frame.kind <= PART or frame.reserved or frame.lane:
            yield f"not a frame we know: {frame}"
        elif self.hashes.h64(raw[:104]) != frame.frame_hash or self.hashes.h64(body) != frame.body_hash:
            yield "a checksum is wrong"
        elif self.stream not in (None, frame.stream):
            yield "another stream"

    def _in_order(self, offset, frame):
        if offset <= self.last_offset:
            yield f"offset {offset} comes after {self.last_offset}"
        self.last_offset, self.stream = offset, frame.stream

    def _next(self, frame, body):
        if frame.epoch < self.epoch or (frame.epoch == self.epoch and frame.sequence <= self.sequence):
            self.dropped += 1
            return []
        if frame.epoch > self.epoch:
            return self._begin(frame, body)
        if frame.sequence != self.sequence + 1:
            return [f"sequence {frame.sequence} comes after {self.sequence} in epoch {self.epoch}"]
        self.sequence = frame.sequence
        if frame.kind == OPEN:
            return ["a second open in one epoch"]
        if frame.kind == SCHEMA or (frame.kind == PART and frame.part_kind == SCHEMA):
            return []
        if frame.kind == COMMIT:
            return self._end(frame, body)
        return self._within(frame)

    def _begin(self, frame, body):
        if frame.kind != OPEN:
            return [f"epoch {frame.epoch} does not begin with an open"]
        value = fastavro.schemaless_reader(io.BytesIO(body[BODY_AT:]), self._open)
        base = Commit(value["base_sequence"], None, value["base_chain"])
        known = self.commits.get(value["base_commit_lsn"], Commit(0, None, ZERO) if not value["base_commit_lsn"] else None)
        if known is None or (known.sequence, known.chain) != (base.sequence, base.chain) or value["hole_from_lsn"]:
            return [f"epoch {frame.epoch} stands on a base that is not in the log: {value}"]
        if frame.sequence != base.sequence + 1 or value["epoch"] != frame.epoch:
            return [f"epoch {frame.epoch} begins with sequence {frame.sequence} on {base.sequence}"]
        self.epoch, self.sequence, self.at = frame.epoch, frame.sequence, (value["base_commit_lsn"], base.chain)
        self.epochs += 1
        self._forget_transaction()
        return []

    def _within(self, frame):
        who = (frame.commit_lsn, frame.xid)
        first_part = frame.kind != PART or frame.part == 0
        self.ordinal += first_part
        if self.flight not in (None, who) or frame.ordinal != self.ordinal:
            return [f"{who} ordinal {frame.ordinal} in transaction {self.flight} where {self.ordinal} is due"]
        self.flight = who
        return []

    def _end(self, frame, body):
        value = fastavro.schemaless_reader(io.BytesIO(body[BODY_AT:]), self._commit)
        who = (frame.commit_lsn, frame.xid)
        chain = self.hashes.h128(
            self.at[1] + value["digest"] + struct.pack(">QQQ", frame.commit_lsn, frame.xid, value["count"]))
        flight, count, before = self.flight, self.ordinal, self.at[0]
        self._forget_transaction()
        if flight not in (None, who) or value["count"] != count:
            return [f"the commit of {who} with {value['count']} changes ends {flight} with {count}"]
        if frame.commit_lsn <= before or chain != value["chain"]:
            return [f"the commit of {who} does not continue the chain of {before:X}"]
        self.at = (frame.commit_lsn, chain)
        told = self.commits.get(frame.commit_lsn)
        self.again += told is not None
        if told is not None and (told.digest, told.chain) != (value["digest"], chain):
            return [f"the commit of {who} was told otherwise before"]
        self.commits[frame.commit_lsn] = Commit(frame.sequence, value["digest"], chain)
        return []


class File:
    """The embedded store, by SQL."""

    def __init__(self, path):
        self.path, self._next, self._db = pathlib.Path(path), 0, None

    def more(self):
        """(offset, frame, body) of what has come since the last call."""
        try:
            if self._db is None:
                self._db = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=10, check_same_thread=False)
            rows = self._db.execute(
                "SELECT position, frame, body FROM record WHERE position >= ? ORDER BY position LIMIT ?",
                (self._next, READ_AT_ONCE),
            ).fetchall()
        except sqlite3.OperationalError:  # being recovered by the product after a SIGKILL
            self.close()
            return []
        if rows:
            self._next = rows[-1][0] + 1
        return rows

    def close(self):
        if self._db is not None:
            self._db.close()
            self._db = None


class Topic:
    """Kafka's topic, by librdkafka's Python client."""

    def __init__(self, address, topic):
        from confluent_kafka import Consumer, TopicPartition

        self._consumer = Consumer({
            "bootstrap.servers": address, "group.id": "sbtest-logproof", "enable.auto.commit": False,
            "auto.offset.reset": "error", "check.crcs": True, "log_level": 0,
        })
        self._consumer.assign([TopicPartition(topic, 0, 0)])

    def more(self):
        for message in self._consumer.consume(READ_AT_ONCE, timeout=0.5):
            if message.error() is None:
                frame = dict(message.headers() or []).get("switchback", b"")
                yield message.offset(), frame, message.value() or b""

    def close(self):
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None
