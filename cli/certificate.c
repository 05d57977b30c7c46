#include "cli/certificate.h"

#include "core/clock.h"
#include "pg/ident.h"
#include "schemas/digest.h"
#include "schemas/sha256.h"
#include "setup/check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* -- values ---------------------------------------------------------------------------------------------- */

/* Names may be of a database whose bytes are no UTF-8: then their digits. */
static json_t *text_json(struct sb_view text)
{
    json_t *json = sb_utf8_valid(text) ? json_stringn(text.ptr, text.len) : NULL;
    if (json != NULL)
        return json;
    char *hex = malloc(text.len * 2 + 1);
    if (hex == NULL)
        return NULL;
    sb_hex_encode(text.ptr, text.len, hex);
    json = json_sprintf("\\x%s", hex);
    free(hex);
    return json;
}

static json_t *words_json(const char *text)
{
    return text == NULL ? json_null() : text_json(sb_view_str(text));
}

static json_t *lsn_json(uint64_t lsn)
{
    char text[SB_LSN_TEXT_BYTES];
    return json_string(sb_lsn_text(lsn, text));
}

static json_t *time_json(int64_t us)
{
    char text[SB_TIME_TEXT_BYTES];
    return us == 0 ? json_null() : json_string(sb_clock_text(us, text));
}

static json_t *sum_json(sb_sum sum)
{
    char text[SB_SUM_TEXT_BYTES];
    return json_string(sb_sum_text(sum, text));
}

static json_t *bound_json(bool open, struct sb_view bound)
{
    char *hex = open ? NULL : malloc(bound.len * 2 + 1);
    if (hex == NULL)
        return json_null();
    sb_hex_encode(bound.ptr, bound.len, hex);
    json_t *json = json_string(hex);
    free(hex);
    return json;
}

/* -- chunks and tables ----------------------------------------------------------------------------------- */

static json_t *chunk_json(const struct sb_chunk_record *chunk)
{
    const struct sb_key_range *range = chunk->range;
    return json_pack("{s:o, s:o, s:i, s:I, s:s, s:o, s:o, s:I, s:I, s:o, s:o, s:I, s:o, s:I, s:I, s:I, s:I, "
                     "s:I, s:o, s:o, s:o}",
        "lower", bound_json(range->lower_open, range->lower), "upper",
        bound_json(range->upper_open, range->upper), "bits", (int)chunk->bits, "slice",
        (json_int_t)chunk->slice, "snapshot", chunk->snapshot, "horizon", lsn_json(chunk->h), "applied",
        lsn_json(chunk->applied_lsn), "source_rows", (json_int_t)chunk->rows[SB_SIDE_SOURCE], "target_rows",
        (json_int_t)chunk->rows[SB_SIDE_TARGET], "source_sum", sum_json(chunk->sum[SB_SIDE_SOURCE]),
        "target_sum", sum_json(chunk->sum[SB_SIDE_TARGET]), "dirty", (json_int_t)chunk->dirty, "dirty_keys",
        sum_json(chunk->dirty_sum), "owed", (json_int_t)chunk->owed, "put_off", (json_int_t)chunk->put_off,
        "differences", (json_int_t)chunk->differences, "differing_source_rows",
        (json_int_t)chunk->differing[SB_SIDE_SOURCE], "differing_target_rows",
        (json_int_t)chunk->differing[SB_SIDE_TARGET], "differing_source_sum",
        sum_json(chunk->differing_sum[SB_SIDE_SOURCE]), "differing_target_sum",
        sum_json(chunk->differing_sum[SB_SIDE_TARGET]), "by_rule_sum", sum_json(chunk->by_rule_sum));
}

static json_t *columns_json(const struct sb_verify_table *table, bool key)
{
    json_t *list = json_array();
    size_t count = key ? table->key_count : table->column_count;
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, text_json(table->columns[key ? table->key_cols[i] : i]));
    return list;
}

static json_t *table_json(const struct sb_verify_result *result)
{
    const struct sb_verify_table *table = result->table;
    json_t *chunks = json_array();
    for (const struct sb_chunk_record *chunk = result->records; chunk != NULL; chunk = chunk->next)
        json_array_append_new(chunks, chunk_json(chunk));
    return json_pack(
        "{s:o, s:s, s:o, s:o, s:o, s:o, s:s, s:o, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}",
        "table", words_json(table->shown), "strategy", sb_strategy_name(table->strategy), "reason",
        words_json(table->reason), "columns", columns_json(table, false), "key", columns_json(table, true),
        "columns_not_compared", words_json(table->omitted), "state", sb_verify_state_name(result->state),
        "why", words_json(result->why), "whole", result->whole, "source_rows",
        (json_int_t)result->source_rows, "target_rows", (json_int_t)result->target_rows, "chunk_count",
        (json_int_t)result->chunks, "retaken", (json_int_t)result->retaken, "dirty",
        (json_int_t)result->dirty, "by_reread", (json_int_t)result->by_reread, "by_stream",
        (json_int_t)result->by_stream, "undecided", (json_int_t)result->undecided, "differences",
        (json_int_t)result->differences, "chunks", chunks);
}

/* -- what was not verified ------------------------------------------------------------------------------- */

static void not_verified_add(json_t *list, const char *what, const char *why)
{
    json_array_append_new(list, json_pack("{s:o, s:o}", "what", words_json(what), "why", words_json(why)));
}

static void tables_not_verified(const struct sb_verify_outcome *outcome, json_t *list)
{
    for (size_t i = 0; i < outcome->count; i++) {
        const struct sb_verify_result *result = &outcome->results[i];
        if (result->state == SB_TABLE_NOT_COMPARED || result->undecided > 0 || !result->whole)
            not_verified_add(list, result->table->shown,
                result->why[0] != '\0' ? result->why : "not all of it was compared, or decided");
        if (result->table->omitted[0] != '\0')
            not_verified_add(list, result->table->shown, result->table->omitted);
    }
}

/* What `check` knows of that no stream carries. */
static int objects_not_verified(
    const struct sb_config *config, enum sb_direction direction, json_t *list, struct sb_err *err)
{
    struct sb_report report;
    struct sb_arena *arena = sb_arena_new("check", SB_CHECK_ARENA_BYTES);
    if (arena == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for an arena");
    sb_report_init(&report, arena);
    int rc = sb_check_run(config, direction, &report, err);
    for (size_t i = 0; rc == 0 && i < report.count; i++) {
        const struct sb_report_row *row = &report.rows[i];
        if (strncmp(row->id, "coverage.", strlen("coverage.")) == 0 && row->result != SB_RESULT_PASS)
            not_verified_add(list, row->id, row->evidence);
    }
    sb_arena_free(arena);
    return rc;
}

/* -- the body -------------------------------------------------------------------------------------------- */

static json_t *server_json(const struct sb_verify_server *server)
{
    char system[24];
    snprintf(system, sizeof system, "%" PRIu64, server->id.system_identifier);
    return json_pack("{s:s, s:i, s:i, s:s, s:i}", "system_identifier", system, "timeline",
        (int)server->id.timeline, "database_oid", (int)server->id.database_oid, "uuid", server->id.uuid,
        "version", server->version);
}

static json_t *rules_json(const struct sb_verify_outcome *outcome)
{
    json_t *list = json_array();
    for (size_t i = 0; i < outcome->rule_count; i++)
        json_array_append_new(
            list, json_pack("{s:o, s:I, s:I}", "rule", words_json(outcome->rules[i].rule.text), "columns",
                      (json_int_t)outcome->rules[i].columns, "values", (json_int_t)outcome->rules[i].values));
    return list;
}

static json_t *invariants_json(const struct sb_invariants *invariants)
{
    json_t *list = json_array();
    for (size_t i = 0; i < invariants->count; i++) {
        const struct sb_invariant *one = &invariants->results[i];
        json_array_append_new(
            list, json_pack("{s:o, s:b, s:s, s:o, s:I, s:I, s:I}", "name", words_json(one->name), "same",
                      one->same, "state", sb_invariant_state_name(one->state), "why", words_json(one->why),
                      "source_rows", (json_int_t)one->source_rows, "target_rows",
                      (json_int_t)one->target_rows, "differing", (json_int_t)one->differing));
    }
    return list;
}

json_t *sb_certificate_self_test(const struct sb_self_test *test)
{
    if (!test->done)
        return json_null();
    return json_pack(
        "{s:I, s:I}", "planted_and_found", (json_int_t)test->planted, "columns", (json_int_t)test->columns);
}

static json_t *sample_json(const struct sb_verify_sample *sample)
{
    if (!sample->taken)
        return json_null();
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "seed", (json_int_t)sample->seed, "chunks",
        (json_int_t)sample->population, "drawn", (json_int_t)sample->drawn, "bad", (json_int_t)sample->bad,
        "bad_at_most", (json_int_t)sample->bound);
}

static json_t *body_json(const struct sb_config *config, const struct sb_verify_options *options,
    const struct sb_verify_outcome *outcome, json_t *not_verified)
{
    char stream[SB_UUID_TEXT_BYTES];
    json_t *tables = json_array();
    for (size_t i = 0; i < outcome->count; i++)
        json_array_append_new(tables, table_json(&outcome->results[i]));
    return json_pack("{s:i, s:o, s:s, s:i, s:o, s:o, s:s, s:s, s:I, s:I, s:o, s:o, s:s, s:o, s:o, s:s, s:o, "
                     "s:o, s:o, s:o, "
                     "s:I, s:I, s:o, "
                     "s:o, s:o, s:O}",
        "format", SB_CERTIFICATE_FORMAT, "self_test", sb_certificate_self_test(&outcome->self_test),
        "program", SB_VERSION, "row_form", SB_CERTIFICATE_ROW_FORM, "invariants",
        invariants_json(&outcome->invariants), "invariants_at", lsn_json(outcome->invariants.commit_lsn),
        "migration", config->migration, "direction", sb_direction_name(options->direction), "ownership_epoch",
        (json_int_t)outcome->ownership_epoch, "run", (json_int_t)outcome->run, "started",
        time_json(outcome->started_us), "ended", time_json(outcome->ended_us), "stream",
        sb_uuid_text(&outcome->stream, stream), "source", server_json(&outcome->servers[SB_SIDE_SOURCE]),
        "target", server_json(&outcome->servers[SB_SIDE_TARGET]), "verdict",
        sb_verify_verdict_name(outcome->verdict), "why", words_json(outcome->why), "pattern",
        words_json(options->pattern), "applied_lsn", lsn_json(outcome->first_applied_lsn), "applied_at",
        time_json(outcome->first_applied_us), "keys_compared",
        (json_int_t)sb_verify_total(outcome, sb_verify_keys_compared), "snapshot_ms_max",
        (json_int_t)outcome->oldest_ms, "sample", sample_json(&outcome->sample), "rules", rules_json(outcome),
        "tables", tables, "not_verified", not_verified);
}

char *sb_certificate_text(json_t *body)
{
    char digest[SB_SHA256_TEXT_BYTES];
    char *canonical = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
    if (canonical == NULL)
        return NULL;
    bool digested = sb_sha256_text(sb_view_str(canonical), digest) != NULL;
    free(canonical);
    if (!digested)
        return NULL;
    json_t *all = json_pack("{s:O, s:s}", "body", body, "sha256", digest);
    char *text = json_dumps(all, JSON_INDENT(1) | JSON_SORT_KEYS);
    json_decref(all);
    return text;
}

/* -- the file -------------------------------------------------------------------------------------------- */

int sb_certificate_open(const char *path, struct sb_certificate_file *ret_file, struct sb_err *err)
{
    *ret_file = (struct sb_certificate_file){.path = path, .fd = -1};
    int len = snprintf(ret_file->temporary, sizeof ret_file->temporary, "%s.new.%ld", path, (long)getpid());
    if (len < 0 || (size_t)len >= sizeof ret_file->temporary)
        return sb_err_set(
            err, SB_E_USAGE, "the certificate's path is longer than %zu bytes", sizeof ret_file->temporary);
    ret_file->fd = open(ret_file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (ret_file->fd < 0)
        return sb_err_errno(err, SB_E_IO, "could not create \"%s\"", ret_file->temporary);
    return 0;
}

void sb_certificate_clear(struct sb_certificate_file *file)
{
    if (file->fd < 0)
        return;
    close(file->fd);
    unlink(file->temporary);
    file->fd = -1;
}

static int write_all(int fd, struct sb_view text)
{
    while (text.len > 0) {
        ssize_t count = write(fd, text.ptr, text.len);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return -1;
        text = sb_view(text.ptr + count, text.len - (size_t)count);
    }
    return 0;
}

/* The name is durable once its folder is. */
static int folder_sync(const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash == NULL ? 1 : (int)(slash - path) + 1,
        slash == NULL ? "." : path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : fsync(fd);
    if (fd >= 0)
        close(fd);
    return rc;
}

static int text_write(struct sb_certificate_file *file, const char *text, struct sb_err *err)
{
    if (write_all(file->fd, sb_view_str(text)) != 0 || write_all(file->fd, sb_view_str("\n")) != 0 ||
        fsync(file->fd) != 0)
        return sb_err_errno(err, SB_E_IO, "could not write \"%s\"", file->temporary);
    if (rename(file->temporary, file->path) != 0)
        return sb_err_errno(err, SB_E_IO, "could not rename \"%s\" to \"%s\"", file->temporary, file->path);
    close(file->fd);
    file->fd = -1;
    return folder_sync(file->path) == 0
               ? 0
               : sb_err_errno(err, SB_E_IO, "could not sync the folder of \"%s\"", file->path);
}

int sb_certificate_write(struct sb_certificate_file *file, const struct sb_config *config,
    const struct sb_verify_options *options, const struct sb_verify_outcome *outcome, struct sb_err *err)
{
    json_t *not_verified = json_array();
    tables_not_verified(outcome, not_verified);
    int rc = objects_not_verified(config, options->direction, not_verified, err);
    json_t *body = rc == 0 ? body_json(config, options, outcome, not_verified) : NULL;
    char *text = body == NULL ? NULL : sb_certificate_text(body);
    if (rc == 0)
        rc = text == NULL ? sb_err_set(err, SB_E_NO_MEMORY, "no memory for a certificate")
                          : text_write(file, text, err);
    free(text);
    json_decref(body);
    json_decref(not_verified);
    return rc;
}
