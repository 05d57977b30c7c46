-- The control schema, the part that both sides have. Idempotent: `prepare` runs it every time.
CREATE SCHEMA IF NOT EXISTS switchback;

-- Who this database is: system identifier and oid are the same in a physical clone, this row is not supposed to be.
CREATE TABLE IF NOT EXISTS switchback.identity (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    uuid uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
    format integer NOT NULL,
    made_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
INSERT INTO switchback.identity (format) VALUES (1) ON CONFLICT DO NOTHING;
