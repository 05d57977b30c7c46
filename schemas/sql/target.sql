-- On the target of a direction. progress is the promise: it moves in the same transaction as the data.
CREATE TABLE IF NOT EXISTS switchback.progress (
    migration text NOT NULL,
    direction text NOT NULL,
    lane integer NOT NULL DEFAULT 0,
    stream_uuid uuid NOT NULL,
    source_uuid uuid NOT NULL,
    epoch bigint NOT NULL DEFAULT 0,
    sequence bigint NOT NULL DEFAULT 0,      -- of the newest applied commit record
    timeline integer NOT NULL DEFAULT 0,
    commit_lsn pg_lsn NOT NULL DEFAULT '0/0', -- start of that commit's WAL record on the source
    chain bytea NOT NULL DEFAULT '\x00000000000000000000000000000000',
    ownership_epoch bigint NOT NULL DEFAULT 0,
    stream_offset bigint NOT NULL DEFAULT -1, -- a hint, verified before it is believed
    commit_us bigint NOT NULL DEFAULT 0,      -- source commit time, microseconds since 1970
    transactions bigint NOT NULL DEFAULT 0,   -- applied so far
    changes bigint NOT NULL DEFAULT 0,
    conflicts bigint NOT NULL DEFAULT 0,
    rogue_writes bigint NOT NULL DEFAULT 0,   -- changes that an observer found and did not apply
    rogue_transactions bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (migration, direction, lane)
) WITH (fillfactor = 10);

-- The newest canary that arrived, written in the target transaction that echoes it.
CREATE TABLE IF NOT EXISTS switchback.canary (
    migration text NOT NULL,
    direction text NOT NULL,
    epoch bigint NOT NULL,        -- of the capture that sent it
    number bigint NOT NULL,       -- counted from 1 within the epoch
    sent_at timestamptz NOT NULL, -- by the clock of the machine that sent it
    applied_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (migration, direction)
) WITH (fillfactor = 10);

-- An operator's wishes, read by apply between batches.
CREATE TABLE IF NOT EXISTS switchback.apply_control (
    migration text NOT NULL,
    direction text NOT NULL,
    paused boolean NOT NULL DEFAULT false,
    changed_by text NOT NULL DEFAULT session_user,
    changed_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (migration, direction)
);

-- The initial copy of a direction. No row: there is none (as state none). Apply waits while it is pending.
CREATE TABLE IF NOT EXISTS switchback.copy (
    migration text NOT NULL,
    direction text NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'complete', 'none')),
    incarnation uuid,              -- of the copy at work: claimed at its start, checked by each of its transactions
    started_at timestamptz,
    completed_at timestamptz,
    rows bigint NOT NULL DEFAULT 0,
    last_h pg_lsn NOT NULL DEFAULT '0/0', -- commits from here on are newer than every chunk
    structure text NOT NULL DEFAULT 'none' -- pending: the tables are made by the copy, and not whole yet; none: made by others
        CHECK (structure IN ('none', 'pending', 'complete')),
    structure_begun_at timestamptz, -- the tables are there, and in switchback.copy_step what is still to be made
    beside boolean NOT NULL DEFAULT false, -- what is pending is of tables in switchback.aside alone: apply goes on meanwhile
    PRIMARY KEY (migration, direction)
);
ALTER TABLE switchback.copy ADD COLUMN IF NOT EXISTS structure text NOT NULL DEFAULT 'none'
    CHECK (structure IN ('none', 'pending', 'complete'));
ALTER TABLE switchback.copy ADD COLUMN IF NOT EXISTS structure_begun_at timestamptz;
ALTER TABLE switchback.copy ADD COLUMN IF NOT EXISTS beside boolean NOT NULL DEFAULT false;

-- What is made of the structure once the rows are there: written with the tables, done one by one.
CREATE TABLE IF NOT EXISTS switchback.copy_step (
    migration text NOT NULL,
    direction text NOT NULL,
    step integer NOT NULL,
    phase text NOT NULL,           -- keys: before apply begins; rest: once it has passed the copy
    wave integer NOT NULL,         -- those of one wave go together where it says so (copy/toc.h); waves follow one another
    what text NOT NULL,            -- for people
    sql text NOT NULL,
    done_at timestamptz,           -- set in the transaction that did it
    PRIMARY KEY (migration, direction, step)
);

-- Its tables, as they were planned.
CREATE TABLE IF NOT EXISTS switchback.copy_table (
    migration text NOT NULL,
    direction text NOT NULL,
    relation text NOT NULL,        -- "schema"."name", quoted
    key_kind text NOT NULL,        -- none: one chunk holds the whole table
    key_column text NOT NULL,      -- unquoted; empty for none
    shape text NOT NULL,           -- of the source's table: a copy across a change of it begins anew
    rows_estimated bigint NOT NULL,
    chunks integer NOT NULL,       -- finished and planned ones: as many rows in switchback.chunk, and it is copied
    PRIMARY KEY (migration, direction, relation)
);

-- The ledger of copied chunks: written in the transaction that writes their rows.
CREATE TABLE IF NOT EXISTS switchback.chunk (
    migration text NOT NULL,
    direction text NOT NULL,
    relation text NOT NULL,
    lower_bound bytea,             -- canonical key; NULL: open
    upper_bound bytea,             -- exclusive
    snapshot text NOT NULL,        -- the stamp S, pg_current_snapshot()
    flushed_past pg_lsn NOT NULL,  -- H: counts once the source has flushed past it
    timeline integer NOT NULL,
    rows bigint NOT NULL,
    digest bytea NOT NULL,
    schema_id bigint NOT NULL,     -- 0: the stream had no schema of it yet
    copied_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    passed boolean NOT NULL DEFAULT false -- progress is beyond H on its timeline: all that follows is newer, for good
);
CREATE INDEX IF NOT EXISTS chunk_relation ON switchback.chunk (migration, direction, relation);
ALTER TABLE switchback.chunk ADD COLUMN IF NOT EXISTS passed boolean NOT NULL DEFAULT false;
-- The transaction that wrote the rows: whose xmin is this is as the copy brought it. NULL: copied by an older program.
ALTER TABLE switchback.chunk ADD COLUMN IF NOT EXISTS written_by bigint;
ALTER TABLE switchback.chunk ALTER COLUMN written_by SET DEFAULT pg_catalog.pg_current_xact_id()::text::bigint;
-- Without, a publication of all tables on the target would make our DELETE fail.
ALTER TABLE switchback.chunk REPLICA IDENTITY FULL;

-- What is to be copied again while everything runs, written by whoever has a reason:
--   INSERT INTO switchback.copy_wish (migration, direction, relation, reason) VALUES (...);
-- Apply takes it between two of its transactions: a whole table is set aside (switchback.aside), for rows of single keys
-- it waits.
CREATE TABLE IF NOT EXISTS switchback.copy_wish (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration text NOT NULL,
    direction text NOT NULL,
    relation text NOT NULL,        -- "schema"."name", quoted
    key bytea,                     -- canonical leading key (schemas/key): only rows of it; NULL: the whole table
    reason text NOT NULL,
    asked_by text NOT NULL DEFAULT session_user,
    asked_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    done_at timestamptz,           -- when it was taken, and the copy was pending again
    urgent boolean NOT NULL DEFAULT false -- apply cannot go on before it is taken
);
CREATE INDEX IF NOT EXISTS copy_wish_pending ON switchback.copy_wish (migration, direction) WHERE done_at IS NULL;
ALTER TABLE switchback.copy_wish ADD COLUMN IF NOT EXISTS urgent boolean NOT NULL DEFAULT false;

-- Tables that are copied (again) while apply goes on with the others: set aside by apply's main lane (0), which leaves
-- their changes out from there on; applied by the side reader, lane 1 of switchback.progress, once they are copied; and
-- given back where both lanes stand at one commit. Without a row here there is no lane 1.
CREATE TABLE IF NOT EXISTS switchback.aside (
    migration text NOT NULL,
    direction text NOT NULL,
    relation text NOT NULL,        -- "schema"."name", quoted
    emptied boolean NOT NULL,      -- the rows from before are deleted; until then the copy has to
    since timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (migration, direction, relation)
);

-- Rows found other than expected, with both versions.
CREATE TABLE IF NOT EXISTS switchback.conflict (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration text NOT NULL,
    direction text NOT NULL,
    kind text NOT NULL,            -- insert_exists, update_missing, delete_missing, multiple_unique_conflicts, row_differs,
                                   -- rogue_write: somebody else wrote on the side that does not own
    op text,                       -- insert, update, delete, truncate
    relation text NOT NULL,
    key jsonb,
    source_row jsonb,              -- as the stream has it; columns that did not travel are not there
    target_row jsonb,              -- as it was found
    resolution text NOT NULL,      -- owner (the stream's version was written), none (nothing to do), hold,
                                   -- open (a rogue write: the owner's row was left alone)
    commit_lsn pg_lsn NOT NULL,
    ordinal bigint NOT NULL,
    xid bigint NOT NULL,
    found_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);

-- The transaction a lane stands at because it cannot be applied; at most one a lane.
CREATE TABLE IF NOT EXISTS switchback.poison (
    migration text NOT NULL,
    direction text NOT NULL,
    lane integer NOT NULL DEFAULT 0,
    commit_lsn pg_lsn NOT NULL,
    xid bigint NOT NULL,
    ordinal bigint NOT NULL,       -- of the change that failed
    relation text NOT NULL,
    error_id text NOT NULL,
    sqlstate text NOT NULL,
    reason text NOT NULL,
    skip_requested_by text,        -- an operator's recorded command
    skip_reason text,
    skipped_at timestamptz,
    found_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (migration, direction, lane)
);

-- What skipping left undone: keys that reconcile must clear.
CREATE TABLE IF NOT EXISTS switchback.debt (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration text NOT NULL,
    direction text NOT NULL,
    relation text NOT NULL,
    key jsonb,
    op text NOT NULL,
    commit_lsn pg_lsn NOT NULL,
    xid bigint NOT NULL,
    ordinal bigint NOT NULL,
    skipped_by text NOT NULL,
    reason text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);

-- With what the source signs: only what bears it is taken for DDL or for an image of rows. A copy of the source's
-- switchback.signing_key.
CREATE TABLE IF NOT EXISTS switchback.signature (
    migration text NOT NULL,
    direction text NOT NULL,
    secret text NOT NULL,
    PRIMARY KEY (migration, direction)
);
REVOKE ALL ON switchback.signature FROM PUBLIC;

-- DDL of the source that apply has met: what it did with it, or what it stands at until somebody decides.
CREATE TABLE IF NOT EXISTS switchback.ddl (
    id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    migration text NOT NULL,
    direction text NOT NULL,
    lane integer NOT NULL DEFAULT 0,
    commit_lsn pg_lsn NOT NULL,
    ordinal bigint NOT NULL,       -- of the message, or of the first row of a changed table, in its transaction
    xid bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('statement', 'relation')), -- relation: without an event trigger
    tag text NOT NULL,             -- ALTER TABLE ...
    relations text[] NOT NULL,     -- quoted, of the source
    statement text,                -- NULL: its text is not known
    path text[] NOT NULL,          -- the schemas in which its names are looked up
    run_by text,                   -- role on the source
    reason text NOT NULL,          -- why it is held; empty: it was not
    breaks_way_back boolean NOT NULL,
    copied_again text[] NOT NULL,  -- tables of which it changes rows that do not travel
    state text NOT NULL CHECK (state IN ('held', 'approved', 'skipped', 'applied')),
    decided_by text,
    decision text,                 -- why, in the operator's words
    decided_at timestamptz,
    found_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    passed_at timestamptz,         -- when its transaction was applied
    PRIMARY KEY (migration, direction, lane, commit_lsn, ordinal)
);

-- What `switchback verify` came to, a row for each run.
CREATE TABLE IF NOT EXISTS switchback.verify_run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration text NOT NULL,
    direction text NOT NULL,
    state text NOT NULL DEFAULT 'complete' CHECK (state IN ('running', 'complete', 'failed', 'died')),
                                       -- running: holds the advisory lock (1396856402, id) as long as it lives
    verdict text,                      -- equal, different, incomplete; NULL: it came to none
    why text NOT NULL DEFAULT '',      -- failed: the error's id
    pattern text,                      -- of tables; NULL: all of the migration's
    tables integer NOT NULL,
    tables_incomplete integer NOT NULL DEFAULT 0, -- not compared, or not decided
    source_rows bigint NOT NULL DEFAULT 0,
    target_rows bigint NOT NULL DEFAULT 0,
    keys_compared bigint NOT NULL DEFAULT 0,
    differences bigint NOT NULL DEFAULT 0,
    applied_lsn pg_lsn NOT NULL DEFAULT '0/0', -- everything was compared at this progress or later; 0/0: nothing was read
    applied_us bigint NOT NULL DEFAULT 0, -- its commit time on the source, microseconds since 1970
    started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    ended_at timestamptz               -- NULL: it is running, or died and nobody noticed yet
);
ALTER TABLE switchback.verify_run ADD COLUMN IF NOT EXISTS state text NOT NULL DEFAULT 'complete'
    CHECK (state IN ('running', 'complete', 'failed', 'died'));
ALTER TABLE switchback.verify_run ADD COLUMN IF NOT EXISTS why text NOT NULL DEFAULT '';
ALTER TABLE switchback.verify_run ALTER COLUMN verdict DROP NOT NULL, ALTER COLUMN ended_at DROP NOT NULL,
    ALTER COLUMN ended_at DROP DEFAULT, ALTER COLUMN tables_incomplete SET DEFAULT 0, ALTER COLUMN source_rows SET DEFAULT 0,
    ALTER COLUMN target_rows SET DEFAULT 0, ALTER COLUMN keys_compared SET DEFAULT 0, ALTER COLUMN differences SET DEFAULT 0,
    ALTER COLUMN applied_lsn SET DEFAULT '0/0', ALTER COLUMN applied_us SET DEFAULT 0,
    ALTER COLUMN started_at SET DEFAULT pg_catalog.clock_timestamp();

-- Differences that were proven, a row for each key of a table; found again, its row goes on. Bytes of keys and digests
-- are those of schemas/rowform.h.
CREATE TABLE IF NOT EXISTS switchback.difference (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration text NOT NULL,
    direction text NOT NULL,
    ownership_epoch bigint NOT NULL,   -- under which it was found; void under another
    relation text NOT NULL,            -- "schema"."name", quoted
    key_digest bytea NOT NULL,         -- of a table without a key: of the row
    key bytea,                         -- its bytes; NULL: the table has no key
    key_shown text,                    -- for people: a JSON object of texts
    kind text NOT NULL CHECK (kind IN ('missing', 'extra', 'changed')),
    rows bigint NOT NULL,              -- of a table without a key: so many of the same
    columns text[],                    -- of changed: which differ; NULL: not known
    column_set bytea NOT NULL,         -- digest of the compared columns' names, in order: what the row digests are over
    source_row bytea,                  -- digest; NULL: it has none
    target_row bytea,
    fault text NOT NULL CHECK (fault IN ('unknown', 'capture', 'apply', 'copy', 'foreign')), -- who is at fault
    evidence text NOT NULL DEFAULT '', -- of the fault, in words; empty: it was not asked
    by_stream boolean NOT NULL,
    horizon pg_lsn NOT NULL,           -- H and P of the cut that it was proven at
    applied_lsn pg_lsn NOT NULL,
    commit_lsn pg_lsn,                 -- of the newest change of the key that is known; NULL: none is
    xid bigint,
    commit_us bigint,
    state text NOT NULL DEFAULT 'open'
        -- repairing: an item of a repair; repaired: compared again and equal; gone: equal without a repair of ours;
        -- held: not to be repaired (undone, or an operator said so)
        CHECK (state IN ('open', 'repairing', 'repaired', 'gone', 'held')),
    times bigint NOT NULL DEFAULT 1,   -- found
    found_by bigint NOT NULL,          -- switchback.verify_run, the first; 0: the stage
    seen_by bigint NOT NULL DEFAULT 0, -- the newest that found it
    first_seen_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    last_seen_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    closed_at timestamptz,             -- when it became repaired or gone
    UNIQUE (migration, direction, relation, key_digest)
);
CREATE INDEX IF NOT EXISTS difference_open ON switchback.difference (migration, direction, relation)
    WHERE state IN ('open', 'repairing', 'held');

-- A repair: planned, run, and undone by a repair of its own.
CREATE TABLE IF NOT EXISTS switchback.repair (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration text NOT NULL,
    direction text NOT NULL,
    ownership_epoch bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('planned', 'running', 'done', 'stopped')),
    undoes bigint REFERENCES switchback.repair,
    pattern text,                      -- of tables; NULL: all
    rows_max bigint NOT NULL,          -- the budget it was planned under
    deletes_max bigint NOT NULL,
    plan_digest bytea NOT NULL,        -- SHA-256 over its items
    reason text NOT NULL,
    stopped_why text NOT NULL DEFAULT '',
    asked_by text NOT NULL DEFAULT session_user,
    planned_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    started_at timestamptz,
    ended_at timestamptz
);

CREATE TABLE IF NOT EXISTS switchback.repair_item (
    repair bigint NOT NULL REFERENCES switchback.repair ON DELETE CASCADE,
    item bigint NOT NULL,              -- in the order in which they are done, from 1
    difference bigint REFERENCES switchback.difference ON DELETE SET NULL,
    relation text NOT NULL,
    key bytea NOT NULL,
    key_shown text NOT NULL,
    guard bytea,                       -- digest of the target's row as it was found; NULL: there was none
    outcome text                       -- of the newest image: NULL: none was judged yet
        CHECK (outcome IN ('applied', 'noop_equal', 'skipped_newer', 'skipped_ring', 'skipped_guard', 'skipped_schema',
            'skipped_owner', 'skipped_refused')),
    sqlstate text NOT NULL DEFAULT '', -- of a row that the target refused: a constraint, a right, a value
    tries integer NOT NULL DEFAULT 0,  -- images judged
    verified_at timestamptz,           -- compared again after it, and equal
    PRIMARY KEY (repair, item)
);

-- What apply did for a repair, written in the transaction that did it. A hash chain for each migration and direction:
-- digest is the SHA-256 of previous (32 zero bytes at first) and of what the row says (apply/repair_book.h has the form).
CREATE TABLE IF NOT EXISTS switchback.repair_audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration text NOT NULL,
    direction text NOT NULL,
    repair bigint NOT NULL,
    item bigint NOT NULL,
    relation text NOT NULL,
    key_shown text NOT NULL,
    outcome text NOT NULL,             -- as repair_item's; only applied changed something
    sqlstate text NOT NULL,            -- as repair_item's
    before jsonb,                      -- an object of texts; NULL: there was no row
    after jsonb,
    snapshot text NOT NULL,            -- S of the image; empty: an undo
    commit_lsn pg_lsn NOT NULL,        -- of the image in the stream
    applied_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    previous bytea NOT NULL,
    digest bytea NOT NULL
);
CREATE INDEX IF NOT EXISTS repair_audit_item ON switchback.repair_audit (repair, item);

-- Whoever repairs asks apply to remember the keys that it writes: images are judged by them. Both ends renew their part.
CREATE TABLE IF NOT EXISTS switchback.repair_ring (
    migration text NOT NULL,
    direction text NOT NULL,
    wanted_until timestamptz NOT NULL, -- set by the repair; beyond it apply forgets
    whole_from pg_lsn,                 -- set by apply: every commit behind this one is remembered; NULL: none yet
    PRIMARY KEY (migration, direction)
) WITH (fillfactor = 10);

-- Apply is asked to stand still for a moment, so that both sides can be looked at as of one commit. A row while somebody
-- wants it; if he dies, it is over by itself.
CREATE TABLE IF NOT EXISTS switchback.apply_hold (
    migration text NOT NULL,
    direction text NOT NULL,
    wanted_until timestamptz NOT NULL,
    at pg_lsn,                     -- go on to this commit, and hold there; NULL: where it is
    held_at pg_lsn,                -- by apply: it stands behind this commit; NULL: it does not yet
    PRIMARY KEY (migration, direction)
);
-- What the stage `reconcile` has proven, a row for each table: what it goes on with after a restart.
CREATE TABLE IF NOT EXISTS switchback.verified (
    migration text NOT NULL,
    direction text NOT NULL,
    relation text NOT NULL,            -- "schema"."name", quoted
    shape text NOT NULL,               -- of both sides' tables: of another shape, it is compared as a whole again
    frontier_lsn pg_lsn NOT NULL,      -- every change up to this commit is proven; written every half a minute; 0/0: undefined
    frontier_us bigint NOT NULL,       -- its commit time on the source, microseconds since 1970
    needs_pass boolean NOT NULL,       -- the frontier stands still until all rows are compared
    proven boolean NOT NULL,
    passed_to pg_lsn NOT NULL,         -- the newest commit that the stream had brought when the newest pass ended
    passing boolean NOT NULL,          -- a pass is under way: switchback.verified_chunk
    passed_at timestamptz,             -- when the newest pass ended; NULL: none has
    differences bigint NOT NULL,       -- keys that differ, as far as they are kept
    PRIMARY KEY (migration, direction, relation)
);

-- Chunks of the newest pass that were compared and had no difference.
CREATE TABLE IF NOT EXISTS switchback.verified_chunk (
    migration text NOT NULL,
    direction text NOT NULL,
    relation text NOT NULL,
    lower_bound bytea,                 -- canonical key (schemas/key); NULL: open
    upper_bound bytea,                 -- exclusive
    rows bigint NOT NULL,
    done_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
CREATE INDEX IF NOT EXISTS verified_chunk_relation ON switchback.verified_chunk (migration, direction, relation);

-- Where the stream is read from again: changes behind it are unproven by definition. Written together with the two above.
CREATE TABLE IF NOT EXISTS switchback.verified_place (
    migration text NOT NULL,
    direction text NOT NULL,
    stream_uuid uuid NOT NULL,
    timeline integer NOT NULL,
    epoch bigint NOT NULL,
    sequence bigint NOT NULL,
    commit_lsn pg_lsn NOT NULL,
    chain bytea NOT NULL,
    stream_offset bigint NOT NULL,     -- a hint
    commit_us bigint NOT NULL,
    written_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (migration, direction)
) WITH (fillfactor = 10);
