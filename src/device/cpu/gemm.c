#include "device/cpu/gemm.h"

#include "device/weight.h"

/* Rows of a block: 96 rows of 1280 floats are half of a second-level cache of 1 MB. */
#define BLOCK_ROWS 96
/* Inputs taken at a time. */
#define BLOCK_K 1280
/* Pairs of panels whose sums wait in the second-level cache: rows of 1 KB go out at a time. */
#define BLOCK_PAIRS 8
/* With more rows than this, 16-bit weights are widened once into a buffer. */
#define WIDEN_ROWS 24
/* Tasks wanted per thread, so that threads finish together. */
#define TASKS_PER_THREAD 4

typedef struct gemm_plan {
    int64_t block_rows, m_blocks;
    int64_t panels, pairs; /* of a group */
    int64_t chunk_pairs, chunks;
    int64_t block_pairs;
    int64_t a_row, c_row; /* of the packed rows and of the sums */
    int64_t a_floats, b_floats, c_floats;
    bool widen;
} gemm_plan;

typedef struct gemm_run {
    const ms_gemm_layer *layer;
    gemm_plan plan;
    float *workspace;
} gemm_run;

static gemm_plan make_plan(const ms_gemm_layer *layer, int threads) {
    gemm_plan p = {0};
    p.block_rows = ms_min(layer->m, BLOCK_ROWS);
    p.m_blocks = ms_ceil_div(layer->m, p.block_rows);
    p.panels = layer->geglu ? 2 * ms_ceil_div(layer->n, MS_PANEL) : ms_ceil_div(layer->n, MS_PANEL);
    p.pairs = ms_ceil_div(p.panels, 2);
    int64_t tasks = p.m_blocks * layer->groups, wanted = (int64_t)threads * TASKS_PER_THREAD;
    p.chunks = ms_max(1, ms_min(p.pairs, ms_ceil_div(wanted, tasks)));
    p.chunk_pairs = ms_ceil_div(p.pairs, p.chunks);
    p.chunks = ms_ceil_div(p.pairs, p.chunk_pairs);
    p.block_pairs = ms_min(p.chunk_pairs, BLOCK_PAIRS);
    p.widen = layer->weight->dtype != MS_F32 && p.block_rows > WIDEN_ROWS;
    /* Rows a multiple of 4096 bytes apart would share a cache set. */
    p.a_row = ms_round_up(layer->k, 16) + 16;
    p.c_row = p.block_pairs * MS_PAIR + 16;
    p.a_floats = layer->a ? 0 : p.block_rows * p.a_row;
    /* Room for it whatever the weights' type: networks are planned before their weights are loaded. */
    p.b_floats = p.block_rows > WIDEN_ROWS ? ms_min(layer->k, BLOCK_K) * MS_PAIR : 0;
    p.c_floats = p.block_rows * p.c_row;
    return p;
}

static int64_t worker_floats(const gemm_plan *p) {
    return p->a_floats + p->b_floats + p->c_floats;
}

size_t ms_gemm_workspace_bytes(const ms_gemm_layer *layer, int threads) {
    gemm_plan p = make_plan(layer, threads);
    return (size_t)threads * (size_t)worker_floats(&p) * sizeof(float);
}

/* Rows first .. first+rows-1 of finished pairs of panels to dst, one run of rows per outer row. */
static void store_pairs(const gemm_run *run, int group, int64_t pair, int64_t pairs, int64_t first,
                        int64_t rows, const float *c) {
    const ms_gemm_layer *layer = run->layer;
    const ms_rows *dst = layer->dst, *residual = ms_epilogue_residual(layer->epilogue);
    const int64_t width = layer->geglu ? MS_PANEL : MS_PAIR, at = pair * width,
                  column = group * layer->n + at;
    ms_store_job job = {
        .c_row = run->plan.c_row,
        .columns = ms_min(pairs * width, layer->n - at),
        .dst_row = dst->inner_stride,
        .residual_row = residual ? residual->inner_stride : 0,
        .epilogue = ms_epilogue_at(layer->epilogue, column),
    };
    if (layer->geglu) {
        const ms_epilogue *e = layer->epilogue;
        job.gate_bias = e->bias ? e->bias + layer->n + column : NULL;
        job.gate_add = e->add ? e->add + layer->n + column : NULL;
    }
    for (int64_t done = 0; done < rows; done += job.rows) {
        int64_t outer = (first + done) / dst->inner, inner = (first + done) % dst->inner;
        job.rows = ms_min(rows - done, dst->inner - inner);
        job.c = c + done * run->plan.c_row;
        job.dst = ms_row(dst, outer, inner) + column;
        job.residual = residual ? ms_row(residual, outer, inner) + column : NULL;
        layer->ops->store(&job);
    }
}

/* The weights of a pair of panels from input k0 on; the second is NULL past the last panel. */
static void pair_weights(const gemm_run *run, int group, int64_t pair, int64_t k0,
                         const void *ret_panels[2]) {
    const size_t element = ms_dtype_bytes(run->layer->weight->dtype);
    const size_t panel_bytes = (size_t)(run->layer->k * MS_PANEL) * element;
    const int64_t panel = group * run->plan.panels + 2 * pair;
    const char *data = run->layer->weight->data;
    data += (size_t)panel * panel_bytes + (size_t)(k0 * MS_PANEL) * element;
    ret_panels[0] = data;
    ret_panels[1] = 2 * pair + 1 < run->plan.panels ? data + panel_bytes : NULL;
}

/* Inputs k0 .. k0+job->k-1 of one pair of panels; next is the pair that comes after it. */
static void multiply_pair(const gemm_run *run, int group, int64_t pair, int64_t next, ms_gemm_job *job,
                          int64_t k0, float *widened) {
    const ms_gemm_layer *layer = run->layer;
    pair_weights(run, group, pair, k0, job->b);
    pair_weights(run, group, next, k0, job->next);
    job->b_k = MS_PANEL;
    job->widened = run->plan.widen ? widened : NULL;
    if (layer->weight->dtype == MS_F32)
        layer->ops->gemm_f32(job);
    else if (layer->weight->dtype == MS_F16)
        layer->ops->gemm_f16(job);
    else
        layer->ops->gemm_bf16(job);
}

static void gemm_task(void *arg, int64_t task, int worker) {
    const gemm_run *run = arg;
    const ms_gemm_layer *layer = run->layer;
    const gemm_plan *p = &run->plan;
    const int64_t chunk = task % p->chunks, first = task / p->chunks / layer->groups * p->block_rows;
    const int group = (int)(task / p->chunks % layer->groups);
    const int64_t rows = ms_min(p->block_rows, layer->m - first);
    const int64_t begin = chunk * p->chunk_pairs, end = ms_min(p->pairs, begin + p->chunk_pairs);
    float *packed = run->workspace + worker * worker_floats(p);
    float *widened = packed + p->a_floats, *c = widened + p->b_floats;
    const float *a = layer->a ? layer->a + first * layer->a_row : packed;
    if (!layer->a)
        layer->pack(layer, group, first, rows, packed, p->a_row);
    for (int64_t pair = begin; pair < end; pair += p->block_pairs) {
        const int64_t pairs = ms_min(p->block_pairs, end - pair);
        for (int64_t k = 0; k < layer->k; k += BLOCK_K) {
            ms_gemm_job job = {
                .rows = rows,
                .k = ms_min(BLOCK_K, layer->k - k),
                .a = a + k,
                .a_row = layer->a ? layer->a_row : p->a_row,
                .a_k = 1,
                .c_row = p->c_row,
                .accumulate = k > 0,
            };
            for (int64_t i = 0; i < pairs; i++) {
                job.c = c + i * MS_PAIR;
                const int64_t next = pair + i + 1 < end ? pair + i + 1 : begin;
                multiply_pair(run, group, pair + i, next, &job, k, widened);
            }
        }
        store_pairs(run, group, pair, pairs, first, rows, c);
    }
}

void ms_gemm_run(ms_device *dev, const ms_gemm_layer *layer, void *workspace) {
    gemm_run run = {layer, make_plan(layer, ms_pool_threads(ms_cpu_threads(dev))), workspace};
    ms_pool_run(ms_cpu_threads(dev), run.plan.m_blocks * layer->groups * run.plan.chunks, gemm_task, &run);
}
