#include "core/metrics.h"

#include "core/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_MAGIC  UINT64_C(0x7362706167650001)
#define PAGE_FORMAT ((uint64_t)SB_METRIC_COUNT << 32 | (uint64_t)SB_STAGE_COUNT << 16 | 1)

struct page_column {
    _Atomic int64_t values[SB_METRIC_COUNT];
    _Atomic uint32_t version; /* odd while report is being written */
    struct sb_stage_report report;
};

struct page_map {
    uint64_t magic;
    uint64_t format;
    struct page_column columns[SB_STAGE_COUNT];
};

struct sb_page {
    struct page_map *map;
};

static struct page_column *own; /* of this process */

static const struct sb_metric_info metric_infos[SB_METRIC_COUNT] = {
#define SB_METRIC(name, prom, type, help) [name] = {prom, type, help},
#include "core/metrics_table.h"
#undef SB_METRIC
};

const struct sb_metric_info *sb_metric_info(enum sb_metric metric)
{
    return &metric_infos[metric];
}

const char *sb_stage_name(enum sb_stage stage)
{
    static const char *const names[] = {"supervisor", "capture-forward", "apply-forward", "capture-reverse",
        "apply-reverse", "reconcile", "copy-forward", "copy-reverse", "sequences"};
    return names[stage];
}

const char *sb_stage_state_name(enum sb_stage_state state)
{
    static const char *const names[] = {
        "absent", "starting", "running", "waiting", "halted", "backoff", "stopped", "done"};
    return names[state];
}

static int page_map_fd(int fd, bool writable, struct sb_page **ret_page, struct sb_err *err)
{
    int prot = PROT_READ | (writable ? PROT_WRITE : 0);
    void *map = mmap(NULL, sizeof(struct page_map), prot, MAP_SHARED, fd, 0);
    int saved = errno;
    close(fd);
    errno = saved;
    if (map == MAP_FAILED)
        return sb_err_errno(err, SB_E_IO, "could not map the metrics page");
    struct sb_page *page = calloc(1, sizeof *page);
    if (page == NULL) {
        munmap(map, sizeof(struct page_map));
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the metrics page");
    }
    page->map = map;
    *ret_page = page;
    return 0;
}

int sb_page_create(const char *path, struct sb_page **ret_page, struct sb_err *err)
{
    char next[4096];
    snprintf(next, sizeof next, "%s.new", path);
    int fd = open(next, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return sb_err_errno(err, SB_E_IO, "could not create \"%s\"", next);
    if (ftruncate(fd, sizeof(struct page_map)) != 0) {
        close(fd);
        return sb_err_errno(err, SB_E_IO, "could not size \"%s\"", next);
    }
    if (page_map_fd(fd, true, ret_page, err) != 0)
        return -1;
    (*ret_page)->map->magic = PAGE_MAGIC;
    (*ret_page)->map->format = PAGE_FORMAT;
    if (rename(next, path) == 0)
        return 0;
    sb_page_close(*ret_page);
    return sb_err_errno(err, SB_E_IO, "could not rename \"%s\" to \"%s\"", next, path);
}

int sb_page_open(const char *path, bool writable, struct sb_page **ret_page, struct sb_err *err)
{
    struct stat st;
    int fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (fd < 0)
        return sb_err_errno(err, SB_E_IO, "could not open the metrics page \"%s\"", path);
    if (fstat(fd, &st) != 0 || (size_t)st.st_size != sizeof(struct page_map)) {
        close(fd);
        return sb_err_set(err, SB_E_STATE_FORMAT, "\"%s\" is not a metrics page of this version", path);
    }
    if (page_map_fd(fd, writable, ret_page, err) != 0)
        return -1;
    if ((*ret_page)->map->magic == PAGE_MAGIC && (*ret_page)->map->format == PAGE_FORMAT)
        return 0;
    sb_page_close(*ret_page);
    return sb_err_set(err, SB_E_STATE_FORMAT, "\"%s\" is not a metrics page of this version", path);
}

void sb_page_close(struct sb_page *page)
{
    if (page == NULL)
        return;
    munmap(page->map, sizeof(struct page_map));
    free(page);
}

void sb_metrics_attach(struct sb_page *page, enum sb_stage stage)
{
    own = page == NULL ? NULL : &page->map->columns[stage];
    if (own != NULL && own->version % 2 == 1)
        own->version++; /* the predecessor died while writing its report */
}

void sb_metric_set(enum sb_metric metric, int64_t value)
{
    if (own != NULL)
        atomic_store_explicit(&own->values[metric], value, memory_order_relaxed);
}

void sb_metric_add(enum sb_metric metric, int64_t delta)
{
    if (own != NULL)
        atomic_fetch_add_explicit(&own->values[metric], delta, memory_order_relaxed);
}

static void report_begin(struct page_column *column)
{
    atomic_fetch_add_explicit(&column->version, 1, memory_order_acq_rel);
}

static void report_end(struct page_column *column)
{
    atomic_fetch_add_explicit(&column->version, 1, memory_order_release);
}

static void copy_text(char *out, size_t cap, const char *text)
{
    size_t len = text == NULL ? 0 : strlen(text);
    size_t take = len < cap ? len : cap - 1;
    if (take > 0)
        memcpy(out, text, take);
    out[take] = '\0';
}

static void report_change(struct sb_stage_report *report, enum sb_stage_state state)
{
    if (report->state != state)
        report->since_wall_us = sb_clock_wall_us();
    report->state = state;
}

void sb_report_state(enum sb_stage_state state, const char *why)
{
    if (own == NULL)
        return;
    if (own->report.state == state && strcmp(own->report.why, why == NULL ? "" : why) == 0 &&
        own->report.err_id[0] == '\0' && own->report.pid == (int32_t)getpid())
        return;
    report_begin(own);
    report_change(&own->report, state);
    own->report.pid = (int32_t)getpid();
    copy_text(own->report.why, sizeof own->report.why, why);
    own->report.err_id[0] = own->report.err_text[0] = own->report.err_hint[0] = '\0';
    report_end(own);
}

void sb_report_err(enum sb_stage_state state, const struct sb_err *err)
{
    if (own == NULL)
        return;
    const struct sb_err_info *info = sb_err_info(err->code);
    report_begin(own);
    report_change(&own->report, state);
    own->report.pid = (int32_t)getpid();
    copy_text(own->report.why, sizeof own->report.why, info->meaning);
    copy_text(own->report.err_id, sizeof own->report.err_id, info->id);
    copy_text(own->report.err_text, sizeof own->report.err_text, err->text);
    copy_text(
        own->report.err_hint, sizeof own->report.err_hint, err->hint[0] != '\0' ? err->hint : info->remedy);
    report_end(own);
}

int64_t sb_page_metric(const struct sb_page *page, enum sb_stage stage, enum sb_metric metric)
{
    return atomic_load_explicit(&page->map->columns[stage].values[metric], memory_order_relaxed);
}

void sb_page_report(const struct sb_page *page, enum sb_stage stage, struct sb_stage_report *ret_report)
{
    const struct page_column *column = &page->map->columns[stage];
    for (int tries = 0; tries < 1000; tries++) {
        uint32_t before = atomic_load_explicit(&column->version, memory_order_acquire);
        *ret_report = column->report;
        atomic_thread_fence(memory_order_acquire);
        if (before % 2 == 0 && before == atomic_load_explicit(&column->version, memory_order_relaxed))
            return;
    }
    /* its writer died in the middle: what is there is the best there is */
}

void sb_page_child(struct sb_page *page, enum sb_stage stage, int32_t pid, enum sb_stage_state state,
    uint32_t restarts, const char *why)
{
    struct page_column *column = &page->map->columns[stage];
    if (column->version % 2 == 1)
        column->version++;
    report_begin(column);
    report_change(&column->report, state);
    column->report.pid = pid;
    column->report.restarts = restarts;
    if (why != NULL) {
        copy_text(column->report.why, sizeof column->report.why, why);
        column->report.err_id[0] = column->report.err_text[0] = column->report.err_hint[0] = '\0';
    }
    report_end(column);
}
