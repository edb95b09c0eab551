#include "batch/batch_totals.h"

#include <stdio.h>

#include "console/console.h"

void cli_batch_say_totals(const cli_batch_totals *t) {
    char members[160];
    snprintf(members, sizeof(members), "\"made\": %d, \"finished_before\": %d, \"failed\": %d, \"left\": %d",
             t->made, t->before, t->failed, t->left);
    cli_last_members(members);
    cli_say("%d made", t->made);
    if (t->before)
        cli_say(", %d finished before", t->before);
    if (t->failed)
        cli_say(", %d failed", t->failed);
    if (t->left)
        cli_say(", %d left: --resume goes on", t->left);
    cli_say("\n");
}
