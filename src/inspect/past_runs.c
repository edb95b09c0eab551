/* ms_history_read() and ms_history_forget(). */
#include "memsafe/history.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "predict/history.h"

typedef struct reader {
    ms_status (*each)(void *arg, const ms_past_run *run);
    void *arg;
} reader;

static ms_status show(void *arg, const ms_history_run *r) {
    const reader *to = arg;
    ms_past_run run = {.time_s = r->time_s,
                       .device = r->machine.device,
                       .threads = r->machine.threads,
                       .model = r->key.model,
                       .precision = r->key.precision,
                       .codec = r->key.codec,
                       .resolution = r->key.resolution,
                       .tracked = r->key.tracked,
                       .width = r->width,
                       .height = r->height,
                       .steps = r->steps,
                       .frames = r->frames,
                       .rung = r->rung,
                       .layout = r->layout,
                       .changes = r->changes,
                       .budget_bytes = r->budget_bytes,
                       .planned_bytes = r->planned_bytes,
                       .peak_bytes = r->peak_bytes};
    memcpy(run.computed_s, r->computed_s, sizeof(r->computed_s));
    memcpy(run.predicted_s, r->predicted_s, sizeof(r->predicted_s));
    memcpy(run.measured_s, r->measured_s, sizeof(r->measured_s));
    return to->each(to->arg, &run);
}

static ms_status open_history(const char *path, ms_history **ret_history, char *ret_warning, ms_error *err) {
    char warning[MS_HISTORY_TEXT_BYTES] = "";
    if (!path[0])
        return ms_fail(err, MS_INVALID_ARGUMENT, "the history's file has no name");
    ms_status status = ms_history_open(path, ret_history, warning, err);
    if (ret_warning)
        snprintf(ret_warning, MS_HISTORY_WARNING_BYTES, "%s", warning);
    return status;
}

ms_status ms_history_read(const char *path, int limit, ms_status (*each)(void *arg, const ms_past_run *run),
                          void *arg, char ret_warning[MS_HISTORY_WARNING_BYTES], ms_error *err) {
    ms_history *history = NULL;
    ms_error_clear(err);
    MS_NEED(path, err);
    MS_NEED(each, err);
    if (limit < 0)
        return ms_fail(err, MS_INVALID_ARGUMENT, "limit must be 0 or more, not %d", limit);
    MS_TRY(open_history(path, &history, ret_warning, err));
    ms_status status = ms_history_list(history, limit, show, &(reader){each, arg}, err);
    ms_history_close(&history);
    return status;
}

ms_status ms_history_forget(const char *path, char ret_warning[MS_HISTORY_WARNING_BYTES], ms_error *err) {
    ms_history *history = NULL;
    ms_error_clear(err);
    MS_NEED(path, err);
    MS_TRY(open_history(path, &history, ret_warning, err));
    ms_status status = ms_history_clear(history, err);
    ms_history_close(&history);
    return status;
}
