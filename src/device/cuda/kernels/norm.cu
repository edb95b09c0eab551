/* Group norm's partial sums and tables, layer norm: every reduction in the shape that device/kernels.h
   states. */
#include "device/cuda/kernels/norm.h"

#include "device/simt/simt.h"

template <class T> struct alignas(2 * sizeof(T)) two { T value[2]; };

/* Two neighbours; the second is 0 unless `both`. */
template <class T> SIMT_FN void load_two(const T *p, bool wide, bool both, float x[2]) {
    if (wide && both) {
        const two<T> v = *(const two<T> *)p;
        x[0] = simt_to_float(v.value[0]);
        x[1] = simt_to_float(v.value[1]);
    } else {
        x[0] = simt_to_float(p[0]);
        x[1] = both ? simt_to_float(p[1]) : 0.0f;
    }
}

template <class T> SIMT_FN void store_two(T *p, bool wide, bool both, const float x[2]) {
    const two<T> v = {{simt_from_float<T>(x[0]), simt_from_float<T>(x[1])}};
    if (wide && both) {
        *(two<T> *)p = v;
    } else {
        p[0] = v.value[0];
        if (both)
            p[1] = v.value[1];
    }
}

/* ---- partial sums ---- */

/* Adding `count` values to `before * count`: what the other mean's difference is multiplied by, and what its
   square is. The same for all groups. */
struct share {
    double of_mean, of_square;
};

SIMT_FN share share_of(double before, double count) {
    share s;
    s.of_mean = count / (before * count + count);
    s.of_square = before * count * s.of_mean;
    return s;
}

/* Chan, Golub, LeVeque 1979. */
SIMT_FN void merge(double a[2], const share &s, double mean, double m2) {
    const double delta = mean - a[0];
    a[0] += delta * s.of_mean;
    a[1] += m2 + delta * delta * s.of_square;
}

struct partials_shared {
    double moments[CUDA_PARTIALS_CHANNELS][2];
    share shares[CUDA_PARTIALS_CHANNELS];
};

/* One channel, or two neighbours that lie on a border of two elements. */
template <class T, int N> SIMT_FN void load_some(const T *p, float x[N]) {
    if (N == 2) {
        const two<T> v = *(const two<T> *)p;
        x[0] = simt_to_float(v.value[0]);
        x[N - 1] = simt_to_float(v.value[1]);
    } else {
        x[0] = simt_to_float(p[0]);
    }
}

#define PIXELS 8 /* that are read before the first is added */

/* Of N channels over an image row. */
template <class T, int N>
SIMT_FN void sum_pixels(const T *p, int64_t stride, int64_t w, double (*moments)[2]) {
    float first[N], sum[N], squares[N], v[PIXELS][N];
    load_some<T, N>(p, first);
    SIMT_UNROLL
    for (int i = 0; i < N; i++)
        sum[i] = squares[i] = 0.0f;
    for (int64_t x = 0; x < w; x += PIXELS) {
        const int there = w - x < PIXELS ? (int)(w - x) : PIXELS;
        SIMT_UNROLL
        for (int j = 0; j < PIXELS; j++) {
            SIMT_UNROLL
            for (int i = 0; i < N; i++)
                v[j][i] = 0.0f;
            if (j < there)
                load_some<T, N>(p + j * stride, v[j]);
        }
        SIMT_UNROLL
        for (int j = 0; j < PIXELS; j++)
            SIMT_UNROLL
        for (int i = 0; i < N; i++) {
            const float d = j < there ? v[j][i] - first[i] : 0.0f;
            sum[i] = sum[i] + d;
            squares[i] = simt_fma(d, d, squares[i]);
        }
        p += PIXELS * stride;
    }
    SIMT_UNROLL
    for (int i = 0; i < N; i++) {
        const double s = (double)sum[i], part = s / (double)w;
        moments[i][0] = (double)first[i] + part;
        moments[i][1] = (double)squares[i] - s * part;
    }
}

template <int N>
SIMT_FN void sum_channels(const cuda_partials_params &p, int64_t outer, int64_t y, int channel,
                          double (*moments)[2]) {
    const bool second = channel >= p.first_channels;
    const cuda_operand &src = second ? p.src[1] : p.src[0];
    const int64_t offset =
        outer * src.outer_stride + y * p.w * src.inner_stride + channel - (second ? p.first_channels : 0);
    if (src.dtype == MS_F32)
        sum_pixels<float, N>((const float *)src.data + offset, src.inner_stride, p.w, moments);
    else if (src.dtype == MS_F16)
        sum_pixels<simt_f16, N>((const simt_f16 *)src.data + offset, src.inner_stride, p.w, moments);
    else
        sum_pixels<simt_bf16, N>((const simt_bf16 *)src.data + offset, src.inner_stride, p.w, moments);
}

/* Whether two channels may be read as one. */
SIMT_FN bool side_by_side(const cuda_partials_params &p, int channel) {
    if (channel < p.first_channels)
        return channel + 1 < p.first_channels && p.src[0].wide && channel % 2 == 0;
    return p.src[1].wide && (channel - p.first_channels) % 2 == 0;
}

/* Threads, and blocks that a multiprocessor has registers for: left to itself ptxas saves registers by
   reading one pixel after the other. */
#define PARTIALS_BOUNDS CUDA_PARTIALS_THREADS, 6

/* A block's channels pass through in tiles; one thread of each group merges them in order. A group of more
   channels than a tile has the block for itself. */
SIMT_KERNEL(PARTIALS_BOUNDS) partials(SIMT_PARAM(cuda_partials_params, p)) {
    SIMT_SHARED(partials_shared, s);
    const int64_t row = simt_block_x(), outer = row / p.h, y = row % p.h;
    const int per_group = p.channels / p.groups, first_group = simt_block_y() * p.block_groups;
    const int left = p.groups - first_group, groups = left < p.block_groups ? left : p.block_groups;
    const int first = first_group * per_group, channels = groups * per_group;
    double group[2] = {0, 0};
    for (int tile = 0; tile < channels; tile += CUDA_PARTIALS_CHANNELS) {
        const int in_tile =
            channels - tile < CUDA_PARTIALS_CHANNELS ? channels - tile : CUDA_PARTIALS_CHANNELS;
        const int at = 2 * simt_thread(), channel = first + tile + at;
        if (at + 1 < in_tile && side_by_side(p, channel))
            sum_channels<2>(p, outer, y, channel, &s.moments[at]);
        else
            for (int i = 0; i < 2 && at + i < in_tile; i++)
                sum_channels<1>(p, outer, y, channel + i, &s.moments[at + i]);
        for (int i = simt_thread(); i < in_tile && i < per_group; i += CUDA_PARTIALS_THREADS)
            s.shares[i] = share_of((double)(tile + i), (double)p.w);
        simt_barrier();
        if (simt_thread() < groups) {
            const int begin = simt_thread() * per_group, end = groups == 1 ? in_tile : begin + per_group;
            for (int i = begin; i < end; i++) {
                if (tile + i == begin) {
                    group[0] = s.moments[i][0];
                    group[1] = s.moments[i][1];
                } else {
                    merge(group, s.shares[i - begin], s.moments[i][0], s.moments[i][1]);
                }
            }
        }
        simt_barrier();
    }
    if (simt_thread() < groups) {
        double *partial = p.partials[row * p.groups + first_group + simt_thread()];
        partial[0] = group[0];
        partial[1] = group[1];
    }
}

const simt_kernel cuda_partials_kernel =
    SIMT_DESCRIBE(partials, cuda_partials_params, CUDA_PARTIALS_THREADS, sizeof(partials_shared));

/* ---- tables ---- */

#define TABLE_ROWS 32 /* at a time */

struct table_tile {
    double partials[TABLE_ROWS][CUDA_TABLES_GROUPS][2];
    share shares[TABLE_ROWS];
};

struct tables_shared {
    table_tile tile[2];
    double mean[CUDA_TABLES_GROUPS], rstd[CUDA_TABLES_GROUPS];
};

/* Rows from `first` on of a table; the threads are numbered from 0. */
SIMT_FN void load_tile(table_tile &tile, const cuda_tables_params &p, int64_t first, int first_group,
                       int groups, double count, int thread, int threads) {
    const int rows = p.rows - first < TABLE_ROWS ? (int)(p.rows - first) : TABLE_ROWS;
    const double(*partials)[2] = p.partials + (simt_block_x() * p.rows + first) * p.groups + first_group;
    for (int i = thread; i < rows * groups; i += threads) {
        const int row = i / groups, g = i % groups;
        tile.partials[row][g][0] = partials[(int64_t)row * p.groups + g][0];
        tile.partials[row][g][1] = partials[(int64_t)row * p.groups + g][1];
    }
    for (int row = thread; row < rows; row += threads)
        tile.shares[row] = share_of((double)(first + row), count);
}

/* A lane of the first warp merges each group, a chain whose steps are short, as what they divide by is known
   before; meanwhile the other warps fetch what comes next. */
SIMT_KERNEL(CUDA_TABLES_THREADS) tables(SIMT_PARAM(cuda_tables_params, p)) {
    SIMT_SHARED(tables_shared, s);
    const int per_group = p.channels / p.groups, first_group = simt_block_y() * CUDA_TABLES_GROUPS;
    const int left = p.groups - first_group, groups = left < CUDA_TABLES_GROUPS ? left : CUDA_TABLES_GROUPS;
    const double count = (double)(per_group * p.w);
    double group[2] = {0, 0};
    load_tile(s.tile[0], p, 0, first_group, groups, count, simt_thread(), CUDA_TABLES_THREADS);
    simt_barrier();
    for (int64_t first = 0; first < p.rows; first += TABLE_ROWS) {
        const int at = (int)(first / TABLE_ROWS % 2);
        if (simt_warp() > 0) {
            if (first + TABLE_ROWS < p.rows)
                load_tile(s.tile[1 - at], p, first + TABLE_ROWS, first_group, groups, count,
                          simt_thread() - 32, CUDA_TABLES_THREADS - 32);
        } else if (simt_lane() < groups) {
            const table_tile &tile = s.tile[at];
            const int rows = p.rows - first < TABLE_ROWS ? (int)(p.rows - first) : TABLE_ROWS;
            if (first == 0) {
                group[0] = tile.partials[0][simt_lane()][0];
                group[1] = tile.partials[0][simt_lane()][1];
            }
            for (int row = first == 0; row < rows; row++)
                merge(group, tile.shares[row], tile.partials[row][simt_lane()][0],
                      tile.partials[row][simt_lane()][1]);
        }
        simt_barrier();
    }
    if (simt_thread() < groups) {
        s.mean[simt_thread()] = group[0];
        s.rstd[simt_thread()] = 1.0 / simt_sqrt(group[1] / ((double)p.rows * count) + (double)p.eps);
    }
    simt_barrier();
    float *scale = p.tables + (int64_t)simt_block_x() * 2 * p.channels, *shift = scale + p.channels;
    for (int i = simt_thread(); i < groups * per_group; i += CUDA_TABLES_THREADS) {
        const int channel = first_group * per_group + i, g = i / per_group;
        const double factor = (double)p.gamma[channel] * s.rstd[g];
        scale[channel] = (float)factor;
        shift[channel] = (float)((double)p.beta[channel] - s.mean[g] * factor);
    }
}

const simt_kernel cuda_tables_kernel =
    SIMT_DESCRIBE(tables, cuda_tables_params, CUDA_TABLES_THREADS, sizeof(tables_shared));

/* ---- layer norm ---- */

/* Lane i of the sixteen with i + 8, + 4, + 2, + 1: a thread holds two of them, eight neighbours have them
   all. */
SIMT_FN float sum_lanes(float x[2]) {
    for (int mask = 4; mask > 0; mask /= 2) {
        x[0] = x[0] + simt_shuffle_xor(x[0], mask);
        x[1] = x[1] + simt_shuffle_xor(x[1], mask);
    }
    return x[0] + x[1];
}

#define STEPS 4 /* that are read before the first is used: 16 channels each */

/* Channels c and c + 1 of the row, and so on by 16; zeros behind the last. WIDE: every two lie on a border of
   two elements. */
template <class T, bool WIDE> SIMT_FN void load_steps(const T *row, int c, int n, float x[STEPS][2]) {
    SIMT_UNROLL
    for (int i = 0; i < STEPS; i++) {
        x[i][0] = x[i][1] = 0.0f;
        if (c + 16 * i < n)
            load_two(row + c + 16 * i, WIDE, WIDE || c + 16 * i + 1 < n, x[i]);
    }
}

SIMT_FN void store_normed(const cuda_operand &dst, int64_t offset, bool both, const float x[2]) {
    if (dst.dtype == MS_F32)
        store_two((float *)dst.data + offset, dst.wide, both, x);
    else if (dst.dtype == MS_F16)
        store_two((simt_f16 *)dst.data + offset, dst.wide, both, x);
    else
        store_two((simt_bf16 *)dst.data + offset, dst.wide, both, x);
}

/* Threads of rows that are not there go along, for the others' shuffles. */
template <class T, bool WIDE>
SIMT_KERNEL(CUDA_LAYER_NORM_THREADS)
layer_norm(SIMT_PARAM(cuda_layer_norm_params, p)) {
    const int64_t row = (int64_t)simt_block_x() * CUDA_LAYER_NORM_ROWS + simt_thread() / 8;
    const int64_t outer = row / p.inner, inner = row % p.inner;
    const int n = p.channels, first = outer < p.outer ? simt_thread() % 8 * 2 : n;
    const T *src = (const T *)p.src.data + outer * p.src.outer_stride + inner * p.src.inner_stride;
    float sum[2] = {0.0f, 0.0f}, squares[2] = {0.0f, 0.0f}, x[STEPS][2];
    for (int c = first; c < n; c += 16 * STEPS) {
        load_steps<T, WIDE>(src, c, n, x);
        SIMT_UNROLL
        for (int i = 0; i < 2 * STEPS; i++)
            sum[i % 2] = sum[i % 2] + x[i / 2][i % 2];
    }
    const float mean = sum_lanes(sum) / (float)n;
    for (int c = first; c < n; c += 16 * STEPS) {
        load_steps<T, WIDE>(src, c, n, x);
        SIMT_UNROLL
        for (int i = 0; i < 2 * STEPS; i++) {
            const float d = c + i / 2 * 16 + i % 2 < n ? x[i / 2][i % 2] - mean : 0.0f;
            squares[i % 2] = simt_fma(d, d, squares[i % 2]);
        }
    }
    const float rstd = 1.0f / simt_sqrt(sum_lanes(squares) / (float)n + p.eps);
    const float *position = p.position ? p.position + (p.outer_first + outer) % p.position_rows * n : nullptr;
    const int64_t dst = outer * p.dst.outer_stride + inner * p.dst.inner_stride;
    for (int c = first; c < n; c += 16 * STEPS) {
        load_steps<T, WIDE>(src, c, n, x);
        SIMT_UNROLL
        for (int i = 0; i < STEPS; i++) {
            const int at = c + 16 * i;
            const bool both = at + 1 < n;
            if (at >= n)
                break;
            float gamma[2], beta[2], more[2] = {0.0f, 0.0f};
            load_two(p.gamma + at, p.vectors_wide, both, gamma);
            load_two(p.beta + at, p.vectors_wide, both, beta);
            if (position)
                load_two(position + at, p.vectors_wide, both, more);
            SIMT_UNROLL
            for (int j = 0; j < 2; j++) {
                x[i][j] = simt_fma((x[i][j] - mean) * rstd, gamma[j], beta[j]);
                x[i][j] = position ? x[i][j] + more[j] : x[i][j];
            }
            store_normed(p.dst, dst + at, both, x[i]);
        }
    }
}

#define LAYER_NORM(T)                                                                                        \
    {                                                                                                        \
        SIMT_DESCRIBE((layer_norm<T, false>), cuda_layer_norm_params, CUDA_LAYER_NORM_THREADS, 0),           \
            SIMT_DESCRIBE((layer_norm<T, true>), cuda_layer_norm_params, CUDA_LAYER_NORM_THREADS, 0)         \
    }

const simt_kernel *cuda_layer_norm_kernel(ms_dtype src, bool wide) {
    static const simt_kernel kernels[3][2] = {LAYER_NORM(float), LAYER_NORM(simt_f16), LAYER_NORM(simt_bf16)};
    return &kernels[src == MS_F32 ? 0 : src == MS_F16 ? 1 : 2][wide];
}
