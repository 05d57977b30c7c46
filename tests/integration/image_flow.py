"""What tests of repaired rows share: a table on both sides, what is made wrong in it, and somebody who repairs."""

from sbtest.image import Repairer, Table

ITEM = "CREATE TABLE item (id int PRIMARY KEY, note text, n numeric)"
item = Table("item", ["id", "note", "n"], ["id"])
SLOT = "CREATE TABLE slot (id int PRIMARY KEY, place int NOT NULL {unique}, note text)"
slot = Table("slot", ["id", "place", "note"], ["id"])
ROWS = "SELECT id, note FROM item ORDER BY id"


def begin(one, rows=5):
    """The item table with rows on both sides, and somebody who repairs."""
    one.sql("INSERT INTO item SELECT g, 'note ' || g, g * 1.10 FROM generate_series(1, %s) g", rows)
    one.settle()
    repairer = Repairer(one.product)
    repairer.want()
    return repairer


def plant(one, *statements):
    for statement in statements:
        one.new_sql(statement)
