/*
 * What earlier runs on this machine predicted and measured, and what the machine's kernels reach:
 * one SQLite file. Predictions are corrected by it; nothing depends on it. Several processes may
 * use one file at once. What it holds is not trusted: numbers that cannot be count as none.
 */
#ifndef MS_PREDICT_HISTORY_H
#define MS_PREDICT_HISTORY_H

#include "memsafe/run.h"
#include "predict/calibration.h"

typedef struct ms_history ms_history;

#define MS_HISTORY_TEXT_BYTES 256

/* false: this build has no SQLite, and ms_history_open() is MS_UNSUPPORTED. */
bool ms_history_supported(void);

/*
 * Makes the file, and the folders on its way, where they are missing. A database that
 * is damaged is set aside as FILE.damaged and a new one begun; ret_warning then says
 * so, else it is empty. MS_DAMAGED: it is no SQLite database, another program's, or
 * of another version; MS_IO: it cannot be opened. It is then left as it is.
 */
ms_status ms_history_open(const char *path, ms_history **ret_history, char ret_warning[MS_HISTORY_TEXT_BYTES],
                          ms_error *err);
void ms_history_close(ms_history **history);

/* ---- calibrations ---- */

/* What decides how fast kernels are: the processor with its instruction sets, and the threads. */
typedef struct ms_machine {
    char device[MS_HISTORY_TEXT_BYTES]; /* name and instruction set */
    int threads;
} ms_machine;

/* The newest calibration of this version of memsafe; *ret_id = 0 when there is none. */
ms_status ms_history_get_calibration(ms_history *history, const ms_machine *machine,
                                     ms_calibration *ret_calibration, int64_t *ret_id, ms_error *err);
/* The newest one of a device that `is` says yes to; it stays 0 when there is none. */
ms_status ms_history_find_calibration(ms_history *history, bool (*is)(const void *arg, const char *device),
                                      const void *arg, ms_calibration *ret_calibration, int64_t *ret_id,
                                      ms_error *err);
ms_status ms_history_put_calibration(ms_history *history, const ms_machine *machine,
                                     const ms_calibration *calibration, int64_t *ret_id, ms_error *err);

/* ---- runs ---- */

/* What a run was like, as far as its times depend on it. */
typedef struct ms_history_key {
    int64_t calibration;               /* that its predictions were made with: stands for the machine */
    char model[MS_HISTORY_TEXT_BYTES]; /* shape of the networks */
    char precision[12], codec[12];
    int resolution;
    bool tracked; /* faces were read, not found */
} ms_history_key;

typedef struct ms_history_run {
    ms_history_key key;
    ms_machine machine;
    int64_t time_s; /* when it ended, Unix time */
    int width, height, steps;
    int64_t frames;
    ms_rung rung;
    char layout[MS_HISTORY_TEXT_BYTES]; /* what the rung came to */
    /* changes of the layout under way; its times then say nothing of the rung */
    int changes;
    size_t budget_bytes, planned_bytes, peak_bytes;
    /* Seconds. computed: from the calibration alone; predicted: as it was said, after correction. */
    double computed_s[MS_STAGE_COUNT], predicted_s[MS_STAGE_COUNT], measured_s[MS_STAGE_COUNT];
} ms_history_run;

/* The oldest runs beyond MS_HISTORY_MOST_RUNS are dropped. time_s is filled in. */
#define MS_HISTORY_MOST_RUNS 1000
ms_status ms_history_add(ms_history *history, const ms_history_run *run, ms_error *err);

/* Newest first; key.calibration is 0 where it is no more. limit: 0 = all. */
typedef ms_status (*ms_history_run_fn)(void *arg, const ms_history_run *run);
ms_status ms_history_list(ms_history *history, int limit, ms_history_run_fn each, void *arg, ms_error *err);

/* Forgets all runs; calibrations stay. */
ms_status ms_history_clear(ms_history *history, ms_error *err);

/*
 * measured / computed time of the last runs like this one, the median of up to 5: 1 where there is
 * none, never outside MS_HISTORY_LEAST_RATIO and its inverse. [rung]: of runs on that rung, else
 * of runs on any; [MS_RUNG_AUTO]: of runs on any. Like: of the same calibration; load, audio,
 * encode, denoise and decode: of the same model, resolution and precision; faces: likewise tracked
 * or not; write: of the same codec. Fewer than MS_HISTORY_SURE_RUNS on a rung move what is
 * believed without them (1, or what that many on any rung say) by MS_HISTORY_UNSURE_FACTOR at
 * most. *ret_runs: runs, on any rung, by which denoising is corrected; it is most of a run's time.
 */
#define MS_HISTORY_LEAST_RATIO 0.1
#define MS_HISTORY_SURE_RUNS 3
#define MS_HISTORY_UNSURE_FACTOR 2.0
ms_status ms_history_get_ratios(ms_history *history, const ms_history_key *key,
                                double ret_ratio[MS_RUNG_COUNT][MS_STAGE_COUNT], int *ret_runs,
                                ms_error *err);

#endif
