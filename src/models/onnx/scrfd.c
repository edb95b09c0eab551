#include "models/onnx/scrfd.h"

#include <inttypes.h>

#include "base/error.h"

#define KINDS 3 /* score, bbox, kps: in this order, each for all strides */
#define OUTPUTS (KINDS * MS_SCRFD_STRIDES)

static const int strides[MS_SCRFD_STRIDES] = {8, 16, 32};
static const int columns[KINDS] = {1, 4, 10};

struct ms_scrfd {
    ms_onnx_net *net;
    int64_t rows[MS_SCRFD_STRIDES]; /* 0 before ms_scrfd_prepare() */
};

static ms_status check_file(const ms_onnx_net *net, ms_error *err) {
    const char *path = ms_onnx_net_path(net);
    int inputs = ms_onnx_net_input_count(net), outputs = ms_onnx_net_output_count(net);
    if (inputs != 1 || outputs != OUTPUTS)
        return ms_fail(
            err, MS_BAD_MODEL,
            "%s: is no SCRFD detector with key points: it has %d inputs and %d outputs, not 1 and %d", path,
            inputs, outputs, OUTPUTS);
    const ms_onnx_value *in = ms_onnx_net_input(net, 0);
    if (in->rank != 4 || in->shape[1] != 3)
        return ms_fail(err, MS_BAD_MODEL, "%s: is no SCRFD detector: its input is no image of 3 channels",
                       path);
    return MS_OK;
}

ms_status ms_scrfd_open(const ms_compute *compute, const char *path, ms_scrfd **ret_scrfd, ms_error *err) {
    ms_scrfd *s = ms_mem_calloc(compute->mem, MS_LEDGER_GENERAL, 1, sizeof(*s));
    ms_status status;
    if (!s)
        return ms_fail_alloc(err, compute->mem, sizeof(*s), "the face detector");
    MS_GOTO(ms_onnx_net_open(compute, path, &s->net, err));
    MS_GOTO(check_file(s->net, err));
    *ret_scrfd = s;
    return MS_OK;
fail:
    ms_scrfd_close(&s);
    return status;
}

void ms_scrfd_close(ms_scrfd **scrfd) {
    if (!scrfd || !*scrfd)
        return;
    ms_onnx_net_close(&(*scrfd)->net);
    ms_mem_free(*scrfd);
    *scrfd = NULL;
}

static int64_t cells(int64_t size, int stride) {
    return (size + stride - 1) / stride;
}

/* [rows, columns]; newer exports put a batch of 1 in front. */
static ms_status check_output(const ms_onnx_net *net, int index, int64_t rows, ms_error *err) {
    const ms_onnx_value *out = ms_onnx_net_output(net, index);
    int64_t n = columns[index / MS_SCRFD_STRIDES];
    const int64_t *shape = out->rank == 3 && out->shape[0] == 1 ? out->shape + 1 : out->shape;
    int rank = shape == out->shape ? out->rank : 2;
    if (rank == 2 && shape[0] == rows && shape[1] == n)
        return MS_OK;
    return ms_fail(err, MS_BAD_MODEL,
                   "%s: output %d \"%.64s\" has %" PRId64
                   " elements in %d dimensions, an SCRFD detector's has "
                   "%" PRId64 "x%" PRId64,
                   ms_onnx_net_path(net), index, out->name, out->elements, out->rank, rows, n);
}

ms_status ms_scrfd_prepare(ms_scrfd *s, int64_t height, int64_t width, size_t *ret_arena_bytes,
                           ms_error *err) {
    const ms_onnx_value in = {.rank = 4, .shape = {1, 3, height, width}};
    int64_t rows[MS_SCRFD_STRIDES];
    size_t arena_bytes;
    for (int i = 0; i < MS_SCRFD_STRIDES; i++)
        s->rows[i] = 0;
    MS_TRY(ms_onnx_net_prepare(s->net, &in, NULL, &arena_bytes, err));
    for (int i = 0; i < OUTPUTS; i++) {
        int level = i % MS_SCRFD_STRIDES, stride = strides[level];
        rows[level] = cells(height, stride) * cells(width, stride) * MS_SCRFD_ANCHORS;
        MS_TRY(check_output(s->net, i, rows[level], err));
    }
    for (int i = 0; i < MS_SCRFD_STRIDES; i++)
        s->rows[i] = rows[i];
    *ret_arena_bytes = arena_bytes;
    return MS_OK;
}

size_t ms_scrfd_output_floats(const ms_scrfd *s) {
    size_t sum = 0;
    for (int i = 0; i < OUTPUTS; i++)
        sum += (size_t)(s->rows[i % MS_SCRFD_STRIDES] * columns[i / MS_SCRFD_STRIDES]);
    return sum;
}

ms_status ms_scrfd_run(const ms_scrfd *s, void *arena, const float *planes, float *outputs,
                       ms_scrfd_heads *ret_heads, ms_error *err) {
    float *part[OUTPUTS];
    ms_scrfd_heads heads;
    if (s->rows[0] == 0)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: has not been prepared", ms_onnx_net_path(s->net));
    for (int i = 0; i < OUTPUTS; i++) {
        part[i] = outputs;
        outputs += s->rows[i % MS_SCRFD_STRIDES] * columns[i / MS_SCRFD_STRIDES];
    }
    MS_TRY(ms_onnx_net_run(s->net, arena, &planes, part, err));
    for (int i = 0; i < MS_SCRFD_STRIDES; i++) {
        heads.level[i].stride = strides[i];
        heads.level[i].rows = s->rows[i];
        heads.level[i].score = part[i];
        heads.level[i].bbox = part[MS_SCRFD_STRIDES + i];
        heads.level[i].kps = part[2 * MS_SCRFD_STRIDES + i];
    }
    *ret_heads = heads;
    return MS_OK;
}
