/*
 * Which records of the stream an operator asked for: a range, by offset (@123), LSN (0/153CE88) or time of
 * appending (2026-11-24 03:27:00), and within it a table pattern and key columns.
 */
#ifndef SB_CLI_STREAM_SELECTION_H
#define SB_CLI_STREAM_SELECTION_H

#include "stream/walk.h"

enum { SB_SELECTION_KEYS_MAX = 32 };

struct sb_selection {
    int64_t from; /* offset of the first record, -1: the oldest */
    int64_t to;   /* offset behind the last, -1: no end */
    const char *table;
    struct { /* all of them must be equal, in the row before or after */
        struct sb_view column;
        struct sb_view value; /* a backslash takes the next character as it is */
    } keys[SB_SELECTION_KEYS_MAX];
    size_t key_count;
};

/* Where does "@123", an LSN or a time lie? With behind, the offset behind what it names: a range's end
 * includes its last transaction, or record. SB-USAGE if it is none of these. */
int sb_selection_place(
    struct sb_stream *stream, const char *text, bool behind, int64_t *ret_offset, struct sb_err *err);
/* "id=42" or "a=1,b=2": views into text. SB-USAGE. */
int sb_selection_keys(struct sb_selection *selection, const char *text, struct sb_err *err);
/* With a table or a key only changes (and schemas of the table) are selected. Range is not looked at. */
bool sb_selection_has(const struct sb_selection *selection, const struct sb_walk_record *record);

#endif
