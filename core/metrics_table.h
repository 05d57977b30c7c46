/* The metrics: SB_METRIC(name, Prometheus name, type, help). No include guard: included for its columns. */
SB_METRIC(SB_M_CAPTURE_CHANGES, "switchback_capture_changes_total", "counter", "Row changes captured")
SB_METRIC(SB_M_CAPTURE_COMMITS, "switchback_capture_commits_total", "counter", "Transactions captured")
SB_METRIC(SB_M_CAPTURE_BYTES, "switchback_capture_bytes_total", "counter",
    "Bytes received from the source's walsender")
SB_METRIC(SB_M_CAPTURE_DROPPED_OWN, "switchback_capture_own_transactions_dropped_total", "counter",
    "Transactions dropped because they carry our own replication origin")
SB_METRIC(SB_M_CAPTURE_CANARIES, "switchback_capture_canaries_total", "counter",
    "Canaries sent through this direction")
SB_METRIC(SB_M_CAPTURE_ECHOES, "switchback_capture_echoes_dropped_total", "counter",
    "Echoes of the other direction's canaries that the loop filter dropped")
SB_METRIC(SB_M_CAPTURE_ECHO_US, "switchback_capture_echo_round_trip_us", "gauge",
    "From the sending of the other direction's newest echoed canary to the dropping of its echo, "
    "microseconds")
SB_METRIC(SB_M_CAPTURE_ECHO_TIME_US, "switchback_capture_echo_time_us", "gauge",
    "When the newest echo was dropped, microseconds since 1970")
SB_METRIC(SB_M_CAPTURE_ABORTS_IGNORED, "switchback_capture_stream_aborts_ignored_total", "counter",
    "Stream aborts of transactions never seen, ignored")
SB_METRIC(SB_M_CAPTURE_RECEIVED_LSN, "switchback_capture_received_lsn", "gauge",
    "Newest WAL position the source has reported as sent")
SB_METRIC(SB_M_CAPTURE_STORED_LSN, "switchback_capture_stored_lsn", "gauge",
    "Commit position up to which the stream has acknowledged everything")
SB_METRIC(
    SB_M_CAPTURE_CONFIRMED_LSN, "switchback_capture_confirmed_lsn", "gauge", "Position confirmed to the slot")
SB_METRIC(SB_M_CAPTURE_STORED_TIME_US, "switchback_capture_stored_commit_time_us", "gauge",
    "Source commit time of the newest stored transaction, microseconds since 1970")
SB_METRIC(SB_M_SOURCE_WAL_LSN, "switchback_source_wal_lsn", "gauge", "Current WAL position of the source")
SB_METRIC(SB_M_SLOT_RETAINED_BYTES, "switchback_slot_retained_bytes", "gauge",
    "WAL that the slot keeps on the source")
SB_METRIC(SB_M_SLOT_SAFE_BYTES, "switchback_slot_safe_bytes", "gauge",
    "WAL that may still be written before the slot is in danger; -1 without a limit")
SB_METRIC(SB_M_SLOT_LOSS_SECONDS, "switchback_slot_time_to_loss_seconds", "gauge",
    "Forecast until the slot is lost at the present WAL rate; -1 without a limit")
SB_METRIC(SB_M_STREAM_EPOCH, "switchback_stream_epoch", "gauge",
    "Stream epoch of this capture incarnation or of the records applied")
SB_METRIC(SB_M_STREAM_SEQUENCE, "switchback_stream_sequence", "gauge",
    "Sequence of the newest record written or applied")
SB_METRIC(SB_M_STREAM_BYTES, "switchback_stream_bytes", "gauge",
    "Bytes the stream store holds; -1 if the store cannot tell")
SB_METRIC(SB_M_STREAM_OLDEST_OFFSET, "switchback_stream_oldest_offset", "gauge", "Oldest offset retained")
SB_METRIC(SB_M_STREAM_NEXT_OFFSET, "switchback_stream_next_offset", "gauge", "Offset of the next record")
SB_METRIC(SB_M_STREAM_FOREIGN, "switchback_stream_foreign_total", "counter",
    "Messages in the topic that are not ours: refused, never applied")
SB_METRIC(SB_M_APPLY_CHANGES, "switchback_apply_changes_total", "counter", "Row changes applied")
SB_METRIC(SB_M_APPLY_COMMITS, "switchback_apply_commits_total", "counter", "Source transactions applied")
SB_METRIC(SB_M_APPLY_BATCHES, "switchback_apply_batches_total", "counter", "Target transactions committed")
SB_METRIC(SB_M_APPLY_EXACT_BATCHES, "switchback_apply_exact_batches_total", "counter",
    "Batches done change by change")
SB_METRIC(SB_M_APPLY_CONFLICTS, "switchback_apply_conflicts_total", "counter",
    "Rows found other than expected on the target")
SB_METRIC(SB_M_APPLY_SKIPPED, "switchback_apply_skipped_transactions_total", "counter",
    "Transactions skipped by an operator")
SB_METRIC(SB_M_APPLY_DROPPED, "switchback_apply_dropped_records_total", "counter",
    "Records of stale epochs or repeats dropped")
SB_METRIC(
    SB_M_APPLY_LSN, "switchback_apply_commit_lsn", "gauge", "Source commit position applied on the target")
SB_METRIC(SB_M_APPLY_TIME_US, "switchback_apply_commit_time_us", "gauge",
    "Source commit time of the newest applied transaction, microseconds since 1970")
SB_METRIC(SB_M_APPLY_OFFSET, "switchback_apply_offset", "gauge",
    "Stream offset behind the newest applied transaction")
SB_METRIC(SB_M_APPLY_OBSERVES, "switchback_apply_observes", "gauge",
    "1 while the target owns the data and nothing of the stream is written there")
SB_METRIC(SB_M_APPLY_OWNERSHIP_EPOCH, "switchback_apply_ownership_epoch", "gauge",
    "Ownership epoch under which progress moves")
SB_METRIC(SB_M_APPLY_ROGUE_WRITES, "switchback_apply_rogue_writes_total", "counter",
    "Changes made by somebody else on the side that does not own: found, not applied")
SB_METRIC(SB_M_APPLY_ROGUE_TRANSACTIONS, "switchback_apply_rogue_transactions_total", "counter",
    "Transactions with such changes")
SB_METRIC(SB_M_APPLY_CANARY_TIME_US, "switchback_apply_canary_time_us", "gauge",
    "When the newest canary was written on the target, microseconds since 1970")
SB_METRIC(SB_M_APPLY_COPIED, "switchback_apply_copied_changes_total", "counter",
    "Changes skipped because the initial copy has them already")
SB_METRIC(SB_M_APPLY_ASIDE, "switchback_apply_tables_aside", "gauge",
    "Tables that are copied (again) while apply goes on with the others")
SB_METRIC(SB_M_APPLY_UNSIGNED, "switchback_apply_unsigned_messages_total", "counter",
    "Messages that look like DDL or an image of rows and are not signed by the source: left out")
SB_METRIC(SB_M_REPAIR_APPLIED, "switchback_repair_rows_applied_total", "counter",
    "Rows of repairs written on the target")
SB_METRIC(SB_M_REPAIR_NOOP_EQUAL, "switchback_repair_rows_noop_equal_total", "counter",
    "Rows of repairs that were equal already")
SB_METRIC(SB_M_REPAIR_SKIPPED_NEWER, "switchback_repair_rows_skipped_newer_total", "counter",
    "Rows of repairs left out because a newer change touched them")
SB_METRIC(SB_M_REPAIR_SKIPPED_RING, "switchback_repair_rows_skipped_ring_total", "counter",
    "Rows of repairs left out because too much was forgotten to judge them")
SB_METRIC(SB_M_REPAIR_SKIPPED_GUARD, "switchback_repair_rows_skipped_guard_total", "counter",
    "Rows of repairs left out because the target's row was no longer the one that was found")
SB_METRIC(SB_M_REPAIR_SKIPPED_SCHEMA, "switchback_repair_rows_skipped_schema_total", "counter",
    "Rows of repairs left out because the target has no such table or columns")
SB_METRIC(SB_M_REPAIR_SKIPPED_OWNER, "switchback_repair_rows_skipped_owner_total", "counter",
    "Rows of repairs left out because the data has another owner than when they were read")
SB_METRIC(SB_M_REPAIR_SKIPPED_REFUSED, "switchback_repair_rows_skipped_refused_total", "counter",
    "Rows of repairs that the target refused")
SB_METRIC(SB_M_COPY_WAITS, "switchback_copy_waits_total", "counter",
    "Times that rows had to be copied because of apply, which waits or goes on beside")
SB_METRIC(SB_M_COPY_TABLES, "switchback_copy_tables", "gauge", "Tables of the initial copy")
SB_METRIC(SB_M_COPY_TABLES_DONE, "switchback_copy_tables_done", "gauge", "Of them copied as a whole")
SB_METRIC(SB_M_COPY_CHUNKS, "switchback_copy_chunks", "gauge", "Chunks of the initial copy")
SB_METRIC(SB_M_COPY_CHUNKS_DONE, "switchback_copy_chunks_done", "gauge", "Of them finished")
SB_METRIC(SB_M_COPY_ROWS, "switchback_copy_rows", "gauge", "Rows copied, those of chunks at work included")
SB_METRIC(SB_M_COPY_ROWS_ESTIMATED, "switchback_copy_rows_estimated", "gauge",
    "Rows of all tables of the initial copy, by the source's statistics")
SB_METRIC(SB_M_COPY_BYTES, "switchback_copy_bytes_total", "counter", "Bytes of rows sent to the target")
SB_METRIC(SB_M_SEQUENCES_KEPT, "switchback_sequences_kept", "gauge",
    "Sequences that are ahead on the side that does not own the data")
SB_METRIC(SB_M_SEQUENCES_MISSING, "switchback_sequences_missing", "gauge",
    "Sequences of the owner that the other side does not have")
SB_METRIC(SB_M_SEQUENCES_UNKEPT, "switchback_sequences_unkept", "gauge",
    "Sequences that cannot be kept ahead: no right, another direction, nothing left")
SB_METRIC(SB_M_SEQUENCES_TIGHT, "switchback_sequences_tight", "gauge",
    "Sequences kept ahead by less than wanted because little is left of what they can count")
SB_METRIC(SB_M_SEQUENCES_MOVES, "switchback_sequences_moves_total", "counter", "Sequences moved ahead")
SB_METRIC(SB_M_SEQUENCES_ROGUE, "switchback_sequences_rogue_values", "gauge",
    "Values used on the side that does not own the data, since it does not")
SB_METRIC(SB_M_SEQUENCES_AHEAD, "switchback_sequences_least_ahead_values", "gauge",
    "Values that the sequence that is least ahead is ahead")
SB_METRIC(SB_M_SEQUENCES_HEADROOM, "switchback_sequences_least_headroom_values", "gauge",
    "Values that are left on the side that does not own, of the sequence with the fewest")
SB_METRIC(SB_M_SEQUENCES_TIME_US, "switchback_sequences_round_time_us", "gauge",
    "When all sequences were last looked at, microseconds since 1970")
SB_METRIC(SB_M_RECONCILE_FRONTIER_LSN, "switchback_reconcile_frontier_lsn", "gauge",
    "Commit position up to which all tables are proven equal on the target")
SB_METRIC(SB_M_RECONCILE_FRONTIER_TIME_US, "switchback_reconcile_frontier_commit_time_us", "gauge",
    "Its commit time on the source, microseconds since 1970")
SB_METRIC(SB_M_RECONCILE_CLOCK_AHEAD_US, "switchback_reconcile_source_clock_ahead_us", "gauge",
    "How far the source's clock is ahead of this machine's, microseconds")
SB_METRIC(
    SB_M_RECONCILE_TABLES, "switchback_reconcile_tables", "gauge", "Tables that are compared all the time")
SB_METRIC(SB_M_RECONCILE_TABLES_PROVEN, "switchback_reconcile_tables_proven", "gauge",
    "Of them, those whose frontier moves: compared as a whole, and without a difference")
SB_METRIC(SB_M_RECONCILE_TABLES_NOT_COMPARED, "switchback_reconcile_tables_not_compared", "gauge",
    "Tables of the migration that cannot be compared: `switchback verify --explain` says why")
SB_METRIC(SB_M_RECONCILE_KEYS, "switchback_reconcile_keys_judged_total", "counter",
    "Changed keys that were compared and decided")
SB_METRIC(SB_M_RECONCILE_UNDECIDED, "switchback_reconcile_keys_undecided_total", "counter",
    "Times that a changed key could not be decided yet")
SB_METRIC(SB_M_RECONCILE_ROWS, "switchback_reconcile_rows_compared_total", "counter",
    "Rows of the source that were compared")
SB_METRIC(SB_M_RECONCILE_CHUNKS, "switchback_reconcile_chunks_compared_total", "counter",
    "Chunks of passes that were compared")
SB_METRIC(SB_M_RECONCILE_UNPROVEN, "switchback_reconcile_unproven_changes", "gauge",
    "Changes of keys that are not proven yet")
SB_METRIC(SB_M_RECONCILE_FOUND, "switchback_reconcile_differences_found_total", "counter",
    "Proven differences found")
SB_METRIC(SB_M_RECONCILE_OPEN, "switchback_reconcile_open_differences", "gauge",
    "Keys that differ, and tables without a key that do")
SB_METRIC(SB_M_RECONCILE_OVERFLOWS, "switchback_reconcile_overflows_total", "counter",
    "Times that changes did not fit into memory, so that tables had to be compared as a whole again")
SB_METRIC(SB_M_RECONCILE_SNAPSHOT_MS, "switchback_reconcile_snapshot_age_max_ms", "gauge",
    "The longest that a snapshot was held, milliseconds")
SB_METRIC(SB_M_RECONCILE_PASS_TIME_US, "switchback_reconcile_oldest_pass_time_us", "gauge",
    "When the table that waits longest for its next pass was last compared as a whole, microseconds since "
    "1970")
SB_METRIC(SB_M_RECONCILE_TIME_US, "switchback_reconcile_look_time_us", "gauge",
    "When both sides were last looked at, microseconds since 1970")
SB_METRIC(SB_M_APPLY_OPEN_TXN_ROWS, "switchback_apply_open_transaction_rows", "gauge",
    "Rows written in an open large transaction")
SB_METRIC(SB_M_LOG_DROPPED, "switchback_log_dropped_lines_total", "counter",
    "Log lines dropped because the log pipe was full")
