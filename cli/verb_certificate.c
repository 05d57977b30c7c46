/* switchback certificate check FILE: is it whole, and does it add up? */
#include "cli/certificate.h"
#include "cli/steps.h"
#include "cli/verbs.h"
#include "cli/words.h"

#include <stdio.h>

const struct sb_sub sb_subs_certificate[] = {
    {"check", "FILE", "is it as `verify --certificate` wrote it, and does it add up; exit code 1 if not"},
    {.name = NULL},
};
const struct sb_opt sb_opts_certificate[] = {
    {"json", 0, NULL, NULL, "print JSON"},
    {.name = NULL},
};

static const char *text_of(const json_t *body, const char *name)
{
    const char *text = json_string_value(json_object_get(body, name));
    return text == NULL ? "?" : text;
}

static void reasons_print(const json_t *reasons)
{
    const json_t *reason;
    size_t n;
    json_array_foreach(reasons, n, reason)
    {
        sb_words_put(stdout, json_string_value(reason));
        printf("\n");
    }
}

static void whole_print(const json_t *body)
{
    printf("whole: ");
    sb_words_put(stdout, text_of(body, "verdict"));
    printf(", migration ");
    sb_words_put(stdout, text_of(body, "migration"));
    printf(", %zu tables, from ", json_array_size(json_object_get(body, "tables")));
    sb_words_put(stdout, text_of(body, "started"));
    printf(" to ");
    sb_words_put(stdout, text_of(body, "ended"));
    printf("\n");
}

int sb_verb_certificate(const struct sb_cli *cli, struct sb_err *err)
{
    json_t *reasons, *body;
    if (sb_certificate_check(cli->argv[0], &reasons, &body, err) != 0)
        return -1;
    bool whole = json_array_size(reasons) == 0 && body != NULL;
    int rc = 0;
    if (cli->json)
        rc = sb_steps_dump(json_pack("{s:b, s:O, s:s}", "whole", whole, "reasons", reasons, "verdict",
                               body == NULL ? "?" : text_of(body, "verdict")),
            err);
    else if (whole)
        whole_print(body);
    else
        reasons_print(reasons);
    json_decref(reasons);
    json_decref(body);
    return rc != 0 ? -1 : whole ? 0 : 1;
}
