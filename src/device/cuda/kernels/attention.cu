/*
 * Attention by tensor cores for heads of up to 160 channels. Four warps, each with 16 queries or twice as
 * many, whose scores, weights and results stay in its registers. While scores are made the block's values are
 * on their way, while values are added the next block's keys.
 */
#include "device/cuda/kernels/attention.cuh"

#define THREADS 128
/* For __launch_bounds__ behind SIMT_KERNEL: threads, and blocks that a multiprocessor has registers for.
   Left to itself ptxas spills in order to fit one block more. */
#define BOUNDS THREADS, (TILES == 2 || D > 80 ? 2 : 3)

template <class T, int D> struct alignas(16) attention_shared {
    T k[ATTENTION_KEYS][attention_row<D>::stride];
    T v[ATTENTION_KEYS][attention_row<D>::stride];
};

template <class T, int D, int TILES> SIMT_KERNEL(BOUNDS) attention(SIMT_PARAM(cuda_attention_params, p)) {
    typedef attention_shared<T, D> shared;
    SIMT_SHARED(shared, s);
    const int STRIDE = attention_row<D>::stride, QUERIES = 64 * TILES;
    const attention_place at = attention_place_of(p, simt_block_x(), QUERIES);
    const int own = 16 * TILES * simt_warp(), here = p.q_tokens - at.first_query;
    const T *k = (const T *)p.k + at.k, *v = (const T *)p.v + at.v;
    const float factor = p.scale * 0x1.715476p+0f; /* log2 e */

    /* Queries pass through the room of keys and values. */
    query_tile<D> q[TILES];
    fetch_tokens<T, QUERIES, D, STRIDE, THREADS>(s.k[0],
                                                 (const T *)p.q + at.q + at.first_query * p.q_stride[2],
                                                 (int)p.q_stride[2], here, p.head_dim, simt_thread());
    simt_copy_commit();
    simt_copy_wait<0>();
    simt_barrier();
    SIMT_UNROLL
    for (int t = 0; t < TILES; t++)
        load_queries<T, D, STRIDE>(s.k[0] + (own + 16 * t) * STRIDE, q[t]);
    simt_barrier();
    fetch_tokens<T, ATTENTION_KEYS, D, STRIDE, THREADS>(s.k[0], k, (int)p.k_stride[2], p.kv_tokens,
                                                        p.head_dim, simt_thread());
    simt_copy_commit();

    float o[TILES][D / 8][4];
    softmax_state state[TILES];
    SIMT_UNROLL
    for (int t = 0; t < TILES; t++) {
        SIMT_UNROLL
        for (int j = 0; j < D / 8; j++)
            SIMT_UNROLL
        for (int i = 0; i < 4; i++)
            o[t][j][i] = 0.0f;
        state[t].sum[0] = state[t].sum[1] = 0.0f;
    }
    for (int first = 0; first < p.kv_tokens; first += ATTENTION_KEYS) {
        float w[TILES][ATTENTION_KEYS / 8][4];
        simt_copy_wait<0>();
        simt_barrier(); /* the keys are there, and nobody reads the values before */
        fetch_tokens<T, ATTENTION_KEYS, D, STRIDE, THREADS>(s.v[0], v + first * p.v_stride[2],
                                                            (int)p.v_stride[2], p.kv_tokens - first,
                                                            p.head_dim, simt_thread());
        simt_copy_commit();
        make_scores<T, D, STRIDE, TILES, ATTENTION_KEYS>(s.k[0], q, w);
        SIMT_UNROLL
        for (int t = 0; t < TILES; t++) {
            float most[2], alpha[2];
            if (first + ATTENTION_KEYS > p.kv_tokens)
                mask_scores<ATTENTION_KEYS / 8>(w[t], first, p.kv_tokens);
            find_most<ATTENTION_KEYS / 8>(w[t], most);
            make_weights<ATTENTION_KEYS / 8>(w[t], most, factor, first == 0, state[t], alpha);
            SIMT_UNROLL
            for (int j = 0; j < D / 8; j++)
                SIMT_UNROLL
            for (int i = 0; i < 4; i++)
                o[t][j][i] = o[t][j][i] * alpha[i / 2];
        }
        simt_copy_wait<0>();
        simt_barrier(); /* the values are there, and nobody reads the keys any more */
        if (first + ATTENTION_KEYS < p.kv_tokens) {
            const int next = first + ATTENTION_KEYS;
            fetch_tokens<T, ATTENTION_KEYS, D, STRIDE, THREADS>(s.k[0], k + next * p.k_stride[2],
                                                                (int)p.k_stride[2], p.kv_tokens - next,
                                                                p.head_dim, simt_thread());
            simt_copy_commit();
        }
        add_values<T, D, STRIDE, TILES, ATTENTION_KEYS>(s.v[0], w, o);
    }
    SIMT_UNROLL
    for (int t = 0; t < TILES; t++) {
        const float sum[2] = {row_sum(state[t].sum[0]), row_sum(state[t].sum[1])};
        const int query = own + 16 * t;
        store_results<T, D / 8>((T *)p.out + at.out + (at.first_query + query) * p.out_stride[2],
                                p.out_stride[2], here - query, p.head_dim, o[t], sum);
    }
}

#define KERNEL(T, D, TILES)                                                                                  \
    SIMT_DESCRIBE((attention<T, D, TILES>), cuda_attention_params, THREADS, sizeof(attention_shared<T, D>))
#define KERNELS(T)                                                                                           \
    {                                                                                                        \
        KERNEL(T, 40, 1), KERNEL(T, 64, 1), KERNEL(T, 80, 1), KERNEL(T, 128, 1), KERNEL(T, 160, 1),          \
            KERNEL(T, 40, 2)                                                                                 \
    }

const simt_kernel *cuda_attention_kernel(ms_dtype dtype, int head_dim, int tile) {
    static const simt_kernel kernels[2][6] = {KERNELS(simt_f16), KERNELS(simt_bf16)};
    static const int sizes[5] = {40, 64, 80, 128, 160};
    for (int i = 0; i < (tile == 64 ? 5 : 1); i++)
        if (head_dim <= sizes[i])
            return &kernels[dtype == MS_F16 ? 0 : 1][(tile == 64 ? 0 : 5) + i];
    return nullptr;
}
