#include "apply/truncate.h"

#include "apply/sql.h"

static int run(struct sb_writer *writer, const struct sb_buf *sql, struct sb_err *err)
{
    int64_t rows;
    return sb_writer_one(writer, sb_sql_view(sql), NULL, 0, &rows, err);
}

int sb_truncate_write(struct sb_writer *writer, const struct sb_batch_change *change, struct sb_err *err)
{
    struct sb_buf sql SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&sql, SB_SQL_MAX_BYTES);
    if (change->cuts == NULL) {
        sb_sql_truncate(change->truncated_rels, change->chg.truncated_count, change->chg.cascade,
            change->chg.restart_identity, &sql);
        return run(writer, &sql, err);
    }
    for (uint16_t i = 0; i < change->chg.truncated_count; i++) {
        const struct sb_batch_cut *cut = &change->cuts[i];
        for (size_t r = 0; r < cut->stamp.count; r++) {
            sb_buf_reset(&sql);
            sb_sql_cut(cut, r, &sql);
            if (run(writer, &sql, err) != 0)
                return -1;
        }
    }
    return 0;
}
