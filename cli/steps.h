/* How prepare and remove show the steps of a script: for people as they are done, or as JSON at the end. */
#ifndef SB_CLI_STEPS_H
#define SB_CLI_STEPS_H

#include "setup/script.h"

#include <jansson.h>

/* A script's on_step: "source: make the replication slot", the statements below it. */
void sb_steps_print(void *arg, const struct sb_step *step);
/* A new array; NULL without memory. */
json_t *sb_steps_json(const struct sb_script *script);
/* Prints and lets go of an answer; -1 if it is NULL or stdout is gone. */
int sb_steps_dump(json_t *answer, struct sb_err *err);

#endif
