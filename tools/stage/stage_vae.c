/* Stages of the autoencoder. */
#include <string.h>

#include "base/error.h"
#include "stage.h"
#include "stages.h"

typedef struct vae_state {
    stage_files files;
    stage_compute compute;
    ms_model_names model;
    bool taps;
} vae_state;

typedef struct vae_job {
    ms_model_files files;
    ms_params *params;
    ms_context at;
    ms_network net, sampler;
    case_tensor in, normal;
    float *rows, *result, *planes;
    int64_t images, h, w; /* of the input */
    bool encoder;
} vae_job;

static void job_free(vae_job *j) {
    ms_network_clear(&j->net);
    ms_network_clear(&j->sampler);
    ms_device_free(j->at.compute.dev, j->at.arena);
    ms_weights_destroy(&j->at.weights);
    ms_params_destroy(&j->params);
    ms_compute_close(&j->at.compute);
    ms_mem_free(j->in.data);
    ms_mem_free(j->normal.data);
    ms_mem_free(j->rows);
    ms_mem_free(j->result);
    ms_mem_free(j->planes);
}

static ms_status read_inputs(vae_job *j, const stage_files *files, ms_error *err) {
    ms_tensor_file *in = NULL;
    MS_TRY(stage_open_input(files, &in, err));
    ms_status status = case_read(in, j->encoder ? "in.pixels_u8" : "in.latent", 4, &j->in, err);
    if (status == MS_OK && j->encoder)
        status = case_read(in, "in.normal", 4, &j->normal, err);
    ms_tensor_file_close(&in);
    MS_TRY(status);
    const ms_vae_config *c = &j->files.vae_config_values;
    int64_t channels = j->encoder ? c->in_channels : c->latent_channels, factor = ms_vae_factor(c);
    j->images = j->in.shape[0];
    j->h = j->in.shape[2];
    j->w = j->in.shape[3];
    if (j->in.shape[1] != channels)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: the input has %lld channels, not %lld", files->in,
                       (long long)j->in.shape[1], (long long)channels);
    if (j->encoder && (j->normal.shape[0] != j->images || j->normal.shape[1] != c->latent_channels ||
                       j->normal.shape[2] * factor != j->h || j->normal.shape[3] * factor != j->w))
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: in.normal must have the latent's shape", files->in);
    return MS_OK;
}

typedef struct wanted {
    const vae_job *job;
    ms_vae_build how;
    bool sampler; /* of the moments, with the normals that the file has */
} wanted;

static ms_status build_graph(const void *arg, ms_graph *graph, ms_error *err) {
    const wanted *w = arg;
    const ms_vae_config *c = &w->job->files.vae_config_values;
    if (w->sampler)
        return ms_vae_build_sampler(graph, c, &w->how, NULL, err);
    return w->job->encoder ? ms_vae_build_encoder(graph, c, &w->how, err)
                           : ms_vae_build_decoder(graph, c, &w->how, err);
}

static ms_status build_networks(vae_job *j, const vae_state *s, ms_error *err) {
    const ms_slicing slicing = stage_slicing(&s->compute);
    const int64_t factor = ms_vae_factor(&j->files.vae_config_values);
    wanted w = {.job = j,
                .how = {.images = j->images,
                        .h = j->h,
                        .w = j->w,
                        .stripe_rows = s->compute.stripe_rows,
                        .taps = s->taps}};
    ms_network_build_params p = {.params = j->params,
                                 .activation = j->at.compute.activation,
                                 .slicing = &slicing,
                                 .build = build_graph,
                                 .arg = &w};
    MS_TRY(ms_network_build(&p, &j->net, err));
    if (!j->encoder)
        return MS_OK;
    w.how = (ms_vae_build){.images = j->images, .h = j->h / factor, .w = j->w / factor};
    w.sampler = true;
    p.slicing = NULL;
    return ms_network_build(&p, &j->sampler, err);
}

static ms_status build(vae_job *j, const vae_state *s, ms_error *err) {
    MS_TRY(stage_open_compute(&s->compute, &j->at.compute, err));
    MS_TRY(ms_params_create(j->at.compute.mem, j->at.compute.dev, &j->params, err));
    MS_TRY(ms_weights_create(&j->at.compute, j->params, &j->at.weights, err));
    MS_TRY(build_networks(j, s, err));
    MS_TRY(stage_load(j->at.weights, j->files.vae, "decoder.conv_in.weight", &s->compute, err));
    size_t arena_bytes = j->net.plan->arena_bytes;
    if (j->encoder && j->sampler.plan->arena_bytes > arena_bytes)
        arena_bytes = j->sampler.plan->arena_bytes;
    MS_TRY(ms_device_alloc(j->at.compute.dev, MS_LEDGER_ACTIVATIONS, arena_bytes, "activations", &j->at.arena,
                           err));
    size_t largest = 0;
    for (int v = 0; v < ms_graph_value_count(j->net.graph); v++) {
        const ms_value_info *info = ms_graph_value(j->net.graph, v);
        if (info->output && (size_t)ms_shape_elements(info->shape) > largest)
            largest = (size_t)ms_shape_elements(info->shape);
    }
    j->rows = ms_alloc_array(NULL, MS_LEDGER_GENERAL, (size_t)j->in.elements, sizeof(float));
    j->result = ms_alloc_array(NULL, MS_LEDGER_GENERAL, largest, sizeof(float));
    j->planes = ms_alloc_array(NULL, MS_LEDGER_GENERAL, largest, sizeof(float));
    if (!j->rows || !j->result || !j->planes)
        return ms_fail_alloc(err, NULL, largest * sizeof(float), "the stage's tensors");
    return MS_OK;
}

static void fill_rows(vae_job *j) {
    const ms_vae_config *c = &j->files.vae_config_values;
    for (int64_t i = 0; i < j->in.elements; i++)
        j->in.data[i] = j->encoder ? (j->in.data[i] / 255.0f - 0.5f) / 0.5f
                                   : j->in.data[i] / c->scaling_factor + c->shift_factor;
    case_swap_inner(j->in.data, j->images, j->in.shape[1], j->h * j->w, j->rows);
}

/* [images][h * w][c] -> [images, c, h, w] */
static ms_status add_planes(vae_job *j, const char *name, const float *rows, ms_shape s, case_output *out,
                            ms_error *err) {
    case_swap_inner(rows, s.n, s.h * s.w, s.c, j->planes);
    const int64_t shape[4] = {s.n, s.c, s.h, s.w};
    return case_add(out, name, MS_F32, 4, shape, j->planes, err);
}

/* planes holds both halves of the moments: of a latent it has room for two. */
static ms_status sample(vae_job *j, ms_shape s, float *ret_latent, ms_error *err) {
    const int64_t half = j->files.vae_config_values.latent_channels;
    case_swap_inner(j->normal.data, s.n, half, s.h * s.w, j->planes);
    MS_TRY(ms_network_write(&j->sampler, &j->at, "moments", j->result, err));
    MS_TRY(ms_network_write(&j->sampler, &j->at, "normals", j->planes, err));
    MS_TRY(ms_network_run(&j->sampler, &j->at, NULL, err));
    MS_TRY(ms_network_read(&j->sampler, &j->at, "latent", j->planes, err));
    case_swap_inner(j->planes, s.n, s.h * s.w, half, ret_latent);
    return MS_OK;
}

static ms_status add_moments(vae_job *j, ms_shape s, case_output *out, ms_error *err) {
    int64_t pixels = s.h * s.w, half = j->files.vae_config_values.latent_channels;
    const int64_t shape[4] = {s.n, half, s.h, s.w};
    float *swapped = ms_alloc_array(NULL, MS_LEDGER_GENERAL, (size_t)(s.n * pixels * half), sizeof(float));
    if (!swapped)
        return ms_fail_alloc(err, NULL, (size_t)(s.n * pixels * half) * sizeof(float), "out.latent");
    ms_status status = sample(j, s, swapped, err);
    if (status == MS_OK)
        status = case_add(out, "out.latent", MS_F32, 4, shape, swapped, err);
    static const char *const names[2] = {"out.mean", "out.logvar"};
    for (int part = 0; part < 2 && status == MS_OK; part++) {
        for (int64_t i = 0; i < s.n * pixels * half; i++) {
            int64_t image = i / (half * pixels), ch = i / pixels % half, p = i % pixels;
            float x = j->result[(image * pixels + p) * 2 * half + part * half + ch];
            swapped[i] = part && x < -30 ? -30 : part && x > 20 ? 20 : x;
        }
        status = case_add(out, names[part], MS_F32, 4, shape, swapped, err);
    }
    ms_mem_free(swapped);
    return status;
}

static ms_status run(vae_job *j, case_output *out, ms_error *err) {
    fill_rows(j);
    MS_TRY(ms_network_write(&j->net, &j->at, j->encoder ? "pixels" : "latent", j->rows, err));
    MS_TRY(ms_exec_run(j->net.graph, j->net.plan, &j->at, NULL, err));
    for (int v = 0; v < ms_graph_value_count(j->net.graph); v++) {
        const ms_value_info *info = ms_graph_value(j->net.graph, v);
        if (!info->output || strcmp(info->name, "moments") == 0)
            continue;
        MS_TRY(ms_network_read(&j->net, &j->at, info->name, j->result, err));
        char name[128] = "tap.";
        strncat(name, info->name, sizeof(name) - 5);
        bool result = strcmp(info->name, "pixels") == 0;
        MS_TRY(add_planes(j, result ? "out.pixels" : name, j->result, info->shape, out, err));
    }
    if (!j->encoder)
        return MS_OK;
    MS_TRY(ms_network_read(&j->net, &j->at, "moments", j->result, err));
    return add_moments(j, ms_graph_shape(j->net.graph, ms_graph_find(j->net.graph, "moments")), out, err);
}

static int vae_run(const vae_state *s, bool encoder) {
    ms_error err;
    ms_error_clear(&err);
    case_output out = {0};
    static vae_job job;
    ms_status status;
    job.encoder = encoder;
    MS_GOTO(ms_model_files_find(&s->model, MS_PART_VAE, &job.files, &err));
    MS_GOTO(read_inputs(&job, &s->files, &err));
    MS_GOTO(build(&job, s, &err));
    MS_GOTO(run(&job, &out, &err));
fail:
    job_free(&job);
    return stage_finish(&s->files, &out, status, &err);
}

static int encode_run(const void *state, char **arguments, int n_arguments) {
    (void)arguments;
    (void)n_arguments;
    return vae_run(state, true);
}

static int decode_run(const void *state, char **arguments, int n_arguments) {
    (void)arguments;
    (void)n_arguments;
    return vae_run(state, false);
}

static const cli_option vae_options[] = {
    CLI_GROUP("Options"),
    STAGE_FILE_OPTIONS(vae_state),
    STAGE_MODEL_OPTION(vae_state),
    {"vae", 0, CLI_TEXT, offsetof(vae_state, model.vae), "PATH",
     "VAE folder or weights file in place of the model's", 0, 0},
    {"taps", 0, CLI_FLAG, offsetof(vae_state, taps), NULL, "also write intermediate values, tap.*", 0, 0},
    STAGE_COMPUTE_OPTIONS(vae_state),
    {"stripe-rows", 0, CLI_INT, offsetof(vae_state, compute.stripe_rows), "N",
     "rows of pixels that layers take at a time; 0 = all", 0, 1 << 20},
};

const cli_command stage_vae_encode_command = {
    .name = "memsafe-stage vae-encode",
    .summary = "Encoder: in.pixels_u8, in.normal -> out.mean, out.logvar, out.latent",
    .usage = "--model DIR --in FILE --out FILE",
    .options = vae_options,
    .n_options = CLI_COUNT(vae_options),
    .state_bytes = sizeof(vae_state),
    .run = encode_run,
};

const cli_command stage_vae_decode_command = {
    .name = "memsafe-stage vae-decode",
    .summary = "Decoder: in.latent -> out.pixels",
    .usage = "--model DIR --in FILE --out FILE",
    .options = vae_options,
    .n_options = CLI_COUNT(vae_options),
    .state_bytes = sizeof(vae_state),
    .run = decode_run,
};
