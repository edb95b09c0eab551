/* --help, made from a command's table. No line is longer than CLI_HELP_COLUMNS. */
#include <stdio.h>
#include <string.h>

#include "nearest.h"

#define LEFT_COLUMNS 30 /* of an option's names; longer ones have a line of their own */

static size_t new_line(size_t indent) {
    printf("\n%*s", (int)indent, "");
    return indent;
}

/* Text from column `at` on, broken at spaces and single line ends; later lines begin at column `indent`. Two line ends, and one
   before a space, stay. */
static void wrap(const char *text, size_t at, size_t indent) {
    bool begins = true;
    while (*text) {
        size_t word = strcspn(text, " \n");
        if (!begins && at + 1 + word > CLI_HELP_COLUMNS) {
            at = new_line(indent);
            begins = true;
        }
        printf("%s%.*s", begins ? "" : " ", (int)word, text);
        at += word + !begins;
        begins = false;
        text += word;
        if (*text == '\n' && (text[1] == '\n' || text[1] == ' ')) {
            at = new_line(text[1] == '\n' ? 0 : indent);
            begins = true;
        }
        text += *text != 0;
    }
    putchar('\n');
}

/* Choices that do not fit beside the name come behind the text. */
static bool choices_behind(const cli_option *o) {
    return o->type == CLI_CHOICE && strlen(o->name) + strlen(o->argument) + 9 > LEFT_COLUMNS;
}

static void print_option(const cli_option *o) {
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
    bool fits = strlen(left) <= LEFT_COLUMNS + 2;
    printf(fits ? "%-*s " : "%*s\n", fits ? LEFT_COLUMNS + 2 : 0, left);
    if (!fits)
        printf("%*s", LEFT_COLUMNS + 3, "");
    wrap(right, LEFT_COLUMNS + 3, LEFT_COLUMNS + 3);
}

static void print_examples(const cli_command *c) {
    for (int i = 0; i < CLI_MAX_EXAMPLES && c->examples[i].line; i++) {
        if (i == 0)
            printf("\nExamples:\n");
        printf("  # ");
        wrap(c->examples[i].text, 4, 4);
        printf("  %s\n", c->examples[i].line);
    }
}

static void print_children(const cli_command *c) {
    for (int i = 0; c->children && c->children[i]; i++) {
        printf("%s  %-14s ", i ? "" : "\n", cli_last_word(c->children[i]->name));
        wrap(c->children[i]->summary, 17, 17);
    }
    if (c->children)
        printf("\n`memsafe help %s NAME` explains one.\n", c->name);
}

void cli_print_help(const cli_command *c) {
    printf("usage: memsafe %s ", c->name);
    wrap(c->usage, 16 + strlen(c->name), 15);
    printf("\n%s.\n", c->summary);
    if (c->text) {
        printf("\n");
        wrap(c->text, 0, 0);
    }
    print_children(c);
    print_examples(c);
    for (int i = 0; i < c->n_options; i++) {
        if (c->options[i].name)
            print_option(&c->options[i]);
        else
            printf("\n%s:\n", c->options[i].help);
    }
}
