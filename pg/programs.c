#include "pg/programs.h"

#include "core/child.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char distribution[] = "/usr/lib/postgresql";

struct search {
    int wanted; /* major version */
    struct sb_pg_programs best;
    bool found;
};

/* "pg_dump (PostgreSQL) 18.4" -> 18; 0 if it says anything else. */
static int major_of(const char *path)
{
    const char *const argv[] = {path, "--version", NULL};
    struct sb_buf out SB_CLEANUP(sb_buf_clear);
    struct sb_child_end end;
    struct sb_err ignored;
    sb_buf_init(&out, 4096);
    const struct sb_child child = {.argv = argv, .out = &out};
    if (sb_child_run(&child, &end, &ignored) != 0 || end.status != 0)
        return 0;
    const char *number = strstr(sb_buf_str(&out), "(PostgreSQL) ");
    return number == NULL ? 0 : (int)strtol(number + strlen("(PostgreSQL) "), NULL, 10);
}

/* Is there a pair in this directory that is newer than the best one so far? */
static void look(struct search *search, const char *dir, size_t dir_len)
{
    struct sb_pg_programs one = {.major = 0};
    int dump = snprintf(one.dump, sizeof one.dump, "%.*s/pg_dump", (int)dir_len, dir);
    int restore = snprintf(one.restore, sizeof one.restore, "%.*s/pg_restore", (int)dir_len, dir);
    if (dump >= SB_PROGRAM_PATH_BYTES || restore >= SB_PROGRAM_PATH_BYTES || access(one.dump, X_OK) != 0 ||
        access(one.restore, X_OK) != 0)
        return;
    one.major = major_of(one.dump);
    if (one.major > search->best.major)
        search->best = one;
    search->found = search->best.major >= search->wanted;
}

static void look_in_path(struct search *search)
{
    const char *path = getenv("PATH");
    for (const char *at = path == NULL ? "" : path; *at != '\0' && !search->found;) {
        size_t len = strcspn(at, ":");
        if (len > 0 && at[0] == '/')
            look(search, at, len);
        at += len + (at[len] == ':');
    }
}

static void look_in_distribution(struct search *search)
{
    char dir[SB_PROGRAM_PATH_BYTES];
    DIR *majors = opendir(distribution);
    if (majors == NULL)
        return;
    for (const struct dirent *one = readdir(majors); one != NULL; one = readdir(majors)) {
        if (strtol(one->d_name, NULL, 10) <= search->best.major)
            continue;
        int len = snprintf(dir, sizeof dir, "%s/%s/bin", distribution, one->d_name);
        if (len > 0 && (size_t)len < sizeof dir)
            look(search, dir, (size_t)len);
    }
    closedir(majors);
}

static int not_found(const struct search *search, const char *dir, struct sb_err *err)
{
    const char *where = dir == NULL ? "in PATH and below /usr/lib/postgresql" : dir;
    if (search->best.major == 0)
        sb_err_set(err, SB_E_PG_DUMP, "no pg_dump with its pg_restore was found (%s)", where);
    else
        sb_err_set(err, SB_E_PG_DUMP,
            "the source is PostgreSQL %d, and the newest pg_dump found (%s) is of PostgreSQL %d, which reads "
            "no "
            "newer server",
            search->wanted, search->best.dump, search->best.major);
    return sb_err_hint(err,
        "Install the client programs of PostgreSQL %d or later (Debian: apt install postgresql-client-%d), "
        "or "
        "name the directory that holds them in copy.pg_bin. Or make the tables on the target yourself and "
        "set "
        "copy.schema: off.",
        search->wanted, search->wanted);
}

int sb_pg_programs_find(
    const char *dir, int server_major, struct sb_pg_programs *ret_programs, struct sb_err *err)
{
    struct search search = {.wanted = server_major};
    if (dir != NULL) {
        look(&search, dir, strlen(dir));
    } else {
        look_in_path(&search);
        if (!search.found)
            look_in_distribution(&search);
    }
    if (!search.found)
        return not_found(&search, dir, err);
    *ret_programs = search.best;
    return 0;
}
