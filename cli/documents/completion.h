/* Completion for shells, made from the tables that --help is made from. */
#ifndef CLI_COMPLETION_H
#define CLI_COMPLETION_H

typedef enum cli_shell { CLI_BASH, CLI_ZSH, CLI_FISH } cli_shell;
#define CLI_SHELLS "bash|zsh|fish" /* in this order */

/* A script for the shell, to stdout. */
void cli_print_completion(cli_shell shell);

#endif
