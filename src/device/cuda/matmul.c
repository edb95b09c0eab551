#include "device/cuda/matmul.h"

#include "device/cuda/launch.h"

/* Rows of a call: a tile more than these must still be counted in 32 bits. */
#define MOST_ROWS (INT32_MAX - 256)

_Static_assert(CUDA_FORMS == CUDA_TILE_COUNT + 1, "the self-test comes to every kernel");

static bool at_16_bytes(const void *data) {
    return (uintptr_t)data % 16 == 0;
}

static bool wants_copy(const cuda_layer *l) {
    return ms_cuda_wants_copy(l->src, l->n_src, l->prologue);
}

/* ---- parameters of kernels ---- */

static cuda_source source_of(const ms_rows *r, int groups) {
    return (cuda_source){r->data, cuda_stride_of(r->outer, r->outer_stride),
                         cuda_stride_of(r->inner, r->inner_stride), (int32_t)(r->channels / groups),
                         r->dtype};
}

static cuda_prologue prologue_of(const cuda_layer *l) {
    const ms_prologue *p = l->prologue;
    return (cuda_prologue){p->tables, p->outer_per_table, p->outer_first,
                           (int32_t)ms_source_channels(l->src, l->n_src), p->act};
}

static bool eights_of_columns_aligned(const ms_rows *r, int64_t n, int groups) {
    return at_16_bytes(r->data) && (groups == 1 || n % 8 == 0) &&
           cuda_stride_of(r->outer, r->outer_stride) % 8 == 0 &&
           cuda_stride_of(r->inner, r->inner_stride) % 8 == 0;
}

static cuda_epilogue epilogue_of(const cuda_layer *l) {
    const ms_epilogue *e = l->epilogue;
    const ms_rows *dst = l->dst, *residual = &e->residual;
    const int64_t n = dst->channels / l->groups;
    return (cuda_epilogue){
        .dst = dst->data,
        .residual = residual->data,
        .dst_outer_stride = cuda_stride_of(dst->outer, dst->outer_stride),
        .dst_inner_stride = cuda_stride_of(dst->inner, dst->inner_stride),
        .residual_outer_stride = cuda_stride_of(residual->outer, residual->outer_stride),
        .residual_inner_stride = cuda_stride_of(residual->inner, residual->inner_stride),
        .bias = e->bias,
        .add = e->add,
        .slope = e->slope,
        .scale = e->scale == 0.0f ? 1.0f : e->scale,
        .act = e->act,
        .dst_dtype = dst->dtype,
        .residual_dtype = residual->dtype,
        .n = (int32_t)n,
        .dst_aligned = eights_of_columns_aligned(dst, n, l->groups),
        .residual_aligned = eights_of_columns_aligned(residual, n, l->groups),
    };
}

/* Of channels side by side, which is how a copy of the sources has them. */
static int64_t eights_of(int64_t channels) {
    return cuda_round_up(channels, 8) / 8;
}

/* Whether everything that kernels count in 32 bits fits; sources, or their copy, are reached in eights of
   elements. */
static bool fits(const cuda_layer *l, const cuda_matrix *m) {
    for (int i = 0; i < l->n_src; i++) {
        const ms_rows *s = &l->src[i];
        int64_t eights = (s->outer - 1) * (s->outer_stride / 8) + (s->inner - 1) * (s->inner_stride / 8);
        if (s->channels > INT32_MAX / 2 || s->inner > INT32_MAX || eights >= UINT32_MAX)
            return false;
    }
    if (wants_copy(l) &&
        l->src[0].outer > UINT32_MAX / eights_of(ms_source_channels(l->src, l->n_src)) / l->src[0].inner)
        return false;
    return l->dst->outer <= MOST_ROWS / l->dst->inner && m->n_pad <= INT32_MAX / 2 / l->groups &&
           m->k_pad <= INT32_MAX / 2 && m->n_pad * (m->k_pad / 8) <= UINT32_MAX && l->groups <= 65535;
}

static cuda_matmul_params params_of(const cuda_layer *l, const cuda_matrix *m) {
    cuda_matmul_params p = {
        .window = l->window,
        .prologue = prologue_of(l),
        .weight = l->weight->data,
        .weight_dtype = l->weight->dtype,
        .c_pad = (int32_t)m->c_pad,
        .k_pad = (int32_t)m->k_pad,
        .n_pad = (int32_t)m->n_pad,
        .rows = (int32_t)(l->dst->outer * l->dst->inner),
        .inner = (int32_t)l->dst->inner,
        .epilogue = epilogue_of(l),
    };
    for (int i = 0; i < l->n_src; i++)
        p.src[i] = source_of(&l->src[i], l->groups);
    return p;
}

/* ---- launching ---- */

static ms_status launch_threads(ms_queue *queue, const simt_kernel *kernel, int64_t threads,
                                const void *params) {
    const int64_t blocks = (threads + kernel->threads - 1) / kernel->threads;
    return blocks > INT32_MAX ? MS_UNSUPPORTED : cuda_launch(queue, kernel, (uint32_t)blocks, 1, 1, params);
}

static ms_status launch_tiles(ms_queue *queue, const simt_kernel *kernel, cuda_tile_size size, int groups,
                              const cuda_matmul_params *params) {
    const int64_t tiles = cuda_matmul_tiles(params, size);
    if (tiles > INT32_MAX)
        return MS_UNSUPPORTED;
    return cuda_launch(queue, kernel, (uint32_t)tiles, 1, (uint32_t)groups, params);
}

/* The tile that should be done first: rounds that the busiest multiprocessor goes, times what a round takes.
   Small tiles read more for a product. */
static cuda_tile best_tile(const cuda_matmul_params *p, int groups, int processors) {
    static const float cost[CUDA_TILE_COUNT] = {1.0f, 1.05f, 1.2f, 1.6f, 2.2f}; /* of a sum */
    cuda_tile best = CUDA_TILE_64X32;
    float least = 0;
    for (int i = 0; i < CUDA_TILE_COUNT; i++) {
        const cuda_tile_size size = cuda_tile_size_of((cuda_tile)i);
        const int64_t tiles = cuda_matmul_tiles(p, size) * groups;
        const int64_t rounds = (tiles + processors - 1) / processors;
        const float time = (float)rounds * (float)(size.rows * size.columns) * cost[i];
        if (i == 0 || time < least) {
            best = (cuda_tile)i;
            least = time;
        }
    }
    return best;
}

/* The sources side by side, through the prologue, with channels that are a multiple of 8. */
static ms_status copy_sources(ms_queue *queue, const cuda_layer *l, cuda_matmul_params *p, void *workspace) {
    const ms_rows *src = l->src;
    const int64_t channels = ms_source_channels(src, l->n_src), c_pad = cuda_round_up(channels, 8);
    cuda_prologue_params copy = {
        .prologue = p->prologue,
        .dst = workspace,
        .rows = src[0].outer * src[0].inner,
        .inner = src[0].inner,
        .c_pad = (int32_t)c_pad,
        .aligned = true,
    };
    for (int i = 0; i < l->n_src; i++) {
        copy.src[i] = source_of(&src[i], 1);
        copy.aligned = copy.aligned && ms_cuda_in_eights(&src[i]) && at_16_bytes(src[i].data);
    }
    p->src[0] = (cuda_source){workspace, src[0].inner * c_pad, c_pad,
                              (int32_t)(l->groups == 1 ? c_pad : channels / l->groups), src[0].dtype};
    p->src[1] = (cuda_source){0};
    p->prologue = (cuda_prologue){0};
    return launch_threads(queue, cuda_prologue_kernel(src[0].dtype), copy.rows * (c_pad / 8), &copy);
}

static ms_status by_tensor_cores(ms_queue *queue, const cuda_layer *l, cuda_matmul_params *p, void *workspace,
                                 cuda_tile tile) {
    const ms_dtype dtype = l->weight->dtype;
    bool aligned = cuda_form(queue->dev) < CUDA_FORMS;
    if (wants_copy(l))
        MS_TRY(copy_sources(queue, l, p, workspace));
    for (int i = 0; i < 2; i++)
        aligned = aligned && at_16_bytes(p->src[i].data);
    if (!aligned) /* the same sums by the slow way in */
        return launch_tiles(queue, cuda_conv_any_kernel(dtype), cuda_tile_size_of(CUDA_TILE_64X64), l->groups,
                            p);
    if (tile == CUDA_TILE_COUNT)
        tile = best_tile(p, l->groups, cuda_processors(queue->dev));
    const simt_kernel *kernel = l->is_linear ? cuda_gemm_kernel(dtype, tile) : cuda_conv_kernel(dtype, tile);
    return launch_tiles(queue, kernel, cuda_tile_size_of(tile), l->groups, p);
}

static ms_status in_float32(ms_queue *queue, const cuda_layer *l, const cuda_matmul_params *p,
                            cuda_tile tile) {
    if (l->weight->layout == MS_LAYOUT_DEPTHWISE)
        return launch_threads(queue, &cuda_conv_depthwise, p->rows * (int64_t)((p->epilogue.n + 7) / 8), p);
    bool large = tile == CUDA_TILE_128X128;
    if (tile == CUDA_TILE_COUNT)
        large = cuda_matmul_tiles(p, cuda_matrix_simt_size(true)) * l->groups >= cuda_processors(queue->dev);
    return launch_tiles(queue, cuda_matrix_simt_kernel(large), cuda_matrix_simt_size(large), l->groups, p);
}

ms_status cuda_matmul(ms_queue *queue, const cuda_layer *l, void *workspace, cuda_tile tile) {
    const bool depthwise = l->weight->layout == MS_LAYOUT_DEPTHWISE;
    const ms_weight_shape shape = {
        .layout = l->weight->layout,
        .dtype = l->weight->dtype,
        .n = l->weight->n,
        .c_in = ms_source_channels(l->src, l->n_src) / l->groups,
        .kernel_h = l->window.kernel_h,
        .kernel_w = l->window.kernel_w,
        .groups = l->groups,
    };
    cuda_layer layer = *l;
    if (depthwise)
        layer.groups = 1; /* its kernel goes through all channels */
    const cuda_matrix matrix = cuda_matrix_of(&shape);
    if (!fits(&layer, &matrix))
        return MS_UNSUPPORTED;
    cuda_matmul_params p = params_of(&layer, &matrix);
    const int form = cuda_form(queue->dev);
    if (form >= 1 && form <= CUDA_TILE_COUNT)
        tile = (cuda_tile)(form - 1);
    if (!depthwise && ms_cuda_allows_tensor_cores(l->src, l->n_src, l->groups) &&
        l->weight->dtype == l->src[0].dtype)
        return by_tensor_cores(queue, &layer, &p, workspace, tile);
    return in_float32(queue, &layer, &p, tile);
}
