"""Repairs on real servers: what is planted is made equal through the stream, under load, and nothing else is touched."""

import json

import pytest

from sbtest.verifying import DIFFERENT, EQUAL, running, verify

DONE, INCOMPLETE, REFUSED = 0, 4, 8
ROWS = 300

TABLES = f"""
CREATE TABLE item (id int PRIMARY KEY, note text, amount numeric, u int UNIQUE);
INSERT INTO item SELECT g, 'note ' || g, g, g FROM generate_series(1, {ROWS}) g;
CREATE TABLE journal (line text);
INSERT INTO journal SELECT 'line ' || g % 10 FROM generate_series(1, 100) g;
ANALYZE
"""


def script(server, text):
    """As somebody who wrote on the target by hand: without triggers and foreign keys."""
    with server.connect() as session:
        session.execute("SET session_replication_role = replica")
        for statement in text.strip().split(";\n"):
            session.execute(statement)


def repair(product, *words, code=DONE, **more):
    done = product.verb("repair", *words, "--json", timeout=120, **more)
    assert done.code == code, done
    return done.json()


def states(server):
    return dict(server.sql("SELECT key_shown, state FROM switchback.difference"))


@pytest.fixture
def small(clusters, switchback):
    old, new = clusters(15, "old"), clusters(15, "new")
    for server in (old, new):
        script(server, TABLES)
    return old, new, running(switchback, old, new, repair={"apply_wait_s": 20})


def test_a_row_is_repaired_and_an_undo_puts_it_back(small):
    old, new, product = small
    assert repair(product, "run")["end"] == "nothing"
    script(new, "DELETE FROM item WHERE id = 1;\nINSERT INTO item VALUES (7777, 'extra');\nUPDATE item SET note = NULL, u = -4 WHERE id = 4")
    verify(product, code=DIFFERENT)
    answer = repair(product, "run")
    assert (answer["end"], answer["rows"], answer["verified"]) == ("done", 3, 3), answer
    assert set(states(new).values()) == {"repaired"}
    assert new.value("SELECT count(*) FROM switchback.repair_audit") == 3
    verify(product, code=EQUAL)

    product.refuses("SB-USAGE", "repair", "undo", answer["repair"])
    undone = repair(product, "undo", answer["repair"], "--reason", "it was meant to be so")
    assert (undone["end"], undone["rows"], undone["verified"]) == ("done", 3, 3), undone
    assert new.sql("SELECT id, note, u FROM item WHERE id IN (1, 4, 7777) ORDER BY id") == [(4, None, -4), (7777, "extra", None)]
    assert set(states(new).values()) == {"held"}
    verify(product, code=DIFFERENT)
    assert repair(product, "run")["end"] == "nothing"
    again = repair(product, "run", "--include", "held", "--reason", "no, it was not")
    assert (again["end"], again["verified"]) == ("done", 3)
    verify(product, code=EQUAL)
    assert product.ok("repair", "audit", "--json").json() == {"whole": True, "rows": 9, "broken": 0, "why": ""}
