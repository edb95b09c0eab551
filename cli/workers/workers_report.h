/* What became of the workers of a run on several devices. */
#ifndef CLI_WORKERS_REPORT_H
#define CLI_WORKERS_REPORT_H

#include <stdint.h>

#include "memsafe/run.h"
#include "text/json.h"
#include "workers/device_list.h"

typedef struct cli_workers_report {
    int count; /* 0 = there were none */
    struct {
        char device[CLI_DEVICE_BYTES], problem[256]; /* "" = none */
        int64_t frames, peak_bytes;
        size_t device_peak_bytes; /* of a device with memory of its own; else 0 */
        uint64_t budget_bytes;    /* 0 = what it found free */
        double seconds;
        /* Of one that ended well, else 0: what it chose and made. */
        ms_rung rung;
        uint64_t planned_bytes;
        int64_t windows;
        double stage_s[MS_STAGE_COUNT];
    } worker[CLI_MAX_WORKERS];
} cli_workers_report;

/* NULL: like none. People hear of problems, with -v of all. */
void cli_workers_say(const cli_workers_report *report);
void cli_workers_json(ms_buf *b, const cli_workers_report *report); /* an array */

#endif
