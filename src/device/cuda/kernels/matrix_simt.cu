/*
 * Linear layers and convolutions by chains of fused multiply-adds in float32, any types: the reference of
 * the tensor cores' kernels, with the processor's bits. A block makes TILE x TILE sums, its 256 threads
 * PART x PART each, over blocks of inputs. What a block reads next is on its way while it multiplies.
 */
#include "device/cuda/kernels/epilogue.cuh"
#include "device/cuda/kernels/window.cuh"

#define THREADS 256

template <int TILE_> struct simt_shape {
    static const int TILE = TILE_, PART = TILE / 16; /* of a thread, in fours along the columns */
    static const int BLOCK_K = 1024 / TILE;          /* a thread then reads four of either matrix */
    static const int READS = TILE * BLOCK_K / THREADS, ROWS_AT_ONCE = THREADS / BLOCK_K;
    static const int STRIDE = TILE + 4; /* of an input; keeps fours of rows at 16 bytes */

    struct shared {
        union {
            struct {
                float a[BLOCK_K][STRIDE], b[BLOCK_K][STRIDE];
            } in;
            float out[16][TILE]; /* a row of each thread's part at a time */
        };
        row_place row[TILE];
    };
};

/* Where a thread stands in k: the same input of READS rows. */
struct input_place {
    int tap, channel; /* of the group */
};

SIMT_FN float activation(const cuda_matmul_params &p, const row_place &row, const input_place &k) {
    const cuda_window &w = p.window;
    const int ky = k.tap / w.kernel_w, second = k.channel >= p.src[0].channels ? 1 : 0;
    const cuda_source &from = p.src[second];
    const int channel = second ? k.channel - p.src[0].channels : k.channel;
    if (ky >= w.kernel_h || channel >= from.channels)
        return 0.0f;
    const int64_t pixel = pixel_of_tap(w, row, ky, k.tap - ky * w.kernel_w);
    if (pixel < 0)
        return 0.0f;
    const int64_t group = (int64_t)simt_block_z() * from.channels;
    const float x = load_one(from.data, from.dtype,
                             row.outer * from.outer_stride + pixel * from.inner_stride + group + channel);
    const cuda_prologue &pro = p.prologue;
    if (!pro.tables)
        return x;
    const float *table = pro.tables + (pro.outer_first + row.outer) / pro.outer_per_table * 2 * pro.channels +
                         group + k.channel;
    const float y = simt_fma(x, table[0], table[pro.channels]);
    return pro.act == MS_ACT_SILU ? gpu_silu(y) : y;
}

template <class S>
SIMT_FN void read_block(const cuda_matmul_params &p, const typename S::shared &s, int column,
                        const input_place &k, int input, float a[S::READS], float b[S::READS]) {
    const int first = simt_thread() / S::BLOCK_K;
    SIMT_UNROLL
    for (int i = 0; i < S::READS; i++) {
        const int row = first + i * S::ROWS_AT_ONCE;
        a[i] = activation(p, s.row[row], k);
        b[i] = 0.0f;
        if (column + row < p.n_pad && input < p.k_pad)
            b[i] = load_one(p.weight, p.weight_dtype,
                            ((int64_t)simt_block_z() * p.n_pad + column + row) * p.k_pad + input);
    }
}

template <class S>
SIMT_FN void multiply_block(const typename S::shared &s, int y, int x, float sum[S::PART][S::PART]) {
    SIMT_UNROLL
    for (int k = 0; k < S::BLOCK_K; k++) {
        float a[S::PART], b[S::PART];
        SIMT_UNROLL
        for (int i = 0; i < S::PART; i++) {
            a[i] = s.in.a[k][y * S::PART + i];
            b[i] = s.in.b[k][i / 4 * 64 + x * 4 + i % 4];
        }
        /* The order in which the sums come to their next product changes no bits. On the host rows are
           inside: its compiler then makes vectors of columns, else it turns the sums in every step. On cards
           columns are: the other way round, ptxas spills registers of the large tile up to sm_89. */
        SIMT_UNROLL
        for (int n = 0; n < S::PART; n++) {
            SIMT_UNROLL
            for (int m = 0; m < S::PART; m++) {
                const int i = SIMT_ON_HOST ? m : n, j = SIMT_ON_HOST ? n : m;
                sum[i][j] = simt_fma(a[i], b[j], sum[i][j]);
            }
        }
    }
}

/* Row i of each thread's part through shared memory, so that a thread has eight outputs of a row. */
template <class S>
SIMT_FN void store_sums(const cuda_matmul_params &p, typename S::shared &s, int y, int x, int column,
                        const float sum[S::PART][S::PART]) {
    const bool geglu = p.epilogue.act == MS_ACT_GEGLU;
    const int wide = geglu ? 16 : 8, across = S::TILE / wide, at = simt_thread() % across;
    const int row = simt_thread() / across;
    SIMT_UNROLL
    for (int i = 0; i < S::PART; i++) {
        SIMT_UNROLL
        for (int j = 0; j < S::PART; j++)
            s.out[y][j / 4 * 64 + x * 4 + j % 4] = sum[i][j];
        simt_barrier();
        const row_place place = s.row[(row < 16 ? row : 0) * S::PART + i];
        if (row < 16 && place.outer >= 0) {
            /* Read for each row: kept, they would be registers beside the sums. */
            const epilogue_columns c =
                epilogue_begin(p.epilogue, simt_block_z(), (geglu ? column / 2 : column) + 8 * at);
            float v[8], gates[8];
            load_eight(&s.out[row][wide * at], true, 8, v);
            if (geglu)
                load_eight(&s.out[row][wide * at + 8], true, 8, gates);
            if (c.count > 0)
                epilogue_store(p.epilogue, simt_block_z(), c, place.outer, place.inner, v, gates);
        }
        simt_barrier();
    }
}

template <class S> SIMT_FN void matrix_block(const cuda_matmul_params &p, typename S::shared &s) {
    const int thread = simt_thread(), y = thread / 16, x = thread % 16;
    const tile_place tile = place_of_tile(p, S::TILE, S::TILE);
    for (int i = thread; i < S::TILE; i += THREADS)
        s.row[i] = place_of_row(p, tile.row + i);
    simt_barrier();
    float sum[S::PART][S::PART], a[S::READS], b[S::READS];
    SIMT_UNROLL
    for (int i = 0; i < S::PART; i++) {
        SIMT_UNROLL
        for (int j = 0; j < S::PART; j++)
            sum[i][j] = 0.0f;
    }
    int input = thread % S::BLOCK_K;
    input_place k = {input / p.c_pad, input % p.c_pad};
    read_block<S>(p, s, tile.column, k, input, a, b);
    for (int from = 0; from < p.k_pad; from += S::BLOCK_K) {
        SIMT_UNROLL
        for (int i = 0; i < S::READS; i++) {
            const int row = thread / S::BLOCK_K + i * S::ROWS_AT_ONCE;
            s.in.a[thread % S::BLOCK_K][row] = a[i];
            s.in.b[thread % S::BLOCK_K][row] = b[i];
        }
        simt_barrier();
        input += S::BLOCK_K;
        for (k.channel += S::BLOCK_K; k.channel >= p.c_pad; k.tap++)
            k.channel -= p.c_pad;
        if (from + S::BLOCK_K < p.k_pad)
            read_block<S>(p, s, tile.column, k, input, a, b);
        multiply_block<S>(s, y, x, sum);
        simt_barrier();
    }
    store_sums<S>(p, s, y, x, tile.column, sum);
}

typedef simt_shape<64> small_tile;
typedef simt_shape<128> large_tile;

SIMT_KERNEL(THREADS) matrix_simt_64x64(SIMT_PARAM(cuda_matmul_params, p)) {
    SIMT_SHARED(small_tile::shared, s);
    matrix_block<small_tile>(p, s);
}

SIMT_KERNEL(THREADS) matrix_simt_128x128(SIMT_PARAM(cuda_matmul_params, p)) {
    SIMT_SHARED(large_tile::shared, s);
    matrix_block<large_tile>(p, s);
}

const simt_kernel *cuda_matrix_simt_kernel(bool large) {
    static const simt_kernel kernels[2] = {
        SIMT_DESCRIBE(matrix_simt_64x64, cuda_matmul_params, THREADS, sizeof(small_tile::shared)),
        SIMT_DESCRIBE(matrix_simt_128x128, cuda_matmul_params, THREADS, sizeof(large_tile::shared))};
    return &kernels[large];
}
