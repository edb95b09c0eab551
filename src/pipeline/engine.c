#include "pipeline/engine_internal.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "face/mask.h"

/* Directories of three checkpoints: some 2000 tensors with their names. */
#define OPEN_FILES_BYTES ((size_t)2 << 20)

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

static void raise_to(size_t *value, size_t other) {
    if (other > *value)
        *value = other;
}

static ms_chunk_params chunks_of(const ms_engine_params *p) {
    const int *length = p->files->unet_config.audio_feat_length;
    return (ms_chunk_params){.fps = p->fps, .left = length[0], .right = length[1]};
}

int64_t ms_engine_count_frames(const ms_engine_params *p) {
    ms_chunk_params chunks = chunks_of(p);
    return ms_chunk_frames(&chunks, ms_feature_rows(p->speech.columns));
}

static ms_status plan_networks(ms_engine *e, ms_error *err) {
    const ms_engine_params *p = &e->p;
    size_t bytes = 0, state = 0;
    ms_features_params features = {.compute = p->compute,
                                   .params = e->part[WHISPER].params,
                                   .config = e->files.whisper_config,
                                   .chunks = chunks_of(p),
                                   .stats = p->speech,
                                   .source = p->samples};
    MS_TRY(ms_features_create(&features, &e->features, &bytes, err));
    raise_to(&e->arena_bytes, bytes);
    ms_autoencoder_params vae = {.params = e->part[VAE].params,
                                 .activation = p->compute.activation,
                                 .config = e->files.vae_config_values,
                                 .h = e->resolution,
                                 .w = e->resolution,
                                 .encode_batch = e->encode_batch,
                                 .decode_batch = e->decode_batch,
                                 .seed = p->seed,
                                 .slicing = p->layout.slicing};
    MS_TRY(ms_autoencoder_create(&vae, &e->vae, &bytes, &e->vae_state_bytes, err));
    raise_to(&e->arena_bytes, bytes);
    e->denoise = (ms_denoise_params){.frames = e->window_frames,
                                     .h = e->latent_side,
                                     .w = e->latent_side,
                                     .tokens = ms_features_tokens(e->features),
                                     .steps = p->steps,
                                     .guidance = p->guidance,
                                     .deepcache = p->deepcache,
                                     .serial_branches = p->layout.serial_branches,
                                     .seed = p->seed,
                                     .slicing = p->layout.slicing};
    MS_TRY(ms_denoiser_create(e->part[UNET].params, p->compute.activation, &e->files.unet_config,
                              &e->denoiser, err));
    MS_TRY(ms_denoiser_prepare(e->denoiser, &e->denoise, &bytes, &state, err));
    raise_to(&e->arena_bytes, bytes);
    e->state_bytes = e->vae_state_bytes + state;
    return MS_OK;
}

/* ---- weights ---- */

static ms_status tell_loaded(void *arg, double done) {
    ms_engine *e = arg;
    double file = (double)ms_params_bytes(e->part[e->loading].params, e->p.precision);
    ms_engine_tell(e, "load", (int64_t)((double)e->loaded_bytes + done * file),
                   (int64_t)ms_engine_get_memory(e).weight_bytes);
    return e->hooks.poll ? e->hooks.poll(e->hooks.arg) : MS_OK;
}

static ms_status load(ms_engine *e, int which, const char *path, const char *known, ms_error *err) {
    part *x = &e->part[which];
    ms_weights_load_params params = {
        .precision = e->p.precision, .pool = e->p.compute.pool, .progress = tell_loaded, .arg = e};
    e->loading = which;
    ms_weights_attach_stream(x->weights, e->stream);
    if (e->p.random_weights)
        return ms_weights_randomize(x->weights, 1, e->residency, e->p.precision, e->p.compute.pool, err);
    MS_TRY(ms_checkpoint_open(e->p.compute.mem, path, known, &x->file, &params.prefix, err));
    ms_status status = ms_weights_load(x->weights, x->file, e->residency, &params, err);
    if (status != MS_OK || !e->stream)
        ms_tensor_file_close(&x->file);
    e->loaded_bytes += ms_params_bytes(x->params, e->p.precision);
    return status;
}

static size_t resident_bytes(const ms_engine *e, ms_residency residency) {
    size_t sum = 0;
    for (int i = 0; i < PARTS; i++)
        sum += ms_params_resident_bytes(e->part[i].params, e->p.precision, residency);
    return sum;
}

/* The one that streams least of those that keep at most so many bytes; all, where none does. */
static ms_residency choose_residency(const ms_engine *e, size_t bytes) {
    ms_residency too_much = MS_ALL_RESIDENT, enough = MS_ALL_STREAMED;
    if (resident_bytes(e, MS_ALL_RESIDENT) <= bytes)
        return MS_ALL_RESIDENT;
    while (enough - too_much > 1) {
        ms_residency middle = too_much + (enough - too_much) / 2;
        *(resident_bytes(e, middle) > bytes ? &too_much : &enough) = middle;
    }
    return enough;
}

static size_t stream_buffer_bytes(const ms_engine *e) {
    size_t most = 0;
    for (int i = 0; i < PARTS; i++)
        raise_to(&most, ms_params_stream_bytes(e->part[i].params, e->p.precision, e->residency));
    return most;
}

static size_t upload_slot_bytes(const ms_engine *e) {
    size_t most = 0;
    for (int i = 0; i < PARTS; i++)
        raise_to(&most, ms_params_slot_bytes(e->part[i].params));
    return most;
}

static size_t stream_scratch_floats(const ms_engine *e) {
    size_t most = 0;
    for (int i = 0; i < PARTS; i++)
        raise_to(&most, ms_params_stream_scratch_floats(e->part[i].params, e->residency));
    return most;
}

ms_context ms_engine_context(const ms_engine *e, int which) {
    return (ms_context){.compute = e->p.compute,
                        .weights = e->part[which].weights,
                        .arena = e->arena,
                        .state = (char *)e->state + (which == UNET ? e->vae_state_bytes : 0)};
}

ms_status ms_engine_load(ms_engine *e, ms_error *err) {
    size_t buffer = stream_buffer_bytes(e);
    if (buffer)
        MS_TRY(ms_weight_stream_create(&e->p.compute, buffer, stream_scratch_floats(e), upload_slot_bytes(e),
                                       &e->stream, err));
    MS_TRY(load(e, WHISPER, e->files.whisper, "encoder.conv1.weight", err));
    MS_TRY(load(e, VAE, e->files.vae, "decoder.conv_in.weight", err));
    MS_TRY(load(e, UNET, e->files.unet, "conv_in.weight", err));
    MS_TRY(ms_device_alloc(e->p.compute.dev, MS_LEDGER_STAGING, e->state_bytes, "latents", &e->state, err));
    return ms_device_alloc(e->p.compute.dev, MS_LEDGER_ACTIVATIONS, e->arena_bytes, "activations", &e->arena,
                           err);
}

/* ---- buffers ---- */

static ms_status make_mask(ms_engine *e, ms_error *err) {
    size_t pixels = (size_t)e->resolution * (size_t)e->resolution,
           work_bytes = ms_face_mask_workspace_bytes(e->resolution);
    ms_mem *mem = e->p.compute.mem;
    e->mask = ms_alloc(mem, MS_LEDGER_FRAMES, pixels);
    e->latent_mask = ms_alloc_array(mem, MS_LEDGER_FRAMES, (size_t)e->latent_pixels, sizeof(float));
    void *work = ms_alloc(mem, MS_LEDGER_STAGING, work_bytes);
    ms_status status = MS_HOST_MEMORY;
    if (e->mask && e->latent_mask && work)
        status = ms_face_mask(e->resolution, e->mask, work, work_bytes, err);
    else
        ms_fail_alloc(err, mem, pixels, "the mask");
    ms_free(work);
    if (status == MS_OK)
        ms_face_mask_latent(e->mask, e->resolution, e->latent_mask);
    return status;
}

static ms_status make_buffers(ms_engine *e, ms_error *err) {
    ms_mem *mem = e->p.compute.mem;
    size_t pixels = (size_t)e->resolution * (size_t)e->resolution * 3;
    size_t frames = (size_t)e->window_frames, encode = (size_t)e->encode_batch,
           batch = (size_t)(e->encode_batch > e->decode_batch ? e->encode_batch : e->decode_batch);
    size_t tokens = (size_t)e->denoise.tokens * (size_t)e->files.unet_config.cross_attention_dim;
    e->audio = ms_alloc_array(mem, MS_LEDGER_STAGING, frames * tokens, sizeof(float));
    e->pixels = ms_alloc_array(mem, MS_LEDGER_STAGING, batch * pixels, sizeof(float));
    e->numbers = ms_alloc_array(mem, MS_LEDGER_STAGING, encode, sizeof(*e->numbers));
    e->missing = ms_alloc_array(mem, MS_LEDGER_GENERAL, frames, sizeof(*e->missing));
    if (!e->missing || !e->audio || !e->pixels || !e->numbers)
        return ms_fail_alloc(err, mem, batch * pixels * sizeof(float), "a window's buffers");
    return MS_OK;
}

int64_t ms_engine_paying_batch(int resolution) {
    return resolution <= 256 ? 4 : 1;
}

int64_t ms_engine_most_frames(const ms_engine_params *p) {
    int64_t most = p->files->unet_config.num_frames;
    return p->frames > 0 && p->frames < most ? p->frames : most;
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
    const ms_engine_layout *l = &e->p.layout;
    e->encode_batch = l->encode_batch ? l->encode_batch : ms_engine_paying_batch(e->resolution);
    e->decode_batch = l->decode_batch ? l->decode_batch : ms_engine_paying_batch(e->resolution);
    if (e->encode_batch > e->window_frames)
        e->encode_batch = e->window_frames;
    if (e->decode_batch > e->window_frames)
        e->decode_batch = e->window_frames;
    for (int i = 0; i < PARTS; i++) {
        part *x = &e->part[i];
        MS_TRY(ms_params_create(e->p.compute.mem, e->p.compute.dev, &x->params, err));
        MS_TRY(ms_weights_create(&e->p.compute, x->params, &x->weights, err));
    }
    MS_TRY(plan_networks(e, err));
    MS_TRY(make_mask(e, err));
    MS_TRY(make_buffers(e, err));
    e->residency = choose_residency(e, e->p.layout.resident_weight_bytes);
    return MS_OK;
}

ms_status ms_engine_create(const ms_engine_params *params, const ms_engine_hooks *hooks,
                           ms_engine **ret_engine, ms_error *err) {
    ms_engine *e = ms_calloc(params->compute.mem, MS_LEDGER_GENERAL, 1, sizeof(*e));
    if (!e)
        return ms_fail_alloc(err, params->compute.mem, sizeof(*e), "the engine");
    e->p = *params;
    e->files = *params->files;
    if (hooks)
        e->hooks = *hooks;
    e->exec = (ms_exec_params){.before = poll_hook, .arg = e};
    ms_mem_usage before, after;
    ms_mem_get_usage(params->compute.mem, &before);
    ms_status status = make(e, err);
    if (status != MS_OK) {
        ms_engine_destroy(&e);
        return status;
    }
    ms_mem_get_usage(params->compute.mem, &after);
    e->held_bytes = after.current_bytes - before.current_bytes;
    *ret_engine = e;
    return MS_OK;
}

void ms_engine_destroy(ms_engine **engine) {
    if (!engine || !*engine)
        return;
    ms_engine *e = *engine;
    ms_features_destroy(&e->features);
    ms_autoencoder_destroy(&e->vae);
    ms_denoiser_destroy(&e->denoiser);
    ms_device_free(e->p.compute.dev, e->arena);
    ms_device_free(e->p.compute.dev, e->state);
    for (int i = 0; i < PARTS; i++)
        ms_weights_destroy(&e->part[i].weights);
    ms_weight_stream_destroy(&e->stream);
    for (int i = 0; i < PARTS; i++) {
        ms_tensor_file_close(&e->part[i].file);
        ms_params_destroy(&e->part[i].params);
    }
    void *const buffers[] = {e->mask, e->latent_mask, e->audio, e->pixels, e->numbers, e->missing};
    for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++)
        ms_free(buffers[i]);
    ms_free(e);
    *engine = NULL;
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

int64_t ms_engine_audio_frames(const ms_engine *e) {
    return ms_features_frames(e->features);
}

void *ms_engine_arena(ms_engine *e) {
    return e->arena;
}

const uint8_t *ms_engine_mask(const ms_engine *e) {
    return e->mask;
}

/* Networks of the VAE for a whole batch and for what is left over are captured both. Streamed weights are not. */
static size_t launch_bytes(const ms_engine *e) {
    const ms_device *dev = e->p.compute.dev;
    const ms_network *const vae[] = {ms_autoencoder_network(e->vae, true),
                                     ms_autoencoder_network(e->vae, false)};
    if (!e->p.compute.replay || !dev->caps.capture)
        return 0;
    double calls = ms_denoiser_captured_calls(e->denoiser) +
                   ms_network_get_work(ms_features_network(e->features), e->p.precision, e->residency).passes;
    for (int i = 0; i < 2; i++)
        calls += 2 * ms_network_get_work(vae[i], e->p.precision, e->residency).passes;
    return (size_t)calls * dev->caps.launch_bytes;
}

ms_engine_memory ms_engine_get_memory(const ms_engine *e) {
    const bool apart = !e->p.compute.dev->caps.host_memory;
    ms_engine_memory m = {
        .arena_bytes = e->arena_bytes, .state_bytes = e->state_bytes, .held_bytes = e->held_bytes};
    for (int i = 0; i < PARTS; i++) {
        const ms_params *params = e->part[i].params;
        size_t all = ms_params_bytes(params, e->p.precision),
               stay = ms_params_resident_bytes(params, e->p.precision, e->residency);
        m.weight_bytes += all;
        m.streamed_bytes += all - stay;
        m.resident_bytes += ms_params_held_bytes(params, e->p.precision, e->residency);
    }
    m.stream_bytes = stream_buffer_bytes(e);
    if (apart) {
        /* Pieces of weights pass through two slots on each side, while they are loaded and while they are streamed. */
        const ms_device *dev = e->p.compute.dev;
        m.arena_bytes = ms_device_block_bytes(dev, m.arena_bytes);
        m.state_bytes = ms_device_block_bytes(dev, m.state_bytes);
        const size_t kept = m.arena_bytes + m.state_bytes; /* made when the slots are gone */
        size_t host_slots = 2 * upload_slot_bytes(e),
               slots = 2 * ms_device_block_bytes(dev, upload_slot_bytes(e)),
               loading = slots > kept ? slots - kept : 0;
        m.host_bytes = m.held_bytes + host_slots + (m.stream_bytes ? host_slots + OPEN_FILES_BYTES : 0);
        m.stream_bytes = m.stream_bytes ? ms_device_block_bytes(dev, m.stream_bytes) + slots : 0;
        m.launch_bytes = m.stream_bytes ? 0 : launch_bytes(e);
        m.total_bytes =
            m.arena_bytes + m.state_bytes + m.resident_bytes + m.stream_bytes + m.launch_bytes + loading;
        return m;
    }
    if (m.stream_bytes) /* and scratch for the pool's threads and the stream's own, and the files stay open */
        m.stream_bytes +=
            (size_t)(ms_pool_threads(e->p.compute.pool) + 1) * stream_scratch_floats(e) * sizeof(float) +
            OPEN_FILES_BYTES;
    m.total_bytes = m.arena_bytes + m.state_bytes + m.resident_bytes + m.stream_bytes + m.held_bytes;
    return m;
}

/* A window's pictures: batches read the weights, but the last one computes no more than there is. */
static ms_network_work batches_work(const ms_engine *e, const ms_network *network, int64_t batch,
                                    double times) {
    ms_network_work work = ms_network_get_work(network, e->p.precision, e->residency), none = {0};
    double batches = ceil((double)e->window_frames / (double)batch);
    double full = (double)e->window_frames / (double)batch / batches;
    work.conv_flops *= full;
    work.linear_flops *= full;
    work.attention_flops *= full;
    work.moved_bytes *= full;
    return ms_network_work_add(none, work, times * batches);
}

ms_engine_work ms_engine_get_work(const ms_engine *e) {
    ms_network_work none = {0};
    return (ms_engine_work){
        .audio = ms_network_work_add(
            none, ms_network_get_work(ms_features_network(e->features), e->p.precision, e->residency), 1),
        .encode = batches_work(e, ms_autoencoder_network(e->vae, true), e->encode_batch, 2),
        .denoise = ms_denoiser_work(e->denoiser, e->p.precision, e->residency),
        .decode = batches_work(e, ms_autoencoder_network(e->vae, false), e->decode_batch, 1)};
}

bool ms_engine_get_steps(const ms_engine *e, ms_network_work *ret_full, ms_network_work *ret_cached) {
    const ms_network *cached = ms_denoiser_network(e->denoiser, true);
    if (!cached)
        return false;
    *ret_full = ms_network_get_work(ms_denoiser_network(e->denoiser, false), e->p.precision, e->residency);
    *ret_cached = ms_network_get_work(cached, e->p.precision, e->residency);
    return true;
}

int ms_engine_get_phases(const ms_engine *e, ms_engine_phase ret_phases[MS_ENGINE_PHASES]) {
    const ms_engine_phase all[MS_ENGINE_PHASES] = {
        {"audio", ms_features_network(e->features)},
        {"encode", ms_autoencoder_network(e->vae, true)},
        {"denoise", ms_denoiser_network(e->denoiser, false)},
        {"denoise, cached", ms_denoiser_network(e->denoiser, true)},
        {"decode", ms_autoencoder_network(e->vae, false)}};
    int n = 0;
    for (int i = 0; i < MS_ENGINE_PHASES; i++)
        if (all[i].network)
            ret_phases[n++] = all[i];
    return n;
}
