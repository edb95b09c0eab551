#include "report/run_report.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "system/host.h"

/* By the run, or by whoever opened the model that runs: the profile is the model's. `apart`: beside the
   host's memory, whose budget is another. 0 = nobody. */
static size_t asked_for(const ms_run_params *p, const ms_profile *profile, bool apart) {
    if (p->budget_bytes)
        return p->budget_bytes;
    if (profile->value[MS_FIELD_BUDGET] || apart)
        return (size_t)profile->value[MS_FIELD_BUDGET];
    return (size_t)profile->value[MS_FIELD_HOST_BUDGET];
}

static void reasons(ms_run_report *r, const ms_run_params *p, const ms_profile *profile, bool apart) {
    char text[MS_PROFILE_TEXT_BYTES];
    snprintf(r->tier_reason, sizeof(r->tier_reason), "%.95s", ms_profile_tier_reason(profile, text));
    const size_t asked = asked_for(p, profile, apart);
    if (apart && asked > r->budget_bytes)
        snprintf(r->budget_reason, sizeof(r->budget_reason),
                 "all that the device has: less than was asked for");
    else if (asked)
        snprintf(r->budget_reason, sizeof(r->budget_reason), "as asked for");
    else
        snprintf(r->budget_reason, sizeof(r->budget_reason),
                 "what was free at the start less the tier's margin of %d %%",
                 (int)profile->value[MS_FIELD_SAFETY_MARGIN]);
}

void ms_run_report_plan(ms_run_report *r, const ms_run_params *params, const ms_profile *profile,
                        const ms_run_plan *plan) {
    reasons(r, params, profile, plan->host_bytes > 0);
    r->n_choices = plan->n_choices;
    memcpy(r->choice, plan->choice, sizeof(r->choice));
    ms_run_report_layout(r, plan);
}

void ms_run_report_layout(ms_run_report *r, const ms_run_plan *plan) {
    r->vae_encode_batch = (int)plan->layout.encode_batch;
    r->vae_decode_batch = (int)plan->layout.decode_batch;
    r->serial_branches = plan->layout.serial_branches;
    r->slice_frames = plan->layout.slicing.frames;
    r->slice_pixels = plan->layout.slicing.pixels;
    r->stripe_rows = plan->layout.slicing.rows;
    r->resident_bytes = plan->engine.resident_bytes;
    r->stream_bytes = plan->engine.stream_bytes;
    /* Beside a device with memory of its own, what is held is the host's. */
    r->buffer_bytes = plan->engine.state_bytes + (plan->engine.host_bytes ? 0 : plan->engine.held_bytes);
    r->other_bytes = plan->other_bytes;
    r->planned_streamed_bytes = plan->engine.streamed_bytes;
}

void ms_run_report_memory(ms_run_report *r, const ms_mem *mem, ms_sampler *sampler) {
    ms_mem_usage usage;
    ms_mem_get_usage(mem, &usage);
    memcpy(r->ledger_peak_bytes, usage.ledger_peak, sizeof(r->ledger_peak_bytes));
    r->n_samples = 0;
    if (!sampler)
        return;
    ms_series series;
    ms_sampler_get(sampler, &series);
    r->n_samples = series.n;
    memcpy(r->sample, series.point, (size_t)series.n * sizeof(series.point[0]));
}

size_t ms_run_sink_bytes(const ms_run_params *p, int width, int height) {
    return (size_t)p->sink_frames * (size_t)width * (size_t)height * 3;
}

ms_status ms_run_give_frame(const ms_run_params *p, int64_t frame, const uint8_t *rgb, int width, int height,
                            ms_error *err) {
    if (!p->frame_sink)
        return MS_OK;
    ms_status status = p->frame_sink(p->sink_arg, frame, rgb, width, height);
    if (status == MS_OK)
        return MS_OK;
    ms_fail(err, status, "frame %lld: the frame sink says: %s", (long long)frame, ms_status_text(status));
    ms_error_where(err, "write", frame);
    return status;
}
