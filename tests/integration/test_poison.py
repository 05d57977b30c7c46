"""What apply could not simply write, as an operator meets it: conflicts are recorded with both versions and decided,
poison stops its lane with the reason and the way out, a skip leaves debts."""

import json

import pytest

from sbtest import compare
from sbtest.wait import wait_until

ITEM = "CREATE TABLE item (id int PRIMARY KEY, note text, u int UNIQUE)"


@pytest.fixture
def shop(clusters, switchback):
    """shop(tables..., new_tables=..., **apply): a migration that runs."""

    def make(tables=ITEM, new_tables=None, **apply):
        old, new = clusters(15, "old"), clusters(15, "new")
        old.sql(tables)
        new.sql(new_tables or tables)
        shop = switchback(old, new, config={"apply": apply, "insecure": True, "capture": {"heartbeat_interval_ms": 20000}})
        shop.ok("prepare")
        shop.run()
        return shop

    return make


def rows(cluster, table="item"):
    return cluster.sql(f"SELECT * FROM {table} ORDER BY 1, 2")


def transaction(cluster, *statements):
    with cluster.connect() as session:
        session.execute(f"BEGIN; {'; '.join(statements)}; COMMIT")


def listed(shop):
    return shop.ok("conflicts", "list", "--json").json()


def poison(shop):
    done = shop.verb("poison", "show", "--json")
    assert done.code == 1, done
    (found,) = done.json()
    return found


# -- conflicts


@pytest.mark.parametrize("mode", ["auto", "exact"])
def test_a_conflict_is_held_shown_with_both_versions_mended_and_resumed(shop, mode):
    shop = shop(mode=mode)
    shop.old.sql("INSERT INTO item VALUES (1, 'source', 1)")
    shop.wait_caught_up()
    shop.new.sql("INSERT INTO item VALUES (2, 'target', 20)")
    transaction(shop.old, "INSERT INTO item VALUES (3, 'before', 3)", "INSERT INTO item VALUES (2, 'source', 2)")
    halted = shop.wait_halted("apply-forward", "SB-CONFLICT")
    assert "conflicts list" in halted["hint"] or "poison show" in halted["hint"]
    assert rows(shop.new) == [(1, "source", 1), (2, "target", 20)], "half of a transaction was written"
    (found,) = listed(shop)
    assert found["kind"] == "insert_exists" and found["resolution"] == "hold" and found["key"] == {"id": "2"}
    assert found["source_row"] == {"id": "2", "note": "source", "u": "2"}
    assert found["target_row"] == {"id": 2, "note": "target", "u": 20}
    text = shop.ok("conflicts", "list").out
    assert "insert_exists" in text and "1 conflict" in text

    shop.ok("resume")
    shop.wait_halted("apply-forward", "SB-CONFLICT")
    assert len(listed(shop)) == 1, "held again, recorded again"
    shop.new.sql("DELETE FROM item WHERE id = 2")
    shop.ok("resume")
    shop.wait_caught_up()
    compare.assert_equal(shop.old, shop.new)
    assert shop.verb("poison", "show").code == 0


@pytest.mark.parametrize("mode", ["auto", "exact"])
def test_the_owner_wins_and_every_conflict_is_counted_and_recorded(shop, mode):
    shop = shop(mode=mode, conflict="owner")
    shop.old.sql("INSERT INTO item SELECT g, 'old', g FROM generate_series(1, 4) g")
    shop.wait_caught_up()
    shop.new.sql("DELETE FROM item WHERE id IN (1, 2)")
    shop.new.sql("INSERT INTO item VALUES (9, 'stray', 99)")
    transaction(shop.old, "UPDATE item SET note = 'new' WHERE id = 1", "DELETE FROM item WHERE id = 2", "INSERT INTO item VALUES (9, 'new', 9)")
    shop.wait_caught_up()
    compare.assert_equal(shop.old, shop.new)
    found = {one["kind"]: one for one in listed(shop)}
    assert sorted(found) == ["delete_missing", "insert_exists", "update_missing"]
    assert found["insert_exists"]["target_row"] == {"id": 9, "note": "stray", "u": 99}
    assert found["update_missing"]["target_row"] is None and found["update_missing"]["source_row"]["note"] == "new"
    assert {one["resolution"] for one in found.values()} == {"owner", "none"}
    assert shop.new.value("SELECT conflicts FROM switchback.progress") == 3
    assert len(shop.ok("conflicts", "list", "--json", "--limit", "1").json()) == 1


# -- poison


CHECKED = ITEM.replace("note text", "note text CONSTRAINT polite CHECK (note <> 'rude')")


def test_poison_is_shown_skipped_whole_and_owed(shop):
    shop = shop(new_tables=CHECKED)
    shop.old.sql("INSERT INTO item SELECT g, 'fine', g FROM generate_series(1, 5) g")
    shop.wait_caught_up()
    transaction(
        shop.old, "INSERT INTO item VALUES (6, 'fine', 6)", "UPDATE item SET id = 20 WHERE id = 2", "DELETE FROM item WHERE id = 3",
        "UPDATE item SET note = 'rude' WHERE id = 4",
    )
    shop.old.sql("UPDATE item SET note = 'later' WHERE id = 5")
    halted = shop.wait_halted("apply-forward", "SB-POISON")
    found = poison(shop)
    assert found["table"] == "public.item" and found["sqlstate"] == "23514" and found["error"] == "SB-POISON"
    assert "polite" in found["reason"] and found["commit_lsn"] in halted["error_text"] + halted["hint"]
    assert "rude" not in halted["error_text"], "a row's value is in an error message"
    assert f"poison skip --lsn {found['commit_lsn']}" in halted["hint"]

    shop.refuses("SB-USAGE", "poison", "skip", "--lsn", "0/1", "--reason", "x", code=64)
    shop.refuses("SB-USAGE", "poison", "skip", "--lsn", found["commit_lsn"], code=64)
    shop.refuses("SB-USAGE", "poison", "skip", "--lsn", "nonsense", "--reason", "x", code=64)
    shop.ok("resume")
    shop.wait_halted("apply-forward", "SB-POISON")
    assert rows(shop.new) == [(g, "fine", g) for g in range(1, 6)], "it was skipped although nobody said so"

    shop.ok("poison", "skip", "--lsn", found["commit_lsn"], "--reason", "they were rude")
    assert poison(shop)["skip_reason"] == "they were rude"
    shop.ok("resume")
    shop.wait_caught_up()
    assert rows(shop.new) == [(1, "fine", 1), (2, "fine", 2), (3, "fine", 3), (4, "fine", 4), (5, "later", 5)]
    debts = shop.new.sql("SELECT op, key, relation, reason FROM switchback.debt ORDER BY ordinal, id")
    assert [(op, key["id"]) for op, key, _, _ in debts] == [
        ("insert", "6"), ("update", "2"), ("update", "20"), ("delete", "3"), ("update", "4"),
    ]
    assert {(relation, reason) for _, _, relation, reason in debts} == {("public.item", "they were rude")}
    assert shop.ok("poison", "show", "--json").json() == []
    assert "no transaction is in the way" in shop.ok("poison", "show").out


def test_poison_is_mended_and_resumed(shop):
    shop = shop(new_tables=CHECKED)
    shop.old.sql("INSERT INTO item VALUES (1, 'rude', 1)")
    shop.wait_halted("apply-forward", "SB-POISON")
    shop.new.sql("ALTER TABLE item DROP CONSTRAINT polite")
    shop.ok("resume")
    shop.wait_caught_up()
    compare.assert_equal(shop.old, shop.new)
    assert shop.new.sql("SELECT 1 FROM switchback.debt") == []


def test_capture_goes_on_while_apply_is_halted(shop):
    shop = shop(new_tables=CHECKED)
    shop.old.sql("INSERT INTO item VALUES (1, 'rude', 1)")
    shop.wait_halted("apply-forward", "SB-POISON")
    stored = shop.status()["directions"][0]["positions"]["stored_lsn"]
    shop.old.sql("INSERT INTO item VALUES (2, 'fine', 2)")
    wait_until(lambda: shop.status()["directions"][0]["positions"]["stored_lsn"] != stored, 20, "capture to store more")


@pytest.mark.parametrize("mode", ["auto", "exact"])
def test_a_keyless_row_that_is_skipped_is_owed_whole(shop, mode):
    journal = "CREATE TABLE item (at int, what text)"
    shop = shop(tables=journal, new_tables="CREATE TABLE item (at int CHECK (at < 5), what text)", mode=mode)
    transaction(shop.old, "INSERT INTO item VALUES (1, 'a')", "INSERT INTO item VALUES (7, 'b')")
    shop.wait_state("apply-forward", "halted")
    shop.ok("poison", "skip", "--lsn", poison(shop)["commit_lsn"], "--reason", "x")
    shop.ok("resume")
    shop.wait_caught_up()
    assert shop.new.sql("SELECT key FROM switchback.debt ORDER BY ordinal") == [({"at": "1", "what": "a"},), ({"at": "7", "what": "b"},)]


# -- one cause each


DOCUMENT = "CREATE TABLE item (id int PRIMARY KEY, n int, body text); ALTER TABLE item ALTER body SET STORAGE EXTERNAL"


@pytest.mark.parametrize("mode", ["auto", "exact"])
def test_a_missing_row_whose_large_values_did_not_travel_is_poison(shop, mode):
    """To write NULL or '' in their place would be a lie."""
    shop = shop(tables=DOCUMENT, mode=mode, conflict="owner")
    shop.old.sql("INSERT INTO item SELECT g, 0, repeat('x', 9000) FROM generate_series(1, 2) g")
    shop.wait_caught_up()
    shop.new.sql("DELETE FROM item WHERE id = 1")
    shop.old.sql("UPDATE item SET n = 1 WHERE id = 1")
    halted = shop.wait_halted("apply-forward", "SB-POISON")
    assert "TOAST" in halted["error_text"]
    shop.new.sql("INSERT INTO item VALUES (1, 0, repeat('x', 9000))")
    shop.ok("resume")
    shop.wait_caught_up()
    compare.assert_equal(shop.old, shop.new)


@pytest.mark.parametrize("mode", ["auto", "exact"])
def test_a_missing_row_of_identity_full_is_made_of_old_and_new(shop, mode):
    shop = shop(tables=DOCUMENT + "; ALTER TABLE item REPLICA IDENTITY FULL", mode=mode, conflict="owner")
    shop.old.sql("INSERT INTO item VALUES (1, 0, repeat('x', 9000))")
    shop.wait_caught_up()
    shop.new.sql("DELETE FROM item")
    shop.old.sql("UPDATE item SET n = 1")
    shop.wait_caught_up()
    compare.assert_equal(shop.old, shop.new)
    assert [one["kind"] for one in listed(shop)] == ["update_missing"]


@pytest.mark.parametrize(
    "mode, count, wide, narrow, value",
    [
        ("auto", 1, "text", "varchar(3)", "'four'"), ("auto", 40, "text", "varchar(3)", "'four'"),
        ("auto", 1, "varbit", "bit(3)", "B'1111'"), ("exact", 1, "text", "varchar(3)", "'four'"),
    ],
)
def test_a_value_that_is_too_long_is_refused_and_never_cut(shop, mode, count, wide, narrow, value):
    """By INSERT from arrays, by COPY, by UPDATE and one by one."""
    shop = shop(tables=f"CREATE TABLE item (id int PRIMARY KEY, v {wide})", mode=mode)
    shop.old.sql("INSERT INTO item SELECT g, NULL FROM generate_series(1, 40) g")
    shop.wait_caught_up()
    shop.new.sql(f"ALTER TABLE item ALTER v TYPE {narrow}")
    for statement in (
        f"INSERT INTO item SELECT 100 + g, {value} FROM generate_series(1, {count}) g", f"UPDATE item SET v = {value} WHERE id <= {count}",
    ):
        shop.old.sql(statement)
        shop.wait_halted("apply-forward", "SB-POISON")
        assert poison(shop)["sqlstate"].startswith("22")
        assert shop.new.sql("SELECT 1 FROM item WHERE v IS NOT NULL") == []
        shop.ok("poison", "skip", "--lsn", poison(shop)["commit_lsn"], "--reason", "too long")
        shop.ok("resume")
        shop.wait_caught_up()


QUEUE = "CREATE TABLE item (id int PRIMARY KEY, pos int UNIQUE DEFERRABLE INITIALLY DEFERRED, note text)"


@pytest.mark.parametrize("mode", ["auto", "exact"])
@pytest.mark.parametrize("batch_max_rows", [3, 20000])
def test_two_rows_that_a_deferrable_constraint_forbids_never_commit(shop, mode, batch_max_rows):
    """The server does not look. Whole batches and, with few rows in one, a transaction that is written as it arrives."""
    shop = shop(tables=QUEUE, mode=mode, batch_max_rows=batch_max_rows, conflict="owner")
    shop.old.sql("INSERT INTO item SELECT g, g, 'x' FROM generate_series(1, 20) g")
    shop.old.sql("UPDATE item SET pos = pos + 1")  # each onto the next one's place, until that moves too
    shop.old.sql("UPDATE item SET pos = CASE id WHEN 1 THEN 20 WHEN 19 THEN 2 ELSE pos END")
    shop.wait_caught_up()
    compare.assert_equal(shop.old, shop.new)
    assert listed(shop) == []
    shop.new.sql("INSERT INTO item VALUES (100, 1007, 'stray')")
    shop.old.sql("UPDATE item SET pos = pos + 1000 WHERE id < 10")
    shop.wait_halted("apply-forward", "SB-CONFLICT")
    (found,) = listed(shop)
    assert found["kind"] == "multiple_unique_conflicts" and found["resolution"] == "hold"
    assert {100, 6} >= {found["target_row"]["id"]} and found["table"] == "public.item"
    assert shop.new.value("SELECT count(*) - count(DISTINCT pos) FROM item") == 0
    assert "item_pos_key" in poison(shop)["reason"]
    shop.new.sql("DELETE FROM item WHERE id = 100")
    shop.ok("resume")
    shop.wait_caught_up()
    compare.assert_equal(shop.old, shop.new)


@pytest.mark.parametrize("mode", ["auto", "exact"])
def test_a_key_is_compared_as_its_own_index_does(shop, mode):
    """The '=' of citext lives in the schema of its extension, and nothing but pg_catalog is in the search_path."""
    shop = shop(tables="CREATE EXTENSION citext; CREATE TABLE item (k citext PRIMARY KEY, v text)", mode=mode)
    shop.old.sql("INSERT INTO item VALUES ('a', 'x'), ('b', 'x')")
    shop.wait_caught_up()
    shop.new.sql("UPDATE item SET k = upper(k::text)::citext")
    transaction(shop.old, "UPDATE item SET v = 'y' WHERE k = 'a'", "DELETE FROM item WHERE k = 'b'")
    shop.wait_caught_up()
    assert rows(shop.new) == [("a", "y")] and listed(shop) == []


PARTS = """CREATE TABLE item (id int PRIMARY KEY, pos int, note text) PARTITION BY RANGE (id);
CREATE TABLE low PARTITION OF item FOR VALUES FROM (0) TO (100); CREATE TABLE high PARTITION OF item FOR VALUES FROM (100) TO (200);
ALTER TABLE low ADD CONSTRAINT low_pos UNIQUE (pos) DEFERRABLE INITIALLY DEFERRED"""


@pytest.mark.parametrize("mode", ["auto", "exact"])
def test_a_constraint_that_only_a_partition_has_is_looked_after_there(shop, mode):
    shop = shop(tables=PARTS, mode=mode)
    shop.old.sql("INSERT INTO item SELECT g, g % 100, 'x' FROM generate_series(1, 199) g WHERE g <> 100")
    shop.old.sql("UPDATE item SET pos = 100 - pos WHERE id < 100")
    shop.wait_caught_up()
    compare.assert_equal(shop.old, shop.new)
    shop.new.sql("INSERT INTO low VALUES (0, 500, 'stray')")
    shop.old.sql("INSERT INTO item VALUES (100, 500, 'x')")  # the same value in another partition is no clash
    shop.wait_caught_up()
    shop.old.sql("UPDATE item SET pos = 500 WHERE id = 6")
    shop.wait_halted("apply-forward", "SB-CONFLICT")
    assert listed(shop)[0]["target_row"]["id"] in (0, 6) and "low_pos" in poison(shop)["reason"]
    assert shop.new.sql("SELECT id FROM item WHERE pos = 500 ORDER BY id") == [(0,), (100,)]


@pytest.mark.parametrize("mode", ["auto", "exact"])
def test_a_key_that_the_target_holds_twice_is_never_written_by_luck(shop, mode):
    """One key is there twice and another not at all: the counts of rows agree, the rows do not."""
    shop = shop(mode=mode, conflict="owner")
    shop.old.sql("INSERT INTO item SELECT g, 'x', g FROM generate_series(1, 2) g")
    shop.wait_caught_up()
    shop.new.sql("ALTER TABLE item DROP CONSTRAINT item_pkey, DROP CONSTRAINT item_u_key")
    shop.new.sql("UPDATE item SET id = 1, note = 'twice' WHERE id = 2")
    shop.old.sql("UPDATE item SET note = 'y'")
    shop.wait_halted("apply-forward", "SB-CONFLICT")
    assert [one["kind"] for one in listed(shop)] == ["row_differs"]
    assert rows(shop.new) == [(1, "twice", 2), (1, "x", 1)]


def test_an_error_at_commit_is_poison_like_any_other(shop):
    shop = shop()
    shop.new.sql(
        """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.note = 'bad' THEN RAISE EXCEPTION 'no'; END IF; RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON item DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse();
        ALTER TABLE item ENABLE ALWAYS TRIGGER refuse"""
    )
    shop.old.sql("INSERT INTO item VALUES (1, 'bad', 1)")
    shop.wait_halted("apply-forward", "SB-POISON")
    assert poison(shop)["sqlstate"] == "P0001"
    shop.ok("poison", "skip", "--lsn", poison(shop)["commit_lsn"], "--reason", "x")
    shop.ok("resume")
    shop.old.sql("INSERT INTO item VALUES (2, 'good', 2)")
    shop.wait_caught_up()
    assert rows(shop.new) == [(2, "good", 2)]


def test_a_table_that_is_not_there_is_a_matter_of_structure(shop):
    shop = shop(tables=ITEM + "; CREATE TABLE lost (id int PRIMARY KEY)")
    shop.new.sql("DROP TABLE lost")
    transaction(shop.old, "INSERT INTO item VALUES (1, 'x', 1)")
    transaction(shop.old, "INSERT INTO item VALUES (2, 'x', 2)", "INSERT INTO lost VALUES (1)")
    halted = shop.wait_halted("apply-forward", "SB-TARGET-STRUCTURE")
    assert "lost" in halted["error_text"] and rows(shop.new) == [(1, "x", 1)]
    shop.new.sql("CREATE TABLE lost (id int PRIMARY KEY)")
    shop.ok("resume")
    shop.wait_caught_up()
    compare.assert_equal(shop.old, shop.new)


def test_a_row_value_is_in_no_log(shop):
    shop = shop(new_tables=CHECKED.replace("u int UNIQUE", "u int UNIQUE CHECK (u < 100)"))
    shop.old.sql("INSERT INTO item VALUES (424242, 'rude', 434343)")
    shop.wait_halted("apply-forward", "SB-POISON")
    assert not shop.log_contains("424242|434343|rude")
    assert json.dumps(shop.status()).find("424242") < 0
