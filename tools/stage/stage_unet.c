/* Stages of the denoiser: one UNet evaluation with and without audio, and the whole loop. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "engine/denoiser.h"
#include "stage.h"
#include "stages.h"

#define MAX_TIMESTEPS 64

/* ---- unet ---- */

typedef struct unet_state {
    stage_files files;
    stage_compute compute;
    ms_model_names model;
    const char *timesteps;
    bool taps;
} unet_state;

/* Everything that lives while the stage runs. */
typedef struct unet_job {
    ms_model_files files;
    ms_params *params;
    ms_context at;
    ms_network net;
    case_tensor sample, audio;
    float *rows, *both_audio, *result, *planes;
} unet_job;

static void job_free(unet_job *j) {
    ms_network_clear(&j->net);
    ms_device_free(j->at.compute.dev, j->at.arena);
    ms_weights_destroy(&j->at.weights);
    ms_params_destroy(&j->params);
    ms_compute_close(&j->at.compute);
    ms_mem_free(j->sample.data);
    ms_mem_free(j->audio.data);
    ms_mem_free(j->rows);
    ms_mem_free(j->both_audio);
    ms_mem_free(j->result);
    ms_mem_free(j->planes);
}

static ms_status read_inputs(unet_job *j, const stage_files *files, ms_error *err) {
    ms_tensor_file *in = NULL;
    MS_TRY(stage_open_input(files, &in, err));
    ms_status status = case_read(in, "in.sample", 5, &j->sample, err);
    if (status == MS_OK)
        status = case_read(in, "in.audio_embeds", 3, &j->audio, err);
    ms_tensor_file_close(&in);
    MS_TRY(status);
    const int64_t *s = j->sample.shape, *a = j->audio.shape;
    const ms_unet_config *c = &j->files.unet_config;
    if (s[0] != 1 || s[1] != c->in_channels || a[0] != s[2] || a[2] != c->cross_attention_dim)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "%s: in.sample must be [1, %d, F, h, w] and in.audio_embeds [F, tokens, %lld]",
                       files->in, c->in_channels, (long long)c->cross_attention_dim);
    return MS_OK;
}

typedef struct wanted {
    const unet_job *job;
    bool taps;
} wanted;

static ms_status build_graph(const void *arg, ms_graph *graph, ms_error *err) {
    const wanted *w = arg;
    const unet_job *j = w->job;
    const ms_unet_shape shape = {.kind = MS_UNET_FULL,
                                 .branches = 2,
                                 .frames = j->sample.shape[2],
                                 .h = j->sample.shape[3],
                                 .w = j->sample.shape[4],
                                 .tokens = j->audio.shape[1],
                                 .taps = w->taps};
    return ms_unet_build(graph, &j->files.unet_config, &shape, err);
}

static ms_status build(unet_job *j, const unet_state *s, ms_error *err) {
    const ms_slicing slicing = stage_slicing(&s->compute);
    const wanted w = {.job = j, .taps = s->taps};
    MS_TRY(stage_open_compute(&s->compute, &j->at.compute, err));
    MS_TRY(ms_params_create(j->at.compute.mem, j->at.compute.dev, &j->params, err));
    MS_TRY(ms_weights_create(&j->at.compute, j->params, &j->at.weights, err));
    MS_TRY(ms_network_build(&(ms_network_build_params){.params = j->params,
                                                       .activation = j->at.compute.activation,
                                                       .slicing = &slicing,
                                                       .build = build_graph,
                                                       .arg = &w},
                            &j->net, err));
    MS_TRY(stage_load(j->at.weights, j->files.unet, "conv_in.weight", &s->compute, err));
    return ms_device_alloc(j->at.compute.dev, MS_LEDGER_ACTIVATIONS, j->net.plan->arena_bytes, "activations",
                           &j->at.arena, err);
}

/* Both halves get the same sample; the first half's audio is zero. */
static ms_status prepare_inputs(unet_job *j, ms_error *err) {
    const int64_t *s = j->sample.shape;
    size_t sample = (size_t)j->sample.elements, audio = (size_t)j->audio.elements, largest = 0;
    for (int v = 0; v < ms_graph_value_count(j->net.graph); v++) {
        const ms_value_info *info = ms_graph_value(j->net.graph, v);
        if (info->output && (size_t)ms_shape_elements(info->shape) > largest)
            largest = (size_t)ms_shape_elements(info->shape);
    }
    j->rows = ms_alloc_array(NULL, MS_LEDGER_GENERAL, 2 * sample, sizeof(float));
    j->both_audio = ms_mem_calloc(NULL, MS_LEDGER_GENERAL, 2 * audio, sizeof(float));
    j->result = ms_alloc_array(NULL, MS_LEDGER_GENERAL, largest, sizeof(float));
    j->planes = ms_alloc_array(NULL, MS_LEDGER_GENERAL, largest, sizeof(float));
    if (!j->rows || !j->both_audio || !j->result || !j->planes)
        return ms_fail_alloc(err, NULL, largest * sizeof(float), "the stage's tensors");
    stage_planes_to_rows(j->sample.data, s[2], s[3] * s[4], s[1], j->rows);
    memcpy(j->rows + sample, j->rows, sample * sizeof(float));
    memcpy(j->both_audio + audio, j->audio.data, audio * sizeof(float));
    return MS_OK;
}

/* [2 * frames][h * w][c] as torch has it: [2, c, frames, h, w]; token tensors [2 * frames, tokens, c];
   vectors [c]. */
static ms_status add_output(unet_job *j, const ms_value_info *info, const char *name, case_output *out,
                            ms_error *err) {
    MS_TRY(ms_network_read(&j->net, &j->at, info->name, j->result, err));
    ms_shape s = info->shape;
    int64_t frames = j->sample.shape[2];
    if (info->whole)
        return case_add(out, name, MS_F32, 1, &s.c, j->result, err);
    if (strstr(info->name, "_attn")) {
        const int64_t shape[3] = {s.n, s.h * s.w, s.c};
        return case_add(out, name, MS_F32, 3, shape, j->result, err);
    }
    int64_t half = frames * s.h * s.w * s.c;
    for (int b = 0; b < 2; b++)
        stage_rows_to_planes(j->result + b * half, frames, s.h * s.w, s.c, j->planes + b * half);
    const int64_t shape[5] = {2, s.c, frames, s.h, s.w};
    return case_add(out, name, MS_F32, 5, shape, j->planes, err);
}

static ms_status run_timestep(unet_job *j, int64_t timestep, case_output *out, ms_error *err) {
    float time[65536];
    if (j->files.unet_config.channels[0] > 65536)
        return ms_fail(err, MS_UNSUPPORTED, "a time embedding of more than 65536 values");
    ms_unet_time_embedding(&j->files.unet_config, timestep, time);
    MS_TRY(ms_network_write(&j->net, &j->at, "sample", j->rows, err));
    MS_TRY(ms_network_write(&j->net, &j->at, "audio", j->both_audio, err));
    MS_TRY(ms_network_write(&j->net, &j->at, "time", time, err));
    MS_TRY(ms_exec_run(j->net.graph, j->net.plan, &j->at, NULL, err));
    for (int v = 0; v < ms_graph_value_count(j->net.graph); v++) {
        const ms_value_info *info = ms_graph_value(j->net.graph, v);
        char name[160];
        if (!info->output)
            continue;
        if (strcmp(info->name, "noise") == 0)
            snprintf(name, sizeof(name), "out.t%lld", (long long)timestep);
        else
            snprintf(name, sizeof(name), "tap.t%lld.%s", (long long)timestep, info->name);
        MS_TRY(add_output(j, info, name, out, err));
    }
    return MS_OK;
}

static int unet_run(const void *state, char **arguments, int n_arguments) {
    (void)arguments;
    (void)n_arguments;
    const unet_state *s = state;
    ms_error err;
    ms_error_clear(&err);
    case_output out = {0};
    static unet_job job;
    int64_t timesteps[MAX_TIMESTEPS];
    int count = 0;
    ms_status status;
    MS_GOTO(stage_parse_list(s->timesteps, "timesteps", timesteps, MAX_TIMESTEPS, &count, &err));
    MS_GOTO(ms_model_files_find(&s->model, MS_PART_UNET, &job.files, &err));
    MS_GOTO(read_inputs(&job, &s->files, &err));
    MS_GOTO(build(&job, s, &err));
    MS_GOTO(prepare_inputs(&job, &err));
    for (int i = 0; i < count; i++)
        MS_GOTO(run_timestep(&job, timesteps[i], &out, &err));
fail:
    job_free(&job);
    return stage_finish(&s->files, &out, status, &err);
}

static const cli_option unet_options[] = {
    CLI_GROUP("Options"),
    STAGE_FILE_OPTIONS(unet_state),
    STAGE_MODEL_OPTION(unet_state),
    {"unet", 0, CLI_TEXT, offsetof(unet_state, model.unet), "FILE",
     "UNet checkpoint in place of the folder's", 0, 0},
    {"config", 0, CLI_TEXT, offsetof(unet_state, model.config), "FILE",
     "UNet config in place of the folder's", 0, 0},
    {"timesteps", 0, CLI_TEXT, offsetof(unet_state, timesteps), "LIST", "timesteps to run at: 981,501,1", 0,
     0},
    {"taps", 0, CLI_FLAG, offsetof(unet_state, taps), NULL, "also write intermediate values, tap.tNNN.*", 0,
     0},
    STAGE_COMPUTE_OPTIONS(unet_state),
};

const cli_command stage_unet_command = {
    .name = "memsafe-stage unet",
    .summary = "Denoiser: in.sample, in.audio_embeds -> out.tNNN [2, 4, F, h, w]",
    .usage = "--model DIR --timesteps LIST --in FILE --out FILE",
    .text = "in.sample [1, 13, F, h, w] is run twice: with zero audio embeddings and with in.audio_embeds "
            "[F, tokens, width].",
    .options = unet_options,
    .n_options = CLI_COUNT(unet_options),
    .state_bytes = sizeof(unet_state),
    .run = unet_run,
};

/* ---- denoise ---- */

typedef struct denoise_state {
    stage_files files;
    stage_compute compute;
    ms_model_names model;
    int steps;
    double guidance;
    bool deepcache, serial, every_step;
} denoise_state;

static void denoise_defaults(void *state) {
    denoise_state *s = state;
    s->steps = 20;
    s->guidance = 1.5;
}

typedef struct denoise_job {
    ms_model_files files;
    ms_params *params;
    ms_context at;
    ms_denoiser *denoiser;
    case_tensor audio, mask, masked, reference, noise;
    float *masked_rows, *reference_rows, *latents; /* rows */
    float *history;                                /* [steps] of planes */
    ms_status kept;                                /* of reading the steps */
    int64_t frames, h, w;
} denoise_job;

static void denoise_free(denoise_job *j) {
    ms_denoiser_destroy(&j->denoiser);
    ms_device_free(j->at.compute.dev, j->at.arena);
    ms_device_free(j->at.compute.dev, j->at.state);
    ms_weights_destroy(&j->at.weights);
    ms_params_destroy(&j->params);
    ms_compute_close(&j->at.compute);
    case_tensor *tensors[] = {&j->audio, &j->mask, &j->masked, &j->reference, &j->noise};
    for (int i = 0; i < CLI_COUNT(tensors); i++)
        ms_mem_free(tensors[i]->data);
    ms_mem_free(j->masked_rows);
    ms_mem_free(j->reference_rows);
    ms_mem_free(j->latents);
    ms_mem_free(j->history);
}

static ms_status to_rows(const denoise_job *j, const case_tensor *t, const char *name, float **ret_rows,
                         ms_error *err) {
    const int64_t *s = t->shape;
    if (s[0] != 1 || s[1] != 4 || s[2] != j->frames || s[3] != j->h || s[4] != j->w)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s must be [1, 4, %lld, %lld, %lld]", name,
                       (long long)j->frames, (long long)j->h, (long long)j->w);
    *ret_rows = ms_alloc_array(NULL, MS_LEDGER_GENERAL, (size_t)t->elements, sizeof(float));
    if (!*ret_rows)
        return ms_fail_alloc(err, NULL, (size_t)t->elements * sizeof(float), name);
    stage_planes_to_rows(t->data, j->frames, j->h * j->w, 4, *ret_rows);
    return MS_OK;
}

static ms_status denoise_inputs(denoise_job *j, const denoise_state *s, ms_error *err) {
    ms_tensor_file *in = NULL;
    ms_status status;
    MS_TRY(stage_open_input(&s->files, &in, err));
    MS_GOTO(case_read(in, "in.audio_embeds", 3, &j->audio, err));
    MS_GOTO(case_read(in, "in.mask", 5, &j->mask, err));
    MS_GOTO(case_read(in, "in.masked_latents", 5, &j->masked, err));
    MS_GOTO(case_read(in, "in.ref_latents", 5, &j->reference, err));
    MS_GOTO(case_read(in, "in.noise", 5, &j->noise, err));
    j->frames = j->noise.shape[2];
    j->h = j->noise.shape[3];
    j->w = j->noise.shape[4];
    MS_GOTO(to_rows(j, &j->noise, "in.noise", &j->latents, err));
    MS_GOTO(to_rows(j, &j->masked, "in.masked_latents", &j->masked_rows, err));
    MS_GOTO(to_rows(j, &j->reference, "in.ref_latents", &j->reference_rows, err));
    if (j->audio.shape[0] != j->frames || j->audio.shape[2] != j->files.unet_config.cross_attention_dim ||
        j->mask.elements < j->h * j->w || j->mask.shape[3] != j->h || j->mask.shape[4] != j->w)
        status = ms_fail(err, MS_INVALID_ARGUMENT,
                         "in.audio_embeds must be [%lld, tokens, %lld] and in.mask [1, 1, F, %lld, %lld]",
                         (long long)j->frames, (long long)j->files.unet_config.cross_attention_dim,
                         (long long)j->h, (long long)j->w);
fail:
    ms_tensor_file_close(&in);
    return status;
}

static ms_status read_latents(denoise_job *j) {
    return ms_compute_download(&j->at.compute, j->latents,
                               ms_denoiser_part(j->denoiser, &j->at, MS_DENOISE_LATENTS),
                               (size_t)j->noise.elements * sizeof(float));
}

static void keep_step(void *arg, int step) {
    denoise_job *j = arg;
    if (!j->history || j->kept != MS_OK)
        return;
    j->kept = read_latents(j);
    stage_rows_to_planes(j->latents, j->frames, j->h * j->w, 4, j->history + step * j->noise.elements);
}

static ms_status write_part(denoise_job *j, ms_denoise_part part, const float *rows, ms_error *err) {
    ms_status status = ms_compute_upload(&j->at.compute, ms_denoiser_part(j->denoiser, &j->at, part), rows,
                                         (size_t)j->noise.elements * sizeof(float));
    return status == MS_OK ? MS_OK : ms_fail(err, status, "cannot upload latents");
}

static ms_status denoise_prepare(denoise_job *j, const denoise_state *s, ms_error *err) {
    ms_denoise_params params = {.frames = j->frames,
                                .h = j->h,
                                .w = j->w,
                                .tokens = j->audio.shape[1],
                                .steps = s->steps,
                                .guidance = (float)s->guidance,
                                .deepcache = s->deepcache,
                                .serial_branches = s->serial,
                                .slicing = stage_slicing(&s->compute)};
    size_t arena_bytes = 0, state_bytes = 0;
    MS_TRY(stage_open_compute(&s->compute, &j->at.compute, err));
    MS_TRY(ms_params_create(j->at.compute.mem, j->at.compute.dev, &j->params, err));
    MS_TRY(ms_weights_create(&j->at.compute, j->params, &j->at.weights, err));
    MS_TRY(ms_denoiser_create(j->params, j->at.compute.activation, &j->files.unet_config, &j->denoiser, err));
    MS_TRY(ms_denoiser_prepare(j->denoiser, &params, &arena_bytes, &state_bytes, err));
    MS_TRY(stage_load(j->at.weights, j->files.unet, "conv_in.weight", &s->compute, err));
    MS_TRY(ms_device_alloc(j->at.compute.dev, MS_LEDGER_ACTIVATIONS, arena_bytes, "activations", &j->at.arena,
                           err));
    MS_TRY(ms_device_alloc(j->at.compute.dev, MS_LEDGER_STAGING, state_bytes, "latents", &j->at.state, err));
    MS_TRY(write_part(j, MS_DENOISE_MASKED, j->masked_rows, err));
    MS_TRY(write_part(j, MS_DENOISE_REFERENCE, j->reference_rows, err));
    if (s->every_step) {
        j->history =
            ms_alloc_array(NULL, MS_LEDGER_GENERAL, (size_t)(j->noise.elements * s->steps), sizeof(float));
        if (!j->history)
            return ms_fail_alloc(err, NULL, (size_t)(j->noise.elements * s->steps) * sizeof(float),
                                 "--every-step");
    }
    return MS_OK;
}

static ms_status denoise_outputs(denoise_job *j, const denoise_state *s, case_output *out, ms_error *err) {
    ms_status status = j->kept == MS_OK ? read_latents(j) : j->kept;
    if (status != MS_OK)
        return ms_fail(err, status, "cannot download latents");
    stage_rows_to_planes(j->latents, j->frames, j->h * j->w, 4, j->noise.data);
    MS_TRY(case_add(out, "out.latents", MS_F32, 5, j->noise.shape, j->noise.data, err));
    if (!s->every_step)
        return MS_OK;
    int64_t shape[6] = {s->steps, 1, 4, j->frames, j->h, j->w};
    return case_add(out, "out.latents_per_step", MS_F32, 6, shape, j->history, err);
}

static int denoise_run(const void *state, char **arguments, int n_arguments) {
    (void)arguments;
    (void)n_arguments;
    const denoise_state *s = state;
    ms_error err;
    ms_error_clear(&err);
    case_output out = {0};
    static denoise_job job;
    ms_denoise_hooks hooks = {.step = keep_step, .arg = &job};
    ms_status status;
    MS_GOTO(ms_model_files_find(&s->model, MS_PART_UNET, &job.files, &err));
    MS_GOTO(denoise_inputs(&job, s, &err));
    MS_GOTO(denoise_prepare(&job, s, &err));
    ms_denoise_io io = {.audio = job.audio.data, .mask = job.mask.data, .latents = job.latents};
    MS_GOTO(ms_denoiser_run(job.denoiser, &job.at, &io, &hooks, &err));
    MS_GOTO(denoise_outputs(&job, s, &out, &err));
fail:
    denoise_free(&job);
    return stage_finish(&s->files, &out, status, &err);
}

static const cli_option denoise_options[] = {
    CLI_GROUP("Options"),
    STAGE_FILE_OPTIONS(denoise_state),
    STAGE_MODEL_OPTION(denoise_state),
    {"unet", 0, CLI_TEXT, offsetof(denoise_state, model.unet), "FILE",
     "UNet checkpoint in place of the folder's", 0, 0},
    {"config", 0, CLI_TEXT, offsetof(denoise_state, model.config), "FILE",
     "UNet config in place of the folder's", 0, 0},
    {"steps", 0, CLI_INT, offsetof(denoise_state, steps), "N", "DDIM steps (default 20)", 1, 999},
    {"guidance", 0, CLI_NUMBER, offsetof(denoise_state, guidance), "X", "guidance scale (default 1.5)", 0,
     100},
    {"deepcache", 0, CLI_FLAG, offsetof(denoise_state, deepcache), NULL,
     "whole UNet on every third step only", 0, 0},
    {"serial", 0, CLI_FLAG, offsetof(denoise_state, serial), NULL, "guidance branches one after the other", 0,
     0},
    {"every-step", 0, CLI_FLAG, offsetof(denoise_state, every_step), NULL, "also write out.latents_per_step",
     0, 0},
    STAGE_COMPUTE_OPTIONS(denoise_state),
};

const cli_command stage_denoise_command = {
    .name = "memsafe-stage denoise",
    .summary = "The denoising loop of one window -> out.latents [1, 4, F, h, w]",
    .usage = "--model DIR --steps N --guidance X [--deepcache] --in FILE --out FILE",
    .text = "Reads in.audio_embeds [F, tokens, width], in.mask [1, 1, F, h, w], in.masked_latents, "
            "in.ref_latents and\n"
            "in.noise [1, 4, F, h, w].",
    .options = denoise_options,
    .n_options = CLI_COUNT(denoise_options),
    .state_bytes = sizeof(denoise_state),
    .defaults = denoise_defaults,
    .run = denoise_run,
};
