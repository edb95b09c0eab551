/*
 * Attention by tensor cores for the VAE's single head of 512 channels, and others of more than 160. A block
 * of 32 queries has eight warps: two rows of 16 queries, four columns, each of which makes the scores of 16
 * of the block's 64 keys and owns 16 of every 64 channels of the results. Keys, then values pass through in
 * pieces of 64 channels, one on its way while the one before is read. Fits into 64 KB of shared memory, all
 * that Turing has.
 */
#include "device/cuda/kernels/attention.cuh"

#define THREADS 256
#define MOST_CHANNELS 512
#define QUERIES CUDA_ATTENTION_WIDE_TILE
#define PIECE 64 /* channels at a time */
#define PIECES (MOST_CHANNELS / PIECE)
#define COLUMNS 4
#define Q_STRIDE (MOST_CHANNELS + 8)
#define STRIDE (PIECE + 8)
#define BOUNDS THREADS, 1 /* as in attention.cu */

template <class T> struct alignas(16) wide_shared {
    T q[QUERIES][Q_STRIDE];
    T piece[2][ATTENTION_KEYS][STRIDE];
    uint32_t p[QUERIES][STRIDE / 2]; /* weights, two in each */
    float row[COLUMNS][QUERIES];     /* maxima, at the end sums */
};

/* Channels from PIECE * piece on of the block's keys or values; nothing behind the last block. */
template <class T>
SIMT_FN void fetch_piece(T *shared, const void *src, int64_t start, int64_t token, int first, int piece,
                         const cuda_attention_params &p) {
    if (first < p.kv_tokens)
        fetch_tokens<T, ATTENTION_KEYS, PIECE, STRIDE, THREADS>(
            shared, (const T *)src + start + first * token + piece * PIECE, (int)token, p.kv_tokens - first,
            p.head_dim - piece * PIECE, simt_thread());
    simt_copy_commit();
}

/* All warps are done with the other piece, and this one is there. */
SIMT_FN void wait_for_piece() {
    simt_copy_wait<0>();
    simt_barrier();
}

/* The scores of 16 queries and 16 keys, over 64 channels. */
template <class T> SIMT_FN void add_scores(const T *q, const T *k, float w[2][4]) {
    const int lane = simt_lane();
    SIMT_UNROLL
    for (int step = 0; step < PIECE / 16; step++) {
        uint32_t a[4], b[4];
        simt_load_matrix_x4(a, q + (lane & 15) * Q_STRIDE + 16 * step + (lane >> 4) * 8);
        simt_load_matrix_x4(b, k + ((lane >> 4) * 8 + (lane & 7)) * STRIDE + 16 * step + (lane >> 3 & 1) * 8);
        simt_mma_16816<T>(w[0], a, b);
        simt_mma_16816<T>(w[1], a, b + 2);
    }
}

/* The largest score of a row is the largest of four warps'. */
template <class T> SIMT_FN void share_most(wide_shared<T> &s, int own, int column, float most[2]) {
    const int row = own + simt_lane() / 4;
    if (simt_lane() % 4 == 0) {
        s.row[column][row] = most[0];
        s.row[column][row + 8] = most[1];
    }
    simt_barrier();
    SIMT_UNROLL
    for (int r = 0; r < 2; r++) {
        most[r] = s.row[0][row + 8 * r];
        SIMT_UNROLL
        for (int i = 1; i < COLUMNS; i++)
            most[r] = fmaxf(most[r], s.row[i][row + 8 * r]);
    }
}

/* Weights to where all columns read them. */
template <class T> SIMT_FN void share_weights(wide_shared<T> &s, int own, int column, const float w[2][4]) {
    uint32_t a[4];
    pack_weights<T>(w[0], w[1], a);
    SIMT_UNROLL
    for (int i = 0; i < 4; i++)
        s.p[own + simt_lane() / 4 + 8 * (i % 2)][8 * column + 4 * (i / 2) + simt_lane() % 4] = a[i];
}

/* 16 channels of 16 queries' results, over 64 keys. */
template <class T> SIMT_FN void add_piece(const T *p, const T *v, int column, float o[2][4]) {
    const int lane = simt_lane();
    SIMT_UNROLL
    for (int step = 0; step < ATTENTION_KEYS / 16; step++) {
        uint32_t a[4], b[4];
        simt_load_matrix_x4(a, p + (lane & 15) * STRIDE + 16 * step + (lane >> 4) * 8);
        simt_load_matrix_x4_transposed(b, v + (16 * step + (lane & 15)) * STRIDE + 16 * column +
                                              (lane >> 4) * 8);
        simt_mma_16816<T>(o[0], a, b);
        simt_mma_16816<T>(o[1], a, b + 2);
    }
}

template <class T> SIMT_KERNEL(BOUNDS) attention_wide(SIMT_PARAM(cuda_attention_params, p)) {
    SIMT_SHARED(wide_shared<T>, s);
    const attention_place at = attention_place_of(p, simt_block_x(), QUERIES);
    const int own = 16 * (simt_warp() / COLUMNS), column = simt_warp() % COLUMNS;
    const int here = p.q_tokens - at.first_query, pieces = (p.head_dim + PIECE - 1) / PIECE;
    const float factor = p.scale * 0x1.715476p+0f; /* log2 e */
    softmax_state state = {{0.0f, 0.0f}, {0.0f, 0.0f}};
    float o[PIECES][2][4];
    SIMT_UNROLL
    for (int piece = 0; piece < PIECES; piece++)
        SIMT_UNROLL
    for (int i = 0; i < 8; i++)
        o[piece][i / 4][i % 4] = 0.0f;

    fetch_tokens<T, QUERIES, MOST_CHANNELS, Q_STRIDE, THREADS>(
        s.q[0], (const T *)p.q + at.q + at.first_query * p.q_stride[2], (int)p.q_stride[2], here, p.head_dim,
        simt_thread());
    fetch_piece<T>(s.piece[0][0], p.k, at.k, p.k_stride[2], 0, 0, p);
    int buffer = 0;
    for (int first = 0; first < p.kv_tokens; first += ATTENTION_KEYS) {
        float w[2][4], most[2], alpha[2];
        SIMT_UNROLL
        for (int i = 0; i < 8; i++)
            w[i / 4][i % 4] = 0.0f;
        for (int piece = 0; piece < pieces; piece++, buffer ^= 1) {
            wait_for_piece();
            if (piece + 1 < pieces)
                fetch_piece<T>(s.piece[buffer ^ 1][0], p.k, at.k, p.k_stride[2], first, piece + 1, p);
            else
                fetch_piece<T>(s.piece[buffer ^ 1][0], p.v, at.v, p.v_stride[2], first, 0, p);
            add_scores<T>(&s.q[own][piece * PIECE], s.piece[buffer][16 * column], w);
        }
        mask_scores<2>(w, first + 16 * column, p.kv_tokens);
        find_most<2>(w, most);
        share_most(s, own, column, most);
        make_weights<2>(w, most, factor, first == 0, state, alpha);
        share_weights(s, own, column, w);
        SIMT_UNROLL
        for (int piece = 0; piece < PIECES; piece++) {
            if (piece >= pieces)
                continue;
            wait_for_piece(); /* the first time for the weights too */
            if (piece + 1 < pieces)
                fetch_piece<T>(s.piece[buffer ^ 1][0], p.v, at.v, p.v_stride[2], first, piece + 1, p);
            else
                fetch_piece<T>(s.piece[buffer ^ 1][0], p.k, at.k, p.k_stride[2], first + ATTENTION_KEYS, 0,
                               p);
            SIMT_UNROLL
            for (int i = 0; i < 8; i++)
                o[piece][i / 4][i % 4] = o[piece][i / 4][i % 4] * alpha[i % 4 / 2];
            add_piece<T>((const T *)s.p[own], s.piece[buffer][0], column, o[piece]);
            buffer ^= 1;
        }
    }
    simt_copy_wait<0>();

    /* A row's sum is the sum of four warps', in their order. */
    const int row = own + simt_lane() / 4;
    float sum[2] = {row_sum(state.sum[0]), row_sum(state.sum[1])};
    if (simt_lane() % 4 == 0) {
        s.row[column][row] = sum[0];
        s.row[column][row + 8] = sum[1];
    }
    simt_barrier();
    SIMT_UNROLL
    for (int r = 0; r < 2; r++) {
        sum[r] = s.row[0][row + 8 * r];
        SIMT_UNROLL
        for (int i = 1; i < COLUMNS; i++)
            sum[r] = sum[r] + s.row[i][row + 8 * r];
    }
    T *out = (T *)p.out + at.out + (at.first_query + own) * p.out_stride[2] + 16 * column;
    SIMT_UNROLL
    for (int piece = 0; piece < PIECES; piece++)
        store_results<T, 2>(out + piece * PIECE, p.out_stride[2], here - own,
                            p.head_dim - piece * PIECE - 16 * column, o[piece], sum);
}

#define KERNEL(T) SIMT_DESCRIBE(attention_wide<T>, cuda_attention_params, THREADS, sizeof(wide_shared<T>))

const simt_kernel *cuda_attention_wide_kernel(ms_dtype dtype, int head_dim) {
    static const simt_kernel kernels[2] = {KERNEL(simt_f16), KERNEL(simt_bf16)};
    return head_dim <= MOST_CHANNELS ? &kernels[dtype == MS_F16 ? 0 : 1] : nullptr;
}
