-- Logical messages: in a transaction, alone, rolled back, outside every transaction, of any bytes.
CREATE TABLE t (id int PRIMARY KEY);
CREATE PUBLICATION wire FOR TABLE t;
-- slot
SELECT pg_logical_emit_message(true, 'switchback.heartbeat', '');
BEGIN;
INSERT INTO t VALUES (1);
SELECT pg_logical_emit_message(true, 'app', 'between rows');
INSERT INTO t VALUES (2);
COMMIT;
SELECT pg_logical_emit_message(false, 'app', 'no transaction');
BEGIN;
SELECT pg_logical_emit_message(true, 'app', 'never');
SELECT pg_logical_emit_message(false, 'app', 'survives the rollback');
ROLLBACK;
SELECT pg_logical_emit_message(true, 'app.bytes', '\x0001ff00'::bytea);
