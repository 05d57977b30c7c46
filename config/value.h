/*
 * One value of the configuration: from its text to what its field holds, by the row of its option. Pure.
 *
 * Errors are SB-CONFIG and give the reason alone; the caller adds file, line and key. `shown` says whether
 * the text may appear in it: not if it came from the environment.
 */
#ifndef SB_CONFIG_VALUE_H
#define SB_CONFIG_VALUE_H

#include "config/options.h"

int sb_value_bool(const char *text, bool shown, bool *ret_value, struct sb_err *err);
/* A number with a unit behind it ("10s") is refused, and the hint says what to write. */
int sb_value_number(
    const struct sb_option *option, const char *text, bool shown, int64_t *ret_value, struct sb_err *err);
/* Index of the choice. */
int sb_value_choice(
    const struct sb_option *option, const char *text, bool shown, int *ret_index, struct sb_err *err);
int sb_value_check_name(const char *text, struct sb_err *err);   /* of a migration */
int sb_value_check_listen(const char *text, struct sb_err *err); /* "host:port", "[v6]:port" or empty */
/* Not empty, at most max_bytes, no control characters (line breaks may be allowed). */
int sb_value_check_text(const char *text, size_t max_bytes, bool lines, struct sb_err *err);

#endif
