/*
 * Acceptable differences: what an operator has said is no difference in a column. Pure.
 *
 * Without a rule two values are equal if their texts are. A rule maps a text to a form that is the same for
 * all texts that it takes for equal; the form is digested in place of the text, on both sides and in the
 * stream. A tolerance has no such form (it is not transitive): there the digest *is* the number, and two of
 * them are compared by sb_rule_equal alone.
 *
 *     numeric-scale            1.0 = 1.00; of numeric
 *     char-padding             spaces at the end do not count; of character types
 *     timestamp-digits N       to N decimals of a second (0 to 5), rounded as timestamp(N) does; of
 * timestamps json-order               order of members and blanks between tokens do not count; of json, jsonb
 *     float-tolerance X        |a - b| <= X * max(|a|, |b|), 0 < X <= 0.01; of floats and numeric
 *
 * A text that a rule cannot read (infinity, NaN, a year before 1) is compared as it is.
 */
#ifndef SB_SCHEMAS_RULE_H
#define SB_SCHEMAS_RULE_H

#include "core/arena.h"
#include "core/err.h"
#include "schemas/change.h"

enum sb_rule_kind {
    SB_RULE_NUMERIC_SCALE,
    SB_RULE_CHAR_PADDING,
    SB_RULE_TIMESTAMP_DIGITS,
    SB_RULE_JSON_ORDER,
    SB_RULE_FLOAT_TOLERANCE,
    SB_RULE_KINDS
};

struct sb_rule {
    enum sb_rule_kind kind;
    int digits;          /* of timestamps */
    double tolerance;    /* of floats */
    const char *pattern; /* of tables (pg/ident.h) */
    struct sb_view column;
    const char *text; /* as it was written, its name in every report */
};

/* "public.orders total: numeric-scale": a pattern of tables, a column (in double quotes if it needs them), a
 * rule. Strings live as long as text, or in arena. SB-CONFIG, with what is wrong. */
int sb_rule_parse(const char *text, struct sb_arena *arena, struct sb_rule *ret_rule, struct sb_err *err);
bool sb_rule_takes(const struct sb_rule *rule, uint32_t type_oid); /* does it go with the type? */

/* The digest of a value under a rule, which may be NULL; scratch is used during the call. */
struct sb_digest sb_rule_field(
    const struct sb_rule *rule, const struct sb_value *value, struct sb_buf *scratch);
/* Of two such digests. */
bool sb_rule_equal(const struct sb_rule *rule, const struct sb_digest *a, const struct sb_digest *b);
/* Equal values have equal digests. */
static inline bool sb_rule_has_form(const struct sb_rule *rule)
{
    return rule == NULL || rule->kind != SB_RULE_FLOAT_TOLERANCE;
}

#endif
