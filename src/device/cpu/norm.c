#include <math.h>

#include "device/cpu/cpu.h"

/* Channels whose sums are kept at a time. */
#define SUM_CHANNELS 256

/* Mean and sum of squared differences of `count` values. */
typedef struct moments {
    double count, mean, m2;
} moments;

/* Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979. */
static void merge(moments *a, double count, double mean, double m2) {
    double total = a->count + count, delta = mean - a->mean;
    a->mean += delta * (count / total);
    a->m2 += m2 + delta * delta * (a->count * (count / total));
    a->count = total;
}

/* ---- partial sums ---- */

typedef struct norm_run {
    const void *args;
    const ms_cpu_ops *ops;
    int64_t rows_per_task;
} norm_run;

/* One image row. The moments of the group that is being filled live across chunks and sources. */
static void row_partials(const ms_norm_partials_args *a, const ms_cpu_ops *ops, int64_t outer, int64_t y,
                         double (*partials)[2]) {
    const int64_t per_group = ms_source_channels(a->src, a->n_src) / a->groups;
    const double w = (double)a->w;
    float sum[SUM_CHANNELS], squares[SUM_CHANNELS];
    int64_t channel = 0;
    moments group = {0};
    for (int i = 0; i < a->n_src; i++) {
        const ms_rows *src = &a->src[i];
        const float *row = ms_row(src, outer, y * a->w);
        for (int64_t c = 0; c < src->channels; c += SUM_CHANNELS) {
            int64_t n = ms_min(SUM_CHANNELS, src->channels - c);
            ms_norm_row_job job = {row + c, src->inner_stride, a->w, n, sum, squares};
            ops->norm_row(&job);
            for (int64_t at = 0; at < n; at++) {
                double s = sum[at], mean = (double)row[c + at] + s / w, m2 = squares[at] - s * (s / w);
                if (channel % per_group == 0)
                    group = (moments){w, mean, m2};
                else
                    merge(&group, w, mean, m2);
                if (++channel % per_group == 0) {
                    partials[channel / per_group - 1][0] = group.mean;
                    partials[channel / per_group - 1][1] = group.m2;
                }
            }
        }
    }
}

static void partials_task(void *arg, int64_t task, int worker) {
    (void)worker;
    const norm_run *r = arg;
    const ms_norm_partials_args *a = r->args;
    row_partials(a, r->ops, task / a->h, task % a->h, a->partials + task * a->groups);
}

void ms_cpu_norm_partials(ms_device *dev, const ms_norm_partials_args *args) {
    norm_run r = {.args = args, .ops = ms_ops(dev)};
    ms_pool_run(ms_cpu_threads(dev), args->src[0].outer * args->h, partials_task, &r);
}

/* ---- tables ---- */

/* One group of one table. */
static void tables_task(void *arg, int64_t task, int worker) {
    (void)worker;
    const norm_run *r = arg;
    const ms_norm_tables_args *a = r->args;
    const int64_t table = task / a->groups, group = task % a->groups, per_group = a->channels / a->groups;
    const int64_t rows = a->outer_per_table * a->h, first = table * rows;
    const double count = (double)(per_group * a->w);
    moments all = {count, a->partials[first * a->groups + group][0],
                   a->partials[first * a->groups + group][1]};
    for (int64_t i = 1; i < rows; i++) {
        const double *p = a->partials[(first + i) * a->groups + group];
        merge(&all, count, p[0], p[1]);
    }
    const double rstd = 1.0 / sqrt(all.m2 / all.count + (double)a->eps);
    float *scale = a->tables + table * 2 * a->channels, *shift = scale + a->channels;
    for (int64_t c = group * per_group; c < (group + 1) * per_group; c++) {
        double s = (double)a->gamma[c] * rstd;
        scale[c] = (float)s;
        shift[c] = (float)((double)a->beta[c] - all.mean * s);
    }
}

void ms_cpu_norm_tables(ms_device *dev, const ms_norm_tables_args *args) {
    norm_run r = {.args = args, .ops = ms_ops(dev)};
    ms_pool_run(ms_cpu_threads(dev), args->outer / args->outer_per_table * args->groups, tables_task, &r);
}

/* ---- application, layer norm ---- */

/* Rows of a task: about 64 KB. */
static int64_t rows_per_task(const ms_rows *rows) {
    return ms_max(1, ms_min(rows->inner, 16384 / rows->channels));
}

typedef struct row_range {
    int64_t outer, first, count;
} row_range;

static row_range range_of(const ms_rows *rows, int64_t per_task, int64_t task) {
    const int64_t tasks = ms_ceil_div(rows->inner, per_task), first = task % tasks * per_task;
    return (row_range){task / tasks, first, ms_min(per_task, rows->inner - first)};
}

static void apply_task(void *arg, int64_t task, int worker) {
    (void)worker;
    const norm_run *r = arg;
    const ms_norm_apply_args *a = r->args;
    const row_range range = range_of(&a->src, r->rows_per_task, task);
    const float *scale = ms_prologue_scale(&a->prologue, range.outer, a->src.channels);
    ms_scale_job job = {
        .src = ms_row(&a->src, range.outer, range.first),
        .src_row = a->src.inner_stride,
        .dst = ms_row(&a->dst, range.outer, range.first),
        .dst_row = a->dst.inner_stride,
        .rows = range.count,
        .n = a->src.channels,
        .scale = scale,
        .shift = scale ? scale + a->src.channels : NULL,
        .act = a->prologue.act,
    };
    r->ops->scale(&job);
}

void ms_cpu_norm_apply(ms_device *dev, const ms_norm_apply_args *args) {
    norm_run r = {args, ms_ops(dev), rows_per_task(&args->src)};
    ms_pool_run(ms_cpu_threads(dev), args->src.outer * ms_ceil_div(args->src.inner, r.rows_per_task),
                apply_task, &r);
}

static void layer_norm_task(void *arg, int64_t task, int worker) {
    (void)worker;
    const norm_run *r = arg;
    const ms_layer_norm_args *a = r->args;
    const row_range range = range_of(&a->src, r->rows_per_task, task);
    const int64_t n = a->src.channels;
    const float *position =
        a->position ? a->position + (a->outer_first + range.outer) % a->position_rows * n : NULL;
    for (int64_t i = range.first; i < range.first + range.count; i++) {
        ms_layer_norm_job job = {
            .src = ms_row(&a->src, range.outer, i),
            .gamma = a->gamma,
            .beta = a->beta,
            .position = position,
            .dst = ms_row(&a->dst, range.outer, i),
            .n = n,
            .eps = a->eps,
        };
        r->ops->layer_norm(&job);
    }
}

void ms_cpu_layer_norm(ms_device *dev, const ms_layer_norm_args *args) {
    norm_run r = {args, ms_ops(dev), rows_per_task(&args->src)};
    ms_pool_run(ms_cpu_threads(dev), args->src.outer * ms_ceil_div(args->src.inner, r.rows_per_task),
                layer_norm_task, &r);
}
