"""The disk below the embedded store fills up, and has room again: capture waits with what it has in hand (SB-STREAM-FULL),
confirms nothing that is not stored, and nothing is lost. The disk is a small tmpfs in a mount namespace of our own, so no root
is needed."""

import os
import subprocess

import pytest

from sbtest import need
from sbtest.process import Process
from sbtest.product import program

ROWS = 40000
MAY_MOUNT = ["unshare", "-Urm", "sh", "-c", "mount -t tmpfs -o size=1m none /mnt"]
# Root of the first namespace mounts, and fills most of it with ballast; the program runs in a second one, as who we are.
# $1: the directory, $2: the ballast goes when this file appears, $3: the program, $4: its configuration.
SMALL_DISK = f"""
mount -t tmpfs -o size=128m,mode=0700 none "$1" && head -c 122m /dev/zero >"$1/ballast" || exit
(until [ -e "$2" ]; do sleep 0.05; done; rm "$1/ballast") &
exec unshare -U --map-user={os.getuid()} --map-group={os.getgid()} sh -c '"$0" -c "$1" prepare && exec "$0" -c "$1" run' "$3" "$4"
"""


@pytest.fixture
def shop(clusters, switchback):
    """A migration that runs with its state directory on a small disk; make_room() frees it."""
    if subprocess.run(MAY_MOUNT, capture_output=True).returncode != 0:
        need.missing("this user may not mount in a namespace of its own", required=False)
    old, new = clusters(15, "old"), clusters(15, "new")
    for cluster in (old, new):
        cluster.sql("CREATE TABLE item (id integer PRIMARY KEY, name text)")
    product = switchback(old, new)
    enough = product.folder / "enough"
    stage = Process(
        ["unshare", "-Urm", "sh", "-c", SMALL_DISK, "small-disk", product.folder / "state", enough, program(), product.config_file],
        product.log, env=product.environment())
    product.make_room, product.everything = enough.touch, stage
    try:
        product.wait_log('msg="capture follows"')
        yield product
    finally:
        product.make_room()
        stage.kill9()


def test_a_full_disk_is_waited_for_and_loses_nothing(shop):
    shop.old.sql("INSERT INTO item SELECT g, repeat(md5(g::text), 10) FROM generate_series(1, %s) g", ROWS)
    shop.wait_log("SB-STREAM-FULL")
    shop.old.sql("INSERT INTO item VALUES (0, 'behind')")
    assert shop.new.value("SELECT count(*) FROM item") == 0, "half a transaction, or what is behind it, was applied"
    assert shop.everything.running()
    shop.make_room()
    shop.wait_caught_up()
    assert not shop.log_contains("class=fatal|class=data")
    sums = "SELECT count(*), sum(id), md5(string_agg(name, ',' ORDER BY id)) FROM item"
    assert shop.new.sql(sums) == shop.old.sql(sums)
