#include "config/nearest.h"

#include <stdint.h>
#include <string.h>

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t sb_nearest_distance(const char *a, const char *b)
{
    size_t a_len = strlen(a), b_len = strlen(b);
    if (a_len > SB_NEAREST_BYTES || b_len > SB_NEAREST_BYTES)
        return SIZE_MAX;
    size_t rows[3][SB_NEAREST_BYTES + 1]; /* two back, one back, this one */
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *now = rows[i % 3], *back = rows[(i - 1) % 3], *back2 = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            now[j] = least(least(now[j - 1], back[j]) + 1, back[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], back2[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

size_t sb_nearest_limit(const char *word)
{
    return strlen(word) / 4 + 1;
}
