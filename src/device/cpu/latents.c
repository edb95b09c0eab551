/* What happens to latents between the networks. They are small, so plain C does:
   the compiler makes vectors of it, and nothing is fused (-ffp-contract=off). */
#include <math.h>

#include "base/philox.h"
#include "device/cpu/cpu.h"

/* Elements of a task: some 50 us of noise, 1 us of what is simpler. */
#define NORMALS_PER_TASK 1024
#define ROWS_PER_TASK 1024

/* ---- noise ---- */

typedef struct noise_run {
    const ms_noise_args *args;
    int64_t tasks_per_outer;
} noise_run;

static void noise_task(void *arg, int64_t task, int worker) {
    (void)worker;
    const noise_run *r = arg;
    const ms_rows *dst = &r->args->dst;
    const int64_t outer = task / r->tasks_per_outer, first = task % r->tasks_per_outer * NORMALS_PER_TASK;
    const int64_t count = ms_min(NORMALS_PER_TASK, dst->inner * dst->channels - first);
    const uint32_t *number = r->args->numbers ? r->args->numbers[outer] : NULL;
    float normals[NORMALS_PER_TASK];
    ms_noise_normals(r->args->seed, number ? number[0] : MS_NOISE_START, number ? number[1] : 0,
                     (uint64_t)first, (uint64_t)count, normals);
    for (int64_t i = 0; i < count; i++)
        ms_row(dst, outer, (first + i) % dst->inner)[(first + i) / dst->inner] = normals[i];
}

void ms_cpu_noise(ms_device *dev, const ms_noise_args *args) {
    noise_run r = {args, ms_ceil_div(args->dst.inner * args->dst.channels, NORMALS_PER_TASK)};
    ms_pool_run(ms_cpu_threads(dev), args->dst.outer * r.tasks_per_outer, noise_task, &r);
}

/* ---- row by row ---- */

typedef struct latents_run {
    const void *args;
    const ms_rows *rows; /* whose shape decides */
    void (*row)(const void *args, int64_t outer, int64_t inner);
    int64_t tasks_per_outer;
} latents_run;

static void rows_task(void *arg, int64_t task, int worker) {
    (void)worker;
    const latents_run *r = arg;
    const int64_t outer = task / r->tasks_per_outer, first = task % r->tasks_per_outer * ROWS_PER_TASK;
    const int64_t end = ms_min(first + ROWS_PER_TASK, r->rows->inner);
    for (int64_t i = first; i < end; i++)
        r->row(r->args, outer, i);
}

static void run_rows(ms_device *dev, const void *args, const ms_rows *rows,
                     void (*row)(const void *, int64_t, int64_t)) {
    latents_run r = {args, rows, row, ms_ceil_div(rows->inner, ROWS_PER_TASK)};
    ms_pool_run(ms_cpu_threads(dev), rows->outer * r.tasks_per_outer, rows_task, &r);
}

static void posterior_row(const void *args, int64_t outer, int64_t inner) {
    const ms_posterior_args *a = args;
    const float *mean = ms_row(&a->moments, outer, inner), *logvar = mean + a->dst.channels;
    const float *normal = ms_row(&a->normals, outer, inner);
    float *dst = ms_row(&a->dst, outer, inner);
    for (int64_t c = 0; c < a->dst.channels; c++) {
        float clamped = fminf(fmaxf(logvar[c], -30.0f), 20.0f);
        float x = mean[c] + expf(0.5f * clamped) * normal[c];
        dst[c] = (x - a->shift) * a->scale;
    }
}

void ms_cpu_posterior(ms_device *dev, const ms_posterior_args *args) {
    run_rows(dev, args, &args->dst, posterior_row);
}

static void rescale_row(const void *args, int64_t outer, int64_t inner) {
    const ms_rescale_args *a = args;
    const float *src = ms_row(&a->src, outer, inner);
    float *dst = ms_row(&a->dst, outer, inner);
    for (int64_t c = 0; c < a->dst.channels; c++)
        dst[c] = src[c] / a->divisor + a->shift;
}

void ms_cpu_rescale(ms_device *dev, const ms_rescale_args *args) {
    run_rows(dev, args, &args->dst, rescale_row);
}

static void guide_row(const void *args, int64_t outer, int64_t inner) {
    const ms_guide_args *a = args;
    const float *n = ms_row(&a->without, outer, inner), *p = ms_row(&a->with, outer, inner);
    float *dst = ms_row(&a->dst, outer, inner);
    for (int64_t c = 0; c < a->dst.channels; c++)
        dst[c] = n[c] + a->scale * (p[c] - n[c]);
}

void ms_cpu_guide(ms_device *dev, const ms_guide_args *args) {
    run_rows(dev, args, &args->dst, guide_row);
}

static void ddim_row(const void *args, int64_t outer, int64_t inner) {
    const ms_ddim_args *a = args;
    const float *sample = ms_row(&a->sample, outer, inner), *noise = ms_row(&a->noise, outer, inner);
    float *dst = ms_row(&a->dst, outer, inner);
    for (int64_t c = 0; c < a->dst.channels; c++) {
        float original = (sample[c] - a->step[1] * noise[c]) / a->step[0];
        dst[c] = a->step[2] * original + a->step[3] * noise[c];
    }
}

void ms_cpu_ddim(ms_device *dev, const ms_ddim_args *args) {
    run_rows(dev, args, &args->dst, ddim_row);
}

/* On one thread: there is one flag. */
void ms_cpu_check_finite(ms_device *dev, const ms_check_finite_args *args) {
    (void)dev;
    for (int64_t i = 0; i < args->src.outer; i++) {
        for (int64_t j = 0; j < args->src.inner; j++) {
            const float *x = ms_row(&args->src, i, j);
            for (int64_t c = 0; c < args->src.channels; c++)
                if (!isfinite(x[c]))
                    *args->flag = 1;
        }
    }
}
