/*
 * Command-line options, declared in one table per command: the parser, --help, the
 * manual page and the shells' completion are made from it. An option that is not in
 * a command's table is an error, so nothing is parsed and ignored.
 */
#ifndef MS_CLI_OPTIONS_H
#define MS_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memsafe/status.h"

typedef enum cli_type {
    CLI_FLAG,           /* bool */
    CLI_TEXT,           /* const char * */
    CLI_INT,            /* int, within min..max */
    CLI_NUMBER,         /* double, within min..max */
    CLI_U64,            /* uint64_t: decimal, or hexadecimal with 0x */
    CLI_TIME,           /* int64_t, microseconds, at least min: seconds or [HH:]MM:SS, with decimals */
    CLI_COUNT_OR_ALONE, /* int, within min..max: the value may be left out, and is -1 then */
    CLI_BYTES,          /* uint64_t: 8G, 1500M, 64K, plain bytes; not 0 */
    CLI_CHOICE,         /* int: index into choices, separated by '|' */
    CLI_LIST,           /* cli_list: may be given several times */
} cli_type;

#define CLI_LIST_MAX 64

typedef struct cli_list {
    const char *items[CLI_LIST_MAX];
    int count;
} cli_list;

typedef struct cli_option {
    const char *name;   /* without the dashes; NULL: a heading, see CLI_GROUP */
    const char *letter; /* after one dash, like "o" or "ss"; NULL = none. The same in every command */
    cli_type type;
    size_t offset;        /* of the field in the command's struct */
    const char *argument; /* name of the value in --help; for CHOICE the choices */
    const char *help;     /* one sentence; --help breaks it into lines */
    double min, max;      /* INT and NUMBER; both 0 = no bound: that is said where the number is used */
} cli_option;

/* A line of the table that begins a group: its title in --help. The first line of every table is one. */
#define CLI_GROUP(title)                                                                                     \
    { NULL, NULL, CLI_FLAG, 0, NULL, title, 0, 0 }

/* A command line that works, and what it is for. */
typedef struct cli_example {
    const char *line; /* "memsafe run -i ..." */
    const char *text;
} cli_example;
#define CLI_MAX_EXAMPLES 8

typedef struct cli_command {
    const char *name;    /* a program's command has the program's name before its own: "memsafe-stage unet" */
    const char *summary; /* one line */
    const char *usage;   /* what follows the name: "--video FILE --audio FILE -o FILE" */
    const char *text;    /* paragraph for --help, or NULL; "\n" begins a line */
    cli_example examples[CLI_MAX_EXAMPLES]; /* the first without a line ends them */
    const cli_option *options;
    int n_options;
    /* Another command whose options it has besides, or NULL: its state begins with that one's. */
    const struct cli_command *also;
    int min_arguments, max_arguments; /* words that are no options */
    size_t state_bytes;               /* of the struct that the options fill */
    void (*defaults)(void *state);    /* NULL = all zero */
    /* Returns the process's exit code. */
    int (*run)(const void *state, char **arguments, int n_arguments);
    /* A program whose commands are these, NULL-terminated (program.h); it has no run. */
    const struct cli_command *const *children;
} cli_command;

/* Finds the command that argv[0] names among `commands` (or, in a program, argv[1]
   among its children), parses the rest and runs it. Returns the exit code. */
int cli_dispatch(const cli_command *const *commands, int argc, char **argv);

/* What is typed before a command's name, "memsafe " or nothing; and what is typed for its help. */
const char *cli_before(const cli_command *command);
#define CLI_HELP_WORDS_BYTES 96
const char *cli_help_words(const cli_command *command, char ret_words[CLI_HELP_WORDS_BYTES]);

/* Fills state; arguments that are no options are moved to the front of argv and counted. MS_CANCELLED means
   that --help was printed. */
ms_status cli_parse(const cli_command *command, int argc, char **argv, void *state, int *ret_arguments,
                    ms_error *err);

/* The same, and *ret_owners[i]: the option that argv[i] named, was the value of, or NULL: it is none of an
   option. [argc] of them, by the places that the words had before. */
ms_status cli_parse_owned(const cli_command *command, int argc, char **argv, void *state,
                          const cli_option **ret_owners, int *ret_arguments, ms_error *err);

/* In lines of at most so many columns; a word that is longer stays whole. */
void cli_print_help(const cli_command *command, int columns);

/* Of the overview. */
void cli_print_summary(const char *name, const char *summary, int columns);

/* The line as a shell takes it, below what it is for. */
void cli_print_example(const cli_example *example, int columns);

/* Columns of --help: the terminal's, within bounds. */
#define CLI_HELP_LEAST_COLUMNS 40
#define CLI_HELP_MOST_COLUMNS 100
int cli_help_columns(void);

/* Its own options and headings, then those of `also`; NULL behind the last. */
const cli_option *cli_option_at(const cli_command *command, int index);

/* The option of that name or letter, NULL when the command has none. */
const cli_option *cli_find_option(const cli_command *command, const char *name, size_t length);
const cli_option *cli_find_letter(const cli_command *command, const char *letter, size_t length);

/* Tells the error ("memsafe: ..." on stderr, or a JSON event: console.h) and returns its exit code. */
int cli_fail(const ms_error *err);

#define CLI_COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

#endif
