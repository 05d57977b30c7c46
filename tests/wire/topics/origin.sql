-- Transactions that came from elsewhere name their origin right after they begin; half of one does not count.
CREATE TABLE t (id int PRIMARY KEY);
CREATE PUBLICATION wire FOR TABLE t;
SELECT pg_replication_origin_create('switchback_shop_forward') > 0 AS made
WHERE NOT EXISTS (SELECT FROM pg_replication_origin WHERE roname = 'switchback_shop_forward');
-- slot
INSERT INTO t VALUES (1);
SELECT pg_replication_origin_session_setup('switchback_shop_forward');
BEGIN;
SELECT pg_replication_origin_xact_setup('0/AB', '2024-01-01 00:00:00+00');
INSERT INTO t VALUES (2);
COMMIT;
INSERT INTO t VALUES (3);
SELECT pg_replication_origin_session_reset();
INSERT INTO t VALUES (4);
