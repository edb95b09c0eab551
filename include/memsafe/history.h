/*
 * What earlier runs on this machine were predicted to take and took, and what its
 * kernels reach: the file that ms_run_params.history names. Predictions are corrected
 * by it; a result never depends on it. Several processes may use one file at once.
 */
#ifndef MEMSAFE_HISTORY_H
#define MEMSAFE_HISTORY_H

#include "memsafe/run.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A run that has ended. The library's; valid during the call that shows it. */
typedef struct ms_past_run {
    int64_t time_s;     /* when it ended, Unix time */
    const char *device; /* as it described itself */
    int threads;
    const char *model;             /* the shape of its networks, in words */
    const char *precision, *codec; /* "float16", "h264" */
    int resolution;                /* of the redrawn face, pixels */
    bool tracked;                  /* faces were read, not found */
    int width, height, steps;
    int64_t frames;
    ms_rung rung;
    const char *layout; /* what the rung came to, in words */
    int changes;        /* changes of the layout under way; its times then say nothing of the rung */
    size_t budget_bytes;
    size_t planned_bytes, peak_bytes; /* the peak as predicted and as it was */
    /* Seconds. computed: by the machine's rates alone; predicted: as it was said,
       corrected by runs before it. */
    double computed_s[MS_STAGE_ROOM], predicted_s[MS_STAGE_ROOM], measured_s[MS_STAGE_ROOM];
} ms_past_run;

#define MS_HISTORY_WARNING_BYTES 256

/*
 * Calls each for the newest `limit` runs (0 = all), the newest first; what it returns other
 * than MS_OK ends the call with that. The file is made where it is missing. ret_warning may be
 * NULL: a database that is damaged is set aside as FILE.damaged and a new one begun; it then
 * says so, else it is empty. MS_INVALID_ARGUMENT; MS_DAMAGED: it is no SQLite database, another
 * program's, or of another version; MS_IO; MS_HOST_MEMORY; MS_UNSUPPORTED: made without SQLite.
 */
MS_API ms_status ms_history_read(const char *path, int limit,
                                 ms_status (*each)(void *arg, const ms_past_run *run), void *arg,
                                 char ret_warning[MS_HISTORY_WARNING_BYTES], ms_error *err);

/* Forgets all runs; what the kernels reach stays. Otherwise as ms_history_read(). */
MS_API ms_status ms_history_forget(const char *path, char ret_warning[MS_HISTORY_WARNING_BYTES],
                                   ms_error *err);

#ifdef __cplusplus
}
#endif
#endif
