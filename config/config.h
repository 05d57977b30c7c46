/*
 * The configuration: one YAML file, one table of options (config/options.h), from which the parser, `config
 * show`, docs/CONFIGURATION.md and the annotated config/switchback.yaml are made.
 *
 * Unknown keys are errors with the nearest known name; duplicate keys are errors; units stand in names;
 * `${NAME}` in a value is taken from the environment; secrets come from files of mode 0600 or from the
 * environment. Anything under `kafka:` passes through to librdkafka. Relative paths are taken from the
 * directory of the file. All errors are SB-CONFIG, SB-SECRET-MODE or SB-INSECURE (an sslmode that does not
 * verify another machine, without `insecure: true`) as "file:line: key: reason"; an error of the file as a
 * whole has no line.
 */
#ifndef SB_CONFIG_CONFIG_H
#define SB_CONFIG_CONFIG_H

#include "core/bytes.h"
#include "core/err.h"

enum sb_config_store { SB_CONFIG_EMBEDDED, SB_CONFIG_KAFKA };
enum sb_config_ack { SB_ACK_TARGET, SB_ACK_STREAM };
enum sb_config_mode { SB_MODE_AUTO, SB_MODE_EXACT };
enum sb_config_conflict { SB_CONFLICT_OWNER, SB_CONFLICT_HOLD };
enum sb_config_ddl { SB_DDL_APPLY, SB_DDL_HOLD, SB_DDL_IGNORE };
enum sb_config_schema { SB_SCHEMA_AUTO, SB_SCHEMA_OFF };
enum sb_config_log_format { SB_CONFIG_LOGFMT, SB_CONFIG_JSON };

struct sb_config_list { /* of strings */
    size_t count;
    const char **items;
};
struct sb_config_pair {
    const char *name;
    const char *value;
};
struct sb_config_pairs {
    size_t count;
    struct sb_config_pair *items;
};

struct sb_config_side {
    const char *dsn;      /* without password */
    const char *password; /* read from password_file or ${ENV}; NULL if none; never shown */
    const char *password_file;
};

struct sb_config {
    const char *migration; /* [a-z][a-z0-9_]{0,30}: part of slot, publication, topic and origin names */
    const char *state_dir; /* stream file, metrics page, control socket; at most 2 KiB long */
    bool insecure;
    struct sb_config_side source;
    struct sb_config_side target;
    struct {
        struct sb_config_list include; /* patterns, see pg/ident.h */
        struct sb_config_list exclude;
    } tables;
    struct {
        enum sb_config_store store;
        const char *path; /* NULL: <state_dir>/<direction>.db */
        int64_t retention_hours;
        int64_t retention_max_bytes;
        int64_t queue_max_bytes;
    } stream;
    struct sb_config_pairs kafka;
    struct {
        enum sb_config_ack ack;
        int64_t heartbeat_interval_ms;
        int64_t feedback_interval_ms;
        int64_t slot_create_timeout_s;
    } capture;
    struct {
        bool initial;
        enum sb_config_schema schema;
        const char *pg_bin; /* NULL: look for it */
        int64_t jobs;
        int64_t chunk_rows;
        int64_t max_rate_bytes_s; /* 0: no limit */
    } copy;
    struct {
        bool keep_ahead;
        int64_t margin_s;
        int64_t least_values;
        int64_t interval_ms;
    } sequences;
    struct {
        int64_t batch_max_rows;
        int64_t batch_max_bytes;
        int64_t batch_max_ms;
        enum sb_config_mode mode;
        enum sb_config_conflict conflict;
        int64_t open_transaction_idle_max_s;
        int64_t lock_timeout_ms;
        int64_t repair_ring_max_bytes;
    } apply;
    struct {
        bool enabled;
    } reverse;
    struct {
        int64_t interval_s;
    } canary;
    struct {
        enum sb_config_ddl policy;
    } ddl;
    struct {
        struct sb_config_list accept; /* rules, see schemas/rule.h */
        int64_t chunk_rows;
        int64_t memory_max_bytes;
        int64_t window_max_bytes;
        int64_t stream_wait_s;
        int64_t xmin_age_max_s;
        bool sums;
    } verify;
    struct {
        struct sb_config_pairs same, none; /* a name and SQL each */
        int64_t statement_timeout_s;
        int64_t hold_max_s;
    } invariants;
    struct {
        int64_t max_rows;
        int64_t max_deletes;
        int64_t table_share_max_percent;
        int64_t pattern_min_rows;
        int64_t batch_max_rows;
        int64_t max_rate_rows_s; /* 0: no limit */
        int64_t apply_wait_s;
    } repair;
    struct {
        bool enabled;
        int64_t pass_interval_s;  /* 0: only where a pass is needed */
        int64_t max_rate_rows_s;  /* 0: no limit */
        int64_t max_rate_bytes_s; /* 0: no limit */
        int64_t ledger_max_bytes;
    } reconcile;
    struct {
        const char *listen; /* "127.0.0.1:9187"; empty: no HTTP */
    } http;
    struct {
        enum sb_config_log_format format;
        const char *level;
    } log;
};

/* Everything belongs to the returned config. */
int sb_config_load(const char *path, struct sb_config **ret_config, struct sb_err *err);
void sb_config_free(struct sb_config *config); /* wipes secrets; NULL is fine */

void sb_config_show(
    const struct sb_config *config, struct sb_buf *out); /* effective YAML, secrets as "***" */
void sb_config_show_json(const struct sb_config *config, struct sb_buf *out);
void sb_config_docs(struct sb_buf *out); /* docs/CONFIGURATION.md */
void sb_config_example(
    struct sb_buf *out); /* config/switchback.yaml, annotated; loads as it stands but for the dsns */

#endif
