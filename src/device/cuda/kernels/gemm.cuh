/*
 * The main loop of the tensor cores, for linear layers and convolutions. A block makes TILE_M x TILE_N
 * sums, its warps WARP_M x WARP_N each, over blocks of 32 inputs, which wait in shared memory in as many
 * stages. In each stage rows are 64 bytes, their four pieces of 16 bytes permuted by row / 2 % 4: eight
 * rows that ldmatrix reads at one place, and two that a quarter of a warp writes, then lie in different
 * banks.
 *
 * 64 x 64 for a warp: 32 products for 8 loads, 128 registers of sums, so that with 4 warps two blocks fit
 * on a multiprocessor and one computes while the other waits.
 */
#ifndef MS_DEVICE_CUDA_KERNELS_GEMM_CUH
#define MS_DEVICE_CUDA_KERNELS_GEMM_CUH

#include "device/cuda/kernels/epilogue.cuh"
#include "device/cuda/kernels/window.cuh"

#define GEMM_K 32
#define GEMM_PIECES 4 /* of 16 bytes in a row of a stage */

/* Of a row of results. The pixel is worked out anew for every tap: with it in shared memory as well, two
   blocks of 128 x 128 would not fit into the 100 KB of most cards. */
struct alignas(8) short_place {
    int outer, inner; /* outer -1: there is none */
};

enum gemm_source {
    GEMM_ROWS,   /* a linear layer's */
    GEMM_WINDOW, /* a convolution's */
    GEMM_ANY,    /* the same, element by element */
};

template <class T_, int TILE_M_, int TILE_N_, int WARP_M_, int WARP_N_, int STAGES_, gemm_source SOURCE_>
struct gemm_shape {
    typedef T_ T;
    static const int TILE_M = TILE_M_, TILE_N = TILE_N_, WARP_M = WARP_M_, WARP_N = WARP_N_, STAGES = STAGES_;
    static const gemm_source SOURCE = SOURCE_;
    static const int WARPS_N = TILE_N / WARP_N, THREADS = TILE_M / WARP_M * WARPS_N * 32;
    static const int ROWS_AT_ONCE = THREADS / GEMM_PIECES;
    static const int A_PIECES = TILE_M / ROWS_AT_ONCE, B_PIECES = TILE_N / ROWS_AT_ONCE; /* of a thread */
    static const int MS = WARP_M / 16, NS = WARP_N / 8; /* products of a warp */
    static const int STAGED = WARP_N + 8;               /* floats of a row that waits for the epilogue */

    static const int A = TILE_M * GEMM_K, STAGE = A + TILE_N * GEMM_K; /* elements; weights come behind */

    struct shared {
        union {
            T in[STAGES * STAGE];
            float out[THREADS / 32][16 * STAGED];
        };
        short_place row[TILE_M];
    };

    static_assert(TILE_M % ROWS_AT_ONCE == 0 && TILE_N % ROWS_AT_ONCE == 0, "pieces are shared out evenly");
    static_assert(ROWS_AT_ONCE % 8 == 0, "a thread's pieces are permuted alike");
    static_assert(WARP_N % 16 == 0, "weights are loaded sixteen rows at a time");
    static_assert(sizeof(shared) <= 65536, "what Turing has");
};

/* Element of a stage at which piece `piece` of a row begins. */
SIMT_FN int place_of_piece(int row, int piece) {
    return row * GEMM_K + ((piece ^ ((row >> 1) & 3)) * 8);
}

/* A thread's pieces of the activations and of the weights: one place within the block of inputs, and some
   rows. Where a row begins is kept in eights of elements, so that an address is one multiplication. */
template <class G> struct gemm_reader {
    typedef typename G::T T;
    const T *data;             /* of this source, at the channel at which the thread stands */
    uint32_t row[G::A_PIECES]; /* this tap's */
    uint32_t there;            /* a bit for each: it is no padding */
    int channels_left;         /* of this source and tap */
    int source, ky, kx;
    const T *weight; /* at the input at which the thread stands */
    uint32_t weight_row[G::B_PIECES];
};

SIMT_FN int first_row_of_thread() {
    return simt_thread() / GEMM_PIECES;
}

/* The rows of the source and tap at which the reader stands. A linear layer's that are not there are read as
   the first one: nobody stores their sums. */
template <class G>
SIMT_FN void read_from(const cuda_matmul_params &p, const typename G::shared &s, gemm_reader<G> &r) {
    const cuda_source &from = p.src[r.source];
    SIMT_UNROLL
    for (int i = 0; i < G::A_PIECES; i++) {
        const short_place at = s.row[first_row_of_thread() + i * G::ROWS_AT_ONCE];
        int64_t pixel = at.outer < 0 ? -1 : at.inner;
        if (G::SOURCE != GEMM_ROWS)
            pixel = pixel_of_tap(p.window, place_of_pixel(p.window, at.outer, at.inner), r.ky, r.kx);
        const bool is = pixel >= 0;
        r.row[i] = is ? (uint32_t)((at.outer * from.outer_stride + pixel * from.inner_stride) / 8) : 0;
        r.there = (r.there & ~(1u << i)) | (uint32_t)is << i;
    }
    if (G::SOURCE == GEMM_ROWS)
        r.there = 1;
}

/* On to the source and tap that has the channel `beyond` this one's end. */
template <class G>
SIMT_FN void next_source(const cuda_matmul_params &p, const typename G::shared &s, int beyond,
                         gemm_reader<G> &r) {
    do {
        if (r.source == 0 && p.src[1].channels > 0) {
            r.source = 1;
        } else {
            r.source = 0;
            if (++r.kx >= p.window.kernel_w) {
                r.kx = 0;
                r.ky++;
            }
        }
        if (r.ky >= p.window.kernel_h) { /* the end */
            r.there = 0;
            r.channels_left = 0x7fffffff;
            return;
        }
        r.channels_left = p.src[r.source].channels - beyond;
        beyond -= p.src[r.source].channels;
    } while (r.channels_left <= 0);
    const int channels = p.src[r.source].channels;
    r.data = (const typename G::T *)p.src[r.source].data + (int64_t)simt_block_z() * channels + channels -
             r.channels_left;
    read_from<G>(p, s, r);
}

template <class G>
SIMT_FN void advance(const cuda_matmul_params &p, const typename G::shared &s, gemm_reader<G> &r) {
    r.weight += GEMM_K;
    r.data += GEMM_K;
    r.channels_left -= GEMM_K;
    if (r.channels_left <= 0)
        next_source<G>(p, s, -r.channels_left, r);
}

template <class G>
SIMT_FN void begin_reading(const cuda_matmul_params &p, const typename G::shared &s, int column,
                           gemm_reader<G> &r) {
    const int piece = simt_thread() % GEMM_PIECES;
    r.weight = (const typename G::T *)p.weight + (int64_t)simt_block_z() * p.n_pad * p.k_pad + 8 * piece;
    SIMT_UNROLL
    for (int i = 0; i < G::B_PIECES; i++) {
        /* Rows behind the last are read as that one: nobody stores their sums either. */
        const int n = column + first_row_of_thread() + i * G::ROWS_AT_ONCE;
        r.weight_row[i] = (uint32_t)(n < p.n_pad ? n : p.n_pad - 1) * (uint32_t)(p.k_pad / 8);
    }
    r.source = r.ky = r.kx = 0;
    r.there = 0;
    r.channels_left = p.src[0].channels - 8 * piece;
    r.data = (const typename G::T *)p.src[0].data + (int64_t)simt_block_z() * p.src[0].channels + 8 * piece;
    if (r.channels_left > 0)
        read_from<G>(p, s, r);
    else
        next_source<G>(p, s, -r.channels_left, r);
}

template <class T> SIMT_FN const T *at_row(const T *data, uint32_t row) {
    return (const T *)((const char *)data + (uint64_t)row * 16);
}

/* What the copy does where data do not lie at 16 bytes. */
template <class T> SIMT_FN void copy_elements(T *to, const T *from, bool valid) {
    simt_words w = {{0, 0, 0, 0}};
    if (valid) {
        SIMT_UNROLL
        for (int i = 0; i < 4; i++)
            w.w[i] = simt_pack(from[2 * i], from[2 * i + 1]);
    }
    simt_store16(to, w);
}

/* to: the thread's first piece in a stage. */
template <class G> SIMT_FN void copy_stage(const gemm_reader<G> &r, typename G::T *to) {
    SIMT_UNROLL
    for (int i = 0; i < G::A_PIECES; i++) {
        const bool valid = G::SOURCE == GEMM_ROWS ? r.there != 0 : (r.there >> i & 1) != 0;
        typename G::T *piece = to + i * G::ROWS_AT_ONCE * GEMM_K;
        if (G::SOURCE == GEMM_ANY)
            copy_elements(piece, at_row(r.data, r.row[i]), valid);
        else
            simt_copy16_async(piece, at_row(r.data, r.row[i]), valid);
    }
    SIMT_UNROLL
    for (int i = 0; i < G::B_PIECES; i++)
        simt_copy16_async(to + G::A + i * G::ROWS_AT_ONCE * GEMM_K, at_row(r.weight, r.weight_row[i]), true);
}

/* A warp's operands of sixteen inputs. */
template <class G> struct gemm_operands { uint32_t a[G::MS][4], b[G::NS / 2][4]; };

/* a, b: where the lane reads in a stage. Sixteen rows further the permutation is the same. */
template <class G>
SIMT_FN void load_operands(const typename G::T *a, const typename G::T *b, gemm_operands<G> &o) {
    SIMT_UNROLL
    for (int i = 0; i < G::MS; i++)
        simt_load_matrix_x4(o.a[i], a + 16 * i * GEMM_K);
    SIMT_UNROLL
    for (int i = 0; i < G::NS / 2; i++)
        simt_load_matrix_x4(o.b[i], b + 16 * i * GEMM_K);
}

template <class G> SIMT_FN void multiply(const gemm_operands<G> &o, float sum[G::MS][G::NS][4]) {
    SIMT_UNROLL
    for (int i = 0; i < G::MS; i++) {
        SIMT_UNROLL
        for (int j = 0; j < G::NS; j++)
            simt_mma_16816<typename G::T>(sum[i][j], o.a[i], o.b[j / 2] + j % 2 * 2);
    }
}

/* Sixteen rows of the warp's sums go through shared memory, so that a lane has eight outputs of a row. */
template <class G>
SIMT_FN void store_sums(const cuda_matmul_params &p, typename G::shared &s, int row_a, int column,
                        const float sum[G::MS][G::NS][4]) {
    const int lane = simt_lane();
    const bool geglu = p.epilogue.act == MS_ACT_GEGLU;
    const int wide = geglu ? 16 : 8, across = G::WARP_N / wide, at = lane % across;
    float *out = s.out[simt_warp()];
    const epilogue_columns c =
        epilogue_begin(p.epilogue, simt_block_z(), geglu ? column / 2 + 8 * at : column + 8 * at);
    SIMT_UNROLL
    for (int i = 0; i < G::MS; i++) {
        SIMT_UNROLL
        for (int j = 0; j < G::NS; j++) {
            float *to = out + lane / 4 * G::STAGED + 8 * j + lane % 4 * 2;
            SIMT_UNROLL
            for (int e = 0; e < 4; e++)
                to[(e >> 1) * 8 * G::STAGED + (e & 1)] = sum[i][j][e];
        }
        simt_warp_barrier();
        for (int r = lane / across; r < 16; r += 32 / across) {
            const short_place place = s.row[row_a + 16 * i + r];
            if (place.outer < 0 || c.count <= 0)
                continue;
            float x[8], gates[8];
            load_eight(out + r * G::STAGED + wide * at, true, 8, x);
            if (geglu)
                load_eight(out + r * G::STAGED + wide * at + 8, true, 8, gates);
            epilogue_store(p.epilogue, simt_block_z(), c, place.outer, place.inner, x, gates);
        }
        simt_warp_barrier();
    }
}

template <class G> SIMT_FN void gemm_block(const cuda_matmul_params &p, typename G::shared &s) {
    typedef typename G::T T;
    if (!simt_multiplies<T>())
        return;
    const int thread = simt_thread(), warp = simt_warp(), lane = simt_lane();
    const int row_a = warp / G::WARPS_N * G::WARP_M, row_b = warp % G::WARPS_N * G::WARP_N;
    const tile_place tile = place_of_tile(p, G::TILE_M, G::TILE_N);
    for (int i = thread; i < G::TILE_M; i += G::THREADS) {
        const row_place at = place_of_row(p, tile.row + i);
        s.row[i].outer = at.outer;
        s.row[i].inner = at.inner;
    }
    simt_barrier();

    gemm_reader<G> reader;
    begin_reading<G>(p, s, tile.column, reader);
    T *const to = s.in + place_of_piece(first_row_of_thread(), thread % GEMM_PIECES);
    /* Of the first sixteen inputs of a stage and of the other ones. */
    const int a = row_a + (lane & 15), b = row_b + (lane & 7) + (lane >> 4 << 3);
    const T *const a_even = s.in + place_of_piece(a, lane >> 4);
    const T *const a_odd = s.in + place_of_piece(a, 2 + (lane >> 4));
    const T *const b_even = s.in + G::A + place_of_piece(b, lane >> 3 & 1);
    const T *const b_odd = s.in + G::A + place_of_piece(b, 2 + (lane >> 3 & 1));

    float sum[G::MS][G::NS][4];
    SIMT_UNROLL
    for (int i = 0; i < G::MS; i++) {
        SIMT_UNROLL
        for (int j = 0; j < G::NS; j++) {
            SIMT_UNROLL
            for (int e = 0; e < 4; e++)
                sum[i][j][e] = 0.0f;
        }
    }
    const int steps = p.k_pad / GEMM_K;
    SIMT_UNROLL
    for (int i = 0; i < G::STAGES - 1; i++) {
        if (i < steps) {
            copy_stage<G>(reader, to + i * G::STAGE);
            advance<G>(p, s, reader);
        }
        simt_copy_commit();
    }
    simt_copy_wait<G::STAGES - 2>();
    simt_barrier();

    gemm_operands<G> even, odd;
    int stage = 0, next = (G::STAGES - 1) * G::STAGE; /* that is read, that is copied to */
    load_operands<G>(a_even, b_even, even);
    for (int step = 0; step < steps; step++) {
        load_operands<G>(a_odd + stage, b_odd + stage, odd);
        if (step + G::STAGES - 1 < steps) {
            copy_stage<G>(reader, to + next);
            advance<G>(p, s, reader);
        }
        simt_copy_commit();
        multiply<G>(even, sum);
        stage = stage == (G::STAGES - 1) * G::STAGE ? 0 : stage + G::STAGE;
        next = next == (G::STAGES - 1) * G::STAGE ? 0 : next + G::STAGE;
        /* The next stage is here, and all warps have their operands of the one that is copied to next. */
        simt_copy_wait<G::STAGES - 2>();
        simt_barrier();
        if (step + 1 < steps)
            load_operands<G>(a_even + stage, b_even + stage, even);
        multiply<G>(odd, sum);
    }
    simt_copy_wait<0>();
    simt_barrier();
    store_sums<G>(p, s, row_a, tile.column + row_b, sum);
}

#define GEMM_DESCRIBE(name, G) SIMT_DESCRIBE(name, cuda_matmul_params, G::THREADS, sizeof(G::shared))

#endif
