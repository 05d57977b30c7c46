/* Adding a certificate up again: from its text alone, whoever wrote it. */
#include "cli/certificate.h"
#include "schemas/sha256.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_MAX_BYTES = 1024 * 1024 * 1024, REASONS_MAX = 100, DEPTH_BITS_MAX = 32 };

struct audit {
    json_t *reasons;
    const char *table; /* at work; NULL: none */
    bool rules;        /* there are some */
};

static void object(struct audit *audit, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void object(struct audit *audit, const char *fmt, ...)
{
    char text[512], whole[1024];
    va_list args;
    if (json_array_size(audit->reasons) >= REASONS_MAX)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    snprintf(whole, sizeof whole, "%s%s%s", audit->table == NULL ? "" : audit->table,
        audit->table == NULL ? "" : ": ", text);
    json_t *reason = json_string(whole);
    json_array_append_new(audit->reasons, reason != NULL ? reason : json_string("a reason that is no UTF-8"));
}

/* -- values that may be anything ------------------------------------------------------------------------- */

static int64_t number(struct audit *audit, const json_t *from, const char *name)
{
    const json_t *value = json_object_get(from, name);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        object(audit, "\"%s\" is no count", name);
    return json_integer_value(value);
}

static const char *words(struct audit *audit, const json_t *from, const char *name)
{
    const char *text = json_string_value(json_object_get(from, name));
    if (text == NULL)
        object(audit, "\"%s\" is no text", name);
    return text == NULL ? "" : text;
}

static sb_sum sum(struct audit *audit, const json_t *from, const char *name)
{
    struct sb_digest digest = {{0}};
    if (!sb_hex_decode(sb_view_str(words(audit, from, name)), digest.bytes, sizeof digest.bytes))
        object(audit, "\"%s\" is no sum", name);
    return sb_sum_of(&digest);
}

/* -- one chunk ------------------------------------------------------------------------------------------- */

/* Sides that nothing was going on in differ by what was found, and by nothing else. */
static void chunk_sums(struct audit *audit, const json_t *chunk, size_t n)
{
    int64_t rows = number(audit, chunk, "source_rows") - number(audit, chunk, "target_rows");
    int64_t found =
        number(audit, chunk, "differing_source_rows") - number(audit, chunk, "differing_target_rows");
    sb_sum apart = sum(audit, chunk, "source_sum") - sum(audit, chunk, "target_sum");
    sb_sum by_rule = sum(audit, chunk, "by_rule_sum");
    sb_sum explained =
        sum(audit, chunk, "differing_source_sum") - sum(audit, chunk, "differing_target_sum") + by_rule;
    if (number(audit, chunk, "dirty") > 0 || number(audit, chunk, "owed") > 0 ||
        number(audit, chunk, "put_off") > 0)
        return;
    if (rows != found)
        object(audit, "chunk %zu: the two sides' rows differ by %" PRId64 ", the differences by %" PRId64, n,
            rows, found);
    if (apart != explained)
        object(audit, "chunk %zu: the differences do not explain by how much the sums differ", n);
    if (by_rule != 0 && !audit->rules)
        object(audit, "chunk %zu: rows are equal by a rule, and there is none", n);
    if (number(audit, chunk, "differences") == 0 && apart != by_rule)
        object(audit, "chunk %zu: the sums differ, and no difference is recorded", n);
}

/* -- chunks cover the table ------------------------------------------------------------------------------ */

static bool same_bound(const json_t *a, const json_t *b)
{
    return json_is_null(a) ? json_is_null(b) : json_is_string(a) && json_equal(a, b);
}

/* Chunks of one range: slices that are halves of halves, in order, from the first to the last. */
struct cover {
    const json_t *lower, *upper; /* of the range at work */
    uint64_t next;               /* where its next slice begins, of 2^32 */
    bool begun;
};

static void range_end(struct audit *audit, const struct cover *cover, size_t n)
{
    if (cover->begun && cover->next != (uint64_t)1 << DEPTH_BITS_MAX)
        object(audit, "chunk %zu: its range is not covered by slices", n);
}

static void cover_take(struct audit *audit, struct cover *cover, const json_t *chunk, size_t n)
{
    const json_t *lower = json_object_get(chunk, "lower"), *upper = json_object_get(chunk, "upper");
    int64_t bits = number(audit, chunk, "bits"), slice = number(audit, chunk, "slice");
    if (bits > DEPTH_BITS_MAX || slice >= (int64_t)1 << (bits > DEPTH_BITS_MAX ? 0 : bits)) {
        object(audit, "chunk %zu: there is no such slice", n);
        return;
    }
    bool same = cover->begun && same_bound(lower, cover->lower) && same_bound(upper, cover->upper);
    if (!same || cover->next == (uint64_t)1 << DEPTH_BITS_MAX) {
        range_end(audit, cover, n);
        if (cover->begun ? json_is_null(lower) || !same_bound(lower, cover->upper) : !json_is_null(lower))
            object(audit, "chunk %zu: it does not begin where the one before it ends", n);
        *cover = (struct cover){.lower = lower, .upper = upper, .begun = true};
    }
    if ((uint64_t)slice << (DEPTH_BITS_MAX - bits) != cover->next)
        object(audit, "chunk %zu: its slice is not the next one", n);
    cover->next = ((uint64_t)slice + 1) << (DEPTH_BITS_MAX - bits);
}

static void cover_end(struct audit *audit, const struct cover *cover, size_t n)
{
    range_end(audit, cover, n);
    if (!cover->begun || !json_is_null(cover->upper))
        object(audit, "its chunks do not cover all keys");
}

/* -- one table ------------------------------------------------------------------------------------------- */

struct totals {
    int64_t source_rows, target_rows, dirty, put_off, differences;
};

static void chunks_check(struct audit *audit, const json_t *table, bool whole, struct totals *totals)
{
    const json_t *chunks = json_object_get(table, "chunks"), *chunk;
    struct cover cover = {.begun = false};
    size_t n;
    json_array_foreach(chunks, n, chunk)
    {
        chunk_sums(audit, chunk, n);
        totals->source_rows += number(audit, chunk, "source_rows");
        totals->target_rows += number(audit, chunk, "target_rows");
        totals->dirty += number(audit, chunk, "dirty");
        totals->put_off += number(audit, chunk, "put_off");
        totals->differences += number(audit, chunk, "differences");
        if (whole)
            cover_take(audit, &cover, chunk, n);
    }
    if (whole)
        cover_end(audit, &cover, json_array_size(chunks));
    if ((int64_t)json_array_size(chunks) != number(audit, table, "chunk_count"))
        object(audit, "it has not as many chunks as it says");
}

static void state_check(struct audit *audit, const json_t *table, const struct totals *totals)
{
    const char *state = words(audit, table, "state");
    int64_t differences = number(audit, table, "differences"), undecided = number(audit, table, "undecided");
    int64_t decided = number(audit, table, "by_reread") + number(audit, table, "by_stream");
    bool whole = json_is_true(json_object_get(table, "whole"));
    if (decided + undecided != totals->dirty + totals->put_off)
        object(audit, "its dirty keys are not those that were decided or left undecided");
    if (totals->differences > differences || differences - totals->differences > decided)
        object(audit, "its differences are not those of its chunks and of the keys that were decided later");
    if ((strcmp(state, "differs") == 0) != (differences > 0))
        object(audit, "it is \"%s\" with %" PRId64 " differences", state, differences);
    if (strcmp(state, "equal") == 0 && undecided > 0)
        object(audit, "it is equal with undecided keys");
    if (strcmp(state, "equal") == 0 && !whole && json_array_size(json_object_get(table, "chunks")) == 0)
        object(audit, "it is equal without a chunk that was compared");
}

static void table_check(struct audit *audit, const json_t *table)
{
    struct totals totals = {0};
    audit->table = words(audit, table, "table");
    chunks_check(audit, table, json_is_true(json_object_get(table, "whole")), &totals);
    if (totals.source_rows != number(audit, table, "source_rows") ||
        totals.target_rows != number(audit, table, "target_rows"))
        object(audit, "its rows are not those of its chunks");
    if (totals.dirty != number(audit, table, "dirty"))
        object(audit, "its dirty keys are not those of its chunks");
    state_check(audit, table, &totals);
    audit->table = NULL;
}

/* -- the whole ------------------------------------------------------------------------------------------- */

static void verdict_check(struct audit *audit, const json_t *body)
{
    const json_t *table, *invariant;
    bool different = false, open = json_array_size(json_object_get(body, "tables")) == 0;
    int64_t keys = 0;
    size_t n;
    json_array_foreach(json_object_get(body, "tables"), n, table)
    {
        const char *state = words(audit, table, "state");
        int64_t source = number(audit, table, "source_rows"), target = number(audit, table, "target_rows");
        different = different || number(audit, table, "differences") > 0;
        open = open || strcmp(state, "undecided") == 0 || strcmp(state, "not compared") == 0;
        keys += (source > target ? source : target) + number(audit, table, "by_reread") +
                number(audit, table, "by_stream");
    }
    json_array_foreach(json_object_get(body, "invariants"), n, invariant)
    {
        different = different || strcmp(words(audit, invariant, "state"), "broken") == 0;
        open = open || strcmp(words(audit, invariant, "state"), "not evaluated") == 0;
    }
    open = open || keys == 0 || words(audit, body, "why")[0] != '\0';
    const char *verdict = different ? "different" : open ? "incomplete" : "equal";
    if (strcmp(words(audit, body, "verdict"), verdict) != 0)
        object(audit, "the verdict is \"%s\", and by its tables it is \"%s\"", words(audit, body, "verdict"),
            verdict);
    if (keys != number(audit, body, "keys_compared"))
        object(audit, "the keys compared are not those of the tables");
}

static void body_check(struct audit *audit, const json_t *body)
{
    const json_t *table;
    size_t n;
    if (number(audit, body, "format") != SB_CERTIFICATE_FORMAT ||
        number(audit, body, "row_form") != SB_CERTIFICATE_ROW_FORM) {
        object(audit, "it has a format that this program does not know");
        return;
    }
    if (!json_is_array(json_object_get(body, "tables")))
        object(audit, "it has no tables");
    audit->rules = json_array_size(json_object_get(body, "rules")) > 0;
    json_array_foreach(json_object_get(body, "tables"), n, table) table_check(audit, table);
    verdict_check(audit, body);
}

/* Written again, it must be the same bytes: so no byte of it can be changed, not even one that says nothing.
 */
static void seal_check(struct audit *audit, json_t *all, json_t *body, const char *text, size_t len)
{
    char digest[SB_SHA256_TEXT_BYTES];
    char *canonical = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS), *again = sb_certificate_text(body);
    if (canonical == NULL || again == NULL || sb_sha256_text(sb_view_str(canonical), digest) == NULL)
        object(audit, "there is no memory to write it again");
    else if (strcmp(digest, words(audit, all, "sha256")) != 0)
        object(audit, "the SHA-256 of its body is %s, and it says something else", digest);
    else if (len != strlen(again) + 1 || memcmp(text, again, len - 1) != 0 || text[len - 1] != '\n')
        object(audit, "it is not as it was written");
    free(canonical);
    free(again);
}

static int file_read(const char *path, char **ret_text, size_t *ret_len, struct sb_err *err)
{
    struct stat st;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return sb_err_errno(err, SB_E_IO, "could not open \"%s\"", path);
    if (fstat(fileno(file), &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX_BYTES) {
        fclose(file);
        return sb_err_set(err, SB_E_IO, "\"%s\" is no file of at most %d bytes", path, FILE_MAX_BYTES);
    }
    char *text = malloc((size_t)st.st_size + 1);
    size_t len = text == NULL ? 0 : fread(text, 1, (size_t)st.st_size, file);
    bool failed = ferror(file) != 0;
    fclose(file);
    if (text == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory to read \"%s\"", path);
    if (failed) {
        free(text);
        return sb_err_errno(err, SB_E_IO, "could not read \"%s\"", path);
    }
    *ret_text = text;
    *ret_len = len;
    return 0;
}

int sb_certificate_check(const char *path, json_t **ret_reasons, json_t **ret_body, struct sb_err *err)
{
    char *text = NULL;
    size_t len = 0;
    json_error_t ignored;
    struct audit audit = {.table = NULL};
    if (file_read(path, &text, &len, err) != 0)
        return -1;
    audit.reasons = json_array();
    json_t *all = json_loadb(text, len, JSON_REJECT_DUPLICATES, &ignored),
           *body = json_object_get(all, "body");
    if (audit.reasons == NULL || !json_is_object(body)) {
        object(&audit, "it is no certificate: no JSON object with a body");
    } else {
        seal_check(&audit, all, body, text, len);
        body_check(&audit, body);
    }
    *ret_reasons = audit.reasons;
    *ret_body = json_incref(body);
    json_decref(all);
    free(text);
    return 0;
}
