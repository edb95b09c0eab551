/* Group norm's partial sums and tables, layer norm: every reduction in the shape that device/kernels.h states. */
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

/* Of two neighbouring channels over an image row. */
template <class T>
SIMT_FN void sum_two(const T *p, int64_t stride, int64_t w, bool wide, bool both, double moments[2][2]) {
    float first[2], sum[2] = {0.0f, 0.0f}, squares[2] = {0.0f, 0.0f};
    load_two(p, wide, both, first);
    for (int64_t x = 0; x < w; x++) {
        float v[2];
        load_two(p + x * stride, wide, both, v);
        SIMT_UNROLL
        for (int i = 0; i < 2; i++) {
            const float d = v[i] - first[i];
            sum[i] = sum[i] + d;
            squares[i] = simt_fma(d, d, squares[i]);
        }
    }
    SIMT_UNROLL
    for (int i = 0; i < 2; i++) {
        const double s = (double)sum[i], part = s / (double)w;
        moments[i][0] = (double)first[i] + part;
        moments[i][1] = (double)squares[i] - s * part;
    }
}

SIMT_FN void sum_channels(const cuda_partials_params &p, int64_t outer, int64_t y, int channel, bool both,
                          double moments[2][2]) {
    const bool second = channel >= p.first_channels;
    const cuda_operand &src = second ? p.src[1] : p.src[0];
    const int at = second ? channel - p.first_channels : channel;
    const int64_t offset = outer * src.outer_stride + y * p.w * src.inner_stride + at;
    const bool wide = src.wide && at % 2 == 0;
    if (src.dtype == MS_F32)
        sum_two((const float *)src.data + offset, src.inner_stride, p.w, wide, both, moments);
    else if (src.dtype == MS_F16)
        sum_two((const simt_f16 *)src.data + offset, src.inner_stride, p.w, wide, both, moments);
    else
        sum_two((const simt_bf16 *)src.data + offset, src.inner_stride, p.w, wide, both, moments);
}

/* A block's channels pass through in tiles; one thread of each group merges them in order. A group of more
   channels than a tile has the block for itself. */
SIMT_KERNEL(CUDA_PARTIALS_THREADS) partials(SIMT_PARAM(cuda_partials_params, p)) {
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
        if (at < in_tile) {
            /* Of two sources each its own channel. */
            const bool both = at + 1 < in_tile, apart = both && channel + 1 == p.first_channels;
            for (int part = 0; part < (apart ? 2 : 1); part++) {
                double moments[2][2];
                sum_channels(p, outer, y, channel + part, both && !apart, moments);
                for (int i = 0; i < 2; i++) {
                    s.moments[at + part][i] = moments[0][i];
                    if (both && !apart)
                        s.moments[at + 1][i] = moments[1][i];
                }
            }
        }
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

struct tables_shared {
    double partials[TABLE_ROWS][CUDA_TABLES_GROUPS][2];
    share shares[TABLE_ROWS];
    double mean[CUDA_TABLES_GROUPS], rstd[CUDA_TABLES_GROUPS];
};

/* All threads fetch, a lane of the first warp merges each group: a chain whose steps are short, as what they
   divide by is known before. */
SIMT_KERNEL(CUDA_TABLES_THREADS) tables(SIMT_PARAM(cuda_tables_params, p)) {
    SIMT_SHARED(tables_shared, s);
    const int per_group = p.channels / p.groups, first_group = simt_block_y() * CUDA_TABLES_GROUPS;
    const int left = p.groups - first_group, groups = left < CUDA_TABLES_GROUPS ? left : CUDA_TABLES_GROUPS;
    const int64_t first_row = simt_block_x() * p.rows;
    const double count = (double)(per_group * p.w);
    double group[2] = {0, 0};
    for (int64_t tile = 0; tile < p.rows; tile += TABLE_ROWS) {
        const int in_tile = p.rows - tile < TABLE_ROWS ? (int)(p.rows - tile) : TABLE_ROWS;
        for (int i = simt_thread(); i < in_tile * groups; i += CUDA_TABLES_THREADS) {
            const int row = i / groups, g = i % groups;
            const double *partial = p.partials[(first_row + tile + row) * p.groups + first_group + g];
            s.partials[row][g][0] = partial[0];
            s.partials[row][g][1] = partial[1];
        }
        if (simt_thread() < in_tile)
            s.shares[simt_thread()] = share_of((double)(tile + simt_thread()), count);
        simt_barrier();
        if (simt_thread() < groups)
            for (int row = 0; row < in_tile; row++) {
                const double *partial = s.partials[row][simt_thread()];
                if (tile + row == 0) {
                    group[0] = partial[0];
                    group[1] = partial[1];
                } else {
                    merge(group, s.shares[row], partial[0], partial[1]);
                }
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

/* Lane i of the sixteen with i + 8, + 4, + 2, + 1: a thread holds two of them, eight neighbours have them all. */
SIMT_FN float sum_lanes(float x[2]) {
    for (int mask = 4; mask > 0; mask /= 2) {
        x[0] = x[0] + simt_shuffle_xor(x[0], mask);
        x[1] = x[1] + simt_shuffle_xor(x[1], mask);
    }
    return x[0] + x[1];
}

/* Threads of rows that are not there go along, for the others' shuffles. */
template <class T> SIMT_KERNEL(CUDA_LAYER_NORM_THREADS) layer_norm(SIMT_PARAM(cuda_layer_norm_params, p)) {
    const int64_t row = (int64_t)simt_block_x() * CUDA_LAYER_NORM_ROWS + simt_thread() / 8;
    const int64_t outer = row / p.inner, inner = row % p.inner;
    const int n = p.channels, first = outer < p.outer ? simt_thread() % 8 * 2 : n;
    const T *src = (const T *)p.src.data + outer * p.src.outer_stride + inner * p.src.inner_stride;
    float sum[2] = {0.0f, 0.0f}, squares[2] = {0.0f, 0.0f}, x[2];
    for (int c = first; c < n; c += 16) {
        load_two(src + c, p.src.wide, c + 1 < n, x);
        sum[0] = sum[0] + x[0];
        sum[1] = sum[1] + x[1];
    }
    const float mean = sum_lanes(sum) / (float)n;
    for (int c = first; c < n; c += 16) {
        load_two(src + c, p.src.wide, c + 1 < n, x);
        const float low = x[0] - mean, high = c + 1 < n ? x[1] - mean : 0.0f;
        squares[0] = simt_fma(low, low, squares[0]);
        squares[1] = simt_fma(high, high, squares[1]);
    }
    const float rstd = 1.0f / simt_sqrt(sum_lanes(squares) / (float)n + p.eps);
    const float *position = p.position ? p.position + (p.outer_first + outer) % p.position_rows * n : nullptr;
    for (int c = first; c < n; c += 16) {
        const bool both = c + 1 < n;
        float gamma[2], beta[2], more[2];
        load_two(src + c, p.src.wide, both, x);
        load_two(p.gamma + c, p.vectors_wide, both, gamma);
        load_two(p.beta + c, p.vectors_wide, both, beta);
        if (position)
            load_two(position + c, p.vectors_wide, both, more);
        SIMT_UNROLL
        for (int i = 0; i < 2; i++) {
            x[i] = simt_fma((x[i] - mean) * rstd, gamma[i], beta[i]);
            if (position)
                x[i] = x[i] + more[i];
        }
        const int64_t offset = outer * p.dst.outer_stride + inner * p.dst.inner_stride + c;
        if (p.dst.dtype == MS_F32)
            store_two((float *)p.dst.data + offset, p.dst.wide, both, x);
        else if (p.dst.dtype == MS_F16)
            store_two((simt_f16 *)p.dst.data + offset, p.dst.wide, both, x);
        else
            store_two((simt_bf16 *)p.dst.data + offset, p.dst.wide, both, x);
    }
}

const simt_kernel *cuda_layer_norm_kernel(ms_dtype src) {
    static const simt_kernel kernels[3] = {
        SIMT_DESCRIBE(layer_norm<float>, cuda_layer_norm_params, CUDA_LAYER_NORM_THREADS, 0),
        SIMT_DESCRIBE(layer_norm<simt_f16>, cuda_layer_norm_params, CUDA_LAYER_NORM_THREADS, 0),
        SIMT_DESCRIBE(layer_norm<simt_bf16>, cuda_layer_norm_params, CUDA_LAYER_NORM_THREADS, 0),
    };
    return &kernels[src == MS_F32 ? 0 : src == MS_F16 ? 1 : 2];
}
