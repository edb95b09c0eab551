#include "device/shape.h"

#include "device/weight.h"

/* The largest extent that is taken for real: products of three stay inside int64. */
#define MAX_EXTENT ((int64_t)1 << 40)
#define MAX_KERNEL 64

#define REQUIRE(condition)                                                                                   \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return MS_INVALID_ARGUMENT;                                                                      \
    } while (0)

static bool extent(int64_t n) {
    return n > 0 && n <= MAX_EXTENT;
}

static bool dtype_valid(ms_dtype dtype) {
    return dtype == MS_F32 || dtype == MS_F16 || dtype == MS_BF16;
}

static bool rows_valid(const ms_rows *r) {
    return r->data && dtype_valid(r->dtype) && extent(r->outer) && extent(r->inner) && extent(r->channels) &&
           (r->inner == 1 || r->inner_stride >= r->channels) && (r->outer == 1 || r->outer_stride > 0);
}

static bool same_rows(const ms_rows *a, const ms_rows *b) {
    return a->outer == b->outer && a->inner == b->inner;
}

int64_t ms_source_channels(const ms_rows *src, int n_src) {
    if (n_src == 1)
        return src[0].channels;
    return n_src == 2 ? src[0].channels + src[1].channels : 0;
}

static bool sources_valid(const ms_rows *src, int n_src) {
    if (n_src != 1 && n_src != 2)
        return false;
    for (int i = 0; i < n_src; i++) {
        if (!rows_valid(&src[i]) || !same_rows(&src[i], &src[0]))
            return false;
    }
    return true;
}

static bool prologue_valid(const ms_prologue *p) {
    if (!p->tables)
        return true;
    return p->outer_per_table > 0 && p->outer_first >= 0 && (p->act == MS_ACT_NONE || p->act == MS_ACT_SILU);
}

static bool act_valid(ms_act act, const float *slope) {
    switch (act) {
    case MS_ACT_PRELU:
        return slope != NULL;
    case MS_ACT_NONE:
    case MS_ACT_SILU:
    case MS_ACT_GELU:
    case MS_ACT_RELU:
    case MS_ACT_SIGMOID:
        return true;
    case MS_ACT_GEGLU:
        break;
    }
    return false;
}

static bool residual_valid(const ms_epilogue *e, const ms_rows *dst) {
    const ms_rows *r = &e->residual;
    return !r->data || (rows_valid(r) && same_rows(r, dst) && r->channels == dst->channels);
}

static bool weight_valid(const ms_weight *w) {
    return w->data && extent(w->n) && extent(w->k) && dtype_valid(w->dtype);
}

ms_status ms_check_linear(const ms_linear_args *a) {
    REQUIRE(sources_valid(a->src, a->n_src) && rows_valid(&a->dst) && same_rows(&a->src[0], &a->dst));
    REQUIRE(weight_valid(&a->weight) && a->weight.k == ms_source_channels(a->src, a->n_src));
    REQUIRE(prologue_valid(&a->prologue) && residual_valid(&a->epilogue, &a->dst));
    if (a->weight.layout == MS_LAYOUT_GEGLU) {
        REQUIRE(a->epilogue.act == MS_ACT_GEGLU && a->weight.n == 2 * a->dst.channels);
    } else {
        REQUIRE(a->weight.layout == MS_LAYOUT_PANEL && a->weight.n == a->dst.channels);
        REQUIRE(act_valid(a->epilogue.act, a->epilogue.slope));
    }
    return MS_OK;
}

ms_weight_layout ms_conv2d_layout(const ms_conv2d_args *a) {
    int64_t channels = ms_source_channels(a->src, a->n_src);
    if (a->groups > 1 && a->groups == channels && a->groups == a->dst.channels)
        return MS_LAYOUT_DEPTHWISE;
    bool same_3x3 = a->kernel_h == 3 && a->kernel_w == 3 && a->stride_h == 1 && a->stride_w == 1 &&
                    a->pad_top == 1 && a->pad_left == 1 && a->dst_h == ms_conv2d_in_h(a) &&
                    a->dst_w == ms_conv2d_in_w(a);
    if (a->groups == 1 && same_3x3 && channels >= 16)
        return MS_LAYOUT_WINOGRAD;
    return MS_LAYOUT_PANEL;
}

bool ms_conv2d_reads(const ms_conv2d_args *a, int64_t first, int64_t last, int64_t *ret_first,
                     int64_t *ret_last) {
    int64_t height = ms_conv2d_in_h(a), from = first * a->stride_h - a->pad_top,
            to = last * a->stride_h - a->pad_top + a->kernel_h - 1;
    from = from < 0 ? 0 : from;
    to = to < height ? to : height - 1;
    if (from > to)
        return false;
    *ret_first = ms_nearest(from, a->src_h, height);
    *ret_last = ms_nearest(to, a->src_h, height);
    return true;
}

/* Whether src holds what dst is made of. */
static bool stripes_valid(const ms_conv2d_args *a) {
    int64_t rows = ms_conv2d_dst_rows(a), first, last;
    if (a->src_y < 0 || a->dst_y < 0 || a->src_rows < 0 || rows <= 0 || a->dst_y > a->dst_h - rows ||
        a->src_y > a->src_h - ms_conv2d_src_rows(a))
        return false;
    if (a->weight.layout == MS_LAYOUT_WINOGRAD && (a->dst_y % 4 || (rows % 4 && a->dst_y + rows != a->dst_h)))
        return false;
    return !ms_conv2d_reads(a, a->dst_y, a->dst_y + rows - 1, &first, &last) ||
           (first >= a->src_y && last < a->src_y + ms_conv2d_src_rows(a));
}

ms_status ms_check_conv2d(const ms_conv2d_args *a) {
    return ms_check_conv2d_as(a, ms_conv2d_layout(a));
}

ms_status ms_check_conv2d_as(const ms_conv2d_args *a, ms_weight_layout layout) {
    REQUIRE(sources_valid(a->src, a->n_src) && rows_valid(&a->dst) && a->src[0].outer == a->dst.outer);
    REQUIRE(extent(a->src_h) && extent(a->src_w) && extent(a->dst_h) && extent(a->dst_w));
    REQUIRE(a->src[0].inner == ms_conv2d_src_rows(a) * a->src_w);
    REQUIRE(a->dst.inner == ms_conv2d_dst_rows(a) * a->dst_w);
    REQUIRE(a->up_h == 0 || (a->up_h >= a->src_h && extent(a->up_h)));
    REQUIRE(a->up_w == 0 || (a->up_w >= a->src_w && extent(a->up_w)));
    REQUIRE(a->kernel_h > 0 && a->kernel_w > 0 && a->kernel_h <= MAX_KERNEL && a->kernel_w <= MAX_KERNEL);
    REQUIRE(a->stride_h > 0 && a->stride_w > 0);
    REQUIRE(a->pad_top >= 0 && a->pad_left >= 0 && a->pad_top < a->kernel_h && a->pad_left < a->kernel_w);
    /* The last output may reach past the edge by less than a kernel. */
    REQUIRE((a->dst_h - 1) * a->stride_h - a->pad_top < ms_conv2d_in_h(a));
    REQUIRE((a->dst_w - 1) * a->stride_w - a->pad_left < ms_conv2d_in_w(a));
    REQUIRE(stripes_valid(a));
    int64_t channels = ms_source_channels(a->src, a->n_src);
    REQUIRE(a->groups > 0 && channels % a->groups == 0 && a->dst.channels % a->groups == 0);
    REQUIRE(a->groups == 1 || a->n_src == 1);
    REQUIRE(weight_valid(&a->weight) && a->weight.layout == layout);
    REQUIRE(a->weight.n == a->dst.channels);
    REQUIRE(a->weight.k == channels / a->groups * a->kernel_h * a->kernel_w);
    REQUIRE(prologue_valid(&a->prologue) && residual_valid(&a->epilogue, &a->dst));
    REQUIRE(act_valid(a->epilogue.act, a->epilogue.slope));
    return MS_OK;
}

ms_status ms_check_attention(const ms_attention_args *a) {
    REQUIRE(a->q && a->k && a->v && a->out && dtype_valid(a->dtype));
    REQUIRE(extent(a->batch_outer) && extent(a->batch_inner) && extent(a->q_tokens) && extent(a->kv_tokens));
    REQUIRE(a->heads > 0 && a->head_dim > 0 && a->head_dim <= 65536);
    const int64_t *strides[4] = {a->q_stride, a->k_stride, a->v_stride, a->out_stride};
    for (int i = 0; i < 4; i++)
        REQUIRE(strides[i][0] >= 0 && strides[i][1] >= 0 && strides[i][2] >= 0);
    REQUIRE(a->q_tokens == 1 || a->out_stride[2] >= (int64_t)a->heads * a->head_dim);
    return MS_OK;
}

ms_status ms_check_norm_partials(const ms_norm_partials_args *a) {
    REQUIRE(sources_valid(a->src, a->n_src) && a->partials && extent(a->h) && extent(a->w));
    REQUIRE(a->src[0].inner == a->h * a->w);
    REQUIRE(a->groups > 0 && ms_source_channels(a->src, a->n_src) % a->groups == 0);
    return MS_OK;
}

ms_status ms_check_norm_tables(const ms_norm_tables_args *a) {
    REQUIRE(a->partials && a->gamma && a->beta && a->tables);
    REQUIRE(extent(a->outer) && extent(a->h) && extent(a->w) && extent(a->channels));
    REQUIRE(a->outer_per_table > 0 && a->outer % a->outer_per_table == 0);
    REQUIRE(a->groups > 0 && a->channels % a->groups == 0 && a->eps >= 0.0f);
    return MS_OK;
}

ms_status ms_check_norm_apply(const ms_norm_apply_args *a) {
    REQUIRE(rows_valid(&a->src) && rows_valid(&a->dst) && same_rows(&a->src, &a->dst));
    REQUIRE(a->src.channels == a->dst.channels && prologue_valid(&a->prologue));
    return MS_OK;
}

ms_status ms_check_layer_norm(const ms_layer_norm_args *a) {
    REQUIRE(rows_valid(&a->src) && rows_valid(&a->dst) && same_rows(&a->src, &a->dst));
    REQUIRE(a->src.channels == a->dst.channels && a->gamma && a->beta && a->eps >= 0.0f);
    REQUIRE(!a->position || (a->position_rows > 0 && a->outer_first >= 0));
    return MS_OK;
}

ms_status ms_check_binary(const ms_binary_args *a) {
    REQUIRE(rows_valid(&a->a) && rows_valid(&a->dst) && same_rows(&a->a, &a->dst));
    REQUIRE(a->a.channels == a->dst.channels && act_valid(a->act, NULL));
    REQUIRE(a->op == MS_BINARY_ADD || a->op == MS_BINARY_SUB || a->op == MS_BINARY_MUL ||
            a->op == MS_BINARY_DIV);
    if (!a->b_channel)
        REQUIRE(rows_valid(&a->b) && same_rows(&a->b, &a->dst) && a->b.channels == a->dst.channels);
    return MS_OK;
}

ms_status ms_check_unary(const ms_unary_args *a) {
    REQUIRE(rows_valid(&a->src) && rows_valid(&a->dst) && same_rows(&a->src, &a->dst));
    REQUIRE(a->src.channels == a->dst.channels && act_valid(a->act, a->slope));
    return MS_OK;
}

ms_status ms_check_pool(const ms_pool_args *a) {
    REQUIRE(rows_valid(&a->src) && rows_valid(&a->dst) && a->src.outer == a->dst.outer);
    REQUIRE(a->src.channels == a->dst.channels);
    REQUIRE(extent(a->src_h) && extent(a->src_w) && extent(a->dst_h) && extent(a->dst_w));
    REQUIRE(a->src.inner == a->src_h * a->src_w && a->dst.inner == a->dst_h * a->dst_w);
    REQUIRE(a->kernel_h > 0 && a->kernel_w > 0 && a->stride_h > 0 && a->stride_w > 0);
    REQUIRE(a->pad_top >= 0 && a->pad_left >= 0 && a->pad_bottom >= 0 && a->pad_right >= 0);
    REQUIRE(a->pad_top < a->kernel_h && a->pad_left < a->kernel_w);
    /* Every window must hold at least one pixel of the image. */
    REQUIRE((a->dst_h - 1) * a->stride_h - a->pad_top < a->src_h);
    REQUIRE((a->dst_w - 1) * a->stride_w - a->pad_left < a->src_w);
    return MS_OK;
}

ms_status ms_check_resize(const ms_resize_args *a) {
    REQUIRE(rows_valid(&a->src) && rows_valid(&a->dst) && a->src.outer == a->dst.outer);
    REQUIRE(a->src.channels == a->dst.channels);
    REQUIRE(extent(a->src_h) && extent(a->src_w) && extent(a->dst_h) && extent(a->dst_w));
    REQUIRE(a->src.inner == a->src_h * a->src_w && a->dst.inner == a->dst_h * a->dst_w);
    return MS_OK;
}

ms_status ms_check_copy(const ms_copy_args *a) {
    REQUIRE(a->src && a->dst && dtype_valid(a->dtype) && extent(a->outer) && extent(a->inner) &&
            extent(a->channels));
    for (int i = 0; i < 3; i++)
        REQUIRE(a->src_stride[i] >= 0 && a->dst_stride[i] >= 0);
    return MS_OK;
}

/* Rows of one shape. */
static bool like(const ms_rows *a, const ms_rows *b) {
    return rows_valid(a) && same_rows(a, b) && a->channels == b->channels;
}

ms_status ms_check_noise(const ms_noise_args *a) {
    REQUIRE(rows_valid(&a->dst));
    return MS_OK;
}

ms_status ms_check_posterior(const ms_posterior_args *a) {
    REQUIRE(rows_valid(&a->dst) && like(&a->normals, &a->dst));
    REQUIRE(rows_valid(&a->moments) && same_rows(&a->moments, &a->dst));
    REQUIRE(a->moments.channels == 2 * a->dst.channels);
    return MS_OK;
}

ms_status ms_check_rescale(const ms_rescale_args *a) {
    REQUIRE(rows_valid(&a->dst) && like(&a->src, &a->dst) && a->divisor != 0.0f);
    return MS_OK;
}

ms_status ms_check_guide(const ms_guide_args *a) {
    REQUIRE(rows_valid(&a->dst) && like(&a->without, &a->dst) && like(&a->with, &a->dst));
    return MS_OK;
}

ms_status ms_check_ddim(const ms_ddim_args *a) {
    REQUIRE(rows_valid(&a->dst) && like(&a->sample, &a->dst) && like(&a->noise, &a->dst) && a->step);
    return MS_OK;
}

ms_status ms_check_check_finite(const ms_check_finite_args *a) {
    REQUIRE(rows_valid(&a->src) && a->flag);
    return MS_OK;
}

/* ---- types ---- */

static unsigned of(const ms_rows *r) {
    return r->data ? 1u << r->dtype : 0;
}

static unsigned of_sources(const ms_rows *src, int n_src) {
    return of(&src[0]) | (n_src == 2 ? of(&src[1]) : 0);
}

unsigned ms_dtypes_linear(const ms_linear_args *a) {
    return of_sources(a->src, a->n_src) | of(&a->dst) | of(&a->epilogue.residual);
}

unsigned ms_dtypes_conv2d(const ms_conv2d_args *a) {
    return of_sources(a->src, a->n_src) | of(&a->dst) | of(&a->epilogue.residual);
}

unsigned ms_dtypes_attention(const ms_attention_args *a) {
    return 1u << a->dtype;
}

unsigned ms_dtypes_norm_partials(const ms_norm_partials_args *a) {
    return of_sources(a->src, a->n_src);
}

unsigned ms_dtypes_norm_tables(const ms_norm_tables_args *a) {
    (void)a;
    return 0;
}

unsigned ms_dtypes_norm_apply(const ms_norm_apply_args *a) {
    return of(&a->src) | of(&a->dst);
}

unsigned ms_dtypes_layer_norm(const ms_layer_norm_args *a) {
    return of(&a->src) | of(&a->dst);
}

unsigned ms_dtypes_binary(const ms_binary_args *a) {
    return of(&a->a) | of(&a->dst) | (a->b_channel ? 0 : of(&a->b));
}

unsigned ms_dtypes_unary(const ms_unary_args *a) {
    return of(&a->src) | of(&a->dst);
}

unsigned ms_dtypes_pool(const ms_pool_args *a) {
    return of(&a->src) | of(&a->dst);
}

unsigned ms_dtypes_resize(const ms_resize_args *a) {
    return of(&a->src) | of(&a->dst);
}

unsigned ms_dtypes_copy(const ms_copy_args *a) {
    return 1u << a->dtype;
}

unsigned ms_dtypes_noise(const ms_noise_args *a) {
    return of(&a->dst);
}

unsigned ms_dtypes_posterior(const ms_posterior_args *a) {
    return of(&a->moments) | of(&a->normals) | of(&a->dst);
}

unsigned ms_dtypes_rescale(const ms_rescale_args *a) {
    return of(&a->src) | of(&a->dst);
}

unsigned ms_dtypes_guide(const ms_guide_args *a) {
    return of(&a->without) | of(&a->with) | of(&a->dst);
}

unsigned ms_dtypes_ddim(const ms_ddim_args *a) {
    return of(&a->sample) | of(&a->noise) | of(&a->dst);
}

unsigned ms_dtypes_check_finite(const ms_check_finite_args *a) {
    return of(&a->src);
}

bool ms_conv2d_is_linear(const ms_conv2d_args *a) {
    return a->kernel_h == 1 && a->kernel_w == 1 && a->stride_h == 1 && a->stride_w == 1 && a->groups == 1 &&
           ms_conv2d_in_h(a) == a->src_h && ms_conv2d_in_w(a) == a->src_w && a->dst_h == a->src_h &&
           a->dst_w == a->src_w;
}

ms_linear_args ms_conv2d_as_linear(const ms_conv2d_args *a) {
    ms_linear_args linear = {
        .n_src = a->n_src,
        .dst = a->dst,
        .weight = a->weight,
        .prologue = a->prologue,
        .epilogue = a->epilogue,
    };
    for (int i = 0; i < a->n_src; i++) {
        const ms_rows *src = &a->src[i];
        linear.src[i] = *src;
        linear.src[i].data =
            ms_elements_at(src->data, src->dtype, (a->dst_y - a->src_y) * a->src_w * src->inner_stride);
        linear.src[i].inner = a->dst.inner;
    }
    return linear;
}
