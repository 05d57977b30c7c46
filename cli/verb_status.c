/* switchback status [--json] [--watch], pause, resume. */
#include "cli/stages.h"
#include "cli/verbs.h"
#include "ops/control.h"
#include "ops/render.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TEXT_MAX_BYTES = 1024 * 1024, WATCH_MS = 1000, RATE_MS = 200 };

const struct sb_opt sb_opts_status[] = {
    {"json", 0, NULL, NULL, "print JSON"},
    {"watch", 0, NULL, NULL, "again every second, until interrupted"},
    {.name = NULL},
};

static int open_page(const struct sb_config *config, struct sb_page **ret_page, struct sb_err *err)
{
    char path[SB_PATH_BYTES];
    sb_wiring_page_path(config, path);
    if (sb_page_open(path, false, ret_page, err) == 0)
        return 0;
    if (err->code == SB_E_IO)
        sb_err_hint(err, "Nothing has run with this configuration yet: `switchback run` starts it.");
    return -1;
}

static int print(const struct sb_reading *before, const struct sb_reading *now,
    const struct sb_config *config, bool json, bool home, struct sb_err *err)
{
    static struct sb_status status; /* large */
    struct sb_buf text SB_CLEANUP(sb_buf_clear);
    sb_status_compute(before, now, config->insecure, &status);
    sb_buf_init(&text, TEXT_MAX_BYTES);
    if (json)
        sb_render_json(&status, &text);
    else
        sb_render_text(&status, &text);
    if (text.failed)
        return sb_err_set(err, SB_E_LIMIT, "the status has more than %d bytes", TEXT_MAX_BYTES);
    printf("%s%s", home ? "\033[H\033[J" : "", sb_buf_str(&text));
    fflush(stdout);
    return sb_status_standing(&status) ? 0 : 1;
}

/* Rates come from two readings: a short moment apart, or, watching, a second. */
static int show(
    const struct sb_page *page, const struct sb_config *config, bool json, bool watch, struct sb_err *err)
{
    static struct sb_reading readings[2]; /* large */
    int now = 0, code;
    sb_reading_take(page, &readings[now]);
    poll(NULL, 0, RATE_MS);
    do {
        now = !now;
        sb_reading_take(page, &readings[now]);
        code = print(&readings[!now], &readings[now], config, json, watch && isatty(STDOUT_FILENO), err);
        if (watch && code >= 0)
            poll(NULL, 0, WATCH_MS);
    } while (watch && code >= 0);
    return code;
}

int sb_verb_status(const struct sb_cli *cli, struct sb_err *err)
{
    struct sb_page *page;
    if (open_page(cli->config, &page, err) != 0)
        return -1;
    int code = show(page, cli->config, cli->json, sb_opts_flag(cli->opts, "watch"), err);
    sb_page_close(page);
    return code;
}

int sb_verb_pause(const struct sb_cli *cli, struct sb_err *err)
{
    enum sb_direction direction;
    bool changed;
    if (sb_cli_direction(cli, &direction, err) != 0 ||
        sb_control_pause(cli->config, direction, true, &changed, err) != 0)
        return -1;
    printf(changed ? "apply pauses within a second; capture goes on\n" : "apply is paused already\n");
    return 0;
}

/* Halted stages on this machine are woken; those elsewhere need a SIGUSR1 there. */
int sb_verb_resume(const struct sb_cli *cli, struct sb_err *err)
{
    static struct sb_reading reading; /* large */
    enum sb_direction direction;
    struct sb_page *page;
    bool changed;
    int woken = 0;
    if (sb_cli_direction(cli, &direction, err) != 0 ||
        sb_control_pause(cli->config, direction, false, &changed, err) != 0)
        return -1;
    if (open_page(cli->config, &page, err) == 0) {
        sb_reading_take(page, &reading);
        woken = sb_control_wake(&reading);
        sb_page_close(page);
    }
    if (changed)
        printf("apply goes on within a second\n");
    if (woken > 0)
        printf("%d halted stage%s woken to try again\n", woken, woken == 1 ? " was" : "s were");
    if (!changed && woken == 0)
        printf("nothing was paused or halted\n");
    return 0;
}
