#include "results/plan_times.h"

#include <stdio.h>

#include "options/history_file.h"

const char *cli_whose_times(const ms_plan_report *r, char ret_text[CLI_WHOSE_TIMES_BYTES]) {
    char past[CLI_PAST_TEXT_BYTES];
    cli_past_text(r->history_runs, past);
    if (r->card_measured)
        snprintf(ret_text, CLI_WHOSE_TIMES_BYTES, "predicted for a %s by measurements of one%s", r->card,
                 past);
    else if (r->card[0])
        snprintf(ret_text, CLI_WHOSE_TIMES_BYTES,
                 "a rough estimate by the published figures of a %s: nothing was measured on one", r->card);
    else
        snprintf(ret_text, CLI_WHOSE_TIMES_BYTES, "predicted for this machine%s", past);
    return ret_text;
}
