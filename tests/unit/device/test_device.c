/* What every back end must do: memory, transfers, packing, workspaces and the refusal of arguments that make
   no sense. Each test runs on all back ends; values are the business of test_kernels_*. */
#include "support/device/kernel_test.h"

#include "base/mem.h"
#include "device/shape.h"

#define DEVICE_BYTES ((size_t)1 << 30)

/* Those of this build, and the plug-ins for tests. */
static const struct {
    const char *name, *card;
} back_ends[] = {{"cpu", ""},
                 {"dummy", ""},
                 {"remote", ""},
#ifdef MS_HAS_EMULATED_CARD
                 {"simt", "2G,sm_75"},
                 {"simt", "2G,sm_90,3"}
#endif
};
enum { BACK_ENDS = sizeof(back_ends) / sizeof(back_ends[0]) };

static bool may_be_opened(const char *name) {
#if defined(__x86_64__)
    return strcmp(name, "simt") != 0 || ms_isa_detect() >= MS_ISA_AVX2;
#else
    (void)name;
    return true;
#endif
}

typedef void (*device_test)(const ms_compute *compute);

static void on_every_back_end(device_test test) {
    for (int i = 0; i < BACK_ENDS; i++) {
        ms_compute compute;
        ms_compute_params params = {.device = back_ends[i].name,
                                    .threads = 2,
                                    .isa_limit = MS_ISA_AVX512,
                                    .memory_bytes = DEVICE_BYTES};
        ms_error err;
        if (!may_be_opened(back_ends[i].name))
            continue;
        setenv("MEMSAFE_SIMT", back_ends[i].card, 1);
        assert_ms_ok(ms_compute_open(&params, &compute, &err), &err);
        assert_string_equal(compute.dev->backend->name, back_ends[i].name);
        assert_true(strlen(compute.dev->description) > 0);
        test(&compute);
        ms_compute_close(&compute);
        assert_null(compute.dev);
    }
}

static bool computes(const ms_device *dev) {
    return dev->caps.computes;
}

static void memory_moves_bytes(const ms_compute *compute) {
    ms_device *dev = compute->dev;
    const ms_backend *b = dev->backend;
    char *block = b->alloc(dev, MS_LEDGER_ACTIVATIONS, 3000), *other = b->alloc(dev, MS_LEDGER_WEIGHTS, 0);
    assert_true(block && other && block != other);
    assert_int_equal((uintptr_t)block % 64, 0);
    unsigned char out[1000], in[1000];
    for (int i = 0; i < 1000; i++)
        out[i] = (unsigned char)(i * 7);
    memset(in, 1, sizeof(in));
    assert_int_equal(b->upload(compute->queue, block + 2000, out, 1000), MS_OK);
    assert_int_equal(b->download(compute->queue, in, block + 2000, 1000), MS_OK);
    assert_int_equal(ms_compute_finish(compute), MS_OK);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(in[i], computes(dev) ? out[i] : 0);
    assert_int_equal(b->upload(compute->queue, NULL, out, 10), MS_INVALID_ARGUMENT);
    assert_int_equal(b->download(compute->queue, NULL, block, 10), MS_INVALID_ARGUMENT);
    size_t free_bytes = 0, total_bytes = 0;
    b->memory(dev, &free_bytes, &total_bytes);
    assert_true(free_bytes > 0 && free_bytes <= total_bytes);
    b->free(dev, block);
    b->free(dev, other);
    b->free(dev, NULL);
}

/* The arithmetic of the processor goes with its layouts. */
static bool has_layouts_of_cpu(const ms_device *dev) {
    return strcmp(dev->caps.arithmetic, "cpu") == 0;
}

/* What a matrix is on a device does not depend on who packs it, nor on the pieces it comes in. */
static void weights_are_prepared(const ms_compute *compute) {
    ms_device *dev = compute->dev;
    static const ms_weight_shape shapes[] = {
        {MS_LAYOUT_PANEL, MS_F32, 20, 7, 1, 1, 1},      {MS_LAYOUT_PANEL, MS_F16, 12, 5, 3, 2, 4},
        {MS_LAYOUT_PANEL, MS_BF16, 40, 3, 1, 5, 2},     {MS_LAYOUT_GEGLU, MS_BF16, 40, 3, 1, 1, 1},
        {MS_LAYOUT_GEGLU, MS_F16, 34, 3, 1, 1, 1},      {MS_LAYOUT_WINOGRAD, MS_F16, 33, 4, 3, 3, 1},
        {MS_LAYOUT_DEPTHWISE, MS_F32, 19, 1, 3, 3, 19},
    };
    uint64_t rng = 11;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]) && dev->caps.raw_weights; i++) {
        const ms_weight_shape *s = &shapes[i];
        int64_t row = s->c_in * s->kernel_h * s->kernel_w;
        if (dev->backend->weight_bytes(s) == 0) { /* its convolutions never have that layout */
            assert_int_equal(s->layout, MS_LAYOUT_WINOGRAD);
            continue;
        }
        for (int raw_too = 0; raw_too < 2; raw_too++) {
            ms_dtype raw = raw_too ? s->dtype : MS_F32;
            test_weight w = test_weight_random(&rng, s->layout, s->dtype, s->n, s->c_in, s->kernel_h,
                                               s->kernel_w, s->groups);
            size_t bytes = dev->backend->weight_bytes(s),
                   raw_bytes = (size_t)(s->n * row) * ms_dtype_bytes(raw);
            char *given = malloc(raw_bytes), *dst = dev->backend->alloc(dev, MS_LEDGER_WEIGHTS, bytes);
            char *src = dev->backend->alloc(dev, MS_LEDGER_STAGING, raw_bytes), *back = malloc(bytes);
            assert_true(given && dst && src && back);
            for (int64_t j = 0; j < s->n * row; j++) {
                uint16_t half = s->dtype == MS_F16 ? ms_f32_to_f16(w.values[j]) : ms_f32_to_bf16(w.values[j]);
                if (raw == MS_F32)
                    memcpy(given + 4 * j, &w.values[j], 4);
                else
                    memcpy(given + 2 * j, &half, 2);
            }
            assert_int_equal(dev->backend->upload(compute->queue, src, given, raw_bytes), MS_OK);
            assert_int_equal(dev->backend->fill(compute->queue, dst, 0, bytes), MS_OK);
            for (int64_t first = 0, rows; first < s->n; first += rows) {
                rows = test_range(&rng, 1, s->n - first);
                assert_int_equal(
                    dev->backend->weight_prepare(compute->queue, s, raw, first, rows,
                                                 src + (size_t)(first * row) * ms_dtype_bytes(raw), dst),
                    MS_OK);
            }
            assert_int_equal(ms_compute_download(compute, back, dst, bytes), MS_OK);
            if (computes(dev) && has_layouts_of_cpu(dev))
                assert_memory_equal(back, w.block, bytes);
            assert_int_equal(dev->backend->weight_prepare(compute->queue, s, raw, 1, s->n, src, dst),
                             MS_INVALID_ARGUMENT);
            assert_int_equal(dev->backend->weight_prepare(compute->queue, s, MS_I8, 0, 1, src, dst),
                             MS_INVALID_ARGUMENT);
            dev->backend->free(dev, src);
            dev->backend->free(dev, dst);
            test_weight_free(&w);
            free(given);
            free(back);
        }
    }
}

static void pack_everything(const ms_compute *compute) {
    ms_device *dev = compute->dev;
    if (dev->caps.raw_weights)
        return;
    static const ms_weight_shape shapes[] = {
        {MS_LAYOUT_PANEL, MS_F32, 20, 7, 1, 1, 1},      {MS_LAYOUT_PANEL, MS_F16, 12, 5, 3, 2, 4},
        {MS_LAYOUT_GEGLU, MS_BF16, 40, 3, 1, 1, 1},     {MS_LAYOUT_WINOGRAD, MS_F16, 33, 4, 3, 3, 1},
        {MS_LAYOUT_DEPTHWISE, MS_F32, 19, 1, 3, 3, 19},
    };
    static const size_t bytes[] = {2 * 16 * 7 * 4, 4 * 16 * 30 * 2, 4 * 16 * 3 * 2, 3 * 16 * 36 * 2,
                                   19 * 9 * 4};
    static const int64_t panels[] = {2, 4, 4, 3, 2};
    float row[64];
    for (int i = 0; i < 64; i++)
        row[i] = (float)i;
    for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
        assert_int_equal(dev->backend->weight_bytes(&shapes[s]), bytes[s]);
        assert_int_equal(dev->backend->weight_panels(&shapes[s]), panels[s]);
        void *base = dev->backend->alloc(dev, MS_LEDGER_WEIGHTS, bytes[s]);
        assert_non_null(base);
        int64_t real = 0;
        for (int64_t p = 0; p < panels[s]; p++) {
            const float *rows[16];
            for (int i = 0; i < 16; i++) {
                rows[i] = ms_weight_row(&shapes[s], p, i) < 0 ? NULL : row;
                real += rows[i] != NULL;
            }
            dev->backend->weight_pack(&shapes[s], p, rows, base);
        }
        assert_int_equal(real, shapes[s].n);
        dev->backend->free(dev, base);
    }
    ms_weight_shape bad = shapes[0];
    bad.groups = 3;
    assert_int_equal(dev->backend->weight_bytes(&bad), 0);
    bad = shapes[3];
    bad.kernel_w = 1;
    assert_int_equal(dev->backend->weight_bytes(&bad), 0);
    bad = shapes[0];
    bad.n = INT64_MAX / 4;
    assert_int_equal(dev->backend->weight_bytes(&bad), 0);
}

/* Where GEGLU's halves and a group's padding go. */
static void panels_name_their_rows(void **state) {
    (void)state;
    ms_weight_shape geglu = {MS_LAYOUT_GEGLU, MS_F32, 40, 3, 1, 1, 1};
    assert_int_equal(ms_weight_row(&geglu, 0, 3), 3);
    assert_int_equal(ms_weight_row(&geglu, 1, 3), 23);
    assert_int_equal(ms_weight_row(&geglu, 2, 3), 19);
    assert_int_equal(ms_weight_row(&geglu, 2, 4), -1);
    assert_int_equal(ms_weight_row(&geglu, 3, 3), 39);
    ms_weight_shape groups = {MS_LAYOUT_PANEL, MS_F32, 12, 5, 3, 2, 4};
    assert_int_equal(ms_weight_row(&groups, 2, 2), 8);
    assert_int_equal(ms_weight_row(&groups, 2, 3), -1);
}

/* One small, valid call of every kernel; fields are then broken one at a time. */
typedef struct calls {
    float *data;
    ms_linear_args linear;
    ms_conv2d_args conv2d;
    ms_attention_args attention;
    ms_norm_partials_args norm_partials;
    ms_norm_tables_args norm_tables;
    ms_norm_apply_args norm_apply;
    ms_layer_norm_args layer_norm;
    ms_binary_args binary;
    ms_unary_args unary;
    ms_pool_args pool;
    ms_resize_args resize;
    ms_copy_args copy;
    ms_noise_args noise;
    ms_posterior_args posterior;
    ms_rescale_args rescale;
    ms_guide_args guide;
    ms_ddim_args ddim;
    ms_check_finite_args check_finite;
} calls;

#define CALL_FLOATS 40000

static calls valid_calls(float *base) {
    /* 2 images of 4x4 pixels, 32 channels, in three tensors behind each other */
    ms_rows x = {base, 2, 16, 32, 512, 32, MS_F32}, y = {base + 1024, 2, 16, 32, 512, 32, MS_F32},
            z = {base + 2048, 2, 16, 32, 512, 32, MS_F32};
    float *table = base + 4096, *weights = base + 8192;
    calls c = {.data = base};
    c.linear = (ms_linear_args){
        .src = {x}, .n_src = 1, .dst = y, .weight = {weights, MS_F32, MS_LAYOUT_PANEL, 32, 32}};
    c.conv2d = (ms_conv2d_args){.src = {x},
                                .n_src = 1,
                                .src_h = 4,
                                .src_w = 4,
                                .dst = y,
                                .dst_h = 4,
                                .dst_w = 4,
                                .kernel_h = 3,
                                .kernel_w = 3,
                                .stride_h = 1,
                                .stride_w = 1,
                                .pad_top = 1,
                                .pad_left = 1,
                                .groups = 1};
    c.conv2d.weight = (ms_weight){weights, MS_F32, MS_LAYOUT_WINOGRAD, 32, 288};
    c.attention = (ms_attention_args){.q = base,
                                      .k = base + 1024,
                                      .v = base + 2048,
                                      .out = base + 3072,
                                      .q_stride = {512, 512, 32},
                                      .k_stride = {512, 512, 32},
                                      .v_stride = {512, 512, 32},
                                      .out_stride = {512, 512, 32},
                                      .batch_outer = 2,
                                      .batch_inner = 1,
                                      .q_tokens = 16,
                                      .kv_tokens = 16,
                                      .heads = 4,
                                      .head_dim = 8,
                                      .scale = 1};
    c.norm_partials = (ms_norm_partials_args){
        .src = {x}, .n_src = 1, .h = 4, .w = 4, .groups = 4, .partials = (double(*)[2])table};
    c.norm_tables = (ms_norm_tables_args){.partials = (const double(*)[2])table,
                                          .outer = 2,
                                          .h = 4,
                                          .w = 4,
                                          .channels = 32,
                                          .outer_per_table = 2,
                                          .groups = 4,
                                          .eps = 1e-5f,
                                          .gamma = table + 512,
                                          .beta = table + 544,
                                          .tables = table + 576};
    c.norm_apply = (ms_norm_apply_args){.src = x, .dst = y};
    c.norm_apply.prologue = (ms_prologue){.tables = table + 576, .outer_per_table = 2, .act = MS_ACT_SILU};
    c.layer_norm =
        (ms_layer_norm_args){.src = x, .dst = y, .gamma = table + 512, .beta = table + 544, .eps = 1e-5f};
    c.binary = (ms_binary_args){.op = MS_BINARY_ADD, .a = x, .b = y, .dst = z};
    c.unary = (ms_unary_args){.src = x, .dst = y, .act = MS_ACT_SILU};
    c.pool = (ms_pool_args){.src = x,
                            .dst = y,
                            .src_h = 4,
                            .src_w = 4,
                            .dst_h = 4,
                            .dst_w = 4,
                            .kernel_h = 3,
                            .kernel_w = 3,
                            .stride_h = 1,
                            .stride_w = 1,
                            .pad_top = 1,
                            .pad_left = 1,
                            .pad_bottom = 1,
                            .pad_right = 1};
    c.resize = (ms_resize_args){.src = x, .dst = y, .src_h = 4, .src_w = 4, .dst_h = 2, .dst_w = 8};
    c.copy = (ms_copy_args){.src = base,
                            .dst = base + 1024,
                            .outer = 2,
                            .inner = 16,
                            .channels = 32,
                            .src_stride = {512, 32, 1},
                            .dst_stride = {512, 1, 16}};
    ms_rows half = x; /* of the channels */
    half.channels = 16;
    c.noise = (ms_noise_args){.seed = 7, .numbers = (const uint32_t(*)[2])(void *)table, .dst = x};
    c.posterior = (ms_posterior_args){.moments = x, .normals = half, .dst = half, .scale = 1};
    c.posterior.normals.data = y.data;
    c.posterior.dst.data = z.data;
    c.rescale = (ms_rescale_args){.src = x, .dst = y, .divisor = 2, .shift = 1};
    c.guide = (ms_guide_args){.without = x, .with = y, .dst = z, .scale = 1.5f};
    c.ddim = (ms_ddim_args){.sample = x, .noise = y, .dst = x, .step = table};
    c.check_finite = (ms_check_finite_args){.src = x, .flag = (uint32_t *)(void *)table};
    return c;
}

static void all_calls_work(const ms_compute *compute) {
    ms_device *dev = compute->dev;
    const ms_kernels *k = dev->kernels;
    float *base = dev->backend->alloc(dev, MS_LEDGER_ACTIVATIONS, CALL_FLOATS * sizeof(float));
    float *zeros = calloc(CALL_FLOATS, sizeof(float));
    assert_true(base && zeros);
    assert_int_equal(ms_compute_upload(compute, base, zeros, CALL_FLOATS * sizeof(float)), MS_OK);
    calls c = valid_calls(base);
    size_t bytes = k->linear_workspace(dev, &c.linear) + k->conv2d_workspace(dev, &c.conv2d) +
                   k->attention_workspace(dev, &c.attention);
    void *workspace = dev->backend->alloc(dev, MS_LEDGER_WORKSPACE, bytes);
    assert_non_null(workspace);
    c.conv2d.weight.layout = k->conv2d_layout(&c.conv2d);
    assert_true(c.conv2d.weight.layout == MS_LAYOUT_WINOGRAD || c.conv2d.weight.layout == MS_LAYOUT_PANEL);
    assert_int_equal(k->linear(compute->queue, &c.linear, workspace), MS_OK);
    assert_int_equal(k->conv2d(compute->queue, &c.conv2d, workspace), MS_OK);
    assert_int_equal(k->attention(compute->queue, &c.attention, workspace), MS_OK);
    assert_int_equal(k->norm_partials(compute->queue, &c.norm_partials), MS_OK);
    assert_int_equal(k->norm_tables(compute->queue, &c.norm_tables), MS_OK);
    assert_int_equal(k->norm_apply(compute->queue, &c.norm_apply), MS_OK);
    assert_int_equal(k->layer_norm(compute->queue, &c.layer_norm), MS_OK);
    assert_int_equal(k->binary(compute->queue, &c.binary), MS_OK);
    assert_int_equal(k->unary(compute->queue, &c.unary), MS_OK);
    assert_int_equal(k->pool(compute->queue, &c.pool), MS_OK);
    assert_int_equal(k->resize(compute->queue, &c.resize), MS_OK);
    assert_int_equal(k->copy(compute->queue, &c.copy), MS_OK);
    assert_int_equal(k->noise(compute->queue, &c.noise), MS_OK);
    assert_int_equal(k->posterior(compute->queue, &c.posterior), MS_OK);
    assert_int_equal(k->rescale(compute->queue, &c.rescale), MS_OK);
    assert_int_equal(k->guide(compute->queue, &c.guide), MS_OK);
    assert_int_equal(k->ddim(compute->queue, &c.ddim), MS_OK);
    assert_int_equal(k->check_finite(compute->queue, &c.check_finite), MS_OK);
    /* Sizes are asked for before there is any memory. */
    ms_conv2d_args sizes = c.conv2d;
    sizes.src[0].data = sizes.dst.data = NULL;
    sizes.weight.data = NULL;
    assert_int_equal(k->conv2d_workspace(dev, &sizes), k->conv2d_workspace(dev, &c.conv2d));
    ms_linear_args rows = c.linear;
    rows.src[0].data = rows.dst.data = NULL;
    assert_int_equal(k->linear_workspace(dev, &rows), k->linear_workspace(dev, &c.linear));
    assert_int_equal(ms_compute_finish(compute), MS_OK);
    dev->backend->free(dev, workspace);
    dev->backend->free(dev, base);
    free(zeros);
}

/* Breaks one field of a valid call. */
#define REFUSED(call, field, value)                                                                          \
    do {                                                                                                     \
        calls broken = valid_calls(base);                                                                    \
        broken.call.field = value;                                                                           \
        if (k->call(compute->queue, &broken.call) != MS_INVALID_ARGUMENT)                                    \
            fail_msg("%s: %s accepts %s = %s", dev->backend->name, #call, #field, #value);                   \
    } while (0)
#define REFUSED_WS(call, field, value)                                                                       \
    do {                                                                                                     \
        calls broken = valid_calls(base);                                                                    \
        broken.conv2d.weight.layout = own;                                                                   \
        broken.call.field = value;                                                                           \
        if (k->call(compute->queue, &broken.call, workspace) != MS_INVALID_ARGUMENT)                         \
            fail_msg("%s: %s accepts %s = %s", dev->backend->name, #call, #field, #value);                   \
    } while (0)

static void nonsense_is_refused(const ms_compute *compute) {
    ms_device *dev = compute->dev;
    const ms_kernels *k = dev->kernels;
    float *base = dev->backend->alloc(dev, MS_LEDGER_ACTIVATIONS, CALL_FLOATS * sizeof(float));
    void *workspace = dev->backend->alloc(dev, MS_LEDGER_WORKSPACE, 1 << 20);
    ms_rows other = {base, 2, 15, 32, 480, 32, MS_F32};
    calls valid = valid_calls(base);
    const ms_weight_layout own = k->conv2d_layout(&valid.conv2d);
    const ms_weight_layout not_own = own == MS_LAYOUT_PANEL ? MS_LAYOUT_WINOGRAD : MS_LAYOUT_PANEL;
    assert_true(base && workspace);
    REFUSED_WS(linear, src[0].data, NULL);
    REFUSED_WS(linear, n_src, 0);
    REFUSED_WS(linear, n_src, 3);
    REFUSED_WS(linear, dst.inner, 15);
    REFUSED_WS(linear, dst.channels, 31);
    REFUSED_WS(linear, src[0].inner_stride, 31);
    REFUSED_WS(linear, weight.k, 31);
    REFUSED_WS(linear, weight.data, NULL);
    REFUSED_WS(linear, weight.dtype, MS_F64);
    REFUSED_WS(linear, weight.layout, MS_LAYOUT_GEGLU);
    REFUSED_WS(linear, epilogue.act, MS_ACT_PRELU);
    REFUSED_WS(linear, epilogue.residual, other);
    REFUSED_WS(conv2d, src_h, 5);
    REFUSED_WS(conv2d, dst_w, 5);
    REFUSED_WS(conv2d, up_h, 3);
    REFUSED_WS(conv2d, stride_h, 0);
    REFUSED_WS(conv2d, kernel_w, 0);
    REFUSED_WS(conv2d, pad_top, 3);
    REFUSED_WS(conv2d, groups, 3);
    REFUSED_WS(conv2d, weight.layout, not_own);
    REFUSED_WS(conv2d, weight.k, 287);
    REFUSED_WS(conv2d, epilogue.act, MS_ACT_GEGLU);
    REFUSED_WS(attention, q, NULL);
    REFUSED_WS(attention, heads, 0);
    REFUSED_WS(attention, head_dim, 0);
    REFUSED_WS(attention, kv_tokens, 0);
    REFUSED_WS(attention, out_stride[2], 31);
    REFUSED_WS(attention, k_stride[1], -1);
    REFUSED(norm_partials, groups, 5);
    REFUSED(norm_partials, w, 5);
    REFUSED(norm_partials, partials, NULL);
    REFUSED(norm_tables, outer_per_table, 3);
    REFUSED(norm_tables, gamma, NULL);
    REFUSED(norm_tables, groups, 0);
    REFUSED(norm_apply, dst.channels, 16);
    REFUSED(norm_apply, prologue.outer_per_table, 0);
    REFUSED(norm_apply, prologue.act, MS_ACT_GELU);
    REFUSED(layer_norm, beta, NULL);
    REFUSED(layer_norm, src.outer, 3);
    REFUSED(binary, b, other);
    REFUSED(binary, act, MS_ACT_PRELU);
    REFUSED(unary, act, MS_ACT_GEGLU);
    REFUSED(unary, dst.data, NULL);
    REFUSED(pool, pad_left, 3);
    REFUSED(pool, dst_h, 7);
    REFUSED(resize, dst_w, 7);
    REFUSED(copy, channels, 0);
    REFUSED(copy, dst_stride[0], -1);
    REFUSED(noise, dst.data, NULL);
    REFUSED(noise, dst.channels, 0);
    REFUSED(posterior, moments.channels, 31);
    REFUSED(posterior, normals, other);
    REFUSED(posterior, dst.data, NULL);
    REFUSED(rescale, divisor, 0);
    REFUSED(rescale, src, other);
    REFUSED(guide, with, other);
    REFUSED(guide, without.channels, 31);
    REFUSED(ddim, step, NULL);
    REFUSED(ddim, noise, other);
    REFUSED(ddim, sample.outer, 1);
    REFUSED(check_finite, flag, NULL);
    REFUSED(check_finite, src.inner_stride, 31);
    calls c = valid_calls(base);
    if (k->conv2d_workspace(dev, &c.conv2d) > 0)
        assert_int_equal(k->conv2d(compute->queue, &c.conv2d, NULL), MS_INVALID_ARGUMENT);
    ms_rows half = c.unary.src;
    half.dtype = MS_F16;
    REFUSED(unary, src.dtype, MS_I8);
    c.unary.src = half;
    assert_int_equal(k->unary(compute->queue, &c.unary),
                     dev->caps.activations & 1u << MS_F16 ? MS_OK : MS_UNSUPPORTED);
    assert_int_equal(ms_compute_finish(compute), MS_OK);
    dev->backend->free(dev, workspace);
    dev->backend->free(dev, base);
}

static void memory_works(void **state) {
    (void)state;
    on_every_back_end(memory_moves_bytes);
}

static void packing_works(void **state) {
    (void)state;
    on_every_back_end(pack_everything);
    on_every_back_end(weights_are_prepared);
}

static void kernels_take_valid_calls(void **state) {
    (void)state;
    on_every_back_end(all_calls_work);
}

static void kernels_refuse_nonsense(void **state) {
    (void)state;
    on_every_back_end(nonsense_is_refused);
}

static void unknown_back_end_is_named(void **state) {
    (void)state;
    ms_device_params params = {.backend = "abacus"};
    ms_device *dev = NULL;
    ms_error err;
    assert_int_equal(ms_device_open(&params, &dev, &err), MS_UNSUPPORTED);
    assert_null(dev);
    assert_non_null(strstr(err.message, "abacus"));
    assert_non_null(strstr(err.message, "cpu, dummy"));
}

static void isa_can_be_limited(void **state) {
    (void)state;
    ms_error err;
    ms_device *dev;
    for (int isa = 0; isa < MS_ISA_COUNT; isa++) {
        ms_device_params params = {.backend = "cpu", .isa_limit = (ms_isa)isa};
        ms_isa best = ms_isa_detect();
        assert_ms_ok(ms_device_open(&params, &dev, &err), &err);
        assert_string_equal(strrchr(dev->description, ' ') + 1,
                            ms_isa_name(isa < (int)best ? (ms_isa)isa : best));
        ms_device_close(&dev);
    }
    ms_device_params params = {.backend = "cpu", .isa_limit = MS_ISA_AVX512};
    setenv("MEMSAFE_ISA", "c", 1);
    assert_ms_ok(ms_device_open(&params, &dev, &err), &err);
    assert_string_equal(strrchr(dev->description, ' ') + 1, "c");
    ms_device_close(&dev);
    setenv("MEMSAFE_ISA", "sse9", 1);
    assert_int_equal(ms_device_open(&params, &dev, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "sse9"));
    unsetenv("MEMSAFE_ISA");
}

/* The dummy's memory is as large as it says and costs nothing. */
static void dummy_counts_bytes(void **state) {
    (void)state;
    const size_t gib = (size_t)1 << 30;
    ms_mem *mem;
    ms_error err;
    ms_compute compute;
    assert_int_equal(ms_mem_create(0, &mem), MS_OK);
    ms_compute_params params = {.device = "dummy", .threads = 1, .device_mem = mem, .memory_bytes = 80 * gib};
    assert_ms_ok(ms_compute_open(&params, &compute, &err), &err);
    ms_device *dev = compute.dev;
    const ms_backend *b = dev->backend;
    size_t free_bytes, total_bytes;
    char *big = b->alloc(dev, MS_LEDGER_WEIGHTS, 60 * gib);
    assert_non_null(big);
    const size_t own = dev->caps.own_bytes, left = 20 * gib - own;
    assert_true(own == (size_t)400 << 20);
    assert_null(b->alloc(dev, MS_LEDGER_WEIGHTS, left + 1));
    void *rest = b->alloc(dev, MS_LEDGER_FRAMES, left - 1); /* takes the last piece whole */
    assert_non_null(rest);
    assert_null(b->alloc(dev, MS_LEDGER_FRAMES, 1));
    b->memory(dev, &free_bytes, &total_bytes);
    assert_true(free_bytes == 0 && total_bytes == 80 * gib);
    ms_mem_usage usage;
    ms_mem_get_usage(mem, &usage);
    assert_true(usage.ledger_current[MS_LEDGER_WEIGHTS] == 60 * gib);
    assert_true(usage.ledger_current[MS_LEDGER_FRAMES] == left && usage.current_bytes == 80 * gib);
    char byte = 0;
    assert_int_equal(b->upload(compute.queue, big + 60 * gib - 1, &byte, 1), MS_OK);
    assert_int_equal(b->upload(compute.queue, big + 60 * gib, &byte, 1), MS_INVALID_ARGUMENT);
    assert_int_equal(b->download(compute.queue, &byte, big - 1, 1), MS_INVALID_ARGUMENT);
    b->free(dev, big);
    b->memory(dev, &free_bytes, &total_bytes);
    assert_true(free_bytes == 60 * gib);
    ms_compute_close(&compute); /* frees what was left */
    assert_int_equal(ms_mem_destroy(&mem), 0);
}

/* Every allocation of opening and of allocating fails in turn. */
static void failed_allocations_leave_nothing(void **state) {
    (void)state;
    for (int i = 0; i < BACK_ENDS; i++) {
        bool passed = !may_be_opened(back_ends[i].name);
        setenv("MEMSAFE_SIMT", back_ends[i].card, 1);
        for (uint64_t n = 1; !passed && n < 50; n++) {
            ms_mem *mem;
            ms_error err;
            ms_compute compute = {0};
            assert_int_equal(ms_mem_create(0, &mem), MS_OK);
            ms_compute_params params = {.device = back_ends[i].name,
                                        .mem = mem,
                                        .threads = 3,
                                        .isa_limit = MS_ISA_AVX512,
                                        .memory_bytes = DEVICE_BYTES};
            ms_mem_fail_after(n, false);
            ms_status status = ms_compute_open(&params, &compute, &err);
            void *block =
                status == MS_OK ? compute.dev->backend->alloc(compute.dev, MS_LEDGER_WEIGHTS, 100) : NULL;
            ms_mem_fail_after(0, false);
            passed = block != NULL;
            assert_true(status == MS_OK ||
                        (status == MS_HOST_MEMORY && !compute.dev && strlen(err.message) > 0));
            if (block)
                compute.dev->backend->free(compute.dev, block);
            ms_compute_close(&compute);
            assert_int_equal(ms_mem_destroy(&mem), 0);
        }
        assert_true(passed);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_works),
        cmocka_unit_test(packing_works),
        cmocka_unit_test(panels_name_their_rows),
        cmocka_unit_test(kernels_take_valid_calls),
        cmocka_unit_test(kernels_refuse_nonsense),
        cmocka_unit_test(unknown_back_end_is_named),
        cmocka_unit_test(isa_can_be_limited),
        cmocka_unit_test(dummy_counts_bytes),
        cmocka_unit_test(failed_allocations_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
