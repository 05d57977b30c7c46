"""The initial copy that makes the structure, killed wherever it can be killed, and its target with it: what was done is
found, what was half done is not there, and the end is the same."""

import signal

from sbtest import compare, process, richdb
from sbtest.wait import wait_until
from sbtest.writers import Load

ROWS = 400
COPY = "SELECT state || ' ' || structure FROM switchback.copy WHERE migration = 'shop' AND direction = 'forward'"
DONE = "SELECT step, what, done_at FROM switchback.copy_step WHERE done_at IS NOT NULL"
# Where the copy stands alone, without apply, and then with it.
FIRST = [
    "copy-after-dump:kill:1", "copy-before-tables:kill:1", "copy-after-tables:kill:1", "copy-before-step:kill:1",
    "copy-after-step:kill:3", "copy-before-step:kill:4", "copy-before-complete:kill:1",
]
SECOND = [
    "copy-before-step:kill:1", "copy-after-step:kill:2", "copy-before-step:kill:6", "copy-after-step:kill:9",
    "copy-before-whole:kill:1", "copy-after-whole:kill:1",
]


def make(clusters, switchback, structure=None, **copy):
    old, new = clusters(15, "old", fsync=True), clusters(15, "new", fsync=True)
    if structure is None:
        richdb.fill(old, ROWS)
    else:
        old.sql(structure)
    capture = {"heartbeat_interval_ms": 300, "feedback_interval_ms": 50}
    product = switchback(old, new, config={"copy": {"initial": True, "chunk_rows": 100, **copy}, "capture": capture})
    product.ok("prepare")
    return old, new, product


def finish(old, new, product):
    wait_until(lambda: new.value(COPY) == "complete complete", 120, "the structure to be whole")
    product.wait_caught_up(120)
    compare.assert_equal(old, new)
    richdb.assert_same_structure(old, new)
    assert new.sql("SELECT kind, relation, key FROM switchback.conflict LIMIT 5") == []


def tables(new):
    return new.value("SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'p') AND nspname = 'public'")


def test_a_kill_at_every_step_keeps_what_was_done(clusters, switchback):
    old, new, product = make(clusters, switchback)
    product.start("capture")
    kept = {}
    with Load(old, richdb.step(ROWS), writers=1, pause=0.01):
        for fault in FIRST:
            stage = product.start("copy", fault=fault)
            assert stage.wait(60) == -signal.SIGKILL, fault
            begun = new.value("SELECT structure_begun_at IS NOT NULL FROM switchback.copy")
            assert begun == (FIRST.index(fault) >= 2), fault
            assert (tables(new) > 5) == begun, f"{fault} left half of the tables"
            done = {step: when for step, _, when in new.sql(DONE)}
            assert all(done.get(step) == when for step, when in kept.items()), f"{fault} cost what was done"
            kept = done
        assert len(kept) > 5 and new.value(COPY) == "pending pending"
        unique = "SELECT count(*) FROM pg_constraint WHERE conname = 'one_place'"
        assert new.value(unique) == 0, "a unique constraint came before apply had passed the copy"
        product.start("apply")
        for fault in SECOND:
            stage = product.start("copy", fault=fault)
            assert stage.wait(90) == -signal.SIGKILL, fault
            done = {step: when for step, _, when in new.sql(DONE)}
            assert all(done.get(step) == when for step, when in kept.items()), f"{fault} cost what was done"
            kept = done
        assert new.value(COPY) == "complete complete" and new.value(unique) == 1
    finish(old, new, product)


def test_the_target_dies_at_every_stage_of_it(clusters, switchback):
    """And comes back with what it had flushed: tables and their steps, a step and its note, or neither."""
    old, new, product = make(clusters, switchback)
    points = ["copy-before-tables", "copy-after-tables", "copy-before-step", "copy-after-step"]
    product.start("capture")
    with Load(old, richdb.step(ROWS), writers=1, pause=0.01):
        for point in points:
            stage = product.start("copy", fault=f"{point}:freeze:1")
            wait_until(lambda: process.stat(stage.pid)[1] == "T", 60, f"{stage} to freeze")
            new.crash_and_recover()
            begun = new.value("SELECT structure_begun_at IS NOT NULL FROM switchback.copy")
            assert begun == (tables(new) > 5) == (point != "copy-before-tables"), point
            stage.kill9()
        apply, copy = product.start("apply"), product.start("copy")
        for _ in range(3):
            before = len(new.sql(DONE))
            wait_until(lambda: len(new.sql(DONE)) > before or new.value(COPY) == "complete complete", 60, "a step more")
            new.crash_and_recover()
        assert copy.wait(120) == 0 and apply.running()
    finish(old, new, product)


def test_a_frozen_copy_that_wakes_up_makes_nothing(clusters, switchback):
    old, new, product = make(clusters, switchback)
    zombie = product.start("copy", fault="copy-before-step:freeze:2")
    wait_until(lambda: process.stat(zombie.pid)[1] == "T", 60, "the copy to freeze")
    heir = switchback(old, new, migration="shop2", config={"copy": {"initial": True, "chunk_rows": 100}})
    heir.configure(migration="shop", stream={"path": f"{product.config['state_dir']}/forward.db"})
    heir.start("capture")
    heir.start("apply")
    assert heir.start("copy").wait(120) == 0
    assert heir.log_contains("ended the sessions of an earlier copy"), "nothing of the frozen one was open"
    before = new.sql(DONE)
    process.send(zombie.pid, signal.SIGCONT)
    assert zombie.wait(60) == 0, "the zombie did not find out that all is made"
    assert new.sql(DONE) == before
    finish(old, new, product)


def test_the_program_dies_with_the_copy(clusters, switchback, place):
    """A pg_dump that hangs: it ends when the copy is stopped, and when it is killed."""
    old, new, product = make(clusters, switchback)
    folder, seen = place / "hanging", place / "pid"
    folder.mkdir()
    for name in ("pg_dump", "pg_restore"):
        (folder / name).write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "pg_dump (PostgreSQL) 99.1" && exit\necho $$ >{seen}\nexec sleep 600\n')
        (folder / name).chmod(0o700)
    product.configure(copy={"pg_bin": str(folder)})
    for end in ("stop", "kill9"):
        seen.unlink(missing_ok=True)
        stage = product.start("copy")
        pid = int(wait_until(lambda: seen.exists() and seen.read_text(), 30, "pg_dump to run"))
        if end == "stop":
            assert stage.stop() == 0
        else:
            stage.kill9()
        wait_until(lambda: not process.alive(pid), 10, f"pg_dump to end ({end})")
    assert new.sql("SELECT FROM switchback.copy_step") == []


MEETINGS = """
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent);
CREATE TABLE seat (id int PRIMARY KEY, place int NOT NULL UNIQUE);
INSERT INTO parent SELECT g FROM generate_series(1, 500) g;
INSERT INTO child SELECT g, g FROM generate_series(1, 500) g;
INSERT INTO child SELECT g, 2 FROM generate_series(501, 2000) g;
INSERT INTO seat SELECT g, g FROM generate_series(1, 1000) g;
ANALYZE;
"""


def frozen(stage, what):
    wait_until(lambda: process.stat(stage.pid)[1] == "T", 60, f"the copy to freeze {what}")


def thaw(stage):
    stage.signal(signal.SIGCONT)


def test_constraints_that_hold_at_no_moment_of_the_copy_hold_at_its_end(clusters, switchback):
    """A parent goes with its child between their chunks, two rows swap a unique value between theirs: the target has an
    orphan and a value twice until apply has passed the copy."""
    old, new, product = make(clusters, switchback, MEETINGS, jobs=1)
    points = ["copy-after-commit:freeze:1", "copy-after-commit:freeze:25", "copy-before-complete:freeze:1"]
    copy = product.start("copy", fault=",".join(points))
    frozen(copy, "behind a chunk of children")
    old.sql("DELETE FROM child WHERE parent = 1")
    old.sql("DELETE FROM parent WHERE id = 1")
    thaw(copy)
    frozen(copy, "between chunks of seats")
    assert 2 < new.value("SELECT count(*) FROM switchback.chunk WHERE relation LIKE '%%seat%%'") < 9
    old.sql("UPDATE seat SET place = -1 WHERE id = 1; UPDATE seat SET place = 1 WHERE id = 1000; UPDATE seat SET place = 1000 WHERE id = 1")
    thaw(copy)
    frozen(copy, "before it is complete")
    assert new.sql("SELECT place FROM seat GROUP BY 1 HAVING count(*) > 1") == [(1,)]
    assert new.sql("SELECT id FROM child WHERE parent NOT IN (SELECT id FROM parent)") == [(1,)]
    thaw(copy)
    product.start("capture")
    product.start("apply")
    assert copy.wait(90) == 0
    finish(old, new, product)
