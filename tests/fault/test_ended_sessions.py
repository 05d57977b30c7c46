"""A server that ends our sessions, in each of its ways, is an outage: stages try again by themselves and halt for nothing."""

import pytest

from sbtest.wait import wait_until

TABLE = "CREATE TABLE item (id int PRIMARY KEY)"
TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'switchback%'"


@pytest.fixture
def shop(clusters, switchback):
    old, new = clusters(15, "old", fsync=True), clusters(15, "new", fsync=True)
    for cluster in (old, new):
        cluster.sql(TABLE)
    shop = switchback(old, new)
    shop.ok("prepare")
    return shop


def say_goodbye(cluster, how):
    """terminate: each session gets a word and is closed. immediate: a warning that nobody reads, then silence.
    kill: not a word."""
    if how == "terminate":
        cluster.sql(TERMINATE)
    elif how == "kill":
        cluster.crash_and_recover()
    else:
        cluster.restart(how)


@pytest.mark.parametrize("how", ["terminate", "fast", "immediate", "kill"])
def test_idle_stages_go_on_after_their_sessions_were_ended(shop, how):
    """Idle, so that the end lies unread in the socket when the next statement is sent."""
    stages = [shop.start("capture"), shop.start("apply")]
    for number, cluster in enumerate([shop.old, shop.new, shop.old, shop.new]):
        shop.old.sql("INSERT INTO item VALUES (%s)", number)
        shop.wait_caught_up()
        began = cluster.value("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'switchback%'")
        assert began, f"no session of ours on {cluster}"
        say_goodbye(cluster, how)
    shop.old.sql("INSERT INTO item VALUES (100)")
    wait_until(
        lambda: not all(stage.running() for stage in stages) or shop.new.value("SELECT count(*) FROM item") == 5,
        60, "the target to follow")
    assert shop.log_contains("UNAVAILABLE"), "nobody noticed that a session was ended"
    assert not shop.log_contains(" level=error"), shop.evidence()
    assert all(stage.running() for stage in stages)
