/*
 * What FFmpeg's users type by habit, and other names of our options, in one table: an option whose meaning
 * memsafe has works, of any other the error names memsafe's way. A habit belongs to the commands that have
 * the option of ours that it names.
 */
#ifndef CLI_HABITS_H
#define CLI_HABITS_H

#include "options/options.h"

typedef enum cli_habit_kind {
    CLI_HABIT_SAME,   /* ours takes the value, by our word where `words` knows theirs */
    CLI_HABIT_GIVES,  /* takes no value: ours gets words[0] */
    CLI_HABIT_ANYWAY, /* takes no value: it is so anyway */
    CLI_HABIT_CLEAR,  /* takes no value: our flag is taken back */
    CLI_HABIT_LEVEL,  /* takes a level of messages: cli_habit_level() */
    CLI_HABIT_ERROR,  /* has no meaning here: `says` is the message */
} cli_habit_kind;

typedef struct cli_habit {
    const char *theirs; /* without the dash, of two dashes without the first */
    cli_habit_kind kind;
    const char *ours;     /* an option's name */
    const char *says;     /* ERROR; SAME: of a value that is none of ours. "-theirs: " comes before it */
    const char *words[6]; /* SAME: theirs, ours, theirs, ours; NULL ends them */
    /* of this value of theirs `of_value` is said in place of `says`; NULL: none */
    const char *value, *of_value;
} cli_habit;

/* NULL: none, or the command lacks the option. */
const cli_habit *cli_find_habit(const cli_command *command, const char *name, size_t length);

/* Whether it is a habit in any command: then it is no letter with its value behind it ("-an" is not -a n). */
bool cli_is_habit(const char *name, size_t length);

/* Every habit, for tests. NULL behind the last. */
const cli_habit *cli_habit_at(int index);

/* Our word for theirs; the word itself where the table has none. */
const char *cli_habit_word(const cli_habit *habit, const char *theirs);

/* What is said of a value of theirs, which may be NULL. */
const char *cli_habit_says(const cli_habit *habit, const char *theirs);

/* -1: errors alone, 0: as without it, 1: verbose. False: no level of FFmpeg's. */
bool cli_habit_level(const char *word, int *ret_level);

/* In FFmpeg an option before an -i is of that file. What stands before a second one,
   the speech, would be taken for the video's: an error that says how to say it. */
ms_status cli_habit_places(int argc, char **argv, ms_error *err);

#endif
