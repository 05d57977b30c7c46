#include "cli/verbs.h"
#include "config/wiring.h"
#include "ops/render.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

const struct sb_opt sb_opts_status[] = {
    {"json", 0, NULL, NULL, "print JSON"},
    {"watch", 'w', NULL, NULL, "again every second, until interrupted"},
    {.name = NULL},
};

enum { STATUS_MAX_BYTES = 16 * 1024 * 1024 };

/* 0 read; 1 nothing was ever started here, *ret_reading is empty; -1. Opened anew each time: a supervisor
 * that starts makes a new page. */
static int take(const struct sb_config *config, struct sb_reading *ret_reading, struct sb_err *err)
{
    char path[SB_PATH_BYTES];
    struct sb_page *page;
    sb_wiring_page_path(config, path);
    memset(ret_reading, 0, sizeof *ret_reading);
    if (sb_page_open(path, false, &page, err) < 0)
        return err->os_errno == ENOENT ? 1 : -1;
    sb_reading_take(page, ret_reading);
    sb_page_close(page);
    return 0;
}

/* What the stage `reconcile` says of each table; a file that cannot be read is not shown. */
static void board_read(const struct sb_cli *cli, const struct sb_status *status, struct sb_board *ret_board)
{
    char path[SB_PATH_BYTES];
    struct sb_err ignored;
    *ret_board = (struct sb_board){.count = 0};
    sb_wiring_board_path(cli->config, path);
    if (status->reconcile.shown)
        sb_board_read(path, ret_board, &ignored);
}

static int print(const struct sb_cli *cli, struct sb_status *status, bool redraw, struct sb_err *err)
{
    struct sb_buf out;
    struct sb_board board;
    board_read(cli, status, &board);
    status->reconcile.board = &board;
    sb_buf_init(&out, STATUS_MAX_BYTES);
    if (redraw)
        sb_buf_put_str(&out, "\033[H\033[J"); /* home, and clear from there */
    if (cli->json)
        sb_render_json(status, &out);
    else
        sb_render_text(status, &out);
    int result = sb_cli_print(&out, err);
    sb_buf_clear(&out);
    status->reconcile.board = NULL;
    sb_board_clear(&board);
    return result;
}

static void say_if_nothing_runs(const struct sb_cli *cli, const struct sb_status *status)
{
    if (!status->runs)
        fprintf(stderr, "nothing runs in \"%s\"; start it with `switchback run`\n", cli->config->state_dir);
}

/* A second, or less if told to stop. */
static bool wait_a_second(const sigset_t *stop)
{
    const struct timespec second = {.tv_sec = 1};
    return sigtimedwait(stop, NULL, &second) > 0;
}

static int watch(const struct sb_cli *cli, const sigset_t *stop, struct sb_err *err)
{
    struct sb_reading before, now;
    struct sb_status status;
    bool redraw = cli->terminal && !cli->json;
    if (take(cli->config, &before, err) < 0)
        return -1;
    do {
        int taken = take(cli->config, &now, err);
        if (taken < 0)
            return -1;
        sb_status_compute(
            taken == 0 && before.mono_us > 0 ? &before : NULL, &now, cli->config->insecure, &status);
        if (print(cli, &status, redraw, err) < 0)
            return -1;
        say_if_nothing_runs(cli, &status);
        if (fflush(stdout) != 0)
            break; /* whoever read it has gone; main says so */
        before = now;
    } while (!wait_a_second(stop));
    return sb_status_standing(&status) ? 0 : 1;
}

static int once(const struct sb_cli *cli, const sigset_t *stop, struct sb_err *err)
{
    struct sb_reading before, now;
    struct sb_status status;
    int taken = take(cli->config, &before, err);
    if (taken == 0) {
        wait_a_second(stop);
        taken = take(cli->config, &now, err);
    }
    if (taken < 0)
        return -1;
    sb_status_compute(
        taken == 0 ? &before : NULL, taken == 0 ? &now : &before, cli->config->insecure, &status);
    say_if_nothing_runs(cli, &status);
    /* Words for people when there is nothing to show; JSON is always one object. */
    if ((taken == 0 || cli->json) && print(cli, &status, false, err) < 0)
        return -1;
    return sb_status_standing(&status) ? 0 : 1;
}

int sb_verb_status(const struct sb_cli *cli, struct sb_err *err)
{
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    return sb_opts_flag(cli->opts, "watch") ? watch(cli, &stop, err) : once(cli, &stop, err);
}
