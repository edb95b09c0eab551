/* What a memsafe process says by `--progress json` (docs/progress.md), as whoever reads it keeps it. */
#ifndef CLI_EVENTS_H
#define CLI_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memsafe/status.h"
#include "text/json.h"

typedef struct cli_events {
    char line[8192]; /* one that has not ended yet */
    size_t length;

    int starts;         /* more than one: it was begun again, and what follows is of the last */
    bool planned, done; /* it has a plan; it has said that all went well */
    int64_t frames_before, frames_done, peak_bytes;
    int64_t frames_kept; /* when it ended early: finished before it, and by itself */
    /* Of the whole job's work: when it began, when it had read the model, now; negative = not known */
    double begun_fraction, first_fraction, fraction;
    double eta_s, seconds;
    char stage[24];
    ms_error err;            /* code MS_OK: none was told */
    char said[256];          /* the last line that was no event; "" = none */
    int64_t frames_earlier;  /* of what was begun before the last time: frames, */
    double fraction_earlier; /* and how much of the work that was left for it */

    /* Told each event when it has been taken; NULL = nobody. Set after cli_events_begin(). */
    void (*heard)(void *arg, const char *event, const ms_json *line);
    void *arg;
} cli_events;

void cli_events_begin(cli_events *events);

/* Of the work that was left when it began, reading the model aside: how much it has done; of reading the
   model how much of all that it would do by itself, as far as it has come. 0 = not known. */
double cli_events_worked(const cli_events *events);
double cli_events_loaded(const cli_events *events);

/* More of what it said, in any pieces. */
void cli_events_take(cli_events *events, const char *text, size_t length);

#endif
