/* Identifiers and literals: the one quoting routine, and the patterns that choose tables. */
#ifndef SB_PG_IDENT_H
#define SB_PG_IDENT_H

#include "core/bytes.h"

void sb_ident_put(struct sb_buf *sql, struct sb_view ident); /* always "quoted", inner quotes doubled */
void sb_ident_put_table(struct sb_buf *sql, struct sb_view schema, struct sb_view name); /* "a"."b" */
void sb_literal_put(struct sb_buf *sql, struct sb_view text); /* 'quoted', for DDL that takes no parameters */
/* One more element of an array's text, which begins with the first: {"a",NULL. The caller closes it. NULL:
 * the SQL NULL. */
void sb_array_put(struct sb_buf *array, const struct sb_view *text);
void sb_array_end(struct sb_buf *array); /* also of one without elements */
bool sb_utf8_valid(struct sb_view text);

/*
 * Does pattern match schema.name? A pattern is schema.table where each half may hold `*` (any run) and `?`
 * (one character), and a half in double quotes is literal: public.*, app_?.orders, "Odd.Schema"."t*ble". Case
 * counts.
 */
bool sb_pattern_valid(const char *pattern);
bool sb_pattern_match(const char *pattern, struct sb_view schema, struct sb_view name);

#endif
