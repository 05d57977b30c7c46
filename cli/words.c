#include "cli/words.h"

#include <string.h>

/* Bytes of one control character at the beginning of text, 0 if there is none. UTF-8 has 32 more of them
 * (U+0080 to U+009F), which some terminals obey. */
static size_t control_len(const char *text, size_t len)
{
    unsigned char first = (unsigned char)text[0];
    if (first < 0x20 || first == 0x7f)
        return 1;
    return first == 0xc2 && len > 1 && (unsigned char)text[1] >= 0x80 && (unsigned char)text[1] <= 0x9f ? 2
                                                                                                        : 0;
}

static void put(FILE *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t control = control_len(text + i, len - i);
        fputc(control > 0 ? '?' : text[i], out);
        i += control > 0 ? control : 1;
    }
}

void sb_words_put(FILE *out, const char *text)
{
    put(out, text, strlen(text));
}

void sb_words_put_lines(FILE *out, const char *lead, const char *text)
{
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        fputs(lead, out);
        put(out, text, len);
        fputc('\n', out);
        text += len + (text[len] == '\n');
    }
}
