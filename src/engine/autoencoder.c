#include "engine/autoencoder.h"

#include "base/error.h"

/* The VAE's two networks, and the two that stand between them and the denoiser. */
enum { ENCODER, SAMPLER, SCALER, DECODER, CODERS };

/* Memory that networks share: moments and the decoder's latents are in the state,
   scaled latents wherever the caller has them. */
enum { MOMENTS, LATENTS, SCALED };

static const struct {
    int coder;
    const char *name;
    int place;
} bound[] = {{ENCODER, "moments", MOMENTS}, {SAMPLER, "moments", MOMENTS}, {SAMPLER, "latent", SCALED},
             {SCALER, "scaled", SCALED},    {SCALER, "latent", LATENTS},   {DECODER, "latent", LATENTS}};

/* Networks for a full batch and for what is left over at the end. */
typedef struct coder {
    int64_t batch;
    ms_network full, rest;
    int64_t rest_images; /* that `rest` was built for, 0 = none */
} coder;

struct ms_autoencoder {
    ms_autoencoder_params p;
    coder coder[CODERS];
    size_t latent_floats;  /* of a picture */
    size_t latents_offset; /* of the state, after the moments */
    size_t arena_bytes;
};

typedef struct wanted {
    const ms_autoencoder *a;
    int coder;
    int64_t images;
} wanted;

static ms_status build_coder(const wanted *w, ms_graph *graph, ms_error *err) {
    const ms_autoencoder_params *p = &w->a->p;
    const int64_t factor = ms_vae_factor(&p->config);
    ms_vae_build b = {
        .images = w->images, .h = p->h / factor, .w = p->w / factor, .stripe_rows = p->slicing.rows};
    if (w->coder == SAMPLER)
        return ms_vae_build_sampler(graph, &p->config, &b, &p->seed, err);
    if (w->coder == SCALER)
        return ms_vae_build_scaler(graph, &p->config, &b, err);
    if (w->coder == DECODER)
        return ms_vae_build_decoder(graph, &p->config, &b, err);
    b.h = p->h;
    b.w = p->w;
    return ms_vae_build_encoder(graph, &p->config, &b, err);
}

static ms_status build_graph(const void *arg, ms_graph *graph, ms_error *err) {
    const wanted *w = arg;
    MS_TRY(build_coder(w, graph, err));
    for (size_t i = 0; i < sizeof(bound) / sizeof(bound[0]); i++)
        if (bound[i].coder == w->coder)
            ms_graph_bind(graph, ms_graph_find(graph, bound[i].name), bound[i].place);
    return MS_OK;
}

static ms_status build(const ms_autoencoder *a, int which, int64_t images, ms_network *ret_network,
                       ms_error *err) {
    const wanted w = {.a = a, .coder = which, .images = images};
    return ms_network_build(&(ms_network_build_params){.params = a->p.params,
                                                       .activation = a->p.activation,
                                                       .slicing = &a->p.slicing,
                                                       .build = build_graph,
                                                       .arg = &w},
                            ret_network, err);
}

ms_status ms_autoencoder_create(const ms_autoencoder_params *params, ms_autoencoder **ret_autoencoder,
                                size_t *ret_arena_bytes, size_t *ret_state_bytes, ms_error *err) {
    ms_mem *mem = ms_params_mem(params->params);
    const int64_t factor = ms_vae_factor(&params->config);
    ms_autoencoder *a = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*a));
    if (!a)
        return ms_fail_alloc(err, mem, sizeof(*a), "the autoencoder");
    a->p = *params;
    a->latent_floats = (size_t)(params->h / factor * (params->w / factor) * params->config.latent_channels);
    a->latents_offset =
        ms_align_up((size_t)params->encode_batch * 2 * a->latent_floats * sizeof(float), MS_ARENA_ALIGN);
    ms_status status;
    for (int i = 0; i < CODERS; i++) {
        coder *c = &a->coder[i];
        c->batch = i == ENCODER || i == SAMPLER ? params->encode_batch : params->decode_batch;
        MS_GOTO(build(a, i, c->batch, &c->full, err));
        if (c->full.plan->arena_bytes > a->arena_bytes)
            a->arena_bytes = c->full.plan->arena_bytes;
    }
    *ret_arena_bytes = a->arena_bytes;
    *ret_state_bytes =
        a->latents_offset +
        ms_align_up((size_t)params->decode_batch * a->latent_floats * sizeof(float), MS_ARENA_ALIGN);
    *ret_autoencoder = a;
    return MS_OK;
fail:
    ms_autoencoder_destroy(&a);
    return status;
}

void ms_autoencoder_destroy(ms_autoencoder **autoencoder) {
    if (!autoencoder || !*autoencoder)
        return;
    for (int i = 0; i < CODERS; i++) {
        ms_network_clear(&(*autoencoder)->coder[i].full);
        ms_network_clear(&(*autoencoder)->coder[i].rest);
    }
    ms_mem_free(*autoencoder);
    *autoencoder = NULL;
}

/* The network for that many pictures; the left-over one is built anew when their number changes. */
static ms_status network_for(ms_autoencoder *a, int which, int64_t images, ms_network **ret_network,
                             ms_error *err) {
    coder *c = &a->coder[which];
    if (images < 1 || images > c->batch)
        return ms_fail(err, MS_INTERNAL, "%lld pictures in batches of %lld", (long long)images,
                       (long long)c->batch);
    if (images == c->batch) {
        *ret_network = &c->full;
        return MS_OK;
    }
    if (c->rest_images != images) {
        ms_network_clear(&c->rest);
        c->rest_images = 0;
        MS_TRY(build(a, which, images, &c->rest, err));
        c->rest_images = images;
    }
    if (c->rest.plan->arena_bytes > a->arena_bytes)
        return ms_fail(err, MS_INTERNAL, "%lld pictures need %zu bytes, a batch of %lld only %zu",
                       (long long)images, c->rest.plan->arena_bytes, (long long)c->batch, a->arena_bytes);
    *ret_network = &c->rest;
    return MS_OK;
}

/* What is left over runs once in a window, or in one window only: its launches are not captured, which would
   take as much memory again as those of a batch. */
static ms_status run_coder(ms_autoencoder *a, int which, ms_network *net, const ms_context *context,
                           const ms_exec_params *exec, ms_error *err) {
    return net == &a->coder[which].full ? ms_network_run(net, context, exec, err)
                                        : ms_exec_run(net->graph, net->plan, context, exec, err);
}

/* scaled: where the latents are that the denoiser works on; NULL where the network has none of them. */
static ms_context context_of(const ms_autoencoder *a, const ms_context *context, const void *scaled) {
    ms_context c = *context;
    c.bound[MOMENTS] = context->state;
    c.bound[LATENTS] = (char *)context->state + a->latents_offset;
    c.bound[SCALED] = (void *)(uintptr_t)scaled;
    return c;
}

ms_status ms_autoencoder_encode(ms_autoencoder *a, const ms_context *context, const float *pixels,
                                int64_t images, const ms_exec_params *exec, ms_error *err) {
    const ms_context c = context_of(a, context, NULL);
    ms_network *net = NULL;
    MS_TRY(network_for(a, ENCODER, images, &net, err));
    MS_TRY(ms_network_write(net, &c, "pixels", pixels, err));
    return run_coder(a, ENCODER, net, &c, exec, err);
}

void *ms_autoencoder_moments(const ms_autoencoder *a, const ms_context *context, int64_t image) {
    return (float *)context->state + (size_t)image * 2 * a->latent_floats;
}

/* Each batch has its scaled latents at another place, so a launch list would be good for one run only. */
ms_status ms_autoencoder_sample(ms_autoencoder *a, const ms_context *context, const uint32_t (*numbers)[2],
                                int64_t images, void *latents, ms_error *err) {
    const ms_context c = context_of(a, context, latents);
    ms_network *net = NULL;
    MS_TRY(network_for(a, SAMPLER, images, &net, err));
    MS_TRY(ms_network_write(net, &c, "numbers", numbers, err));
    return ms_exec_run(net->graph, net->plan, &c, NULL, err);
}

ms_status ms_autoencoder_decode(ms_autoencoder *a, const ms_context *context, const void *latents,
                                int64_t images, float *ret_pixels, const ms_exec_params *exec,
                                ms_error *err) {
    const ms_context scale = context_of(a, context, latents), c = context_of(a, context, NULL);
    ms_network *net = NULL;
    MS_TRY(network_for(a, SCALER, images, &net, err));
    MS_TRY(ms_exec_run(net->graph, net->plan, &scale, NULL, err));
    MS_TRY(network_for(a, DECODER, images, &net, err));
    MS_TRY(run_coder(a, DECODER, net, &c, exec, err));
    return ms_network_read(net, &c, "pixels", ret_pixels, err);
}

void ms_autoencoder_leave(ms_autoencoder *a) {
    for (int i = 0; i < CODERS; i++)
        ms_network_forget(&a->coder[i].full);
}

const ms_network *ms_autoencoder_network(const ms_autoencoder *a, bool encoder) {
    return &a->coder[encoder ? ENCODER : DECODER].full;
}

/* The networks for what is left over are no larger than those for a batch. */
size_t ms_autoencoder_held_bytes(const ms_autoencoder *a) {
    size_t sum = ms_mem_charged_bytes(sizeof(*a));
    for (int i = 0; i < CODERS; i++)
        sum += 2 * ms_network_held_bytes(&a->coder[i].full);
    return sum;
}
