/*
 * The table of options: one row each, from which the parser, `config show`, docs/CONFIGURATION.md and the
 * annotated config/switchback.yaml are made. To add an option, add its field to struct sb_config and its row
 * to config/options.c.
 */
#ifndef SB_CONFIG_OPTIONS_H
#define SB_CONFIG_OPTIONS_H

#include "config/config.h"

enum sb_option_type {      /* and what its field is */
    SB_OPTION_NAME,        /* const char *: the name of a migration */
    SB_OPTION_PATH,        /* const char *: relative ones are taken from the file's own directory */
    SB_OPTION_DSN,         /* struct sb_config_side: a connection string; a password in it is moved out */
    SB_OPTION_SECRET,      /* const char *: written as ${NAME} only */
    SB_OPTION_SECRET_FILE, /* const char *: as SB_OPTION_PATH */
    SB_OPTION_LISTEN,      /* const char *: host:port, or empty */
    SB_OPTION_BOOL,        /* bool */
    SB_OPTION_NUMBER,      /* int64_t, in the unit of its name */
    SB_OPTION_CHOICE,      /* an enum: its choices in order */
    SB_OPTION_WORD,        /* const char *: one of its choices */
    SB_OPTION_PATTERNS,    /* struct sb_config_list, of tables */
    SB_OPTION_RULES,       /* struct sb_config_list, of acceptable differences (schemas/rule.h) */
    SB_OPTION_QUERIES,     /* struct sb_config_pairs: a name and SQL each */
    SB_OPTION_PAIRS,       /* struct sb_config_pairs: anything below it passes through */
};

struct sb_option {
    const char *path; /* "capture.ack" */
    enum sb_option_type type;
    size_t field;      /* offset in struct sb_config */
    const char *value; /* the default as written in YAML; NULL: none */
    int64_t min;       /* a number's value; a list's or map's entries */
    int64_t max;
    const char *unit;           /* of a number: "ms", "s", "h", "bytes", "rows" */
    const char *const *choices; /* NULL at the end */
    const char *example;        /* for the example file, where there is no default; NULL: none */
    bool secret;                /* never shown */
    bool required;
    const char *help; /* whole sentences in Markdown, fit to publish */
};

struct sb_section { /* "capture" of "capture.ack" */
    const char *name;
    const char *help;
};

extern const struct sb_option sb_options[];
extern const size_t sb_options_count;
extern const struct sb_section sb_sections[];
extern const size_t sb_sections_count;

const struct sb_option *sb_option_find(const char *path); /* NULL if there is none */
bool sb_option_is_section(const char *path);
/* The path of the option or section nearest to one that is not known, in its section or, by its last word, in
 * another; NULL if none is near. */
const char *sb_option_nearest(const char *path);
const void *sb_option_field(const struct sb_option *option, const struct sb_config *config);
bool sb_option_is_list(const struct sb_option *option);
/* Does a setting below kafka: hold a secret by its name? Never shown, never written in the file itself. */
bool sb_option_kafka_secret(const char *name);

#endif
