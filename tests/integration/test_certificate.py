"""The certificate of a compare: what it says, that others can add it up, and that nothing in it can be changed unseen."""

import hashlib
import json
import random

import pytest

from sbtest.logproof import Hashes
from sbtest.product import run_program
from sbtest.verifying import DIFFERENT, EQUAL, INCOMPLETE
from sbtest.wait import wait_until
from sbtest.writers import Load

ROWS, CHUNK = 2000, 250
MODULUS = 1 << 128


def certify(product, path, *words, code):
    done = product.verb("verify", "--certificate", path, *words, timeout=240)
    assert done.code == code, done
    return path.read_text()


def check(path, code=0):
    done = run_program("certificate", "check", "--json", path)
    assert done.code == code, done
    answer = done.json()
    assert answer["whole"] == (code == 0) == (answer["reasons"] == [])
    return answer


def body_of(text):
    """As somebody else would: the digest is that of the compact text with sorted names."""
    whole = json.loads(text)
    compact = json.dumps(whole["body"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(compact.encode()).hexdigest() == whole["sha256"]
    return whole["body"]


def seal(body):
    """A certificate of another body, by somebody who knows how they are written."""
    compact = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    whole = {"body": body, "sha256": hashlib.sha256(compact.encode()).hexdigest()}
    return json.dumps(whole, sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def sum_of_lines(server, query):
    """Of the XXH3-128 of each line of COPY, modulo 2^128."""
    hashes, total = Hashes(), 0
    with server.connect() as session, session.cursor().copy(f"COPY ({query}) TO STDOUT") as copy:
        for line in b"".join(bytes(data) for data in copy).splitlines(keepends=True):
            total += int.from_bytes(hashes.h128(line), "big")
    return total % MODULUS


def table_of(body, name):
    (found,) = [table for table in body["tables"] if table["table"] == name]
    return found


@pytest.fixture
def pair(clusters, switchback):
    old, new = clusters(15, "old"), clusters(15, "new")
    for server in (old, new):
        server.sql("CREATE TABLE item (id int PRIMARY KEY, note text, twice int GENERATED ALWAYS AS (id * 2) STORED)")
        server.sql(f"INSERT INTO item SELECT g, 'note ' || g FROM generate_series(1, {ROWS}) g")
        server.sql("CREATE TABLE named (name text COLLATE \"und-x-icu\" PRIMARY KEY, v int)")
        server.sql("INSERT INTO named SELECT 'Name ' || g, g FROM generate_series(1, 500) g")
        server.sql("CREATE TABLE journal (line text)")
        server.sql("INSERT INTO journal SELECT 'line ' || g % 10 FROM generate_series(1, 100) g")
        server.sql("CREATE UNLOGGED TABLE scratch (id int PRIMARY KEY)")
        server.sql("CREATE SEQUENCE counter")
        server.sql("CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM item")
    product = switchback(old, new, config={"verify": {"chunk_rows": CHUNK}})
    product.ok("prepare")
    product.run()
    for stage in ("capture-forward", "apply-forward"):
        product.wait_state(stage, "running", 60)
    return old, new, product


def test_it_says_all_and_adds_up(pair, tmp_path):
    old, new, product = pair
    body = body_of(certify(product, tmp_path / "equal.json", code=EQUAL))
    assert check(tmp_path / "equal.json")["verdict"] == "equal" == body["verdict"]
    assert (body["migration"], body["direction"], body["rules"], body["row_form"]) == ("shop", "forward", [], 1)
    for side, server in (("source", old), ("target", new)):
        system, version = server.sql("SELECT system_identifier::text, current_setting('server_version_num')::int FROM pg_control_system()")[0]
        assert (body[side]["system_identifier"], body[side]["version"]) == (system, version)
    assert body["stream"] == str(new.value("SELECT stream_uuid FROM switchback.progress"))
    item = table_of(body, "public.item")
    assert (item["columns"], item["key"], item["strategy"]) == (["id", "note"], ["id"], "ranges") and "twice" in item["columns_not_compared"]
    assert len(item["chunks"]) >= ROWS // CHUNK // 2 and sum(chunk["source_rows"] for chunk in item["chunks"]) == ROWS
    assert all(chunk["source_sum"] == chunk["target_sum"] != "0" * 32 for chunk in item["chunks"] if chunk["source_rows"])
    reasons = json.dumps(body["not_verified"])
    for name in ("scratch", "counter", "totals", "twice"):
        assert name in reasons, name

    new.sql("DELETE FROM item WHERE id = 7")
    new.sql("INSERT INTO item VALUES (88888, 'extra')")
    new.sql("UPDATE item SET note = 'other' WHERE id IN (900, 901)")
    new.sql("UPDATE named SET v = 0 WHERE name = 'Name 3'")
    new.sql("INSERT INTO journal VALUES ('line 1'), ('line 1'), ('new')")
    body = body_of(certify(product, tmp_path / "different.json", code=DIFFERENT))
    assert check(tmp_path / "different.json")["verdict"] == "different"
    assert new.value("SELECT id FROM switchback.verify_run ORDER BY id DESC LIMIT 1") == body["run"]
    assert {table["table"]: table["differences"] for table in body["tables"]} == {
        "public.item": 4, "public.named": 1, "public.journal": 3
    }
    # Added up from the rows as both sides have them, by somebody who has not seen the product's code.
    for name in ("item", "named", "journal"):
        columns = ", ".join(table_of(body, f"public.{name}")["columns"])
        sums = [sum_of_lines(server, f"SELECT {columns} FROM {name}") for server in (old, new)]
        chunks = table_of(body, f"public.{name}")["chunks"]
        for side, expected in zip(("source_sum", "target_sum"), sums):
            assert sum(int(chunk[side], 16) for chunk in chunks) % MODULUS == expected, (name, side)
        assert sums[0] != sums[1]
    certify(product, tmp_path / "part.json", "--table", "public.named", code=DIFFERENT)
    check(tmp_path / "part.json")
    certify(product, tmp_path / "sample.json", "--sample", "50", code=DIFFERENT)
    check(tmp_path / "sample.json")


def test_what_rules_let_pass_is_explained(clusters, switchback, tmp_path):
    old, new = clusters(15, "old"), clusters(15, "new")
    for server, scale in ((old, "1.0"), (new, "1.000")):
        server.sql("CREATE TABLE item (id int PRIMARY KEY, amount numeric)")
        server.sql(f"INSERT INTO item SELECT g, {scale} FROM generate_series(1, 100) g")
    product = switchback(old, new, config={"verify": {"accept": ["public.item amount: numeric-scale"]}})
    product.ok("prepare")
    product.run()
    product.wait_state("apply-forward", "running", 60)
    body = body_of(certify(product, tmp_path / "it.json", code=EQUAL))
    check(tmp_path / "it.json")
    assert [rule["values"] for rule in body["rules"]] == [100]
    assert any(chunk["by_rule_sum"] != "0" * 32 for chunk in table_of(body, "public.item")["chunks"])
    (tmp_path / "it.json").write_text(seal({**body, "rules": []}))
    assert any("by a rule, and there is none" in reason for reason in check(tmp_path / "it.json", code=1)["reasons"])


def test_it_adds_up_under_load(pair, tmp_path):
    old, new, product = pair
    dirty = 0

    def step(session, rng):
        session.execute("UPDATE item SET note = note || '.' WHERE id = %s", (rng.randint(1, ROWS),))
        session.execute("INSERT INTO journal VALUES ('line x')")

    with Load(old, step, writers=3, pause=0.002) as load:
        wait_until(lambda: load.done > 50, 60, "some load")
        while dirty == 0:
            body = body_of(certify(product, tmp_path / "busy.json", code=EQUAL))
            check(tmp_path / "busy.json")
            dirty = sum(table["dirty"] for table in body["tables"])


def test_nothing_in_it_can_be_changed(pair, tmp_path):
    """Not a byte by anybody, and not a number by somebody who can write the digest anew."""
    _, new, product = pair
    new.sql("UPDATE item SET note = 'other' WHERE id = 900")
    text = certify(product, tmp_path / "it.json", code=DIFFERENT)
    data = text.encode()
    changed = tmp_path / "changed.json"
    rng = random.Random(7)
    for at in rng.sample(range(len(data)), 40):
        changed.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        check(changed, code=1)
    for other in (data[:-1], data + b"\n", data.replace(b"\n ", b"\n  ", 1), b"", b"{}", b"[1]", b"\xff", data[: len(data) // 2]):
        changed.write_bytes(other)
        check(changed, code=1)

    def plant(change):
        body = body_of(text)
        change(body, table_of(body, "public.item"))
        changed.write_text(seal(body))
        return check(changed, code=1)["reasons"]

    changed.write_text(seal(body_of(text)))
    check(changed)
    bad = next(n for n, chunk in enumerate(table_of(body_of(text), "public.item")["chunks"]) if chunk["differences"])
    lies = {
        "the verdict": lambda body, item: body.update(verdict="equal"),
        "is \"equal\" with": lambda body, item: item.update(state="equal"),
        "rows are not those": lambda body, item: item.update(source_rows=ROWS + 1),
        "the differences do not explain": lambda body, item: item["chunks"][bad].update(target_sum=item["chunks"][bad]["source_sum"]),
        "the sums differ, and no difference": lambda body, item: item["chunks"][bad].update(differences=0),
        "does not begin where": lambda body, item: item["chunks"].pop(1),
        "do not cover all keys": lambda body, item: item["chunks"].pop(),
        "rows differ by": lambda body, item: item["chunks"][0].update(target_rows=0),
        "dirty keys are not those": lambda body, item: item.update(dirty=5),
        "differences are not those": lambda body, item: item.update(differences=0),
        "keys compared": lambda body, item: body.update(keys_compared=1),
        "is no count": lambda body, item: item.update(undecided="none"),
        "is no sum": lambda body, item: item["chunks"][0].update(source_sum="zz"),
        "a format that": lambda body, item: body.update(format=2),
        "slice": lambda body, item: item["chunks"][0].update(bits=1),
    }
    for words, lie in lies.items():
        assert any(words in reason for reason in plant(lie)), (words, plant(lie))


def test_it_is_written_whole_or_not_at_all(pair, tmp_path):
    _, new, product = pair
    path = tmp_path / "it.json"
    path.write_text("as it was")
    product.refuses("SB-IO", "verify", "--certificate", tmp_path / "no" / "such.json")
    assert new.sql("SELECT id FROM switchback.verify_run") == [], "it compared first"
    product.refuses("SB-USAGE", "verify", "--explain", "--certificate", path)
    new.sql("UPDATE switchback.progress SET source_uuid = gen_random_uuid()")
    product.refuses("SB-SOURCE-IDENTITY", "verify", "--certificate", path, timeout=120)
    assert [found.name for found in tmp_path.iterdir() if found.is_file()] == ["it.json"] and path.read_text() == "as it was"
    done = run_program("certificate", "check", tmp_path / "none.json")
    assert done.code == 74 and "SB-IO" in done.err


def test_what_was_not_compared_is_said(pair, tmp_path):
    _, new, product = pair
    new.sql("ALTER TABLE item RENAME TO gone")
    body = body_of(certify(product, tmp_path / "it.json", code=INCOMPLETE))
    assert {"what": "public.item", "why": "the target has no such table"} in body["not_verified"]
    assert check(tmp_path / "it.json")["verdict"] == "incomplete"
