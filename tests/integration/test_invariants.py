"""The user's own queries, evaluated on both sides as of one commit while both are written to."""

import signal

import pytest

from sbtest import process, standby
from sbtest.verifying import DIFFERENT, EQUAL, INCOMPLETE, in_background, running, verify
from sbtest.wait import wait_until
from sbtest.writers import Load

ACCOUNTS = 200
TABLES = """
CREATE TABLE accounts (id int PRIMARY KEY, balance numeric NOT NULL, moves int NOT NULL DEFAULT 0);
CREATE TABLE moves (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account int NOT NULL, amount numeric NOT NULL);
CREATE TABLE events (id int PRIMARY KEY);
"""
FILL = f"INSERT INTO accounts SELECT g, 100 FROM generate_series(1, {ACCOUNTS}) g"
SAME = {
    "balances": "SELECT balance, moves, count(*) FROM accounts GROUP BY 1, 2;",
    "moves": "SELECT account, sum(amount), count(*) FROM moves GROUP BY 1 ORDER BY 1",
}
NONE = {
    "nothing-lost": f"SELECT sum(balance) FROM accounts HAVING sum(balance) <> {ACCOUNTS * 100}",
    "moves-balance": "SELECT a.id FROM accounts a LEFT JOIN moves m ON m.account = a.id GROUP BY a.id, a.balance HAVING a.balance <> 100 + coalesce(sum(m.amount), 0)",
    "no-orphans": "SELECT m.id FROM moves m LEFT JOIN accounts a ON a.id = m.account WHERE a.id IS NULL",
}


def transfer(session, rng):
    """Money moves between two accounts; no half of it may ever be seen."""
    one, other = sorted(rng.sample(range(1, ACCOUNTS + 1), 2))
    amount = rng.randint(1, 20)
    with session.transaction():
        for account, by in ((one, amount), (other, -amount)):
            session.execute("UPDATE accounts SET balance = balance + %s, moves = moves + 1 WHERE id = %s", (by, account))
            session.execute("INSERT INTO moves (account, amount) VALUES (%s, %s)", (account, by))


@pytest.fixture
def pair(clusters, switchback):
    def make(same=SAME, none=NONE, **invariants):
        old, new = clusters(15, "old"), clusters(15, "new")
        for server in (old, new):
            server.sql(TABLES)
            server.sql(FILL)
        return old, new, running(switchback, old, new, invariants={"same": same, "none": none, **invariants})

    return make


def states(answer):
    return {one["name"]: one["state"] for one in answer["invariants"]["results"]}


def applied(old, new, ident):
    """A commit of the source comes to the target."""
    old.sql(f"INSERT INTO events VALUES ({ident})")
    wait_until(lambda: new.value("SELECT count(*) FROM events WHERE id = %s", ident) == 1, 60, "a commit to be applied")


def test_they_hold_while_everything_moves(pair):
    old, new, product = pair()
    with Load(old, transfer, writers=4, pause=0.002) as load:
        wait_until(lambda: load.done > 100, 60, "some load")
        commits, snapshots = set(), 0
        for _ in range(8):
            before = load.done
            answer = verify(product, code=EQUAL)
            assert set(states(answer).values()) == {"holds"} and len(states(answer)) == 5
            assert all(one["source_rows"] == one["target_rows"] for one in answer["invariants"]["results"])
            commits.add(answer["invariants"]["commit_lsn"])
            snapshots += answer["invariants"]["snapshots"]
            wait_until(lambda: load.done > before, 60, "the load to go on")
    assert len(commits) == 8
    print(f"{snapshots} snapshots for {len(commits)} barriers, {load.done} transfers")


def test_a_broken_one_is_named(pair):
    old, new, product = pair()
    with new.connect() as session:
        session.execute("SET session_replication_role = replica")
        session.execute("UPDATE accounts SET balance = balance + 1 WHERE id = 7")
        session.execute("INSERT INTO moves (account, amount) OVERRIDING SYSTEM VALUE VALUES (99999, 1)")
    answer = verify(product, code=DIFFERENT)
    assert states(answer) == {name: "broken" for name in (*SAME, *NONE)}, answer["invariants"]
    shown = product.verb("verify")
    assert shown.code == DIFFERENT and "broken        invariant nothing-lost  0 and 1 rows" in shown.out
    # With --table there is no barrier: it is of all tables.
    assert states(verify(product, "--table", "public.events")) == {}


def test_broken_on_both_sides_is_broken(pair):
    old, new, product = pair()
    old.sql("UPDATE accounts SET balance = balance + 1 WHERE id = 7")
    answer = verify(product, code=DIFFERENT)
    assert states(answer) == {"balances": "holds", "moves": "holds", "nothing-lost": "broken", "moves-balance": "broken", "no-orphans": "holds"}


def test_what_cannot_be_evaluated_says_why(pair):
    odd = {
        "wrong": "SELECT nothing FROM accounts",
        "slow": "SELECT pg_sleep(60)",
        "large": "SELECT generate_series(1, 200000)",
        "writes": "INSERT INTO events VALUES (5) RETURNING 1",
        "calls": "SELECT nextval('moves_id_seq')",
        "fine": "SELECT count(*) FROM accounts",
    }
    old, new, product = pair(same=odd, none={}, statement_timeout_s=1)
    answer = verify(product, code=INCOMPLETE)
    assert states(answer) == {name: "holds" if name == "fine" else "not evaluated" for name in odd}
    why = {one["name"]: one["why"] for one in answer["invariants"]["results"]}
    assert '"nothing" does not exist' in why["wrong"] and "timeout" in why["slow"] and "more than 100000" in why["large"]
    assert "read-only transaction" in why["calls"] and why["writes"] != ""
    assert new.value("SELECT count(*) FROM events") == 0
    assert product.verb("verify").code == INCOMPLETE
    applied(old, new, 1)


def test_a_commit_that_waits_for_a_standby_allows_no_barrier(pair):
    """It is in the stream, applied on the target, and in no snapshot: nothing that the source shows is as the target is."""
    old, new, product = pair(hold_max_s=3)
    release = standby.hang(old, "INSERT INTO events VALUES (7)")
    try:
        wait_until(lambda: new.value("SELECT count(*) FROM events WHERE id = 7") == 1, 60, "the commit to be applied")
        assert old.value("SELECT count(*) FROM events WHERE id = 7") == 0
        answer = verify(product, code=INCOMPLETE)
        assert set(states(answer).values()) == {"not evaluated"}
        assert "synchronous standby" in answer["invariants"]["results"][0]["why"]
    finally:
        release()
    applied(old, new, 8)
    assert set(states(verify(product, code=EQUAL)).values()) == {"holds"}


def test_apply_goes_on_if_verify_dies(pair):
    old, new, product = pair(hold_max_s=2)
    frozen = product.start("verify", fault="reconcile-barrier-held:freeze:1")
    wait_until(lambda: process.stat(frozen.pid)[1] == "T", 60, "verify to stand while apply is held")
    assert new.value("SELECT held_at IS NOT NULL FROM switchback.apply_hold")
    frozen.signal(signal.SIGKILL)
    applied(old, new, 1)
    assert set(states(verify(product, code=EQUAL)).values()) == {"holds"}


def test_apply_may_die_while_it_is_held(pair):
    old, new, product = pair()
    with Load(old, transfer, writers=2, pause=0.002) as load:
        wait_until(lambda: load.done > 20, 60, "some load")
        frozen = product.start("verify", "--json", fault="reconcile-barrier-truth:freeze:1")
        wait_until(lambda: process.stat(frozen.pid)[1] == "T", 60, "verify to stand while apply is held")
        pid = product.pid("apply-forward")
        product.kill_stage("apply-forward")
        wait_until(lambda: product.pid("apply-forward") not in (None, pid), 60, "apply to be started again")
        frozen.signal(signal.SIGCONT)
        assert frozen.wait(120) in (EQUAL, INCOMPLETE)  # never: different
        wait_until(lambda: set(states(verify(product)).values()) == {"holds"}, 60, "the invariants to hold")


def test_a_truncate_is_in_both_or_in_neither(pair):
    old, new, product = pair()
    old.sql("INSERT INTO events SELECT generate_series(1, 10)")
    frozen = product.start("verify", "--json", fault="reconcile-barrier-truth:freeze:1")
    wait_until(lambda: process.stat(frozen.pid)[1] == "T", 60, "verify to stand with its snapshot of the source")
    emptying, done = in_background(lambda: old.sql("TRUNCATE events"))
    waits = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'TRUNCATE%' AND wait_event_type = 'Lock'"
    wait_until(lambda: old.value(waits) == 1, 60, "the TRUNCATE to wait")
    frozen.signal(signal.SIGCONT)
    assert frozen.wait(120) == EQUAL
    emptying.join(60)
    wait_until(lambda: new.value("SELECT count(*) FROM events") == 0, 60, "the TRUNCATE to be applied")
