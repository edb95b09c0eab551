#include "commands/commands.h"

const cli_command *const cli_commands[] = {
#define X(name) &cli_##name##_command,
    CLI_COMMAND_MAP(X)
#undef X
        NULL};
