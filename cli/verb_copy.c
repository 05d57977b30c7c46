/* switchback copy: the initial copy alone, with a progress bar; copying a table again. */
#include "cli/stages.h"
#include "cli/verbs.h"
#include "copy/control.h"
#include "copy/copy.h"
#include "ops/render.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BAR_CELLS = 24, LINE_EVERY = 20 /* sights, where nobody watches a terminal */ };

const struct sb_opt sb_opts_copy[] = {
    {"again", 0, "TABLE", NULL,
        "do not copy, but have this table emptied and copied again, while everything runs"},
    {"add", 0, "TABLE", NULL,
        "do not copy, but have this table copied, which was published later; it must be empty"},
    {"direction", 0, "forward|reverse", NULL, "forward unless given"},
    {.name = NULL},
};

static void put_eta(const struct sb_copy_sight *sight, struct sb_buf *line)
{
    char figure[SB_FIGURE_BYTES];
    int64_t left = sight->rows_estimated - sight->rows;
    if (sight->schema != NULL) {
        sb_buf_put_str(line, sight->schema);
        return;
    }
    sb_buf_putf(line, "%" PRId64 " of %" PRId64 " tables, %" PRId64 " of about %" PRId64 " rows, %.0f rows/s",
        sight->tables_done, sight->tables, sight->rows, sight->rows_estimated, sight->rows_s);
    if (sight->rows_s > 0 && left > 0)
        sb_buf_putf(line, ", %s left", sb_render_seconds((double)left / sight->rows_s, figure));
}

static void show_bar(void *arg, const struct sb_copy_sight *sight)
{
    struct sb_buf line SB_CLEANUP(sb_buf_clear);
    int full = 0;
    (void)arg;
    sb_buf_init(&line, 1024);
    if (sight->rows_estimated > 0)
        full = (int)(sight->rows < sight->rows_estimated ? BAR_CELLS * sight->rows / sight->rows_estimated
                                                         : BAR_CELLS);
    sb_buf_put_str(&line, "\r[");
    for (int i = 0; i < BAR_CELLS; i++)
        sb_buf_put_str(&line, i < full ? "#" : ".");
    sb_buf_put_str(&line, "] ");
    put_eta(sight, &line);
    sb_buf_put_str(&line, "\033[K");
    fputs(sb_buf_str(&line), stderr);
}

static void show_line(void *arg, const struct sb_copy_sight *sight)
{
    int *sights = arg;
    if ((*sights)++ % LINE_EVERY != 0)
        return;
    struct sb_buf line SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&line, 1024);
    put_eta(sight, &line);
    fprintf(stderr, "%s\n", sb_buf_str(&line));
}

int sb_verb_copy(const struct sb_cli *cli, struct sb_err *err)
{
    enum sb_direction direction;
    int sights = 0;
    bool terminal = isatty(STDERR_FILENO);
    const char *again = sb_opts_value(cli->opts, "again"), *add = sb_opts_value(cli->opts, "add");
    const char *wanted = add != NULL ? add : again;
    if (sb_cli_direction(cli, &direction, err) != 0)
        return -1;
    if (wanted != NULL) {
        if (sb_copy_again(cli->config, direction, wanted, add != NULL, err) != 0)
            return -1;
        fprintf(stderr,
            "%s is copied%s as soon as apply runs (halted: at `switchback resume`); where the stages run "
            "alone, run `switchback copy` then\n",
            wanted, add != NULL ? "" : " again");
        return 0;
    }
    struct sb_stage_spec spec = sb_cli_copy(direction);
    sb_copy_watch(terminal ? show_bar : show_line, &sights);
    int code = sb_stage_alone(&spec, cli->config, err);
    if (terminal)
        fputs("\n", stderr);
    return code;
}
