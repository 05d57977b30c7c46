/* Text of others (names from a catalog, words of a server) for a terminal: whatever stands in it, no control
 * character reaches the terminal, so nothing there is coloured, moved or overwritten. JSON has the text as it
 * is. */
#ifndef SB_CLI_WORDS_H
#define SB_CLI_WORDS_H

#include <stdio.h>

/* Every control character, line breaks among them, becomes a question mark. */
void sb_words_put(FILE *out, const char *text);
/* Line breaks stay, and each line begins with lead: for statements. */
void sb_words_put_lines(FILE *out, const char *lead, const char *text);

#endif
