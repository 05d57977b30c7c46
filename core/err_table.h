/*
 * The table of errors: SB_ERR(name, id, class, exit code, meaning, remedy). No include guard on purpose: it
 * is included wherever a column of it is needed. Ids are API. docs/ERRORS.md is generated from here.
 */
/* clang-format off */
/* -- source ------------------------------------------------------------------------------------------------ */
SB_ERR(SB_E_SOURCE_UNAVAILABLE, "SB-SOURCE-UNAVAILABLE", SB_CLASS_RETRY, 69,
    "the source server does not answer or refuses connections",
    "It is retried with back-off. See the reason in the message; test with `psql` and the same connection string.")
SB_ERR(SB_E_SOURCE_IDENTITY, "SB-SOURCE-IDENTITY", SB_CLASS_DATA, 65,
    "the server behind the source address is not the one this migration was prepared on",
    "Point source.dsn back at the right server. If it was replaced on purpose, run `switchback remove` and prepare anew.")
SB_ERR(SB_E_SOURCE_REWOUND, "SB-SOURCE-REWOUND", SB_CLASS_DATA, 65,
    "the source has lost or changed commits that were already captured (a restored backup, or a failover that lost them)",
    "The new side holds what the old one lost. Compare both sides, decide which is right, then `switchback remove` and prepare anew.")
SB_ERR(SB_E_SOURCE_CONFIG, "SB-SOURCE-CONFIG", SB_CLASS_DATA, 78,
    "a setting of the source server does not allow logical replication",
    "Run the statement that the message names; `switchback check` lists all of them.")
SB_ERR(SB_E_ACCESS, "SB-ACCESS", SB_CLASS_DATA, 77,
    "a role lacks a right that switchback needs",
    "Grant what the message names; `switchback prepare --dry-run` prints all grants.")
SB_ERR(SB_E_RLS, "SB-RLS", SB_CLASS_DATA, 77,
    "row-level security would hide rows from switchback's role",
    "Give the role BYPASSRLS, or let it own the table.")
SB_ERR(SB_E_SLOT_BUSY, "SB-SLOT-BUSY", SB_CLASS_RETRY, 75,
    "the replication slot is in use by another connection",
    "It is retried. If the holder is another switchback, stop one of the two.")
SB_ERR(SB_E_SLOT_LOST, "SB-SLOT-LOST", SB_CLASS_DATA, 65,
    "the replication slot is gone or was invalidated, so changes since its position cannot be read",
    "A new slot and a fresh copy of the data are needed: `switchback remove`, then `switchback prepare`.")
SB_ERR(SB_E_SLOT_MOVED, "SB-SLOT-MOVED", SB_CLASS_DATA, 65,
    "the replication slot stands at a position this migration never confirmed: somebody recreated or advanced it",
    "Changes were skipped. `switchback remove`, then `switchback prepare` and copy the data again.")
SB_ERR(SB_E_SLOT_AT_RISK, "SB-SLOT-AT-RISK", SB_CLASS_RETRY, 75,
    "the slot will be invalidated soon if its position does not advance",
    "Raise max_slot_wal_keep_size or get the target to apply faster; `switchback status` names the wait.")
SB_ERR(SB_E_PUBLICATION, "SB-PUBLICATION", SB_CLASS_DATA, 65,
    "the publication is missing, was recreated, or does not cover what this migration needs",
    "A publication made after the slot loses rows silently. `switchback remove`, then `switchback prepare`.")
SB_ERR(SB_E_NO_IDENTITY, "SB-NO-IDENTITY", SB_CLASS_DATA, 65,
    "a table has no replica identity, so its updates and deletes cannot be told apart row by row",
    "Add a primary key, or run ALTER TABLE ... REPLICA IDENTITY FULL.")
SB_ERR(SB_E_PROTOCOL, "SB-PROTOCOL", SB_CLASS_DATA, 65,
    "the server sent replication data that does not follow its documented format",
    "Nothing of it was used. Keep the log, check the server's version and report this.")
SB_ERR(SB_E_VALUE_TOO_LARGE, "SB-VALUE-TOO-LARGE", SB_CLASS_DATA, 65,
    "a value is too large to be sent by the server in text",
    "Shrink the value or take its table out of the migration.")
/* -- stream ------------------------------------------------------------------------------------------------ */
SB_ERR(SB_E_STREAM_UNAVAILABLE, "SB-STREAM-UNAVAILABLE", SB_CLASS_RETRY, 69,
    "the stream store does not answer",
    "It is retried; the source keeps its WAL meanwhile. Check the brokers or the disk.")
SB_ERR(SB_E_STREAM_AUTH, "SB-STREAM-AUTH", SB_CLASS_DATA, 77,
    "the stream store refused our credentials or its certificate does not hold",
    "Correct the kafka: settings or the ACLs named in the message.")
SB_ERR(SB_E_STREAM_CONFIG, "SB-STREAM-CONFIG", SB_CLASS_DATA, 78,
    "a topic or a client setting would make the stream unsafe",
    "Change the setting that the message names; `switchback prepare --dry-run` prints the right topic commands.")
SB_ERR(SB_E_STREAM_FULL, "SB-STREAM-FULL", SB_CLASS_RETRY, 75,
    "the stream store is full of records that are not applied yet",
    "Capture waits and the source keeps its WAL. Raise stream.retention_max_bytes, free the disk, or let apply catch up.")
SB_ERR(SB_E_STREAM_IO, "SB-STREAM-IO", SB_CLASS_FATAL, 74,
    "reading or writing the stream store failed",
    "Nothing unflushed was confirmed. Look at the disk; switchback recovers from the store on restart.")
SB_ERR(SB_E_STREAM_LOCKED, "SB-STREAM-LOCKED", SB_CLASS_RETRY, 75,
    "another process has the stream store open for writing",
    "Stop the other switchback, or give this one another stream.path.")
SB_ERR(SB_E_LOG_GAP, "SB-LOG-GAP", SB_CLASS_DATA, 65,
    "records that are needed are missing from the stream (retention, deletion or a lost suffix)",
    "They cannot be made up. `switchback remove`, then prepare and copy the data again.")
SB_ERR(SB_E_LOG_TRUNCATED, "SB-LOG-TRUNCATED", SB_CLASS_DATA, 65,
    "the stream lost records that it had acknowledged, and the slot has moved past them",
    "They cannot be read again. `switchback remove`, then prepare and copy the data again.")
SB_ERR(SB_E_LOG_FOREIGN, "SB-LOG-FOREIGN", SB_CLASS_DATA, 65,
    "the stream holds records of another migration",
    "Give every migration its own topic or file.")
SB_ERR(SB_E_LOG_CORRUPT, "SB-LOG-CORRUPT", SB_CLASS_DATA, 65,
    "a record of the stream does not match its checksum, digest or form",
    "Nothing of it was applied. Look for disk or broker faults; `switchback stream verify` finds its extent.")
SB_ERR(SB_E_LOG_FORMAT, "SB-LOG-FORMAT", SB_CLASS_DATA, 65,
    "the stream was written in a format newer than this program understands",
    "Run the newer version of switchback.")
SB_ERR(SB_E_RECORD_TOO_LARGE, "SB-RECORD-TOO-LARGE", SB_CLASS_DATA, 65,
    "a record does not fit into the stream store even in parts",
    "Raise the store's limits that the message names.")
SB_ERR(SB_E_EPOCH_STALE, "SB-EPOCH-STALE", SB_CLASS_FATAL, 75,
    "a newer incarnation of this stage has taken over",
    "Nothing to do: this process stops; the newer one goes on.")
SB_ERR(SB_E_EPOCH_CLASH, "SB-EPOCH-CLASH", SB_CLASS_DATA, 65,
    "two incarnations claim the same stream epoch: a store or a control schema was copied",
    "Stop one of the two. Copies of a store must not be run.")
/* -- schemas ----------------------------------------------------------------------------------------------- */
SB_ERR(SB_E_SCHEMA_INVALID, "SB-SCHEMA-INVALID", SB_CLASS_DATA, 65,
    "a schema in the stream is not valid",
    "Nothing of it was used. `switchback stream verify` names the record.")
SB_ERR(SB_E_SCHEMA_MISMATCH, "SB-SCHEMA-MISMATCH", SB_CLASS_DATA, 65,
    "two different schemas claim the same id",
    "The stream's own schema records rule; find who wrote the other one.")
SB_ERR(SB_E_VALUE_INVALID, "SB-VALUE-INVALID", SB_CLASS_DATA, 65,
    "a value in the stream cannot be decoded",
    "Nothing of its transaction was applied. `switchback stream verify` names the record.")
SB_ERR(SB_E_ENCODING, "SB-ENCODING", SB_CLASS_DATA, 65,
    "text is not valid in the encoding it must have",
    "Mend the value on the source; the message names its table and column.")
/* -- target ------------------------------------------------------------------------------------------------ */
SB_ERR(SB_E_TARGET_UNAVAILABLE, "SB-TARGET-UNAVAILABLE", SB_CLASS_RETRY, 69,
    "the target server does not answer or refuses connections",
    "It is retried with back-off; the stream retains what is not applied.")
SB_ERR(SB_E_TARGET_IDENTITY, "SB-TARGET-IDENTITY", SB_CLASS_DATA, 65,
    "the server behind the target address is not the one this migration was prepared on",
    "Point target.dsn back at the right server, or prepare anew.")
SB_ERR(SB_E_TARGET_CONFIG, "SB-TARGET-CONFIG", SB_CLASS_DATA, 78,
    "a setting of the target server does not allow changes to be applied",
    "Run the statement that the message names; `switchback check` lists all of them.")
SB_ERR(SB_E_TARGET_FULL, "SB-TARGET-FULL", SB_CLASS_RETRY, 75,
    "the target is out of disk, memory or connections",
    "It is retried. Free the resource that the message names.")
SB_ERR(SB_E_TARGET_STRUCTURE, "SB-TARGET-STRUCTURE", SB_CLASS_DATA, 65,
    "a target table cannot hold what the source table holds",
    "Change the target table as the message says, then `switchback resume`.")
SB_ERR(SB_E_TARGET_POOLED, "SB-TARGET-POOLED", SB_CLASS_DATA, 78,
    "the target address is a transaction-pooling proxy; session state would be lost",
    "Point target.dsn at the server itself.")
SB_ERR(SB_E_PROGRESS_LOST, "SB-PROGRESS-LOST", SB_CLASS_DATA, 65,
    "the target's progress row is missing, changed, or of another migration",
    "Without it exactly-once cannot be proven. Restore the control schema together with the data, or prepare and copy anew.")
SB_ERR(SB_E_CONFLICT, "SB-CONFLICT", SB_CLASS_DATA, 65,
    "a row on the target is not what the stream expects and apply.conflict is `hold`",
    "`switchback conflicts list` shows both versions. Mend the row and `switchback resume`.")
SB_ERR(SB_E_POISON, "SB-POISON", SB_CLASS_DATA, 65,
    "a transaction cannot be applied to the target",
    "`switchback poison show` tells why. Mend the cause and `switchback resume`, or skip it: `switchback poison skip`.")
SB_ERR(SB_E_DDL_HELD, "SB-DDL-HELD", SB_CLASS_DATA, 65,
    "the source ran DDL that is not known to be harmless, or that the target refused; apply stands before its commit",
    "`switchback ddl list` shows it; `switchback ddl approve ID` runs it, `switchback ddl skip ID` goes on without it.")
SB_ERR(SB_E_RELATION_CHANGED, "SB-RELATION-CHANGED", SB_CLASS_DATA, 65,
    "a table has changed on the source, no event trigger has said how, and the target's table does not fit",
    "Alter the target's table as the source's was, then `switchback resume`; or `switchback ddl skip ID` takes it as it is.")
/* -- initial copy ------------------------------------------------------------------------------------------- */
SB_ERR(SB_E_STAMP_FROM_STANDBY, "SB-STAMP-FROM-STANDBY", SB_CLASS_DATA, 65,
    "the source is a standby, whose snapshots do not tell which transactions they show",
    "Point source.dsn at the primary, then `switchback resume`.")
SB_ERR(SB_E_TARGET_NOT_EMPTY, "SB-TARGET-NOT-EMPTY", SB_CLASS_DATA, 65,
    "a target table holds rows that the initial copy did not write",
    "Empty the table on the target, then `switchback resume`; or prepare with copy.initial: false if its rows are right.")
SB_ERR(SB_E_PG_DUMP, "SB-PG-DUMP", SB_CLASS_DATA, 69,
    "there is no pg_dump on this machine that can read the source's structure, or it refused to",
    "Install the client programs of the source's major version or a later one, or set copy.pg_bin; or make the tables on the target yourself and set copy.schema: off.")
SB_ERR(SB_E_COPY_INCOMPLETE, "SB-COPY-INCOMPLETE", SB_CLASS_DATA, 65,
    "the copied image of a table cannot be joined with the stream",
    "`switchback copy --again TABLE` copies it again, then `switchback resume`.")
SB_ERR(SB_E_SELF_TEST, "SB-SELF-TEST", SB_CLASS_DATA, 70,
    "the compare did not find what the self-test had planted, or found something else, so its verdict would mean nothing",
    "The message names it. Look for event triggers and other software on either server that change what new tables hold; else report it.")
/* -- the way back -------------------------------------------------------------------------------------------- */
SB_ERR(SB_E_REPAIR_BUSY, "SB-REPAIR-BUSY", SB_CLASS_RETRY, 75,
    "another repair of this migration is at work",
    "Wait until it has ended; `switchback repair list` shows it. One whose program was killed lets go by itself.")
SB_ERR(SB_E_REPAIR_VOID, "SB-REPAIR-VOID", SB_CLASS_DATA, 65,
    "a repair cannot be run or undone: it is over, or what it rests on is not so any more",
    "Run `switchback verify`, then plan anew: `switchback repair plan`.")
SB_ERR(SB_E_LOOP, "SB-LOOP", SB_CLASS_DATA, 65,
    "a change that switchback wrote itself was captured as if somebody else had made it",
    "Nothing of it was sent. See docs/WAY-BACK.md: the message names the transaction; find out who wrote it.")
SB_ERR(SB_E_ROGUE_WRITE, "SB-ROGUE-WRITE", SB_CLASS_DATA, 65,
    "somebody else wrote to a table of the migration on the side that does not own the data",
    "It was recorded and not applied: `switchback conflicts list` shows both versions. Find the writer and stop it.")
/* -- process ----------------------------------------------------------------------------------------------- */
SB_ERR(SB_E_USAGE, "SB-USAGE", SB_CLASS_FATAL, 64,
    "the command line is not valid",
    "`switchback help` lists verbs and options.")
SB_ERR(SB_E_CONFIG, "SB-CONFIG", SB_CLASS_FATAL, 78,
    "the configuration is not valid",
    "Correct the line that the message names; `switchback config docs` lists every option.")
SB_ERR(SB_E_SECRET_MODE, "SB-SECRET-MODE", SB_CLASS_FATAL, 78,
    "a secret's file can be read by others or belongs to somebody else",
    "chmod 600 the file and let switchback's user own it.")
SB_ERR(SB_E_INSECURE, "SB-INSECURE", SB_CLASS_FATAL, 77,
    "switchback was asked to run in a way that is not safe",
    "Do what the message says; it never runs as root.")
SB_ERR(SB_E_UNSUPPORTED, "SB-UNSUPPORTED", SB_CLASS_FATAL, 78,
    "a server, library or feature version is not supported",
    "The message names the versions that are.")
SB_ERR(SB_E_SAME_SYSTEM, "SB-SAME-SYSTEM", SB_CLASS_FATAL, 78,
    "source and target are the same database",
    "Correct source.dsn or target.dsn.")
SB_ERR(SB_E_STATE_FORMAT, "SB-STATE-FORMAT", SB_CLASS_FATAL, 65,
    "a control schema or state file was made by another version or for another migration",
    "Use the version that made it, or `switchback remove` and prepare anew.")
SB_ERR(SB_E_STATE_LOCKED, "SB-STATE-LOCKED", SB_CLASS_FATAL, 75,
    "another switchback process works with this state directory",
    "Stop that one (the message names its process), or give this one another state_dir.")
SB_ERR(SB_E_NOT_PREPARED, "SB-NOT-PREPARED", SB_CLASS_FATAL, 78,
    "this side has not been prepared for the migration",
    "Run `switchback prepare`.")
SB_ERR(SB_E_LIMIT, "SB-LIMIT", SB_CLASS_DATA, 65,
    "something received is larger than the bound set for it",
    "The message names the bound and the option that moves it.")
SB_ERR(SB_E_NO_MEMORY, "SB-NO-MEMORY", SB_CLASS_FATAL, 75,
    "memory could not be had",
    "Nothing unflushed was confirmed; give the stage more memory.")
SB_ERR(SB_E_IO, "SB-IO", SB_CLASS_FATAL, 74,
    "a file or socket operation failed",
    "See the reason in the message.")
SB_ERR(SB_E_SHUTDOWN, "SB-SHUTDOWN", SB_CLASS_RETRY, 75,
    "the stage was asked to stop",
    "Nothing to do.")
SB_ERR(SB_E_INTERNAL, "SB-INTERNAL", SB_CLASS_FATAL, 70,
    "switchback found itself in a state that must not happen",
    "This is a bug: keep the log and report it. Start is recovery.")
/* clang-format on */
