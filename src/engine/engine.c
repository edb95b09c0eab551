#include "engine/engine.h"

#include "base/error.h"
#include "engine/engine_internal.h"
#include "pictures/mask.h"

static ms_status poll_hook(void *arg, const ms_graph *graph, int node) {
    (void)graph;
    (void)node;
    const ms_engine *e = arg;
    return e->hooks.poll ? e->hooks.poll(e->hooks.arg) : MS_OK;
}

void ms_engine_tell(const ms_engine *e, const char *stage, int64_t done, int64_t total) {
    if (e->hooks.stage)
        e->hooks.stage(e->hooks.arg, stage, done, total);
}

/* ---- making it ---- */

static ms_chunk_params chunks_of(const ms_engine_params *p) {
    const int *length = p->files->unet_config.audio_feat_length;
    return (ms_chunk_params){.fps = p->fps, .left = length[0], .right = length[1]};
}

int64_t ms_engine_count_frames(const ms_engine_params *p) {
    ms_chunk_params chunks = chunks_of(p);
    return ms_chunk_frames(&chunks, ms_feature_rows(p->speech.columns));
}

int64_t ms_engine_paying_batch(int resolution) {
    return resolution <= 256 ? 4 : 1;
}

int64_t ms_engine_most_frames(const ms_engine_params *p) {
    int64_t most = p->files->unet_config.num_frames;
    return p->frames > 0 && p->frames < most ? p->frames : most;
}

static ms_status make_mask(ms_engine *e, ms_error *err) {
    size_t pixels = (size_t)e->resolution * (size_t)e->resolution,
           work_bytes = ms_face_mask_workspace_bytes(e->resolution);
    ms_mem *mem = e->p.compute.mem;
    e->mask = ms_mem_alloc(mem, MS_LEDGER_FRAMES, pixels);
    e->latent_mask = ms_alloc_array(mem, MS_LEDGER_FRAMES, (size_t)e->latent_pixels, sizeof(float));
    void *work = ms_mem_alloc(mem, MS_LEDGER_STAGING, work_bytes);
    ms_status status = MS_HOST_MEMORY;
    if (e->mask && e->latent_mask && work)
        status = ms_face_mask(e->resolution, e->mask, work, work_bytes, err);
    else
        ms_fail_alloc(err, mem, pixels, "the mask");
    ms_mem_free(work);
    if (status == MS_OK)
        ms_face_mask_latent(e->mask, e->resolution, e->latent_mask);
    return status;
}

static ms_status make(ms_engine *e, ms_error *err) {
    const ms_unet_config *c = &e->files.unet_config;
    e->resolution = e->p.resolution ? e->p.resolution : c->resolution;
    int64_t factor = ms_vae_factor(&e->files.vae_config_values);
    if (e->resolution < 64 || e->resolution > 2048 || e->resolution % 8)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "a resolution of %d is not possible: it must be a multiple of 8 from 64 to 2048",
                       e->resolution);
    e->latent_side = e->resolution / factor;
    e->latent_pixels = e->latent_side * e->latent_side;
    e->latent_channels = e->files.vae_config_values.latent_channels;
    if (e->latent_channels != c->out_channels)
        return ms_fail(err, MS_BAD_MODEL, "the VAE has %lld latent channels, the UNet %d",
                       (long long)e->latent_channels, c->out_channels);
    e->window_frames = ms_engine_most_frames(&e->p);
    const ms_engine_weights_params weights = {.compute = e->p.compute,
                                              .files = &e->files,
                                              .random = e->p.random_weights,
                                              .precision = e->p.precision};
    e->owns_weights = !e->p.weights;
    e->w = e->p.weights;
    if (e->owns_weights)
        MS_TRY(ms_engine_weights_create(&weights, &e->w, err));
    ms_features_params features = {.compute = e->p.compute,
                                   .params = e->w->part[WHISPER].params,
                                   .config = e->files.whisper_config,
                                   .chunks = chunks_of(&e->p),
                                   .stats = e->p.speech,
                                   .source = e->p.samples};
    MS_TRY(ms_features_create(&features, &e->features, &e->speech_arena_bytes, err));
    return make_mask(e, err);
}

ms_status ms_engine_create(const ms_engine_params *params, const ms_engine_hooks *hooks,
                           ms_engine **ret_engine, ms_error *err) {
    ms_engine *e = ms_mem_calloc(params->compute.mem, MS_LEDGER_GENERAL, 1, sizeof(*e));
    if (!e)
        return ms_fail_alloc(err, params->compute.mem, sizeof(*e), "the engine");
    e->p = *params;
    e->files = *params->files;
    if (hooks)
        e->hooks = *hooks;
    e->exec = (ms_exec_params){.before = poll_hook, .arg = e};
    ms_mem_usage before, after;
    ms_mem_get_usage(params->compute.mem, &before);
    const size_t declared_bytes = params->weights ? ms_engine_weights_own_bytes(params->weights) : 0;
    ms_status status = make(e, err);
    if (status != MS_OK) {
        ms_engine_destroy(&e);
        return status;
    }
    ms_mem_get_usage(params->compute.mem, &after);
    /* Programs declare more: ms_engine_get_memory() adds what is declared. */
    e->held_bytes =
        after.current_bytes - before.current_bytes - (ms_engine_weights_own_bytes(e->w) - declared_bytes);
    *ret_engine = e;
    return MS_OK;
}

uint64_t ms_engine_kept_bytes(const ms_engine *e) {
    return ms_engine_weights_kept_bytes(e->w);
}

void ms_engine_set_speech(ms_engine *e, ms_mel_stats speech, ms_sample_source samples) {
    e->p.speech = speech;
    e->p.samples = samples;
    ms_features_set_speech(e->features, speech, samples);
}

int64_t ms_engine_speech_frames(const ms_engine *e) {
    return ms_features_frames(e->features);
}

void ms_engine_set_latents(ms_engine *e, ms_latent_cache *latents) {
    e->cache = latents;
}

int ms_engine_resolution(const ms_engine *e) {
    return e->resolution;
}

int64_t ms_engine_window_frames(const ms_engine *e) {
    return e->window_frames;
}

/* ---- the program in use ---- */

const ms_engine_program *ms_engine_program_of(const ms_engine *e) {
    return e->program;
}

ms_context ms_engine_context(const ms_engine *e, int which) {
    return (ms_context){.compute = e->p.compute,
                        .weights = e->w->part[which].weights,
                        .arena = e->arena,
                        .state = (char *)e->state + (which == UNET ? e->program->vae_state_bytes : 0)};
}

static void leave(ms_engine *e) {
    if (e->features)
        ms_features_leave(e->features);
    if (e->program) {
        ms_autoencoder_leave(e->program->vae);
        ms_denoiser_leave(e->program->denoiser);
    }
    for (int i = 0; i < MS_ENGINE_BUFFERS; i++) {
        ms_mem_free(e->buffer[i]);
        e->buffer[i] = NULL;
    }
    ms_device_free(e->p.compute.dev, e->arena);
    ms_device_free(e->p.compute.dev, e->state);
    e->arena = e->state = NULL;
    for (int i = 0; e->w && i < PARTS; i++)
        ms_weights_attach_stream(e->w->part[i].weights, NULL);
    ms_weight_stream_destroy(&e->stream);
}

static ms_status make_buffers(ms_engine *e, ms_error *err) {
    ms_mem *mem = e->p.compute.mem;
    size_t bytes[MS_ENGINE_BUFFERS];
    ms_engine_buffer_sizes(e, e->program, bytes);
    for (int i = 0; i < MS_ENGINE_BUFFERS; i++) {
        e->buffer[i] = ms_mem_alloc(mem, MS_LEDGER_STAGING, bytes[i]);
        if (!e->buffer[i])
            return ms_fail_alloc(err, mem, bytes[i], "a window's buffers");
    }
    return MS_OK;
}

static ms_status make_stream(ms_engine *e, ms_error *err) {
    const ms_residency residency = e->program->residency;
    size_t buffer = ms_engine_stream_bytes(e, residency);
    if (!buffer)
        return MS_OK;
    MS_TRY(ms_weight_stream_create(&e->p.compute, buffer, ms_engine_scratch_floats(e, residency),
                                   ms_engine_slot_bytes(e), &e->stream, err));
    for (int i = 0; i < PARTS; i++)
        ms_weights_attach_stream(e->w->part[i].weights, e->stream);
    return MS_OK;
}

/* Weights come first: what they need while they are read takes memory that the arena will have later. */
static ms_status settle(ms_engine *e, ms_error *err) {
    MS_TRY(ms_engine_weights_load(e->w, e->program->residency, &e->hooks, err));
    MS_TRY(make_stream(e, err));
    MS_TRY(make_buffers(e, err));
    ms_device *dev = e->p.compute.dev;
    const ms_engine_program *p = e->program;
    MS_TRY(ms_device_alloc(dev, MS_LEDGER_STAGING, p->state_bytes, "latents", &e->state, err));
    return ms_device_alloc(dev, MS_LEDGER_ACTIVATIONS, p->arena_bytes, "activations", &e->arena, err);
}

ms_status ms_engine_use(ms_engine *e, ms_engine_program **program, ms_error *err) {
    ms_engine_program *last = e->program;
    leave(e);
    e->program = *program;
    *program = NULL;
    ms_status status = settle(e, err);
    if (status == MS_OK) {
        ms_engine_program_destroy(&last);
        return MS_OK;
    }
    leave(e);
    ms_engine_program_destroy(&e->program);
    e->program = last;
    if (last && settle(e, NULL) != MS_OK) {
        leave(e);
        ms_engine_program_destroy(&e->program);
    }
    return status;
}

void ms_engine_destroy(ms_engine **engine) {
    if (!engine || !*engine)
        return;
    ms_engine *e = *engine;
    leave(e);
    ms_engine_program_destroy(&e->program);
    ms_features_destroy(&e->features);
    if (e->owns_weights)
        ms_engine_weights_destroy(&e->w);
    else if (e->w)
        ms_engine_weights_rest(e->w);
    ms_mem_free(e->mask);
    ms_mem_free(e->latent_mask);
    ms_mem_free(e);
    *engine = NULL;
}
