"""ops/runbooks: every command of every runbook, typed on a migration that runs."""

from sbtest import pages, tree

BOOKS = sorted((tree.ROOT / "ops/runbooks").glob("*.md"))


def test_the_commands_of_the_runbooks(clusters, switchback):
    old, new = clusters(15, "old"), clusters(15, "new")
    for cluster in (old, new):
        cluster.sql("CREATE TABLE item (id int PRIMARY KEY, note text)")
    product = switchback(old, new)
    product.ok("prepare")
    product.run()
    for stage in ("capture-forward", "apply-forward"):
        product.wait_state(stage, "running")
    old.sql("INSERT INTO item SELECT g, 'note' FROM generate_series(1, 100) g")
    product.wait_caught_up()
    typed = {}
    for book in BOOKS:
        blocks = pages.blocks(book.read_text())
        assert len(blocks) >= 2, f"{book.name}: no commands to type"
        for block in blocks:
            if block not in typed:
                typed[block] = pages.type_in(product, block)
    assert any("in step with the source" in said for said in typed.values()), typed
    assert any("switchback_shop_forward" in said for said in typed.values()), typed
