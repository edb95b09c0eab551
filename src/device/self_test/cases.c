#include "device/self_test/cases.h"

#include "device/shape.h"

/* Of each kernel that has a workspace: its call, and the case's end. */
#define RUN(kernel)                                                                                          \
    static ms_status call_##kernel(trial *t, const void *args, void *workspace) {                            \
        return t->dev->kernels->kernel(t->queue, args, workspace);                                           \
    }                                                                                                        \
    static ms_status run_##kernel(trial *t, const ms_##kernel##_args *args) {                                \
        if (t->status != MS_OK)                                                                              \
            return t->status;                                                                                \
        return ms_trial_run(t, call_##kernel, args, t->dev->kernels->kernel##_workspace(t->dev, args));      \
    }

RUN(linear)
RUN(conv2d)
RUN(attention)

static ms_rows values(trial *t, int64_t outer, int64_t inner, int64_t channels) {
    return ms_trial_rows(t, ms_trial_values(t, outer * inner * channels), outer, inner, channels);
}

static ms_rows output(trial *t, int64_t outer, int64_t inner, int64_t channels) {
    return ms_trial_rows(t, ms_trial_output(t, outer * inner * channels, t->dtype), outer, inner, channels);
}

/* Scale, then shift, for every `outer_per_table` images. */
static ms_prologue prologue(trial *t, int64_t tables, int64_t channels, int64_t outer_per_table) {
    return (ms_prologue){.tables = ms_trial_floats(t, tables * 2 * channels, 0.5f, 0.25f),
                         .outer_per_table = outer_per_table,
                         .act = MS_ACT_SILU};
}

/* ---- matrices ---- */

static ms_status linear(trial *t) {
    const ms_weight_shape shape = {
        .layout = MS_LAYOUT_PANEL, .n = 88, .c_in = 72, .kernel_h = 1, .kernel_w = 1, .groups = 1};
    ms_linear_args a = {.src = {values(t, 2, 67, 72)}, .n_src = 1, .dst = output(t, 2, 67, 88)};
    a.weight = ms_trial_weight(t, &shape);
    a.epilogue = (ms_epilogue){.bias = ms_trial_floats(t, 88, 0, 0.5f),
                               .act = MS_ACT_GELU,
                               .residual = values(t, 2, 67, 88),
                               .scale = 0.5f};
    return run_linear(t, &a);
}

/* Normalised they are copied, else both are read in place. */
static ms_status linear_two(trial *t) {
    const bool normalised = t->of[0];
    const ms_weight_shape shape = {
        .layout = MS_LAYOUT_PANEL, .n = 40, .c_in = 56, .kernel_h = 1, .kernel_w = 1, .groups = 1};
    ms_linear_args a = {
        .src = {values(t, 2, 33, 40), values(t, 2, 33, 16)}, .n_src = 2, .dst = output(t, 2, 33, 40)};
    a.weight = ms_trial_weight(t, &shape);
    if (normalised)
        a.prologue = prologue(t, 2, 56, 1);
    return run_linear(t, &a);
}

/* More than eight of the highest tiles, below which blocks go on to the next columns, and more than one of
   the widest. */
static ms_status linear_many_rows(trial *t) {
    const ms_weight_shape shape = {
        .layout = MS_LAYOUT_PANEL, .n = 136, .c_in = 16, .kernel_h = 1, .kernel_w = 1, .groups = 1};
    ms_linear_args a = {.src = {values(t, 2, 1051, 16)}, .n_src = 1, .dst = output(t, 2, 1051, 136)};
    a.weight = ms_trial_weight(t, &shape);
    return run_linear(t, &a);
}

static ms_status linear_geglu(trial *t) {
    const ms_weight_shape shape = {
        .layout = MS_LAYOUT_GEGLU, .n = 96, .c_in = 40, .kernel_h = 1, .kernel_w = 1, .groups = 1};
    ms_linear_args a = {.src = {values(t, 1, 77, 40)}, .n_src = 1, .dst = output(t, 1, 77, 48)};
    a.weight = ms_trial_weight(t, &shape);
    a.epilogue = (ms_epilogue){.bias = ms_trial_floats(t, 96, 0, 0.5f), .act = MS_ACT_GEGLU};
    return run_linear(t, &a);
}

typedef struct conv {
    int64_t side, up, c_in, n;
    int kernel, stride, pad, groups;
    bool two, normalised;
    int64_t first, rows; /* the stripe of the output that is made; rows 0: all of it */
} conv;

/* The rows of the source that it reads. */
static void choose_stripe(const conv *c, ms_conv2d_args *a) {
    int64_t last = 0;
    if (c->rows == 0)
        return;
    a->dst_y = c->first;
    a->dst_rows = c->rows;
    if (ms_conv2d_reads(a, c->first, c->first + c->rows - 1, &a->src_y, &last))
        a->src_rows = last + 1 - a->src_y;
}

static ms_status conv2d(trial *t, const conv *c) {
    int64_t from = c->up ? c->up : c->side, to = (from + 2 * c->pad - c->kernel) / c->stride + 1;
    int64_t first = c->two ? c->c_in / 3 / 8 * 8 : c->c_in;
    ms_conv2d_args a = {.n_src = c->two ? 2 : 1,
                        .src_h = c->side,
                        .src_w = c->side,
                        .dst_h = to,
                        .dst_w = to,
                        .kernel_h = c->kernel,
                        .kernel_w = c->kernel,
                        .stride_h = c->stride,
                        .stride_w = c->stride,
                        .pad_top = c->pad,
                        .pad_left = c->pad,
                        .groups = c->groups,
                        .up_h = c->up,
                        .up_w = c->up};
    choose_stripe(c, &a);
    a.src[0] = values(t, 2, ms_conv2d_src_rows(&a) * c->side, first);
    a.dst = output(t, 2, ms_conv2d_dst_rows(&a) * to, c->n);
    if (c->two)
        a.src[1] = values(t, 2, ms_conv2d_src_rows(&a) * c->side, c->c_in - first);
    const ms_weight_shape shape = {.layout = t->status == MS_OK ? t->dev->kernels->conv2d_layout(&a)
                                                                : MS_LAYOUT_PANEL,
                                   .n = c->n,
                                   .c_in = c->c_in / c->groups,
                                   .kernel_h = c->kernel,
                                   .kernel_w = c->kernel,
                                   .groups = c->groups};
    a.weight = ms_trial_weight(t, &shape);
    a.epilogue = (ms_epilogue){.bias = ms_trial_floats(t, c->n, 0, 0.5f),
                               .add = ms_trial_floats(t, c->n, 0, 0.5f),
                               .act = MS_ACT_SILU};
    if (c->normalised)
        a.prologue = prologue(t, 2, c->c_in, 1);
    return run_conv2d(t, &a);
}

static ms_status conv_plain(trial *t) {
    return conv2d(t,
                  &(conv){.side = 9, .c_in = 24, .n = 40, .kernel = 3, .stride = 1, .pad = 1, .groups = 1});
}

static ms_status conv_normalised(trial *t) {
    return conv2d(t, &(conv){.side = 8,
                             .c_in = 48,
                             .n = 24,
                             .kernel = 3,
                             .stride = 1,
                             .pad = 1,
                             .groups = 1,
                             .two = true,
                             .normalised = true});
}

static ms_status conv_strided(trial *t) {
    return conv2d(t,
                  &(conv){.side = 11, .c_in = 16, .n = 24, .kernel = 3, .stride = 2, .pad = 1, .groups = 1});
}

static ms_status conv_enlarged(trial *t) {
    return conv2d(
        t,
        &(conv){.side = 5, .up = 10, .c_in = 16, .n = 24, .kernel = 3, .stride = 1, .pad = 1, .groups = 1});
}

static ms_status conv_few_channels(trial *t) {
    return conv2d(t,
                  &(conv){.side = 10, .c_in = 13, .n = 24, .kernel = 3, .stride = 1, .pad = 1, .groups = 1});
}

static ms_status conv_depthwise(trial *t) {
    return conv2d(t,
                  &(conv){.side = 9, .c_in = 24, .n = 24, .kernel = 3, .stride = 1, .pad = 1, .groups = 24});
}

/* Both read in place. */
static ms_status conv_two(trial *t) {
    return conv2d(
        t, &(conv){
               .side = 8, .c_in = 48, .n = 24, .kernel = 3, .stride = 1, .pad = 1, .groups = 1, .two = true});
}

/* As many rows as in linear_many_rows(). */
static ms_status conv_many_rows(trial *t) {
    return conv2d(t,
                  &(conv){.side = 34, .c_in = 8, .n = 136, .kernel = 2, .stride = 1, .pad = 0, .groups = 1});
}

/* In the middle of the image, to as few channels as pictures have. */
static ms_status conv_stripe(trial *t) {
    return conv2d(t, &(conv){.side = 13,
                             .c_in = 24,
                             .n = 3,
                             .kernel = 3,
                             .stride = 1,
                             .pad = 1,
                             .groups = 1,
                             .first = 4,
                             .rows = 4});
}

/* The last one, of copied rows. */
static ms_status conv_stripe_enlarged(trial *t) {
    return conv2d(t, &(conv){.side = 5,
                             .up = 10,
                             .c_in = 16,
                             .n = 24,
                             .kernel = 3,
                             .stride = 1,
                             .pad = 1,
                             .groups = 1,
                             .normalised = true,
                             .first = 4,
                             .rows = 6});
}

static ms_status conv_grouped(trial *t) {
    return conv2d(t,
                  &(conv){.side = 9, .c_in = 48, .n = 80, .kernel = 3, .stride = 1, .pad = 1, .groups = 2});
}

/* Of four channels and six outputs each. */
static ms_status conv_small_groups(trial *t) {
    return conv2d(t,
                  &(conv){.side = 9, .c_in = 12, .n = 18, .kernel = 3, .stride = 1, .pad = 1, .groups = 3});
}

/* ---- attention ---- */

static float scale_of(int dim) {
    return dim <= 40 ? 0.158f : dim <= 64 ? 0.125f : dim <= 80 ? 0.112f : dim <= 160 ? 0.079f : 0.0442f;
}

/* Heads, their size, tokens of queries, of keys and values. */
static ms_status attention(trial *t) {
    const int heads = t->of[0], dim = t->of[1];
    const int64_t width = heads * dim, q_tokens = t->of[2], kv_tokens = t->of[3];
    ms_attention_args a = {.q = ms_trial_values(t, 2 * q_tokens * width),
                           .k = ms_trial_values(t, 2 * kv_tokens * width),
                           .v = ms_trial_values(t, 2 * kv_tokens * width),
                           .out = ms_trial_output(t, 2 * q_tokens * width, t->dtype),
                           .dtype = t->dtype,
                           .q_stride = {q_tokens * width, 0, width},
                           .k_stride = {kv_tokens * width, 0, width},
                           .v_stride = {kv_tokens * width, 0, width},
                           .out_stride = {q_tokens * width, 0, width},
                           .batch_outer = 2,
                           .batch_inner = 1,
                           .q_tokens = q_tokens,
                           .kv_tokens = kv_tokens,
                           .heads = heads,
                           .head_dim = dim,
                           .scale = scale_of(dim)};
    return run_attention(t, &a);
}

/* Heads and their size, over 16 frames at every one of some pixels. */
static ms_status temporal(trial *t) {
    enum { FRAMES = 16, PIXELS = 9 };
    const int heads = t->of[0], dim = t->of[1];
    const int64_t width = heads * dim, count = FRAMES * PIXELS * width;
    const int64_t stride[3] = {count, width, PIXELS * width};
    ms_attention_args a = {.q = ms_trial_values(t, count),
                           .k = ms_trial_values(t, count),
                           .v = ms_trial_values(t, count),
                           .out = ms_trial_output(t, count, t->dtype),
                           .dtype = t->dtype,
                           .q_stride = {stride[0], stride[1], stride[2]},
                           .k_stride = {stride[0], stride[1], stride[2]},
                           .v_stride = {stride[0], stride[1], stride[2]},
                           .out_stride = {stride[0], stride[1], stride[2]},
                           .batch_outer = 1,
                           .batch_inner = PIXELS,
                           .q_tokens = FRAMES,
                           .kv_tokens = FRAMES,
                           .heads = heads,
                           .head_dim = dim,
                           .scale = scale_of(dim)};
    return run_attention(t, &a);
}

/* ---- norms ---- */

static ms_status group_norm(trial *t) {
    enum { IMAGES = 4, H = 5, W = 7, C = 48, GROUPS = 8 };
    ms_norm_partials_args p = {.src = {values(t, IMAGES, H * W, 32), values(t, IMAGES, H * W, 16)},
                               .n_src = 2,
                               .h = H,
                               .w = W,
                               .groups = GROUPS};
    p.partials = ms_trial_block(t, sizeof(double[2]) * IMAGES * H * GROUPS);
    ms_norm_tables_args a = {.partials = (const double(*)[2])p.partials,
                             .outer = IMAGES,
                             .h = H,
                             .w = W,
                             .channels = C,
                             .outer_per_table = 2,
                             .groups = GROUPS,
                             .eps = 1e-5f,
                             .gamma = ms_trial_floats(t, C, 1, 0.25f),
                             .beta = ms_trial_floats(t, C, 0, 0.25f),
                             .tables = ms_trial_output(t, IMAGES / 2 * 2 * C, MS_F32)};
    if (t->status != MS_OK)
        return t->status;
    ms_status status = t->dev->kernels->norm_partials(t->queue, &p);
    return status == MS_OK ? t->dev->kernels->norm_tables(t->queue, &a) : status;
}

static ms_status norm_apply(trial *t) {
    ms_norm_apply_args a = {
        .src = values(t, 2, 35, 24), .dst = output(t, 2, 35, 24), .prologue = prologue(t, 2, 24, 1)};
    return t->status == MS_OK ? t->dev->kernels->norm_apply(t->queue, &a) : t->status;
}

/* So many channels. */
static ms_status layer_norm(trial *t) {
    const int64_t channels = t->of[0];
    ms_layer_norm_args a = {.src = values(t, 3, 19, channels),
                            .dst = output(t, 3, 19, channels),
                            .gamma = ms_trial_floats(t, channels, 1, 0.25f),
                            .beta = ms_trial_floats(t, channels, 0, 0.25f),
                            .eps = 1e-5f,
                            .position = ms_trial_floats(t, 2 * channels, 0, 0.5f),
                            .position_rows = 2,
                            .outer_first = 1};
    return t->status == MS_OK ? t->dev->kernels->layer_norm(t->queue, &a) : t->status;
}

/* ---- element by element ---- */

static ms_status binary(trial *t) {
    ms_binary_args a = {.op = MS_BINARY_MUL,
                        .a = values(t, 2, 31, 24),
                        .b = values(t, 2, 31, 24),
                        .dst = output(t, 2, 31, 24),
                        .act = MS_ACT_SIGMOID};
    return t->status == MS_OK ? t->dev->kernels->binary(t->queue, &a) : t->status;
}

static ms_status unary(trial *t) {
    ms_unary_args a = {.src = values(t, 2, 31, 24), .dst = output(t, 2, 31, 24), .act = MS_ACT_GELU};
    return t->status == MS_OK ? t->dev->kernels->unary(t->queue, &a) : t->status;
}

static ms_status pool(trial *t) {
    ms_pool_args a = {.average = true,
                      .src = values(t, 2, 9 * 9, 16),
                      .dst = output(t, 2, 5 * 5, 16),
                      .src_h = 9,
                      .src_w = 9,
                      .dst_h = 5,
                      .dst_w = 5,
                      .kernel_h = 3,
                      .kernel_w = 3,
                      .stride_h = 2,
                      .stride_w = 2,
                      .pad_top = 1,
                      .pad_left = 1,
                      .pad_bottom = 1,
                      .pad_right = 1};
    return t->status == MS_OK ? t->dev->kernels->pool(t->queue, &a) : t->status;
}

static ms_status resize(trial *t) {
    ms_resize_args a = {.src = values(t, 2, 5 * 6, 16),
                        .dst = output(t, 2, 11 * 9, 16),
                        .src_h = 5,
                        .src_w = 6,
                        .dst_h = 11,
                        .dst_w = 9};
    return t->status == MS_OK ? t->dev->kernels->resize(t->queue, &a) : t->status;
}

/* From channels-last to planar. */
static ms_status copy(trial *t) {
    ms_copy_args a = {.src = ms_trial_values(t, 2 * 35 * 24),
                      .dst = ms_trial_output(t, 2 * 35 * 24, t->dtype),
                      .dtype = t->dtype,
                      .outer = 2,
                      .inner = 35,
                      .channels = 24,
                      .src_stride = {35 * 24, 24, 1},
                      .dst_stride = {35 * 24, 1, 35}};
    return t->status == MS_OK ? t->dev->kernels->copy(t->queue, &a) : t->status;
}

/* ---- latents ---- */

static ms_status noise(trial *t) {
    static const uint32_t numbers[3][2] = {{1, 0}, {1, 7}, {2, 4000000000u}};
    ms_noise_args a = {
        .seed = 1247, .numbers = ms_trial_words(t, numbers, sizeof(numbers)), .dst = output(t, 3, 300, 4)};
    return t->status == MS_OK ? t->dev->kernels->noise(t->queue, &a) : t->status;
}

static ms_status posterior(trial *t) {
    ms_posterior_args a = {.moments = values(t, 2, 99, 8),
                           .normals = values(t, 2, 99, 4),
                           .dst = output(t, 2, 99, 4),
                           .shift = 0.0609f,
                           .scale = 0.18215f};
    return t->status == MS_OK ? t->dev->kernels->posterior(t->queue, &a) : t->status;
}

static ms_status rescale(trial *t) {
    ms_rescale_args a = {
        .src = values(t, 2, 99, 4), .dst = output(t, 2, 99, 4), .divisor = 0.18215f, .shift = 0.0609f};
    return t->status == MS_OK ? t->dev->kernels->rescale(t->queue, &a) : t->status;
}

static ms_status guide(trial *t) {
    ms_guide_args a = {.without = values(t, 2, 99, 4),
                       .with = values(t, 2, 99, 4),
                       .dst = output(t, 2, 99, 4),
                       .scale = 1.5f};
    return t->status == MS_OK ? t->dev->kernels->guide(t->queue, &a) : t->status;
}

static ms_status ddim(trial *t) {
    static const float step[4] = {0.8f, 0.6f, 0.9f, 0.43588989f};
    ms_ddim_args a = {.sample = values(t, 2, 99, 4),
                      .noise = values(t, 2, 99, 4),
                      .dst = output(t, 2, 99, 4),
                      .step = ms_trial_words(t, step, sizeof(step))};
    return t->status == MS_OK ? t->dev->kernels->ddim(t->queue, &a) : t->status;
}

/* Flags as numbers: of finite values, then of others. */
static ms_status check_finite(trial *t) {
    static const uint32_t bad[8] = {0, 0, 0, 0x7f800000u, 0, 0, 0, 0};
    static const uint32_t set[1] = {0};
    void *flag = ms_trial_words(t, set, sizeof(set));
    ms_check_finite_args fine = {.src = values(t, 2, 99, 4), .flag = flag};
    ms_rows rows = ms_trial_rows(t, ms_trial_words(t, bad, sizeof(bad)), 1, 2, 4);
    ms_rows result = output(t, 1, 1, 1);
    ms_check_finite_args infinite = {.src = rows, .flag = (uint32_t *)result.data};
    if (t->status != MS_OK)
        return t->status;
    ms_status status = t->dev->kernels->check_finite(t->queue, &fine);
    if (status == MS_OK)
        status = t->dev->kernels->check_finite(t->queue, &infinite);
    return status;
}

const self_case ms_self_cases[] = {
    {.family = "linear", .run = linear, .units = 16},
    {.family = "linear, normalised", .run = linear_two, .units = 32, .of = {true}},
    {.family = "linear, GEGLU", .run = linear_geglu, .units = 32},
    {.family = "linear, two sources", .run = linear_two, .units = 16, .of = {false}},
    {.family = "linear, many rows", .run = linear_many_rows, .units = 16},
    {.family = "convolution", .run = conv_plain, .units = 16, .float_units = 128},
    {.family = "convolution, normalised", .run = conv_normalised, .units = 32, .float_units = 128},
    {.family = "convolution, strided", .run = conv_strided, .units = 16, .float_units = 128},
    {.family = "convolution, enlarged", .run = conv_enlarged, .units = 16, .float_units = 128},
    {.family = "convolution, few channels", .run = conv_few_channels, .units = 16, .float_units = 128},
    {.family = "convolution, depthwise", .run = conv_depthwise, .units = 16, .float_units = 128},
    {.family = "convolution, two sources", .run = conv_two, .units = 16, .float_units = 128},
    {.family = "convolution, many rows", .run = conv_many_rows, .units = 16},
    {.family = "convolution, stripe", .run = conv_stripe, .units = 16, .float_units = 128},
    {.family = "convolution, enlarged stripe", .run = conv_stripe_enlarged, .units = 32, .float_units = 128},
    {.family = "convolution, grouped", .run = conv_grouped, .units = 16},
    {.family = "convolution, small groups", .run = conv_small_groups, .units = 16},
    {.family = "attention, 40", .run = attention, .units = 32, .of = {2, 40, 70, 91}},
    {.family = "attention, 64", .run = attention, .units = 32, .of = {2, 64, 33, 50}},
    {.family = "attention, 80", .run = attention, .units = 32, .of = {2, 80, 65, 65}},
    {.family = "attention, 160", .run = attention, .units = 32, .of = {1, 160, 40, 70}},
    {.family = "attention, 512", .run = attention, .units = 32, .of = {1, 512, 35, 67}},
    {.family = "attention, 128", .run = attention, .units = 32, .of = {1, 128, 35, 66}},
    /* Heads that tensor cores do not take, of each size that the kernel for all has, and in slices. */
    {.family = "attention, 36", .run = attention, .units = 32, .of = {2, 36, 33, 65}},
    {.family = "attention, 100", .run = attention, .units = 32, .of = {1, 100, 33, 65}},
    {.family = "attention, 516", .run = attention, .units = 32, .of = {1, 516, 5, 67}},
    {.family = "attention, temporal", .run = temporal, .units = 32, .of = {2, 40}},
    {.family = "attention, temporal 64", .run = temporal, .units = 32, .of = {1, 64}},
    {.family = "attention, temporal 80", .run = temporal, .units = 32, .of = {2, 80}},
    {.family = "attention, temporal 128", .run = temporal, .units = 32, .of = {1, 128}},
    {.family = "attention, temporal 160", .run = temporal, .units = 32, .of = {1, 160}},
    {.family = "group norm", .run = group_norm, .units = 16},
    {.family = "norm applied", .run = norm_apply, .units = 16},
    {.family = "layer norm", .run = layer_norm, .units = 16, .of = {72}},
    {.family = "layer norm, odd", .run = layer_norm, .units = 16, .of = {71}},
    {.family = "two operands", .run = binary, .units = 4},
    {.family = "one operand", .run = unary, .units = 4},
    {.family = "pooling", .run = pool, .units = 4},
    {.family = "resize", .run = resize},
    {.family = "copy", .run = copy},
    {.family = "noise", .run = noise, .units = 64, .float_only = true},
    {.family = "posterior", .run = posterior, .units = 64, .float_only = true},
    {.family = "rescale", .run = rescale, .units = 64, .float_only = true},
    {.family = "guidance", .run = guide, .units = 64, .float_only = true},
    {.family = "DDIM", .run = ddim, .units = 64, .float_only = true},
    {.family = "check of finite values", .run = check_finite, .float_only = true},
};

const int ms_n_self_cases = (int)(sizeof(ms_self_cases) / sizeof(ms_self_cases[0]));
