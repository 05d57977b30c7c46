"""Repairs and death: the verb and apply are killed at every point, and what was begun is gone on with to the same end."""

import re
import signal

import pytest

from sbtest import process, tree
from sbtest.repairing import WORDS, script
from sbtest.standby import HANGS, hang
from sbtest.verifying import DIFFERENT, EQUAL, in_background, running, verify
from sbtest.wait import wait_until

PLANTED = """
DELETE FROM item WHERE id IN (1, 2);
INSERT INTO item (id, note) VALUES (7777, 'extra'), (7778, 'extra');
UPDATE item SET note = 'other' WHERE id IN (5, 6)"""
ROWS = 6
POINTS = re.findall(r'"(reconcile-(?:after-plan|before-send|after-send|after-judged|after-verified))"', tree.read("core/fault_table.h"))
APPLY_POINTS = re.findall(r'"(apply-(?:before-repair|repair-row|after-repair))"', tree.read("core/fault_table.h"))


@pytest.fixture
def pair(clusters, switchback):
    old, new = clusters(15, "old", fsync=True), clusters(15, "new", fsync=True)
    for server in (old, new):
        server.sql("CREATE TABLE item (id int PRIMARY KEY, note text, u int UNIQUE)")
        server.sql("INSERT INTO item SELECT g, 'note ' || g, g FROM generate_series(1, 50) g")
    return old, new, running(switchback, old, new, repair={"batch_max_rows": 2})


def newest(new):
    return new.sql("SELECT id, state FROM switchback.repair ORDER BY id DESC LIMIT 1")[0]


def applied(new, ident):
    return new.sql("SELECT item, count(*) FROM switchback.repair_audit WHERE repair = %s AND outcome = 'applied' GROUP BY 1", ident)


def end_well(new, product, ident):
    """Whatever was killed: each row was changed once, all compare equal, and the record is whole."""
    assert sorted(applied(new, ident)) == [(item, 1) for item in range(1, ROWS + 1)]
    assert {row[0] for row in new.sql("SELECT state FROM switchback.difference")} == {"repaired"}
    assert new.sql("SELECT id, note FROM item WHERE id IN (1, 2, 5, 6) OR id > 50 ORDER BY id") == [(g, f"note {g}") for g in (1, 2, 5, 6)]
    assert product.ok("repair", "audit", "--json").json()["whole"]
    verify(product, code=EQUAL)


def test_the_verb_is_killed_at_every_point(pair):
    _, new, product = pair
    assert len(POINTS) == 5
    for point in POINTS:
        script(new, PLANTED)
        verify(product, code=DIFFERENT)
        killed = product.verb("repair", "run", *WORDS, fault=f"{point}:kill:{1 if point.endswith('plan') else 2}", timeout=60)
        assert killed.code == -signal.SIGKILL, killed
        ident, state = newest(new)
        assert state == ("planned" if point.endswith("plan") else "running"), point
        done = product.verb("repair", "run", ident, "--json", timeout=60)
        assert done.code == 0 and done.json()["verified"] == ROWS, done
        end_well(new, product, ident)
    # Given up instead of gone on with: the differences are free again.
    script(new, PLANTED)
    verify(product, code=DIFFERENT)
    product.verb("repair", "run", *WORDS, fault="reconcile-after-judged:kill:1", timeout=60)
    ident, _ = newest(new)
    anew = product.ok("repair", "run", *WORDS, "--json").json()
    assert anew["repair"] > ident and anew["verified"] + anew["closed"] == anew["rows"], anew
    assert new.value("SELECT state FROM switchback.repair WHERE id = %s", ident) == "stopped"
    verify(product, code=EQUAL)


@pytest.mark.parametrize("point", APPLY_POINTS)
def test_apply_is_killed_in_the_middle_of_an_image(pair, point):
    """It takes the image up again, remembers nothing of what went before, and is asked anew."""
    _, new, product = pair
    assert len(APPLY_POINTS) == 3
    script(new, PLANTED)
    verify(product, code=DIFFERENT)
    product.stop()
    product.start("capture")
    killed = product.start("apply", fault=f"{point}:kill:3")
    thread, results = in_background(lambda: product.verb("repair", "run", *WORDS, "--json", timeout=120))
    assert killed.wait(60) == -signal.SIGKILL
    done_before = applied(new, newest(new)[0])
    assert 0 < len(done_before) < ROWS and thread.is_alive(), done_before
    product.start("apply")
    thread.join(90)
    (done,) = results
    assert done.code == 0 and done.json()["verified"] == ROWS, done
    end_well(new, product, done.json()["repair"])


def test_servers_that_go_away_end_it_and_it_goes_on(pair):
    old, new, product = pair
    for server, words in ((old, "SB-SOURCE-UNAVAILABLE"), (new, "SB-TARGET-UNAVAILABLE")):
        script(new, PLANTED)
        verify(product, code=DIFFERENT)
        frozen = product.start("repair", "run", *WORDS, fault="reconcile-before-send:freeze:2")
        wait_until(lambda: process.stat(frozen.pid)[1] == "T", 60, "the repair to stand before its second image")
        server.kill9()
        frozen.signal(signal.SIGCONT)
        assert frozen.wait(60) == 69 and product.log_contains(words)
        server.start()
        ident, _ = newest(new)
        for stage in ("capture-forward", "apply-forward"):
            product.wait_state(stage, "running", 60)
        product.wait_caught_up(60)
        assert product.ok("repair", "run", ident, "--json", timeout=90).json()["verified"] == ROWS
        end_well(new, product, ident)


def test_a_commit_that_no_snapshot_shows_is_never_undone(pair):
    """It is applied, and an image that was read meanwhile does not have it (R1). Nothing is repaired then, and nothing lost."""
    old, new, product = pair
    script(new, PLANTED)
    verify(product, code=DIFFERENT)
    product.configure(repair={"apply_wait_s": 3})
    release = hang(old, "UPDATE item SET note = 'held' WHERE id IN (1, 5)")
    try:
        wait_until(lambda: new.sql("SELECT 1 FROM item WHERE note = 'held'"), 30, "it to be applied")
        done = product.verb("repair", "run", *WORDS, "--json", timeout=90)
        assert done.code == 4 and "no snapshot shows it" in done.json()["why"], done
        assert old.sql(HANGS) and old.sql("SELECT 1 FROM item WHERE note = 'held'") == [], "the fault did not take place"
        assert new.value("SELECT count(*) FROM switchback.repair_audit") == 0
    finally:
        release()
    product.configure(repair={"apply_wait_s": 60})
    verify(product, code=DIFFERENT)
    done = product.verb("repair", "run", *WORDS, "--json", timeout=90)
    assert done.code == 0, done
    verify(product, code=EQUAL)
    assert new.sql("SELECT id FROM item WHERE note = 'held' ORDER BY id") == [(1,), (5,)]
