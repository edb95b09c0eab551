#include "planner/run_plan.h"

#include <string.h>

#include "base/error.h"
#include "frames/clip.h"
#include "memsafe_have.h"
#include "pictures/align.h"
#include "pictures/restore.h"
#include "text/size.h"
#if MS_HAVE_FFMPEG
#include "media/codec_memory.h"
#include "media/read/audio_reader.h"
#include "media/write/video_writer.h"
#endif

/* Streaming is tried with less and less resident until the plan fits; the stream's
   buffer depends on what is streamed, so the amount is found by trying. */
#define TRIES 12

/* ---- besides the engine ---- */

int64_t ms_run_frame_buffers(const ms_run_clip *c) {
    return (int64_t)c->window_frames + c->max_gap + 5 + MS_RUN_READY_FRAMES + MS_RUN_REDRAWN_FRAMES;
}

/* Made once, before the first frame. */
static size_t work_bytes(const ms_run_clip *c) {
    const size_t pixels = (size_t)c->resolution * (size_t)c->resolution;
    ms_face_geometry geometry;
    size_t bytes = ms_mem_charged_bytes((size_t)c->window_frames * pixels * 3);
    if (ms_face_geometry_init(c->resolution, &geometry, NULL) != MS_OK)
        return bytes;
    size_t restore = ms_restore_workspace_bytes(&geometry, c->width, c->height, c->threads);
    bytes += restore ? ms_mem_charged_bytes(restore) : 0;
    bytes += ms_mem_charged_bytes(ms_align_face_workspace_bytes(&geometry));
    return c->mouth ? bytes + ms_mem_charged_bytes(pixels * sizeof(float)) : bytes;
}

size_t ms_run_frame_bytes(const ms_run_clip *c) {
    size_t picture = ms_clip_picture_bytes(c->width, c->height, c->deep),
           face = (size_t)c->resolution * (size_t)c->resolution * 3;
    size_t bytes = (size_t)ms_run_frame_buffers(c) * ms_mem_charged_bytes(picture) +
                   MS_RUN_ALIGNED_FACES * ms_mem_charged_bytes(face) +
                   MS_RUN_REDRAWN_FACES * ms_mem_charged_bytes(face * sizeof(float)) + MS_RUN_LIST_BYTES +
                   work_bytes(c);
    return c->turns ? bytes + ms_run_turns_bytes(c->width, c->height, c->deep) : bytes;
}

size_t ms_run_turns_bytes(int width, int height, bool deep) {
    return ms_mem_charged_bytes(MS_CLIP_BLOCK * ms_clip_picture_bytes(width, height, deep));
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
    const ms_video_reader_params reader = MS_VIDEO_READER_DEFAULTS;
    ms_decoder_load load = {.frame_bytes = (int64_t)width * height * 3 / 2,
                            .reference_frames = 4,
                            .threads = reader.threads,
                            .file_frames = frames};
    return ms_video_writer_memory(&writer) + ms_decoder_bytes(&load) + MS_AUDIO_READER_BYTES -
           MS_RUN_SHARED_BYTES;
#else
    (void)width, (void)height, (void)codec, (void)frames;
    return 0;
#endif
}

/* ---- the ladder's data ---- */

/* Each rung does what those before it do as well; its text stands alone. */
static const struct {
    const char *name, *what;
} rungs[MS_RUNG_COUNT] = {
    [MS_RUNG_AUTO] = {"auto", "the fastest that fits"},
    [MS_RUNG_FULL] = {"full", "nothing is cut: the profile's batches, all weights in memory"},
    [MS_RUNG_BATCH] = {"batch", "the VAE takes fewer pictures at a time"},
    [MS_RUNG_SERIAL] = {"serial", "the two branches of guidance run one after the other"},
    [MS_RUNG_SLICES] = {"slices", "layers run over a few frames, or pixels, at a time"},
    [MS_RUNG_TILES] = {"tiles", "the VAE computes large pictures in stripes of rows"},
    [MS_RUNG_STREAM_PART] = {"stream-part", "some of the weights are read when they are needed"},
    [MS_RUNG_STREAM_ALL] = {"stream-all", "all weights are read when they are needed"},
    [MS_RUNG_SINGLE_FRAME] = {"single-frame", "temporal layers take 8 pixels at a time: the least there is"},
};

const char *ms_rung_name(ms_rung rung) {
    return rung >= 0 && rung < MS_RUNG_COUNT ? rungs[rung].name : "?";
}

ms_rung ms_rung_named(const char *name) {
    for (int rung = 0; name && rung < MS_RUNG_COUNT; rung++)
        if (strcmp(rungs[rung].name, name) == 0)
            return (ms_rung)rung;
    return MS_RUNG_AUTO;
}

const char *ms_rung_text(ms_rung rung) {
    return rung >= 0 && rung < MS_RUNG_COUNT ? rungs[rung].what : "?";
}

/* Rows of the ladder: pictures at a time, and frames of the window that a layer sees. */
#define WHOLE 0    /* as many as the profile allows and as pay */
#define FITTING -1 /* as many as the optimizer says fit */

/* The layouts in the order of the ladder; a rung may have several, the mildest first. */
static const struct {
    ms_rung rung;
    int pictures;
    bool serial;
    int frames, pixels; /* pixels: of temporal layers; FITTING frames bring their own */
    int rows;           /* of pictures in the VAE; 0 = whole pictures */
} ladder[] = {
    {MS_RUNG_FULL, WHOLE, false, WHOLE, 0, 0}, {MS_RUNG_BATCH, FITTING, false, WHOLE, 0, 0},
    {MS_RUNG_BATCH, 2, false, WHOLE, 0, 0},    {MS_RUNG_BATCH, 1, false, WHOLE, 0, 0},
    {MS_RUNG_SERIAL, 1, true, WHOLE, 0, 0},    {MS_RUNG_SLICES, 1, true, FITTING, 0, 0},
    {MS_RUNG_SLICES, 1, true, 8, 512, 0},      {MS_RUNG_SLICES, 1, true, 4, 256, 0},
    {MS_RUNG_SLICES, 1, true, 2, 128, 0},      {MS_RUNG_SLICES, 1, true, 1, 64, 0},
    {MS_RUNG_TILES, 1, true, 1, 64, 64},       {MS_RUNG_SINGLE_FRAME, 1, true, 1, 8, 0},
    {MS_RUNG_SINGLE_FRAME, 1, true, 1, 8, 32},
};
enum { LADDER = sizeof(ladder) / sizeof(ladder[0]) };

/* Stripes that the profile always wants are large ones, which cost little;
   `by_need_large` takes none below these. */
#define TILE_ROWS 128
#define LARGE_ROWS 64

/* ---- one candidate ---- */

static void weigh(const ms_run_plan_params *params, const ms_engine_program *program,
                  const ms_engine_layout *layout, ms_run_plan *ret_plan) {
    const ms_engine *engine = params->engine;
    *ret_plan = (ms_run_plan){.layout = *layout,
                              .engine = ms_engine_get_memory(engine, program),
                              .window_frames = ms_engine_window_frames(engine),
                              .other_bytes = params->other_bytes};
    ms_run_compute_window(params->speed, engine, program, ret_plan->stage_s);
    ret_plan->window_s = ms_run_window_seconds(params->speed, ret_plan->stage_s);
    ret_plan->cached_step = ms_run_cached_step(params->speed, engine, program);
    ret_plan->peak_bytes = ret_plan->engine.total_bytes + params->other_bytes;
    ret_plan->host_bytes = ret_plan->engine.host_bytes + params->host_other_bytes;
}

static ms_status measure(const ms_run_plan_params *params, const ms_engine_layout *layout,
                         ms_run_plan *ret_plan, ms_error *err) {
    ms_engine_program *program = NULL;
    MS_TRY(ms_engine_program_create(params->engine, layout, &program, err));
    weigh(params, program, layout, ret_plan);
    ms_engine_program_destroy(&program);
    return MS_OK;
}

static bool has_room(const ms_run_plan_params *params, const ms_run_plan *plan) {
    return plan->peak_bytes <= params->budget_bytes &&
           (!params->host_budget_bytes || plan->host_bytes <= params->host_budget_bytes);
}

static int64_t lesser(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Of two limits, 0 = none. */
static int64_t tighter(int64_t a, int64_t b) {
    return a && b ? lesser(a, b) : a + b;
}

/* So many frames of the window at a time in spatial layers, the same share of the pixels in temporal ones. */
static ms_slicing frames_at_a_time(const ms_engine_params *p, int64_t frames, bool serial) {
    int64_t window = ms_engine_most_frames(p);
    if (frames <= 0 || frames >= window)
        return (ms_slicing){0};
    int64_t side = (p->resolution ? p->resolution : p->files->unet_config.resolution) /
                   ms_vae_factor(&p->files->vae_config_values);
    bool both = p->guidance > 1 && !serial;
    return (ms_slicing){.frames = both ? 2 * frames : frames,
                        .pixels = (side * side * frames + window - 1) / window};
}

/* Rows of pictures in the VAE at a time, by the profile's word. */
static int64_t stripe_rows(ms_vae_tiling tiling, int64_t rows) {
    if (tiling == MS_TILING_OFF)
        return 0;
    if (tiling == MS_TILING_ON)
        return tighter(rows, TILE_ROWS);
    return tiling == MS_TILING_BY_NEED_LARGE && rows && rows < LARGE_ROWS ? LARGE_ROWS : rows;
}

/* What the ladder's row comes to under the profile's rules. */
static ms_engine_layout row_layout(const ms_run_plan_params *params, const ms_run_rules *rules, int row) {
    int pictures = ladder[row].pictures;
    int64_t encode = pictures == FITTING ? rules->encode_fit : rules->encode_batch,
            decode = pictures == FITTING ? rules->decode_fit : rules->decode_batch;
    int64_t window = ms_engine_most_frames(params->engine_params);
    encode = encode > 0 ? lesser(encode, window) : encode;
    decode = decode > 0 ? lesser(decode, window) : decode;
    ms_slicing most = frames_at_a_time(params->engine_params, rules->unet_frames, ladder[row].serial),
               slicing = {.frames = ladder[row].frames, .pixels = ladder[row].pixels};
    if (ladder[row].frames == FITTING)
        slicing = frames_at_a_time(params->engine_params, rules->unet_fit, ladder[row].serial);
    return (ms_engine_layout){.encode_batch = pictures > 0 ? lesser(pictures, encode) : encode,
                              .decode_batch = pictures > 0 ? lesser(pictures, decode) : decode,
                              .serial_branches = ladder[row].serial,
                              .slicing = {.frames = tighter(slicing.frames, most.frames),
                                          .pixels = tighter(slicing.pixels, most.pixels),
                                          .rows = stripe_rows(rules->tiling, ladder[row].rows),
                                          .attention_parts = rules->attention_parts},
                              .resident_weight_bytes = SIZE_MAX};
}

static bool same_layout(const ms_engine_layout *a, const ms_engine_layout *b) {
    return a->encode_batch == b->encode_batch && a->decode_batch == b->decode_batch &&
           a->serial_branches == b->serial_branches && a->slicing.frames == b->slicing.frames &&
           a->slicing.pixels == b->slicing.pixels && a->slicing.rows == b->slicing.rows;
}

/* The optimizer's answers for what the budget leaves when everything that is held anyway is counted. */
static ms_status ask_rules(const ms_run_plan_params *params, ms_run_rules *ret_rules, ms_error *err) {
    ms_run_plan whole;
    const ms_engine_layout layout = MS_ENGINE_LAYOUT_ALL;
    MS_TRY(measure(params, &layout, &whole, err));
    size_t held = whole.peak_bytes - whole.engine.arena_bytes;
    ms_run_batch_params ask = {.compute = &params->engine_params->compute,
                               .profile = params->profile,
                               .files = params->engine_params->files,
                               .resolution = params->engine_params->resolution,
                               .free_bytes = SIZE_MAX / 2};
    if (params->budget_bytes)
        ask.free_bytes = params->budget_bytes > held ? params->budget_bytes - held : 0;
    MS_TRY(ms_run_rules_ask(&ask, ret_rules, err));
    if (params->pressed && ret_rules->offload == MS_OFFLOAD_UNDER_PRESSURE)
        ret_rules->offload = MS_OFFLOAD_ALLOWED;
    return MS_OK;
}

/* ---- choosing ---- */

/* As much resident as fits. *ret_fits is false when even streaming everything is
   too much; the plan is then the one that streams everything. */
static ms_status stream_to_fit(const ms_run_plan_params *params, const ms_run_plan *whole,
                               ms_run_plan *ret_plan, bool *ret_fits, ms_error *err) {
    ms_engine_layout layout = whole->layout;
    ms_engine_program *program = NULL;
    layout.resident_weight_bytes = 0;
    MS_TRY(ms_engine_program_create(params->engine, &layout, &program, err));
    weigh(params, program, &layout, ret_plan);
    *ret_fits = has_room(params, ret_plan);
    size_t low = 0, high = whole->engine.resident_bytes; /* fits, does not fit */
    for (int i = 0; *ret_fits && i < TRIES; i++) {
        ms_run_plan plan;
        layout.resident_weight_bytes = low + (high - low) / 2;
        ms_engine_program_keep(params->engine, program, layout.resident_weight_bytes);
        weigh(params, program, &layout, &plan);
        bool fits = has_room(params, &plan);
        if (fits && plan.window_s <= ret_plan->window_s)
            *ret_plan = plan;
        *(fits ? &low : &high) = layout.resident_weight_bytes;
    }
    ms_engine_program_destroy(&program);
    return MS_OK;
}

static ms_rung streamed_rung(ms_rung rung, const ms_run_plan *plan) {
    if (plan->engine.stream_bytes == 0 || rung == MS_RUNG_SINGLE_FRAME)
        return rung;
    return plan->layout.resident_weight_bytes == 0 ? MS_RUNG_STREAM_ALL : MS_RUNG_STREAM_PART;
}

typedef struct choices {
    int n, taken;
    ms_run_choice at[MS_RUN_MAX_CHOICES];
} choices;
_Static_assert(2 * LADDER <= MS_RUN_MAX_CHOICES, "every layout of the ladder is reported");

static void note(choices *c, const ms_run_plan *plan, bool fits) {
    c->at[c->n++] = (ms_run_choice){.rung = plan->rung,
                                    .vae_batch = (int)plan->layout.decode_batch,
                                    .peak_bytes = plan->peak_bytes,
                                    .whole_bytes = plan->whole_bytes,
                                    .window_s = plan->window_s,
                                    .slice_frames = plan->layout.slicing.frames,
                                    .slice_pixels = plan->layout.slicing.pixels,
                                    .stripe_rows = plan->layout.slicing.rows,
                                    .fits = fits};
}

static void report_choices(const choices *c, ms_run_plan *plan) {
    plan->n_choices = c->n;
    memcpy(plan->choice, c->at, sizeof(c->at));
    plan->choice[c->taken].taken = true;
}

static ms_status choose_forced(const ms_run_plan_params *params, const ms_run_rules *rules, ms_rung forced,
                               bool stream, ms_run_plan *ret_plan, ms_error *err) {
    /* Streaming has no layouts of its own; stripes, which cost much and save little
       beside it, are left out. */
    bool streamed = forced == MS_RUNG_STREAM_PART || forced == MS_RUNG_STREAM_ALL;
    ms_rung base = streamed ? MS_RUNG_SLICES : forced;
    ms_run_plan best = {.peak_bytes = SIZE_MAX};
    for (int i = 0; i < LADDER; i++) {
        ms_run_plan plan;
        ms_engine_layout layout = row_layout(params, rules, i);
        if (ladder[i].rung != base)
            continue;
        MS_TRY(measure(params, &layout, &plan, err));
        size_t whole_bytes = plan.peak_bytes;
        if (forced >= MS_RUNG_STREAM_PART && stream) {
            layout.resident_weight_bytes = forced == MS_RUNG_STREAM_PART ? plan.engine.weight_bytes / 2 : 0;
            MS_TRY(measure(params, &layout, &plan, err));
        }
        plan.whole_bytes = whole_bytes;
        if (plan.peak_bytes < best.peak_bytes ||
            (plan.peak_bytes == best.peak_bytes && plan.window_s < best.window_s))
            best = plan;
    }
    *ret_plan = best;
    ret_plan->rung = forced;
    return MS_OK;
}

/* Where networks are captured, the many small launches of the last rungs may take
   more than they save: then any row may be the least, the last of equal ones. */
static ms_status least_row(const ms_run_plan_params *params, const ms_run_rules *rules, ms_run_plan *ret_plan,
                           ms_error *err) {
    ms_run_plan best = {.peak_bytes = SIZE_MAX};
    for (int i = 0; i < LADDER; i++) {
        ms_run_plan plan;
        ms_engine_layout layout = row_layout(params, rules, i);
        MS_TRY(measure(params, &layout, &plan, err));
        plan.whole_bytes = plan.peak_bytes;
        plan.rung = ladder[i].rung;
        if (plan.peak_bytes <= best.peak_bytes)
            best = plan;
    }
    *ret_plan = best;
    return MS_OK;
}

ms_status ms_run_plan_least(const ms_run_plan_params *params, ms_run_plan *ret_plan, ms_error *err) {
    const ms_compute *compute = &params->engine_params->compute;
    ms_run_rules rules;
    MS_TRY(ask_rules(params, &rules, err));
    const bool stream = rules.offload != MS_OFFLOAD_OFF;
    if (compute->replay && compute->dev->caps.capture && !stream)
        return least_row(params, &rules, ret_plan, err);
    return choose_forced(params, &rules, MS_RUNG_SINGLE_FRAME, stream, ret_plan, err);
}

static size_t whole_mib(size_t bytes) {
    return (size_t)ms_size_whole_mib(bytes) << 20;
}

size_t ms_run_asked_bytes(const ms_run_plan *plan) {
    return whole_mib(plan->peak_bytes + (plan->host_bytes ? 0 : MS_RUN_DRIFT_BYTES));
}

size_t ms_run_asked_host_bytes(const ms_run_plan *plan) {
    return whole_mib(plan->host_bytes + MS_RUN_DRIFT_BYTES);
}

static ms_status too_small(const ms_run_plan_params *params, const ms_run_rules *rules,
                           const ms_run_plan *plan, ms_error *err) {
    bool forced = params->forced != MS_RUNG_AUTO;
    char budget[MS_SIZE_TEXT_BYTES];
    if (params->host_budget_bytes && plan->host_bytes > params->host_budget_bytes)
        return ms_fail(err, MS_BUDGET,
                       "a host budget of %s is too small: this run needs at least %llu MiB beside the device",
                       ms_size_format_budget(budget, params->host_budget_bytes),
                       (unsigned long long)ms_run_asked_host_bytes(plan) >> 20);
    return ms_fail(err, MS_BUDGET, "a budget of %s is too small: this run needs at least %llu MiB%s%s%s",
                   ms_size_format_budget(budget, params->budget_bytes),
                   (unsigned long long)ms_run_asked_bytes(plan) >> 20,
                   rules->offload == MS_OFFLOAD_OFF ? " while weight_offload is off" : "",
                   forced ? " on the rung " : "", forced ? ms_rung_name(params->forced) : "");
}

/* The fastest row of the ladder that fits, with or without streamed weights.
   ret_least: the smallest of all. */
static ms_status choose_row(const ms_run_plan_params *params, const ms_run_rules *rules, bool stream,
                            ms_run_plan *ret_plan, bool *ret_found, ms_run_plan *ret_least, choices *seen,
                            ms_error *err) {
    ms_engine_layout before = {0};
    for (int i = 0; i < LADDER; i++) {
        ms_run_plan plan;
        ms_engine_layout layout = row_layout(params, rules, i);
        if (i > 0 && same_layout(&layout, &before))
            continue; /* it would lower nothing */
        before = layout;
        MS_TRY(measure(params, &layout, &plan, err));
        size_t whole_bytes = plan.peak_bytes;
        bool fits = has_room(params, &plan);
        if (!fits && stream) {
            ms_run_plan whole = plan;
            MS_TRY(stream_to_fit(params, &whole, &plan, &fits, err));
        }
        plan.rung = streamed_rung(ladder[i].rung, &plan);
        plan.whole_bytes = whole_bytes;
        note(seen, &plan, fits);
        if (plan.peak_bytes < ret_least->peak_bytes)
            *ret_least = plan;
        if (!fits || (*ret_found && plan.window_s >= ret_plan->window_s))
            continue;
        seen->taken = seen->n - 1;
        *ret_plan = plan;
        *ret_found = true;
    }
    return MS_OK;
}

static ms_status choose_auto(const ms_run_plan_params *params, const ms_run_rules *rules,
                             ms_run_plan *ret_plan, ms_error *err) {
    bool found = false;
    ms_run_plan least = {.peak_bytes = SIZE_MAX};
    choices seen = {0};
    if (rules->offload != MS_OFFLOAD_ALLOWED)
        MS_TRY(choose_row(params, rules, false, ret_plan, &found, &least, &seen, err));
    if (!found && rules->offload != MS_OFFLOAD_OFF)
        MS_TRY(choose_row(params, rules, true, ret_plan, &found, &least, &seen, err));
    if (!found) {
        *ret_plan = least;
        return too_small(params, rules, &least, err);
    }
    report_choices(&seen, ret_plan);
    return MS_OK;
}

static ms_status choose_given(const ms_run_plan_params *params, const ms_run_rules *rules,
                              ms_run_plan *ret_plan, ms_error *err) {
    /* A tier's policy gives way to a rung that was asked for, the user's own word does not. */
    bool stream =
        rules->offload != MS_OFFLOAD_OFF || !ms_profile_is_set(params->profile, MS_FIELD_WEIGHT_OFFLOAD);
    if (!stream && (params->forced == MS_RUNG_STREAM_PART || params->forced == MS_RUNG_STREAM_ALL))
        return ms_fail(err, MS_INVALID_ARGUMENT, "the rung %s streams weights, but weight_offload is off",
                       ms_rung_name(params->forced));
    choices seen = {0};
    MS_TRY(choose_forced(params, rules, params->forced, stream, ret_plan, err));
    if (!has_room(params, ret_plan))
        return too_small(params, rules, ret_plan, err);
    note(&seen, ret_plan, true);
    report_choices(&seen, ret_plan);
    return MS_OK;
}

ms_status ms_run_plan_choose(const ms_run_plan_params *params, ms_run_plan *ret_plan, ms_error *err) {
    ms_run_plan_params p = *params;
    ms_run_rules rules;
    MS_TRY(ask_rules(&p, &rules, err));
    if (p.forced != MS_RUNG_AUTO && rules.tiling == MS_TILING_OFF &&
        !ms_profile_is_set(p.profile, MS_FIELD_VAE_TILING))
        rules.tiling = MS_TILING_BY_NEED; /* a rung that the user names is above the tier */
    if (p.budget_bytes == 0)
        p.budget_bytes = SIZE_MAX;
    return p.forced == MS_RUNG_AUTO ? choose_auto(&p, &rules, ret_plan, err)
                                    : choose_given(&p, &rules, ret_plan, err);
}
