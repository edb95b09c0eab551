#include "models/autoencoder.h"

#include "base/error.h"

/* Networks for a full batch and for what is left over at the end. */
typedef struct coder {
    bool encoder;
    int64_t batch;
    ms_network full, rest;
    int64_t rest_images; /* that `rest` was built for, 0 = none */
    const char *input, *output;
} coder;

struct ms_autoencoder {
    ms_autoencoder_params p;
    coder encoder, decoder;
    float *scaled; /* latents of one decode batch */
    size_t arena_bytes;
};

static ms_status build(ms_autoencoder *a, bool encoder, int64_t images, ms_network *ret_network,
                       ms_error *err) {
    int64_t factor = ms_vae_factor(&a->p.config);
    ms_graph *graph = NULL;
    MS_TRY(ms_graph_create(a->p.params, a->p.activation, &graph, err));
    ms_status status = encoder ? ms_vae_build_encoder(graph, &a->p.config,
                                                      &(ms_vae_build){.images = images,
                                                                      .h = a->p.h,
                                                                      .w = a->p.w,
                                                                      .stripe_rows = a->p.slicing.rows},
                                                      err)
                               : ms_vae_build_decoder(graph, &a->p.config,
                                                      &(ms_vae_build){.images = images,
                                                                      .h = a->p.h / factor,
                                                                      .w = a->p.w / factor,
                                                                      .stripe_rows = a->p.slicing.rows},
                                                      err);
    if (status != MS_OK) {
        ms_graph_destroy(&graph);
        return status;
    }
    return ms_network_take(&graph, &a->p.slicing, ret_network, err);
}

ms_status ms_autoencoder_create(const ms_autoencoder_params *params, ms_autoencoder **ret_autoencoder,
                                size_t *ret_arena_bytes, ms_error *err) {
    ms_mem *mem = ms_params_mem(params->params);
    int64_t factor = ms_vae_factor(&params->config);
    size_t latent = (size_t)(params->h / factor * (params->w / factor) * params->config.latent_channels);
    ms_autoencoder *a = ms_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*a));
    if (!a)
        return ms_fail_alloc(err, mem, sizeof(*a), "the autoencoder");
    a->p = *params;
    a->encoder =
        (coder){.encoder = true, .batch = params->encode_batch, .input = "pixels", .output = "moments"};
    a->decoder = (coder){.batch = params->decode_batch, .input = "latent", .output = "pixels"};
    ms_status status;
    MS_GOTO(build(a, true, a->encoder.batch, &a->encoder.full, err));
    MS_GOTO(build(a, false, a->decoder.batch, &a->decoder.full, err));
    a->scaled = ms_alloc_array(mem, MS_LEDGER_STAGING, latent * (size_t)a->decoder.batch, sizeof(float));
    if (!a->scaled) {
        status = ms_fail_alloc(err, mem, latent * sizeof(float), "the autoencoder");
        goto fail;
    }
    size_t encode = a->encoder.full.plan->arena_bytes, decode = a->decoder.full.plan->arena_bytes;
    a->arena_bytes = encode > decode ? encode : decode;
    *ret_arena_bytes = a->arena_bytes;
    *ret_autoencoder = a;
    return MS_OK;
fail:
    ms_autoencoder_destroy(&a);
    return status;
}

void ms_autoencoder_destroy(ms_autoencoder **autoencoder) {
    if (!autoencoder || !*autoencoder)
        return;
    ms_autoencoder *a = *autoencoder;
    ms_network_clear(&a->encoder.full);
    ms_network_clear(&a->encoder.rest);
    ms_network_clear(&a->decoder.full);
    ms_network_clear(&a->decoder.rest);
    ms_free(a->scaled);
    ms_free(a);
    *autoencoder = NULL;
}

/* The network for that many pictures; the left-over one is built anew when their number changes. */
static ms_status network_for(ms_autoencoder *a, coder *c, int64_t images, ms_network **ret_network,
                             ms_error *err) {
    if (images == c->batch) {
        *ret_network = &c->full;
        return MS_OK;
    }
    if (c->rest_images != images) {
        ms_network_clear(&c->rest);
        c->rest_images = 0;
        MS_TRY(build(a, c->encoder, images, &c->rest, err));
        c->rest_images = images;
    }
    if (c->rest.plan->arena_bytes > a->arena_bytes)
        return ms_fail(err, MS_INTERNAL, "%lld pictures need %zu bytes, a batch of %lld only %zu",
                       (long long)images, c->rest.plan->arena_bytes, (long long)c->batch, a->arena_bytes);
    *ret_network = &c->rest;
    return MS_OK;
}

static ms_status run(ms_autoencoder *a, coder *c, const ms_context *context, const float *src, int64_t images,
                     float *dst, const ms_exec_params *exec, ms_error *err) {
    for (int64_t first = 0; first < images; first += c->batch) {
        int64_t count = images - first < c->batch ? images - first : c->batch;
        ms_network *net = NULL;
        MS_TRY(network_for(a, c, count, &net, err));
        size_t in = ms_network_elements(net, c->input), in_each = in / (size_t)count;
        size_t out_each = ms_network_elements(net, c->output) / (size_t)count;
        const float *from = src + (size_t)first * in_each;
        if (!c->encoder) {
            for (size_t i = 0; i < in; i++)
                a->scaled[i] = from[i] / a->p.config.scaling_factor + a->p.config.shift_factor;
            from = a->scaled;
        }
        MS_TRY(ms_network_write(net, context, c->input, from, err));
        MS_TRY(ms_network_run(net, context, exec, err));
        MS_TRY(ms_network_read(net, context, c->output, dst + (size_t)first * out_each, err));
    }
    return MS_OK;
}

ms_status ms_autoencoder_encode(ms_autoencoder *a, const ms_context *context, const float *pixels,
                                int64_t images, float *ret_moments, const ms_exec_params *exec,
                                ms_error *err) {
    return run(a, &a->encoder, context, pixels, images, ret_moments, exec, err);
}

ms_status ms_autoencoder_decode(ms_autoencoder *a, const ms_context *context, const float *latents,
                                int64_t images, float *ret_pixels, const ms_exec_params *exec,
                                ms_error *err) {
    return run(a, &a->decoder, context, latents, images, ret_pixels, exec, err);
}

const ms_network *ms_autoencoder_network(const ms_autoencoder *a, bool encoder) {
    return encoder ? &a->encoder.full : &a->decoder.full;
}
