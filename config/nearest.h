/* The nearest known word to one that is not known: "did you mean ...?". Pure. */
#ifndef SB_CONFIG_NEAREST_H
#define SB_CONFIG_NEAREST_H

#include <stddef.h>

enum { SB_NEAREST_BYTES = 64 }; /* longer words are as far from each other as SIZE_MAX */

/* Letters to insert, delete, replace or swap with their neighbour to get from a to b. */
size_t sb_nearest_distance(const char *a, const char *b);
/* The largest distance at which a guess helps more than it confuses. */
size_t sb_nearest_limit(const char *word);

#endif
