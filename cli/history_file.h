/* Which history the commands keep: MEMSAFE_HISTORY, else the user's. */
#ifndef MS_CLI_HISTORY_FILE_H
#define MS_CLI_HISTORY_FILE_H

#define CLI_HISTORY_HELP                                                                                     \
    "The history is $XDG_STATE_HOME/memsafe/history.db (~/.local/state/memsafe/history.db). "                \
    "MEMSAFE_HISTORY=FILE names another one, MEMSAFE_HISTORY=off keeps none."

/* NULL = none is kept. Valid until the program ends. */
const char *cli_history_file(void);

#endif
