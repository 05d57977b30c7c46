/*
 * What rules let pass, counted. Pure.
 *
 * Rows of a table with rules are digested in the form that the rules give them (schemas/rule). What tells
 * them apart nevertheless goes *aside* with each row: the digest of the row as it is, which is what a
 * repair's guard goes by, and a hash of the text of each column that has a rule. Where two rows meet that are
 * equal by their forms and not by their texts, it says which rules did it. A table without rules has nothing
 * aside.
 */
#ifndef SB_RECONCILE_ACCEPT_H
#define SB_RECONCILE_ACCEPT_H

#include "reconcile/table.h"

/* Put behind what is in out: of values, of the table's columns. Nothing without rules. */
void sb_accept_put(const struct sb_verify_table *table, const struct sb_value *values, struct sb_buf *out);
/* The row as it is; form: its digest under the rules, which is the same without any. */
struct sb_digest sb_accept_row(struct sb_view aside, const struct sb_digest *form);
/* Rows of both sides met: count, of each column, whether its rule made them equal. */
void sb_accept_met(
    const struct sb_verify_table *table, struct sb_view one, struct sb_view other, int64_t *counts);
/* They count: add them to the rules, and begin anew. */
void sb_accept_add(const struct sb_verify_table *table, int64_t *counts);
/* Is there a rule by which equal values have different digests? Such rows are compared value by value. */
bool sb_accept_needs_values(const struct sb_verify_table *table);

#endif
