/*
 * Attention in float32, for any strides, head sizes and types: the chains of device/kernels.h, so that the
 * bits are the processor's. A block of 32 queries goes through keys by 64; channels of queries, keys and
 * values pass through shared memory in pieces of 32. What is behind the last key or channel is left out of
 * every chain.
 */
#include "device/cuda/kernels/attention.cuh"

#define THREADS 256
#define QUERIES CUDA_ATTENTION_F32_TILE
#define PIECE 32                                        /* channels at a time */
#define BOUNDS THREADS, (OUT > 5 ? 1 : OUT > 2 ? 2 : 3) /* as in attention.cu */

struct attention_f32_shared {
    float q[QUERIES][PIECE + 1];
    float tokens[ATTENTION_KEYS][PIECE + 1]; /* keys, or values */
    float p[QUERIES][ATTENTION_KEYS + 1];    /* scores, then weights */
    float most[QUERIES], sum[QUERIES], alpha[QUERIES];
};

/* Channels from `channel` on of rows of tokens, times a factor. */
template <class T, int ROWS>
SIMT_FN void load_piece(float shared[ROWS][PIECE + 1], const T *src, int64_t token, int tokens, int channels,
                        float factor) {
    SIMT_UNROLL
    for (int i = 0; i < ROWS * PIECE / THREADS; i++) {
        const int row = i * (THREADS / PIECE) + simt_thread() / PIECE, c = simt_thread() % PIECE;
        if (row < tokens && c < channels)
            shared[row][c] = simt_to_float(src[row * token + c]) * factor;
    }
}

/* Of two queries and four keys, 16 apart: what a thread has of a block's scores. */
SIMT_FN void add_channels(const attention_f32_shared &s, int channels, float w[2][4]) {
    const int query = simt_thread() / 16 * 2, key = simt_thread() % 16;
    for (int c = 0; c < channels; c++)
        SIMT_UNROLL
    for (int i = 0; i < 8; i++)
        w[i / 4][i % 4] = simt_fma(s.tokens[key + i % 4 * 16][c], s.q[query + i / 4][c], w[i / 4][i % 4]);
}

/* Eight threads have a row, and the first of them its sum. */
SIMT_FN void make_row_weights(attention_f32_shared &s, int keys) {
    const int row = simt_thread() / 8, first = simt_thread() % 8;
    const float before = s.most[row];
    float most = before, sum = 0.0f;
    for (int j = first; j < keys; j += 8)
        most = most > s.p[row][j] ? most : s.p[row][j];
    for (int mask = 4; mask > 0; mask /= 2) {
        const float other = simt_shuffle_xor(most, mask);
        most = most > other ? most : other;
    }
    for (int j = first; j < keys; j += 8)
        s.p[row][j] = gpu_exp(s.p[row][j] - most);
    simt_warp_barrier();
    if (first > 0)
        return;
    for (int j = 0; j < keys; j++)
        sum = sum + s.p[row][j];
    s.alpha[row] = gpu_exp(before - most);
    s.sum[row] = simt_fma(s.sum[row], s.alpha[row], sum);
    s.most[row] = most;
}

/* OUT: pieces of the output that a block keeps. */
template <class T, int OUT> SIMT_KERNEL(BOUNDS) attention_f32(SIMT_PARAM(cuda_attention_params, p)) {
    SIMT_SHARED(attention_f32_shared, s);
    const attention_place at = attention_place_of(p, simt_block_x(), QUERIES);
    const int here = p.q_tokens - at.first_query, slice = simt_block_z() * OUT * PIECE;
    const int row = simt_thread() / 8, column = simt_thread() % 8;
    const T *q = (const T *)p.q + at.q + at.first_query * p.q_stride[2];
    float o[OUT][4];
    SIMT_UNROLL
    for (int i = 0; i < OUT * 4; i++)
        o[i / 4][i % 4] = 0.0f;
    if (simt_thread() < QUERIES) {
        s.most[simt_thread()] = simt_float(0xff800000u); /* - infinity */
        s.sum[simt_thread()] = 0.0f;
    }
    for (int first = 0; first < p.kv_tokens; first += ATTENTION_KEYS) {
        const int left = p.kv_tokens - first, keys = left < ATTENTION_KEYS ? left : ATTENTION_KEYS;
        const T *k = (const T *)p.k + at.k + first * p.k_stride[2];
        const T *v = (const T *)p.v + at.v + first * p.v_stride[2];
        float w[2][4] = {{0.0f, 0.0f, 0.0f, 0.0f}, {0.0f, 0.0f, 0.0f, 0.0f}};
        for (int c = 0; c < p.head_dim; c += PIECE) {
            simt_barrier();
            load_piece<T, QUERIES>(s.q, q + c, p.q_stride[2], here, p.head_dim - c, p.scale);
            load_piece<T, ATTENTION_KEYS>(s.tokens, k + c, p.k_stride[2], keys, p.head_dim - c, 1.0f);
            simt_barrier();
            add_channels(s, p.head_dim - c < PIECE ? p.head_dim - c : PIECE, w);
        }
        SIMT_UNROLL
        for (int i = 0; i < 8; i++)
            s.p[simt_thread() / 16 * 2 + i / 4][simt_thread() % 16 + i % 4 * 16] = w[i / 4][i % 4];
        simt_barrier();
        make_row_weights(s, keys);
        SIMT_UNROLL
        for (int out = 0; out < OUT; out++) {
            const int c = slice + out * PIECE;
            if (c >= p.head_dim)
                continue;
            simt_barrier();
            load_piece<T, ATTENTION_KEYS>(s.tokens, v + c, p.v_stride[2], keys, p.head_dim - c, 1.0f);
            simt_barrier();
            SIMT_UNROLL
            for (int i = 0; i < 4; i++)
                o[out][i] = first > 0 ? o[out][i] * s.alpha[row] : 0.0f;
            for (int j = 0; j < keys; j++)
                SIMT_UNROLL
            for (int i = 0; i < 4; i++)
                o[out][i] = simt_fma(s.tokens[j][column + 8 * i], s.p[row][j], o[out][i]);
        }
    }
    if (row >= here)
        return;
    T *out = (T *)p.out + at.out + (at.first_query + row) * p.out_stride[2] + slice;
    SIMT_UNROLL
    for (int i = 0; i < OUT * 4; i++) {
        const int c = i / 4 * PIECE + column + i % 4 * 8;
        if (slice + c < p.head_dim)
            out[c] = simt_from_float<T>(o[i / 4][i % 4] / s.sum[row]);
    }
}

#define KERNEL(T, OUT)                                                                                       \
    SIMT_DESCRIBE((attention_f32<T, OUT>), cuda_attention_params, THREADS, sizeof(attention_f32_shared))
#define KERNELS(T)                                                                                           \
    { KERNEL(T, 2), KERNEL(T, 5), KERNEL(T, 16) }

const simt_kernel *cuda_attention_f32_kernel(ms_dtype dtype, int head_dim, int *ret_slice) {
    static const simt_kernel kernels[3][3] = {KERNELS(float), KERNELS(simt_f16), KERNELS(simt_bf16)};
    static const int pieces[3] = {2, 5, 16};
    const int size = head_dim <= 2 * PIECE ? 0 : head_dim <= 5 * PIECE ? 1 : 2;
    *ret_slice = pieces[size] * PIECE;
    return &kernels[dtype == MS_F32 ? 0 : dtype == MS_F16 ? 1 : 2][size];
}
