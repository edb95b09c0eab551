/* What a layout computes and what it will take: planned without weights, beside whatever runs. */
#include <math.h>

#include "base/error.h"
#include "engine/engine_internal.h"

/* Directories of three checkpoints: some 2000 tensors with their names. */
#define OPEN_FILES_BYTES ((size_t)2 << 20)

static void raise_to(size_t *value, size_t other) {
    if (other > *value)
        *value = other;
}

/* ---- weights, before they are there ---- */

size_t ms_engine_resident_bytes(const ms_engine *e, ms_residency residency) {
    size_t sum = 0;
    for (int i = 0; i < PARTS; i++)
        sum += ms_params_resident_bytes(e->w->part[i].params, e->p.precision, residency);
    return sum;
}

size_t ms_engine_stream_bytes(const ms_engine *e, ms_residency residency) {
    size_t most = 0;
    for (int i = 0; i < PARTS; i++)
        raise_to(&most, ms_params_stream_bytes(e->w->part[i].params, e->p.precision, residency));
    return most;
}

size_t ms_engine_scratch_floats(const ms_engine *e, ms_residency residency) {
    size_t most = 0;
    for (int i = 0; i < PARTS; i++)
        raise_to(&most, ms_params_stream_scratch_floats(e->w->part[i].params, residency));
    return most;
}

size_t ms_engine_slot_bytes(const ms_engine *e) {
    size_t most = 0;
    for (int i = 0; i < PARTS; i++)
        raise_to(&most, ms_params_slot_bytes(e->w->part[i].params));
    return most;
}

/* The residency that streams least of those that keep at most so many bytes; all, where none does. */
void ms_engine_program_keep(const ms_engine *e, ms_engine_program *p, size_t bytes) {
    ms_residency too_much = MS_ALL_RESIDENT, enough = MS_ALL_STREAMED;
    p->layout.resident_weight_bytes = bytes;
    p->residency = MS_ALL_RESIDENT;
    if (ms_engine_resident_bytes(e, MS_ALL_RESIDENT) <= bytes)
        return;
    while (enough - too_much > 1) {
        ms_residency middle = too_much + (enough - too_much) / 2;
        *(ms_engine_resident_bytes(e, middle) > bytes ? &too_much : &enough) = middle;
    }
    p->residency = enough;
}

/* ---- making it ---- */

static int64_t batch_of(const ms_engine *e, int64_t wanted) {
    int64_t batch = wanted ? wanted : ms_engine_paying_batch(e->resolution);
    return batch < e->window_frames ? batch : e->window_frames;
}

static ms_status plan_networks(ms_engine *e, ms_engine_program *p, ms_error *err) {
    const ms_dtype activation = e->p.compute.activation;
    size_t bytes = 0, state = 0;
    raise_to(&p->arena_bytes, e->speech_arena_bytes);
    ms_autoencoder_params vae = {.params = e->w->part[VAE].params,
                                 .activation = activation,
                                 .config = e->files.vae_config_values,
                                 .h = e->resolution,
                                 .w = e->resolution,
                                 .encode_batch = p->encode_batch,
                                 .decode_batch = p->decode_batch,
                                 .seed = e->p.seed,
                                 .slicing = p->layout.slicing};
    MS_TRY(ms_autoencoder_create(&vae, &p->vae, &bytes, &p->vae_state_bytes, err));
    raise_to(&p->arena_bytes, bytes);
    p->denoise = (ms_denoise_params){.frames = e->window_frames,
                                     .h = e->latent_side,
                                     .w = e->latent_side,
                                     .tokens = ms_features_tokens(e->features),
                                     .steps = e->p.steps,
                                     .guidance = e->p.guidance,
                                     .deepcache = e->p.deepcache,
                                     .serial_branches = p->layout.serial_branches,
                                     .seed = e->p.seed,
                                     .slicing = p->layout.slicing};
    MS_TRY(ms_denoiser_create(e->w->part[UNET].params, activation, &e->files.unet_config, &p->denoiser, err));
    MS_TRY(ms_denoiser_prepare(p->denoiser, &p->denoise, &bytes, &state, err));
    raise_to(&p->arena_bytes, bytes);
    p->state_bytes = p->vae_state_bytes + state;
    return MS_OK;
}

ms_status ms_engine_program_create(ms_engine *e, const ms_engine_layout *layout,
                                   ms_engine_program **ret_program, ms_error *err) {
    ms_engine_program *p = ms_mem_calloc(e->p.compute.mem, MS_LEDGER_GENERAL, 1, sizeof(*p));
    if (!p)
        return ms_fail_alloc(err, e->p.compute.mem, sizeof(*p), "a layout's plan");
    p->layout = *layout;
    p->encode_batch = batch_of(e, layout->encode_batch);
    p->decode_batch = batch_of(e, layout->decode_batch);
    ms_status status = plan_networks(e, p, err);
    if (status != MS_OK) {
        ms_engine_program_destroy(&p);
        return status;
    }
    ms_engine_program_keep(e, p, layout->resident_weight_bytes);
    /* Summed up, not read from the ledgers: other threads draw on them meanwhile. */
    p->held_bytes = ms_mem_charged_bytes(sizeof(*p)) + ms_autoencoder_held_bytes(p->vae) +
                    ms_denoiser_held_bytes(p->denoiser);
    *ret_program = p;
    return MS_OK;
}

void ms_engine_program_destroy(ms_engine_program **program) {
    if (!program || !*program)
        return;
    ms_autoencoder_destroy(&(*program)->vae);
    ms_denoiser_destroy(&(*program)->denoiser);
    ms_mem_free(*program);
    *program = NULL;
}

/* ---- what it will take ---- */

void ms_engine_buffer_sizes(const ms_engine *e, const ms_engine_program *p,
                            size_t ret_bytes[MS_ENGINE_BUFFERS]) {
    size_t pixels = (size_t)e->resolution * (size_t)e->resolution * 3, frames = (size_t)e->window_frames,
           encode = (size_t)p->encode_batch, decode = (size_t)p->decode_batch,
           tokens = (size_t)p->denoise.tokens * (size_t)e->files.unet_config.cross_attention_dim;
    const size_t bytes[MS_ENGINE_BUFFERS] = {
        frames * tokens * sizeof(float),                              /* audio */
        (encode > decode ? encode : decode) * pixels * sizeof(float), /* pixels */
        encode * sizeof(*e->numbers),                                 /* numbers */
        frames * sizeof(*e->missing),                                 /* missing */
    };
    for (int i = 0; i < MS_ENGINE_BUFFERS; i++)
        ret_bytes[i] = bytes[i];
}

static size_t buffer_bytes(const ms_engine *e, const ms_engine_program *p) {
    size_t bytes[MS_ENGINE_BUFFERS], sum = 0;
    ms_engine_buffer_sizes(e, p, bytes);
    for (int i = 0; i < MS_ENGINE_BUFFERS; i++)
        sum += ms_mem_charged_bytes(bytes[i]);
    for (int i = 0; i < PARTS; i++)
        sum += ms_weights_table_bytes(e->w->part[i].params);
    return sum;
}

/* Everything is captured that runs for each window, and the speech's network. With streamed weights nothing
   is. */
static size_t launch_bytes(const ms_engine *e, const ms_engine_program *p) {
    const ms_device *dev = e->p.compute.dev;
    if (!e->p.compute.replay || !dev->caps.capture)
        return 0;
    return ms_denoiser_launch_bytes(p->denoiser) + ms_network_launch_bytes(ms_features_network(e->features)) +
           ms_network_launch_bytes(ms_autoencoder_network(p->vae, true)) +
           ms_network_launch_bytes(ms_autoencoder_network(p->vae, false));
}

/* A layout is planned while another runs: there is room for two programs. */
ms_engine_memory ms_engine_get_memory(const ms_engine *e, const ms_engine_program *p) {
    const ms_device *dev = e->p.compute.dev;
    ms_engine_memory m = {.arena_bytes = p->arena_bytes,
                          .state_bytes = p->state_bytes,
                          .held_bytes = e->held_bytes + 2 * p->held_bytes + buffer_bytes(e, p)};
    for (int i = 0; i < PARTS; i++) {
        const ms_params *params = e->w->part[i].params;
        m.held_bytes += ms_params_own_bytes(params);
        size_t all = ms_params_bytes(params, e->p.precision),
               stay = ms_params_resident_bytes(params, e->p.precision, p->residency);
        m.weight_bytes += all;
        m.streamed_bytes += all - stay;
        m.resident_bytes += ms_params_held_bytes(params, e->p.precision, p->residency);
    }
    m.stream_bytes = ms_engine_stream_bytes(e, p->residency);
    if (!dev->caps.host_memory) {
        /* Pieces of weights pass through two slots on each side, while they are
           loaded and while they are streamed. */
        m.arena_bytes = ms_device_block_bytes(dev, m.arena_bytes);
        m.state_bytes = ms_device_block_bytes(dev, m.state_bytes);
        m.launch_bytes = m.stream_bytes ? 0 : launch_bytes(e, p);
        const size_t kept = m.arena_bytes + m.state_bytes + m.launch_bytes; /* made when the slots are gone */
        size_t host_slots = 2 * ms_engine_slot_bytes(e),
               slots = 2 * ms_device_block_bytes(dev, ms_engine_slot_bytes(e)),
               loading = slots > kept ? slots - kept : 0;
        m.host_bytes = m.held_bytes + host_slots + (m.stream_bytes ? host_slots + OPEN_FILES_BYTES : 0);
        m.stream_bytes = m.stream_bytes ? ms_device_block_bytes(dev, m.stream_bytes) + slots : 0;
        m.total_bytes =
            m.arena_bytes + m.state_bytes + m.resident_bytes + m.stream_bytes + m.launch_bytes + loading;
        return m;
    }
    if (m.stream_bytes) /* and scratch for the pool's threads and the stream's own, and the files stay open */
        m.stream_bytes += (size_t)(ms_pool_threads(e->p.compute.pool) + 1) *
                              ms_engine_scratch_floats(e, p->residency) * sizeof(float) +
                          OPEN_FILES_BYTES;
    m.total_bytes = m.arena_bytes + m.state_bytes + m.resident_bytes + m.stream_bytes + m.held_bytes;
    return m;
}

/* A window's pictures: batches read the weights, but the last one computes no more than there is. */
static ms_network_work batches_work(const ms_engine *e, const ms_engine_program *p, bool encoder,
                                    double times, const ms_probe_rates *roofline) {
    const int64_t batch = encoder ? p->encode_batch : p->decode_batch;
    ms_network_work work = ms_network_get_work(ms_autoencoder_network(p->vae, encoder), e->p.precision,
                                               p->residency, roofline),
                    none = {0};
    double batches = ceil((double)e->window_frames / (double)batch);
    double full = (double)e->window_frames / (double)batch / batches;
    work.conv_flops *= full;
    work.linear_flops *= full;
    work.attention_flops *= full;
    work.moved_bytes *= full;
    return ms_network_work_add(none, work, times * batches);
}

ms_engine_work ms_engine_get_work(const ms_engine *e, const ms_engine_program *p,
                                  const ms_probe_rates *roofline) {
    return (ms_engine_work){.audio = ms_network_get_work(ms_features_network(e->features), e->p.precision,
                                                         p->residency, roofline),
                            .encode = batches_work(e, p, true, 2, roofline),
                            .denoise = ms_denoiser_work(p->denoiser, e->p.precision, p->residency, roofline),
                            .decode = batches_work(e, p, false, 1, roofline)};
}

bool ms_engine_get_steps(const ms_engine *e, const ms_engine_program *p, const ms_probe_rates *roofline,
                         ms_network_work *ret_full, ms_network_work *ret_cached) {
    const ms_network *cached = ms_denoiser_network(p->denoiser, true);
    if (!cached)
        return false;
    *ret_full =
        ms_network_get_work(ms_denoiser_network(p->denoiser, false), e->p.precision, p->residency, roofline);
    *ret_cached = ms_network_get_work(cached, e->p.precision, p->residency, roofline);
    return true;
}

int ms_engine_get_phases(const ms_engine *e, const ms_engine_program *p,
                         ms_engine_phase ret_phases[MS_ENGINE_PHASES]) {
    const ms_engine_phase all[MS_ENGINE_PHASES] = {
        {"audio", ms_features_network(e->features)},
        {"encode", ms_autoencoder_network(p->vae, true)},
        {"denoise", ms_denoiser_network(p->denoiser, false)},
        {"denoise, cached", ms_denoiser_network(p->denoiser, true)},
        {"decode", ms_autoencoder_network(p->vae, false)}};
    int n = 0;
    for (int i = 0; i < MS_ENGINE_PHASES; i++)
        if (all[i].network)
            ret_phases[n++] = all[i];
    return n;
}
