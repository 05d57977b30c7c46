/*
 * The words of an SQL statement, as far as telling harmless DDL from other DDL needs them: comments are left
 * out, strings and quoted names are one word each. Pure. Standard-conforming strings are taken for granted;
 * a statement of a session without them is either told apart as well, or does not run on the target.
 */
#ifndef SB_APPLY_WORDS_H
#define SB_APPLY_WORDS_H

#include "core/arena.h"

enum { SB_WORDS_MAX = 100000 };

enum sb_word_kind { SB_WORD_PLAIN, SB_WORD_QUOTED, SB_WORD_STRING, SB_WORD_NUMBER, SB_WORD_SIGN };

struct sb_word {
    enum sb_word_kind kind;
    struct sb_view text; /* as written, quotes and all: a view into the statement */
};

struct sb_words {
    const struct sb_word *items;
    size_t count;
};

/* False if the statement ends inside of a word, or has too many; the words live in arena. */
bool sb_words_read(struct sb_view sql, struct sb_arena *arena, struct sb_words *ret_words);

/* Is word at (a place beyond the end: never) this keyword, or this sign? */
bool sb_words_at(const struct sb_words *words, size_t at, const char *text);
/* Do the keywords of text, one space apart, stand at this place? How many; 0: no. */
size_t sb_words_run(const struct sb_words *words, size_t at, const char *text);
/* Is the word at this place an identifier that means name? */
bool sb_words_names(const struct sb_words *words, size_t at, struct sb_view name);
bool sb_words_is_ident(const struct sb_words *words, size_t at);

#endif
