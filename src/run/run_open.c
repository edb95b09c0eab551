/* Opening a run: what can fail because of the input fails before the model is loaded. */
#include "report/run_report.h"
#include "run/inputs/key.h"
#include "run/run_job.h"
#include "run/threads/part.h"

ms_status ms_job_open_model(ms_job *j, ms_error *err) {
    ms_model *m = j->model;
    if (m == &j->own_model) {
        ms_run_share_enter(&m->share);
        MS_TRY(ms_model_open_device(m, j->p->device, j->p->threads, err));
    }
    MS_TRY(ms_model_take(m, err));
    j->mem = m->mem;
    return MS_OK;
}

ms_status ms_job_open_memory(ms_job *j, ms_error *err) {
    const ms_run_params *p = j->p;
    ms_model *m = j->model;
    return m == &j->own_model ? ms_model_open_memory(m, &p->profile, ms_inputs_precision(p, j->mem),
                                                     p->budget_bytes, p->host_budget_bytes, err)
                              : MS_OK;
}

/* Of a job that can be resumed: its resolution is not lowered. */
static size_t wanted_face_floats(const ms_job *j) {
    size_t side = (size_t)ms_inputs_resolution(&j->in);
    return 3 * side * side;
}

/* What decides the frames beside the job's key. */
static const char *not_resumable(const ms_run_params *p) {
    if (p->preview_frames)
        return "it is a preview";
    if (p->allow_downscale)
        return "with allow_downscale its resolution follows the memory";
    if (p->latent_cache == MS_LATENT_CACHE_LOSSY)
        return "with a lossy latent cache its frames depend on what the cache held";
    return NULL;
}

static ms_status open_store(ms_job *j, const ms_job_key *key, ms_error *err) {
    j->store.segment_frames = j->segment_frames;
    if (!j->p->output) { /* frames go to the sink alone */
        j->store.mem = j->mem;
        return MS_OK;
    }
    ms_video_writer_params writer = ms_inputs_writer(&j->in);
    ms_run_store_params store = {.mem = j->mem,
                                 .output = j->p->output,
                                 .resume = j->p->resume || j->p->work == MS_RUN_WORK_JOIN,
                                 .force = j->p->force,
                                 .not_resumable = not_resumable(j->p),
                                 .key = key,
                                 .existing = j->p->work == MS_RUN_WORK_JOIN || j->p->work == MS_RUN_WORK_PART,
                                 .shared = j->p->work == MS_RUN_WORK_PART,
                                 .parts = j->p->work == MS_RUN_WORK_SPLIT || j->p->work == MS_RUN_WORK_PART,
                                 .only = j->part_segments,
                                 .n_only = j->p->n_segments,
                                 .segment_frames = j->segment_frames,
                                 .loop = ms_inputs_loop(&j->in),
                                 .wanted = ms_inputs_wanted_frames(&j->in),
                                 .face_floats = wanted_face_floats(j),
                                 .writer = &writer,
                                 .cancelled = j->p->cancelled,
                                 .arg = j->p->arg};
    MS_TRY(ms_run_store_open(&store, &j->store, err));
    j->frames_before = j->store.frames;
    atomic_store(&j->write.frames_done, j->store.frames);
    j->here = j->store.place;
    j->total = j->store.total;
    return MS_OK;
}

/* What the job is, and what is there of it. */
static ms_status find_job(ms_job *j, ms_error *err) {
    ms_job_key *key = ms_mem_alloc(j->mem, MS_LEDGER_GENERAL, sizeof(*key));
    if (!key)
        return ms_fail_alloc(err, j->mem, sizeof(*key), "the job's key");
    const ms_inputs_key beside = {.arithmetic = j->model->compute.dev->caps.arithmetic,
                                  .precision = j->model->policy.precision,
                                  .segment_frames = j->segment_frames};
    ms_status status = ms_inputs_make_key(&j->in, &beside, key, err);
    if (status == MS_OK) {
        ms_used_model_take(&j->used, key);
        status = open_store(j, key, err);
    }
    ms_mem_free(key);
    return status;
}

/* Everything that can fail because of the input is opened before the model is loaded, which takes longest. */
ms_status ms_job_open_inputs(ms_job *j, ms_error *err) {
    const ms_run_params *p = j->p;
    ms_model *m = j->model;
    ms_model_names names = {.dir = p->model,
                            .config = p->config,
                            .unet = p->unet,
                            .vae = p->vae,
                            .whisper = p->whisper,
                            .faces = p->faces};
    unsigned parts = MS_PART_ALL & (p->track ? ~(unsigned)MS_PART_FACES : ~0u);
    j->in = (ms_inputs){.p = p,
                        .mem = j->mem,
                        .files = &m->files,
                        .room = ms_picture_room_in(m->policy.host_budget_bytes, m->base_bytes)};
    MS_TRY(ms_inputs_open(&j->in, err));
    if (m == &j->own_model)
        MS_TRY(ms_model_find_files(m, &names, parts, err));
    else if (!p->track)
        MS_TRY(ms_model_check_faces(m, err));
    MS_TRY(ms_inputs_settle(&j->in, err));
    j->preview.frames = j->in.preview_frames;
    MS_TRY(find_job(j, err));
    /* The key is of the files as they are now, and what is loaded may be older. */
    return m == &j->own_model ? MS_OK : ms_model_check_files(m, err);
}

static ms_status make_buffers(ms_job *j, ms_error *err) {
    j->write.p = j->p;
    j->write.mem = j->mem;
    j->write.pool = j->model->compute.pool;
    j->write.clip = j->in.clip;
    /* What comes from a device apart lies in the host's memory only while it is wanted there, unless the
       profile says otherwise. */
    const bool outputs_kept =
        !j->model->apart || j->model->policy.profile.value[MS_FIELD_PREALLOCATED_OUTPUTS];
    MS_TRY(ms_write_thread_make_buffers(&j->write, &j->geometry, outputs_kept, err));
    MS_TRY(ms_face_thread_make_buffers(&j->faces, j->mem, &j->geometry, err));
    return ms_job_window_make(&j->window, j->mem, j->model->files.unet_config.num_frames,
                              j->geometry.resolution, err);
}

static void free_buffers(ms_job *j) {
    ms_face_thread_free_buffers(&j->faces);
    ms_write_thread_free_buffers(&j->write);
    ms_job_window_free(&j->window);
}

/* Segments that are made by number may lie before what was read last. */
static bool goes_back(const ms_job *j) {
    const ms_run_store *s = &j->store;
    return j->p->work == MS_RUN_WORK_PART || s->before.first_missing * j->segment_frames < s->place.frame;
}

ms_run_clip ms_job_run_clip(const ms_job *j) {
    const ms_video_info *info = ms_clip_info(j->in.clip);
    const ms_run_params *p = j->p;
    int64_t clip_frames = ms_inputs_clip_frames(&j->in);
    return (ms_run_clip){.width = info->width,
                         .height = info->height,
                         .resolution = j->geometry.resolution,
                         .window_frames = j->model->files.unet_config.num_frames,
                         .max_gap = j->p->max_gap,
                         .deep = info->deep,
                         .mouth = p->paste == MS_PASTE_MOUTH,
                         .threads = ms_pool_threads(j->model->compute.pool),
                         .turns = (p->loop == MS_LOOP_MODE_PINGPONG && p->rest == MS_REST_CUT &&
                                   (clip_frames == 0 || ms_inputs_most_frames(&j->in) > clip_frames)) ||
                                  goes_back(j)};
}

/* What the run will hold besides the engine: what it holds before its buffers are made, those, frames, the
   encoder. */
static size_t other_bytes(const ms_job *j) {
    const ms_video_info *info = ms_clip_info(j->in.clip);
    ms_run_clip clip = ms_job_run_clip(j);
    ms_video_writer_params writer = ms_inputs_writer(&j->in);
    return ms_model_host_bytes(j->model) + ms_run_frame_bytes(&clip) +
           ms_run_sink_bytes(j->p, info->width, info->height) + ms_preview_bytes(&j->in) +
           (j->p->output ? ms_video_writer_memory(&writer) : 0);
}

static void count_others(ms_job *j) {
    const bool apart = j->model->apart;
    j->redraw.other_bytes = apart ? ms_model_device_bytes(j->model) : other_bytes(j);
    j->redraw.host_other_bytes = apart ? other_bytes(j) : 0;
}

/* With what the plan leaves of the budget. */
static ms_status open_latents(ms_job *j, ms_error *err) {
    ms_run_latents_params params = {
        .compute = j->model->compute,
        .run = j->p,
        .files = &j->model->files,
        .precision = j->model->policy.precision,
        .resolution = j->geometry.resolution,
        .tier_rank_percent = (int)j->model->policy.profile.value[MS_FIELD_SVD_RANK],
        .clip_frames = ms_inputs_clip_frames(&j->in),
        .output_frames = j->in.range.redrawn,
        .room_bytes = j->model->apart ? j->model->policy.host_budget_bytes - j->redraw.plan.host_bytes
                                      : j->model->policy.budget_bytes - j->redraw.plan.peak_bytes};
    MS_TRY(ms_run_latents_open(&params, &j->redraw.latents, err));
    j->plan.latent_bytes = j->redraw.latents.bytes;
    *(j->model->apart ? &j->plan.host_bytes : &j->plan.bytes) += j->plan.latent_bytes;
    return MS_OK;
}

/* At the resolution asked for, or lower where that is allowed. */
static ms_status choose_plan(ms_job *j, ms_error *err) {
    const ms_engine_hooks hooks = {
        .poll = ms_progress_poll, .stage = ms_progress_engine_stage, .arg = &j->progress};
    for (int side = ms_inputs_resolution(&j->in);; side = ms_run_lower_resolution(side)) {
        MS_TRY(ms_face_geometry_init(side, &j->geometry, err));
        count_others(j);
        MS_TRY(make_buffers(j, err));
        j->redraw.engine_params.resolution = side;
        MS_TRY(ms_engine_create(&j->redraw.engine_params, &hooks, &j->redraw.engine, err));
        ms_status status = ms_redraw_choose(&j->redraw, err);
        if (status != MS_BUDGET || !j->p->allow_downscale || !ms_run_lower_resolution(side))
            return status;
        ms_engine_destroy(&j->redraw.engine);
        free_buffers(j);
    }
}

static void note_plan(ms_job *j) {
    const ms_run_plan *plan = &j->redraw.plan;
    j->plan.made = true;
    j->plan.chosen = j->plan.begun = *plan;
    j->plan.bytes = plan->peak_bytes;
    j->plan.host_bytes = plan->host_bytes;
}

ms_status ms_job_make_plan(ms_job *j, ms_error *err) {
    const ms_run_params *p = j->p;
    MS_TRY(ms_model_settle_base(j->model, ms_clip_growth_bytes(j->in.clip), err));
    MS_TRY(ms_model_open_weights(j->model, err));
    MS_TRY(ms_job_open_faces(j, err));
    j->redraw.engine_params = (ms_engine_params){.compute = j->model->compute,
                                                 .files = &j->model->files,
                                                 .precision = j->model->policy.precision,
                                                 .resolution = ms_inputs_resolution(&j->in),
                                                 .weights = j->model->weights,
                                                 .steps = p->steps,
                                                 .guidance = (float)p->guidance,
                                                 .deepcache = p->deepcache,
                                                 .seed = p->seed,
                                                 .fps = ms_inputs_rate(&j->in),
                                                 .frames = j->in.range.redrawn,
                                                 .speech = ms_speech_stats(j->in.speech),
                                                 .samples = ms_speech_source(j->in.speech)};
    MS_TRY(ms_job_find_speed(j, err));
    MS_TRY(choose_plan(j, err));
    j->past.run.key.resolution = j->geometry.resolution; /* where it had to be lower */
    MS_TRY(ms_model_hold_budget(j->model, j->redraw.plan.peak_bytes, err));
    note_plan(j);
    MS_TRY(open_latents(j, err));
    ms_inputs_note_model(&j->in);
    if (p->work == MS_RUN_WORK_PART && j->store.complete) {
        MS_TRY(ms_run_store_open_poses(&j->store, err));
        MS_TRY(ms_part_rework(p, &j->store, j->redraw.plan.window_frames, &j->forecast.rework, err));
    }
    ms_job_foresee(j);
    return MS_OK;
}

ms_status ms_job_begin_engine(ms_job *j, ms_error *err) {
    const ms_redraw *d = &j->redraw;
    MS_TRY(ms_redraw_begin(&j->redraw, j->here.frame, err));
    if (d->recoveries > 0) {
        j->plan.fell_back = j->p->rung == MS_RUNG_AUTO;
        j->plan.begun = d->plan;
        j->plan.bytes = d->plan.peak_bytes + j->plan.latent_bytes;
    }
    return ms_used_model_check(&j->used, err);
}
