/* What somebody may have meant who typed a name that is none. */
#ifndef CLI_NEAREST_H
#define CLI_NEAREST_H

#include "options/options.h"

/* word: as typed, with its dashes. NULL: nothing is near. */
const cli_option *cli_nearest_option(const cli_command *command, const char *word);

/* Name of the command. */
const char *cli_nearest_command(const cli_command *const *commands, const char *word);

/* The last word of a command's name: "unet" of "stage unet". */
const char *cli_last_word(const char *name);

#endif
