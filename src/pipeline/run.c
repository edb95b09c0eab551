/* ms_run(): frames of the clip go through face stage, engine and restoration to the writer, a window at a
 * time. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "audio/audio_reader.h"
#include "base/error.h"
#include "face/restore.h"
#include "media/video_writer.h"
#include "memory/host.h"
#include "pipeline/engine.h"
#include "pipeline/face_source.h"
#include "pipeline/frame_source.h"
#include "pipeline/run_internal.h"
#include "pipeline/run_plan.h"
#include "pipeline/run_pressure.h"
#include "pipeline/speech.h"

typedef struct ms_job {
    const ms_run_params *p;
    ms_run_report report;
    double started;
    ms_mem *mem;
    size_t base_bytes; /* of the process itself, charged to mem */
    ms_device *dev;
    ms_run_plan plan;
    ms_engine_params engine_params; /* but the layout, which is the plan's */
    ms_run_speed speed;
    ms_run_pressure pressure;
    ms_model_files files;
    ms_dtype precision;
    ms_speech *speech;
    ms_clip *clip;
    ms_face_finder *faces;
    ms_engine *engine;
    ms_face_geometry geometry;
    ms_face_stage *stage;
    ms_frame_source *source;
    ms_audio_reader *sound; /* of the output, when it is what the model heard */
    ms_video_writer *writer;
    void *work; /* align and restore */
    size_t work_bytes;
    /* The window that is being collected. */
    ms_output_frame *window; /* [window frames] */
    uint8_t *aligned;        /* [window frames][resolution][resolution][3] */
    int64_t collected;
    int64_t total; /* output frames expected; 0 = not known */
    double stage_began;
    const char *stage_name;
} ms_job;

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- telling ---- */

static double *stage_seconds(ms_run_report *r, const char *stage) {
    static const char *const names[] = {"load", "audio", "faces", "encode", "denoise", "decode", "write"};
    double *const fields[] = {&r->load_s,    &r->audio_s,  &r->faces_s, &r->encode_s,
                              &r->denoise_s, &r->decode_s, &r->write_s};
    for (int i = 0; i < 7; i++)
        if (strcmp(stage, names[i]) == 0)
            return fields[i];
    return NULL;
}

/* Time from here on belongs to another stage. */
static void enter(ms_job *j, const char *stage) {
    double now = now_s();
    double *seconds = j->stage_name ? stage_seconds(&j->report, j->stage_name) : NULL;
    if (seconds)
        *seconds += now - j->stage_began;
    j->stage_name = stage;
    j->stage_began = now;
}

static void tell(ms_job *j, int64_t part, int64_t parts) {
    if (!j->p->progress || !j->stage_name)
        return;
    ms_run_progress progress = {.stage = j->stage_name,
                                .frames_done = j->report.frames,
                                .frames_total = j->total,
                                .part = part,
                                .parts = parts,
                                .seconds = now_s() - j->started,
                                .eta_s = -1};
    double spent = progress.seconds - j->report.load_s;
    if (j->total > 0 && j->report.frames > 0)
        progress.eta_s = spent / (double)j->report.frames * (double)(j->total - j->report.frames);
    j->p->progress(j->p->arg, &progress);
}

static ms_status poll(void *arg) {
    ms_job *j = arg;
    return j->p->cancelled && j->p->cancelled(j->p->arg) ? MS_CANCELLED : MS_OK;
}

static void engine_stage(void *arg, const char *stage, int64_t done, int64_t total) {
    ms_job *j = arg;
    if (strcmp(stage, j->stage_name) != 0)
        enter(j, stage);
    tell(j, done, total);
}

/* ---- opening ---- */

static ms_status open_memory(ms_job *j, ms_error *err) {
    ms_run_policy policy = ms_run_policy_of(j->p->precision, j->p->budget_bytes);
    j->precision = policy.precision;
    j->report.budget_bytes = policy.budget_bytes;
    snprintf(j->report.tier, sizeof(j->report.tier), "%s", ms_tier_name(policy.tier));
    snprintf(j->report.precision, sizeof(j->report.precision), "%s", ms_dtype_name(j->precision));
    /* The budget holds from the plan on: only the plan knows the least that would do, and says so. */
    MS_TRY(ms_mem_create(0, &j->mem));
    size_t base = ms_host_resident_bytes() + MS_RUN_PROCESS_BYTES;
    if (!ms_mem_charge(j->mem, MS_LEDGER_GENERAL, base))
        return ms_fail_alloc(err, j->mem, base, "the program itself");
    j->base_bytes = base;
    return MS_OK;
}

static ms_status open_device(ms_job *j, ms_error *err) {
    ms_device_params params = {
        .backend = "cpu", .mem = j->mem, .threads = j->p->threads, .isa_limit = MS_ISA_COUNT - 1};
    return ms_device_open(&params, &j->dev, err);
}

static ms_status read_sound(void *context, float *dst, int64_t max, int64_t *ret_count, ms_error *err) {
    return ms_audio_reader_read(context, dst, max, ret_count, err);
}

static ms_video_writer_params writer_params(const ms_job *j) {
    static const ms_video_codec codecs[] = {
        [MS_OUTPUT_H264] = MS_VIDEO_H264, [MS_OUTPUT_HEVC] = MS_VIDEO_HEVC, [MS_OUTPUT_FFV1] = MS_VIDEO_FFV1};
    static const ms_audio_mode modes[] = {[MS_AUDIO_OUTPUT_ORIGINAL] = MS_AUDIO_ORIGINAL,
                                          [MS_AUDIO_OUTPUT_SPEECH] = MS_AUDIO_FEED,
                                          [MS_AUDIO_OUTPUT_NONE] = MS_AUDIO_NONE};
    ms_video_writer_params w = MS_VIDEO_WRITER_DEFAULTS;
    const ms_video_info *info = ms_clip_info(j->clip);
    w.width = info->width;
    w.height = info->height;
    w.fps = info->fps;
    w.pixel_aspect = info->pixel_aspect;
    w.codec = codecs[j->p->codec];
    w.crf = j->p->crf;
    w.colour = info->colour;
    w.colour.full_range = false;
    if (w.colour.matrix == 0 || w.codec == MS_VIDEO_FFV1) /* RGB sources name no matrix for YUV */
        w.colour.matrix = 2;
    w.force = j->p->force;
    w.audio = modes[j->p->audio_output];
    w.audio_path = j->p->audio;
    w.feed = (ms_audio_feed){.read = read_sound, .context = j->sound, .rate = MS_SPEECH_RATE, .channels = 1};
    w.expected_frames = j->total;
    return w;
}

/* Everything that can fail because of the input is opened before the model is loaded, which takes longest. */
static ms_status open_inputs(ms_job *j, ms_error *err) {
    const ms_run_params *p = j->p;
    ms_model_names names = {.dir = p->model,
                            .config = p->config,
                            .unet = p->unet,
                            .vae = p->vae,
                            .whisper = p->whisper,
                            .faces = p->faces};
    unsigned parts = MS_PART_ALL & (p->track ? ~(unsigned)MS_PART_FACES : ~0u);
    MS_TRY(ms_clip_open(j->mem, p->video, (ms_rational){p->fps_num, p->fps_den}, 0, &j->clip, err));
    MS_TRY(ms_speech_open(j->mem, p->audio, &j->speech, err));
    if (p->audio_output == MS_AUDIO_OUTPUT_SPEECH)
        MS_TRY(ms_audio_reader_open(j->mem, p->audio, &MS_AUDIO_READER_DEFAULTS, &j->sound, err));
    MS_TRY(ms_model_files_find(&names, parts, &j->files, err));
    ms_video_writer_params writer = writer_params(j);
    return ms_video_writer_check(p->output, &writer, err);
}

static ms_status open_faces(ms_job *j, size_t *ret_arena_bytes, ms_error *err) {
    const ms_run_params *p = j->p;
    const ms_video_info *info = ms_clip_info(j->clip);
    ms_face_finder_params finder = {.dev = j->dev,
                                    .track = p->track,
                                    .detector = j->files.detector,
                                    .landmarks = j->files.landmarks,
                                    .frame_width = info->width,
                                    .frame_height = info->height,
                                    .face = p->face,
                                    .max_gap = p->max_gap};
    return ms_face_finder_create(&finder, &j->faces, ret_arena_bytes, err);
}

static ms_status make_buffers(ms_job *j, ms_error *err) {
    const ms_video_info *info = ms_clip_info(j->clip);
    int side = j->p->resolution ? j->p->resolution : j->files.unet_config.resolution;
    size_t frames = (size_t)j->files.unet_config.num_frames, face = (size_t)side * (size_t)side * 3;
    MS_TRY(ms_face_geometry_init(side, &j->geometry, err));
    size_t align = ms_align_face_workspace_bytes(&j->geometry);
    j->work_bytes =
        ms_restore_workspace_bytes(&j->geometry, info->width, info->height, ms_pool_threads(j->dev->pool));
    if (j->work_bytes == 0)
        return ms_fail(err, MS_BAD_MEDIA, "%s: a picture of %dx%d is out of range", j->p->video, info->width,
                       info->height);
    if (align > j->work_bytes)
        j->work_bytes = align;
    j->work = ms_alloc(j->mem, MS_LEDGER_FRAMES, j->work_bytes);
    j->window = ms_alloc_array(j->mem, MS_LEDGER_GENERAL, frames, sizeof(*j->window));
    j->aligned = ms_alloc_array(j->mem, MS_LEDGER_FRAMES, frames, face);
    if (!j->work || !j->window || !j->aligned)
        return ms_fail_alloc(err, j->mem, frames * face, "a window's faces");
    return MS_OK;
}

/* What the run will hold besides the engine: what it holds now, the encoder, and frames. */
static size_t other_bytes(const ms_job *j) {
    ms_mem_usage usage;
    ms_mem_get_usage(j->mem, &usage);
    const ms_video_info *info = ms_clip_info(j->clip);
    double asked =
        (double)ms_speech_stats(j->speech).samples / MS_SPEECH_RATE * info->fps.num / info->fps.den + 3;
    if (j->p->frames > 0 && (double)j->p->frames < asked)
        asked = (double)j->p->frames;
    ms_run_clip clip = {.width = info->width,
                        .height = info->height,
                        .window_frames = j->files.unet_config.num_frames,
                        .max_gap = j->p->max_gap,
                        .turns = j->p->loop == MS_LOOP_MODE_PINGPONG &&
                                 (info->frames <= 0 || asked > (double)info->frames)};
    ms_video_writer_params writer = writer_params(j);
    return usage.current_bytes + ms_run_frame_bytes(&clip) + ms_video_writer_memory(&writer);
}

/* Makes the engine for the plan and loads it. Memory that is not to be had after all is answered with the least
   plan. */
static ms_status start_engine(ms_job *j, ms_error *err) {
    ms_engine_hooks hooks = {.poll = poll, .stage = engine_stage, .arg = j};
    for (;;) {
        j->engine_params.layout = j->plan.layout;
        ms_status status = ms_engine_create(&j->engine_params, &hooks, &j->engine, err);
        if (status == MS_OK)
            status = ms_engine_load(j->engine, err);
        if (status == MS_OK)
            break;
        ms_engine_destroy(&j->engine);
        if (status != MS_HOST_MEMORY || j->plan.rung == MS_RUNG_SINGLE_FRAME)
            return status;
        MS_TRY(ms_run_plan_least(&j->engine_params, &j->speed, j->plan.other_bytes, &j->plan, err));
    }
    ms_face_finder_set_arena(j->faces, ms_engine_arena(j->engine));
    return MS_OK;
}

/* Between windows nothing but the weights is held by the engine: it may be made anew for another layout. */
static ms_status follow_pressure(ms_job *j, ms_error *err) {
    bool changed = false;
    ms_run_change change = {.frame = j->report.frames};
    MS_TRY(ms_run_pressure_check(&j->pressure, &changed, change.reason, sizeof(change.reason), err));
    if (!changed || j->p->rung != MS_RUNG_AUTO)
        return MS_OK;
    ms_run_plan plan;
    double share = ms_run_pressure_share(j->pressure.level);
    ms_status status = MS_BUDGET;
    if (share > 0)
        status =
            ms_run_plan_choose(&j->engine_params, &j->speed, j->plan.other_bytes,
                               (size_t)(share * (double)j->report.budget_bytes), MS_RUNG_AUTO, &plan, NULL);
    if (status == MS_BUDGET)
        status = ms_run_plan_least(&j->engine_params, &j->speed, j->plan.other_bytes, &plan, err);
    if (status != MS_OK)
        return status;
    change.rung = plan.rung;
    snprintf(change.level, sizeof(change.level), "%s", ms_pressure_name(j->pressure.level));
    if (j->report.n_changes < MS_RUN_MAX_CHANGES)
        j->report.change[j->report.n_changes++] = change;
    if (plan.peak_bytes == j->plan.peak_bytes)
        return MS_OK; /* the same layout */
    j->plan = plan;
    ms_engine_destroy(&j->engine);
    return start_engine(j, err);
}

static ms_status open_engine(ms_job *j, ms_error *err) {
    const ms_run_params *p = j->p;
    const ms_video_info *info = ms_clip_info(j->clip);
    size_t arena_bytes = 0;
    MS_TRY(open_faces(j, &arena_bytes, err));
    MS_TRY(make_buffers(j, err));
    j->engine_params = (ms_engine_params){.dev = j->dev,
                                          .files = &j->files,
                                          .precision = j->precision,
                                          .resolution = p->resolution,
                                          .steps = p->steps,
                                          .guidance = (float)p->guidance,
                                          .deepcache = p->deepcache,
                                          .seed = p->seed,
                                          .fps = (double)info->fps.num / (double)info->fps.den,
                                          .speech = ms_speech_stats(j->speech),
                                          .samples = ms_speech_source(j->speech),
                                          .least_arena_bytes = arena_bytes};
    j->speed = ms_run_speed_measure(j->dev);
    MS_TRY(ms_run_plan_choose(&j->engine_params, &j->speed, other_bytes(j), j->report.budget_bytes, p->rung,
                              &j->plan, err));
    if (!ms_mem_set_budget(j->mem, j->report.budget_bytes))
        return ms_fail(err, MS_INTERNAL, "opening the files took more than the plan of %zu bytes",
                       j->plan.peak_bytes);
    j->report.rung = j->plan.rung;
    j->report.planned_bytes = j->plan.peak_bytes;
    j->report.planned_window_s = j->plan.window_s;
    return start_engine(j, err);
}

static ms_status open_stages(ms_job *j, ms_error *err) {
    static const ms_loop loops[] = {[MS_LOOP_MODE_PINGPONG] = MS_LOOP_PINGPONG,
                                    [MS_LOOP_MODE_REPEAT] = MS_LOOP_REPEAT,
                                    [MS_LOOP_MODE_HOLD] = MS_LOOP_HOLD,
                                    [MS_LOOP_MODE_NONE] = MS_LOOP_NONE};
    const ms_run_params *p = j->p;
    int64_t wanted = ms_engine_audio_frames(j->engine);
    if (p->frames > 0 && p->frames < wanted)
        wanted = p->frames;
    j->total = p->loop == MS_LOOP_MODE_NONE ? 0 : wanted;
    ms_face_stage_params stage = {.mem = j->mem,
                                  .clip = j->clip,
                                  .source = ms_face_finder_source(j->faces),
                                  .geometry = j->geometry,
                                  .max_gap = p->max_gap};
    MS_TRY(ms_face_stage_create(&stage, &j->stage, err));
    MS_TRY(ms_frame_source_create(j->mem, j->clip, j->stage, loops[p->loop], wanted, &j->source, err));
    ms_video_writer_params writer = writer_params(j);
    return ms_video_writer_open(j->mem, p->output, &writer, &j->writer, err);
}

/* ---- running ---- */

static ms_image frame_image(const ms_job *j, uint8_t *rgb) {
    const ms_video_info *info = ms_clip_info(j->clip);
    return (ms_image){.data = rgb,
                      .width = info->width,
                      .height = info->height,
                      .channels = 3,
                      .stride_bytes = (size_t)info->width * 3};
}

static ms_status write_frame(ms_job *j, uint8_t *rgb, ms_error *err) {
    ms_status status = ms_video_writer_write(j->writer, rgb, 0, err);
    ms_face_stage_put(j->stage, rgb);
    if (status != MS_OK) {
        ms_error_where(err, "write", j->report.frames);
        return status;
    }
    j->report.frames++;
    tell(j, 0, 0);
    return poll(j) == MS_OK
               ? MS_OK
               : ms_fail(err, MS_CANCELLED, "cancelled after %lld frames", (long long)j->report.frames);
}

/* A redrawn face goes back into its frame, and the frame to the writer. */
static ms_status deliver(void *arg, int64_t index, const float *face, ms_error *err) {
    ms_job *j = arg;
    ms_output_frame *f = &j->window[index];
    ms_image image = frame_image(j, f->rgb);
    ms_restore_args restore = {.geometry = &j->geometry,
                               .face = face,
                               .affine = (const float(*)[3])f->pose.affine,
                               .frame = &image,
                               .work = j->work,
                               .work_bytes = j->work_bytes,
                               .pool = j->dev->pool};
    enter(j, "write");
    MS_TRY(ms_restore_face(&restore, NULL, err));
    uint8_t *rgb = f->rgb;
    f->rgb = NULL;
    MS_TRY(write_frame(j, rgb, err));
    enter(j, "decode");
    return MS_OK;
}

static ms_status flush_window(ms_job *j, ms_error *err) {
    if (j->collected == 0)
        return MS_OK;
    ms_window w = {.frames = j->collected,
                   .first_frame = j->window[0].number,
                   .faces = j->aligned,
                   .deliver = deliver,
                   .arg = j};
    MS_TRY(follow_pressure(j, err));
    enter(j, "audio");
    MS_TRY(ms_engine_run_window(j->engine, &w, err));
    enter(j, "faces");
    j->report.windows++;
    j->collected = 0;
    return MS_OK;
}

/* Aligns the frame's face and puts it into the window. */
static ms_status collect(ms_job *j, const ms_output_frame *frame, ms_error *err) {
    size_t side = (size_t)j->geometry.resolution;
    ms_image image = frame_image(j, frame->rgb);
    ms_image_view view = ms_image_as_view(&image);
    ms_image face = {.data = j->aligned + (size_t)j->collected * side * side * 3,
                     .width = (int)side,
                     .height = (int)side,
                     .channels = 3,
                     .stride_bytes = side * 3};
    j->window[j->collected++] = *frame;
    return ms_align_face(&j->geometry, &view, frame->pose.affine, &face, j->work, j->work_bytes, err);
}

static ms_status take_frame(ms_job *j, ms_output_frame *frame, ms_error *err) {
    bool full = j->collected == ms_engine_window_frames(j->engine);
    if (full || frame->pose.begins || !frame->pose.present) {
        ms_status status = flush_window(j, err);
        if (status != MS_OK) {
            ms_face_stage_put(j->stage, frame->rgb);
            return status;
        }
    }
    if (!frame->pose.present) {
        j->report.frames_without_face++;
        return write_frame(j, frame->rgb, err);
    }
    j->report.frames_interpolated += frame->pose.interpolated;
    return collect(j, frame, err);
}

static ms_status run_frames(ms_job *j, ms_error *err) {
    enter(j, "faces");
    for (;;) {
        ms_output_frame frame;
        bool got = false;
        MS_TRY(ms_frame_source_next(j->source, &frame, &got, err));
        if (!got)
            break;
        MS_TRY(take_frame(j, &frame, err));
    }
    MS_TRY(flush_window(j, err));
    if (j->report.frames == 0)
        return ms_fail(err, MS_BAD_MEDIA, "%s: has no frames", j->p->video);
    if (j->report.frames_without_face == j->report.frames)
        return ms_fail(err, MS_NO_FACE, "%s: no usable face in %lld frames", j->p->video,
                       (long long)j->report.frames);
    enter(j, "write");
    return ms_video_writer_finish(&j->writer, err);
}

static void close_all(ms_job *j) {
    ms_run_pressure_close(&j->pressure);
    for (int64_t i = 0; i < j->collected; i++)
        ms_face_stage_put(j->stage, j->window[i].rgb);
    ms_video_writer_abort(&j->writer);
    ms_audio_reader_close(&j->sound);
    ms_frame_source_destroy(&j->source);
    ms_face_stage_destroy(&j->stage);
    ms_engine_destroy(&j->engine);
    ms_face_finder_destroy(&j->faces);
    ms_speech_close(&j->speech);
    ms_clip_close(&j->clip);
    ms_free(j->work);
    ms_free(j->window);
    ms_free(j->aligned);
    ms_device_close(&j->dev);
    if (j->base_bytes)
        ms_mem_release(j->mem, MS_LEDGER_GENERAL, j->base_bytes);
    if (j->mem)
        ms_mem_destroy(&j->mem);
}

static void fill_report(ms_job *j) {
    ms_run_report *r = &j->report;
    enter(j, NULL);
    const ms_video_info *info = ms_clip_info(j->clip);
    ms_engine_memory memory = ms_engine_get_memory(j->engine);
    r->video_frames = ms_frame_source_clip_frames(j->source);
    r->source_frames_lost = ms_clip_frames_lost(j->clip);
    r->width = info->width;
    r->height = info->height;
    r->fps = (double)info->fps.num / (double)info->fps.den;
    r->resolution = j->geometry.resolution;
    r->arena_bytes = memory.arena_bytes;
    r->weight_bytes = memory.weight_bytes;
    r->streamed_bytes = memory.streamed_bytes;
    r->peak_resident_bytes = ms_host_peak_resident_bytes();
    r->seconds = now_s() - j->started;
}

static ms_status run_job(ms_job *j, ms_error *err) {
    enter(j, "load");
    MS_TRY(open_memory(j, err));
    MS_TRY(ms_run_pressure_open(j->mem, j->p->pressure_trace, &j->pressure, err));
    MS_TRY(open_device(j, err));
    MS_TRY(open_inputs(j, err));
    tell(j, 0, 0);
    MS_TRY(open_engine(j, err));
    MS_TRY(open_stages(j, err));
    MS_TRY(run_frames(j, err));
    fill_report(j);
    return MS_OK;
}

ms_status ms_run_media(const ms_run_params *params, ms_run_report *ret_report, ms_error *err) {
    ms_job *j = ms_calloc(NULL, MS_LEDGER_GENERAL, 1, sizeof(*j));
    if (!j)
        return ms_fail_alloc(err, NULL, sizeof(*j), "the run");
    j->p = params;
    j->started = now_s();
    ms_status status = run_job(j, err);
    if (status == MS_OK && ret_report)
        *ret_report = j->report;
    close_all(j);
    ms_free(j);
    return status;
}
