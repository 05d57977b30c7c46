"""docs/GETTING-STARTED.md, typed on two real servers."""

import re

from sbtest import compare, pages, tree
from sbtest.wait import wait_until

PAGE = "docs/GETTING-STARTED.md"
YAML = re.compile(r"^```yaml\n(.*?)^```$", re.M | re.S)
TABLES = ["CREATE TABLE item (id int PRIMARY KEY, note text)", "CREATE TABLE visit (at timestamptz, who text)", "CREATE INDEX by_note ON item (note)"]
STEPS = ["check", "prepare", "status", "explain", "remove"]


def test_the_page_as_typed(clusters, switchback):
    old, new = clusters(15, "old"), clusters(15, "new")
    for statement in TABLES:
        old.sql(statement)
    old.sql("INSERT INTO item SELECT -g, 'there before' FROM generate_series(1, 50) g")
    old.sql("INSERT INTO visit VALUES ('2020-01-01', 'somebody before')")
    product = switchback(old, new)
    text = tree.read(PAGE)
    (config,) = YAML.findall(text)
    config = config.replace("host=old.example.org dbname=shop user=switchback", old.dsn())
    config = config.replace("host=new.example.org dbname=shop user=switchback", new.dsn())
    config = config.replace("/var/lib/switchback/shop", str(product.folder / "state"))
    assert "example.org" not in config
    product.write_config(config + 'http:\n  listen: ""\n')

    def type_in(block):
        return pages.type_in(product, block)

    blocks = pages.blocks(text)
    assert [next(word for word in STEPS if word in block) for block in blocks] == STEPS, blocks
    check, prepare, look, explain, remove = blocks
    type_in(check)
    assert old.sql("SELECT 1 FROM pg_namespace WHERE nspname = 'switchback'") == []
    assert "CREATE PUBLICATION" in type_in(prepare)
    run = product.run()
    structure = "SELECT structure FROM switchback.copy"
    wait_until(lambda: new.value(structure) == "complete", 60, "the structure to be whole")
    product.wait_state("apply-forward", "running")
    old.sql("INSERT INTO item SELECT g, 'note' FROM generate_series(1, 100) g")
    old.sql("INSERT INTO visit VALUES (now(), 'somebody')")
    product.wait_caught_up()
    compare.assert_equal(old, new, tables=[("public", "item"), ("public", "visit")])
    assert new.value("SELECT to_regclass('by_note') IS NOT NULL")
    assert "WHOLE" in type_in(look)
    type_in(explain)
    assert run.stop() == 0
    type_in(remove)
    for cluster in (old, new):
        assert cluster.sql("SELECT 1 FROM pg_namespace WHERE nspname = 'switchback'") == []
    assert old.sql("SELECT 1 FROM pg_replication_slots") == []
