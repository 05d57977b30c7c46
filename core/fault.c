#include "core/fault.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *const sb_fault_names[] = {
#define SB_FAULT_POINT(name) name,
#include "core/fault_table.h"
#undef SB_FAULT_POINT
    NULL,
};

#ifdef SB_FAULTS

enum { FAULTS_ARMED_MAX = 8 };
enum fault_kind { FAULT_KILL, FAULT_FREEZE, FAULT_DELAY };

struct armed {
    char name[48];
    enum fault_kind kind;
    long nth; /* the passage at which it strikes */
    long delay_ms;
    long passed;
};

static struct armed armed[FAULTS_ARMED_MAX];
static size_t armed_count;

static int arm(const char *spec, struct sb_err *err)
{
    static const char *const kinds[] = {"kill", "freeze", "delay"};
    char kind[16] = "";
    struct armed *next = &armed[armed_count];
    if (armed_count == FAULTS_ARMED_MAX)
        return sb_err_set(err, SB_E_CONFIG, "SB_FAULT arms more than %d points", FAULTS_ARMED_MAX);
    *next = (struct armed){.nth = 1};
    if (sscanf(spec, "%47[^:]:%15[^:]:%ld:%ld", next->name, kind, &next->nth, &next->delay_ms) < 2)
        return sb_err_set(err, SB_E_CONFIG, "SB_FAULT: \"%s\" is not name:kind[:nth[:ms]]", spec);
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(kinds[i], kind) != 0)
            continue;
        next->kind = (enum fault_kind)i;
        for (const char *const *name = sb_fault_names; *name != NULL; name++) {
            if (strcmp(*name, next->name) == 0) {
                armed_count++;
                return 0;
            }
        }
        return sb_err_set(err, SB_E_CONFIG, "SB_FAULT: there is no fault point \"%s\"", next->name);
    }
    return sb_err_set(err, SB_E_CONFIG, "SB_FAULT: kind \"%s\" is not kill, freeze or delay", kind);
}

int sb_fault_init(struct sb_err *err)
{
    const char *spec = getenv("SB_FAULT");
    char copy[512], *save = NULL;
    if (spec == NULL)
        return 0;
    snprintf(copy, sizeof copy, "%s", spec);
    for (char *one = strtok_r(copy, ",", &save); one != NULL; one = strtok_r(NULL, ",", &save))
        if (arm(one, err) != 0)
            return -1;
    return 0;
}

static void strike(const struct armed *fault)
{
    struct timespec pause = {.tv_sec = fault->delay_ms / 1000, .tv_nsec = fault->delay_ms % 1000 * 1000000};
    switch (fault->kind) {
    case FAULT_KILL:
        raise(SIGKILL);
        return;
    case FAULT_FREEZE:
        raise(SIGSTOP);
        return;
    case FAULT_DELAY:
        while (nanosleep(&pause, &pause) != 0 && errno == EINTR) {
        }
        return;
    }
}

void sb_fault_pass(const char *name)
{
    for (size_t i = 0; i < armed_count; i++)
        if (strcmp(armed[i].name, name) == 0 && ++armed[i].passed == armed[i].nth)
            strike(&armed[i]);
}

#endif
