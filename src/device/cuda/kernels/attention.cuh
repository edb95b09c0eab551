/*
 * What the kernels of attention share: where batches and heads lie, and a warp's fragments of tensor-core
 * products (PTX ISA, "Matrix fragments for mma.m16n8k16"): of a 16 x 8 tile of results a lane holds columns
 * 2 (lane % 4) and the next, of row lane / 4 in elements 0 and 1, of row lane / 4 + 8 in 2 and 3.
 */
#ifndef MS_DEVICE_CUDA_KERNELS_ATTENTION_CUH
#define MS_DEVICE_CUDA_KERNELS_ATTENTION_CUH

#include "device/cuda/kernels/attention.h"
#include "device/cuda/kernels/math.cuh"

#define ATTENTION_KEYS MS_ATTENTION_KEYS

/* A head of a batch, and the first query of a tile. */
struct attention_place {
    int64_t q, k, v, out; /* elements before the first token's first channel */
    int first_query;
    bool there;
};

SIMT_FN attention_place attention_place_of(const cuda_attention_params &p, int64_t tile, int queries) {
    const int64_t head_of_all = tile / p.tiles, batch = head_of_all / p.heads;
    const int64_t i = batch / p.batch_inner, j = batch % p.batch_inner;
    const int64_t channel = head_of_all % p.heads * p.head_dim;
    attention_place at;
    at.q = i * p.q_stride[0] + j * p.q_stride[1] + channel;
    at.k = i * p.k_stride[0] + j * p.k_stride[1] + channel;
    at.v = i * p.v_stride[0] + j * p.v_stride[1] + channel;
    at.out = i * p.out_stride[0] + j * p.out_stride[1] + channel;
    at.first_query = (int)(tile % p.tiles) * queries;
    at.there = batch < p.batches;
    return at;
}

/* Elements from row to row in shared memory: an odd number of 16 bytes, so that the eight rows of a matrix
   lie in different banks. */
template <int CHANNELS> struct attention_row {
    static const int stride = CHANNELS / 8 % 2 ? CHANNELS : CHANNELS + 8;
};

template <class T, int PER_ROW, int STRIDE>
SIMT_FN void fetch_piece_of_token(T *shared, const T *src, int token, int tokens, int channels, int i) {
    const int row = i / PER_ROW, c = i % PER_ROW * 8;
    simt_copy16_async(shared + row * STRIDE + c, src + (row * token + c), row < tokens && c < channels);
}

/* Rows of tokens to shared memory, 16 bytes a copy; zeros for tokens behind `tokens` and channels behind
   `channels`, whose addresses are not read. ROWS tokens lie within 2^31 elements. */
template <class T, int ROWS, int CHANNELS, int STRIDE, int THREADS>
SIMT_FN void fetch_tokens(T *shared, const T *src, int token, int tokens, int channels, int thread) {
    const int per_row = CHANNELS / 8, copies = ROWS * per_row;
    if (copies <= 4 * THREADS) {
        SIMT_UNROLL
        for (int first = 0; first < copies; first += THREADS)
            if (first + THREADS <= copies || first + thread < copies)
                fetch_piece_of_token<T, per_row, STRIDE>(shared, src, token, tokens, channels,
                                                         first + thread);
    } else { /* unrolled it would take too many registers on Turing, where copies pass through these */
        for (int i = thread; i < copies; i += THREADS)
            fetch_piece_of_token<T, per_row, STRIDE>(shared, src, token, tokens, channels, i);
    }
}

/* Sixteen queries as fragments. */
template <int D> struct query_tile {
    uint32_t wide[D / 16 > 0 ? D / 16 : 1][4];
    uint32_t half[2]; /* the last eight channels where D is no multiple of 16 */
};

template <class T, int D, int STRIDE> SIMT_FN void load_queries(const T *rows, query_tile<D> &q) {
    const T *row = rows + (simt_lane() & 15) * STRIDE;
    SIMT_UNROLL
    for (int k = 0; k < D / 16; k++)
        simt_load_matrix_x4(q.wide[k], row + 16 * k + (simt_lane() >> 4) * 8);
    if (D % 16)
        simt_load_matrix_x2(q.half, row + D / 16 * 16);
}

/* s[tile of queries][8 keys] = q k^T over ascending channels, in steps of 16, the last of 8 where there is
   one. k: rows of keys in shared memory. */
template <class T, int D, int STRIDE, int TILES, int KEYS>
SIMT_FN void make_scores(const T *k, const query_tile<D> *q, float s[TILES][KEYS / 8][4]) {
    const int lane = simt_lane(), row = (lane >> 4) * 8 + (lane & 7), column = (lane >> 3 & 1) * 8;
    SIMT_UNROLL
    for (int pair = 0; pair < KEYS / 16; pair++) {
        SIMT_UNROLL
        for (int t = 0; t < TILES; t++)
            SIMT_UNROLL
        for (int i = 0; i < 4; i++)
            s[t][2 * pair][i] = s[t][2 * pair + 1][i] = 0.0f;
        SIMT_UNROLL
        for (int step = 0; step < D / 16; step++) {
            uint32_t b[4];
            simt_load_matrix_x4(b, k + (16 * pair + row) * STRIDE + 16 * step + column);
            SIMT_UNROLL
            for (int t = 0; t < TILES; t++) {
                simt_mma_16816<T>(s[t][2 * pair], q[t].wide[step], b);
                simt_mma_16816<T>(s[t][2 * pair + 1], q[t].wide[step], b + 2);
            }
        }
        if (D % 16) {
            uint32_t b[2];
            simt_load_matrix_x2(b, k + (16 * pair + (lane & 15)) * STRIDE + D / 16 * 16);
            SIMT_UNROLL
            for (int t = 0; t < TILES; t++) {
                simt_mma_1688<T>(s[t][2 * pair], q[t].half, b);
                simt_mma_1688<T>(s[t][2 * pair + 1], q[t].half, b + 1);
            }
        }
    }
}

/*
 * 2^x for x up to 15, within 2.8e-6 of it: a polynomial fitted by Chebyshev's series. Less than 2^-126
 * becomes that. What is no number stays none, and an infinity becomes none.
 */
SIMT_FN float attention_exp2(float x) {
    const float magic = 0x1.8p23f; /* adding it rounds to an integer, in the low bits */
    const float t = x + magic, n = t - magic, f = x - n;
    float p = simt_fma(0x1.3cbf60p-7f, f, 0x1.ca1ce2p-5f);
    p = simt_fma(p, f, 0x1.ebfa4cp-3f);
    p = simt_fma(p, f, 0x1.62e0c2p-1f);
    p = simt_fma(p, f, 1.0f);
    const int bits = (int)simt_bits(t), least = 0x4b400000 - 126;
    const uint32_t exponent = (uint32_t)(bits > least ? bits : least);
    return p * simt_float((exponent << 23) + 0x3f800000u);
}

#define ATTENTION_SHIFT 14.0f
#define ATTENTION_LEAST -1e30f

/* Of the two rows of a tile that a lane has elements of. p = 2^(score factor + base). */
struct softmax_state {
    float base[2];
    float sum[2]; /* of the lane's own columns */
};

/* The largest of a row's scores; fmaxf() is one instruction, and a NaN comes back by its own p. */
SIMT_FN float row_most(float most) {
    most = fmaxf(most, simt_shuffle_xor(most, 1));
    return fmaxf(most, simt_shuffle_xor(most, 2));
}

/* Scores to p, in place. Returns in alpha what earlier sums are multiplied by. most: the rows' largest scores
   in this block. */
template <int TILES8>
SIMT_FN void make_weights(float s[TILES8][4], const float most[2], float factor, bool first,
                          softmax_state &state, float alpha[2]) {
    SIMT_UNROLL
    for (int r = 0; r < 2; r++) {
        float base = ATTENTION_SHIFT - most[r] * factor;
        if (!first) /* the larger maximum is the lower base */
            base = state.base[r] < base ? state.base[r] : base;
        alpha[r] = first ? 1.0f : attention_exp2(base - state.base[r]);
        state.base[r] = base;
        float sum = 0.0f;
        SIMT_UNROLL
        for (int j = 0; j < TILES8; j++)
            SIMT_UNROLL
        for (int i = 2 * r; i < 2 * r + 2; i++) {
            s[j][i] = attention_exp2(simt_fma(s[j][i], factor, base));
            sum = sum + s[j][i];
        }
        state.sum[r] = simt_fma(state.sum[r], alpha[r], sum);
    }
}

/* Scores of keys that are not there become the least: 2^-126 is nothing beside 2^14, and their values are
   zeros. */
template <int TILES8> SIMT_FN void mask_scores(float s[TILES8][4], int first_key, int keys) {
    SIMT_UNROLL
    for (int j = 0; j < TILES8; j++)
        SIMT_UNROLL
    for (int i = 0; i < 4; i++)
        if (first_key + 8 * j + simt_lane() % 4 * 2 + i % 2 >= keys)
            s[j][i] = ATTENTION_LEAST;
}

template <int TILES8> SIMT_FN void find_most(const float s[TILES8][4], float most[2]) {
    SIMT_UNROLL
    for (int r = 0; r < 2; r++) {
        most[r] = s[0][2 * r];
        SIMT_UNROLL
        for (int j = 0; j < TILES8; j++)
            SIMT_UNROLL
        for (int i = 2 * r; i < 2 * r + 2; i++)
            most[r] = fmaxf(most[r], s[j][i]);
        most[r] = row_most(most[r]);
    }
}

/* Two tiles of p side by side are a 16 x 16 operand. */
template <class T> SIMT_FN void pack_weights(const float low[4], const float high[4], uint32_t a[4]) {
    a[0] = simt_pack(simt_from_float<T>(low[0]), simt_from_float<T>(low[1]));
    a[1] = simt_pack(simt_from_float<T>(low[2]), simt_from_float<T>(low[3]));
    a[2] = simt_pack(simt_from_float<T>(high[0]), simt_from_float<T>(high[1]));
    a[3] = simt_pack(simt_from_float<T>(high[2]), simt_from_float<T>(high[3]));
}

/* o[tile][8 channels] += p v over ascending keys in steps of 16. v: rows of keys in shared memory. */
template <class T, int D, int STRIDE, int TILES, int KEYS>
SIMT_FN void add_values(const T *v, const float p[TILES][KEYS / 8][4], float o[TILES][D / 8][4]) {
    const int lane = simt_lane();
    SIMT_UNROLL
    for (int step = 0; step < KEYS / 16; step++) {
        uint32_t a[TILES][4];
        SIMT_UNROLL
        for (int t = 0; t < TILES; t++)
            pack_weights<T>(p[t][2 * step], p[t][2 * step + 1], a[t]);
        const T *row = v + (16 * step + (lane & 15)) * STRIDE;
        SIMT_UNROLL
        for (int c = 0; c + 1 < D / 8; c += 2) {
            uint32_t b[4];
            simt_load_matrix_x4_transposed(b, row + (c + (lane >> 4)) * 8);
            SIMT_UNROLL
            for (int t = 0; t < TILES; t++) {
                simt_mma_16816<T>(o[t][c], a[t], b);
                simt_mma_16816<T>(o[t][c + 1], a[t], b + 2);
            }
        }
        if (D / 8 % 2) {
            uint32_t b[2];
            simt_load_matrix_x2_transposed(b, row + (D / 8 - 1) * 8);
            SIMT_UNROLL
            for (int t = 0; t < TILES; t++)
                simt_mma_16816<T>(o[t][D / 8 - 1], a[t], b);
        }
    }
}

SIMT_FN float row_sum(float sum) {
    sum = sum + simt_shuffle_xor(sum, 1);
    return sum + simt_shuffle_xor(sum, 2);
}

/* A tile of results, divided by the rows' sums, to `out`, which is at the first channel of the tile's first
   query. */
template <class T, int TILES8>
SIMT_FN void store_results(T *out, int64_t token, int queries, int channels, const float o[TILES8][4],
                           const float sum[2]) {
    SIMT_UNROLL
    for (int r = 0; r < 2; r++) {
        const int query = simt_lane() / 4 + 8 * r;
        if (query >= queries)
            continue;
        uint32_t *row = (uint32_t *)(out + query * token + simt_lane() % 4 * 2);
        SIMT_UNROLL
        for (int j = 0; j < TILES8; j++)
            if (8 * j < channels)
                row[4 * j] = simt_pack(simt_from_float<T>(o[j][2 * r] / sum[r]),
                                       simt_from_float<T>(o[j][2 * r + 1] / sum[r]));
    }
}

#endif
