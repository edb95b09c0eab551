#include "latents/block_basis.h"

#include <math.h>
#include <string.h>

#include "latents/symmetric_eigen.h"

/* Of a float's precision below the block's typical value: nothing is gained by predicting finer. */
#define FINEST 0x1p-25
#define LIMIT 1073741824.0f /* 2^30 */

size_t ms_block_basis_work_bytes(int frames) {
    return ((size_t)frames + 1) * (size_t)frames * sizeof(double);
}

void ms_block_gram(const float *rows, int frames, size_t count, size_t stride, double *gram) {
    for (int i = 0; i < frames; i++) {
        for (int j = 0; j <= i; j++) {
            const float *a = rows + (size_t)i * stride, *b = rows + (size_t)j * stride;
            double lane[8] = {0}, sum = 0;
            size_t v = 0;
            for (; v + 8 <= count; v += 8)
                for (int l = 0; l < 8; l++)
                    lane[l] += (double)a[v + (size_t)l] * (double)b[v + (size_t)l];
            for (; v < count; v++)
                sum += (double)a[v] * (double)b[v];
            for (int l = 0; l < 8; l++)
                sum += lane[l];
            gram[i * frames + j] += sum;
            if (i != j)
                gram[j * frames + i] += sum;
        }
    }
}

static double bits_of(double variance, double step_squared) {
    double bits = 0.5 * log2(2 * 3.14159265358979323846 * 2.71828182845904523536 * variance / step_squared);
    return bits > 0 ? bits : 0;
}

/* Chooses the number of components. energy: descending. *ret_step_squared belongs to it. */
static int choose(const ms_block_basis_params *p, const double *energy, double *ret_step_squared) {
    int n = p->frames, best = 0;
    double all = 0, spent = 0, best_bits = 0;
    for (int i = 0; i < n; i++)
        all += energy[i] > 0 ? energy[i] : 0;
    double mean = all / (n * p->values), floor = mean * FINEST * FINEST;
    double rest = all;
    if (!(mean > 0) || !isfinite(mean))
        return 0;
    best_bits = 0.5 * log2(mean);
    for (int k = 1; k <= p->max_components; k++) {
        rest -= energy[k - 1] > 0 ? energy[k - 1] : 0;
        double dropped = rest / ((n - k) * p->values); /* mean square of a left-out coefficient */
        if (!(dropped > floor))
            dropped = floor;
        double step_squared = 12 * dropped;
        spent = 0;
        for (int c = 0; c < k; c++)
            spent += bits_of(energy[c] / p->values, step_squared);
        double bits = spent / n + 0.5 * log2(dropped);
        if (bits < best_bits || (p->all && k == p->max_components)) {
            best = k;
            best_bits = bits;
            *ret_step_squared = step_squared;
        }
    }
    return best;
}

void ms_block_basis(const ms_block_basis_params *p, double *gram, void *work, int *ret_components,
                    float *ret_step, float *ret_basis) {
    int n = p->frames;
    double *energy = work, *vectors = energy + n, step_squared = 1;
    ms_symmetric_eigen(gram, n, energy, vectors);
    int k = choose(p, energy, &step_squared);
    float step = (float)sqrt(step_squared);
    if (k > 0 && !(isnormal(step) && step < 1e30f)) /* denormal blocks */
        k = 0;
    for (int f = 0; f < n; f++)
        for (int c = 0; c < k; c++)
            ret_basis[f * k + c] = (float)vectors[c * n + f];
    *ret_components = k;
    *ret_step = k ? step : 0;
}

void ms_block_project(const float *rows, int frames, size_t count, const float *basis, int components,
                      float step, float *scratch, int32_t *ret_coefficients) {
    for (int c = 0; c < components; c++) {
        memset(scratch, 0, count * sizeof(float));
        for (int f = 0; f < frames; f++) {
            const float *row = rows + (size_t)f * count;
            float b = basis[f * components + c];
            for (size_t v = 0; v < count; v++)
                scratch[v] += b * row[v];
        }
        int32_t *out = ret_coefficients + (size_t)c * count;
        for (size_t v = 0; v < count; v++) {
            float x = scratch[v] / step;
            x = x < LIMIT ? x : LIMIT;
            x = x > -LIMIT ? x : -LIMIT;
            out[v] = (int32_t)(x + (x < 0 ? -0.5f : 0.5f));
        }
    }
}

void ms_block_predict(const int32_t *coefficients, int components, size_t count, const float *basis,
                      float step, float *ret_row) {
    memset(ret_row, 0, count * sizeof(float));
    for (int c = 0; c < components; c++) {
        const int32_t *q = coefficients + (size_t)c * count;
        float b = basis[c];
        for (size_t v = 0; v < count; v++)
            ret_row[v] += b * ((float)q[v] * step);
    }
}
