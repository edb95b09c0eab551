#include "kernel_bench.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "base/error.h"

/* Everything a case may need, in one device; NULL where unused. */
typedef struct bench_setup {
    const ms_compute *compute;
    void *blocks[12];
    int n_blocks;
    bool failed;
    ms_rows src, dst, residual;
    ms_weight weight;
    float *tables, *bias;
    void *workspace;
    union {
        ms_linear_args linear;
        ms_conv2d_args conv2d;
        ms_attention_args attention;
        struct {
            ms_norm_partials_args partials;
            ms_norm_tables_args tables;
            ms_norm_apply_args apply;
        } norm;
        ms_layer_norm_args layer_norm;
        ms_binary_args binary;
    } args;
} bench_setup;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *grab(bench_setup *s, ms_ledger ledger, size_t bytes) {
    void *block = s->compute->dev->backend->alloc(s->compute->dev, ledger, bytes);
    if (!block) {
        s->failed = true;
        return NULL;
    }
    s->blocks[s->n_blocks++] = block;
    return block;
}

/* Small random numbers around 0, by a counter hashed into 24 bits. */
static float *grab_floats(bench_setup *s, ms_ledger ledger, int64_t n) {
    float *p = grab(s, ledger, (size_t)n * sizeof(float));
    for (int64_t i = 0; p && i < n; i++)
        p[i] = (float)(((uint32_t)i * 2654435761u) >> 8) * 0x1p-23f - 1.0f;
    return p;
}

static ms_rows grab_rows(bench_setup *s, int64_t outer, int64_t inner, int64_t channels) {
    float *data = grab_floats(s, MS_LEDGER_ACTIVATIONS, outer * inner * channels);
    return (ms_rows){data, outer, inner, channels, inner * channels, channels, MS_F32};
}

static ms_weight grab_weight(bench_setup *s, ms_weight_layout layout, ms_dtype dtype, int64_t n, int64_t c_in,
                             int kernel) {
    const ms_backend *b = s->compute->dev->backend;
    ms_weight_shape shape = {layout, dtype, n, c_in, kernel, kernel, 1};
    const int64_t k = c_in * kernel * kernel;
    ms_weight w = {grab(s, MS_LEDGER_WEIGHTS, b->weight_bytes(&shape)), dtype, layout, n, k};
    float *row = grab_floats(s, MS_LEDGER_STAGING, k);
    if (s->failed)
        return w;
    for (int64_t i = 0; i < k; i++)
        row[i] *= 1.0f / sqrtf((float)k);
    for (int64_t p = 0; p < b->weight_panels(&shape); p++) {
        const float *rows[16];
        for (int i = 0; i < 16; i++)
            rows[i] = ms_weight_row(&shape, p, i) < 0 ? NULL : row;
        b->weight_pack(&shape, p, rows, (void *)(uintptr_t)w.data);
    }
    return w;
}

static ms_prologue bench_prologue(const bench_setup *s, const ms_bench_case *t) {
    ms_prologue p = {.tables = t->prologue ? s->tables : NULL, .outer_per_table = 16};
    p.act = t->kind == MS_BENCH_CONV ? MS_ACT_SILU : MS_ACT_NONE;
    return p;
}

static ms_epilogue bench_epilogue(const bench_setup *s, const ms_bench_case *t) {
    return (ms_epilogue){.bias = s->bias, .residual = t->residual ? s->residual : (ms_rows){0}};
}

static void prepare_matrix(bench_setup *s, const ms_bench_case *t, ms_dtype dtype, ms_bench_result *r) {
    const bool conv = t->kind == MS_BENCH_CONV, geglu = t->kind == MS_BENCH_GEGLU;
    const int64_t h = !conv ? t->h : t->up ? t->h / 2 : t->h * t->stride;
    const int64_t w = !conv ? t->w : t->up ? t->w / 2 : t->w * t->stride;
    const int kernel = conv ? t->kernel : 1;
    s->src = grab_rows(s, t->images, h * w, t->c_in);
    s->dst = grab_rows(s, t->images, (int64_t)t->h * t->w, t->c_out);
    s->residual = t->residual ? grab_rows(s, t->images, (int64_t)t->h * t->w, t->c_out) : s->dst;
    s->tables = grab_floats(s, MS_LEDGER_GENERAL, 2 * 2 * t->c_in * ((t->images + 15) / 16));
    s->bias = grab_floats(s, MS_LEDGER_GENERAL, 2 * t->c_out);
    r->flops = 2.0 * t->images * t->h * t->w * t->c_in * t->c_out * kernel * kernel * (geglu ? 2 : 1);
    if (conv) {
        ms_conv2d_args *a = &s->args.conv2d;
        *a = (ms_conv2d_args){.src = {s->src},
                              .n_src = 1,
                              .src_h = h,
                              .src_w = w,
                              .dst = s->dst,
                              .dst_h = t->h,
                              .dst_w = t->w,
                              .kernel_h = kernel,
                              .kernel_w = kernel,
                              .stride_h = t->stride,
                              .stride_w = t->stride,
                              .pad_top = 1,
                              .pad_left = 1,
                              .groups = 1};
        a->up_h = t->up ? t->h : 0;
        a->up_w = t->up ? t->w : 0;
        a->weight =
            grab_weight(s, s->compute->dev->kernels->conv2d_layout(a), dtype, t->c_out, t->c_in, kernel);
        a->prologue = bench_prologue(s, t);
        a->epilogue = bench_epilogue(s, t);
        r->workspace_bytes = s->compute->dev->kernels->conv2d_workspace(s->compute->dev, a);
    } else {
        ms_linear_args *a = &s->args.linear;
        *a = (ms_linear_args){.src = {s->src}, .n_src = 1, .dst = s->dst};
        a->weight = grab_weight(s, geglu ? MS_LAYOUT_GEGLU : MS_LAYOUT_PANEL, dtype,
                                geglu ? 2 * t->c_out : t->c_out, t->c_in, 1);
        a->prologue = bench_prologue(s, t);
        a->epilogue = bench_epilogue(s, t);
        a->epilogue.act = geglu ? MS_ACT_GEGLU : MS_ACT_NONE;
        r->workspace_bytes = s->compute->dev->kernels->linear_workspace(s->compute->dev, a);
    }
    r->bytes =
        4.0 * (double)(s->src.outer * s->src.inner * t->c_in + s->dst.outer * s->dst.inner * t->c_out) +
        (double)ms_dtype_bytes(dtype) * t->c_in * t->c_out * kernel * kernel * (geglu ? 2 : 1);
}

static void prepare_attention(bench_setup *s, const ms_bench_case *t, ms_bench_result *r) {
    const bool temporal = t->kind == MS_BENCH_TEMPORAL;
    const int64_t width = (int64_t)t->heads * t->c_in;
    const int64_t queries = t->h, keys = temporal ? t->h : t->w, batch = temporal ? t->w : 1;
    const float *q = grab_floats(s, MS_LEDGER_ACTIVATIONS, t->images * queries * batch * width);
    const float *k = grab_floats(s, MS_LEDGER_ACTIVATIONS, t->images * keys * batch * width);
    const float *v = grab_floats(s, MS_LEDGER_ACTIVATIONS, t->images * keys * batch * width);
    float *out = grab_floats(s, MS_LEDGER_ACTIVATIONS, t->images * queries * batch * width);
    ms_attention_args *a = &s->args.attention;
    *a = (ms_attention_args){.q = q,
                             .k = k,
                             .v = v,
                             .out = out,
                             .batch_outer = t->images,
                             .batch_inner = batch,
                             .q_tokens = queries,
                             .kv_tokens = keys,
                             .heads = t->heads,
                             .head_dim = t->c_in,
                             .scale = 1.0f / sqrtf((float)t->c_in)};
    const int64_t token = batch * width;
    for (int i = 0; i < 3; i++) {
        a->q_stride[i] = a->out_stride[i] = i == 0 ? queries * token : i == 1 ? width : token;
        a->k_stride[i] = a->v_stride[i] = i == 0 ? keys * token : i == 1 ? width : token;
    }
    r->flops = 4.0 * t->images * (double)batch * (double)queries * (double)keys * (double)width;
    r->bytes = 4.0 * t->images * (double)batch * (double)width * 2.0 * (double)(queries + keys);
    r->workspace_bytes = s->compute->dev->kernels->attention_workspace(s->compute->dev, a);
}

static void prepare_rows(bench_setup *s, const ms_bench_case *t, ms_bench_result *r) {
    const int64_t pixels = (int64_t)t->h * t->w, floats = t->images * pixels * t->c_in;
    s->src = grab_rows(s, t->images, pixels, t->c_in);
    s->dst = grab_rows(s, t->images, pixels, t->c_in);
    s->bias = grab_floats(s, MS_LEDGER_GENERAL, t->c_in);
    if (t->kind == MS_BENCH_ADD) {
        s->residual = grab_rows(s, t->images, pixels, t->c_in);
        s->args.binary = (ms_binary_args){.op = MS_BINARY_ADD, .a = s->src, .b = s->residual, .dst = s->dst};
        r->bytes = 12.0 * (double)floats;
    } else if (t->kind == MS_BENCH_LAYER_NORM) {
        s->args.layer_norm = (ms_layer_norm_args){
            .src = s->src, .dst = s->dst, .gamma = s->bias, .beta = s->bias, .eps = 1e-5f};
        r->bytes = 8.0 * (double)floats;
    } else {
        double(*partials)[2] =
            grab(s, MS_LEDGER_GENERAL, (size_t)(t->images * t->h * 32) * sizeof(*partials));
        s->tables = grab_floats(s, MS_LEDGER_GENERAL, 2 * t->c_in);
        s->args.norm.partials = (ms_norm_partials_args){
            .src = {s->src}, .n_src = 1, .h = t->h, .w = t->w, .groups = 32, .partials = partials};
        s->args.norm.tables = (ms_norm_tables_args){.partials = (const double(*)[2])partials,
                                                    .outer = t->images,
                                                    .h = t->h,
                                                    .w = t->w,
                                                    .channels = t->c_in,
                                                    .outer_per_table = t->images,
                                                    .groups = 32,
                                                    .eps = 1e-5f,
                                                    .gamma = s->bias,
                                                    .beta = s->bias,
                                                    .tables = s->tables};
        s->args.norm.apply = (ms_norm_apply_args){.src = s->src, .dst = s->dst};
        s->args.norm.apply.prologue = (ms_prologue){s->tables, t->images, 0, MS_ACT_SILU};
        r->bytes = 12.0 * (double)floats;
    }
}

static ms_status run_once(bench_setup *s, const ms_bench_case *t) {
    const ms_kernels *k = s->compute->dev->kernels;
    switch (t->kind) {
    case MS_BENCH_LINEAR:
    case MS_BENCH_GEGLU:
        return k->linear(s->compute->queue, &s->args.linear, s->workspace);
    case MS_BENCH_CONV:
        return k->conv2d(s->compute->queue, &s->args.conv2d, s->workspace);
    case MS_BENCH_ATTENTION:
    case MS_BENCH_TEMPORAL:
        return k->attention(s->compute->queue, &s->args.attention, s->workspace);
    case MS_BENCH_NORM:
        MS_TRY(k->norm_partials(s->compute->queue, &s->args.norm.partials));
        MS_TRY(k->norm_tables(s->compute->queue, &s->args.norm.tables));
        return k->norm_apply(s->compute->queue, &s->args.norm.apply);
    case MS_BENCH_LAYER_NORM:
        return k->layer_norm(s->compute->queue, &s->args.layer_norm);
    case MS_BENCH_ADD:
        break;
    }
    return k->binary(s->compute->queue, &s->args.binary);
}

static ms_status measure(bench_setup *s, const ms_bench_case *t, double min_seconds, ms_bench_result *r,
                         ms_error *err) {
    double spent = 0;
    r->seconds = 0;
    for (int run = 0; run < 2 || spent < min_seconds; run++) {
        double start = now();
        ms_status status = run_once(s, t);
        double took = now() - start;
        if (status != MS_OK)
            return ms_fail(err, status, "%s: the kernel refused its arguments", t->name);
        spent += took;
        if (run == 0 || took < r->seconds)
            r->seconds = took;
    }
    return MS_OK;
}

ms_status ms_bench_run(const ms_compute *compute, const ms_bench_case *test, ms_dtype dtype,
                       double min_seconds, ms_bench_result *ret_result, ms_error *err) {
    bench_setup s = {.compute = compute};
    ms_bench_result r = {0};
    ms_status status = MS_HOST_MEMORY;
    switch (test->kind) {
    case MS_BENCH_LINEAR:
    case MS_BENCH_GEGLU:
    case MS_BENCH_CONV:
        prepare_matrix(&s, test, dtype, &r);
        break;
    case MS_BENCH_ATTENTION:
    case MS_BENCH_TEMPORAL:
        prepare_attention(&s, test, &r);
        break;
    case MS_BENCH_NORM:
    case MS_BENCH_LAYER_NORM:
    case MS_BENCH_ADD:
        prepare_rows(&s, test, &r);
        break;
    }
    if (!s.failed)
        s.workspace = grab(&s, MS_LEDGER_WORKSPACE, r.workspace_bytes);
    if (s.failed)
        ms_fail_alloc(err, compute->dev->mem, r.workspace_bytes, test->name);
    else
        status = measure(&s, test, min_seconds, &r, err);
    for (int i = 0; i < s.n_blocks; i++)
        compute->dev->backend->free(compute->dev, s.blocks[i]);
    if (status == MS_OK)
        *ret_result = r;
    return status;
}
