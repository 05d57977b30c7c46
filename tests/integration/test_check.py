"""`switchback check`: each prerequisite is broken on a real server; check must name it by its id and error, and the
statement it prints must mend it."""

import pathlib
import shutil
import socket
import subprocess

import pytest
from setup_pair import BASE, Between, failures, findings, run_statement, servers, shop  # noqa: F401

from sbtest import need
from sbtest.servers import copy_dir, free_port


def test_a_sound_pair_passes(shop):
    done = shop.ok("check")
    assert "fail" not in [line.split()[0] for line in done.out.splitlines()]
    assert shop.ok("check", "--json").json()["ok"] is True


# id, error, the side the statement runs on, what breaks it: (side, SQL)...
TABLES = [
    ("tables.missing", "SB-TARGET-STRUCTURE", [("new", "DROP TABLE item")]),
    ("tables.missing", "SB-TARGET-STRUCTURE", [("old", 'CREATE SCHEMA "Odd"'), ("old", 'CREATE TABLE "Odd"."t;""x" (a int)')]),
    ("tables.structure", "SB-TARGET-STRUCTURE", [("new", "ALTER TABLE item DROP COLUMN name")]),
    ("tables.structure", "SB-TARGET-STRUCTURE", [("new", "ALTER TABLE item ADD more text NOT NULL")]),
    ("tables.structure", "SB-TARGET-STRUCTURE", [("new", "ALTER TABLE item ALTER name SET NOT NULL")]),
    ("tables.structure", "SB-TARGET-STRUCTURE", [("new", "ALTER TABLE item ALTER name TYPE varchar(10)")]),
    ("tables.structure", "SB-TARGET-STRUCTURE", [("new", "ALTER TABLE item ALTER id TYPE smallint")]),
    ("tables.structure", "SB-TARGET-STRUCTURE", [("old", "ALTER TABLE item ADD n numeric(10,2)"), ("new", "ALTER TABLE item ADD n numeric(12,4)")]),
    ("tables.structure", "SB-TARGET-STRUCTURE", [("new", "ALTER TABLE item SET UNLOGGED")]),
    ("tables.structure", "SB-TARGET-STRUCTURE", [("old", "ALTER TABLE item ADD g int"), ("new", "ALTER TABLE item ADD g int GENERATED ALWAYS AS (id * 2) STORED")]),
    ("tables.key", "SB-TARGET-STRUCTURE", [("new", "ALTER TABLE item DROP CONSTRAINT item_pkey")]),
    ("tables.enum", "SB-TARGET-STRUCTURE", [
        ("both", "CREATE TYPE mood AS ENUM ('fine')"), ("both", "ALTER TABLE item ADD m mood"),
        ("old", "ALTER TYPE mood ADD VALUE 'it''s bad'")]),
]


@pytest.mark.parametrize("ident,error,broken", TABLES, ids=lambda value: None if isinstance(value, list) else value)
def test_the_statement_mends_what_the_check_names(shop, ident, error, broken):
    for side, statement in broken:
        for name, cluster in (("old", shop.old), ("new", shop.new)):
            if side in (name, "both"):
                cluster.sql(statement, db=shop.db)
    found = failures(shop)
    assert list(found) == [ident], found
    assert found[ident]["error"] == error
    assert shop.verb("check").code == 1
    run_statement(shop.new, shop.db, found[ident]["statement"])
    assert not failures(shop)


def test_a_read_only_default_is_mended_by_its_statement(shop):
    shop.new.sql(f"ALTER DATABASE {shop.db} SET default_transaction_read_only = on")
    row = failures(shop)["target.read_only"]
    assert row["error"] == "SB-TARGET-CONFIG"
    run_statement(shop.new, "postgres", row["statement"])
    assert not failures(shop)


def test_a_role_that_may_not_read_the_signing_key_is_refused(shop):
    shop.ok("prepare")
    shop.old.sql("CREATE ROLE mason LOGIN REPLICATION CREATEROLE; GRANT USAGE ON SCHEMA switchback TO mason;"
                 " GRANT SELECT ON ALL TABLES IN SCHEMA switchback TO mason; REVOKE SELECT ON switchback.signing_key FROM mason",
                 db=shop.db)
    try:
        shop.configure(source={"dsn": shop.old.dsn(shop.db, user="mason")})
        row = failures(shop)["source.signing"]
        assert row["error"] == "SB-ACCESS" and "signs DDL and repairs" in row["evidence"], row
        refused = shop.verb("prepare")
        assert refused.code != 0 and "SB-ACCESS" in refused.err and "signing_key" in refused.err, refused.err
        run_statement(shop.old, shop.db, row["statement"])
        assert "source.signing" not in failures(shop)
    finally:
        shop.old.sql("DROP OWNED BY mason; DROP ROLE mason", db=shop.db)


def test_a_lost_signing_key_is_told_and_mended(shop):
    shop.ok("prepare")
    shop.old.sql("DELETE FROM switchback.signing_key", db=shop.db)
    row = failures(shop)["source.signing"]
    assert row["error"] == "SB-PROGRESS-LOST"
    run_statement(shop.old, shop.db, row["statement"])
    assert not failures(shop)
    done = shop.ok("prepare")
    assert "write down how messages are signed" in done.out
    keys = shop.old.value("SELECT secret FROM switchback.signing_key", db=shop.db)
    assert len(keys) >= 64 and keys not in done.out
    assert shop.new.value("SELECT secret FROM switchback.signature", db=shop.db) == keys


WARNINGS = [
    ("target.triggers", "new", [
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        'CREATE TRIGGER "loud one" BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION f()',
        'ALTER TABLE item ENABLE ALWAYS TRIGGER "loud one"']),
    ("target.triggers", "new", [
        "CREATE RULE quiet AS ON DELETE TO item DO INSTEAD NOTHING", "ALTER TABLE item ENABLE REPLICA RULE quiet"]),
    ("target.deferrable", "new", ['ALTER TABLE item ADD CONSTRAINT "u n" UNIQUE (name) DEFERRABLE INITIALLY DEFERRED']),
    ("tables.identity", "old", ["ALTER TABLE item REPLICA IDENTITY NOTHING"]),
    ("tables.identity", "old", ["ALTER TABLE item DROP CONSTRAINT item_pkey"]),
    ("source.retention", "old", ["ALTER SYSTEM SET max_slot_wal_keep_size = '512MB'", "SELECT pg_reload_conf()"]),
]


@pytest.mark.parametrize("ident,side,broken", WARNINGS, ids=lambda value: None if isinstance(value, list) else value)
def test_a_warning_has_its_statement_and_does_not_fail(shop, ident, side, broken):
    cluster = getattr(shop, side)
    for statement in broken:
        cluster.sql(statement, db=shop.db)
    if ident == "source.retention":
        cluster.reload()
    (row,) = findings(shop, ident, "warn")
    shop.ok("check")
    run_statement(cluster, shop.db, row["statement"])
    if ident == "source.retention":
        cluster.reload()
    assert not findings(shop, ident, "warn")
    if ident == "source.retention":
        cluster.sql("ALTER SYSTEM RESET max_slot_wal_keep_size")
        cluster.reload()


def test_a_young_writing_transaction_is_no_reason_to_warn(shop):
    with shop.old.connect(shop.db, autocommit=False, application_name="lazy") as session:
        session.execute("INSERT INTO item VALUES (1, 'x')")
        assert not findings(shop, "source.old_transactions", "warn")
        session.rollback()


def test_a_role_that_cannot_see_old_transactions_says_so(shop):
    """It sees that others write, but not since when: to find nothing then is no pass."""
    role = f"{shop.db}_blind"
    shop.old.sql(f"CREATE ROLE {role} LOGIN")
    shop.configure(source={"dsn": shop.old.dsn(shop.db, user=role)})
    assert findings(shop, "source.old_transactions", "pass")
    with shop.old.connect(shop.db, autocommit=False) as session:
        session.execute("INSERT INTO item VALUES (1, 'x')")
        (row,) = findings(shop, "source.old_transactions")
        assert row["result"] == "info" and "may not see" in row["evidence"]
        run_statement(shop.old, shop.db, row["statement"])
        assert findings(shop, "source.old_transactions", "pass")
        session.rollback()


def test_a_prepared_transaction_is_named_and_ended_by_its_statement(servers, shop):
    old = servers[0]
    if old.value("SHOW max_prepared_transactions") == "0":
        old.restart(max_prepared_transactions=5)
    with old.connect(shop.db) as session:
        session.execute("BEGIN")
        session.execute("INSERT INTO item VALUES (1, 'x')")
        session.execute("PREPARE TRANSACTION 'it''s \"held\"'")
    (row,) = findings(shop, "source.prepared_transactions", "warn")
    assert "it's \"held\"" in row["evidence"]
    run_statement(old, shop.db, row["statement"])
    assert not findings(shop, "source.prepared_transactions", "warn")


# -- what the target's tables refuse although their columns fit

PART = "CREATE TABLE part (id int) PARTITION BY "


def both(shop, *statements):
    for cluster in (shop.old, shop.new):
        for statement in statements:
            cluster.sql(statement, db=shop.db)


@pytest.mark.parametrize("old,new,words", [
    ("CREATE TABLE part (id int)", [PART + "RANGE (id)"], "has no partition on the target"),
    ("CREATE TABLE part (id int)", [PART + "HASH (id)"], "has no partition on the target"),
    (PART + "RANGE (id); CREATE TABLE a PARTITION OF part FOR VALUES FROM (1) TO (10); CREATE TABLE b PARTITION OF part FOR VALUES FROM (10) TO (20)",
     [PART + "RANGE (id)", "CREATE TABLE a PARTITION OF part FOR VALUES FROM (1) TO (10)"], "FROM (10) TO (20)"),
    (PART + "HASH (id); CREATE TABLE a PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE b PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
     [PART + "HASH (id)", "CREATE TABLE a PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 0)"], "remainder 1"),
    (PART + "LIST (id); CREATE TABLE a PARTITION OF part DEFAULT",
     [PART + "LIST (id)", "CREATE TABLE a PARTITION OF part DEFAULT PARTITION BY RANGE (id)"], "public.a has no partition"),
], ids=["none", "none-hash", "one-lacks", "remainder-lacks", "sub-none"])
def test_rows_without_a_partition_on_the_target_are_named_and_mended(shop, old, new, words):
    for statement in old.split("; "):
        shop.old.sql(statement, db=shop.db)
    for statement in new:
        shop.new.sql(statement, db=shop.db)
    found = failures(shop)
    assert list(found) == ["tables.partitions"]
    row = found["tables.partitions"]
    assert row["error"] == "SB-TARGET-STRUCTURE" and words in row["evidence"]
    run_statement(shop.new, shop.db, row["statement"])
    assert not failures(shop)
    assert not findings(shop, "tables.partitions", "warn")


def test_other_partitions_on_the_target_are_warned_of_unless_they_take_every_row(shop):
    for cluster, month in ((shop.old, ["FROM (1) TO (10)", "FROM (10) TO (20)"]), (shop.new, ["FROM (1) TO (20)"])):
        cluster.sql(PART + "RANGE (id)", db=shop.db)
        for number, bounds in enumerate(month):
            cluster.sql(f"CREATE TABLE part_{number} PARTITION OF part FOR VALUES {bounds}", db=shop.db)
    (row,) = findings(shop, "tables.partitions", "warn")
    shop.ok("check")
    run_statement(shop.new, shop.db, row["statement"])
    assert findings(shop, "tables.partitions", "pass")


@pytest.mark.parametrize("extra", [
    "ALTER TABLE item ADD CHECK (id > 0)", "ALTER TABLE item ADD UNIQUE (name)", 'CREATE UNIQUE INDEX "odd one" ON item (name)',
    "ALTER TABLE item ADD EXCLUDE (name WITH =)", "ALTER TABLE item ADD CHECK (id > 0) NOT VALID"])
def test_a_constraint_of_the_target_alone_is_warned_of(shop, extra):
    shop.new.sql(extra, db=shop.db)
    (row,) = findings(shop, "tables.constraints", "warn")
    shop.ok("check")
    shop.old.sql(extra.replace(" NOT VALID", ""), db=shop.db)
    assert findings(shop, "tables.constraints", "pass"), "the source has it too"
    shop.old.sql("DROP TABLE item CASCADE", db=shop.db)
    shop.old.sql(BASE, db=shop.db)
    run_statement(shop.new, shop.db, row["statement"])
    assert findings(shop, "tables.constraints", "pass")


def test_a_foreign_key_that_refuses_a_truncate_is_warned_of(shop):
    refers = "CREATE TABLE line (id int PRIMARY KEY, item int CONSTRAINT of_item REFERENCES item)"
    both(shop, refers)
    assert findings(shop, "target.truncate", "pass"), "the source's TRUNCATE names both tables"
    shop.configure(tables={"exclude": ["public.line"]})
    assert findings(shop, "target.truncate", "warn")
    shop.configure(tables={"exclude": []})
    shop.old.sql("ALTER TABLE line DROP CONSTRAINT of_item", db=shop.db)
    (row,) = findings(shop, "target.truncate", "warn")
    assert "of_item" in row["evidence"]
    run_statement(shop.new, shop.db, row["statement"])
    assert findings(shop, "target.truncate", "pass")


# -- what the patterns choose


def test_a_table_named_that_is_not_there_fails(shop):
    shop.configure(tables={"include": ["public.item", "public.nowhere"]})
    assert list(failures(shop)) == ["tables.patterns"]


@pytest.mark.parametrize("kind,statement", [
    ("view", "CREATE VIEW seen AS SELECT 1 AS id"),
    ("materialized view", "CREATE MATERIALIZED VIEW seen AS SELECT 1 AS id"),
    ("unlogged", "CREATE UNLOGGED TABLE seen (id int PRIMARY KEY)"),
])
def test_what_no_stream_carries_fails_when_named_and_is_listed_otherwise(shop, kind, statement):
    shop.old.sql(statement, db=shop.db)
    assert any(kind in row["evidence"] for row in findings(shop, "tables.barred", "info"))
    shop.ok("check")
    shop.configure(tables={"include": ["public.item", "public.seen"]})
    row = failures(shop)["tables.barred"]
    assert row["error"] == "SB-CONFIG"
    if kind == "unlogged":
        run_statement(shop.old, shop.db, row["statement"])
        assert "tables.barred" not in failures(shop)


def test_nothing_chosen_fails(shop):
    shop.configure(tables={"include": ["nowhere.*"]})
    assert "tables.chosen" in failures(shop)


def test_a_partitioned_table_stands_for_its_partitions(shop):
    for cluster, name in ((shop.old, "part_1"), (shop.new, "part_a")):
        cluster.sql("CREATE TABLE part (id int PRIMARY KEY) PARTITION BY RANGE (id)", db=shop.db)
        cluster.sql(f"CREATE TABLE {name} PARTITION OF part FOR VALUES FROM (1) TO (10)", db=shop.db)
    shop.ok("check")
    assert findings(shop, "tables.partitions", "pass")
    # Named alone, the partition is a table like others: then the target must have it.
    shop.configure(tables={"include": ["public.item", "public.part_1"]})
    assert list(failures(shop)) == ["tables.missing"]
    shop.configure(tables={"include": ["public.*"], "exclude": ["public.part_1"]})
    assert findings(shop, "tables.excluded", "warn")


def test_partitions_with_another_identity_are_warned_of_and_mended(shop):
    for cluster in (shop.old, shop.new):
        cluster.sql("CREATE TABLE part (id int) PARTITION BY RANGE (id)", db=shop.db)
        cluster.sql("CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (1) TO (10)", db=shop.db)
    shop.old.sql("ALTER TABLE part_1 REPLICA IDENTITY FULL", db=shop.db)
    (row,) = findings(shop, "tables.identity", "warn")
    assert row["error"] == "SB-NO-IDENTITY" and "partitions differ" in row["evidence"]
    run_statement(shop.old, shop.db, row["statement"])
    assert not findings(shop, "tables.identity", "warn")


def test_partitions_told_by_another_key_are_warned_of(shop):
    """A unique index of the partition's own is its identity: the server logs other columns than the root describes."""
    both(shop, "CREATE TABLE part (id int NOT NULL, code int NOT NULL, UNIQUE (id)) PARTITION BY RANGE (id)",
         "CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (1) TO (10)", "CREATE UNIQUE INDEX by_code ON part_1 (code)")
    shop.old.sql("ALTER TABLE part REPLICA IDENTITY USING INDEX part_id_key", db=shop.db)
    shop.old.sql("ALTER TABLE part_1 REPLICA IDENTITY USING INDEX part_1_id_key", db=shop.db)
    assert not findings(shop, "tables.identity", "warn"), "the same columns"
    shop.old.sql("ALTER TABLE part_1 REPLICA IDENTITY USING INDEX by_code", db=shop.db)
    (row,) = findings(shop, "tables.identity", "warn")
    assert row["error"] == "SB-NO-IDENTITY" and "partitions differ" in row["evidence"]
    run_statement(shop.old, shop.db, row["statement"])
    assert not findings(shop, "tables.identity", "warn")


def test_what_the_stream_does_not_carry_is_listed(shop):
    for statement in ["CREATE SEQUENCE s", "CREATE MATERIALIZED VIEW m AS SELECT 1 AS x", "CREATE UNLOGGED TABLE u (x int)",
                      "SELECT lo_create(0)", "CREATE TABLE keyless (a int)", "CREATE TABLE root (a int PRIMARY KEY) PARTITION BY RANGE (a)",
                      "CREATE UNLOGGED TABLE quiet PARTITION OF root DEFAULT", "CREATE TABLE g (a int PRIMARY KEY, b int GENERATED ALWAYS AS (a) STORED)"]:
        shop.old.sql(statement, db=shop.db)
    said = " ".join(row["evidence"] for row in findings(shop, "coverage.objects"))
    for noun in ("sequences", "materialized views", "unlogged tables", "large objects", "generated columns", "tables without a replica identity (public.keyless)"):
        assert noun in said
    (row,) = findings(shop, "coverage.objects", "warn")
    assert "1 unlogged partitions of published tables (public.quiet)" in row["evidence"] and row["error"] == "SB-PUBLICATION"
    assert any("DDL" in row["evidence"] for row in findings(shop, "coverage.always"))


# -- settings of the servers


@pytest.mark.parametrize("ident,settings,error", [
    ("source.wal_level", {"wal_level": "replica"}, "SB-SOURCE-CONFIG"),
    ("source.slots", {"max_replication_slots": 1}, "SB-SOURCE-CONFIG"),
    ("source.walsenders", {"max_wal_senders": 0}, "SB-SOURCE-CONFIG"),
])
def test_a_setting_of_the_source_is_mended_by_its_statement(clusters, switchback, ident, settings, error):
    old, new = clusters(15, "old", settings=settings), clusters(15, "new")
    for cluster in (old, new):
        cluster.sql(BASE)
    if ident == "source.slots":
        old.sql("SELECT pg_create_physical_replication_slot('taken')")
    product = switchback(old, new)
    row = failures(product)[ident]
    assert row["error"] == error
    old.configure(**{name: None for name in settings})
    run_statement(old, "postgres", row["statement"])
    old.restart()
    assert not failures(product)


def test_a_full_set_of_origins_is_mended_by_its_statement(clusters, switchback):
    old, new = clusters(15, "old"), clusters(15, "new", settings={"max_replication_slots": 1})
    for cluster in (old, new):
        cluster.sql(BASE)
    new.sql("SELECT pg_replication_origin_create('stranger')")
    product = switchback(old, new)
    row = failures(product)["target.origins"]
    assert row["error"] == "SB-TARGET-CONFIG"
    new.configure(max_replication_slots=None)
    run_statement(new, "postgres", row["statement"])
    new.restart()
    assert not failures(product)


def test_an_encoding_that_cannot_hold_the_source_fails(shop):
    db = f"{shop.db}l"
    shop.new.sql(f"CREATE DATABASE {db} ENCODING 'LATIN1' TEMPLATE template0")
    shop.new.sql(BASE, db=db)
    shop.configure(target={"dsn": shop.new.dsn(db)})
    row = failures(shop)["source.encoding"]
    assert row["error"] == "SB-ENCODING"
    shop.new.sql(f"ALTER DATABASE {db} RENAME TO {db}_before")
    run_statement(shop.new, "postgres", row["statement"])
    shop.new.sql(BASE, db=db)
    assert not failures(shop)


def test_a_standby_is_refused_on_either_side(clusters, switchback):
    old, new, standby = clusters(15, "old"), clusters(15, "new"), clusters(15, "standby", start=False)
    for cluster in (old, new):
        cluster.sql(BASE)
    old.stop()
    shutil.rmtree(standby.data)
    copy_dir(old.data, standby.data)
    standby.configure()
    (standby.data / "standby.signal").touch()
    standby.start()
    old.start()
    product = switchback(old, new)
    product.configure(source={"dsn": standby.dsn()})
    assert failures(product)["source.primary"]["error"] == "SB-SOURCE-CONFIG"
    product.configure(source={"dsn": old.dsn()}, target={"dsn": standby.dsn()})
    assert failures(product)["target.primary"]["error"] == "SB-TARGET-CONFIG"


def test_standbys_that_may_lose_the_slot_are_named(clusters, switchback):
    """Before PostgreSQL 17 any failover does; later the standbys must be named in a setting."""
    old, new = clusters(17, "old"), clusters(15, "new")
    for cluster in (old, new):
        cluster.sql(BASE)
    product = switchback(old, new)
    assert findings(product, "source.failover", "info")
    old.sql("SELECT pg_create_physical_replication_slot('standby_b'), pg_create_physical_replication_slot('standby_a')")
    (row,) = findings(product, "source.failover", "warn")
    assert row["error"] == "SB-SLOT-AT-RISK" and "standby_a,standby_b" in row["evidence"]
    run_statement(old, "postgres", row["statement"])
    old.reload()
    assert findings(product, "source.failover", "pass")
    new.sql("SELECT pg_create_physical_replication_slot('standby')")
    product.configure(source={"dsn": new.dsn()}, target={"dsn": old.dsn()})
    (row,) = findings(product, "source.failover", "warn")
    assert "before PostgreSQL 17" in row["evidence"]


# -- the store and the state directory


@pytest.mark.parametrize("mode,error", [(0o777, "SB-INSECURE"), (0o500, "SB-IO")])
def test_a_state_directory_that_cannot_be_used_is_mended_by_its_statement(shop, mode, error):
    state = shop.folder / "it's state"
    state.mkdir()
    state.chmod(mode)
    shop.configure(state_dir=str(state))
    row = failures(shop)["stream.state_dir"]
    assert row["error"] == error
    subprocess.run(["sh", "-c", row["statement"]], check=True)
    assert not failures(shop)


def test_a_state_directory_that_is_a_file_is_refused(shop):
    (shop.folder / "file").touch()
    shop.configure(state_dir=str(shop.folder / "file"))
    assert failures(shop)["stream.state_dir"]["error"] == "SB-IO"
    assert shop.verb("prepare").code == 1


def test_a_server_without_a_free_connection_is_told(shop):
    role = f"{shop.db}_crowded"
    shop.new.sql(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0")
    shop.configure(target={"dsn": shop.new.dsn(shop.db, user=role)})
    row = failures(shop)["target.connect"]
    assert row["error"] == "SB-TARGET-FULL" and role in row["evidence"]


# -- who is who


def test_source_and_target_the_same_database_by_two_addresses_is_refused(clusters, switchback):
    old = clusters(15, "old", tcp=True)
    old.sql(BASE)
    product = switchback(old, old)
    product.configure(target={"dsn": old.tcp_dsn()})
    assert failures(product)["target.same_system"]["error"] == "SB-SAME-SYSTEM"
    product.verb("prepare")
    assert old.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'switchback'") == 0


def test_two_databases_of_one_server_are_fine(servers, shop):
    old = servers[0]
    other = old.create_db(f"{shop.db}x")
    old.sql(BASE, db=other)
    shop.configure(target={"dsn": old.dsn(other)})
    shop.ok("check")


def test_a_clone_of_the_prepared_source_is_told_by_its_identity_row(clusters, switchback):
    old, new, clone = clusters(15, "old"), clusters(15, "new"), clusters(15, "clone", start=False)
    for cluster in (old, new):
        cluster.sql(BASE)
    switchback(old, new, migration="first").ok("prepare")
    old.stop()
    shutil.rmtree(clone.data)
    copy_dir(old.data, clone.data)
    clone.configure()
    old.start()
    clone.start()
    product = switchback(old, clone, migration="second")
    row = failures(product)["target.same_system"]
    assert row["error"] == "SB-SAME-SYSTEM" and "copy" in row["evidence"]
    run_statement(clone, "postgres", row["statement"])
    assert "target.same_system" not in failures(product)


@pytest.mark.parametrize("side,error", [("source", "SB-SOURCE-CONFIG"), ("target", "SB-TARGET-POOLED")])
def test_a_pool_is_told_by_the_process_it_names(shop, side, error):
    between = Between(shop.old if side == "source" else shop.new, pid=1)
    shop.configure(**{side: {"dsn": between.dsn(shop.db)}})
    row = failures(shop)[f"{side}.connect"]
    assert row["error"] == error and "pool" in row["evidence"]
    assert shop.verb("prepare").code == 1
    between.close()


def test_pgbouncer_is_told_to_be_a_pool(shop, place):
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        need.missing("pgbouncer is not installed")
    with free_port() as port:
        users = pathlib.Path(place) / "users.txt"
        users.write_text('"postgres" ""\n')
        ini = pathlib.Path(place) / "pgbouncer.ini"
        ini.write_text(
            f"[databases]\n* = host={shop.new.folder} port={shop.new.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {users}\npool_mode = transaction\n"
        )
        pool = subprocess.Popen([program, ini], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            def answers():
                with socket.socket() as probe:
                    return probe.connect_ex(("127.0.0.1", port)) == 0

            from sbtest.wait import wait_until
            wait_until(answers, 10, "pgbouncer to listen")
            shop.configure(target={"dsn": f"host=127.0.0.1 port={port} dbname={shop.db} user=postgres sslmode=disable"})
            assert failures(shop)["target.connect"]["error"] == "SB-TARGET-POOLED"
        finally:
            pool.terminate()
            pool.wait(10)


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("version", ["13.9", "19.1"])
def test_a_version_that_is_not_supported_is_refused(shop, side, version):
    between = Between(shop.old if side == "source" else shop.new, version=version)
    shop.configure(**{side: {"dsn": between.dsn(shop.db)}})
    assert failures(shop)[f"{side}.version"]["error"] == "SB-UNSUPPORTED"
    between.close()


def test_a_server_that_does_not_answer_leaves_the_other_one_checked(shop):
    with free_port() as port:
        shop.configure(source={"dsn": f"host=127.0.0.1 port={port} dbname=x user=x"})
        found = failures(shop)
    assert found["source.connect"]["error"] == "SB-SOURCE-UNAVAILABLE"
    assert findings(shop, "target.origins", "pass")


ODD = 'a\x1b[31m"b\nDROP TABLE item; --\u009b\U0001f600'


def test_names_reach_no_terminal_and_no_statement_as_they_are(shop):
    """A table's name may hold anything; evidence and statements are shown, and statements are run."""
    shop.old.sql('CREATE TABLE "%s" (id int PRIMARY KEY, "%s" text)' % ((ODD.replace('"', '""'),) * 2), db=shop.db)
    for words in [("check",), ("prepare",), ("prepare", "--dry-run")]:
        done = shop.verb(*words)
        assert done.code == 1
        assert not set(done.out + done.err) & {"\x1b", "\u009b"}
    row = failures(shop)["tables.missing"]
    assert ODD in row["evidence"]
    shop.new.sql(row["statement"], db=shop.db)
    assert not failures(shop)
    shop.ok("prepare")
    assert not failures(shop)


def test_check_touches_nothing(shop):
    from setup_pair import fingerprint

    before = [fingerprint(cluster, shop.db) for cluster in (shop.old, shop.new)]
    state = sorted(path.name for path in (shop.folder / "state").iterdir())
    shop.ok("check")
    assert before == [fingerprint(cluster, shop.db) for cluster in (shop.old, shop.new)]
    assert state == sorted(path.name for path in (shop.folder / "state").iterdir())


@pytest.mark.parametrize("names, refused", [("*", True), ("FIRST 1 (*)", True), ("ANY 1 (one, *)", True), ("one, two", False)])
def test_a_source_whose_commits_would_wait_for_us_is_named(shop, names, refused):
    shop.old.reload(synchronous_standby_names=names)
    try:
        found = findings(shop, "source.standbys", "fail")
    finally:
        shop.old.reload(synchronous_standby_names=None)
    assert bool(found) == refused
    if refused:
        assert found[0]["error"] == "SB-SOURCE-CONFIG" and names in found[0]["evidence"]
