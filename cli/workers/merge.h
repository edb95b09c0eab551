/* The progress of several processes that make one job, as one. */
#ifndef CLI_MERGE_H
#define CLI_MERGE_H

#include "memsafe/run.h"
#include "workers/events.h"

#define CLI_MERGE_MOST 0.999 /* joining is left */
#define CLI_MERGE_SEGMENT 64 /* frames of one where nothing is said (memsafe/run.h, segment_frames) */

typedef struct cli_merge {
    int64_t total, before; /* frames of the job; that were finished when they began; 0 = not known */
    int64_t segment;       /* frames of one; 0 = not known */
    double began_s;        /* by ms_now_s() */
    double fraction;       /* that was told last: it never falls */

    double sum, speed, loaded; /* while they are added up */
    int loaders;
    int64_t frames;
    const char *stage;
} cli_merge;

/* One after the other: begin, add each, and what it comes to. alive: it may still make something. Of one that
   has ended otherwise than well its whole segments count alone. The result's stage is borrowed from them. */
void cli_merge_begin(cli_merge *merge);
void cli_merge_add(cli_merge *merge, const cli_events *events, bool alive);
ms_run_progress cli_merge_end(cli_merge *merge);

#endif
