#include "cli/verbs.h"

#include <stdio.h>

const struct sb_opt sb_opts_version[] = {
    {"json", 0, NULL, NULL, "print JSON"},
    {.name = NULL},
};

#ifdef SB_FAULTS
#define FAULT_POINTS true
#else
#define FAULT_POINTS false
#endif

int sb_verb_version(const struct sb_cli *cli, struct sb_err *err)
{
    (void)err;
    if (cli->json)
        printf("{\"version\": \"%s\", \"fault_points\": %s}\n", SB_VERSION, FAULT_POINTS ? "true" : "false");
    else
        printf(
            "switchback %s%s\n", SB_VERSION, FAULT_POINTS ? " (with fault points; not a release build)" : "");
    return 0;
}
