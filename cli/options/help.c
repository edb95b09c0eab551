/* --help, made from a command's table. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "console/console.h"
#include "options/nearest.h"

#define LEFT_COLUMNS 30 /* of an option's names; longer ones have a line of their own */
/* In narrower lines there is no room beside the names: what is said of them stands below. */
#define COLUMNS_WITH_LEFT 70
#define BELOW_COLUMNS 8

/* Not wider than is easy to read, and on a terminal that is narrower than any, as on the narrowest. */
int cli_help_columns(void) {
    int columns = cli_columns(STDOUT_FILENO);
    return columns < CLI_HELP_LEAST_COLUMNS  ? CLI_HELP_LEAST_COLUMNS
           : columns > CLI_HELP_MOST_COLUMNS ? CLI_HELP_MOST_COLUMNS
                                             : columns;
}

static size_t new_line(const char *before, size_t indent) {
    printf("%s\n%*s", before, (int)indent, "");
    return indent;
}

/* Text from column `at` on, broken at spaces and single line ends; later lines begin at column
   `indent`. Two line ends, and one before a space, stay. before: what a broken line ends with. */
static void wrap_with(const char *text, size_t at, size_t indent, size_t columns, const char *before) {
    bool begins = true;
    columns -= strlen(before);
    while (*text) {
        size_t word = strcspn(text, " \n");
        if (!begins && at + 1 + word > columns) {
            at = new_line(before, indent);
            begins = true;
        }
        printf("%s%.*s", begins ? "" : " ", (int)word, text);
        at += word + !begins;
        begins = false;
        text += word;
        if (*text == '\n' && (text[1] == '\n' || text[1] == ' ')) {
            at = new_line("", text[1] == '\n' ? 0 : indent);
            begins = true;
        }
        text += *text != 0;
    }
    putchar('\n');
}

static void wrap(const char *text, size_t at, size_t indent, int columns) {
    wrap_with(text, at, indent, (size_t)columns, "");
}

/* Choices that do not fit beside the name come behind the text. */
static bool choices_behind(const cli_option *o) {
    return o->type == CLI_CHOICE && strlen(o->name) + strlen(o->argument) + 9 > LEFT_COLUMNS;
}

static void print_option(const cli_option *o, int columns) {
    char left[256], right[1024];
    bool flag = o->type == CLI_FLAG, alone = o->type == CLI_COUNT_OR_ALONE, behind = choices_behind(o);
    char letter[16] = "";
    if (o->letter)
        snprintf(letter, sizeof(letter), "-%s,", o->letter);
    snprintf(left, sizeof(left), "  %-4s --%s%s%s%s", letter, o->name,
             flag    ? ""
             : alone ? " ["
                     : " ",
             flag     ? ""
             : behind ? "WHAT"
                      : o->argument,
             alone ? "]" : "");
    int n = snprintf(right, sizeof(right), "%s", o->help);
    if (behind)
        snprintf(right + n, sizeof(right) - (size_t)n, ": %s", o->argument);
    for (char *at = right + n; behind && *at; at++)
        if (*at == '|')
            *at = ' ';
    int indent = columns < COLUMNS_WITH_LEFT ? BELOW_COLUMNS : LEFT_COLUMNS + 3;
    bool fits = columns >= COLUMNS_WITH_LEFT && strlen(left) <= LEFT_COLUMNS + 2;
    printf(fits ? "%-*s " : "%*s\n", fits ? LEFT_COLUMNS + 2 : 0, left);
    if (!fits)
        printf("%*s", indent, "");
    wrap(right, (size_t)indent, (size_t)indent, columns);
}

/* A shell takes a line that goes on behind a backslash for one. */
void cli_print_example(const cli_example *e, int columns) {
    printf("  # ");
    wrap_with(e->text, 4, 4, (size_t)columns, "");
    printf("  ");
    wrap_with(e->line, 2, 6, (size_t)columns, " \\");
}

static void print_examples(const cli_command *c, int columns) {
    for (int i = 0; i < CLI_MAX_EXAMPLES && c->examples[i].line; i++) {
        if (i == 0)
            printf("\nExamples:\n");
        cli_print_example(&c->examples[i], columns);
    }
}

void cli_print_summary(const char *name, const char *summary, int columns) {
    size_t left = columns < COLUMNS_WITH_LEFT ? 13 : 15;
    printf("  %-*s ", (int)left - 3, name);
    wrap(summary, left, left, columns);
}

static void print_children(const cli_command *c, int columns) {
    if (c->children)
        putchar('\n');
    for (int i = 0; c->children && c->children[i]; i++)
        cli_print_summary(cli_last_word(c->children[i]->name), c->children[i]->summary, columns);
    if (c->children)
        printf("\n`%s NAME --help` explains one.\n", c->name);
}

void cli_print_help(const cli_command *c, int columns) {
    printf("usage: %s%s ", cli_before(c), c->name);
    wrap(c->usage, 8 + strlen(cli_before(c)) + strlen(c->name),
         columns < COLUMNS_WITH_LEFT ? BELOW_COLUMNS : 15, columns);
    char summary[256];
    snprintf(summary, sizeof(summary), "%s.", c->summary);
    printf("\n");
    wrap(summary, 0, 0, columns);
    if (c->text) {
        printf("\n");
        wrap(c->text, 0, 0, columns);
    }
    print_children(c, columns);
    print_examples(c, columns);
    for (int i = 0; i < c->n_options; i++) {
        if (c->options[i].name)
            print_option(&c->options[i], columns);
        else
            printf("\n%s:\n", c->options[i].help);
    }
    if (!c->also)
        return;
    char also[128];
    snprintf(also, sizeof(also), "And all options of `memsafe %s`: see `memsafe help %s`.", c->also->name,
             c->also->name);
    printf("\n");
    wrap(also, 0, 0, columns);
}
