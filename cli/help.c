/* The table of verbs as text: on the terminal, as docs/CLI.md, as a manual page. */
#include "cli/verbs.h"

#include <stdio.h>
#include <string.h>

/* "check|show", " ID", "": what follows the verb on the command line. */
static void put_usage(struct sb_buf *out, const struct sb_verb *verb)
{
    sb_buf_putf(out, "switchback [-c FILE] %s", verb->name);
    for (const struct sb_sub *sub = verb->subs; sub != NULL && sub->name != NULL; sub++)
        sb_buf_putf(out, "%s%s", sub == verb->subs ? " " : "|", sub->name);
    if (verb->args[0] != '\0')
        sb_buf_putf(out, " %s", verb->args);
    if (verb->options != NULL)
        sb_buf_put_str(out, " [options]");
}

enum { OPTION_TEXT_BYTES = 64 };
/* "-c, --config FILE" */
static const char *option_text(const struct sb_opt *opt, char out[OPTION_TEXT_BYTES])
{
    char letter[8] = "";
    if (opt->letter != 0)
        snprintf(letter, sizeof letter, "-%c, ", opt->letter);
    snprintf(out, OPTION_TEXT_BYTES, "%s--%s%s%s", letter, opt->name, opt->arg == NULL ? "" : " ",
        opt->arg == NULL ? "" : opt->arg);
    return out;
}

/* -- terminal ----------------------------------------------------------------------------------------------
 */

static void put_options(struct sb_buf *out, const struct sb_opt *table)
{
    char text[OPTION_TEXT_BYTES];
    for (const struct sb_opt *opt = table; opt != NULL && opt->name != NULL; opt++) {
        sb_buf_putf(out, "  %-20s  %s", option_text(opt, text), opt->help);
        if (opt->subs != NULL)
            sb_buf_putf(out, " (%s)", opt->subs);
        sb_buf_put_str(out, "\n");
    }
}

void sb_help_all(struct sb_buf *out)
{
    sb_buf_put_str(out, "usage: switchback [-c FILE] VERB [options]\n\nverbs:\n");
    for (const struct sb_verb *verb = sb_verbs; verb->name != NULL; verb++)
        sb_buf_putf(out, "  %-12s  %s\n", verb->name, verb->help);
    sb_buf_put_str(out, "\noptions:\n");
    put_options(out, sb_opts_global);
    sb_buf_put_str(out, "\n`switchback help VERB` describes a verb, `switchback explain ID` an error.\n");
}

void sb_help_verb(const struct sb_verb *verb, struct sb_buf *out)
{
    sb_buf_put_str(out, "usage: ");
    put_usage(out, verb);
    sb_buf_putf(out, "\n\n%s\n", verb->help);
    if (verb->more != NULL)
        sb_buf_putf(out, "\n%s\n", verb->more);
    if (verb->subs != NULL)
        sb_buf_put_str(out, "\n");
    for (const struct sb_sub *sub = verb->subs; sub != NULL && sub->name != NULL; sub++) {
        char text[64];
        snprintf(text, sizeof text, "%s%s%s", sub->name, sub->args[0] == '\0' ? "" : " ", sub->args);
        sb_buf_putf(out, "  %-20s  %s\n", text, sub->help);
    }
    sb_buf_put_str(out, "\noptions:\n");
    put_options(out, verb->options);
    put_options(out, sb_opts_any_verb);
}

/* -- docs/CLI.md -------------------------------------------------------------------------------------------
 */

static const char markdown_head[] =
    "# The command line\n"
    "\n"
    "<!-- Made by `switchback help --markdown` from the tables in cli/; do not edit. -->\n"
    "\n"
    "```\n"
    "switchback [-c FILE] VERB [options]\n"
    "```\n"
    "\n"
    "Data goes to standard output, words to standard error. The configuration is `-c FILE`, else "
    "`$SWITCHBACK_CONFIG`,\n"
    "else `./switchback.yaml`; see [CONFIGURATION.md](CONFIGURATION.md).\n"
    "\n"
    "switchback refuses to run as root (SB-INSECURE), except for the verbs marked so, which touch nothing.\n"
    "\n"
    "| exit code | |\n"
    "|---|---|\n"
    "| 0 | yes, or done |\n"
    "| 1 | the answer is no: a check failed, something differs |\n"
    "| 64 to 78 | an error, with its id on standard error; [ERRORS.md](ERRORS.md) has the code of each |\n"
    "\n"
    "On standard error an error reads:\n"
    "\n"
    "```\n"
    "switchback: SB-CONFIG: switchback.yaml:7: capture.akc: is not a known key; did you mean "
    "\"capture.ack\"?\n"
    "  hint: what to do\n"
    "```\n"
    "\n"
    "Completion for bash: `source <(switchback completion bash)`.\n";

static void markdown_options(struct sb_buf *out, const struct sb_opt *table)
{
    char text[OPTION_TEXT_BYTES];
    for (const struct sb_opt *opt = table; opt != NULL && opt->name != NULL; opt++) {
        sb_buf_putf(out, "- `%s`", option_text(opt, text));
        if (opt->subs != NULL)
            sb_buf_putf(out, " (%s)", opt->subs);
        sb_buf_putf(out, ": %s\n", opt->help);
    }
}

static void markdown_verb(struct sb_buf *out, const struct sb_verb *verb)
{
    sb_buf_putf(out, "\n## %s\n\n```\n", verb->name);
    put_usage(out, verb);
    sb_buf_putf(out, "\n```\n\n%c%s.%s%s%s\n", verb->help[0] - 'a' + 'A', verb->help + 1,
        verb->more == NULL ? "" : " ", verb->more == NULL ? "" : verb->more,
        (verb->flags & SB_VERB_ROOT) != 0 ? " Root may run it." : "");
    if (verb->subs != NULL || verb->options != NULL)
        sb_buf_put_str(out, "\n");
    for (const struct sb_sub *sub = verb->subs; sub != NULL && sub->name != NULL; sub++)
        sb_buf_putf(
            out, "- `%s%s%s`: %s\n", sub->name, sub->args[0] == '\0' ? "" : " ", sub->args, sub->help);
    markdown_options(out, verb->options);
}

void sb_help_markdown(struct sb_buf *out)
{
    sb_buf_put_str(out, markdown_head);
    for (const struct sb_verb *verb = sb_verbs; verb->name != NULL; verb++)
        markdown_verb(out, verb);
}

/* -- docs/switchback.1 -------------------------------------------------------------------------------------
 */

/* Text in roff: no line begins a request, hyphens of options and backslashes are themselves. */
static void man_text(struct sb_buf *out, const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\\')
            sb_buf_put_str(out, "\\e");
        else if (*c == '-')
            sb_buf_put_str(out, "\\-");
        else if ((*c == '.' || *c == '\'') && c == text)
            sb_buf_putf(out, "\\&%c", *c);
        else
            sb_buf_put(out, c, 1);
    }
}

static void man_item(struct sb_buf *out, const char *term, const char *text)
{
    sb_buf_put_str(out, ".TP\n.B ");
    man_text(out, term);
    sb_buf_put_str(out, "\n");
    man_text(out, text);
    sb_buf_put_str(out, "\n");
}

static void man_options(struct sb_buf *out, const struct sb_opt *table)
{
    char text[OPTION_TEXT_BYTES];
    for (const struct sb_opt *opt = table; opt != NULL && opt->name != NULL; opt++)
        man_item(out, option_text(opt, text), opt->help);
}

static void man_verb(struct sb_buf *out, const struct sb_verb *verb)
{
    struct sb_buf usage;
    sb_buf_init(&usage, 4096);
    put_usage(&usage, verb);
    sb_buf_put_str(out, ".SS ");
    man_text(out, sb_buf_str(&usage));
    sb_buf_put_str(out, "\n");
    sb_buf_clear(&usage);
    man_text(out, verb->help);
    sb_buf_put_str(out, "\n");
    if (verb->more != NULL) {
        sb_buf_put_str(out, ".PP\n");
        man_text(out, verb->more);
        sb_buf_put_str(out, "\n");
    }
    for (const struct sb_sub *sub = verb->subs; sub != NULL && sub->name != NULL; sub++) {
        char term[64];
        snprintf(term, sizeof term, "%s%s%s", sub->name, sub->args[0] == '\0' ? "" : " ", sub->args);
        man_item(out, term, sub->help);
    }
    man_options(out, verb->options);
}

void sb_help_man(struct sb_buf *out)
{
    sb_buf_put_str(out, ".\\\" Made by `switchback help --man` from the tables in cli/; do not edit.\n"
                        ".TH SWITCHBACK 1 \"\" \"switchback " SB_VERSION "\" \"User Commands\"\n"
                        ".SH NAME\n"
                        "switchback \\- move a live PostgreSQL workload from an old server to a new one\n"
                        ".SH SYNOPSIS\n"
                        ".B switchback\n"
                        "[\\-c FILE] VERB [options]\n"
                        ".SH OPTIONS\n");
    man_options(out, sb_opts_global);
    sb_buf_put_str(out, ".SH VERBS\n");
    for (const struct sb_verb *verb = sb_verbs; verb->name != NULL; verb++)
        man_verb(out, verb);
    sb_buf_put_str(out, ".SH EXIT STATUS\n");
    man_item(out, "0", "yes, or done");
    man_item(out, "1", "the answer is no: a check failed, something differs");
    man_item(out, "64 to 78", "an error; switchback explain ID says what it means");
    sb_buf_put_str(out, ".SH ENVIRONMENT\n");
    man_item(out, "SWITCHBACK_CONFIG", "the configuration, if -c is not given");
}
