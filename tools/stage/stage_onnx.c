/* Any network from an ONNX file. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "models/onnx/onnx_net.h"
#include "stage.h"
#include "stages.h"

#define NAME_BYTES 256

typedef struct onnx_state {
    stage_files files;
    const char *model;
    stage_compute compute;
} onnx_state;

typedef struct onnx_job {
    ms_compute compute;
    ms_onnx_net *net;
    void *arena;
    int n_inputs, n_outputs;
    case_tensor *inputs;
    ms_onnx_value *shapes; /* of the inputs */
    const float **in;
    float **out;
} onnx_job;

static void job_free(onnx_job *j) {
    for (int i = 0; j->inputs && i < j->n_inputs; i++)
        ms_mem_free(j->inputs[i].data);
    for (int i = 0; j->out && i < j->n_outputs; i++)
        ms_mem_free(j->out[i]);
    ms_mem_free(j->inputs);
    ms_mem_free(j->shapes);
    ms_mem_free(j->in);
    ms_mem_free(j->out);
    ms_device_free(j->compute.dev, j->arena);
    ms_onnx_net_close(&j->net);
    ms_compute_close(&j->compute);
}

static ms_status name_of(const char *prefix, const ms_onnx_value *value, char *ret_name, ms_error *err) {
    if (snprintf(ret_name, NAME_BYTES, "%s.%s", prefix, value->name) >= NAME_BYTES)
        return ms_fail(err, MS_INVALID_ARGUMENT, "the tensor name %s.%.64s... is too long", prefix,
                       value->name);
    return MS_OK;
}

static ms_status make_room(onnx_job *j, ms_error *err) {
    j->n_inputs = ms_onnx_net_input_count(j->net);
    j->n_outputs = ms_onnx_net_output_count(j->net);
    j->inputs = ms_mem_calloc(NULL, MS_LEDGER_GENERAL, (size_t)j->n_inputs, sizeof(*j->inputs));
    j->shapes = ms_mem_calloc(NULL, MS_LEDGER_GENERAL, (size_t)j->n_inputs, sizeof(*j->shapes));
    j->in = ms_mem_calloc(NULL, MS_LEDGER_GENERAL, (size_t)j->n_inputs, sizeof(*j->in));
    j->out = ms_mem_calloc(NULL, MS_LEDGER_GENERAL, (size_t)j->n_outputs, sizeof(*j->out));
    if (!j->inputs || !j->shapes || !j->in || !j->out)
        return ms_fail_alloc(err, NULL, 0, "the network's inputs and outputs");
    return MS_OK;
}

static ms_status read_inputs(onnx_job *j, const stage_files *files, ms_error *err) {
    ms_tensor_file *file = NULL;
    char name[NAME_BYTES];
    ms_status status;
    MS_TRY(stage_open_input(files, &file, err));
    for (int i = 0; i < j->n_inputs; i++) {
        MS_GOTO(name_of("in", ms_onnx_net_input(j->net, i), name, err));
        MS_GOTO(case_read(file, name, 0, &j->inputs[i], err));
        j->in[i] = j->inputs[i].data;
        j->shapes[i].rank = j->inputs[i].rank;
        memcpy(j->shapes[i].shape, j->inputs[i].shape, sizeof(j->inputs[i].shape));
    }
    status = MS_OK;
fail:
    ms_tensor_file_close(&file);
    return status;
}

static ms_status run(onnx_job *j, const onnx_state *s, case_output *out, ms_error *err) {
    const ms_slicing slicing = stage_slicing(&s->compute);
    size_t arena_bytes;
    char name[NAME_BYTES];
    if (!s->model)
        return ms_fail(err, MS_INVALID_ARGUMENT, "--onnx FILE is missing");
    MS_TRY(stage_open_compute(&s->compute, &j->compute, err));
    MS_TRY(ms_onnx_net_open(&j->compute, s->model, &j->net, err));
    MS_TRY(make_room(j, err));
    MS_TRY(read_inputs(j, &s->files, err));
    MS_TRY(ms_onnx_net_prepare(j->net, j->shapes, &slicing, &arena_bytes, err));
    MS_TRY(
        ms_device_alloc(j->compute.dev, MS_LEDGER_ACTIVATIONS, arena_bytes, "activations", &j->arena, err));
    for (int i = 0; i < j->n_outputs; i++) {
        size_t elements = (size_t)ms_onnx_net_output(j->net, i)->elements;
        j->out[i] = ms_alloc_array(NULL, MS_LEDGER_GENERAL, elements, sizeof(float));
        if (!j->out[i])
            return ms_fail_alloc(err, NULL, elements * sizeof(float), "an output");
    }
    MS_TRY(ms_onnx_net_run(j->net, j->arena, j->in, j->out, err));
    for (int i = 0; i < j->n_outputs; i++) {
        const ms_onnx_value *v = ms_onnx_net_output(j->net, i);
        MS_TRY(name_of("out", v, name, err));
        MS_TRY(case_add(out, name, MS_F32, v->rank, v->shape, j->out[i], err));
    }
    return MS_OK;
}

static int onnx_run(const void *state, char **arguments, int n_arguments) {
    (void)arguments;
    (void)n_arguments;
    const onnx_state *s = state;
    ms_error err;
    ms_error_clear(&err);
    case_output out = {0};
    onnx_job job = {0};
    ms_status status = run(&job, s, &out, &err);
    job_free(&job);
    return stage_finish(&s->files, &out, status, &err);
}

static const cli_option onnx_options[] = {
    CLI_GROUP("Options"),
    STAGE_FILE_OPTIONS(onnx_state),
    {"onnx", 0, CLI_TEXT, offsetof(onnx_state, model), "FILE", "ONNX file", 0, 0},
    {"device", 0, CLI_TEXT, offsetof(onnx_state, compute.device), "auto|cpu|NAME[:N]",
     "where the network runs", 0, 0},
    {"threads", 0, CLI_INT, offsetof(onnx_state, compute.threads), "N", "threads; 0 = all", 0, 1024},
    {"slice-frames", 0, CLI_INT, offsetof(onnx_state, compute.slice_frames), "N",
     "images of a batch that are computed at a time; 0 = all", 0, 1 << 20},
};

const cli_command stage_onnx_command = {
    .name = "memsafe-stage onnx",
    .summary = "Any ONNX network: in.NAME -> out.NAME, by the names of its inputs and outputs",
    .usage = "--onnx FILE --in FILE --out FILE",
    .text =
        "Runs the network in float32 for the shapes of the given inputs. For each input of the file's graph\n"
        "the case holds a tensor in.NAME with the graph's own name (\"input.1\" is in.input.1); each output\n"
        "becomes out.NAME.",
    .options = onnx_options,
    .n_options = CLI_COUNT(onnx_options),
    .state_bytes = sizeof(onnx_state),
    .run = onnx_run,
};
