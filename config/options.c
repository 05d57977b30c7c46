#include "config/options.h"

#include "config/nearest.h"

#include <stdint.h>
#include <string.h>

#define FIELD(name) offsetof(struct sb_config, name)
#define KIB         INT64_C(1024)
#define MIB         (1024 * KIB)
#define GIB         (1024 * MIB)
#define TIB         (1024 * GIB)

static const char *const stores[] = {"embedded", "kafka", NULL};
static const char *const acks[] = {"target", "stream", NULL};
static const char *const modes[] = {"auto", "exact", NULL};
static const char *const ddl_policies[] = {"apply", "hold", "ignore", NULL};
static const char *const schemas[] = {"auto", "off", NULL};
static const char *const conflicts[] = {"owner", "hold", NULL};
static const char *const log_formats[] = {"logfmt", "json", NULL};
static const char *const log_levels[] = {"debug", "info", "warning", "error", NULL};

const struct sb_section sb_sections[] = {
    {"", "The migration as a whole."},
    {"source", "The old server: what moves away from it is captured here."},
    {"target", "The new server: what was captured is applied here."},
    {"tables",
        "Which tables are moved. A pattern is `schema.table`, where each half may hold `*` (any run of "
        "characters) and `?` (one character); a half in double quotes is taken literally. Case counts. "
        "Write patterns in quotes: to YAML a bare `*` means something else."},
    {"stream", "The retained stream between the two servers."},
    {"kafka", "Settings for librdkafka, passed through under its own names."},
    {"capture", "Reading changes from the source."},
    {"copy", "The initial copy of the rows that the source's tables hold already (docs/COPY.md)."},
    {"sequences", "Keeping the sequences of the side that does not own the data ahead (docs/SEQUENCES.md)."},
    {"apply", "Writing changes to the target."},
    {"reverse", "The way back, from the target to the source (docs/WAY-BACK.md)."},
    {"canary", "The messages that prove the way in both directions."},
    {"ddl", "DDL of the source, at its place among the changes (docs/DDL.md)."},
    {"verify", "Comparing both sides row by row (docs/RECONCILE.md)."},
    {"invariants", "What must hold of your data, in SQL: `switchback verify` evaluates it on both sides as "
                   "of one and the "
                   "same commit (docs/RECONCILE.md). Names without a schema are looked up in `public`."},
    {"repair", "Making rows equal that are proven to differ (docs/RECONCILE.md)."},
    {"reconcile", "The stage that keeps on proving that both sides are equal (docs/RECONCILE.md)."},
    {"http", "The read-only HTTP server of `switchback run`: metrics, health and status."},
    {"log", "The log on standard error."},
};
const size_t sb_sections_count = sizeof sb_sections / sizeof *sb_sections;

#define SIDE_PASSWORD_HELP                                                                                   \
    "The password, as `${NAME}` of an environment variable and nothing else: a password does not belong "    \
    "into "                                                                                                  \
    "this file."
#define SIDE_PASSWORD_FILE_HELP                                                                              \
    "A file that holds the password and nothing else. It must belong to the user who runs switchback and "   \
    "have mode 0600."

const struct sb_option sb_options[] = {
    {.path = "migration",
        .type = SB_OPTION_NAME,
        .field = FIELD(migration),
        .example = "shop",
        .required = true,
        .help =
            "The name of this migration: a lower-case letter, then up to 30 lower-case letters, digits or "
            "`_`. It is part of the names of everything switchback makes on the servers and in Kafka, so it "
            "cannot be changed once `switchback prepare` has run."},
    {.path = "state_dir",
        .type = SB_OPTION_PATH,
        .field = FIELD(state_dir),
        .help = "The directory for the embedded stream, the metrics page and the control socket; "
                "`/var/lib/switchback/<migration>` if it is not given. It must belong to the user who runs "
                "switchback, and each migration needs its own."},
    {.path = "insecure",
        .type = SB_OPTION_BOOL,
        .field = FIELD(insecure),
        .value = "false",
        .help = "Allow connections to other machines whose server is not verified (`sslmode` below "
                "`verify-full`). For trials only; `switchback status` shows it for ever."},

    {.path = "source.dsn",
        .type = SB_OPTION_DSN,
        .field = FIELD(source),
        .example = "host=old.example.org dbname=shop user=switchback",
        .required = true,
        .help =
            "The connection string of the source, in either of libpq's forms. No password in it, unless it "
            "comes from `${NAME}`; no `options`, `service`, `passfile` or `replication`. To another machine "
            "`sslmode` is `verify-full` unless the string says otherwise, which needs `insecure: true`. "
            "Point it at the server itself, not at a pooler."},
    {.path = "source.password",
        .type = SB_OPTION_SECRET,
        .field = FIELD(source.password),
        .example = "${SOURCE_PASSWORD}",
        .secret = true,
        .help = SIDE_PASSWORD_HELP},
    {.path = "source.password_file",
        .type = SB_OPTION_SECRET_FILE,
        .field = FIELD(source.password_file),
        .example = "source.password",
        .help = SIDE_PASSWORD_FILE_HELP},

    {.path = "target.dsn",
        .type = SB_OPTION_DSN,
        .field = FIELD(target),
        .example = "host=new.example.org dbname=shop user=switchback",
        .required = true,
        .help = "The connection string of the target; the rules of `source.dsn` hold."},
    {.path = "target.password",
        .type = SB_OPTION_SECRET,
        .field = FIELD(target.password),
        .example = "${TARGET_PASSWORD}",
        .secret = true,
        .help = SIDE_PASSWORD_HELP},
    {.path = "target.password_file",
        .type = SB_OPTION_SECRET_FILE,
        .field = FIELD(target.password_file),
        .example = "target.password",
        .help = SIDE_PASSWORD_FILE_HELP},

    {.path = "tables.include",
        .type = SB_OPTION_PATTERNS,
        .field = FIELD(tables.include),
        .value = "*.*",
        .min = 1,
        .max = 1000,
        .help = "Patterns of the tables to move. The system's own schemas and switchback's never match."},
    {.path = "tables.exclude",
        .type = SB_OPTION_PATTERNS,
        .field = FIELD(tables.exclude),
        .value = "",
        .min = 0,
        .max = 1000,
        .help = "Patterns of tables to leave out of those that `tables.include` matches."},

    {.path = "stream.store",
        .type = SB_OPTION_CHOICE,
        .field = FIELD(stream.store),
        .value = "embedded",
        .choices = stores,
        .help = "Where the stream is kept: `embedded` is an SQLite file on this machine, `kafka` the topics "
                "`<migration>.forward` and `<migration>.control` of a Kafka cluster."},
    {.path = "stream.path",
        .type = SB_OPTION_PATH,
        .field = FIELD(stream.path),
        .example = "/srv/switchback/shop.db",
        .help =
            "The file of the embedded store; `<state_dir>/<direction>.db` if it is not given. The reverse "
            "direction adds `.reverse` to it."},
    {.path = "stream.retention_hours",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(stream.retention_hours),
        .value = "168",
        .min = 0,
        .max = 87600,
        .unit = "h",
        .help = "How long the embedded store keeps records that are applied. A record that is not applied is "
                "never deleted. With Kafka the topic's own retention rules."},
    {.path = "stream.retention_max_bytes",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(stream.retention_max_bytes),
        .value = "21474836480",
        .min = MIB,
        .max = 1024 * TIB,
        .unit = "bytes",
        .help = "How large the embedded store may get. Applied records are deleted first, oldest first; when "
                "what is left is not applied yet, capture waits and the source keeps its WAL."},
    {.path = "stream.queue_max_bytes",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(stream.queue_max_bytes),
        .value = "33554432",
        .min = MIB,
        .max = GIB,
        .unit = "bytes",
        .help =
            "Memory for records that the store has not acknowledged yet. When it is full, capture reads no "
            "further."},

    {.path = "kafka",
        .type = SB_OPTION_PAIRS,
        .field = FIELD(kafka),
        .min = 0,
        .max = 256,
        .help =
            "Any setting of librdkafka under its own name, such as `bootstrap.servers`, which `stream.store: "
            "kafka` needs. Settings that the safety of the stream rests on are switchback's, and a "
            "conflicting value is refused (SB-STREAM-CONFIG). Values of settings that hold a secret, such "
            "as `sasl.password`, are written as `${NAME}`, or the name gets `_file` behind it and the value "
            "is a file of mode 0600: `sasl.password_file`."},

    {.path = "capture.ack",
        .type = SB_OPTION_CHOICE,
        .field = FIELD(capture.ack),
        .value = "target",
        .choices = acks,
        .help =
            "When the source may forget a change: `target`, once the target has committed and flushed it, "
            "so that losing the whole stream loses nothing; `stream`, once the stream has acknowledged it, "
            "so that the source keeps less WAL."},
    {.path = "capture.heartbeat_interval_ms",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(capture.heartbeat_interval_ms),
        .value = "10000",
        .min = 50,
        .max = 3600000,
        .unit = "ms",
        .help = "How often a small message of ours is written to the source's WAL while nothing else is "
                "captured, so that the slot moves on an idle database."},
    {.path = "capture.feedback_interval_ms",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(capture.feedback_interval_ms),
        .value = "1000",
        .min = 10,
        .max = 20000,
        .unit = "ms",
        .help = "How often the position that the source may forget is confirmed to it."},
    {.path = "capture.slot_create_timeout_s",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(capture.slot_create_timeout_s),
        .value = "60",
        .min = 1,
        .max = 86400,
        .unit = "s",
        .help = "How long `switchback prepare` waits for the replication slot, which waits for every "
                "transaction that runs on the source. After it, the transactions in the way are named."},

    {.path = "copy.initial",
        .type = SB_OPTION_BOOL,
        .field = FIELD(copy.initial),
        .value = "true",
        .help = "Whether `switchback prepare` plans an initial copy: the rows of all tables are then copied "
                "to the target, whose tables must be empty, while the stream already runs, and apply begins "
                "when they are there. Without it the target must hold what the source held when the slot was "
                "made. It is decided by `prepare` and not changed afterwards."},
    {.path = "copy.schema",
        .type = SB_OPTION_CHOICE,
        .field = FIELD(copy.schema),
        .value = "auto",
        .choices = schemas,
        .help =
            "What to do about a target that has none of the tables yet: `auto` has the initial copy make "
            "them, "
            "and everything that belongs to them, with `pg_dump` and `pg_restore`; `off` wants them made "
            "beforehand. A target that has all of them is left as it is. It is decided by `prepare` and not "
            "changed afterwards."},
    {.path = "copy.pg_bin",
        .type = SB_OPTION_PATH,
        .field = FIELD(copy.pg_bin),
        .example = "/usr/lib/postgresql/18/bin",
        .help = "The directory with the `pg_dump` and `pg_restore` that read the structure, of the source's "
                "major "
                "version or a later one. Where it is not given they are looked for in PATH, then the newest "
                "below `/usr/lib/postgresql` are taken."},
    {.path = "copy.jobs",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(copy.jobs),
        .value = "4",
        .min = 1,
        .max = 64,
        .unit = "jobs",
        .help =
            "How many chunks are copied, and then indexes built, at the same time; each takes one session on "
            "either server."},
    {.path = "copy.chunk_rows",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(copy.chunk_rows),
        .value = "200000",
        .min = 1,
        .max = INT64_C(1000000000),
        .unit = "rows",
        .help = "About how many rows a chunk has: a range of keys that is copied under one snapshot, in one "
                "transaction, and is not copied again after a crash. Tables without a key that can be cut "
                "into ranges are one chunk."},
    {.path = "copy.max_rate_bytes_s",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(copy.max_rate_bytes_s),
        .value = "0",
        .min = 0,
        .max = TIB,
        .unit = "bytes/s",
        .help =
            "The most the initial copy reads from the source in a second, all sessions together; 0 for as "
            "much as it can."},

    {.path = "sequences.keep_ahead",
        .type = SB_OPTION_BOOL,
        .field = FIELD(sequences.keep_ahead),
        .value = "true",
        .help =
            "Whether `switchback run` moves the sequences of the side that does not own the data, so that "
            "they are ahead of the owner's and can be used at once when it takes over."},
    {.path = "sequences.margin_s",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(sequences.margin_s),
        .value = "300",
        .min = 1,
        .max = 86400,
        .unit = "s",
        .help =
            "How far ahead, as time: the values that are used in so many seconds at the highest rate that "
            "was measured lately."},
    {.path = "sequences.least_values",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(sequences.least_values),
        .value = "100000",
        .min = 1,
        .max = INT64_C(1000000000000),
        .unit = "values",
        .help =
            "How far ahead at least, whatever the rate: more than one statement may use between two looks. "
            "Near the end of what a sequence can count it is less."},
    {.path = "sequences.interval_ms",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(sequences.interval_ms),
        .value = "2000",
        .min = 100,
        .max = 60000,
        .unit = "ms",
        .help = "How often both sides are looked at; each time takes a session on either for a moment."},

    {.path = "apply.batch_max_rows",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(apply.batch_max_rows),
        .value = "50000",
        .min = 1,
        .max = 1000000,
        .unit = "rows",
        .help = "Consecutive source transactions are written in one target transaction up to this many "
                "changes. A transaction that is larger by itself is written as it arrives."},
    {.path = "apply.batch_max_bytes",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(apply.batch_max_bytes),
        .value = "8388608",
        .min = 64 * KIB,
        .max = 256 * MIB,
        .unit = "bytes",
        .help = "The same bound by size; it is also the memory that apply needs for changes."},
    {.path = "apply.batch_max_ms",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(apply.batch_max_ms),
        .value = "500",
        .min = 1,
        .max = 60000,
        .unit = "ms",
        .help = "The longest a batch collects changes while more of them are there. When nothing more is "
                "there, it is written at once."},
    {.path = "apply.mode",
        .type = SB_OPTION_CHOICE,
        .field = FIELD(apply.mode),
        .value = "auto",
        .choices = modes,
        .help =
            "`auto` writes the net effect of a batch in sets and goes change by change only where that is "
            "needed; `exact` always goes change by change, which is slower."},
    {.path = "apply.conflict",
        .type = SB_OPTION_CHOICE,
        .field = FIELD(apply.conflict),
        .value = "hold",
        .choices = conflicts,
        .help =
            "What to do with a row on the target that is not what the stream expects: `hold` stops there "
            "until an operator decides, `owner` lets the source's version win. Either way it is counted and "
            "recorded with both versions; `switchback conflicts list` shows them."},
    {.path = "apply.open_transaction_idle_max_s",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(apply.open_transaction_idle_max_s),
        .value = "60",
        .min = 1,
        .max = 86400,
        .unit = "s",
        .help =
            "A large transaction that is being written as it arrives is rolled back, and begun again later, "
            "when nothing more of it has come for so long."},
    {.path = "apply.lock_timeout_ms",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(apply.lock_timeout_ms),
        .value = "10000",
        .min = 10,
        .max = 3600000,
        .unit = "ms",
        .help =
            "How long a write waits for a lock that somebody else holds on the target, before it is rolled "
            "back and tried again."},
    {.path = "apply.repair_ring_max_bytes",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(apply.repair_ring_max_bytes),
        .value = "67108864",
        .min = 64 * KIB,
        .max = 16 * GIB,
        .unit = "bytes",
        .help =
            "Memory for the keys that passed through apply while somebody repairs; without a repair none is "
            "taken. A key takes about 56 bytes. Rows of a repair that were read before what is remembered "
            "are left out and read again (skipped_ring)."},

    {.path = "reverse.enabled",
        .type = SB_OPTION_BOOL,
        .field = FIELD(reverse.enabled),
        .value = "true",
        .help =
            "Whether `switchback run` arms the way back once the new side is whole: changes of the new side "
            "are then captured, too, and writes that nobody but us should make there are found. Nothing "
            "of them is written to the old side while it owns the data."},

    {.path = "canary.interval_s",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(canary.interval_s),
        .value = "3",
        .min = 1,
        .max = 3600,
        .unit = "s",
        .help =
            "How often a small message of ours is sent through each direction while `reverse.enabled`, to "
            "prove that it arrives and that the way back leaves out what is ours."},
    {.path = "ddl.policy",
        .type = SB_OPTION_CHOICE,
        .field = FIELD(ddl.policy),
        .value = "apply",
        .choices = ddl_policies,
        .help =
            "What becomes of DDL that the source ran on tables of the migration (docs/DDL.md): `apply`, what "
            "only adds and is safe is run on the target at its place in the stream, everything else is "
            "held until an operator decides; `hold`, everything is held; `ignore`, nothing is run or held, "
            "and `switchback prepare` makes no event triggers. A row that the target's table cannot take "
            "stops apply in any case."},
    {.path = "verify.accept",
        .type = SB_OPTION_RULES,
        .field = FIELD(verify.accept),
        .value = "",
        .min = 0,
        .max = 1000,
        .help = "Differences that are none to you, a rule for a column each: `\"public.orders total: "
                "numeric-scale\"`. A pattern of tables, a column, and one of `numeric-scale` (1.0 is 1.00), "
                "`char-padding` (spaces at the end), `timestamp-digits N` (0 to 5 decimals of a second, "
                "rounded), "
                "`json-order` (order of members, blanks), `float-tolerance X` (relative). What a rule let "
                "pass is "
                "counted and reported (docs/RECONCILE.md)."},
    {.path = "verify.chunk_rows",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(verify.chunk_rows),
        .value = "100000",
        .min = 1,
        .max = INT64_C(1000000000),
        .unit = "rows",
        .help = "About how many rows `switchback verify` reads under one snapshot, where a table's key can "
                "be cut "
                "into ranges."},
    {.path = "verify.memory_max_bytes",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(verify.memory_max_bytes),
        .value = "67108864",
        .min = 64 * KIB,
        .max = TIB,
        .unit = "bytes",
        .help =
            "Memory for rows that one side has given and the other has not yet. What does not fit is read in "
            "more than one pass."},
    {.path = "verify.window_max_bytes",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(verify.window_max_bytes),
        .value = "268435456",
        .min = 64 * KIB,
        .max = TIB,
        .unit = "bytes",
        .help =
            "Memory for the keys that the stream touches while a chunk is read, and that the target has not "
            "applied yet. A target that is far behind needs more, or `switchback verify` ends with "
            "SB-LIMIT."},
    {.path = "verify.stream_wait_s",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(verify.stream_wait_s),
        .value = "60",
        .min = 1,
        .max = 86400,
        .unit = "s",
        .help = "How long `switchback verify` waits for capture to have stored what the source had committed "
                "when a "
                "chunk was read. Nothing is locked meanwhile."},
    {.path = "verify.xmin_age_max_s",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(verify.xmin_age_max_s),
        .value = "600",
        .min = 1,
        .max = 86400,
        .unit = "s",
        .help =
            "The longest that `switchback verify` holds one snapshot, which keeps vacuum from cleaning up. A "
            "table that cannot be cut into ranges and takes longer is not compared, and named."},
    {.path = "verify.sums",
        .type = SB_OPTION_BOOL,
        .field = FIELD(verify.sums),
        .value = "false",
        .help = "Let the servers sum hashes of their rows first, and read only ranges of which the sums "
                "differ. For links "
                "where bandwidth is scarce: the servers work more, and little crosses the network."},
    {.path = "repair.max_rows",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(repair.max_rows),
        .value = "10000",
        .min = 1,
        .max = INT64_C(10000000),
        .unit = "rows",
        .help = "The most rows that one `switchback repair run` writes or deletes. A plan of more is "
                "refused: so many "
                "differences have a cause that is to be found first."},
    {.path = "repair.max_deletes",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(repair.max_deletes),
        .value = "1000",
        .min = 0,
        .max = INT64_C(10000000),
        .unit = "deletes",
        .help = "The most rows of the target that one repair deletes, within `repair.max_rows`."},
    {.path = "repair.table_share_max_percent",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(repair.table_share_max_percent),
        .value = "10",
        .min = 1,
        .max = 100,
        .unit = "percent",
        .help =
            "The largest share of a table's rows that one repair touches, counted once there are more than "
            "`repair.pattern_min_rows` of them."},
    {.path = "repair.pattern_min_rows",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(repair.pattern_min_rows),
        .value = "100",
        .min = 1,
        .max = INT64_C(10000000),
        .unit = "rows",
        .help = "From so many differences of one table on it is asked whether most of them have one cause: "
                "the same "
                "column, the same kind, the same transaction. If so, a repair is refused unless "
                "`--despite-pattern` "
                "says otherwise."},
    {.path = "repair.batch_max_rows",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(repair.batch_max_rows),
        .value = "1000",
        .min = 1,
        .max = 1000,
        .unit = "rows",
        .help = "How many rows of one table go through the stream before they are compared again."},
    {.path = "repair.max_rate_rows_s",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(repair.max_rate_rows_s),
        .value = "0",
        .min = 0,
        .max = INT64_C(1000000000),
        .unit = "rows/s",
        .help = "The pace of a repair; 0 for as fast as apply takes it."},
    {.path = "repair.apply_wait_s",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(repair.apply_wait_s),
        .value = "60",
        .min = 1,
        .max = 86400,
        .unit = "s",
        .help = "How long a repair waits for apply while it does not get on, before it stops."},

    {.path = "invariants.same",
        .type = SB_OPTION_QUERIES,
        .field = FIELD(invariants.same),
        .max = 100,
        .help =
            "Queries, each under a name of yours, that must give the same rows on both sides, in any order."},
    {.path = "invariants.none",
        .type = SB_OPTION_QUERIES,
        .field = FIELD(invariants.none),
        .max = 100,
        .help = "Queries, each under a name of yours, that must give no row on either side."},
    {.path = "invariants.statement_timeout_s",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(invariants.statement_timeout_s),
        .value = "300",
        .min = 1,
        .max = 86400,
        .unit = "s",
        .help = "The longest that a query may take; one that takes longer was not evaluated, and is named."},
    {.path = "invariants.hold_max_s",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(invariants.hold_max_s),
        .value = "30",
        .min = 1,
        .max = 600,
        .unit = "s",
        .help =
            "The longest that apply is held so that both sides stand at one commit. It is held for moments, "
            "not while queries run."},
    {.path = "reconcile.enabled",
        .type = SB_OPTION_BOOL,
        .field = FIELD(reconcile.enabled),
        .value = "false",
        .help =
            "Whether `switchback run` compares both sides all the time: every row once, then what changes, "
            "so that it is always known up to which commit the target is proven equal. It reads all "
            "tables on both sides under the bounds of `verify`."},
    {.path = "reconcile.pass_interval_s",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(reconcile.pass_interval_s),
        .value = "86400",
        .min = 0,
        .max = 31536000,
        .unit = "s",
        .help =
            "How often rows that no change touches are compared again, which finds what somebody else did to "
            "them on the target; 0: only once, and where changes are not known row by row."},
    {.path = "reconcile.max_rate_rows_s",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(reconcile.max_rate_rows_s),
        .value = "0",
        .min = 0,
        .max = INT64_C(1000000000),
        .unit = "rows/s",
        .help = "The most rows that passes read on each side, on average; 0: no limit."},
    {.path = "reconcile.max_rate_bytes_s",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(reconcile.max_rate_bytes_s),
        .value = "0",
        .min = 0,
        .max = TIB,
        .unit = "bytes/s",
        .help = "The most bytes that passes read on both sides together, on average; 0: no limit."},
    {.path = "reconcile.ledger_max_bytes",
        .type = SB_OPTION_NUMBER,
        .field = FIELD(reconcile.ledger_max_bytes),
        .value = "134217728",
        .min = 64 * KIB,
        .max = TIB,
        .unit = "bytes",
        .help = "Memory for keys that were changed and are not proven yet. If they do not fit, the table "
                "with the "
                "most of them is compared as a whole instead."},

    {.path = "http.listen",
        .type = SB_OPTION_LISTEN,
        .field = FIELD(http.listen),
        .value = "127.0.0.1:9187",
        .help = "Address and port, as `127.0.0.1:9187` or `[::1]:9187`; empty for no HTTP server. Nobody is "
                "asked "
                "for a password there: think before you listen on more than the loopback address."},

    {.path = "log.format",
        .type = SB_OPTION_CHOICE,
        .field = FIELD(log.format),
        .value = "logfmt",
        .choices = log_formats,
        .help = "`logfmt` for people, `json` for collectors; one line an event either way."},
    {.path = "log.level",
        .type = SB_OPTION_WORD,
        .field = FIELD(log.level),
        .value = "info",
        .choices = log_levels,
        .help = "The least severe events that are written."},
};
const size_t sb_options_count = sizeof sb_options / sizeof *sb_options;

const struct sb_option *sb_option_find(const char *path)
{
    for (size_t i = 0; i < sb_options_count; i++) {
        if (strcmp(sb_options[i].path, path) == 0)
            return &sb_options[i];
    }
    return NULL;
}

bool sb_option_is_section(const char *path)
{
    for (size_t i = 0; i < sb_sections_count; i++) {
        if (strcmp(sb_sections[i].name, path) == 0)
            return path[0] != '\0' && sb_option_find(path) == NULL;
    }
    return false;
}

/* The part behind the last dot; ret_len receives the length of what stands before it. */
static const char *last_word(const char *path, size_t *ret_len)
{
    const char *dot = strrchr(path, '.');
    *ret_len = dot == NULL ? 0 : (size_t)(dot - path);
    return dot == NULL ? path : dot + 1;
}

/* Far apart is a matter of the last word; another section counts as one letter more. */
static void nearer(const char *path, const char *candidate, const char **best, size_t *best_distance)
{
    size_t path_len, candidate_len;
    const char *word = last_word(path, &path_len), *known = last_word(candidate, &candidate_len);
    bool same = path_len == candidate_len && strncmp(path, candidate, path_len) == 0;
    size_t distance = sb_nearest_distance(word, known);
    if (distance > sb_nearest_limit(word))
        return;
    distance = 2 * distance + !same;
    if (distance < *best_distance) {
        *best_distance = distance;
        *best = candidate;
    }
}

const char *sb_option_nearest(const char *path)
{
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;
    for (size_t i = 0; i < sb_options_count; i++)
        nearer(path, sb_options[i].path, &best, &best_distance);
    for (size_t i = 1; i < sb_sections_count; i++)
        nearer(path, sb_sections[i].name, &best, &best_distance);
    return best;
}

const void *sb_option_field(const struct sb_option *option, const struct sb_config *config)
{
    return (const char *)config + option->field;
}

bool sb_option_is_list(const struct sb_option *option)
{
    return option->type == SB_OPTION_PATTERNS || option->type == SB_OPTION_RULES;
}

bool sb_option_kafka_secret(const char *name)
{
    static const char *const marks[] = {"password", "secret", "key.pem", "oauthbearer.config", "jaas"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        if (strcasestr(name, marks[i]) != NULL)
            return true;
    }
    return false;
}
