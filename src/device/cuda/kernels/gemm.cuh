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

    struct shared {
        union {
            struct {
                T a[STAGES][TILE_M * GEMM_K], b[STAGES][TILE_N * GEMM_K];
            } in;
            float out[THREADS / 32][16 * STAGED];
        };
        row_place row[TILE_M];
    };

    static_assert(TILE_M % ROWS_AT_ONCE == 0 && TILE_N % ROWS_AT_ONCE == 0, "pieces are shared out evenly");
    static_assert(WARP_N % 16 == 0, "weights are loaded sixteen rows at a time");
    static_assert(sizeof(shared) <= 65536, "what Turing has");
};

/* Element of a stage at which piece `piece` of a row begins. */
SIMT_FN int place_of_piece(int row, int piece) {
    return row * GEMM_K + ((piece ^ ((row >> 1) & 3)) * 8);
}

#define NO_ROW 0xffffffffu

/* A thread's pieces of the activations: one place within the block of inputs, A_PIECES rows. */
template <class G> struct gemm_reader {
    typedef typename G::T T;
    const T *data;             /* of this source */
    uint32_t row[G::A_PIECES]; /* where channel 0 of this tap is, in eights of elements; NO_ROW: zeros */
    int channel, channels;     /* within the source, and how many that has */
    int source, ky, kx;
};

/* The rows of the source and tap at which the reader stands. */
template <class G>
SIMT_FN void read_from(const cuda_matmul_params &p, typename G::shared &s, int first_row, gemm_reader<G> &r) {
    const cuda_source &from = p.src[r.source];
    const bool inside = r.ky < p.window.kernel_h;
    r.data = (const typename G::T *)from.data + (int64_t)simt_block_z() * from.channels;
    r.channels = inside ? from.channels : 0x7fffffff; /* nothing comes after the last tap */
    SIMT_UNROLL
    for (int i = 0; i < G::A_PIECES; i++) {
        const row_place at = s.row[first_row + i * G::ROWS_AT_ONCE];
        int64_t pixel = at.outer < 0 ? -1 : at.inner;
        if (G::SOURCE != GEMM_ROWS)
            pixel = pixel_of_tap(p.window, at, r.ky, r.kx);
        r.row[i] = inside && pixel >= 0
                       ? (uint32_t)((at.outer * from.outer_stride + pixel * from.inner_stride) / 8)
                       : NO_ROW;
    }
}

/* So many inputs further. */
template <class G>
SIMT_FN void advance(const cuda_matmul_params &p, typename G::shared &s, int first_row, int channels,
                     gemm_reader<G> &r) {
    r.channel += channels;
    if (r.channel < r.channels)
        return;
    do {
        r.channel -= r.channels;
        if (r.source == 0 && p.src[1].channels > 0) {
            r.source = 1;
        } else {
            r.source = 0;
            if (++r.kx >= p.window.kernel_w) {
                r.kx = 0;
                r.ky++;
            }
        }
        r.channels = r.ky < p.window.kernel_h ? p.src[r.source].channels : 0x7fffffff;
    } while (r.channel >= r.channels);
    read_from<G>(p, s, first_row, r);
}

/* What the copy does where data do not lie at 16 bytes. */
template <class T> SIMT_FN void copy_elements(T *to, const T *from) {
    simt_words w = {{0, 0, 0, 0}};
    if (from) {
        SIMT_UNROLL
        for (int i = 0; i < 4; i++)
            w.w[i] = simt_pack(from[2 * i], from[2 * i + 1]);
    }
    simt_store16(to, w);
}

template <class G>
SIMT_FN void copy_stage(const cuda_matmul_params &p, typename G::shared &s, int stage, int first_row,
                        const gemm_reader<G> &r, const typename G::T *weight, int rows_left,
                        bool inputs_left) {
    typedef typename G::T T;
    const int piece = simt_thread() % GEMM_PIECES;
    SIMT_UNROLL
    for (int i = 0; i < G::A_PIECES; i++) {
        T *to = s.in.a[stage] + place_of_piece(first_row + i * G::ROWS_AT_ONCE, piece);
        const T *from = r.row[i] != NO_ROW ? r.data + ((int64_t)r.row[i] * 8 + r.channel) : nullptr;
        if (G::SOURCE == GEMM_ANY)
            copy_elements(to, from);
        else
            simt_copy16_async(to, from ? from : (const T *)p.weight, from != nullptr);
    }
    SIMT_UNROLL
    for (int i = 0; i < G::B_PIECES; i++) {
        const bool valid = inputs_left && i * G::ROWS_AT_ONCE < rows_left;
        simt_copy16_async(s.in.b[stage] + place_of_piece(first_row + i * G::ROWS_AT_ONCE, piece),
                          valid ? weight + (int64_t)i * G::ROWS_AT_ONCE * p.k_pad : (const T *)p.weight,
                          valid);
    }
}

/* A warp's operands of sixteen inputs. */
template <class G> struct gemm_operands { uint32_t a[G::MS][4], b[G::NS / 2][4]; };

template <class G>
SIMT_FN void load_operands(const typename G::shared &s, int stage, int half, int row_a, int row_b,
                           gemm_operands<G> &o) {
    const int lane = simt_lane(), a = row_a + (lane & 15), b = row_b + (lane & 7) + (lane >> 4 << 3);
    SIMT_UNROLL
    for (int i = 0; i < G::MS; i++)
        simt_load_matrix_x4(o.a[i], s.in.a[stage] + place_of_piece(a + 16 * i, 2 * half + (lane >> 4)));
    SIMT_UNROLL
    for (int i = 0; i < G::NS / 2; i++)
        simt_load_matrix_x4(o.b[i], s.in.b[stage] + place_of_piece(b + 16 * i, 2 * half + (lane >> 3 & 1)));
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
            const row_place place = s.row[row_a + 16 * i + r];
            if (place.outer < 0 || c.count <= 0)
                continue;
            float x[8], gates[8];
            load_eight(out, MS_F32, r * G::STAGED + wide * at, x);
            if (geglu)
                load_eight(out, MS_F32, r * G::STAGED + wide * at + 8, gates);
            epilogue_store(p.epilogue, simt_block_z(), c, place.outer, place.inner, x, gates);
        }
        simt_warp_barrier();
    }
}

template <class G> SIMT_FN void gemm_block(const cuda_matmul_params &p, typename G::shared &s) {
    typedef typename G::T T;
    const int thread = simt_thread(), warp = simt_warp(), piece = thread % GEMM_PIECES;
    const int first_row = thread / GEMM_PIECES;
    const int row_a = warp / G::WARPS_N * G::WARP_M, row_b = warp % G::WARPS_N * G::WARP_N;
    const tile_place tile = place_of_tile(p, G::TILE_M, G::TILE_N);
    for (int i = thread; i < G::TILE_M; i += G::THREADS)
        s.row[i] = place_of_row(p, tile.row + i);
    simt_barrier();

    gemm_reader<G> reader;
    reader.source = reader.ky = reader.kx = 0;
    reader.channel = 0;
    read_from<G>(p, s, first_row, reader);
    advance<G>(p, s, first_row, 8 * piece, reader);
    const int rows_left = p.n_pad - tile.column - first_row, steps = (p.k_pad + GEMM_K - 1) / GEMM_K;
    const T *weight = (const T *)p.weight + 8 * piece +
                      ((int64_t)simt_block_z() * p.n_pad + tile.column + first_row) * p.k_pad;
    int input = 8 * piece; /* of the next stage to be copied */

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
    SIMT_UNROLL
    for (int i = 0; i < G::STAGES - 1; i++) {
        if (i < steps) {
            copy_stage<G>(p, s, i, first_row, reader, weight + input - 8 * piece, rows_left, input < p.k_pad);
            advance<G>(p, s, first_row, GEMM_K, reader);
            input += GEMM_K;
        }
        simt_copy_commit();
    }
    simt_copy_wait<G::STAGES - 2>();
    simt_barrier();

    gemm_operands<G> even, odd;
    int stage = 0, next = G::STAGES - 1; /* that is read, that is copied to */
    load_operands<G>(s, stage, 0, row_a, row_b, even);
    for (int step = 0; step < steps; step++) {
        load_operands<G>(s, stage, 1, row_a, row_b, odd);
        if (step + G::STAGES - 1 < steps) {
            copy_stage<G>(p, s, next, first_row, reader, weight + input - 8 * piece, rows_left,
                          input < p.k_pad);
            advance<G>(p, s, first_row, GEMM_K, reader);
            input += GEMM_K;
        }
        simt_copy_commit();
        multiply<G>(even, sum);
        stage = stage + 1 == G::STAGES ? 0 : stage + 1;
        next = next + 1 == G::STAGES ? 0 : next + 1;
        /* The next stage is here, and all warps have their operands of the one that is copied to next. */
        simt_copy_wait<G::STAGES - 2>();
        simt_barrier();
        if (step + 1 < steps)
            load_operands<G>(s, stage, 0, row_a, row_b, even);
        multiply<G>(odd, sum);
    }
    simt_copy_wait<0>();
    simt_barrier();
    store_sums<G>(p, s, row_a, tile.column + row_b, sum);
}

#define GEMM_DESCRIBE(name, G) SIMT_DESCRIBE(name, cuda_matmul_params, G::THREADS, sizeof(G::shared))

#endif
