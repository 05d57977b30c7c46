"""The way back from and to every version, through a broker, and with a transaction of a million rows."""

import pytest

from sbtest import compare


@pytest.mark.parametrize("majors", [(14, 18), (18, 15), (18, 14)], ids=lambda pair: f"{pair[0]}to{pair[1]}")
def test_every_version_can_be_gone_back_to(armed, majors):
    it = armed(majors=majors)
    it.old.sql("INSERT INTO account SELECT g, g, 'later' FROM generate_series(101, 2000) g")
    it.old.sql("UPDATE account SET amount = 0 WHERE id % 3 = 0")
    it.settle()
    compare.assert_equal(it.old, it.new)
    assert it.changes("reverse") == []
    xid = it.rogue("UPDATE account SET note = 'rogue' WHERE id = 7", "INSERT INTO whole VALUES (1, 'x')")
    rows = it.wait_recorded(xid, 2)
    assert rows[0]["new"]["note"] == "rogue" and rows[0]["old"]["note"] == "opened"


def test_kafka_carries_it_too(armed, brokers):
    it = armed(broker=brokers())
    it.old.sql("UPDATE account SET amount = 0")
    xid = it.rogue("UPDATE account SET note = 'rogue' WHERE id = 7")
    it.wait_recorded(xid)
    it.settle()
    assert [record["after"]["note"] for record in it.changes("reverse")] == ["rogue"]


def test_a_million_rogue_rows_are_counted_and_a_thousand_recorded(armed):
    it = armed(apply={"batch_max_rows": 20000})
    xid = it.rogue("INSERT INTO account SELECT g, g, 'rogue' FROM generate_series(1000001, 2000000) g")
    it.wait_recorded(xid, 1000, 120)
    it.settle()
    assert it.totals() == (1000000, 1)
    assert len(it.recorded_of(xid)) == 1000 and len(it.recorded()) == 1000
    assert it.old.value("SELECT count(*) FROM account") == 100
    it.old.sql("UPDATE account SET amount = 77 WHERE id = 1")
    it.settle()
    assert it.new.value("SELECT amount FROM account WHERE id = 1") == 77
