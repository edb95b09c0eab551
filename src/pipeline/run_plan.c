#include "pipeline/run_plan.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "memory/host.h"
#include "pipeline/clip.h"
#if MS_HAVE_FFMPEG
#include "media/codec_memory.h"
#endif

/* Streaming is tried with less and less resident until the plan fits; the stream's buffer depends on what is streamed,
   so the amount is found by trying. */
#define TRIES 12

/* ---- policy ---- */

ms_run_policy ms_run_policy_of(ms_precision precision, size_t budget_bytes) {
    static const ms_dtype types[] = {
        [MS_PRECISION_FP32] = MS_F32, [MS_PRECISION_FP16] = MS_F16, [MS_PRECISION_BF16] = MS_BF16};
    ms_host host;
    ms_host_read(&host);
    ms_run_policy p = {.tier = ms_tier_of(budget_bytes ? budget_bytes : ms_host_nominal_bytes(&host)),
                       .budget_bytes = budget_bytes};
    p.precision = precision == MS_PRECISION_AUTO ? ms_tier_precision(p.tier, false) : types[precision];
    int margin = ms_tier_get_policy(p.tier)->safety_margin_percent;
    if (!budget_bytes)
        p.budget_bytes = (size_t)((double)ms_host_free_bytes(&host) * (100 - margin) / 100);
    return p;
}

/* ---- besides the engine ---- */

size_t ms_run_frame_bytes(const ms_run_clip *c) {
    size_t frames =
        (size_t)c->window_frames + (size_t)c->max_gap + 5 + MS_RUN_READY_FRAMES + MS_RUN_REDRAWN_FRAMES;
    if (c->turns)
        frames += MS_CLIP_BLOCK;
    size_t face = (size_t)c->resolution * (size_t)c->resolution * 3;
    size_t aligned = MS_RUN_READY_FRAMES + 2, redrawn = (MS_RUN_REDRAWN_FRAMES + 2) * sizeof(float);
    return frames * (size_t)c->width * (size_t)c->height * 3 + (aligned + redrawn) * face;
}

size_t ms_run_codec_bytes(int width, int height, ms_output_codec codec, int64_t frames) {
#if MS_HAVE_FFMPEG
    static const ms_video_codec codecs[] = {
        [MS_OUTPUT_H264] = MS_VIDEO_H264, [MS_OUTPUT_HEVC] = MS_VIDEO_HEVC, [MS_OUTPUT_FFV1] = MS_VIDEO_FFV1};
    ms_video_writer_params writer = MS_VIDEO_WRITER_DEFAULTS;
    writer.width = width;
    writer.height = height;
    writer.codec = codecs[codec];
    writer.audio = MS_AUDIO_ORIGINAL;
    writer.expected_frames = frames;
    int threads = ms_cpu_count() < 4 ? ms_cpu_count() : 4; /* as the reader chooses them */
    ms_decoder_load load = {.frame_bytes = (int64_t)width * height * 3 / 2,
                            .reference_frames = 4,
                            .threads = threads,
                            .file_frames = frames};
    return ms_video_writer_memory(&writer) + ms_decoder_bytes(&load);
#else
    (void)width, (void)height, (void)codec, (void)frames;
    return 0;
#endif
}

/* ---- the ladder's data ---- */

static const struct {
    const char *name, *what;
} rungs[MS_RUNG_COUNT] = {
    [MS_RUNG_AUTO] = {"auto", "the fastest that fits"},
    [MS_RUNG_FULL] = {"full", "nothing is cut: largest batches, all weights in memory"},
    [MS_RUNG_BATCH] = {"batch", "the VAE takes one picture at a time"},
    [MS_RUNG_SERIAL] = {"serial", "and the two branches of guidance run one after the other"},
    [MS_RUNG_SLICES] = {"slices", "and layers run over one frame, or 64 pixels, at a time"},
    [MS_RUNG_TILES] = {"tiles", "and the VAE computes large pictures in stripes of rows"},
    [MS_RUNG_STREAM_PART] = {"stream-part", "and some of the weights are read when they are needed"},
    [MS_RUNG_STREAM_ALL] = {"stream-all", "and all of them are"},
    [MS_RUNG_SINGLE_FRAME] = {"single-frame",
                              "and temporal layers take 8 pixels at a time: the least there is"},
};

const char *ms_rung_name(ms_rung rung) {
    return rung >= 0 && rung < MS_RUNG_COUNT ? rungs[rung].name : "?";
}

const char *ms_rung_text(ms_rung rung) {
    return rung >= 0 && rung < MS_RUNG_COUNT ? rungs[rung].what : "?";
}

/* The layouts in the order of the ladder; a rung may have several, the mildest first. */
static const struct {
    ms_rung rung;
    ms_engine_layout layout;
} ladder[] = {
    {MS_RUNG_FULL, {.vae_batch = 0}},
    {MS_RUNG_BATCH, {.vae_batch = 2}},
    {MS_RUNG_BATCH, {.vae_batch = 1}},
    {MS_RUNG_SERIAL, {.vae_batch = 1, .serial_branches = true}},
    {MS_RUNG_SLICES, {.vae_batch = 1, .serial_branches = true, .slicing = {4, 256, 0}}},
    {MS_RUNG_SLICES, {.vae_batch = 1, .serial_branches = true, .slicing = {1, 64, 0}}},
    {MS_RUNG_TILES, {.vae_batch = 1, .serial_branches = true, .slicing = {1, 64, 64}}},
    {MS_RUNG_SINGLE_FRAME, {.vae_batch = 1, .serial_branches = true, .slicing = {1, 8, 0}}},
    {MS_RUNG_SINGLE_FRAME, {.vae_batch = 1, .serial_branches = true, .slicing = {1, 8, 32}}},
};
enum { LADDER = sizeof(ladder) / sizeof(ladder[0]) };

/* ---- one candidate ---- */

static ms_status measure(const ms_engine_params *params, const ms_run_speed *speed,
                         const ms_engine_layout *layout, size_t other_bytes, ms_run_plan *ret_plan,
                         ms_error *err) {
    ms_engine_params p = *params;
    p.layout = *layout;
    ms_engine *engine = NULL;
    MS_TRY(ms_engine_create(&p, NULL, &engine, err));
    *ret_plan =
        (ms_run_plan){.layout = *layout, .engine = ms_engine_get_memory(engine), .other_bytes = other_bytes};
    ms_run_compute_window(speed, engine, ret_plan->stage_s);
    ret_plan->window_s = ms_run_window_seconds(speed, ret_plan->stage_s);
    ret_plan->layout.vae_batch = ms_engine_vae_batch(engine);
    ret_plan->peak_bytes = ret_plan->engine.total_bytes + other_bytes;
    ms_engine_destroy(&engine);
    return MS_OK;
}

/* As much resident as fits. *ret_fits is false when even streaming everything is too much; the plan is then the one that
   streams everything. */
static ms_status stream_to_fit(const ms_engine_params *params, const ms_run_speed *speed,
                               const ms_run_plan *whole, size_t budget, ms_run_plan *ret_plan, bool *ret_fits,
                               ms_error *err) {
    ms_engine_layout layout = whole->layout;
    layout.resident_weight_bytes = 0;
    MS_TRY(measure(params, speed, &layout, whole->other_bytes, ret_plan, err));
    *ret_fits = ret_plan->peak_bytes <= budget;
    size_t low = 0, high = whole->engine.resident_bytes; /* fits, does not fit */
    for (int i = 0; *ret_fits && i < TRIES; i++) {
        ms_run_plan plan;
        layout.resident_weight_bytes = low + (high - low) / 2;
        MS_TRY(measure(params, speed, &layout, whole->other_bytes, &plan, err));
        bool fits = plan.peak_bytes <= budget;
        if (fits && plan.window_s <= ret_plan->window_s)
            *ret_plan = plan;
        *(fits ? &low : &high) = layout.resident_weight_bytes;
    }
    return MS_OK;
}

static ms_rung streamed_rung(ms_rung rung, const ms_run_plan *plan) {
    if (plan->engine.stream_bytes == 0 || rung == MS_RUNG_SINGLE_FRAME)
        return rung;
    return plan->layout.resident_weight_bytes == 0 ? MS_RUNG_STREAM_ALL : MS_RUNG_STREAM_PART;
}

typedef struct choices {
    int n;
    ms_run_choice at[MS_RUN_MAX_CHOICES];
} choices;
_Static_assert(LADDER <= MS_RUN_MAX_CHOICES, "every layout of the ladder is reported");

static void note(choices *c, const ms_run_plan *plan, size_t whole_bytes, bool fits) {
    c->at[c->n++] = (ms_run_choice){.rung = plan->rung,
                                    .vae_batch = (int)plan->layout.vae_batch,
                                    .peak_bytes = plan->peak_bytes,
                                    .whole_bytes = whole_bytes,
                                    .window_s = plan->window_s,
                                    .fits = fits};
}

static ms_status choose_forced(const ms_engine_params *params, const ms_run_speed *speed, size_t other_bytes,
                               ms_rung forced, ms_run_plan *ret_plan, ms_error *err) {
    /* Streaming has no layouts of its own; stripes, which cost much and save little beside it, are left out. */
    bool streamed = forced == MS_RUNG_STREAM_PART || forced == MS_RUNG_STREAM_ALL;
    ms_rung base = streamed ? MS_RUNG_SLICES : forced;
    ms_run_plan best = {.peak_bytes = SIZE_MAX};
    for (int i = 0; i < LADDER; i++) {
        ms_run_plan plan;
        ms_engine_layout layout = ladder[i].layout;
        if (ladder[i].rung != base)
            continue;
        layout.resident_weight_bytes = SIZE_MAX;
        MS_TRY(measure(params, speed, &layout, other_bytes, &plan, err));
        if (forced >= MS_RUNG_STREAM_PART) {
            layout.resident_weight_bytes = forced == MS_RUNG_STREAM_PART ? plan.engine.weight_bytes / 2 : 0;
            MS_TRY(measure(params, speed, &layout, other_bytes, &plan, err));
        }
        if (plan.peak_bytes < best.peak_bytes ||
            (plan.peak_bytes == best.peak_bytes && plan.window_s < best.window_s))
            best = plan;
    }
    *ret_plan = best;
    ret_plan->rung = forced;
    return MS_OK;
}

ms_status ms_run_plan_least(const ms_engine_params *params, const ms_run_speed *speed, size_t other_bytes,
                            ms_run_plan *ret_plan, ms_error *err) {
    return choose_forced(params, speed, other_bytes, MS_RUNG_SINGLE_FRAME, ret_plan, err);
}

static ms_status too_small(const ms_run_plan *plan, size_t budget, ms_error *err) {
    return ms_fail(err, MS_BUDGET, "a budget of %.0f MB is too small: this run needs at least %.0f MB",
                   floor((double)budget / 1e6), ceil((double)plan->peak_bytes / 1e6));
}

ms_status ms_run_plan_choose(const ms_engine_params *params, const ms_run_speed *speed, size_t other_bytes,
                             size_t budget, ms_rung forced, ms_run_plan *ret_plan, ms_error *err) {
    if (budget == 0)
        budget = SIZE_MAX;
    if (forced != MS_RUNG_AUTO) {
        MS_TRY(choose_forced(params, speed, other_bytes, forced, ret_plan, err));
        return ret_plan->peak_bytes <= budget ? MS_OK : too_small(ret_plan, budget, err);
    }
    bool found = false;
    int64_t batch = INT64_MAX; /* of the layout before: a rung that would not lower it is none */
    ms_run_plan least = {.peak_bytes = SIZE_MAX};
    choices seen = {0};
    for (int i = 0; i < LADDER; i++) {
        ms_run_plan plan;
        ms_engine_layout layout = ladder[i].layout;
        bool fits = true;
        if (ladder[i].rung == MS_RUNG_BATCH && layout.vae_batch >= batch)
            continue;
        layout.resident_weight_bytes = SIZE_MAX;
        MS_TRY(measure(params, speed, &layout, other_bytes, &plan, err));
        size_t whole_bytes = plan.peak_bytes;
        if (plan.peak_bytes > budget) {
            ms_run_plan whole = plan;
            MS_TRY(stream_to_fit(params, speed, &whole, budget, &plan, &fits, err));
        }
        batch = plan.layout.vae_batch;
        plan.rung = streamed_rung(ladder[i].rung, &plan);
        note(&seen, &plan, whole_bytes, fits);
        if (plan.peak_bytes < least.peak_bytes)
            least = plan;
        if (!fits || (found && plan.window_s >= ret_plan->window_s))
            continue;
        *ret_plan = plan;
        found = true;
    }
    if (!found)
        return too_small(&least, budget, err);
    ret_plan->n_choices = seen.n;
    memcpy(ret_plan->choice, seen.at, sizeof(seen.at));
    return MS_OK;
}
