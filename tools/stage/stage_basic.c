/* Stages that need no network: the noise and the scheduler. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/philox.h"
#include "engine/ddim.h"
#include "stage.h"
#include "stages.h"

/* ---- noise ---- */

typedef struct noise_state {
    stage_files files;
    uint64_t seed;
    int stream, frame, count;
} noise_state;

static void noise_defaults(void *state) {
    ((noise_state *)state)->seed = 1247;
    ((noise_state *)state)->count = 64;
}

static int noise_run(const void *state, char **arguments, int n_arguments) {
    (void)arguments;
    (void)n_arguments;
    const noise_state *s = state;
    ms_error err;
    ms_error_clear(&err);
    case_output out = {0};
    int64_t count = s->count, words_shape[2] = {(count + 3) / 4, 4};
    float *normals = ms_alloc_array(NULL, MS_LEDGER_GENERAL, (size_t)count, sizeof(float));
    int64_t *words = ms_alloc_array(NULL, MS_LEDGER_GENERAL, (size_t)words_shape[0] * 4, sizeof(int64_t));
    ms_status status =
        normals && words ? MS_OK : ms_fail_alloc(&err, NULL, (size_t)count * sizeof(float), "noise");
    if (status == MS_OK) {
        ms_noise_normals(s->seed, (uint32_t)s->stream, (uint32_t)s->frame, 0, (uint64_t)count, normals);
        const uint32_t key[2] = {(uint32_t)s->seed, (uint32_t)(s->seed >> 32)};
        for (int64_t i = 0; i < words_shape[0]; i++) {
            const uint32_t counter[4] = {(uint32_t)i, (uint32_t)s->frame, (uint32_t)s->stream, 0};
            uint32_t four[4];
            ms_philox4x32_10(counter, key, four);
            for (int j = 0; j < 4; j++)
                words[4 * i + j] = four[j];
        }
        status = case_add(&out, "out.normals", MS_F32, 1, &count, normals, &err);
    }
    if (status == MS_OK)
        status = case_add(&out, "out.uint32", MS_I64, 2, words_shape, words, &err);
    ms_mem_free(normals);
    ms_mem_free(words);
    return stage_finish(&s->files, &out, status, &err);
}

static const cli_option noise_options[] = {
    CLI_GROUP("Options"),
    STAGE_OUT_OPTION(noise_state),
    {"seed", 0, CLI_U64, offsetof(noise_state, seed), "N", "64-bit seed (default 1247)", 0, 0},
    {"stream", 0, CLI_INT, offsetof(noise_state, stream), "N", "0 start noise, 1 masked picture, 2 reference",
     0, 65535},
    {"frame", 0, CLI_INT, offsetof(noise_state, frame), "N", "absolute frame number", 0, 2147483647},
    {"count", 0, CLI_INT, offsetof(noise_state, count), "N", "how many normals (default 64)", 1, 1 << 28},
};

const cli_command stage_noise_command = {
    .name = "memsafe-stage noise",
    .summary = "Philox4x32-10 normals: -> out.normals [count], out.uint32 [count/4, 4]",
    .usage = "--seed N --stream N --frame N --count N --out FILE",
    .options = noise_options,
    .n_options = CLI_COUNT(noise_options),
    .state_bytes = sizeof(noise_state),
    .defaults = noise_defaults,
    .run = noise_run,
};

/* ---- ddim ---- */

typedef struct ddim_state {
    stage_files files;
    int steps;
} ddim_state;

static void ddim_defaults(void *state) {
    ((ddim_state *)state)->steps = 20;
}

static ms_status ddim_trajectory(const ms_tensor_file *in, const ms_ddim *ddim, case_output *out,
                                 ms_error *err) {
    case_tensor noise = {0}, model = {0};
    float *all = NULL;
    ms_compute cpu = {0}; /* its memory is the host's */
    ms_status status;
    MS_GOTO(case_read(in, "in.noise", 0, &noise, err));
    MS_GOTO(case_read(in, "in.model_output", noise.rank + 1, &model, err));
    if (model.shape[0] != ddim->steps || model.elements != noise.elements * ddim->steps) {
        status = ms_fail(err, MS_INVALID_ARGUMENT,
                         "in.model_output must hold %d model outputs of in.noise's shape", ddim->steps);
        goto fail;
    }
    all = ms_alloc_array(NULL, MS_LEDGER_GENERAL, (size_t)model.elements, sizeof(float));
    if (!all) {
        status = ms_fail_alloc(err, NULL, (size_t)model.elements * sizeof(float), "the trajectory");
        goto fail;
    }
    MS_GOTO(ms_compute_open(&(ms_compute_params){.device = "cpu", .isa_limit = MS_ISA_COUNT - 1}, &cpu, err));
    for (int i = 0; i < ddim->steps; i++) {
        float factors[4];
        ms_ddim_factors(ddim, i, factors);
        const ms_rows sample = {noise.data, 1, noise.elements, 1, noise.elements, 1, MS_F32};
        ms_ddim_args step = {.sample = sample, .noise = sample, .dst = sample, .step = factors};
        step.noise.data = model.data + i * noise.elements;
        status = cpu.dev->kernels->ddim(cpu.queue, &step);
        if (status != MS_OK) {
            ms_fail(err, status, "step %d: %s", i, ms_status_text(status));
            goto fail;
        }
        memcpy(all + i * noise.elements, noise.data, (size_t)noise.elements * sizeof(float));
    }
    status = case_add(out, "out.trajectory", MS_F32, model.rank, model.shape, all, err);
fail:
    ms_compute_close(&cpu);
    ms_mem_free(all);
    ms_mem_free(noise.data);
    ms_mem_free(model.data);
    return status;
}

static int ddim_run(const void *state, char **arguments, int n_arguments) {
    (void)arguments;
    (void)n_arguments;
    const ddim_state *s = state;
    ms_error err;
    ms_error_clear(&err);
    case_output out = {0};
    ms_ddim ddim;
    ms_tensor_file *in = NULL;
    ms_status status;
    const int64_t train_steps = MS_DDIM_TRAIN_STEPS, steps = s->steps;
    MS_GOTO(ms_ddim_init(&ddim, s->steps, &err));
    MS_GOTO(case_add(&out, "out.alphas_cumprod", MS_F32, 1, &train_steps, ddim.alphas_cumprod, &err));
    MS_GOTO(case_add(&out, "out.timesteps", MS_I32, 1, &steps, ddim.timesteps, &err));
    if (s->files.in) {
        MS_GOTO(stage_open_input(&s->files, &in, &err));
        MS_GOTO(ddim_trajectory(in, &ddim, &out, &err));
    }
fail:
    ms_tensor_file_close(&in);
    return stage_finish(&s->files, &out, status, &err);
}

static const cli_option ddim_options[] = {
    CLI_GROUP("Options"),
    STAGE_FILE_OPTIONS(ddim_state),
    {"steps", 0, CLI_INT, offsetof(ddim_state, steps), "N", "steps (default 20)", 1, 999},
};

const cli_command stage_ddim_command = {
    .name = "memsafe-stage ddim",
    .summary =
        "Scheduler: [in.noise, in.model_output] -> out.timesteps, out.alphas_cumprod, [out.trajectory]",
    .usage = "--steps N [--in FILE] --out FILE",
    .options = ddim_options,
    .n_options = CLI_COUNT(ddim_options),
    .state_bytes = sizeof(ddim_state),
    .defaults = ddim_defaults,
    .run = ddim_run,
};
