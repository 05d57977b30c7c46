-- The control schema, the part that both sides have. Idempotent: `prepare` runs it every time.
CREATE SCHEMA IF NOT EXISTS switchback;

-- Where we have left the sequences of this side, while it does not own the data (docs/SEQUENCES.md). Written before they
-- are moved: one that is found further on was used by somebody else.
CREATE TABLE IF NOT EXISTS switchback.sequence (
    migration text NOT NULL,
    relation text NOT NULL,         -- "schema"."name", quoted
    ownership_epoch bigint NOT NULL, -- of the ownership under which it was left so
    last_value bigint NOT NULL,
    is_called boolean NOT NULL,
    rogue_values bigint NOT NULL,   -- used on this side under this ownership
    moved_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (migration, relation)
);

-- Who this database is: system identifier and oid are the same in a physical clone, this row is not supposed to be.
CREATE TABLE IF NOT EXISTS switchback.identity (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    uuid uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
    format integer NOT NULL,
    made_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
INSERT INTO switchback.identity (format) VALUES (1) ON CONFLICT DO NOTHING;

-- With what this side, where it is the truth, signs messages that apply acts on (DDL, images of rows), so that nobody
-- else's is taken for one: whoever may connect may send messages. The other side has a copy in switchback.signature.
CREATE TABLE IF NOT EXISTS switchback.signing_key (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    secret text NOT NULL DEFAULT pg_catalog.gen_random_uuid()::text || pg_catalog.gen_random_uuid()::text
);
REVOKE ALL ON switchback.signing_key FROM PUBLIC;
INSERT INTO switchback.signing_key DEFAULT VALUES ON CONFLICT DO NOTHING;

-- Which side owns the data. The other one is written to by apply, and by nobody else. A hand-off raises the epoch here
-- and in switchback.progress, in one transaction on the side that takes over.
CREATE TABLE IF NOT EXISTS switchback.ownership (
    migration text PRIMARY KEY,
    owner text NOT NULL CHECK (owner IN ('old', 'new')),
    epoch bigint NOT NULL CHECK (epoch > 0),
    decided_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    decided_by text NOT NULL DEFAULT session_user
);
