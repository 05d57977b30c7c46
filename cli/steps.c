#include "cli/steps.h"

#include "cli/words.h"

#include <stdio.h>

void sb_steps_print(void *arg, const struct sb_step *step)
{
    (void)arg;
    printf("-- %s: %s\n", sb_place_name(step->place), step->what);
    sb_words_put_lines(stdout, "", step->sql);
    putchar('\n');
    fflush(stdout); /* the next step may take long */
}

json_t *sb_steps_json(const struct sb_script *script)
{
    json_t *steps = json_array();
    for (size_t i = 0; i < script->count; i++)
        json_array_append_new(
            steps, json_pack("{s:s, s:s, s:s}", "place", sb_place_name(script->steps[i].place), "what",
                       script->steps[i].what, "statements", script->steps[i].sql));
    return steps;
}

int sb_steps_dump(json_t *answer, struct sb_err *err)
{
    int written = answer == NULL ? -1 : json_dumpf(answer, stdout, JSON_INDENT(2));
    json_decref(answer);
    putchar('\n');
    return written < 0 ? sb_err_set(err, SB_E_NO_MEMORY, "no memory for the answer") : 0;
}
