/* What has become of a batch's clips, at its end. */
#ifndef CLI_BATCH_TOTALS_H
#define CLI_BATCH_TOTALS_H

typedef struct cli_batch_totals {
    int made, before, failed, left; /* before: an earlier run had finished them */
} cli_batch_totals;

/* For people, and as members of the last event. */
void cli_batch_say_totals(const cli_batch_totals *totals);

#endif
