#include "device/cpu/cpu.h"

/*
 * Up to so many tokens (temporal attention: one for each frame of a window) are gathered first, all
 * heads of them. In place they are whole frames apart, often by a multiple of the caches' size, so that
 * they push each other out of the few sets they share, and a head alone reads scraps of 160 bytes.
 */
#define GATHER_TOKENS 32

typedef struct attention_run {
    const ms_attention_args *args;
    const ms_cpu_ops *ops;
    int64_t blocks; /* of queries */
    bool gather;
    int64_t gathered_row; /* floats of a gathered token */
    int64_t job_floats, worker_floats;
    float *workspace;
} attention_run;

static attention_run make_run(const ms_attention_args *args) {
    attention_run r = {
        .args = args,
        .blocks = ms_ceil_div(args->q_tokens, MS_ATTENTION_QUERIES),
        .gather = args->q_tokens <= GATHER_TOKENS && args->kv_tokens <= GATHER_TOKENS,
        .job_floats = ms_attention_job_floats(args->head_dim),
    };
    /* Not a multiple of 4096 bytes apart. */
    r.gathered_row = ms_round_up((int64_t)args->heads * args->head_dim, 16) + 16;
    r.worker_floats = r.job_floats;
    if (r.gather)
        r.worker_floats += (args->q_tokens + 2 * args->kv_tokens) * r.gathered_row;
    return r;
}

size_t ms_attention_workspace_bytes(const ms_attention_args *args, int threads) {
    return (size_t)threads * (size_t)make_run(args).worker_floats * sizeof(float);
}

/* One batch: where its tokens lie, and how far apart. */
typedef struct batch_tokens {
    const float *q, *k, *v;
    float *out;
    int64_t q_token, k_token, v_token, out_token;
} batch_tokens;

static batch_tokens tokens_at(const ms_attention_args *a, int64_t batch) {
    const int64_t i = batch / a->batch_inner, j = batch % a->batch_inner;
    return (batch_tokens){
        .q = (const float *)a->q + i * a->q_stride[0] + j * a->q_stride[1],
        .k = (const float *)a->k + i * a->k_stride[0] + j * a->k_stride[1],
        .v = (const float *)a->v + i * a->v_stride[0] + j * a->v_stride[1],
        .out = (float *)a->out + i * a->out_stride[0] + j * a->out_stride[1],
        .q_token = a->q_stride[2],
        .k_token = a->k_stride[2],
        .v_token = a->v_stride[2],
        .out_token = a->out_stride[2],
    };
}

static void run_job(const attention_run *r, const batch_tokens *t, int64_t head, int64_t first,
                    float *workspace) {
    const ms_attention_args *a = r->args;
    const int64_t channel = head * a->head_dim;
    ms_attention_job job = {
        .q = t->q + first * t->q_token + channel,
        .k = t->k + channel,
        .v = t->v + channel,
        .out = t->out + first * t->out_token + channel,
        .q_token = t->q_token,
        .k_token = t->k_token,
        .v_token = t->v_token,
        .out_token = t->out_token,
        .queries = ms_min(MS_ATTENTION_QUERIES, a->q_tokens - first),
        .keys = a->kv_tokens,
        .head_dim = a->head_dim,
        .scale = a->scale,
        .workspace = workspace,
    };
    r->ops->attention(&job);
}

/* One block of queries of one head of one batch. */
static void block_task(void *arg, int64_t task, int worker) {
    const attention_run *r = arg;
    const int64_t first = task % r->blocks * MS_ATTENTION_QUERIES, head = task / r->blocks % r->args->heads;
    const batch_tokens tokens = tokens_at(r->args, task / r->blocks / r->args->heads);
    run_job(r, &tokens, head, first, r->workspace + worker * r->worker_floats);
}

/* All heads' channels of `count` tokens to rows at dst; returns the end of the last. */
static float *gather(const attention_run *r, const float *src, int64_t token, int64_t count, float *dst) {
    const size_t bytes = (size_t)r->args->heads * (size_t)r->args->head_dim * sizeof(float);
    for (int64_t t = 0; t < count; t++)
        memcpy(dst + t * r->gathered_row, src + t * token, bytes);
    return dst + count * r->gathered_row;
}

/* All heads of one batch of few tokens. */
static void batch_task(void *arg, int64_t task, int worker) {
    const attention_run *r = arg;
    const ms_attention_args *a = r->args;
    float *workspace = r->workspace + worker * r->worker_floats;
    const batch_tokens there = tokens_at(a, task);
    batch_tokens here = there;
    float *q = workspace + r->job_floats;
    float *k = gather(r, there.q, there.q_token, a->q_tokens, q);
    float *v = gather(r, there.k, there.k_token, a->kv_tokens, k);
    gather(r, there.v, there.v_token, a->kv_tokens, v);
    here.q = q;
    here.k = k;
    here.v = v;
    here.q_token = here.k_token = here.v_token = r->gathered_row;
    for (int64_t head = 0; head < a->heads; head++)
        run_job(r, &here, head, 0, workspace);
}

void ms_cpu_attention(ms_device *dev, const ms_attention_args *args, void *workspace) {
    attention_run r = make_run(args);
    r.ops = ms_ops(dev);
    r.workspace = workspace;
    const int64_t batches = args->batch_outer * args->batch_inner;
    if (r.gather)
        ms_pool_run(ms_cpu_threads(dev), batches, batch_task, &r);
    else
        ms_pool_run(ms_cpu_threads(dev), batches * args->heads * r.blocks, block_task, &r);
}
