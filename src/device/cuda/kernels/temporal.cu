/*
 * Attention to few keys, as along the frames of a window: as many small problems as there are pixels and
 * heads. Each warp has one for itself, whose tokens are all on their way at once; heads of a pixel are
 * neighbours, so that a block reads long pieces of its frames' rows.
 */
#include "device/cuda/kernels/attention.cuh"

#define TOKENS CUDA_TEMPORAL_TOKENS

/* A block's room is for four problems of 80 channels, or two of 160. */
template <int CHANNELS> struct temporal_block { static const int warps = CHANNELS <= 80 ? 4 : 2; };

template <class T, int D> struct alignas(16) temporal_shared {
    struct {
        T q[TOKENS][attention_row<D>::stride], k[TOKENS][attention_row<D>::stride],
            v[TOKENS][attention_row<D>::stride];
    } warp[temporal_block<D>::warps];
};

template <class T, int D>
SIMT_KERNEL(32 * temporal_block<D>::warps)
temporal(SIMT_PARAM(cuda_attention_params, p)) {
    typedef temporal_shared<T, D> shared;
    SIMT_SHARED(shared, all);
    auto &s = all.warp[simt_warp()];
    const int STRIDE = attention_row<D>::stride;
    const attention_place at =
        attention_place_of(p, (int64_t)simt_block_x() * temporal_block<D>::warps + simt_warp(), TOKENS);
    if (!at.there)
        return; /* a whole warp; there is no barrier of the block */
    const int here = p.q_tokens - at.first_query;
    fetch_tokens<T, TOKENS, D, STRIDE, 32>(s.q[0], (const T *)p.q + at.q + at.first_query * p.q_stride[2],
                                           (int)p.q_stride[2], here, p.head_dim, simt_lane());
    fetch_tokens<T, TOKENS, D, STRIDE, 32>(s.k[0], (const T *)p.k + at.k, (int)p.k_stride[2], p.kv_tokens,
                                           p.head_dim, simt_lane());
    fetch_tokens<T, TOKENS, D, STRIDE, 32>(s.v[0], (const T *)p.v + at.v, (int)p.v_stride[2], p.kv_tokens,
                                           p.head_dim, simt_lane());
    simt_copy_commit();
    simt_copy_wait<0>();
    simt_warp_barrier();

    query_tile<D> q[1];
    softmax_state state = {{0.0f, 0.0f}, {0.0f, 0.0f}};
    float w[1][TOKENS / 8][4], o[1][D / 8][4], most[2], alpha[2];
    load_queries<T, D, STRIDE>(s.q[0], q[0]);
    make_scores<T, D, STRIDE, 1, TOKENS>(s.k[0], q, w);
    mask_scores<TOKENS / 8>(w[0], 0, p.kv_tokens);
    find_most<TOKENS / 8>(w[0], most);
    make_weights<TOKENS / 8>(w[0], most, p.scale * 0x1.715476p+0f, true, state, alpha);
    SIMT_UNROLL
    for (int j = 0; j < D / 8; j++)
        SIMT_UNROLL
    for (int i = 0; i < 4; i++)
        o[0][j][i] = 0.0f;
    add_values<T, D, STRIDE, 1, TOKENS>(s.v[0], w, o);
    const float sum[2] = {row_sum(state.sum[0]), row_sum(state.sum[1])};
    store_results<T, D / 8>((T *)p.out + at.out + at.first_query * p.out_stride[2], p.out_stride[2], here,
                            p.head_dim, o[0], sum);
}

#define KERNEL(T, D)                                                                                         \
    SIMT_DESCRIBE((temporal<T, D>), cuda_attention_params, 32 * temporal_block<D>::warps,                    \
                  sizeof(temporal_shared<T, D>))
#define KERNELS(T)                                                                                           \
    { KERNEL(T, 40), KERNEL(T, 64), KERNEL(T, 80), KERNEL(T, 128), KERNEL(T, 160) }

const simt_kernel *cuda_temporal_kernel(ms_dtype dtype, int head_dim) {
    static const simt_kernel kernels[2][5] = {KERNELS(simt_f16), KERNELS(simt_bf16)};
    static const int sizes[5] = {40, 64, 80, 128, 160};
    for (int i = 0; i < 5; i++)
        if (head_dim <= sizes[i])
            return &kernels[dtype == MS_F16 ? 0 : 1][i];
    return nullptr;
}
