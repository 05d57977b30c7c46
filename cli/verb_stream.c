/*
 * switchback stream show     the log's records as JSON, a line each
 * switchback stream verify   is the log whole? walks its chain and says what it proved
 *
 * Both only read, beside whoever writes and applies.
 */
#include "cli/record_json.h"
#include "cli/stream_selection.h"
#include "cli/verbs.h"
#include "config/wiring.h"
#include "core/log.h"
#include "pg/ident.h"
#include "schemas/digest.h"
#include "stream/verify.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct sb_sub sb_subs_stream[] = {
    {"show", "", "print records as JSON, a line each"},
    {"verify", "", "walk the chain from record to record and say what it proves"},
    {.name = NULL},
};

const struct sb_opt sb_opts_stream[] = {
    {"from", 0, "PLACE", NULL, "begin at this place; else at the oldest record"},
    {"to", 0, "PLACE", NULL, "end behind this place"},
    {"table", 0, "PATTERN", "show", "only changes of these tables: public.orders, app_*.*"},
    {"key", 0, "COLUMN=VALUE", "show",
        "only changes of rows with this value; several: a=1,b=2, and a\\\\,b for a,b"},
    {"limit", 0, "N", "show", "stop after so many records"},
    {"follow", 0, NULL, "show", "wait for more at the end"},
    {"json", 0, NULL, "verify", "the report as JSON"},
    {"direction", 0, "DIRECTION", NULL, "forward (the default) or reverse"},
    {.name = NULL},
};

static int open_stream(const struct sb_cli *cli, struct sb_stream **ret_stream, struct sb_err *err)
{
    const char *direction_text = sb_opts_value(cli->opts, "direction");
    enum sb_direction direction = SB_FORWARD;
    char path[SB_PATH_BYTES];
    struct sb_stream_options options;
    if (direction_text && !sb_direction_parse(direction_text, &direction))
        return sb_err_set(err, SB_E_USAGE, "\"%s\" is not a direction: forward or reverse", direction_text);
    sb_wiring_stream(cli->config, direction, path, &options);
    return sb_stream_open(&options, SB_STREAM_READ, ret_stream, err);
}

/* -- show --------------------------------------------------------------------------------------------- */

struct showing {
    const char *from, *to;
    struct sb_selection selection;
    int64_t limit; /* -1: none */
    bool follow;
};

static int show_options(struct showing *show, const struct sb_opts *opts, struct sb_err *err)
{
    const char *key = sb_opts_value(opts, "key");
    show->from = sb_opts_value(opts, "from");
    show->to = sb_opts_value(opts, "to");
    show->follow = sb_opts_flag(opts, "follow");
    show->selection.table = sb_opts_value(opts, "table");
    if (show->selection.table && !sb_pattern_valid(show->selection.table))
        return sb_err_set(
            err, SB_E_USAGE, "\"%s\" is not a pattern like public.orders or app_*.*", show->selection.table);
    if (key && sb_selection_keys(&show->selection, key, err) != 0)
        return -1;
    return sb_opts_number(opts, "limit", 0, INT64_MAX, &show->limit, err);
}

static int print_record(const struct sb_walk_record *record, struct sb_err *err)
{
    json_t *object = sb_record_json(record);
    int result = object ? json_dumpf(object, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) : -1;
    json_decref(object);
    if (result != 0)
        return sb_err_set(err, SB_E_IO, "could not print the record at offset %" PRId64, record->offset);
    putchar('\n');
    return 0;
}

/* Wakes up when the store has more, or after a second at the latest. */
static void wait_for_more(const struct sb_stream *stream)
{
    struct pollfd poll_fd = {.fd = sb_stream_fd(stream), .events = POLLIN};
    fflush(stdout);
    poll(&poll_fd, poll_fd.fd >= 0 ? 1 : 0, 1000);
}

static int show_records(
    const struct showing *show, struct sb_stream *stream, struct sb_walk *walk, struct sb_err *err)
{
    struct sb_walk_record record;
    int64_t left = show->limit;
    while (left != 0) {
        int result = sb_walk_next(walk, &record, err);
        if (result < 0)
            return -1;
        if (result == SB_STREAM_END && !show->follow)
            return 0;
        if (result == SB_STREAM_END) {
            wait_for_more(stream);
            continue;
        }
        if (show->selection.to >= 0 && record.offset >= show->selection.to)
            return 0;
        if (!sb_selection_has(&show->selection, &record))
            continue;
        if (print_record(&record, err) != 0)
            return -1;
        left -= left > 0;
    }
    return 0;
}

static int show_places(
    struct showing *show, struct sb_stream *stream, struct sb_stream_bounds *bounds, struct sb_err *err)
{
    show->selection.from = show->selection.to = -1;
    if (show->from && sb_selection_place(stream, show->from, false, &show->selection.from, err) != 0)
        return -1;
    if (show->to && sb_selection_place(stream, show->to, true, &show->selection.to, err) != 0)
        return -1;
    if (sb_stream_bounds(stream, bounds, err) != 0)
        return -1;
    if (show->selection.from < bounds->oldest)
        show->selection.from = bounds->oldest;
    if (show->selection.from > bounds->next)
        show->selection.from = bounds->next;
    return 0;
}

static int show_stream(struct showing *show, struct sb_stream *stream, struct sb_err *err)
{
    struct sb_walk *walk = NULL;
    struct sb_stream_bounds bounds;
    int result = show_places(show, stream, &bounds, err);
    if (result == 0)
        result = sb_walk_new(stream, &walk, err);
    if (result == 0)
        result = sb_walk_look(walk, show->selection.from, err);
    if (result == 0) {
        if (!show->follow)
            sb_walk_limit(walk, bounds.next);
        result = show_records(show, stream, walk, err);
    }
    sb_walk_free(walk);
    fflush(stdout);
    return result;
}

static int verb_show(const struct sb_cli *cli, struct sb_err *err)
{
    struct showing show = {.limit = -1};
    struct sb_stream *stream = NULL;
    if (show_options(&show, cli->opts, err) != 0 || open_stream(cli, &stream, err) != 0)
        return -1;
    int result = show_stream(&show, stream, err);
    sb_stream_close(stream);
    return result;
}

/* -- verify ------------------------------------------------------------------------------------------- */

static void print_break(const struct sb_verify_break *one)
{
    printf("%s: %s: %s\n", one->mended ? "WRITTEN ANEW" : "BROKEN", sb_err_id(&one->err), one->err.text);
    printf("    good up to offset %" PRId64, one->after);
    if (one->at >= 0)
        printf(", noticed at offset %" PRId64, one->at);
    if (one->mended)
        printf(
            "; what is missing was written anew by a later epoch, from offset %" PRId64 " on\n", one->resume);
    else if (one->resume >= 0)
        printf("; verified anew from the record at offset %" PRId64 ", taken as given\n", one->resume);
    else
        printf("; nothing behind it could be verified\n");
}

static void print_beginning(const struct sb_verify_report *report)
{
    if (report->from_beginning)
        printf("from the stream's first record on\n");
    else if (report->anchor >= 0)
        printf("the log does not begin at the stream's first record: the record at offset %" PRId64
               " was taken as given\n",
            report->anchor);
    else
        printf("nothing in it tells where a proof could begin: no open and no commit record\n");
}

static void print_proven(const struct sb_verify_report *report)
{
    char first[SB_LSN_TEXT_BYTES], last[SB_LSN_TEXT_BYTES], chain[SB_DIGEST_TEXT_BYTES];
    printf("proven: %" PRIu64 " transactions, %" PRIu64 " changes, %" PRIu64 " messages in %" PRIu64
           " records of %" PRIu64 " epochs (%" PRIu64 " to %" PRIu64 ")\n",
        report->transactions, report->changes, report->messages, report->records, report->epochs,
        report->first_epoch, report->last_epoch);
    if (report->first_commit_lsn != 0)
        printf("commits %s to %s, the last in epoch %" PRIu64 " at sequence %" PRIu64 "\nchain %s\n",
            sb_lsn_text(report->first_commit_lsn, first), sb_lsn_text(report->position.commit_lsn, last),
            report->position.epoch, report->position.sequence,
            sb_digest_text(&report->position.chain, chain));
    if (report->in_flight > 0)
        printf(
            "behind it: %" PRIu64 " changes of a transaction whose commit has not come\n", report->in_flight);
    if (report->dropped + report->repeated + report->abandoned > 0)
        printf("without effect: %" PRIu64 " stale or repeated records, %" PRIu64
               " transactions captured again, %" PRIu64 " cut off by a new epoch\n",
            report->dropped, report->repeated, report->abandoned);
    if (report->holes > 0)
        printf("declared holes: %" PRIu64 "\n", report->holes);
}

static bool is_whole(const struct sb_verify_report *report)
{
    return report->break_count == report->mended_count;
}

static void print_report(const struct sb_verify_report *report)
{
    printf("offsets %" PRId64 " to %" PRId64 "\n", report->oldest, report->next - 1);
    print_beginning(report);
    print_proven(report);
    for (size_t i = 0; i < report->break_count && i < SB_VERIFY_BREAKS_MAX; i++)
        print_break(&report->breaks[i]);
    if (report->break_count >= SB_VERIFY_BREAKS_MAX)
        printf("and perhaps more: verifying stopped at %d breaks\n", (int)SB_VERIFY_BREAKS_MAX);
    printf("%s\n", is_whole(report) ? "WHOLE" : "NOT WHOLE");
}

static json_t *break_json(const struct sb_verify_break *one)
{
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:b}", "error", sb_err_id(&one->err), "text", one->err.text,
        "after", (json_int_t)one->after, "at", (json_int_t)one->at, "resume", (json_int_t)one->resume,
        "mended", one->mended);
}

static json_t *report_json(const struct sb_verify_report *report)
{
    char first[SB_LSN_TEXT_BYTES], last[SB_LSN_TEXT_BYTES], chain[SB_DIGEST_TEXT_BYTES];
    json_t *breaks = json_array();
    for (size_t i = 0; i < report->break_count && i < SB_VERIFY_BREAKS_MAX; i++)
        json_array_append_new(breaks, break_json(&report->breaks[i]));
    json_t *object = json_pack("{s:b, s:I, s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "whole",
        is_whole(report), "oldest", (json_int_t)report->oldest, "next", (json_int_t)report->next,
        "from_beginning", report->from_beginning, "anchor", (json_int_t)report->anchor, "records",
        (json_int_t)report->records, "transactions", (json_int_t)report->transactions, "changes",
        (json_int_t)report->changes, "messages", (json_int_t)report->messages, "schemas",
        (json_int_t)report->schemas, "epochs", (json_int_t)report->epochs);
    json_t *more = json_pack("{s:I, s:I, s:s, s:s, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:o}",
        "first_epoch", (json_int_t)report->first_epoch, "last_epoch", (json_int_t)report->last_epoch,
        "first_commit_lsn", sb_lsn_text(report->first_commit_lsn, first), "last_commit_lsn",
        sb_lsn_text(report->position.commit_lsn, last), "last_commit_epoch",
        (json_int_t)report->position.epoch, "last_commit_sequence", (json_int_t)report->position.sequence,
        "chain", sb_digest_text(&report->position.chain, chain), "in_flight", (json_int_t)report->in_flight,
        "dropped", (json_int_t)report->dropped, "repeated", (json_int_t)report->repeated, "abandoned",
        (json_int_t)report->abandoned, "holes", (json_int_t)report->holes, "breaks", breaks);
    if (object && more)
        json_object_update_new(object, more);
    return object;
}

static int print_answer(const struct sb_verify_report *report, bool json, struct sb_err *err)
{
    if (!json) {
        print_report(report);
        return 0;
    }
    json_t *object = report_json(report);
    int result = object ? json_dumpf(object, stdout, JSON_INDENT(2)) : -1;
    json_decref(object);
    putchar('\n');
    return result == 0 ? 0 : sb_err_set(err, SB_E_IO, "could not print the report");
}

static int verify_stream(
    const struct sb_cli *cli, struct sb_stream *stream, struct sb_verify_report *report, struct sb_err *err)
{
    const char *from_text = sb_opts_value(cli->opts, "from"), *to_text = sb_opts_value(cli->opts, "to");
    int64_t from = -1, to = -1;
    if ((from_text && sb_selection_place(stream, from_text, false, &from, err) != 0) ||
        (to_text && sb_selection_place(stream, to_text, true, &to, err) != 0) ||
        sb_verify(stream, from, to, report, err) != 0 || print_answer(report, cli->json, err) != 0)
        return -1;
    return is_whole(report) ? 0 : 1;
}

static int verb_verify(const struct sb_cli *cli, struct sb_err *err)
{
    struct sb_stream *stream = NULL;
    if (open_stream(cli, &stream, err) != 0)
        return -1;
    struct sb_verify_report *report = calloc(1, sizeof *report); /* hundreds of KiB */
    int result = report ? verify_stream(cli, stream, report, err)
                        : sb_err_set(err, SB_E_NO_MEMORY, "no memory for the report");
    free(report);
    sb_stream_close(stream);
    return result;
}

int sb_verb_stream(const struct sb_cli *cli, struct sb_err *err)
{
    return strcmp(cli->sub, "show") == 0 ? verb_show(cli, err) : verb_verify(cli, err);
}
