#include "models/onnx/landmark106.h"

#include <inttypes.h>

#include "base/error.h"

struct ms_landmark106 {
    ms_onnx_net *net;
    bool prepared;
};

static ms_status check_file(const ms_onnx_net *net, ms_error *err) {
    static const int64_t want[4] = {-1, 3, MS_LANDMARK106_SIDE, MS_LANDMARK106_SIDE};
    const char *path = ms_onnx_net_path(net);
    int inputs = ms_onnx_net_input_count(net), outputs = ms_onnx_net_output_count(net);
    if (inputs != 1 || outputs != 1)
        return ms_fail(err, MS_BAD_MODEL,
                       "%s: is no landmark network: it has %d inputs and %d outputs, not 1 and 1", path,
                       inputs, outputs);
    const ms_onnx_value *in = ms_onnx_net_input(net, 0);
    bool fits = in->rank == 4;
    for (int i = 1; i < 4 && fits; i++)
        fits = in->shape[i] == want[i] || in->shape[i] == -1;
    return fits ? MS_OK
                : ms_fail(err, MS_BAD_MODEL, "%s: is no landmark network: its input is no image of 3x%dx%d",
                          path, MS_LANDMARK106_SIDE, MS_LANDMARK106_SIDE);
}

ms_status ms_landmark106_open(const ms_compute *compute, const char *path, ms_landmark106 **ret_net,
                              ms_error *err) {
    ms_landmark106 *n = ms_mem_calloc(compute->mem, MS_LEDGER_GENERAL, 1, sizeof(*n));
    ms_status status;
    if (!n)
        return ms_fail_alloc(err, compute->mem, sizeof(*n), "the landmark network");
    MS_GOTO(ms_onnx_net_open(compute, path, &n->net, err));
    MS_GOTO(check_file(n->net, err));
    *ret_net = n;
    return MS_OK;
fail:
    ms_landmark106_close(&n);
    return status;
}

void ms_landmark106_close(ms_landmark106 **net) {
    if (!net || !*net)
        return;
    ms_onnx_net_close(&(*net)->net);
    ms_mem_free(*net);
    *net = NULL;
}

ms_status ms_landmark106_prepare(ms_landmark106 *n, int64_t crops, int64_t slice, size_t *ret_arena_bytes,
                                 ms_error *err) {
    const ms_onnx_value in = {.rank = 4, .shape = {crops, 3, MS_LANDMARK106_SIDE, MS_LANDMARK106_SIDE}};
    const ms_slicing slicing = {.frames = slice};
    size_t arena_bytes;
    n->prepared = false;
    MS_TRY(ms_onnx_net_prepare(n->net, &in, &slicing, &arena_bytes, err));
    const ms_onnx_value *out = ms_onnx_net_output(n->net, 0);
    if (out->rank != 2 || out->shape[0] != crops || out->shape[1] != MS_LANDMARK106_VALUES)
        return ms_fail(err, MS_BAD_MODEL,
                       "%s: output \"%.64s\" has %" PRId64 " elements for %" PRId64 " crops, not %d each",
                       ms_onnx_net_path(n->net), out->name, out->elements, crops, MS_LANDMARK106_VALUES);
    n->prepared = true;
    *ret_arena_bytes = arena_bytes;
    return MS_OK;
}

ms_status ms_landmark106_run(const ms_landmark106 *n, void *arena, const float *planes, float *ret_values,
                             ms_error *err) {
    if (!n->prepared)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: has not been prepared", ms_onnx_net_path(n->net));
    return ms_onnx_net_run(n->net, arena, &planes, &ret_values, err);
}
