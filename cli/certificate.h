/*
 * The certificate of a compare: a file of JSON that says what was compared, how, and what came of it, so that
 * somebody else can add it up again. The canonical body is its compact form with sorted names; its SHA-256
 * stands behind it. Whoever wants to know that nobody made another one keeps that digest elsewhere.
 */
#ifndef SB_CLI_CERTIFICATE_H
#define SB_CLI_CERTIFICATE_H

#include "config/config.h"
#include "reconcile/verify.h"

#include <jansson.h>

enum { SB_CERTIFICATE_FORMAT = 1, SB_CERTIFICATE_ROW_FORM = 1 };

/* A file that is written whole or not at all: beside path, fsynced, and then given its name. */
struct sb_certificate_file {
    const char *path;
    char temporary[4096];
    int fd; /* -1: none */
};
/* Before there is anything to write, so that it is known in time whether it can be. SB-IO. */
int sb_certificate_open(const char *path, struct sb_certificate_file *ret_file, struct sb_err *err);
/* The outcome has its chunks. Asks the source what no compare covers. SB-IO. */
int sb_certificate_write(struct sb_certificate_file *file, const struct sb_config *config,
    const struct sb_verify_options *options, const struct sb_verify_outcome *outcome, struct sb_err *err);
void sb_certificate_clear(struct sb_certificate_file *file); /* what is not written whole is gone */

/* null unless there was one. */
json_t *sb_certificate_self_test(const struct sb_self_test *test);
/* The file's text of a body, malloc'd; NULL without memory. */
char *sb_certificate_text(json_t *body);

/* Reasons why it is not whole, as an array of sentences; empty: it is. Any bytes may come. SB-IO,
 * SB-NO-MEMORY. */
int sb_certificate_check(const char *path, json_t **ret_reasons, json_t **ret_body, struct sb_err *err);

#endif
