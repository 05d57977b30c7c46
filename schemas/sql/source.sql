-- On the source of a direction: what prepare made and which incarnation of capture holds the slot.
CREATE TABLE IF NOT EXISTS switchback.capture (
    migration text NOT NULL,
    direction text NOT NULL,
    lane integer NOT NULL DEFAULT 0,
    stream_uuid uuid NOT NULL,
    target_uuid uuid NOT NULL,              -- switchback.identity of the other side
    system_identifier numeric(20) NOT NULL, -- of this server when it was prepared
    database_oid oid NOT NULL,
    slot text NOT NULL,
    start_lsn pg_lsn NOT NULL,              -- the slot's first position: where the stream begins
    publication_oid oid NOT NULL,           -- an oid of 0: there is none (no such tables)
    publication_keyless_oid oid NOT NULL,
    epoch bigint NOT NULL DEFAULT 0,        -- claimed by compare-and-set while the slot is held
    incarnation uuid,
    claimed_at timestamptz,
    PRIMARY KEY (migration, direction, lane)
);
