/*
 * What the command tells people and programs while it works. Everything goes through
 * here, so that a message never lands in the progress line, and so that `--progress
 * json` is JSON on stderr to its last line: docs/progress.md has its schema.
 */
#ifndef CLI_CONSOLE_H
#define CLI_CONSOLE_H

#include "memsafe/run.h"
#include "options/options.h"
#include "text/json.h"

typedef enum cli_progress_mode {
    /* A bar on a terminal (lines now and then on a dumb one), else a line with each tenth of long work */
    CLI_PROGRESS_AUTO,
    CLI_PROGRESS_BAR,
    CLI_PROGRESS_JSON,
    CLI_PROGRESS_NONE,
} cli_progress_mode;

/* What the options -q, -v and --progress ask for. */
typedef struct cli_console_options {
    int progress; /* cli_progress_mode */
    bool quiet, verbose;
} cli_console_options;

#define CLI_CONSOLE_OPTIONS(state, field, quiet_help)                                                        \
    {"progress",                                                                                             \
     0,                                                                                                      \
     CLI_CHOICE,                                                                                             \
     offsetof(state, field.progress),                                                                        \
     "auto|bar|json|none",                                                                                   \
     "auto: a bar on a terminal, else a line now and then; json: lines for programs on stderr "              \
     "(docs/progress.md)",                                                                                   \
     0,                                                                                                      \
     0},                                                                                                     \
        {"quiet",  "q",                                                                                      \
         CLI_FLAG, offsetof(state, field.quiet),                                                             \
         NULL,     quiet_help "; of -q and -v the last counts",                                              \
         0,        0},                                                                                       \
    {                                                                                                        \
        "verbose", "v", CLI_FLAG, offsetof(state, field.verbose), NULL,                                      \
            "say also how the memory is used: tier, rung, budget, caches", 0, 0                              \
    }

/* Before the options are read: with `--progress json` among them their errors are told as JSON too. */
void cli_console_look(int argc, char **argv);
void cli_console_begin(const cli_console_options *options);

/* The words behind the command's name, as they were given; not changed by parsing. keep: these are they, in
   place of what main() got. */
char *const *cli_typed_words(int *ret_count);
void cli_keep_typed_words(int count, char **words);

/* The command as it was given, fit for a shell; "memsafe ..." when it is too long to be repeated. */
const char *cli_command_line(void);
/* The same of another command, "memsafe run --part auto OUT": the program as it was typed, words as they are,
   and the last one, which may need quotes. It holds until the next call. */
const char *cli_command_of(const char *words, const char *last);

bool cli_console_is_json(void);
bool cli_console_is_verbose(void);
double cli_console_seconds(void); /* since cli_console_look() */

/* Of the terminal that a stream is, else $COLUMNS, else 80. */
int cli_columns(int fd);

/* Where tables have no room: what they say comes as "name: value". */
bool cli_is_narrow(void);

/* The same of a table that is so wide. */
bool cli_is_narrower(int columns);

/* Lines that are to be copied are never broken: to stderr as cli_tell(), to stdout as cli_say(). */
void cli_tell_command(const char *before, const char *command, const char *after);
void cli_say_command(const char *before, const char *command);

/* Results for people, to stdout; nothing with -q or JSON. */
void cli_say(const char *fmt, ...) MS_PRINTF(1, 2);

/* What a command was asked to print, to stdout whatever the options: also in lines of a terminal's width. */
void cli_print(const char *fmt, ...) MS_PRINTF(1, 2);
/* A whole answer; for programs as it is. */
void cli_print_all(const char *text, bool json);

/* "memsafe: ..." to stderr, a warning event in JSON, nothing with -q. code: stays the same for programs. */
void cli_warn(const char *code, const char *fmt, ...) MS_PRINTF(2, 3);

/* The same with a word before it, like "note: ", which is JSON's "kind". */
void cli_warn_as(const char *before, const char *code, const char *fmt, ...) MS_PRINTF(3, 4);

/* Before an error that is to stand behind what was printed. */
void cli_flush_now(void);

/* What was printed goes out. 0, or errno of what kept any of it from being written;
   EPIPE: nobody reads it; -1: stdio lost the number. */
int cli_flush_output(void);

/* As cli_say() but to stderr and with -q too: what belongs to an error. Nothing in JSON. */
void cli_tell(const char *fmt, ...) MS_PRINTF(1, 2);

/* Progress, as often as one likes: shown five times a second at most. It is ms_run_params.progress; arg is
   not looked at. */
void cli_show_progress(void *arg, const ms_run_progress *progress);

/* Of a command whose only stage goes by frames. */
void cli_show_frames(const char *stage, int64_t frames_done, int64_t frames_total);

/* A piece of the work is over: the line goes until the next piece has progress. */
void cli_progress_pause(void);

/* The work is over: the line goes and does not come back. */
void cli_progress_over(void);

/* A line of JSON: members without the braces and the event's name. Nothing in other modes. */
void cli_event(const char *event, const char *members);

/* More members of the last event, be it `done` or `error`. Copied. */
void cli_last_members(const char *members);

/* Once, last: the bar's line ends; JSON ends with its `done`, or with an `error` when nobody has told one. */
void cli_console_end(int exit_code);

#endif
