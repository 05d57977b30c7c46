/*
 * Errors are values.
 *
 * A function that can fail returns an int: 0 is fine, negative is failure, positive means what its header
 * says. Its last parameter is a struct sb_err owned by the caller. The leaf that fails fills it, every layer
 * above may add its noun in front, and the stage at the top logs it once and decides by its class.
 *
 * Ids (SB-SLOT-LOST) are API: never renamed, never reused. They stand in one table, core/err_table.h, with
 * class, exit code, meaning and the way out; `switchback explain ID` prints that row.
 *
 * Nothing here allocates. Messages carry no row values and no secrets: name the thing, not its content.
 */
#ifndef SB_CORE_ERR_H
#define SB_CORE_ERR_H

#include <stdarg.h>
#include <stddef.h>

/* What the stage does with an error. */
enum sb_class {
    SB_CLASS_NONE,
    SB_CLASS_RETRY, /* passes by itself: back off and try again; positions are untouched */
    SB_CLASS_DATA,  /* cannot be right: stop writing and confirming, stay up, say so */
    SB_CLASS_FATAL, /* the process cannot go on: exit; start is recovery */
};

enum sb_code {
    SB_OK = 0,
#define SB_ERR(name, id, class_, exit_, meaning, remedy) name,
#include "core/err_table.h"
#undef SB_ERR
    SB_CODE_COUNT
};

enum { SB_ERR_TEXT_BYTES = 1024, SB_ERR_HINT_BYTES = 1024 };

struct sb_err {
    enum sb_code code;
    char sqlstate[6];             /* of PostgreSQL, empty if none */
    int os_errno;                 /* of the operating system, 0 if none */
    int lib_code;                 /* librdkafka's or SQLite's, 0 if none */
    char text[SB_ERR_TEXT_BYTES]; /* what happened, to which thing, why; lower case, no full stop */
    char hint[SB_ERR_HINT_BYTES]; /* what to do; whole sentences; empty: the table's remedy holds */
};

struct sb_err_info {
    const char *id; /* "SB-SLOT-LOST" */
    enum sb_class klass;
    int exit_code; /* sysexits: 64 usage, 65 data, 69 unavailable, 70 software, 74 io, 75 temporary, 77
                      rights, 78 configuration */
    const char *meaning;
    const char *remedy;
};

/* Fill err and return -1, so that a leaf can `return sb_err_set(...)`. Replaces whatever err held. */
int sb_err_set(struct sb_err *err, enum sb_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* As sb_err_set, with `: strerror(errno)` at the end and os_errno kept. */
int sb_err_errno(struct sb_err *err, enum sb_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Put "noun: " in front of the text. Returns -1. */
int sb_err_add(struct sb_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Set the hint: the exact command or statement that helps. Returns -1. */
int sb_err_hint(struct sb_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sb_err_clear(struct sb_err *err);

/* Never NULL: an unknown code is described as SB-INTERNAL. */
const struct sb_err_info *sb_err_info(enum sb_code code);
/* By id, with or without "SB-", any case; NULL if there is none. ret_code may be NULL. */
const struct sb_err_info *sb_err_find(const char *id, enum sb_code *ret_code);
const char *sb_err_id(const struct sb_err *err);
enum sb_class sb_err_class(const struct sb_err *err);
const char *sb_class_name(enum sb_class klass);

#endif
