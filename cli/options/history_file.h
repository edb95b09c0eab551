/* Which history the commands keep: MEMSAFE_HISTORY, else the user's. */
#ifndef MS_CLI_HISTORY_FILE_H
#define MS_CLI_HISTORY_FILE_H

#define CLI_HISTORY_HELP                                                                                     \
    "The history is $XDG_STATE_HOME/memsafe/history.db (~/.local/state/memsafe/history.db). "                \
    "MEMSAFE_HISTORY=FILE names another one, MEMSAFE_HISTORY=off keeps none."

/* NULL = none is kept. Valid until the program ends. */
const char *cli_history_file(void);

/* ", corrected by 3 earlier runs": what follows a predicted time; empty where there
   were none. Returns ret_text. */
#define CLI_PAST_TEXT_BYTES 48
const char *cli_past_text(int runs, char ret_text[CLI_PAST_TEXT_BYTES]);

#endif
