#include "config/expand.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 128, EXPANDED_BYTES = 256 * 1024 };

/* The name between "${" (where text stands) and "}". */
static int name_read(const char *text, char ret_name[NAME_BYTES], struct sb_err *err)
{
    size_t len = 0;
    const char *from = text + 2;
    while (isalnum((unsigned char)from[len]) || from[len] == '_')
        len++;
    if (from[len] != '}' || len == 0 || len >= NAME_BYTES || isdigit((unsigned char)from[0])) {
        sb_err_set(err, SB_E_CONFIG, "\"${\" is not followed by the name of a variable and \"}\"");
        return sb_err_hint(err, "Write $${ where ${ itself is meant.");
    }
    memcpy(ret_name, from, len);
    ret_name[len] = '\0';
    return 0;
}

/* One pass over the text: out NULL only measures. Both passes see the same environment. */
static int expand_pass(const char *text, struct sb_expanded *out, size_t *ret_len, struct sb_err *err)
{
    size_t len = 0;
    for (const char *p = text; *p != '\0';) {
        char name[NAME_BYTES];
        const char *piece = p;
        size_t take = 1, piece_len = 1;
        bool env = false;
        if (strncmp(p, "$${", 3) == 0) {
            piece = "${";
            piece_len = 2;
            take = 3;
        } else if (strncmp(p, "${", 2) == 0) {
            if (name_read(p, name, err) < 0)
                return -1;
            piece = getenv(name);
            if (piece == NULL)
                return sb_err_set(err, SB_E_CONFIG, "${%s} is not set in the environment", name);
            piece_len = strlen(piece);
            take = strlen(name) + 3;
            env = true;
        }
        if (piece_len > EXPANDED_BYTES - len)
            return sb_err_set(
                err, SB_E_CONFIG, "is longer than %d bytes once its variables are filled in", EXPANDED_BYTES);
        if (out != NULL) {
            memcpy(out->text + len, piece, piece_len);
            memset(out->from_env + len, env, piece_len);
        }
        len += piece_len;
        p += take;
    }
    *ret_len = len;
    return 0;
}

int sb_expand(const char *text, struct sb_arena *arena, struct sb_expanded *ret_expanded, struct sb_err *err)
{
    struct sb_expanded out = {.len = 0};
    if (expand_pass(text, NULL, &out.len, err) < 0)
        return -1;
    out.text = sb_arena_zalloc(arena, out.len + 1);
    out.from_env = sb_arena_zalloc(arena, out.len + 1);
    if (out.text == NULL || out.from_env == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the configuration");
    if (expand_pass(text, &out, &out.len, err) < 0)
        return -1;
    out.any = memchr(out.from_env, 1, out.len) != NULL;
    out.whole = out.any && memchr(out.from_env, 0, out.len) == NULL;
    *ret_expanded = out;
    return 0;
}
