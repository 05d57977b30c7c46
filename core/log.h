/*
 * The log: one line an event on stderr, logfmt or JSON, fields typed.
 *
 *     SB_INFO("capture follows", SB_LSN("lsn", lsn), SB_NUM("epoch", epoch));
 *
 * Rules: each failure is logged exactly once, by the stage that decides (SB_LOG_ERR); no row values, no
 * secrets; control characters are escaped; the text names a thing and its positions are printed by one
 * formatter. Lines are written with one write(2) and never block the caller for ever: a full pipe drops the
 * line and counts it (sb_log_dropped).
 */
#ifndef SB_CORE_LOG_H
#define SB_CORE_LOG_H

#include "core/err.h"

#include <stdbool.h>
#include <stdint.h>

enum sb_log_level { SB_LOG_DEBUG, SB_LOG_INFO, SB_LOG_WARNING, SB_LOG_ERROR };
enum sb_log_format { SB_LOG_LOGFMT, SB_LOG_JSON };

enum sb_field_type { SB_FIELD_STR, SB_FIELD_NUM, SB_FIELD_LSN, SB_FIELD_REAL };
struct sb_field {
    const char *name;
    enum sb_field_type type;
    const char *str;
    int64_t num;
    double real;
};

#define SB_STR(name_, value) ((struct sb_field){.name = (name_), .type = SB_FIELD_STR, .str = (value)})
#define SB_NUM(name_, value)                                                                                 \
    ((struct sb_field){.name = (name_), .type = SB_FIELD_NUM, .num = (int64_t)(value)})
#define SB_LSN(name_, value)                                                                                 \
    ((struct sb_field){.name = (name_), .type = SB_FIELD_LSN, .num = (int64_t)(value)})
#define SB_REAL(name_, value) ((struct sb_field){.name = (name_), .type = SB_FIELD_REAL, .real = (value)})
#define SB_FIELD_END          ((struct sb_field){.name = NULL})

/* stage is shown as a field of every line ("capture-forward"); it must outlive the log. Call it again in a
 * forked child, and after stderr was replaced. */
void sb_log_init(enum sb_log_format format, enum sb_log_level least, const char *stage);
/* fields end with SB_FIELD_END; use the macros below. */
void sb_log_write(enum sb_log_level level, const char *text, const struct sb_field *fields);
/* An error with id, class, text and way out, and what the stage does about it ("retrying", "halted"). */
void sb_log_err(enum sb_log_level level, const struct sb_err *err, const char *consequence);
uint64_t sb_log_dropped(void);

#define SB_LOG(level, text, ...)                                                                             \
    sb_log_write((level), (text), (const struct sb_field[]){__VA_ARGS__ __VA_OPT__(, ) SB_FIELD_END})
#define SB_DEBUG(...) SB_LOG(SB_LOG_DEBUG, __VA_ARGS__)
#define SB_INFO(...)  SB_LOG(SB_LOG_INFO, __VA_ARGS__)
#define SB_WARN(...)  SB_LOG(SB_LOG_WARNING, __VA_ARGS__)

/* Positions, as PostgreSQL prints them: "0/153CE88". */
enum { SB_LSN_TEXT_BYTES = 20 };
const char *sb_lsn_text(uint64_t lsn, char out[SB_LSN_TEXT_BYTES]);
/* Reads "16/B374D848"; false if it is anything else. */
bool sb_lsn_parse(const char *text, uint64_t *ret_lsn);

#endif
