/* What happens to latents between the networks: noise, sampling and scaling of the VAE's, guidance,
   DDIM's step, the check that all is finite. Latents are float32 whatever the networks keep. */
#include "graph/ops/common.h"

typedef struct latents_desc {
    uint64_t seed;
    float shift, scale;
} latents_desc;

static ms_value append(ms_graph *g, const ms_op *op, const char *name, const ms_value *input, int n_inputs,
                       const latents_desc *desc, ms_shape shape) {
    ms_node node = {.op = op, .name = name, .n_inputs = n_inputs, .in_place = -1};
    for (int i = 0; i < n_inputs; i++)
        node.input[i] = input[i];
    node.desc = ms_graph_copy(g, desc, sizeof(*desc));
    ms_value made = ms_graph_append(g, &node, shape, false);
    ms_graph_set_dtype(g, made, MS_F32);
    return made;
}

static const latents_desc none;

/* A whole value of so many words of four bytes. */
static bool words(ms_graph *g, const char *name, ms_value value, int64_t count) {
    if (!op_input(g, name, value))
        return false;
    if (ms_graph_value(g, value)->whole && op_same_shape(g, name, value, (ms_shape){1, 1, 1, count}))
        return true;
    ms_graph_fail(g, MS_INTERNAL, "%s: needs a whole value of %lld words", name, (long long)count);
    return false;
}

/* ---- noise ---- */

static ms_status run_noise(const ms_exec_context *x, const ms_node *node, void *ws) {
    (void)ws;
    const latents_desc *d = node->desc;
    ms_noise_args a = {
        .seed = d->seed, .numbers = ms_exec_data(x, node->input[0]), .dst = ms_exec_rows(x, node->output)};
    return x->dev->kernels->noise(x->queue, &a);
}

static const ms_op op_noise = {.name = "noise", .run = run_noise};

ms_value ms_op_noise(ms_graph *g, const char *name, uint64_t seed, ms_value numbers, ms_shape shape) {
    if (ms_graph_failed(g) || (numbers != MS_NO_VALUE && !words(g, name, numbers, 2 * shape.n)))
        return MS_NO_VALUE;
    return append(g, &op_noise, name, &numbers, 1, &(latents_desc){.seed = seed}, shape);
}

/* ---- the VAE's ---- */

static ms_status run_posterior(const ms_exec_context *x, const ms_node *node, void *ws) {
    (void)ws;
    const latents_desc *d = node->desc;
    ms_posterior_args a = {.moments = ms_exec_rows(x, node->input[0]),
                           .normals = ms_exec_rows(x, node->input[1]),
                           .dst = ms_exec_rows(x, node->output),
                           .shift = d->shift,
                           .scale = d->scale};
    return x->dev->kernels->posterior(x->queue, &a);
}

static const ms_op op_posterior = {.name = "posterior", .run = run_posterior};

ms_value ms_op_posterior(ms_graph *g, const char *name, ms_value moments, ms_value normals, float shift,
                         float scale) {
    if (!op_input(g, name, moments) || !op_input(g, name, normals))
        return MS_NO_VALUE;
    ms_shape s = ms_graph_shape(g, normals), m = s;
    m.c *= 2;
    if (!op_same_shape(g, name, moments, m))
        return MS_NO_VALUE;
    return append(g, &op_posterior, name, (const ms_value[]){moments, normals}, 2,
                  &(latents_desc){.shift = shift, .scale = scale}, s);
}

static ms_status run_rescale(const ms_exec_context *x, const ms_node *node, void *ws) {
    (void)ws;
    const latents_desc *d = node->desc;
    ms_rescale_args a = {.src = ms_exec_rows(x, node->input[0]),
                         .dst = ms_exec_rows(x, node->output),
                         .divisor = d->scale,
                         .shift = d->shift};
    return x->dev->kernels->rescale(x->queue, &a);
}

static const ms_op op_rescale = {.name = "rescale", .run = run_rescale};

ms_value ms_op_rescale(ms_graph *g, const char *name, ms_value src, float divisor, float shift) {
    if (!op_input(g, name, src))
        return MS_NO_VALUE;
    return append(g, &op_rescale, name, &src, 1, &(latents_desc){.scale = divisor, .shift = shift},
                  ms_graph_shape(g, src));
}

/* ---- the denoiser's ---- */

static ms_status run_guide(const ms_exec_context *x, const ms_node *node, void *ws) {
    (void)ws;
    const latents_desc *d = node->desc;
    ms_guide_args a = {
        .without = ms_exec_rows(x, node->input[0]), .dst = ms_exec_rows(x, node->output), .scale = d->scale};
    a.without.outer = a.dst.outer;
    a.with = a.without;
    a.with.data = ms_elements_at(a.without.data, a.without.dtype, a.dst.outer * a.without.outer_stride);
    return x->dev->kernels->guide(x->queue, &a);
}

static const ms_op op_guide = {.name = "guide", .run = run_guide};

ms_value ms_op_guide(ms_graph *g, const char *name, ms_value noise, float scale) {
    if (!op_input(g, name, noise))
        return MS_NO_VALUE;
    ms_shape s = ms_graph_shape(g, noise);
    if (s.n % 2)
        ms_graph_fail(g, MS_INTERNAL, "%s: %lld images are no two branches", name, (long long)s.n);
    s.n /= 2;
    return append(g, &op_guide, name, &noise, 1, &(latents_desc){.scale = scale}, s);
}

static ms_status run_ddim(const ms_exec_context *x, const ms_node *node, void *ws) {
    (void)ws;
    ms_ddim_args a = {.sample = ms_exec_rows(x, node->input[0]),
                      .noise = ms_exec_rows(x, node->input[1]),
                      .step = ms_exec_data(x, node->input[2]),
                      .dst = ms_exec_rows(x, node->output)};
    return x->dev->kernels->ddim(x->queue, &a);
}

static const ms_op op_ddim = {.name = "ddim", .run = run_ddim};

ms_value ms_op_ddim(ms_graph *g, const char *name, ms_value sample, ms_value noise, ms_value step) {
    if (!op_input(g, name, sample) || !op_input(g, name, noise) || !words(g, name, step, 4))
        return MS_NO_VALUE;
    ms_shape s = ms_graph_shape(g, sample);
    if (!op_same_shape(g, name, noise, s))
        return MS_NO_VALUE;
    return append(g, &op_ddim, name, (const ms_value[]){sample, noise, step}, 3, &none, s);
}

static ms_status run_finite(const ms_exec_context *x, const ms_node *node, void *ws) {
    (void)ws;
    ms_check_finite_args a = {.src = ms_exec_rows(x, node->input[0]), .flag = ms_exec_data(x, node->output)};
    ms_status status = x->dev->backend->fill(x->queue, a.flag, 0, sizeof(*a.flag));
    return status == MS_OK ? x->dev->kernels->check_finite(x->queue, &a) : status;
}

static int64_t finite_calls(const ms_graph *g, const ms_node *node) {
    (void)g;
    (void)node;
    return 2;
}

static const ms_op op_finite = {.name = "finite", .run = run_finite, .calls = finite_calls};

ms_value ms_op_finite(ms_graph *g, const char *name, ms_value src) {
    if (!op_input(g, name, src))
        return MS_NO_VALUE;
    ms_node node = {.op = &op_finite, .name = name, .n_inputs = 1, .input = {src}, .in_place = -1};
    return ms_graph_append(g, &node, (ms_shape){1, 1, 1, 1}, true);
}
