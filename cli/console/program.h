/* What a program does around its commands: the `memsafe` command, and those that only developers build. */
#ifndef MS_CLI_PROGRAM_H
#define MS_CLI_PROGRAM_H

#include "options/options.h"

/* Of main(): takes the process's signals, heap and streams as the command wants
   them, calls run, and says what could not be printed. Returns the exit code. */
int cli_program(int argc, char **argv, int (*run)(int argc, char **argv));

/* A whole main() of a program that groups commands: its name, "memsafe-...", is all
   that stands before theirs. */
int cli_program_of(const cli_command *group, int argc, char **argv);

#endif
