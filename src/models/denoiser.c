#include "models/denoiser.h"

#include <string.h>

#include "base/error.h"

#define DEEPCACHE_INTERVAL 3
#define LATENT_CHANNELS 4

struct ms_denoiser {
    ms_params *weights;
    ms_dtype activation;
    ms_unet_config config;
    ms_denoise_params params;
    ms_ddim ddim;
    ms_network full, cached; /* full keeps DeepCache's tensor when that is on */
    bool prepared;
    int64_t branches;       /* of guidance: 1 or 2 */
    int64_t graph_branches; /* that one run of a graph covers */
    float *sample;          /* [graph images][h * w][in_channels] */
    float *audio;           /* [branches][frames][tokens][dim]: unconditional zeros first */
    float *noise;           /* [branches][frames][h * w][4] */
    float *time;            /* [channels[0]] */
    char *cache;            /* [branches] of DeepCache's tensor, or NULL */
    size_t cache_bytes;     /* of one graph run */
};

ms_status ms_denoiser_create(ms_params *params, ms_dtype activation, const ms_unet_config *config,
                             ms_denoiser **ret_denoiser, ms_error *err) {
    ms_mem *mem = ms_params_mem(params);
    if (config->in_channels != 3 * LATENT_CHANNELS + 1 || config->out_channels != LATENT_CHANNELS)
        return ms_fail(err, MS_UNSUPPORTED,
                       "a denoiser with %d input and %d output channels is not known (13 and 4 are)",
                       config->in_channels, config->out_channels);
    ms_denoiser *d = ms_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*d));
    if (!d)
        return ms_fail_alloc(err, mem, sizeof(*d), "the denoiser");
    d->weights = params;
    d->activation = activation;
    d->config = *config;
    *ret_denoiser = d;
    return MS_OK;
}

static void clear(ms_denoiser *d) {
    ms_network_clear(&d->full);
    ms_network_clear(&d->cached);
    ms_free(d->sample);
    ms_free(d->audio);
    ms_free(d->noise);
    ms_free(d->time);
    ms_free(d->cache);
    d->sample = d->audio = d->noise = d->time = NULL;
    d->cache = NULL;
    d->prepared = false;
}

void ms_denoiser_destroy(ms_denoiser **denoiser) {
    if (!denoiser || !*denoiser)
        return;
    clear(*denoiser);
    ms_free(*denoiser);
    *denoiser = NULL;
}

static ms_status build(ms_denoiser *d, ms_unet_kind kind, ms_network *ret_network, ms_error *err) {
    const ms_denoise_params *p = &d->params;
    ms_unet_shape shape = {.kind = kind,
                           .branches = d->graph_branches,
                           .frames = p->frames,
                           .h = p->h,
                           .w = p->w,
                           .tokens = p->tokens};
    ms_graph *graph = NULL;
    MS_TRY(ms_graph_create(d->weights, d->activation, &graph, err));
    ms_status status = ms_unet_build(graph, &d->config, &shape, err);
    if (status != MS_OK) {
        ms_graph_destroy(&graph);
        return status;
    }
    return ms_network_take(&graph, &p->slicing, ret_network, err);
}

static ms_status make_buffers(ms_denoiser *d, ms_error *err) {
    const ms_denoise_params *p = &d->params;
    ms_mem *mem = ms_params_mem(d->weights);
    size_t rows = (size_t)(p->frames * p->h * p->w), branches = (size_t)d->branches,
           audio = (size_t)(p->frames * p->tokens * d->config.cross_attention_dim);
    d->cache_bytes = p->deepcache ? ms_network_bytes(&d->full, "cache") : 0;
    size_t sample_floats = rows * (size_t)d->graph_branches * (size_t)d->config.in_channels;
    d->sample = ms_alloc_array(mem, MS_LEDGER_STAGING, sample_floats, sizeof(float));
    d->audio = ms_calloc(mem, MS_LEDGER_STAGING, branches * audio, sizeof(float));
    d->noise = ms_alloc_array(mem, MS_LEDGER_STAGING, branches * rows * LATENT_CHANNELS, sizeof(float));
    d->time = ms_alloc_array(mem, MS_LEDGER_STAGING, (size_t)d->config.channels[0], sizeof(float));
    if (p->deepcache)
        d->cache =
            ms_alloc(mem, MS_LEDGER_CACHES, d->cache_bytes * (size_t)(d->branches / d->graph_branches));
    if (!d->sample || !d->audio || !d->noise || !d->time || (p->deepcache && !d->cache))
        return ms_fail_alloc(err, mem, sample_floats * sizeof(float), "the denoiser's buffers");
    return MS_OK;
}

static bool same_params(const ms_denoise_params *a, const ms_denoise_params *b) {
    return a->frames == b->frames && a->h == b->h && a->w == b->w && a->tokens == b->tokens &&
           a->steps == b->steps && a->guidance == b->guidance && a->deepcache == b->deepcache &&
           a->serial_branches == b->serial_branches && a->slicing.frames == b->slicing.frames &&
           a->slicing.pixels == b->slicing.pixels && a->slicing.attention_parts == b->slicing.attention_parts;
}

static ms_status make(ms_denoiser *d, ms_error *err) {
    const ms_denoise_params *p = &d->params;
    d->branches = p->guidance > 1 ? 2 : 1;
    d->graph_branches = p->serial_branches ? 1 : d->branches;
    MS_TRY(ms_ddim_init(&d->ddim, p->steps, err));
    MS_TRY(build(d, p->deepcache ? MS_UNET_FULL_KEEP : MS_UNET_FULL, &d->full, err));
    if (p->deepcache)
        MS_TRY(build(d, MS_UNET_CACHED, &d->cached, err));
    return make_buffers(d, err);
}

ms_status ms_denoiser_prepare(ms_denoiser *d, const ms_denoise_params *params, size_t *ret_arena_bytes,
                              ms_error *err) {
    if (!d->prepared || !same_params(&d->params, params)) {
        clear(d);
        d->params = *params;
        ms_status status = make(d, err);
        if (status != MS_OK) {
            clear(d);
            return status;
        }
        d->prepared = true;
    }
    size_t bytes = d->full.plan->arena_bytes;
    if (d->cached.plan && d->cached.plan->arena_bytes > bytes)
        bytes = d->cached.plan->arena_bytes;
    *ret_arena_bytes = bytes;
    return MS_OK;
}

bool ms_deepcache_full_step(int step) {
    return step % DEEPCACHE_INTERVAL == 0;
}

/* Channels of a pixel: 4 noisy latent, mask, 4 masked picture, 4 reference; the same in every branch. */
static void fill_sample(const ms_denoiser *d, const ms_denoise_io *io) {
    int64_t pixels = d->params.h * d->params.w, rows = d->params.frames * pixels;
    int channels = d->config.in_channels;
    for (int64_t r = 0; r < rows; r++) {
        float *x = d->sample + r * channels;
        memcpy(x, io->latents + r * 4, 4 * sizeof(float));
        x[4] = io->mask[r % pixels];
        memcpy(x + 5, io->masked + r * 4, 4 * sizeof(float));
        memcpy(x + 9, io->reference + r * 4, 4 * sizeof(float));
    }
    if (d->graph_branches == 2)
        memcpy(d->sample + rows * channels, d->sample, (size_t)(rows * channels) * sizeof(float));
}

static ms_status predict(ms_denoiser *d, const ms_context *context, int step, int64_t pass,
                         const ms_denoise_hooks *hooks, ms_error *err) {
    const ms_denoise_params *p = &d->params;
    bool full = !p->deepcache || ms_deepcache_full_step(step);
    ms_network *net = full ? &d->full : &d->cached;
    int64_t audio = p->frames * p->tokens * d->config.cross_attention_dim, rows = p->frames * p->h * p->w;
    char *cache = d->cache ? d->cache + (size_t)pass * d->cache_bytes : NULL;
    MS_TRY(ms_network_write(net, context, "sample", d->sample, err));
    MS_TRY(ms_network_write(net, context, "time", d->time, err));
    if (d->config.audio_layer)
        MS_TRY(ms_network_write(net, context, "audio", d->audio + pass * audio, err));
    if (!full)
        MS_TRY(ms_network_write(net, context, "cache", cache, err));
    MS_TRY(ms_network_run(net, context, hooks ? &hooks->exec : NULL, err));
    if (full && cache)
        MS_TRY(ms_network_read_raw(net, context, "cache", cache, err));
    return ms_network_read(net, context, "noise", d->noise + pass * rows * LATENT_CHANNELS, err);
}

ms_status ms_denoiser_run(ms_denoiser *d, const ms_context *context, const ms_denoise_io *io,
                          const ms_denoise_hooks *hooks, ms_error *err) {
    if (!d->prepared)
        return ms_fail(err, MS_INTERNAL, "the denoiser was not prepared");
    const ms_denoise_params *p = &d->params;
    int64_t audio = p->frames * p->tokens * d->config.cross_attention_dim;
    int64_t count = p->frames * p->h * p->w * LATENT_CHANNELS;
    if (d->config.audio_layer)
        memcpy(d->audio + (d->branches - 1) * audio, io->audio, (size_t)audio * sizeof(float));
    for (int step = 0; step < d->ddim.steps; step++) {
        fill_sample(d, io);
        ms_unet_time_embedding(&d->config, d->ddim.timesteps[step], d->time);
        for (int64_t pass = 0; pass < d->branches / d->graph_branches; pass++)
            MS_TRY(predict(d, context, step, pass, hooks, err));
        if (d->branches == 2)
            ms_guide(d->noise, d->noise + count, p->guidance, count, d->noise);
        ms_ddim_step(&d->ddim, step, d->noise, io->latents, count);
        if (hooks && hooks->step)
            hooks->step(hooks->arg, step, io->latents);
    }
    return MS_OK;
}

ms_network_work ms_denoiser_work(const ms_denoiser *d, ms_dtype precision, ms_residency residency) {
    ms_network_work full = ms_network_get_work(&d->full, precision, residency), cached = full, sum = {0};
    if (d->params.deepcache)
        cached = ms_network_get_work(&d->cached, precision, residency);
    double runs = (double)(d->branches / d->graph_branches);
    for (int step = 0; step < d->params.steps; step++) {
        const ms_network_work *one = d->params.deepcache && !ms_deepcache_full_step(step) ? &cached : &full;
        sum = ms_network_work_add(sum, *one, runs);
    }
    return sum;
}

const ms_network *ms_denoiser_network(const ms_denoiser *d, bool cached) {
    return !cached ? &d->full : d->params.deepcache ? &d->cached : NULL;
}
