/* What happens to latents between the networks. Every operation is rounded; none is fused. */
#include "device/cuda/kernels/math64.cuh"
#include "device/cuda/kernels/rows.cuh"

/* ---- noise ---- */

/* base/philox.h */
SIMT_FN void philox(uint32_t c[4], uint64_t seed) {
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
        const uint32_t n0 = (uint32_t)(p1 >> 32) ^ c[1] ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c[3] ^ k1;
        c[0] = n0;
        c[1] = (uint32_t)p1;
        c[2] = n2;
        c[3] = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

SIMT_FN void two_normals(uint32_t first, uint32_t second, float ret_normals[2]) {
    const double u = ((double)first + 0.5) * 0x1p-32, v = ((double)second + 0.5) * 0x1p-32;
    const double r = simt_sqrt(-2.0 * gpu_log64(u));
    double sine, cosine;
    gpu_sincos64(6.283185307179586476925286766559 * v, &sine, &cosine);
    ret_normals[0] = (float)(r * cosine);
    ret_normals[1] = (float)(r * sine);
}

SIMT_KERNEL(CUDA_ROWS_THREADS) noise(SIMT_PARAM(cuda_noise_params, p)) {
    const int64_t four = (int64_t)simt_block_x() * CUDA_ROWS_THREADS + simt_thread();
    const int64_t first = four * 4, elements = p.inner * p.channels;
    if (first >= elements)
        return;
    for (int64_t outer = simt_block_y(); outer < p.outer; outer += p.turns) {
        uint32_t words[4] = {(uint32_t)four, 0, 0, 0};
        if (p.numbers) {
            words[2] = p.numbers[outer][0];
            words[1] = p.numbers[outer][1];
        }
        float normals[4];
        philox(words, p.seed);
        two_normals(words[0], words[1], normals);
        two_normals(words[2], words[3], normals + 2);
        SIMT_UNROLL
        for (int i = 0; i < 4; i++) {
            const int64_t at = first + i;
            if (at < elements)
                store_one(p.dst.data, p.dst.dtype,
                          offset_of(p.dst, outer, at % p.inner, (uint32_t)(at / p.inner)), normals[i]);
        }
    }
}

const simt_kernel cuda_noise_kernel = SIMT_DESCRIBE(noise, cuda_noise_params, CUDA_ROWS_THREADS, 0);

/* ---- element by element ---- */

/* As fmaxf and fminf do, a clamp makes a number of what is none. */
SIMT_FN float deviation_of(float logvar) {
    const float least = logvar > -30.0f ? logvar : -30.0f, clamped = least < 20.0f ? least : 20.0f;
    return (float)gpu_exp64((double)(0.5f * clamped));
}

struct posterior_op {
    static const int sources = 3;
    SIMT_FN void run(const cuda_each_params &p, int64_t, const place &, float *x, float *y, float *z) {
        EACH(((x[i] + deviation_of(y[i]) * z[i]) - p.number[0]) * p.number[1]);
    }
};

struct rescale_op {
    static const int sources = 1;
    SIMT_FN void run(const cuda_each_params &p, int64_t, const place &, float *x, float *, float *) {
        EACH(x[i] / p.number[0] + p.number[1]);
    }
};

struct guide_op {
    static const int sources = 2;
    SIMT_FN void run(const cuda_each_params &p, int64_t, const place &, float *x, float *y, float *) {
        EACH(x[i] + p.number[0] * (y[i] - x[i]));
    }
};

struct ddim_op {
    static const int sources = 2;
    SIMT_FN void run(const cuda_each_params &p, int64_t, const place &, float *x, float *y, float *) {
        const float *step = p.step;
        EACH(step[2] * ((x[i] - step[1] * y[i]) / step[0]) + step[3] * y[i]);
    }
};

SIMT_KERNEL(CUDA_ROWS_THREADS) posterior(SIMT_PARAM(cuda_each_params, p)) {
    each_place<posterior_op>(p);
}

SIMT_KERNEL(CUDA_ROWS_THREADS) rescale(SIMT_PARAM(cuda_each_params, p)) {
    each_place<rescale_op>(p);
}

SIMT_KERNEL(CUDA_ROWS_THREADS) guide(SIMT_PARAM(cuda_each_params, p)) {
    each_place<guide_op>(p);
}

SIMT_KERNEL(CUDA_ROWS_THREADS) ddim(SIMT_PARAM(cuda_each_params, p)) {
    each_place<ddim_op>(p);
}

const simt_kernel cuda_posterior_kernel = SIMT_DESCRIBE(posterior, cuda_each_params, CUDA_ROWS_THREADS, 0);
const simt_kernel cuda_rescale_kernel = SIMT_DESCRIBE(rescale, cuda_each_params, CUDA_ROWS_THREADS, 0);
const simt_kernel cuda_guide_kernel = SIMT_DESCRIBE(guide, cuda_each_params, CUDA_ROWS_THREADS, 0);
const simt_kernel cuda_ddim_kernel = SIMT_DESCRIBE(ddim, cuda_each_params, CUDA_ROWS_THREADS, 0);

/* ---- what is not finite ---- */

struct finite_shared {
    uint32_t warp[CUDA_ROWS_THREADS / 32];
};

/* One thread of a block tells; of several blocks all write the same. */
SIMT_KERNEL(CUDA_ROWS_THREADS) check_finite(SIMT_PARAM(cuda_finite_params, p)) {
    SIMT_SHARED(finite_shared, s);
    const place at = place_of(p.space);
    uint32_t found = 0;
    for (int64_t outer = simt_block_y(); at.count > 0 && outer < p.space.outer; outer += p.space.turns) {
        float x[CUDA_ROWS_AT_ONCE];
        load_place(p.src, outer, at, x);
        SIMT_UNROLL
        for (int i = 0; i < CUDA_ROWS_AT_ONCE; i++)
            found |= (simt_bits(x[i]) & 0x7f800000u) == 0x7f800000u;
    }
    for (int mask = 16; mask > 0; mask /= 2)
        found |= simt_shuffle_xor(found, mask);
    if (simt_lane() == 0)
        s.warp[simt_warp()] = found;
    simt_barrier();
    if (simt_thread() > 0)
        return;
    for (int i = 1; i < CUDA_ROWS_THREADS / 32; i++)
        found |= s.warp[i];
    if (found)
        *p.flag = 1;
}

const simt_kernel cuda_finite_kernel =
    SIMT_DESCRIBE(check_finite, cuda_finite_params, CUDA_ROWS_THREADS, sizeof(finite_shared));
