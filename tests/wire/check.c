/*
 * `wire_check FRAMES` prints the dump of a recording; `wire_check FRAMES EXPECTED` compares it with a file
 * and names the first line that differs.
 */
#include "tests/wire/dump.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DUMP_MAX_BYTES = 16 << 20 };

static int compare(struct sb_view got, struct sb_view want)
{
    struct sb_cursor g = sb_cursor(got), w = sb_cursor(want);
    for (int line = 1; !sb_cursor_done(&g) || !sb_cursor_done(&w); line++) {
        size_t got_len = strcspn((const char *)g.pos, "\n"), want_len = strcspn((const char *)w.pos, "\n");
        struct sb_view got_line = sb_cursor_bytes(&g, got_len), want_line = sb_cursor_bytes(&w, want_len);
        if (!sb_view_eq(got_line, want_line)) {
            fprintf(stderr, "line %d\n  expected: %.*s\n  decoded:  %.*s\n", line, (int)want_len,
                want_line.ptr, (int)got_len, got_line.ptr);
            return 1;
        }
        sb_cursor_bytes(&g, sb_cursor_left(&g) > 0);
        sb_cursor_bytes(&w, sb_cursor_left(&w) > 0);
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct sb_err err = {0};
    struct sb_buf out, want;
    if (argc < 2)
        return 64;
    sb_buf_init(&out, DUMP_MAX_BYTES);
    sb_buf_init(&want, DUMP_MAX_BYTES);
    struct sb_view frames = wire_read_file(argv[1]);
    struct sb_view expected = argc < 3 ? sb_view(NULL, 0) : wire_read_file(argv[2]);
    int rc = 1;
    if (frames.len == 0 || (argc > 2 && expected.len == 0)) {
        fprintf(stderr, "could not read %s\n", frames.len == 0 ? argv[1] : argv[2]);
    } else if (wire_dump(frames, &out, &err) != 0) {
        fprintf(stderr, "%s: %s: %s\n", argv[1], sb_err_id(&err), err.text);
    } else if (argc < 3) {
        fputs(sb_buf_str(&out), stdout);
        rc = 0;
    } else {
        sb_buf_put_view(&want, expected); /* with a NUL behind it */
        rc = compare(sb_buf_view(&out), sb_buf_view(&want));
    }
    free((char *)frames.ptr);
    free((char *)expected.ptr);
    sb_buf_clear(&out);
    sb_buf_clear(&want);
    return rc;
}
