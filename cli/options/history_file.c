#include "options/history_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *cli_history_file(void) {
    static char path[4096];
    const char *named = getenv("MEMSAFE_HISTORY");
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n = -1;
    if (named && named[0])
        return strcmp(named, "off") == 0 ? NULL : named;
    if (state && state[0] == '/') /* the specification ignores relative ones */
        n = snprintf(path, sizeof(path), "%s/memsafe/history.db", state);
    else if (home && home[0] == '/')
        n = snprintf(path, sizeof(path), "%s/.local/state/memsafe/history.db", home);
    return n > 0 && n < (int)sizeof(path) ? path : NULL;
}

const char *cli_past_text(int runs, char ret_text[CLI_PAST_TEXT_BYTES]) {
    ret_text[0] = 0;
    if (runs > 0)
        snprintf(ret_text, CLI_PAST_TEXT_BYTES, ", corrected by %d earlier run%s", runs,
                 runs == 1 ? "" : "s");
    return ret_text;
}
