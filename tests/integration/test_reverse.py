"""The way back, armed: what runs, what comes back, and who wrote where only we may."""

import time

import pytest

from sbtest import compare
from sbtest.wait import wait_until
from sbtest.wayback import WayBack


@pytest.fixture
def armed(clusters, switchback):
    def make(**options):
        it = WayBack(clusters, switchback, **options).prepare()
        it.run()
        return it.wait_armed()

    return make


def test_the_way_back_is_armed_once_the_copy_is_complete(armed):
    it = armed()
    slot = it.new.sql("SELECT plugin, active FROM pg_replication_slots WHERE slot_name = 'switchback_shop_reverse'")
    assert slot == [("pgoutput", True)]
    assert it.old.sql("SELECT migration, owner, epoch FROM switchback.ownership") == [("shop", "old", 1)]
    assert it.new.sql("SELECT migration, owner, epoch FROM switchback.ownership") == [("shop", "old", 1)]
    it.settle()
    assert it.changes("reverse") == [], "rows of ours travelled back"
    compare.assert_equal(it.old, it.new)
