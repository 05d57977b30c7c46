/* Whether the stream's store can be made, or is as it must be. */
#include "setup/checkup.h"
#include "setup/script.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int state_dir_refuse(struct sb_checkup *up, enum sb_code code, const char *mode, const char *why)
{
    struct sb_buf mend;
    sb_buf_init(&mend, 2 * SB_PATH_BYTES);
    if (mode != NULL) {
        sb_buf_putf(&mend, "chmod %s ", mode);
        sb_script_put_path(&mend, up->config->state_dir);
    }
    int done = sb_checkup_tell(up, SB_RESULT_FAIL, code, mode == NULL ? NULL : sb_buf_str(&mend), "%s %s",
        up->config->state_dir, why);
    sb_buf_clear(&mend);
    return done;
}

/* What the stages will ask of it when they start (ops/state.h). */
static int state_dir_check(struct sb_checkup *up)
{
    const char *dir = up->config->state_dir;
    struct stat info;
    if (stat(dir, &info) < 0)
        return sb_checkup_tell(up, errno == ENOENT ? SB_RESULT_INFO : SB_RESULT_FAIL, SB_E_IO, NULL,
            "%s: %s%s", dir, strerror(errno), errno == ENOENT ? "; `prepare` makes it" : "");
    if (!S_ISDIR(info.st_mode))
        return state_dir_refuse(up, SB_E_IO, NULL, "is not a directory: set state_dir to another path");
    if (info.st_uid != geteuid())
        return state_dir_refuse(up, SB_E_INSECURE, NULL,
            "belongs to another user: run switchback as that user, or set state_dir to a directory of your "
            "own");
    if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return state_dir_refuse(up, SB_E_INSECURE, "700", "can be written by others");
    if (access(dir, R_OK | W_OK | X_OK) < 0)
        return state_dir_refuse(up, SB_E_IO, "u+rwx", "is not ours to write");
    return sb_checkup_tell(up, SB_RESULT_PASS, SB_OK, NULL, "%s", dir);
}

static int finding_tell(void *arg, const struct sb_stream_finding *finding, struct sb_err *err)
{
    struct sb_checkup *up = arg;
    (void)err; /* is up->err */
    return sb_checkup_tell(up, finding->unsafe ? SB_RESULT_FAIL : SB_RESULT_WARN, SB_E_STREAM_CONFIG,
        sb_checkup_text(up, "%s", finding->command), "%s", finding->what);
}

/* Each wrong setting is a finding of its own, so that all of them can be mended at once. */
static int store_verify(struct sb_checkup *up, const struct sb_stream_options *options)
{
    int done = sb_stream_check(options, finding_tell, up, up->err);
    return done < 0 && up->err->code == SB_E_STREAM_CONFIG && up->told ? 0 : done;
}

/* Before the preparation the store tells what it would make; afterwards it is verified. */
static int store_check(struct sb_checkup *up)
{
    char path[SB_PATH_BYTES];
    struct sb_stream_options options;
    sb_wiring_stream(up->config, up->direction, path, &options);
    if (up->capture.found)
        return store_verify(up, &options);
    struct sb_uuid uuid = {{0}};
    struct sb_buf statements;
    sb_buf_init(&statements, 64 * 1024);
    int done = sb_stream_create(&options, &uuid, &statements, up->err);
    if (done == 0 && statements.len == 0)
        done = store_verify(up, &options);
    else if (done == 0)
        done =
            sb_checkup_tell(up, SB_RESULT_INFO, SB_OK, sb_buf_str(&statements), "`prepare` makes the store");
    sb_buf_clear(&statements);
    return done;
}

const struct sb_check sb_check_stream[] = {
    {"stream.state_dir", "the state directory can be written", 0, state_dir_check},
    {"stream.store", "the stream's store is safe", SB_NEED_SOURCE, store_check},
    {NULL, NULL, 0, NULL},
};
