#include "reconcile/board.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 4200, LINE_BYTES = 1024 };

static const char form[] = "switchback reconcile tables 1\n";

/* -- writing --------------------------------------------------------------------------------------------- */

static void put_text(FILE *file, const char *text, char end)
{
    for (; *text != '\0'; text++)
        fputc((unsigned char)*text < 0x20 ? '?' : *text, file);
    fputc(end, file);
}

static void put_table(FILE *file, const struct sb_board_table *table)
{
    put_text(file, table->name, '\t');
    fprintf(file,
        "%d\t%d\t%d\t%" PRIu64 "\t%" PRId64 "\t%" PRId64 "\t%" PRId64 "\t%" PRId64 "\t%" PRId64 "\t%" PRId64
        "\t",
        table->compared, table->proven, table->passing, table->frontier_lsn, table->frontier_us,
        table->chunks_done, table->chunks, table->unproven, table->differences, table->passed_us);
    put_text(file, table->why, '\n');
}

int sb_board_write(const char *path, const struct sb_board *board, struct sb_err *err)
{
    char made[PATH_BYTES];
    snprintf(made, sizeof made, "%s.new", path);
    FILE *file = fopen(made, "we");
    if (file == NULL)
        return sb_err_errno(err, SB_E_IO, "could not write %s", made);
    fputs(form, file);
    for (size_t i = 0; i < board->count; i++)
        put_table(file, &board->tables[i]);
    bool fine = ferror(file) == 0;
    if (fclose(file) != 0 || !fine || rename(made, path) != 0)
        return sb_err_errno(err, SB_E_IO, "could not write %s", path);
    return 0;
}

/* -- reading --------------------------------------------------------------------------------------------- */

static bool take_number(char **at, int64_t *ret_number)
{
    char *end;
    errno = 0;
    *ret_number = strtoll(*at, &end, 10);
    bool fine = end != *at && *end == '\t' && errno == 0;
    *at = fine ? end + 1 : *at;
    return fine;
}

static bool take_text(char **at, char end, char *out, size_t cap)
{
    char *stop = strchr(*at, end);
    if (stop == NULL)
        return false;
    size_t len = (size_t)(stop - *at);
    if (len >= cap)
        return false;
    memcpy(out, *at, len);
    out[len] = '\0';
    *at = stop + 1;
    return true;
}

static bool parse(char *line, struct sb_board_table *table)
{
    int64_t flags[3], lsn;
    if (!take_text(&line, '\t', table->name, sizeof table->name))
        return false;
    for (int i = 0; i < 3; i++)
        if (!take_number(&line, &flags[i]))
            return false;
    table->compared = flags[0] != 0;
    table->proven = flags[1] != 0;
    table->passing = flags[2] != 0;
    if (!take_number(&line, &lsn))
        return false;
    table->frontier_lsn = (uint64_t)lsn;
    int64_t *const numbers[] = {&table->frontier_us, &table->chunks_done, &table->chunks, &table->unproven,
        &table->differences, &table->passed_us};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (!take_number(&line, numbers[i]))
            return false;
    return take_text(&line, '\n', table->why, sizeof table->why);
}

static struct sb_board_table *room(struct sb_board *board, size_t *cap)
{
    if (board->count == *cap) {
        size_t more = *cap == 0 ? 64 : *cap * 2;
        struct sb_board_table *grown = realloc(board->tables, more * sizeof *grown);
        if (grown == NULL)
            return NULL;
        board->tables = grown;
        *cap = more;
    }
    return &board->tables[board->count];
}

static int read_lines(FILE *file, const char *path, struct sb_board *board, struct sb_err *err)
{
    char line[LINE_BYTES];
    size_t cap = 0;
    if (fgets(line, sizeof line, file) == NULL || strcmp(line, form) != 0)
        return sb_err_set(err, SB_E_STATE_FORMAT, "%s does not begin as ours", path);
    while (fgets(line, sizeof line, file) != NULL) {
        struct sb_board_table *table = room(board, &cap);
        if (table == NULL)
            return sb_err_set(err, SB_E_NO_MEMORY, "no memory for what is said of tables");
        if (!parse(line, table))
            return sb_err_set(err, SB_E_STATE_FORMAT, "%s has a line that does not read as ours", path);
        board->count++;
    }
    return ferror(file) == 0 ? 0 : sb_err_errno(err, SB_E_IO, "could not read %s", path);
}

int sb_board_read(const char *path, struct sb_board *ret_board, struct sb_err *err)
{
    *ret_board = (struct sb_board){.count = 0};
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return errno == ENOENT ? 1 : sb_err_errno(err, SB_E_IO, "could not read %s", path);
    int rc = read_lines(file, path, ret_board, err);
    fclose(file);
    if (rc != 0)
        sb_board_clear(ret_board);
    return rc;
}

void sb_board_clear(struct sb_board *board)
{
    free(board->tables);
    *board = (struct sb_board){.count = 0};
}
