#include "core/log.h"

#include "core/bytes.h"
#include "core/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOG_LINE_BYTES = 8 * 1024, LOG_WAIT_MS = 200 };

static enum sb_log_format log_format = SB_LOG_LOGFMT;
static enum sb_log_level log_least = SB_LOG_INFO;
static const char *log_stage = "";
static uint64_t log_dropped;
static int log_fd = STDERR_FILENO;
static bool log_to_socket;

static const char *const level_names[] = {"debug", "info", "warning", "error"};

/*
 * O_NONBLOCK belongs to the open file, which stderr shares with the shell and whoever else writes there. So a
 * pipe is opened once more, for us alone; a socket (journald's) cannot be, but send takes the flag by call.
 * Terminals and files are written to as they are.
 */
static void open_own(void)
{
    struct stat st;
    if (log_fd != STDERR_FILENO)
        close(log_fd);
    log_fd = STDERR_FILENO;
    log_to_socket = false;
    if (fstat(STDERR_FILENO, &st) != 0)
        return;
    log_to_socket = S_ISSOCK(st.st_mode);
    if (!S_ISFIFO(st.st_mode))
        return;
    int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0)
        log_fd = fd;
}

void sb_log_init(enum sb_log_format format, enum sb_log_level least, const char *stage)
{
    open_own();
    log_format = format;
    log_least = least;
    log_stage = stage;
}

uint64_t sb_log_dropped(void)
{
    return log_dropped;
}

const char *sb_lsn_text(uint64_t lsn, char out[SB_LSN_TEXT_BYTES])
{
    snprintf(out, SB_LSN_TEXT_BYTES, "%" PRIX32 "/%" PRIX32, (uint32_t)(lsn >> 32), (uint32_t)lsn);
    return out;
}

bool sb_lsn_parse(const char *text, uint64_t *ret_lsn)
{
    const char *slash = strchr(text, '/');
    if (slash == NULL || slash == text || slash - text > 8 || slash[1] == '\0' || strlen(slash + 1) > 8)
        return false;
    if (strspn(text, "0123456789abcdefABCDEF") != (size_t)(slash - text) ||
        strspn(slash + 1, "0123456789abcdefABCDEF") != strlen(slash + 1))
        return false;
    *ret_lsn = (uint64_t)strtoul(text, NULL, 16) << 32 | (uint64_t)strtoul(slash + 1, NULL, 16);
    return true;
}

/* Both forms quote the same way: backslash, quote and control characters are escaped. */
static void put_quoted(struct sb_buf *line, const char *text)
{
    sb_buf_put_u8(line, '"');
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\')
            sb_buf_putf(line, "\\%c", *at);
        else if (*at == '\n')
            sb_buf_put_str(line, "\\n");
        else if (*at < 0x20 || *at == 0x7f)
            sb_buf_putf(line, "\\u%04x", *at);
        else
            sb_buf_put_u8(line, *at);
    }
    sb_buf_put_u8(line, '"');
}

static void put_pair(struct sb_buf *line, const char *name, const char *value, bool quoted)
{
    if (log_format == SB_LOG_JSON) {
        sb_buf_put_str(line, line->len <= 1 ? "" : ",");
        put_quoted(line, name);
        sb_buf_put_u8(line, ':');
    } else {
        sb_buf_putf(line, "%s%s=", line->len == 0 ? "" : " ", name);
        quoted = quoted && (value[0] == '\0' || strpbrk(value, " =\"\\\n\t\r\033") != NULL);
    }
    if (quoted)
        put_quoted(line, value);
    else
        sb_buf_put_str(line, value);
}

static void put_field(struct sb_buf *line, const struct sb_field *field)
{
    char text[64];
    switch (field->type) {
    case SB_FIELD_STR:
        put_pair(line, field->name, field->str == NULL ? "" : field->str, true);
        return;
    case SB_FIELD_NUM:
        snprintf(text, sizeof text, "%" PRId64, field->num);
        put_pair(line, field->name, text, false);
        return;
    case SB_FIELD_LSN:
        put_pair(line, field->name, sb_lsn_text((uint64_t)field->num, text), true);
        return;
    case SB_FIELD_REAL:
        snprintf(text, sizeof text, "%.3f", field->real);
        put_pair(line, field->name, text, false);
        return;
    }
}

static ssize_t write_once(const struct sb_buf *line)
{
    if (log_to_socket)
        return send(STDERR_FILENO, line->ptr, line->len, MSG_DONTWAIT | MSG_NOSIGNAL);
    return write(log_fd, line->ptr, line->len);
}

static void write_line(const struct sb_buf *line)
{
    for (;;) {
        if (write_once(line) >= 0)
            return;
        if (errno == EINTR)
            continue;
        struct pollfd ready = {.fd = log_fd, .events = POLLOUT};
        if (errno != EAGAIN || poll(&ready, 1, LOG_WAIT_MS) <= 0) {
            log_dropped++;
            return;
        }
    }
}

void sb_log_write(enum sb_log_level level, const char *text, const struct sb_field *fields)
{
    if (level < log_least)
        return;
    struct sb_buf line SB_CLEANUP(sb_buf_clear);
    char at[SB_TIME_TEXT_BYTES], pid[16];
    sb_buf_init(&line, LOG_LINE_BYTES);
    if (log_format == SB_LOG_JSON)
        sb_buf_put_u8(&line, '{');
    put_pair(&line, "ts", sb_clock_text(sb_clock_wall_us(), at), true);
    put_pair(&line, "level", level_names[level], true);
    put_pair(&line, "stage", log_stage, true);
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    put_pair(&line, "pid", pid, false);
    put_pair(&line, "msg", text, true);
    for (; fields->name != NULL; fields++)
        put_field(&line, fields);
    if (log_format == SB_LOG_JSON)
        sb_buf_put_u8(&line, '}');
    sb_buf_put_u8(&line, '\n');
    if (line.failed)
        log_dropped++;
    else
        write_line(&line);
}

void sb_log_err(enum sb_log_level level, const struct sb_err *err, const char *consequence)
{
    const struct sb_err_info *info = sb_err_info(err->code);
    const char *hint = err->hint[0] != '\0' ? err->hint : info->remedy;
    struct sb_field fields[7];
    size_t n = 0;
    fields[n++] = SB_STR("error", info->id);
    fields[n++] = SB_STR("class", sb_class_name(info->klass));
    if (err->sqlstate[0] != '\0')
        fields[n++] = SB_STR("sqlstate", err->sqlstate);
    if (err->lib_code != 0)
        fields[n++] = SB_NUM("code", err->lib_code);
    fields[n++] = SB_STR("then", consequence);
    fields[n++] = SB_STR("hint", hint);
    fields[n] = SB_FIELD_END;
    sb_log_write(level, err->text, fields);
}
