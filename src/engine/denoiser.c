#include "engine/denoiser.h"

#include "base/error.h"

#define DEEPCACHE_INTERVAL 3
#define LATENT_CHANNELS 4

/* What lies in the state, and the slot under which the networks find it. */
enum { LATENTS, MASKED, REFERENCE, MASK, AUDIO, NOISE, CACHE, BAD, TIME, FACTORS, PLACES };

static const struct {
    const char *name; /* of an input or output */
    int place;
} bound[] = {{"latents", LATENTS}, {"next", LATENTS}, {"masked", MASKED},  {"reference", REFERENCE},
             {"mask", MASK},       {"audio", AUDIO},  {"noise", NOISE},    {"cache", CACHE},
             {"bad", BAD},         {"time", TIME},    {"factors", FACTORS}};

struct ms_denoiser {
    ms_params *weights;
    ms_dtype activation;
    ms_unet_config config;
    ms_denoise_params params;
    ms_ddim ddim;
    ms_network full, cached; /* full keeps DeepCache's tensor when that is on */
    ms_network start, step;  /* noise; guidance, DDIM's step and the check */
    bool prepared;
    int64_t branches;                     /* of guidance: 1 or 2 */
    int64_t graph_branches;               /* that one run of a graph covers */
    size_t offset[PLACES], bytes[PLACES]; /* in the state; bytes: of one pass, where each has its own */
    size_t state_bytes;
    float *scalars; /* of a step: the time embedding, and from the state's FACTORS on DDIM's factors */
};

ms_status ms_denoiser_create(ms_params *params, ms_dtype activation, const ms_unet_config *config,
                             ms_denoiser **ret_denoiser, ms_error *err) {
    ms_mem *mem = ms_params_mem(params);
    if (config->in_channels != 3 * LATENT_CHANNELS + 1 || config->out_channels != LATENT_CHANNELS)
        return ms_fail(err, MS_UNSUPPORTED,
                       "a denoiser with %d input and %d output channels is not known (13 and 4 are)",
                       config->in_channels, config->out_channels);
    ms_denoiser *d = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*d));
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
    ms_network_clear(&d->start);
    ms_network_clear(&d->step);
    ms_mem_free(d->scalars);
    d->scalars = NULL;
    d->prepared = false;
}

void ms_denoiser_destroy(ms_denoiser **denoiser) {
    if (!denoiser || !*denoiser)
        return;
    clear(*denoiser);
    ms_mem_free(*denoiser);
    *denoiser = NULL;
}

static ms_shape latents_shape(const ms_denoiser *d) {
    return (ms_shape){d->params.frames, d->params.h, d->params.w, LATENT_CHANNELS};
}

typedef struct wanted {
    const ms_denoiser *d;
    const ms_network *network; /* one of d's */
} wanted;

static ms_status build_one(const wanted *w, ms_graph *graph, ms_error *err) {
    const ms_denoiser *d = w->d;
    const ms_denoise_params *p = &d->params;
    if (w->network == &d->start)
        return ms_ddim_build_start(graph, p->seed, latents_shape(d), err);
    if (w->network == &d->step)
        return ms_ddim_build_step(graph, latents_shape(d), (int)d->branches, p->guidance, err);
    ms_unet_kind whole = p->deepcache ? MS_UNET_FULL_KEEP : MS_UNET_FULL;
    return ms_unet_build(graph, &d->config,
                         &(ms_unet_shape){.kind = w->network == &d->full ? whole : MS_UNET_CACHED,
                                          .branches = d->graph_branches,
                                          .frames = p->frames,
                                          .h = p->h,
                                          .w = p->w,
                                          .tokens = p->tokens,
                                          .parts = true},
                         err);
}

static ms_status build_graph(const void *arg, ms_graph *graph, ms_error *err) {
    MS_TRY(build_one(arg, graph, err));
    for (size_t i = 0; i < sizeof(bound) / sizeof(bound[0]); i++) {
        ms_value v = ms_graph_find(graph, bound[i].name);
        if (v != MS_NO_VALUE)
            ms_graph_bind(graph, v, bound[i].place);
    }
    return MS_OK;
}

static ms_status build(ms_denoiser *d, ms_network *network, ms_error *err) {
    const wanted one = {.d = d, .network = network};
    return ms_network_build(&(ms_network_build_params){.params = d->weights,
                                                       .activation = d->activation,
                                                       .slicing = &d->params.slicing,
                                                       .build = build_graph,
                                                       .arg = &one},
                            network, err);
}

/* Branches that are computed one after the other have speech, noise and DeepCache's tensor each. */
static bool is_of_a_pass(int place) {
    return place == AUDIO || place == NOISE || place == CACHE;
}

/* Gives a place its offset in the state, at a multiple of the arena's alignment. */
static void lay(ms_denoiser *d, int place, size_t bytes) {
    const int64_t times = is_of_a_pass(place) ? d->branches / d->graph_branches : 1;
    d->offset[place] = d->state_bytes;
    d->bytes[place] = bytes;
    d->state_bytes += ms_align_up((size_t)times * bytes, MS_ARENA_ALIGN);
}

static ms_status lay_out_state(ms_denoiser *d, ms_error *err) {
    const ms_denoise_params *p = &d->params;
    const size_t latents = (size_t)ms_shape_elements(latents_shape(d)) * sizeof(float),
                 audio = (size_t)(p->frames * p->tokens * d->config.cross_attention_dim) * sizeof(float),
                 time = (size_t)d->config.channels[0] * sizeof(float);
    d->state_bytes = 0;
    lay(d, LATENTS, latents);
    lay(d, MASKED, latents);
    lay(d, REFERENCE, latents);
    lay(d, MASK, (size_t)(p->h * p->w) * sizeof(float));
    lay(d, AUDIO, d->config.audio_layer ? audio * (size_t)d->graph_branches : 0);
    lay(d, NOISE, latents * (size_t)d->graph_branches);
    lay(d, CACHE, p->deepcache ? ms_network_bytes(&d->full, "cache") : 0);
    lay(d, BAD, sizeof(uint32_t));
    lay(d, TIME, time);
    lay(d, FACTORS, 4 * sizeof(float));
    size_t bytes = d->state_bytes - d->offset[TIME];
    d->scalars = ms_mem_calloc(ms_params_mem(d->weights), MS_LEDGER_STAGING, 1, bytes);
    return d->scalars ? MS_OK
                      : ms_fail_alloc(err, ms_params_mem(d->weights), bytes, "the denoiser's buffers");
}

static bool same_params(const ms_denoise_params *a, const ms_denoise_params *b) {
    return a->frames == b->frames && a->h == b->h && a->w == b->w && a->tokens == b->tokens &&
           a->steps == b->steps && a->guidance == b->guidance && a->deepcache == b->deepcache &&
           a->serial_branches == b->serial_branches && a->seed == b->seed &&
           a->slicing.frames == b->slicing.frames && a->slicing.pixels == b->slicing.pixels &&
           a->slicing.attention_parts == b->slicing.attention_parts;
}

static ms_status make(ms_denoiser *d, ms_error *err) {
    const ms_denoise_params *p = &d->params;
    d->branches = p->guidance > 1 ? 2 : 1;
    d->graph_branches = p->serial_branches ? 1 : d->branches;
    MS_TRY(ms_ddim_init(&d->ddim, p->steps, err));
    MS_TRY(build(d, &d->full, err));
    if (p->deepcache)
        MS_TRY(build(d, &d->cached, err));
    MS_TRY(build(d, &d->start, err));
    MS_TRY(build(d, &d->step, err));
    return lay_out_state(d, err);
}

static size_t largest_arena(const ms_denoiser *d) {
    const ms_network *const all[] = {&d->full, &d->cached, &d->start, &d->step};
    size_t most = 0;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i]->plan && all[i]->plan->arena_bytes > most)
            most = all[i]->plan->arena_bytes;
    return most;
}

ms_status ms_denoiser_prepare(ms_denoiser *d, const ms_denoise_params *params, size_t *ret_arena_bytes,
                              size_t *ret_state_bytes, ms_error *err) {
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
    *ret_arena_bytes = largest_arena(d);
    *ret_state_bytes = d->state_bytes;
    return MS_OK;
}

bool ms_deepcache_full_step(int step) {
    return step % DEEPCACHE_INTERVAL == 0;
}

static void *place(const ms_denoiser *d, const ms_context *context, int which, int64_t pass) {
    return (char *)context->state + d->offset[which] + (size_t)pass * d->bytes[which];
}

void *ms_denoiser_part(const ms_denoiser *d, const ms_context *context, ms_denoise_part part) {
    static const int places[] = {LATENTS, MASKED, REFERENCE};
    return place(d, context, places[part], 0);
}

/* Where the networks of a pass find its branches. The network of the step takes all
   branches, from the first on. */
static ms_context context_of(const ms_denoiser *d, const ms_context *context, int64_t pass) {
    ms_context c = *context;
    for (int i = 0; i < PLACES; i++)
        c.bound[i] = place(d, context, i, is_of_a_pass(i) ? pass : 0);
    return c;
}

static ms_status begin(ms_denoiser *d, const ms_context *context, const ms_denoise_io *io, ms_error *err) {
    const ms_compute *c = &context->compute;
    const size_t mask = d->bytes[MASK], latents = d->bytes[LATENTS],
                 branch = d->bytes[AUDIO] / (size_t)d->graph_branches;
    char *audio = place(d, context, AUDIO, 0);
    ms_status status = ms_compute_upload(c, place(d, context, MASK, 0), io->mask, mask);
    if (status == MS_OK && d->config.audio_layer && d->branches == 2) /* first the one without speech */
        status = c->dev->backend->fill(c->queue, audio, 0, branch);
    if (status == MS_OK && d->config.audio_layer)
        status = ms_compute_upload(c, audio + (d->branches == 2 ? branch : 0), io->audio, branch);
    if (status == MS_OK && io->latents)
        status = ms_compute_upload(c, place(d, context, LATENTS, 0), io->latents, latents);
    if (status != MS_OK)
        return ms_fail(err, status, "cannot upload the condition");
    const ms_context start = context_of(d, context, 0);
    return io->latents ? MS_OK : ms_exec_run(d->start.graph, d->start.plan, &start, NULL, err);
}

/* What is no number stays so in all steps after, and would become a wrong picture. */
static ms_status tell(const ms_denoiser *d, int step, uint32_t bad, ms_error *err) {
    return !bad ? MS_OK
                : ms_fail(err, MS_BAD_MODEL,
                          "the denoiser's latents are not finite after step %d of %d: the weights do not fit "
                          "this precision or this input",
                          step + 1, d->ddim.steps);
}

/* Uploads the step's time and factors and downloads the check of the step before, with one wait for both. */
static ms_status exchange(ms_denoiser *d, const ms_context *context, int step, ms_error *err) {
    const ms_compute *c = &context->compute;
    const ms_backend *b = c->dev->backend;
    const size_t factors = (d->offset[FACTORS] - d->offset[TIME]) / sizeof(float);
    uint32_t bad = 0;
    ms_unet_time_embedding(&d->config, d->ddim.timesteps[step], d->scalars);
    ms_ddim_factors(&d->ddim, step, d->scalars + factors);
    ms_status status =
        b->upload(c->queue, place(d, context, TIME, 0), d->scalars, (factors + 4) * sizeof(float));
    if (status == MS_OK && step > 0)
        status = b->download(c->queue, &bad, place(d, context, BAD, 0), sizeof(bad));
    ms_status finished = ms_compute_finish(c); /* whatever happened: the queue may still write to bad */
    status = status == MS_OK ? finished : status;
    return status == MS_OK ? tell(d, step - 1, bad, err) : ms_fail(err, status, "cannot upload the step");
}

static ms_status run_step(ms_denoiser *d, const ms_context *context, int step, const ms_denoise_hooks *hooks,
                          ms_error *err) {
    const ms_denoise_params *p = &d->params;
    ms_network *unet = !p->deepcache || ms_deepcache_full_step(step) ? &d->full : &d->cached;
    MS_TRY(exchange(d, context, step, err));
    for (int64_t pass = 0; pass < d->branches / d->graph_branches; pass++) {
        const ms_context branch = context_of(d, context, pass);
        MS_TRY(ms_network_run(unet, &branch, hooks ? &hooks->exec : NULL, err));
    }
    const ms_context all = context_of(d, context, 0);
    return ms_network_run(&d->step, &all, NULL, err);
}

/* The last step has no step after it that would bring its check down. */
static ms_status check_last(const ms_denoiser *d, const ms_context *context, ms_error *err) {
    uint32_t bad = 0;
    ms_status status = ms_compute_download(&context->compute, &bad, place(d, context, BAD, 0), sizeof(bad));
    return status == MS_OK ? tell(d, d->ddim.steps - 1, bad, err)
                           : ms_fail(err, status, "cannot download the step's check");
}

ms_status ms_denoiser_run(ms_denoiser *d, const ms_context *context, const ms_denoise_io *io,
                          const ms_denoise_hooks *hooks, ms_error *err) {
    if (!d->prepared)
        return ms_fail(err, MS_INTERNAL, "the denoiser was not prepared");
    MS_TRY(begin(d, context, io, err));
    for (int step = 0; step < d->ddim.steps; step++) {
        MS_TRY(run_step(d, context, step, hooks, err));
        if (hooks && hooks->step)
            hooks->step(hooks->arg, step);
    }
    return check_last(d, context, err);
}

ms_network_work ms_denoiser_work(const ms_denoiser *d, ms_dtype precision, ms_residency residency,
                                 const ms_probe_rates *roofline) {
    ms_network_work full = ms_network_get_work(&d->full, precision, residency, roofline), cached = full,
                    sum = {0};
    if (d->params.deepcache)
        cached = ms_network_get_work(&d->cached, precision, residency, roofline);
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

/* A list for each pass, and one for the step. */
size_t ms_denoiser_launch_bytes(const ms_denoiser *d) {
    size_t pass = ms_network_launch_bytes(&d->full);
    if (d->params.deepcache)
        pass += ms_network_launch_bytes(&d->cached);
    return pass * (size_t)(d->branches / d->graph_branches) + ms_network_launch_bytes(&d->step);
}

void ms_denoiser_leave(ms_denoiser *d) {
    ms_network_forget(&d->full);
    ms_network_forget(&d->cached);
    ms_network_forget(&d->step);
}

size_t ms_denoiser_held_bytes(const ms_denoiser *d) {
    const ms_network *const all[] = {&d->full, &d->cached, &d->start, &d->step};
    size_t sum = ms_mem_charged_bytes(sizeof(*d)) + ms_mem_charged_bytes(d->state_bytes - d->offset[TIME]);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        sum += ms_network_held_bytes(all[i]);
    return sum;
}
