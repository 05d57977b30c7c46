#include "reconcile/scan.h"

#include "reconcile/accept.h"
#include "schemas/digest.h"
#include "schemas/rowform.h"

#include <stdlib.h>
#include <string.h>

enum {
    KEY_MAX_BYTES = 64 * 1024 * 1024,
    ASIDE_MAX_BYTES = 64 * 1024,
    LINES_MAX_BYTES = 4 * 1024 * 1024,
};

struct sb_scan {
    const struct sb_verify_table *table;
    struct sb_scan_slice slice;
    struct sb_tally *lines; /* rows as they came, until they meet one that is the same */
    struct sb_tally *rows;
    struct sb_scan_count count;
    int64_t accepted[SB_COLS_MAX]; /* by rules, of each column */
    /* the row at work */
    struct sb_buf key, value, aside, line;
    struct sb_value values[SB_COLS_MAX];
    struct sb_digest fields[SB_COLS_MAX];
};

/* -- life ------------------------------------------------------------------------------------------------ */

/* Rows that are equal by a rule. */
static void met(void *arg, struct sb_view one, struct sb_view other)
{
    struct sb_scan *scan = arg;
    sb_accept_met(scan->table, one, other, scan->accepted);
}

struct sb_scan *sb_scan_new(size_t max_bytes)
{
    size_t lines_max = max_bytes / 4 < LINES_MAX_BYTES ? max_bytes / 4 : LINES_MAX_BYTES;
    struct sb_scan *scan = calloc(1, sizeof *scan);
    if (scan == NULL)
        return NULL;
    sb_buf_init(&scan->key, KEY_MAX_BYTES);
    sb_buf_init(&scan->value, SB_VERIFY_VALUE_MAX_BYTES);
    sb_buf_init(&scan->aside, ASIDE_MAX_BYTES);
    sb_buf_init(&scan->line, lines_max);
    scan->lines = sb_tally_new(lines_max);
    scan->rows = sb_tally_new(max_bytes - lines_max);
    if (scan->lines == NULL || scan->rows == NULL) {
        sb_scan_free(scan);
        return NULL;
    }
    sb_tally_watch(scan->rows, met, scan);
    return scan;
}

void sb_scan_free(struct sb_scan *scan)
{
    if (scan == NULL)
        return;
    sb_tally_free(scan->lines);
    sb_tally_free(scan->rows);
    sb_buf_clear(&scan->key);
    sb_buf_clear(&scan->value);
    sb_buf_clear(&scan->aside);
    sb_buf_clear(&scan->line);
    free(scan);
}

void sb_scan_begin(
    struct sb_scan *scan, const struct sb_verify_table *table, const struct sb_scan_slice *slice)
{
    scan->table = table;
    scan->slice = *slice;
    scan->count = (struct sb_scan_count){.rows = {0, 0}};
    memset(scan->accepted, 0, sizeof scan->accepted);
    sb_tally_reset(scan->lines);
    sb_tally_reset(scan->rows);
}

const struct sb_scan_count *sb_scan_count(const struct sb_scan *scan)
{
    return &scan->count;
}

sb_sum sb_scan_met_sum(const struct sb_scan *scan)
{
    return sb_tally_met_sum(scan->rows);
}

void sb_scan_accept(struct sb_scan *scan)
{
    sb_accept_add(scan->table, scan->accepted);
}

size_t sb_scan_peak_bytes(const struct sb_scan *scan)
{
    return sb_tally_peak_bytes(scan->rows) + sb_tally_peak_bytes(scan->lines);
}

bool sb_scan_slice_has(const struct sb_scan_slice *slice, const struct sb_digest *key)
{
    if (slice->bits == 0)
        return true;
    uint32_t high = (uint32_t)key->bytes[15] << 24 | (uint32_t)key->bytes[14] << 16 |
                    (uint32_t)key->bytes[13] << 8 | key->bytes[12];
    return high >> (32 - slice->bits) == slice->number;
}

/* -- a row ----------------------------------------------------------------------------------------------- */

int sb_scan_split(
    struct sb_scan *scan, char *line, size_t len, struct sb_scan_row *ret_row, struct sb_err *err)
{
    const struct sb_verify_table *table = scan->table;
    if (!sb_rowform_split(line, len, scan->values, table->column_count))
        return sb_err_set(
            err, SB_E_PROTOCOL, "table %s: a row has not the form it must have", table->relation);
    for (uint16_t i = 0; i < table->column_count; i++)
        scan->fields[i] = sb_verify_field(table, i, &scan->values[i], &scan->value);
    sb_buf_reset(&scan->aside);
    sb_accept_put(table, scan->values, &scan->aside);
    sb_buf_reset(&scan->key);
    bool keyed = table->key_count > 0 &&
                 sb_rowform_put_key(scan->values, table->key_cols, table->key_count, &scan->key);
    if (keyed && scan->key.failed)
        return sb_err_set(
            err, SB_E_LIMIT, "table %s: a key is larger than %d bytes", table->relation, KEY_MAX_BYTES);
    ret_row->row = sb_rowform_row(scan->fields, table->column_count);
    ret_row->key_bytes = keyed ? sb_buf_view(&scan->key) : sb_view(NULL, 0);
    ret_row->key = keyed ? sb_hash128(ret_row->key_bytes) : ret_row->row;
    ret_row->aside = sb_buf_view(&scan->aside);
    ret_row->fields = scan->fields;
    return 0;
}

static int no_memory(struct sb_err *err)
{
    return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the rows that are compared");
}

static int answer(int rc, struct sb_err *err)
{
    if (rc == SB_TALLY_FULL)
        return SB_SCAN_FULL;
    return rc == 0 ? 0 : no_memory(err);
}

static void count(struct sb_scan *scan, const struct sb_digest *line, int by)
{
    enum sb_side side = by > 0 ? SB_SIDE_SOURCE : SB_SIDE_TARGET;
    scan->count.rows[side]++;
    scan->count.sums[side] += sb_sum_of(line);
}

/* by: as the tally's. digest: of the line as it came. */
static int take(
    struct sb_scan *scan, char *line, size_t len, const struct sb_digest *digest, int by, struct sb_err *err)
{
    struct sb_scan_row row;
    if (sb_scan_split(scan, line, len, &row, err) != 0)
        return -1;
    if (!sb_scan_slice_has(&scan->slice, &row.key))
        return 0;
    if (scan->slice.bits > 0)
        count(scan, digest, by);
    return answer(
        sb_tally_add_line(scan->rows, &row.key, &row.row, row.key_bytes, row.aside, digest, by), err);
}

/* -- lines ----------------------------------------------------------------------------------------------- */

struct settling {
    struct sb_scan *scan;
    struct sb_err *err;
    bool failed; /* and err says how */
};

static int line_settle(void *arg, const struct sb_tally_rest *rest)
{
    struct settling *settling = arg;
    struct sb_buf *line = &settling->scan->line;
    int64_t rows = rest->truth + rest->follower;
    int rc = 0;
    for (int64_t i = 0; rc == 0 && i < rows; i++) {
        sb_buf_reset(line); /* splitting it changes it */
        sb_buf_put_view(line, rest->key_bytes);
        rc = line->failed ? no_memory(settling->err)
                          : take(settling->scan, line->ptr, line->len, &rest->key, rest->truth > 0 ? 1 : -1,
                                settling->err);
    }
    settling->failed = rc < 0;
    return rc;
}

int sb_scan_settle(struct sb_scan *scan, struct sb_err *err)
{
    struct settling settling = {.scan = scan, .err = err};
    int rc = sb_tally_each(scan->lines, line_settle, &settling);
    sb_tally_reset(scan->lines);
    return rc < 0 && !settling.failed ? no_memory(err) : rc;
}

int sb_scan_line(struct sb_scan *scan, enum sb_side side, char *line, size_t len, struct sb_err *err)
{
    int by = side == SB_SIDE_SOURCE ? 1 : -1;
    const struct sb_view whole = sb_view(line, len);
    struct sb_digest digest = sb_hash128(whole);
    if (scan->slice.bits > 0)
        return take(scan, line, len, &digest, by, err);
    count(scan, &digest, by);
    int rc = sb_tally_add(scan->lines, &digest, &digest, whole, by);
    if (rc == SB_TALLY_FULL) {
        rc = sb_scan_settle(scan, err);
        if (rc != 0)
            return rc;
        rc = sb_tally_add(scan->lines, &digest, &digest, whole, by);
    }
    if (rc == SB_TALLY_FULL) /* larger than all the room there is */
        return take(scan, line, len, &digest, by, err);
    return answer(rc, err);
}

/* -- what is left ---------------------------------------------------------------------------------------- */

int sb_scan_owe(struct sb_scan *scan, const struct sb_digest *row, int by, struct sb_err *err)
{
    return answer(sb_tally_add(scan->rows, row, row, sb_view(NULL, 0), by), err);
}

int sb_scan_each(const struct sb_scan *scan, sb_tally_fn *fn, void *arg)
{
    return sb_tally_each(scan->rows, fn, arg);
}
