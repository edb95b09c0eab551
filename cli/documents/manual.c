#include "documents/manual.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "commands/commands.h"
#include "memsafe/library.h"

/* Source lines are filled to this, which is all that mandoc's lint lets pass. */
#define COLUMNS 78

/* One character as roff takes it. code: a dash is to be typed, so it is no hyphen. */
static int put(int character, bool code) {
    switch (character) {
    case '\\':
        return printf("\\e");
    case '~':
        return printf("\\(ti");
    case '^':
        return printf("\\(ha");
    case '\'':
        return printf("\\(aq");
    case '-':
        return printf(code ? "\\-" : "-");
    }
    return printf("%c", character);
}

/* Whether a word is to be typed as it stands: an option, a path, a number with its sign. */
static bool is_code(const char *word, size_t length) {
    size_t open = strspn(word, "([\"");
    return (open < length && word[open] == '-') || memchr(word, '/', length) || memchr(word, '=', length);
}

/* Words are filled into lines from column `at` on, `code` becomes bold, two line ends a paragraph, a line end
   before a space a break. typed: all of it is to be typed as it stands. */
static void put_words(const char *text, int at, bool typed) {
    bool bold = false;
    while (*text) {
        size_t length = strcspn(text, " \n");
        if (at > 0 && length > 0 && at + 1 + (int)length > COLUMNS) {
            printf("\n");
            at = 0;
        } else if (at > 0 && length > 0) {
            at += printf(" ");
        }
        if (at == 0 && (*text == '.' || *text == '\''))
            at += printf("\\&");
        bool code = typed || is_code(text, length);
        if (code && length > 0)
            at += printf("\\%%"); /* no hyphen is put into it */
        for (size_t i = 0; i < length; i++) {
            if (text[i] == '`')
                at += printf((bold = !bold) ? "\\fB" : "\\fR");
            else
                at += put(text[i], code || bold);
        }
        text += length;
        if (*text == '\n' && (text[1] == '\n' || text[1] == ' ')) {
            printf("%s%s\n", at ? "\n" : "", text[1] == '\n' ? ".PP" : ".br");
            at = 0;
            text++;
        }
        text += *text != 0;
    }
    printf("%s", at ? "\n" : "");
}

/* Running text. */
static void put_text(const char *text) {
    put_words(text, 0, false);
}

/* As it is typed. */
static void put_code(const char *text) {
    while (*text)
        put(*text++, true);
}

static void put_line(const char *before, const char *text, const char *after) {
    printf("%s", before);
    put_code(text);
    printf("%s\n", after);
}

/* memsafe, memsafe-run. */
static void put_page_name(const char *command, bool upper) {
    char name[64];
    snprintf(name, sizeof(name), "memsafe%s%s", command ? "-" : "", command ? command : "");
    for (char *at = name; *at; at++)
        *at = upper ? (char)toupper((unsigned char)*at) : *at;
    put_code(name);
}

static void put_page_link(const char *command, const char *after) {
    printf("\\%%\\fB");
    put_page_name(command, false);
    printf("\\fR(1)%s\n", after);
}

static void put_title(const char *command, const char *summary) {
    printf(".\\\" Made by `memsafe help --man` from the tables of options.\n.TH ");
    put_page_name(command, true);
    printf(" 1 %s \"memsafe %s\" \"memsafe manual\"\n.SH NAME\n", MS_RELEASE_DATE, ms_version());
    put_page_name(command, false);
    printf(" \\-");
    put_words(summary, COLUMNS / 2, false);
    printf(".SH SYNOPSIS\n");
}

static void put_usage(const cli_command *c) {
    put_line("\\fBmemsafe ", c->name, "\\fR");
    put_words(c->usage, 0, true);
}

static void put_option(const cli_option *o) {
    bool alone = o->type == CLI_COUNT_OR_ALONE;
    printf(".TP\n\\fB");
    if (o->letter) {
        put_code("-");
        put_code(o->letter);
        printf("\\fR, \\fB");
    }
    put_code("--");
    put_code(o->name);
    printf("\\fR");
    if (o->type != CLI_FLAG)
        put_line(alone ? " [\\fI" : " \\fI", o->argument, alone ? "\\fR]" : "\\fR");
    else
        printf("\n");
    put_text(o->help);
}

static void put_options(const cli_command *c) {
    for (int i = 0; i < c->n_options; i++) {
        if (c->options[i].name)
            put_option(&c->options[i]);
        else if (strcmp(c->options[i].help, "Options") != 0)
            put_line(".SS ", c->options[i].help, "");
    }
    if (c->also) {
        printf(".PP\nAnd all options of\n");
        put_page_link(c->also->name, ".");
    }
}

static void put_examples(const cli_command *c) {
    for (int i = 0; i < CLI_MAX_EXAMPLES && c->examples[i].line; i++) {
        printf(i == 0 ? ".SH EXAMPLES\n" : ".PP\n");
        put_text(c->examples[i].text);
        put_line(".PP\n.RS 4\n.nf\n\\fB", c->examples[i].line, "\\fR\n.fi\n.RE");
    }
}

static void put_sentence(const char *words) {
    char sentence[256];
    snprintf(sentence, sizeof(sentence), "%s.", words);
    put_text(sentence);
}

static void put_description(const cli_command *c) {
    put_sentence(c->summary);
    if (c->text) {
        printf(".PP\n");
        put_text(c->text);
    }
}

static void print_command(const cli_command *c) {
    put_title(c->name, c->summary);
    put_usage(c);
    printf(".SH DESCRIPTION\n");
    put_description(c);
    if (c->n_options)
        printf(".SH OPTIONS\n");
    put_options(c);
    put_examples(c);
    printf(".SH \"EXIT STATUS\"\n0 on success; what else there is, memsafe(1) lists.\n.SH \"SEE ALSO\"\n");
    put_page_link(NULL, "");
}

/* What the environment says; what only tests use is not there. */
static const struct {
    const char *name, *text;
} variables[] = {
    {"MEMSAFE_MODEL", "The model folder where --model names none."},
    {"MEMSAFE_DEMO_MODEL",
     "The folder of the demo model, which `--demo` asks for, where it does not lie beside the program."},
    {"MEMSAFE_HISTORY",
     "The file that keeps what runs were predicted to take and took; `off` keeps none. Without it: "
     "$XDG_STATE_HOME/memsafe/history.db, else ~/.local/state/memsafe/history.db."},
    {"MEMSAFE_PLUGIN_DIR",
     "A folder with back ends, memsafe-NAME.so. It is looked into first; then that of the command, then "
     "memsafe in the folder of libraries. `memsafe doctor` lists what is there, or where it looked."},
    {"MEMSAFE_PROFILE", "The tier of the memory profile where --profile names none."},
    {"MEMSAFE_FIELD", "Any field of the profile, by its name in upper case, like MEMSAFE_VAE_TILING=off; "
                      "`memsafe probe --fields` lists them."},
    {"MEMSAFE_ISA", "c, avx2 or avx512: the instruction set of the kernels, where it is not to be the best. "
                    "The result is the same."},
    {"XDG_DATA_HOME", "Models are looked for in its memsafe/models, else in ~/.local/share/memsafe/models."},
    {"TMPDIR", "Where a run that writes frame by frame keeps the faces that it found (else /tmp)."},
    {"COLUMNS", "The width of what is printed where that is no terminal."},
};

static void print_overview(void) {
    put_title(NULL, "LatentSync lip sync that fits the memory it is given");
    printf("\\fBmemsafe\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]\n.br\n\\fBmemsafe help\\fR "
           "[\\fICOMMAND\\fR]\n.SH DESCRIPTION\n");
    put_text("memsafe takes a video of somebody who talks and a speech track, and redraws the mouth so that "
             "it follows the speech. "
             "It plans every byte before it starts, keeps the memory budget that it is given, and makes the "
             "same frames whatever "
             "the budget and the number of threads.");
    printf(".SH COMMANDS\n");
    for (int i = 0; cli_commands[i]; i++) {
        printf(".TP\n");
        put_page_link(cli_commands[i]->name, "");
        put_sentence(cli_commands[i]->summary);
    }
    printf(".SH \"EXIT STATUS\"\n");
#define X(name, value, exit_code, text) printf(".TP 5\n%d\n%s\n", exit_code, text);
    MS_STATUS_MAP(X)
#undef X
    printf(".SH ENVIRONMENT\n");
    for (int i = 0; i < CLI_COUNT(variables); i++) {
        put_line(".TP\n\\fB", variables[i].name, "\\fR");
        put_text(variables[i].text);
    }
    printf(".SH \"SEE ALSO\"\n");
    for (int i = 0; cli_commands[i]; i++)
        put_page_link(cli_commands[i]->name, ",");
    put_page_link("fetch-models", "");
}

void cli_print_manual(const cli_command *command) {
    if (command)
        print_command(command);
    else
        print_overview();
}
