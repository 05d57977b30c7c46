"""`switchback prepare`: what it makes, that it makes it once, that it can be interrupted anywhere, that it waits for
nobody without bound, and that it needs no superuser."""

import re
import threading

import psycopg
import pytest
from setup_pair import BASE, failures, findings, fingerprint, run_statement, servers, shop  # noqa: F401

from sbtest.product import Switchback
from sbtest.wait import wait_until

STEPS = ["target", "source", "publications", "origin", "progress", "stream", "slot"]


def both(product):
    return [fingerprint(cluster, product.db) for cluster in (product.old, product.new)]


def files(product):
    return sorted(path.name for path in (product.folder / "state").iterdir())


def control_rows(product):
    capture = "SELECT * FROM switchback.capture WHERE migration = %s"
    progress = "SELECT * FROM switchback.progress WHERE migration = %s"
    return (
        product.old.sql(capture, product.migration, db=product.db),
        product.new.sql(progress, product.migration, db=product.db),
    )


def slots(product):
    return product.old.sql("SELECT slot_name, plugin, confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = %s", product.slot)


# -- what it makes


def test_both_sides_and_the_stream_share_one_uuid(shop):
    shop.ok("prepare")
    old = "SELECT stream_uuid, target_uuid, start_lsn::text, publication_oid, publication_keyless_oid FROM switchback.capture"
    (stream, target, start, keyed, keyless), = shop.old.sql(old, db=shop.db)
    (progress_stream, source), = shop.new.sql("SELECT stream_uuid, source_uuid FROM switchback.progress", db=shop.db)
    assert stream == progress_stream
    assert source == shop.old.value("SELECT uuid FROM switchback.identity", db=shop.db)
    assert target == shop.new.value("SELECT uuid FROM switchback.identity", db=shop.db) != source
    assert [(shop.slot, "pgoutput", start)] == slots(shop)
    oids = dict(shop.old.sql("SELECT pubname, oid FROM pg_publication", db=shop.db))
    assert oids == {f"{shop.slot}_keyed": keyed, f"{shop.slot}_keyless": keyless}
    assert shop.new.sql("SELECT 1 FROM pg_replication_origin WHERE roname = %s", shop.slot)
    assert not failures(shop)
    assert findings(shop, "stream.store", "pass") and findings(shop, "source.slot", "pass")


def test_the_publication_is_older_than_the_slot(shop):
    shop.ok("prepare")
    shop.old.sql("INSERT INTO item VALUES (1, 'x')", db=shop.db)
    changes = shop.old.sql(
        "SELECT data FROM pg_logical_slot_peek_binary_changes(%s, NULL, NULL, 'proto_version', '1', 'publication_names', %s)",
        shop.slot, f"{shop.slot}_keyed,{shop.slot}_keyless", db=shop.db,
    )
    assert [bytes(data)[:1] for (data,) in changes] == [b"B", b"R", b"I", b"C"]


def test_tables_are_published_by_their_identity_and_partitions_by_their_root(shop):
    for statement in ["CREATE TABLE bare (a int)", "CREATE TABLE whole (a int)", "CREATE TABLE part (id int PRIMARY KEY) PARTITION BY RANGE (id)",
                      "CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (1) TO (10)", 'CREATE TABLE "Odd ""one""" (id int PRIMARY KEY)',
                      "CREATE TABLE heir (more int) INHERITS (bare)"]:
        for cluster in (shop.old, shop.new):
            cluster.sql(statement, db=shop.db)
    shop.old.sql("ALTER TABLE whole REPLICA IDENTITY FULL", db=shop.db)
    shop.configure(tables={"exclude": ["public.heir"]})
    shop.ok("prepare")

    def published(name):
        return {table for (table,) in shop.old.sql("SELECT tablename FROM pg_publication_tables WHERE pubname = %s", name, db=shop.db)}

    assert published(f"{shop.slot}_keyed") == {"item", "whole", "part", 'Odd "one"'}
    assert published(f"{shop.slot}_keyless") == {"bare"}
    operations = "SELECT pubinsert, pubupdate, pubdelete, pubtruncate, puballtables FROM pg_publication WHERE pubname = %s"
    assert shop.old.sql(operations, f"{shop.slot}_keyless", db=shop.db) == [(True, False, False, True, False)]
    assert shop.old.sql(operations, f"{shop.slot}_keyed", db=shop.db) == [(True, True, True, True, False)]


def test_the_application_s_updates_of_keyless_tables_go_on(shop):
    for cluster in (shop.old, shop.new):
        cluster.sql("CREATE TABLE bare (a int)", db=shop.db)
    shop.ok("prepare")
    for statement in ["INSERT INTO bare VALUES (1)", "UPDATE bare SET a = 2", "DELETE FROM bare", "TRUNCATE bare", "UPDATE item SET name = 'x'"]:
        shop.old.sql(statement, db=shop.db)


# -- once


def test_again_changes_nothing_and_says_so(shop):
    shop.ok("prepare")
    before = both(shop), control_rows(shop), slots(shop), files(shop)
    done = shop.ok("prepare")
    assert "nothing was changed" in done.out
    assert shop.ok("prepare", "--json").json()["steps"] == []
    assert before == (both(shop), control_rows(shop), slots(shop), files(shop))


def test_tables_added_later_are_published_by_preparing_again(shop):
    shop.ok("prepare")
    slot = slots(shop)
    for cluster in (shop.old, shop.new):
        cluster.sql("CREATE TABLE later (id int PRIMARY KEY)", db=shop.db)
    shop.old.sql("ALTER TABLE item REPLICA IDENTITY NOTHING", db=shop.db)
    assert list(failures(shop)) == ["source.publication"]
    shop.ok("prepare")
    assert not failures(shop)
    assert slots(shop) == slot
    tables = shop.old.sql("SELECT pubname, tablename FROM pg_publication_tables", db=shop.db)
    assert sorted(tables) == [(f"{shop.slot}_keyed", "later"), (f"{shop.slot}_keyless", "item")]


@pytest.mark.parametrize("cut", ["WHERE (id > 1)", "(id)"])
def test_a_row_filter_or_column_list_is_named_and_mended(shop, cut):
    shop.ok("prepare")
    shop.old.sql(f"ALTER PUBLICATION {shop.slot}_keyed SET TABLE item {cut}", db=shop.db)
    row = failures(shop)["source.publication"]
    assert row["error"] == "SB-PUBLICATION"
    run_statement(shop.old, shop.db, row["statement"])
    assert not failures(shop)


# -- nothing in a dry run


def test_a_dry_run_leaves_no_trace_and_says_what_it_costs(shop):
    (shop.folder / "state").rmdir()
    before = both(shop)
    done = shop.ok("prepare", "--dry-run")
    assert before == both(shop)
    assert not (shop.folder / "state").exists()
    for words in ["CREATE SCHEMA IF NOT EXISTS switchback", "CREATE PUBLICATION", "pg_create_logical_replication_slot",
                  "pg_replication_origin_create", "INSERT INTO switchback.capture", "SHARE UPDATE EXCLUSIVE",
                  "max_slot_wal_keep_size", "max_replication_slots", "start to fail: none", "GRANT", "forward.db"]:
        assert words in done.out, words
    shop.ok("prepare")
    done = shop.ok("prepare", "--dry-run")
    assert "would change nothing" in done.out and "CREATE PUBLICATION" not in done.out


def test_a_failed_check_changes_nothing_but_the_dry_run_still_shows_the_way(shop):
    shop.new.sql("DROP TABLE item", db=shop.db)
    before = both(shop), files(shop)
    done = shop.verb("prepare")
    assert done.code == 1 and "SB-TARGET-STRUCTURE" in done.err and "CREATE TABLE" in done.err
    assert before == (both(shop), files(shop))
    done = shop.verb("prepare", "--dry-run")
    assert done.code == 1 and "GRANT" in done.out and "CREATE PUBLICATION" in done.out
    assert before == (both(shop), files(shop))


# -- interrupted anywhere


@pytest.mark.parametrize("step", STEPS)
def test_killed_after_any_step_it_is_finished_by_running_again(shop, step):
    done = shop.verb("prepare", fault=f"setup-after-{step}:kill")
    assert done.code == -9
    assert len(slots(shop)) == (step == "slot")
    left = slots(shop)
    shop.ok("check")
    shop.old.sql("INSERT INTO item VALUES (1, 'between')", db=shop.db)
    shop.ok("prepare")
    assert not failures(shop)
    (made,) = slots(shop)
    assert [made] != left, "the slot of the interrupted run was kept"
    (capture,), (progress,) = control_rows(shop)
    assert capture[3] == progress[3], "two stream uuids"
    assert "nothing was changed" in shop.ok("prepare").out


def test_two_at_a_time_make_one(shop):
    """Both may say they did it; there must be one slot, one uuid, and a sound state."""
    threads = [threading.Thread(target=shop.verb, args=("prepare",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    shop.ok("prepare")
    assert not failures(shop)
    (capture,), (progress,) = control_rows(shop)
    assert capture[3] == progress[3]


# -- the slot


@pytest.fixture
def impatient(servers, shop):
    old = servers[0]
    if old.value("SHOW max_prepared_transactions") == "0":
        old.restart(max_prepared_transactions=5)
    shop.configure(capture={"slot_create_timeout_s": 1})
    return shop


def test_a_prepared_transaction_in_the_way_is_named_by_its_gid(impatient):
    with impatient.old.connect(impatient.db) as session:
        session.execute("BEGIN")
        session.execute("INSERT INTO item VALUES (1, 'x')")
        session.execute("PREPARE TRANSACTION 'the one in the way'")
    done = impatient.refuses("SB-SOURCE-CONFIG", "prepare", timeout=30)
    assert '"the one in the way"' in done.err and "no slot was left" in done.err
    assert not slots(impatient)
    impatient.old.sql("ROLLBACK PREPARED 'the one in the way'", db=impatient.db)
    impatient.ok("prepare")
    assert not failures(impatient)


def test_an_open_transaction_in_the_way_is_named_by_its_process(impatient):
    with impatient.old.connect(impatient.db, autocommit=False, application_name="slow_report") as session:
        session.execute("INSERT INTO item VALUES (1, 'x')")
        done = impatient.refuses("SB-SOURCE-CONFIG", "prepare", timeout=30)
        assert f"process {session.info.backend_pid} " in done.err and "slow_report" in done.err
        assert re.search(r"in a transaction since 20\d\d-", done.err)
        assert not slots(impatient)
        session.rollback()
    impatient.ok("prepare")


def test_a_transaction_that_ends_in_time_is_waited_for(shop):
    with shop.old.connect(shop.db, autocommit=False) as session:
        session.execute("INSERT INTO item VALUES (1, 'x')")
        result = []
        thread = threading.Thread(target=lambda: result.append(shop.verb("prepare")))
        thread.start()
        waiting = "SELECT 1 FROM pg_stat_activity WHERE query ~ 'pg_create_logical_replication_slot' AND wait_event_type = 'Lock'"
        wait_until(lambda: shop.old.sql(waiting), 20, "the slot's creation to wait")
        session.commit()
        thread.join(30)
    assert result[0].code == 0, result[0]


def test_killed_while_the_slot_is_being_made_no_slot_stays(shop):
    making = "SELECT 1 FROM pg_stat_activity WHERE query ~ 'pg_create_logical_replication_slot' AND pid <> pg_backend_pid() AND state = 'active'"
    with shop.old.connect(shop.db, autocommit=False) as session:
        session.execute("INSERT INTO item VALUES (1, 'x')")
        stage = shop.start("prepare")
        wait_until(lambda: shop.old.sql(making), 20, "the slot's creation to wait")
        stage.kill9()
        wait_until(lambda: not shop.old.sql(making), 20, "the server to give up, although the transaction goes on")
        session.rollback()
    assert not slots(shop)
    shop.ok("prepare")
    assert not failures(shop)


def test_somebody_else_s_slot_of_that_name_is_refused_and_kept(shop):
    shop.old.sql("SELECT pg_create_logical_replication_slot(%s, 'test_decoding')", shop.slot, db=shop.db)
    row = failures(shop)["source.slot"]
    assert row["error"] == "SB-SLOT-MOVED"
    assert shop.verb("prepare").code == 1
    shop.ok("remove", "--yes")
    assert slots(shop)[0][1] == "test_decoding"
    run_statement(shop.old, shop.db, row["statement"])
    assert not failures(shop)


# -- what contradicts is never mended silently


def test_a_slot_that_is_gone_is_lost(shop):
    shop.ok("prepare")
    shop.old.sql("SELECT pg_drop_replication_slot(%s)", shop.slot)
    assert failures(shop)["source.slot"]["error"] == "SB-SLOT-LOST"
    assert shop.verb("prepare").code == 1
    assert not slots(shop)
    shop.ok("remove", "--yes")
    shop.ok("prepare")


def test_a_publication_made_anew_is_refused(shop):
    shop.ok("prepare")
    shop.old.sql(f"DROP PUBLICATION {shop.slot}_keyed", db=shop.db)
    shop.old.sql(f"CREATE PUBLICATION {shop.slot}_keyed FOR TABLE item WITH (publish_via_partition_root)", db=shop.db)
    assert failures(shop)["source.publication"]["error"] == "SB-PUBLICATION"
    assert shop.verb("prepare").code == 1


def test_a_publication_for_all_tables_is_not_taken_over(shop):
    shop.old.sql(f"CREATE PUBLICATION {shop.slot}_keyed FOR ALL TABLES", db=shop.db)
    row = failures(shop)["source.publication"]
    assert row["error"] == "SB-PUBLICATION"
    run_statement(shop.old, shop.db, row["statement"])
    shop.ok("prepare")


@pytest.mark.parametrize("damage", [
    "DELETE FROM switchback.progress",
    "UPDATE switchback.progress SET stream_uuid = gen_random_uuid()",
])
def test_progress_that_is_not_ours_is_refused(shop, damage):
    shop.ok("prepare")
    shop.new.sql(damage, db=shop.db)
    assert failures(shop)["target.progress"]["error"] == "SB-PROGRESS-LOST"
    assert shop.verb("prepare").code == 1


def test_progress_without_a_prepared_source_is_refused(shop):
    shop.ok("prepare")
    shop.new.sql("UPDATE switchback.progress SET sequence = 7", db=shop.db)
    shop.old.sql("DELETE FROM switchback.capture", db=shop.db)
    assert failures(shop)["target.progress"]["error"] == "SB-PROGRESS-LOST"
    assert shop.verb("prepare").code == 1


def test_a_progress_row_of_another_source_is_refused(shop):
    shop.verb("prepare", fault="setup-after-progress:kill")
    shop.new.sql("UPDATE switchback.progress SET source_uuid = gen_random_uuid()", db=shop.db)
    assert failures(shop)["target.progress"]["error"] == "SB-PROGRESS-LOST"
    shop.refuses("SB-PROGRESS-LOST", "prepare", code=1)
    assert not slots(shop)


def test_another_target_is_refused(shop):
    shop.ok("prepare")
    other = f"{shop.db}y"
    shop.new.create_db(other)
    shop.new.sql(BASE, db=other)
    shop.configure(target={"dsn": shop.new.dsn(other)})
    assert failures(shop)["target.progress"]["error"] == "SB-PROGRESS-LOST"
    assert shop.verb("prepare").code == 1
    assert not shop.new.sql("SELECT 1 FROM pg_namespace WHERE nspname = 'switchback'", db=other)


def test_the_target_of_another_migration_is_refused(shop, place):
    """It has a control schema of its own, so it can be told, and `remove` is not what helps."""
    shop.ok("prepare")
    another = shop.new.create_db(f"{shop.db}z")
    shop.new.sql(BASE, db=another)
    third = shop.old.create_db(f"{shop.db}z")
    shop.old.sql(BASE, db=third)
    other = Switchback(place, shop.old, shop.new, db=another, migration=f"{shop.migration}z")
    try:
        other.ok("prepare")
        before = fingerprint(shop.new, another)
        shop.configure(target={"dsn": shop.new.dsn(another)})
        found = failures(shop)
        assert list(found) == ["target.identity"] and found["target.identity"]["error"] == "SB-TARGET-IDENTITY"
        assert found["target.identity"]["statement"] is None
        assert shop.verb("prepare").code == 1
        assert before == fingerprint(shop.new, another)
    finally:
        other.verb("remove", "--yes")
        other.close()
        shop.configure(target={"dsn": shop.new.dsn(shop.db)})


def test_the_source_of_another_system_is_refused(shop):
    """As after a dump of the control schema into another database."""
    shop.ok("prepare")
    shop.old.sql("UPDATE switchback.capture SET system_identifier = system_identifier - 1", db=shop.db)
    found = failures(shop)
    assert list(found) == ["source.identity"] and found["source.identity"]["error"] == "SB-SOURCE-IDENTITY"
    before = both(shop), control_rows(shop)
    assert shop.verb("prepare").code == 1
    assert before == (both(shop), control_rows(shop))


def test_a_control_schema_of_a_newer_version_is_refused(shop):
    shop.ok("prepare")
    shop.old.sql("UPDATE switchback.identity SET format = 2", db=shop.db)
    assert failures(shop)["source.connect"]["error"] == "SB-STATE-FORMAT"
    assert shop.verb("prepare").code == 1
    shop.old.sql("UPDATE switchback.identity SET format = 1", db=shop.db)


def test_a_store_of_another_migration_is_refused_before_there_is_a_slot(servers, shop):
    shop.ok("prepare")
    shop.old.sql("SELECT pg_drop_replication_slot(%s)", shop.slot)
    for cluster in servers:
        cluster.sql("DROP SCHEMA switchback CASCADE", db=shop.db)
    shop.refuses("SB-LOG-FOREIGN", "prepare")
    assert not slots(shop)


# -- roles that are no superusers


def hand_over(product):
    """The tables belong to the application; our role has nothing but a login."""
    for cluster in (product.old, product.new):
        for role in ("owner", "migrator"):
            if not cluster.sql("SELECT 1 FROM pg_roles WHERE rolname = %s", f"{product.db}_{role}"):
                cluster.sql(f"CREATE ROLE {product.db}_{role} LOGIN")
        cluster.sql(f"ALTER TABLE item OWNER TO {product.db}_owner", db=product.db)
        cluster.sql("CREATE SCHEMA inner_", db=product.db)
        cluster.sql(f"GRANT ALL ON SCHEMA inner_ TO {product.db}_owner", db=product.db)
        cluster.sql("CREATE TABLE inner_.part (id int PRIMARY KEY)", db=product.db)
        cluster.sql(f"ALTER TABLE inner_.part OWNER TO {product.db}_owner", db=product.db)
    product.role = f"{product.db}_migrator"
    for side, cluster in (("source", product.old), ("target", product.new)):
        product.configure(**{side: {"dsn": cluster.dsn(product.db, user=product.role)}})
    return product


@pytest.fixture
def migrator(shop):
    return hand_over(shop)


def not_super(product):
    for cluster in (product.old, product.new):
        assert cluster.sql("SELECT rolsuper FROM pg_roles WHERE rolname = %s", product.role) == [(False,)]


def test_every_right_that_lacks_is_named_with_its_grant(migrator):
    found = failures(migrator)
    assert set(found) == {
        "source.replication", "source.create", "source.owner", "target.origin_rights", "target.replica_role",
        "target.create", "target.rights"}
    assert {row["error"] for row in found.values()} == {"SB-ACCESS"}
    for row in findings(migrator, result="fail"):
        cluster = migrator.old if row["id"].startswith("source") else migrator.new
        run_statement(cluster, migrator.db, row["statement"])
    not_super(migrator)
    assert not failures(migrator)
    before = both(migrator)
    migrator.ok("prepare")
    migrator.ok("prepare")
    assert not failures(migrator)
    migrator.ok("remove", "--yes")
    assert before == both(migrator)


def grant_what_the_dry_run_says(product):
    source, _, target = product.verb("prepare", "--dry-run", "--json").json()["grants"].partition("-- on the target")
    run_statement(product.old, product.db, source.replace("\n", " \n").replace("-- on the source, as an administrator:", ""))
    run_statement(product.new, product.db, target.partition("\n")[2])


@pytest.mark.parametrize("major", [15, 16, 18])
def test_a_migration_runs_with_the_rights_of_the_dry_run_s_script_and_no_superuser(clusters, switchback, major):
    old, new = clusters(major, "old"), clusters(major, "new")
    for cluster in (old, new):
        cluster.sql(BASE)
    product = hand_over(switchback(old, new))
    grant_what_the_dry_run_says(product)
    not_super(product)
    assert not failures(product)
    product.ok("prepare")
    stage = product.run()
    for statement in ["INSERT INTO item SELECT g, 'x' FROM generate_series(1, 20) g", "UPDATE item SET name = 'y' WHERE id > 3",
                      "DELETE FROM item WHERE id = 5", "INSERT INTO inner_.part VALUES (1)", "TRUNCATE inner_.part"]:
        old.sql(statement)
    product.wait_caught_up()
    rows = "SELECT * FROM item ORDER BY id"
    assert new.sql(rows) == old.sql(rows) and len(new.sql(rows)) == 19
    assert new.sql("SELECT 1 FROM inner_.part") == []
    stage.stop()
    product.ok("remove", "--yes")
    ours = """SELECT slot_name FROM pg_replication_slots UNION ALL SELECT roname FROM pg_replication_origin
        UNION ALL SELECT pubname FROM pg_publication UNION ALL SELECT nspname FROM pg_namespace WHERE nspname = 'switchback'"""
    assert old.sql(ours) == new.sql(ours) == []


def test_a_table_added_later_needs_its_owner(migrator):
    """What is published needs none any more; what is not yet does."""
    for row in findings(migrator, result="fail"):
        run_statement(migrator.old if row["id"].startswith("source") else migrator.new, migrator.db, row["statement"])
    migrator.ok("prepare")
    for cluster in (migrator.old, migrator.new):
        cluster.sql("CREATE TABLE later (id int PRIMARY KEY)", db=migrator.db)
    migrator.new.sql(f'GRANT ALL ON later TO "{migrator.role}"', db=migrator.db)
    migrator.old.sql(f'CREATE ROLE "{migrator.db}_third"')
    migrator.old.sql(f'ALTER TABLE later OWNER TO "{migrator.db}_third"', db=migrator.db)
    found = failures(migrator)
    assert set(found) == {"source.owner", "source.publication"} and "later" in found["source.owner"]["evidence"]
    run_statement(migrator.old, migrator.db, found["source.owner"]["statement"])
    migrator.ok("prepare")
    assert not failures(migrator)


def test_a_lock_on_a_table_is_waited_for_with_a_bound(shop):
    with shop.old.connect(shop.db, autocommit=False) as session:
        session.execute("LOCK TABLE item IN SHARE UPDATE EXCLUSIVE MODE")
        done = shop.refuses("SB-SOURCE-UNAVAILABLE", "prepare", code=69, timeout=60)
        assert "publish the tables" in done.err and "holds a lock" in done.err
        assert not slots(shop)
        session.rollback()
    shop.ok("prepare")


def test_tables_of_a_superuser_are_not_had_by_becoming_one(migrator):
    migrator.old.sql("ALTER TABLE item OWNER TO postgres", db=migrator.db)
    rows = {row["statement"]: row["evidence"] for row in findings(migrator, "source.owner", "fail")}
    assert None in rows and "superuser" in rows[None]
    assert not any("postgres" in statement for statement in rows if statement)
    assert "GRANT postgres" not in migrator.verb("prepare", "--dry-run", "--json").json()["grants"]


def test_sequences_that_cannot_be_restarted_are_warned_of(migrator):
    migrator.new.sql("ALTER TABLE item ALTER id ADD GENERATED BY DEFAULT AS IDENTITY", db=migrator.db)
    (row,) = findings(migrator, "target.restart", "warn")
    assert row["error"] == "SB-ACCESS"
    run_statement(migrator.new, migrator.db, row["statement"])
    assert findings(migrator, "target.restart", "pass")


def test_row_level_security_on_the_target_is_an_error(migrator):
    for row in findings(migrator, result="fail"):
        run_statement(migrator.old if row["id"].startswith("source") else migrator.new, migrator.db, row["statement"])
    migrator.new.sql("ALTER TABLE item ENABLE ROW LEVEL SECURITY", db=migrator.db)
    row = failures(migrator)["target.rls"]
    assert row["error"] == "SB-RLS"
    run_statement(migrator.new, migrator.db, row["statement"])
    assert not failures(migrator)


def test_row_level_security_on_the_source_is_warned_of(migrator):
    migrator.old.sql("ALTER TABLE item ENABLE ROW LEVEL SECURITY", db=migrator.db)
    for row in findings(migrator, result="fail"):
        run_statement(migrator.old if row["id"].startswith("source") else migrator.new, migrator.db, row["statement"])
    # A member of the owner is not under the policy; a stranger to it is.
    migrator.old.sql("ALTER TABLE item FORCE ROW LEVEL SECURITY", db=migrator.db)
    (row,) = findings(migrator, "source.rls", "warn")
    run_statement(migrator.old, migrator.db, row["statement"])
    assert not findings(migrator, "source.rls", "warn")


def test_no_secret_is_shown(shop):
    shop.old.sql("CREATE ROLE hush LOGIN SUPERUSER PASSWORD 'canary-7'")
    secret = shop.folder / "password"
    secret.write_text("canary-7\n")
    secret.chmod(0o600)
    shop.configure(source={"dsn": shop.old.dsn(shop.db, user="hush"), "password_file": str(secret)})
    for words in [("check",), ("check", "--json"), ("prepare", "--dry-run"), ("prepare",), ("remove", "--yes")]:
        done = shop.ok(*words)
        assert "canary-7" not in done.out + done.err
    with pytest.raises(psycopg.Error):
        shop.old.sql("SELECT nothing")
    shop.old.sql("DROP ROLE hush")
