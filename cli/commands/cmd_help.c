/* `memsafe help`: the overview, the help of one command, and the same tables as
   manual pages and completion for shells. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "commands/commands.h"
#include "documents/completion.h"
#include "console/console.h"
#include "documents/manual.h"
#include "memsafe/library.h"

typedef struct help_state {
    bool man;
    int completion; /* cli_shell; -1: not asked for */
} help_state;

static void help_defaults(void *state) {
    ((help_state *)state)->completion = -1;
}

static void print_overview(void) {
    cli_say("memsafe %s: LatentSync lip sync that fits the memory it is given\n\n"
            "usage: memsafe COMMAND [OPTIONS]\n\nCommands:\n",
            ms_version());
    int columns = cli_help_columns();
    for (int i = 0; cli_commands[i]; i++)
        cli_print_summary(cli_commands[i]->name, cli_commands[i]->summary, columns);
    cli_say("\n`memsafe help COMMAND` explains one.\n\nExamples:\n");
    static const cli_command *const first[] = {&cli_run_command, &cli_plan_command, &cli_doctor_command};
    for (int i = 0; i < CLI_COUNT(first); i++)
        cli_print_example(&first[i]->examples[0], columns);
    cli_say("\nExit codes:\n");
#define X(name, value, exit_code, text) cli_say("  %-3d %s\n", exit_code, text);
    MS_STATUS_MAP(X)
#undef X
}

/* NULL: there is none of that name. */
static const cli_command *find_command(const char *name) {
    for (int i = 0; cli_commands[i]; i++)
        if (strcmp(cli_commands[i]->name, name) == 0)
            return cli_commands[i];
    return NULL;
}

static int help_run(const void *state, char **arguments, int n_arguments) {
    const help_state *s = state;
    ms_error err;
    ms_error_clear(&err);
    if (s->completion >= 0 && (s->man || n_arguments > 0)) {
        ms_fail(&err, MS_INVALID_ARGUMENT, "--completion is of all commands; it stands alone");
        return cli_fail(&err);
    }
    if (s->completion >= 0)
        cli_print_completion((cli_shell)s->completion);
    else if (n_arguments == 0 && s->man)
        cli_print_manual(NULL);
    else if (n_arguments == 0)
        print_overview();
    if (n_arguments == 0)
        return 0;
    char *words[2] = {arguments[0], "--help"};
    const cli_command *c = s->man ? find_command(arguments[0]) : NULL;
    if (!c) /* says what is wrong with the name, too */
        return cli_dispatch(cli_commands, 2, words);
    cli_print_manual(c);
    return 0;
}

static const cli_option help_options[] = {
    CLI_GROUP("Options"),
    {"man", 0, CLI_FLAG, offsetof(help_state, man), NULL,
     "the manual page of memsafe or of COMMAND, for `man -l -`; installed ones are read by `man memsafe`, "
     "`man memsafe-run`",
     0, 0},
    {"completion", 0, CLI_CHOICE, offsetof(help_state, completion), CLI_SHELLS,
     "the script by which a shell completes commands, options and their values; `make install` puts it where "
     "shells look",
     0, 0},
};

const cli_command cli_help_command = {
    .name = "help",
    .summary = "Explain a command, print manual pages and completion for shells",
    .examples = {{"memsafe help run", "the options of `memsafe run`"},
                 {"memsafe help --man run", "its manual page"},
                 {"memsafe help --completion bash",
                  "for ~/.local/share/bash-completion/completions/memsafe"}},
    .usage = "[COMMAND] [--man] | --completion bash|zsh|fish",
    .options = help_options,
    .n_options = CLI_COUNT(help_options),
    .max_arguments = 1,
    .state_bytes = sizeof(help_state),
    .defaults = help_defaults,
    .run = help_run,
};
